"""The part of torchrun's store that one start of the processes uses; the flag that stops a loop."""

import signal
import threading
from datetime import timedelta

import pytest
import torch.distributed as dist

from sleepkd.distributed import StopFlag, fresh_part

SECONDS = timedelta(seconds=5)


def lives(server: dist.TCPStore, world: int) -> list[dist.Store]:
    """All processes of one start, as threads with a client each."""
    parts: list[dist.Store] = [server] * world

    def live(rank: int) -> None:
        client = dist.TCPStore("localhost", server.port, is_master=False, timeout=SECONDS)
        parts[rank] = fresh_part(client, rank, world, SECONDS)

    threads = [threading.Thread(target=live, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return parts


def test_one_start_shares_a_part_and_the_next_sees_nothing_of_it() -> None:
    server = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False, timeout=SECONDS)
    before = lives(server, 3)
    before[1].set("address", "of the dead")
    assert before[0].get("address") == before[2].get("address") == b"of the dead"
    after = lives(server, 3)
    assert not any(part.check(["address"]) for part in after)
    after[2].set("address", "of the living")
    assert after[0].get("address") == b"of the living"
    assert not lives(server, 2)[0].check(["address"])  # another number of processes


def test_a_start_that_broke_off_half_way_is_no_hindrance() -> None:
    server = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False, timeout=SECONDS)
    server.set("sleepkd/here/1", "a life that was killed before it read its answer")
    first, second = lives(server, 2)
    first.set("address", "1")
    assert second.get("address") == b"1"


def test_a_process_that_never_comes_is_named() -> None:
    server = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False, timeout=SECONDS)
    with pytest.raises(RuntimeError, match=r"processes \[1, 2\] of 3 did not start"):
        fresh_part(server, 0, 3, timedelta(seconds=0.1))


def test_a_stop_flag_hears_a_signal_and_gives_it_back() -> None:
    """While it is in force SIGTERM only sets it; released, the handler of before is there again."""
    before = signal.getsignal(signal.SIGTERM)
    flag = StopFlag()
    signal.raise_signal(signal.SIGTERM)
    flag.release()
    assert flag.requested
    assert signal.getsignal(signal.SIGTERM) is before
