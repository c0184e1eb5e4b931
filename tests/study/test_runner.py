"""Groups of runs side by side, in real processes that stand in for training."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from sleepkd.study import runner
from sleepkd.study.jobs import RunGroup
from sleepkd.study.runner import Runner, environments

GROUPS = tuple(RunGroup(4, seed, None) for seed in range(3))
MEETING = """
import sys, time
from pathlib import Path
folder, mine, other = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
(folder / mine).touch()
for _ in range(200):
    if (folder / other).exists(): sys.exit(0)
    time.sleep(0.05)
sys.exit(1)
"""
LONG = "import sys, time; open(sys.argv[1], 'w').close(); time.sleep(60)"


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A script is given as its source; the signals are as they were afterwards."""

    def command(script: str, _processes: int, arguments: Sequence[object]) -> list[str]:
        return [sys.executable, "-c", script, *map(str, arguments)]

    monkeypatch.setattr(runner, "launch_command", command)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("at_a_time", "all_met"), [(2, True), (1, False)])
def test_groups_run_side_by_side_where_asked(tmp_path: Path, at_a_time: int, all_met: bool) -> None:
    """Two runs that end well only where each sees that the other has begun."""
    pair = {0: ("a", "b"), 1: ("b", "a")}
    patient = MEETING if all_met else MEETING.replace("range(200)", "range(10)")
    found = {}
    study = Runner(tmp_path, 1, at_a_time)

    def work(group: RunGroup) -> None:
        found[group.seed] = study._run(f"run{group.seed}", patient, (tmp_path, *pair[group.seed]))

    study.each(GROUPS[:2], work)
    assert (found[0] == "") == all_met
    assert found[1] == ""


@pytest.mark.parametrize(
    ("at_a_time", "processes", "gpus", "shares"),
    [
        (1, 2, 4, [None]),
        (3, 1, 2, ["0", "1", "0"]),
        (2, 2, 4, ["0,1", "2,3"]),
        (3, 2, 5, ["0,1", "2,3", "0,1"]),
        (2, 4, 2, [None, None]),
        (2, 1, 0, [None, None]),
    ],
)
def test_runs_side_by_side_share_gpus_and_cores(
    monkeypatch: pytest.MonkeyPatch, at_a_time: int, processes: int, gpus: int, shares: list[str | None]
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    found = environments(at_a_time, processes)
    assert [place.get("CUDA_VISIBLE_DEVICES") for place in found] == shares
    threads = {place.get("OMP_NUM_THREADS") for place in found}
    assert threads == ({None} if at_a_time == 1 else {str(16 // (at_a_time * processes))})


def test_the_gpus_that_may_be_seen_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert [place["CUDA_VISIBLE_DEVICES"] for place in environments(2, 1)] == ["5", "7"]


def test_asked_to_stop_all_runs_are_and_no_other_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = Runner(tmp_path, 1, 2)

    def work(group: RunGroup) -> None:
        study._run(f"run{group.seed}", LONG, (tmp_path / f"begun{group.seed}",))

    def stop() -> None:
        while not all((tmp_path / f"begun{seed}").exists() for seed in (0, 1)):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    started = time.monotonic()
    with pytest.raises(SystemExit) as left:
        study.each(GROUPS, work)
    assert left.value.code == 143
    assert time.monotonic() - started < 30
    assert not (tmp_path / "begun2").exists()
    assert capsys.readouterr().out.count("the same command resumes") == 1
    assert not study._children
