"""A store of the version before, mended from its own signals."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from sleepkd import prepare
from sleepkd.cohorts import mend as room
from sleepkd.data.store import Store
from sleepkd.errors import UserError
from tests.data.stored import as_format_1


@pytest.fixture
def old(store: Path, tmp_path: Path) -> Path:
    """The tests' cohort, as the version before would have prepared it."""
    shutil.copytree(store, tmp_path / "old")
    for path in (tmp_path / "old").glob("recordings/*/beat*.npy"):
        path.unlink()
    as_format_1(tmp_path / "old")
    return tmp_path / "old"


def kept(store: Path) -> dict[str, tuple[bytes, int]]:
    """What mending must not touch."""
    files = (*store.glob("recordings/*/e*.npy"), *store.glob("recordings/*/*.tsv"), *store.glob("splits/*/*"))
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in (*files, store / "summary.tsv")}


def test_a_mended_store_is_the_one_that_would_be_prepared_today(store, old, capsys):
    before = kept(old)
    assert prepare.main(["--mend", str(old)]) == 0
    assert kept(old) == before
    mended, today = Store(old), Store(store)
    for name in today.recordings:
        a, b = mended.open(name), today.open(name)
        for signal, info in b.info.signals.items():
            found = a.info.signals[signal]
            assert (found.scored_median, found.scored_iqr) == (info.scored_median, info.scored_iqr)
            assert (found.median, found.iqr) == pytest.approx((info.median, info.iqr), abs=info.scale)
        # Found at 64 Hz, the store's rate, and not at the recorded 256.
        assert a.info.beats.median_s == pytest.approx(b.info.beats.median_s, abs=1 / 64)
        assert a.info.beats.count == pytest.approx(b.info.beats.count, rel=0.02)
        assert len(a.beat_quality()) == len(a.hypnogram)
    assert (old / "store.json").read_text() == (store / "store.json").read_text()
    table = (old / "mended.tsv").read_text()
    assert table.count("\tmended\tstatistics without labels; ") == 6 and "beats (sleepecg)" in table
    assert "6 mended, 0 kept from before, 0 skipped" in capsys.readouterr().out

    stamps = {path: path.stat().st_mtime_ns for path in old.glob("recordings/*/*")}
    assert prepare.main(["--mend", str(old)]) == 0
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert "0 mended, 6 kept from before" in capsys.readouterr().out


def test_statistics_alone(old):
    assert prepare.main(["--mend", str(old), "--no-beats"]) == 0
    store = Store(old)
    assert all(store.info(name).beats is None for name in store.recordings)
    assert all(store.info(name).signals["ecg"].iqr > 0 for name in store.recordings)
    assert prepare.main(["--mend", str(old)]) == 0  # and beats later
    assert all(store.info(name).beats.count > 1000 for name in store.recordings)


def test_mending_can_be_interrupted_and_run_again(old, monkeypatch):
    add, done = room.add_to_recording, []

    def stops(folder, *more):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(folder.name)
        add(folder, *more)

    monkeypatch.setattr(room, "add_to_recording", stops)
    with pytest.raises(KeyboardInterrupt):
        prepare.main(["--mend", str(old)])
    monkeypatch.undo()
    assert '"format": 1' in (old / "store.json").read_text()
    whole = {name: (old / "recordings" / name / "recording.json").stat().st_mtime_ns for name in done}
    assert prepare.main(["--mend", str(old), "--jobs", "2"]) == 0
    assert {name: (old / "recordings" / name / "recording.json").stat().st_mtime_ns for name in done} == whole
    assert '"format": 2' in (old / "store.json").read_text()
    assert all(Store(old).info(name).signals["eeg"].iqr > 0 for name in Store(old).recordings)


def test_a_store_is_not_whole_before_all_of_it_is(old, capsys):
    path = old / "recordings" / "01-03-0001" / "ecg.npy"
    path.write_bytes(path.read_bytes()[:1000])
    assert prepare.main(["--mend", str(old)]) == 2
    assert '"format": 1' in (old / "store.json").read_text()
    told = capsys.readouterr().out
    assert "skipped 01-03-0001: " in told and "ecg.npy: cannot be read" in told and "5 mended" in told
    shutil.rmtree(path.parent)
    assert prepare.main(["--mend", str(old)]) == 0


def test_a_store_of_the_version_before_is_refused_with_the_command_that_mends_it(cohort, old):
    arguments = ["--dataset", "mass", "--raw", str(cohort), "--out", str(old), "--rate", "64"]
    with pytest.raises(UserError, match=f"old: was prepared by .*: python -m sleepkd.prepare --mend {old}"):
        prepare.main(arguments)
    assert prepare.main(["--mend", str(old)]) == 0
    assert prepare.main(arguments) == 0


def test_what_cannot_be_mended(tmp_path, cohort):
    with pytest.raises(UserError, match="none: no such store"):
        prepare.main(["--mend", str(tmp_path / "none")])
    for more in (["--dataset", "mass"], ["--raw", str(cohort)], ["--out", str(tmp_path)]):
        with pytest.raises(UserError, match="--mend and --describe go without --dataset, --raw and --out"):
            prepare.main(["--mend", str(tmp_path), *more])


def test_beats_are_detected_in_the_stored_signal(old):
    """Upside down or not: R waves lie where the beats say."""
    prepare.main(["--mend", str(old)])
    store = Store(old)
    for name in store.recordings:
        night = store.open(name)
        info = night.info.signals["ecg"]
        upright = info.polarity * (night.signal("ecg") * info.scale + info.offset - info.median)
        near = np.rint(night.beats() * info.rate_hz).astype(int)
        assert np.median(upright[near]) > 3 * info.iqr
