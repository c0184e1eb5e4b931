"""A user's mistake, and how every command reports one: a single line, exit code 2, no traceback."""

import sys
from collections.abc import Callable

EXIT_USER_ERROR = 2


class UserError(Exception):
    """What is wrong, in which file or key, and what to do about it, in one line."""


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command's `main` and leave the process with its exit code; a `UserError` becomes one line on stderr."""
    try:
        code = main() or 0
    except UserError as error:
        sys.exit(print_error(error))
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def print_error(error: UserError) -> int:
    """Print a mistake as one line on stderr and return the exit code that goes with it."""
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return EXIT_USER_ERROR
