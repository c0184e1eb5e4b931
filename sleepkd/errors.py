"""Errors that a user can fix. Every command reports one as a single line, with exit code 2 and without a traceback."""

import sys
from collections.abc import Callable

EXIT_USER_ERROR = 2


class UserError(Exception):
    """An error that a user can fix. Its message says in one line which file or key is wrong, how, and what to do."""


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command's `main` and exit with the code that it returns. A `UserError` is printed as one line on stderr."""
    try:
        code = main() or 0
    except UserError as error:
        sys.exit(print_error(error))
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def print_error(error: UserError) -> int:
    """Print an error as one line on stderr; returns the exit code."""
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return EXIT_USER_ERROR
