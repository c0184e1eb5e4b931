"""A crash, a hang or an exception costs its own item; memory and order of items stay bounded."""

import os
import signal
import time
from collections.abc import Iterator

from sleepkd.worker_pool import AHEAD, Failure, run_on_processes


def work(item: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == 5:
        time.sleep(600)
    if item == 7:
        raise ValueError("no\nnumber")
    return item**2


def test_a_crash_a_hang_and_an_exception_cost_one_item_each() -> None:
    found = dict(run_on_processes(work, range(12), 2, limit_s=3.0))
    failed = {item: result.reason for item, result in found.items() if isinstance(result, Failure)}
    assert {item: result for item, result in found.items() if item not in failed} == {
        item: item**2 for item in range(12) if item not in (3, 5, 7)
    }
    assert set(failed) == {3, 5, 7}
    assert "ended its process" in failed[3] and "not done after 3 s" in failed[5]
    assert failed[7] == "ValueError: no number"


def test_items_are_taken_when_they_are_needed() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(100, 140):
            taken += 1
            yield item

    for done, _ in enumerate(run_on_processes(work, items(), 2, limit_s=60.0), 1):
        assert taken <= done + 2 * AHEAD
    assert done == taken == 40
