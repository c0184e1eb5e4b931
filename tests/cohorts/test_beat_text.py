"""Exports of chest straps and watches, all of the same heartbeats."""

import datetime
from pathlib import Path

import numpy as np
import pytest

from sleepkd.cohorts import beats
from sleepkd.errors import UserError

drawn = np.random.default_rng(1)
RR = np.round(drawn.normal(0.95, 0.04, 1500), 3)
BEATS = np.concatenate([[0.0], np.cumsum(RR)])


def read_beat_times(path: Path) -> beats.BeatTimes:
    form = beats.beat_format(path, holds_beats=True)
    entry = beats.BEATS[form]
    return entry.read(path, entry.layout(files=(path.name,), format=form))


def read_beats(path: Path) -> np.ndarray:
    return read_beat_times(path).times


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


EXACT = {
    "one column of intervals in ms": ("rr.txt", [f"{1000 * x:.0f}" for x in RR]),
    "named intervals in s": ("rr.csv", ["rr", *(f"{x:.3f}" for x in RR)]),
    "beat times": ("beats.csv", ["time", *(f"{x:.3f}" for x in BEATS)]),
    "beat times without a name": ("beats.txt", [f"{x:.3f}" for x in BEATS]),
    "beat times in ms": ("ms.csv", ["time [ms]", *(f"{1000 * x:.0f}" for x in BEATS)]),
    "times and intervals": (
        "both.tsv",
        ["t\tRR (ms)", *(f"{b:.3f}\t{1000 * x:.0f}" for b, x in zip(BEATS[1:], RR, strict=True))],
    ),
    "unix times": ("unix.csv", ["timestamp", *(f"{1.7e9 + x:.3f}" for x in BEATS)]),
    "Polar Flow's RR file": ("polar.txt", [f"{1000 * x:.0f}" for x in RR]),
    "with comments and blank lines": ("c.txt", ["# strap", "", *(f"{1000 * x:.0f}" for x in RR)]),
}


@pytest.mark.parametrize("name", EXACT)
def test_every_export_gives_the_same_beats(name: str, tmp_path: Path) -> None:
    file, lines = EXACT[name]
    found = read_beats(written(tmp_path / file, lines))
    np.testing.assert_allclose(found, BEATS, atol=2e-3)


def test_polar_sensor_logger_sends_intervals_in_packets(tmp_path: Path) -> None:
    lines, start = ["Phone timestamp;RR-interval [ms]"], datetime.datetime(2024, 3, 1, 23, 5)
    for k in range(0, len(RR), 2):
        moment = (start + datetime.timedelta(seconds=float(BEATS[min(k + 2, len(RR))]))).isoformat(
            timespec="milliseconds"
        )
        lines += [f"{moment};{1000 * x:.0f}" for x in RR[k : k + 2]]
    path = written(tmp_path / "Polar_H10_RR.txt", lines)
    assert beats.beat_format(path) == "text"
    np.testing.assert_allclose(read_beats(path), BEATS, atol=3e-3)


def test_a_gap_stays_a_gap(tmp_path: Path) -> None:
    ends = np.where(np.arange(len(RR)) < 700, BEATS[1:], BEATS[1:] + 600)
    lines = ["time,rr", *(f"{end:.3f},{x:.3f}" for end, x in zip(ends, RR, strict=True))]
    found = read_beats(written(tmp_path / "gap.csv", lines))
    assert np.diff(found).max() == pytest.approx(600, abs=1.5)
    assert len(found) == pytest.approx(len(BEATS), abs=2)


def test_heart_rate_of_a_watch(tmp_path: Path) -> None:
    seconds = np.arange(0, 3600, 5)
    lines = ["time,heart rate [bpm]", *(f"{s},{60 + 5 * np.sin(s / 300):.1f}" for s in seconds)]
    found = read_beats(written(tmp_path / "hr.csv", lines))
    assert len(found) == pytest.approx(3600, rel=0.02)
    assert np.diff(found).min() > 0.9 and np.diff(found).max() < 1.1


@pytest.mark.parametrize("cadence_s", [1, 5, 30, 60])
@pytest.mark.parametrize("row_s", [1, 5, 60])
def test_the_cadence_of_a_rate_is_that_of_its_changes(tmp_path: Path, cadence_s: int, row_s: int) -> None:
    seconds = np.arange(0, 7200, row_s)
    rates = drawn.uniform(50, 70, 7200)[seconds // cadence_s]
    lines = ["time,hr", *(f"{s},{rate:.0f}" for s, rate in zip(seconds, rates, strict=True))]
    assert read_beat_times(written(tmp_path / "hr.csv", lines)).cadence_s == max(row_s, cadence_s)


def test_heart_rates_and_intervals_of_each_beat_have_no_cadence(tmp_path: Path) -> None:
    lines = ["time,hr", *(f"{end:.3f},{60 / rr:.1f}" for end, rr in zip(BEATS[1:], RR, strict=True))]
    assert read_beat_times(written(tmp_path / "hr.csv", lines)).cadence_s == 0
    assert read_beat_times(written(tmp_path / "rr.csv", ["rr", *(f"{rr:.3f}" for rr in RR)])).cadence_s == 0


def test_intervals_of_an_averaged_rate_have_its_cadence(tmp_path: Path) -> None:
    lines = ["rr", *(f"{rr:.3f}" for rr in np.repeat(drawn.uniform(0.8, 1.1, 100), 30))]
    assert read_beat_times(written(tmp_path / "rr.csv", lines)).cadence_s == pytest.approx(28.5, rel=0.15)


@pytest.mark.parametrize("names", [["time,hr"], []])
@pytest.mark.parametrize("cadence_s", [1, 5, 30, 60, 300])
@pytest.mark.parametrize("per_second", [1, 1000])
def test_times_of_heart_rates_in_s_or_ms(tmp_path: Path, names: list[str], cadence_s: int, per_second: int) -> None:
    lines = [*names, *(f"{1700000000 * per_second + per_second * s},60" for s in range(0, 7201, cadence_s))]
    found = read_beats(written(tmp_path / "hr.csv", lines))
    np.testing.assert_allclose(found, np.arange(7201), atol=1e-6)


@pytest.mark.parametrize(
    ("file", "lines", "message"),
    [
        ("a.csv", ["rr", "5", "6", "7"], "which is not an RR interval in s or in ms"),
        ("b.csv", ["hr", "60", "61"], "has a heart rate but no column of times"),
        ("c.csv", ["rr,note", "0.9,a", ",b", "0.8,c"], "has a blank interval and no times"),
        ("d.csv", ["colour", "1", "2"], "none of its columns is one of beats: colour"),
        ("e.csv", ["rr", "0.9", "fast"], "line 3: 'fast' is not a number"),
        ("h.csv", [], "is empty"),
        ("i.csv", ["time", "yesterday", "today"], "is not a time"),
    ],
)
def test_files_without_beats_are_rejected_with_one_line(
    file: str, lines: list[str], message: str, tmp_path: Path
) -> None:
    path = tmp_path / file
    path.write_text("\n".join(lines))
    with pytest.raises(UserError, match=message) as refused:
        read_beats(path)
    assert str(path) in str(refused.value)
