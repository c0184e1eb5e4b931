"""The prefix of torchrun's store that one start of the processes shares, and the flag that signals set."""

import signal
import threading
from datetime import timedelta

import pytest
import torch.distributed as dist

from sleepkd.distributed import StopFlag, fresh_prefix

SECONDS = timedelta(seconds=5)


@pytest.fixture
def server() -> dist.TCPStore:
    """The store of a torchrun agent."""
    return dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False, timeout=SECONDS)


def start(server: dist.TCPStore, world: int) -> list[dist.Store]:
    """Start all processes, as threads with a client each; returns their stores."""
    stores: list[dist.Store] = [server] * world

    def process(rank: int) -> None:
        client = dist.TCPStore("localhost", server.port, is_master=False, timeout=SECONDS)
        stores[rank] = fresh_prefix(client, rank, world, SECONDS)

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return stores


def test_processes_share_a_prefix_that_no_earlier_start_used(server: dist.TCPStore) -> None:
    before = start(server, 3)
    before[1].set("address", "first start")
    assert before[0].get("address") == before[2].get("address") == b"first start"
    after = start(server, 3)
    assert not any(store.check(["address"]) for store in after)
    after[2].set("address", "second start")
    assert after[0].get("address") == b"second start"
    assert not start(server, 2)[0].check(["address"])  # another number of processes


def test_identifiers_of_an_interrupted_start_do_no_harm(server: dist.TCPStore) -> None:
    server.set("sleepkd/started/1", "identifier of a process that was killed before it read the reply")
    first, second = start(server, 2)
    first.set("address", "1")
    assert second.get("address") == b"1"


def test_a_process_that_does_not_start_is_named(server: dist.TCPStore) -> None:
    with pytest.raises(RuntimeError, match=r"processes \[1, 2\] of 3 did not start"):
        fresh_prefix(server, 0, 3, timedelta(seconds=0.1))


def test_sigterm_sets_the_stop_flag_until_it_is_released() -> None:
    before = signal.getsignal(signal.SIGTERM)
    flag = StopFlag()
    signal.raise_signal(signal.SIGTERM)
    flag.release()
    assert flag.requested
    assert signal.getsignal(signal.SIGTERM) is before
