"""Any damaged file ends in a recording or in one line, soon and in little memory: no traceback, no hang."""

import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from sleepkd.cohorts.beats import BEATS, BeatLayout
from sleepkd.cohorts.recording import Recording
from sleepkd.data.inputs import BeatsInput, InputSpec, SignalInput
from sleepkd.errors import UserError
from sleepkd.prediction.recorded import ReadingOptions, read_file
from tests.cohorts.mutated_files import RATE, mutated, sound_files

pytestmark = pytest.mark.filterwarnings("ignore")
INPUTS: InputSpec = {"ecg": SignalInput(rate=200), "beats": BeatsInput()}
FEW, MANY, SECONDS, BYTES = 100, 10_000, 20, 3 << 30


class TooLong(Exception):
    """A file that took longer than allowed."""


@contextmanager
def limits() -> Iterator[None]:
    """At most so many seconds of processor time and bytes more than now; other processes do not count."""

    def stop(*_: object) -> None:
        raise TooLong

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = 4096 * int(Path("/proc/self/statm").read_text().split()[0])
    previous = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, hard))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def read(path: Path) -> Recording:
    """Read a file as `predict` does, and a WFDB record's beats too."""
    if path.suffix == ".hea":
        BEATS["wfdb"].read(path.with_suffix(".qrs"), BeatLayout(("*.qrs",), "wfdb"))
    return read_file(path, INPUTS, ReadingOptions(rate_hz=RATE if path.suffix == ".npy" else None))


def try_files(folder: Path, seeds: range) -> list[str]:
    """What went wrong, a line per seed."""
    sound = sound_files(folder / "sound")
    faults = []
    for seed in seeds:
        drawn = np.random.default_rng(seed)
        source = sound[seed % len(sound)]
        damaged = folder / "damaged" / source.name
        damaged.parent.mkdir(exist_ok=True)
        damaged.write_bytes(mutated(source.read_bytes(), drawn))
        for beside in (".dat", ".qrs"):
            if source.suffix == ".hea":
                other = source.with_suffix(beside)
                shutil.copy(other, damaged.with_suffix(beside))
                if drawn.random() < 0.3:
                    damaged.with_suffix(beside).write_bytes(mutated(other.read_bytes(), drawn))
        try:
            with limits():
                read(damaged)
        except UserError as error:
            if "\n" in str(error) or not str(error).startswith(str(damaged.with_suffix(""))):
                faults.append(f"{seed} {source.name}: {error}")
        except BaseException as error:
            faults.append(f"{seed} {source.name}: {type(error).__name__}: {error}")
            if isinstance(error, KeyboardInterrupt):
                raise
    return faults


def test_the_sound_files_are_read(tmp_path: Path) -> None:
    for path in sound_files(tmp_path):
        recording = read(path)
        assert recording.seconds > 60, path
        if recording.beats is None:
            assert np.isfinite(recording.signals["ecg"].samples).all()


def test_damaged_files_end_in_a_recording_or_in_one_line(tmp_path: Path) -> None:
    assert not try_files(tmp_path, range(FEW))


@pytest.mark.slow
def test_ten_thousand_damaged_files(tmp_path: Path) -> None:
    assert not try_files(tmp_path, range(FEW, MANY))
