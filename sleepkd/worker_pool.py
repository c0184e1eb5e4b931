"""Process pool for work that may crash or hang: an item that ends its process has a failure, the others a result."""

import faulthandler
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing.context import BaseContext
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 2
"""Items that a process holds: the one at work and the next, so that it never waits for this process."""


@dataclass(frozen=True)
class Failure:
    """Why an item has no result."""

    reason: str


def run_on_processes(
    work: Callable[[Item], Result], items: Iterable[Item], processes: int, limit_s: float, preload: Sequence[str] = ()
) -> Iterator[tuple[Item, Result | Failure]]:
    """Each item with its result, as they end. Items are taken as processes get free, so memory stays bounded.

    work: a function at the top of a module, or a `partial` of one. An exception that it raises is a failure too.
    limit_s: seconds after which the process of an item is ended. preload: modules that every process needs: they are
    imported once, and processes are forked from there.
    """
    context, others = multiprocessing.get_context("forkserver"), set(multiprocessing.active_children())
    context.set_forkserver_preload(["sleepkd.worker_pool", *preload])
    workers: list[_Worker[Item, Result]] = [_Worker(context, work, limit_s) for _ in range(processes)]
    due = iter(items)
    try:
        while True:
            for _ in range(AHEAD):
                for worker in workers:
                    if len(worker.given) < AHEAD:
                        for item in due:
                            worker.give(item)
                            break
            busy = [worker for worker in workers if worker.given]
            if not busy:
                return
            wait([worker.given[0][1] for worker in busy], return_when=FIRST_COMPLETED)
            for worker in busy:
                while worker.given and worker.given[0][1].done():
                    yield worker.take()
    except BaseException:  # interrupted: work under way is not waited for
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        for worker in workers:
            worker.end()


def limited(work: Callable[[Item], Result], limit_s: float, item: Item) -> Result:
    """The result for an item; the process ends where it takes longer. Holds for compiled code that hangs, too."""
    faulthandler.dump_traceback_later(limit_s, exit=True, file=_nowhere())
    try:
        return work(item)
    finally:
        faulthandler.cancel_dump_traceback_later()


class _Worker(Generic[Item, Result]):
    """A process, and the items given to it in order: if it dies, the first of them is to blame."""

    def __init__(self, context: BaseContext, work: Callable[[Item], Result], limit_s: float):
        self._context, self._limit_s = context, limit_s
        self._work = partial(limited, work, limit_s)
        self.given: deque[tuple[Item, Future[Result]]] = deque()
        self._start()

    def _start(self) -> None:
        self._pool = ProcessPoolExecutor(1, self._context, _set_up)
        self._since = time.monotonic()

    def give(self, item: Item) -> None:
        if not self.given:
            self._since = time.monotonic()
        try:
            future = self._pool.submit(self._work, item)
        except BrokenProcessPool as error:
            if not self.given:  # it died without work
                self._start()
                future = self._pool.submit(self._work, item)
            else:  # `take` starts another process
                future = Future()
                future.set_exception(error)
        self.given.append((item, future))

    def take(self) -> tuple[Item, Result | Failure]:
        """The first item with its result, which is there."""
        item, future = self.given.popleft()
        seconds, self._since = time.monotonic() - self._since, time.monotonic()
        try:
            return item, future.result()
        except BrokenProcessPool:
            others, self.given = [other for other, _ in self.given], deque()
            self._start()
            for other in others:
                self.give(other)
            return item, Failure(self._why(seconds))
        except Exception as error:
            return item, Failure(" ".join(f"{type(error).__name__}: {error}".split()))

    def _why(self, seconds: float) -> str:
        if seconds >= self._limit_s:
            return f"was not done after {self._limit_s:g} s, and its process was ended"
        return "ended its process: a library crashed on it, or it needs more memory than there is"

    def end(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _set_up() -> None:
    """In each process: leave Ctrl-C to the first process, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


_devnull: list[int] = []


def _nowhere() -> int:
    """A file descriptor of /dev/null, for the traceback of a process that is ended."""
    if not _devnull:
        _devnull.append(os.open(os.devnull, os.O_WRONLY))
    return _devnull[0]
