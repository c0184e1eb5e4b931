"""Progress of long work: a bar on a terminal, an occasional line where the output goes to a file."""

import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0

Item = TypeVar("Item")


class Progress:
    """A tqdm bar if stderr is a terminal; otherwise a line at most every 30 s, and one at the end.

    done: items finished before. shown: False prints nothing, for all processes but the first.
    """

    def __init__(self, name: str, total: int, unit: str, done: int = 0, shown: bool = True):
        self._name, self._total, self._unit, self._done, self._facts = name, total, unit, done, ""
        on_terminal = sys.stderr.isatty()
        self._bar = tqdm(total=total, initial=done, desc=name, unit=unit, disable=not (shown and on_terminal))
        self._prints = shown and not on_terminal
        self._printed_at, self._printed_done = time.monotonic(), -1

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def advance(self) -> None:
        """Count one more item."""
        self._done += 1
        self._bar.update()
        if self._prints and time.monotonic() - self._printed_at >= SECONDS_BETWEEN_LINES:
            self._print()

    def show(self, **facts: str) -> None:
        """Show these values beside the count from now on."""
        self._facts = "".join(f", {name} {value}" for name, value in facts.items())
        self._bar.set_postfix(facts)

    def close(self) -> None:
        """Finish the bar, or print the last line."""
        self._bar.close()
        if self._prints and self._printed_done != self._done:
            self._print()

    def _print(self) -> None:
        self._printed_at, self._printed_done = time.monotonic(), self._done
        print(f"{self._name}: {self._done} of {self._total} {self._unit}s{self._facts}", file=sys.stderr, flush=True)


def track(items: Iterable[Item], name: str, total: int, unit: str) -> Iterator[Item]:
    """The items, with the progress over them shown."""
    with Progress(name, total, unit) as progress:
        for item in items:
            yield item
            progress.advance()


def print_beside(text: str) -> None:
    """Print a line on stderr without breaking a bar."""
    tqdm.write(text, file=sys.stderr)
