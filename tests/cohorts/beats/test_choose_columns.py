"""Tables of watches and straps: which columns are read, and that no column and no option is ignored."""

import gzip
from datetime import date, time
from pathlib import Path

import numpy as np
import pytest

from sleepkd.cohorts.beats import beat_format
from sleepkd.cohorts.clock import Start
from sleepkd.errors import UserError
from tests.cohorts.beats.given import BEATS, ENDS, EVENING, MS, UNIX, read, rows, same_beats, stamps

SECONDS = np.arange(900)
RATES = np.random.default_rng(5).integers(55, 66, 900)
POLAR = "Phone timestamp;RR-interval [ms]"


def per_second(count: int, filler: str) -> list[list[str]]:
    """The RR intervals, ms, that end in each second, in so many columns."""
    found: list[list[str]] = [[] for _ in range(int(ENDS[-1]) + 1)]
    for end, interval in zip(ENDS, MS, strict=True):
        found[int(end)].append(str(interval))
    return [[(row + [filler] * count)[k] for row in found] for k in range(count)]


def commas(values: np.ndarray) -> list[str]:
    return [f"{value:.3f}".replace(".", ",") for value in values]


SPELLINGS = {
    "decimal commas": rows("time;rr", commas(ENDS), commas(MS / 1000), sep=";"),
    "decimal commas in quotes": rows(
        "time,rr", *([f'"{x}"' for x in column] for column in (commas(ENDS), commas(MS / 1000)))
    ),
    "a row of units": rows("time,rr\ns,ms", ENDS, MS),
    "sep=": rows("sep=;\ntime;rr", ENDS, MS, sep=";"),
    "tabs at the end": rows("time\trr\t", ENDS, MS, [""] * len(MS), sep="\t"),
    "white space": rows("time rr", ENDS, MS, sep="   "),
    "Garmin": rows("timestamp,heart_rate,rr1,rr2", UNIX + 1 + np.arange(int(ENDS[-1]) + 1),
                   [60] * (int(ENDS[-1]) + 1), *per_second(2, "")),
    "FIT": rows("rr1,rr2,rr3,rr4,rr5", *per_second(5, "65535")),
    "lists in cells": rows("time,rr", ENDS[1::2], [f"{a}|{b}" for a, b in zip(MS[::2], MS[1::2], strict=True)]),
    "PP intervals": rows("Phone timestamp;HR [bpm];PP-interval [ms];error estimate [ms];blocker", stamps(ENDS),
                         (60000 / MS).round(), MS, [10] * len(MS), [0] * len(MS), sep=";"),
    "HRV Logger": rows("date,timestamp,rr,since start", stamps(ENDS, "%Y-%m-%d %H:%M:%S +0100"),
                       (UNIX - 3600 + ENDS).astype(int), MS, (1000 * ENDS).round()),
    "date and time of day apart": rows("date,time,rr", stamps(ENDS, "%d.%m.%Y"), stamps(ENDS, "%H:%M:%S.%f"), MS),
    "white space before an offset": rows("timestamp,rr", stamps(ENDS, "%Y-%m-%d %H:%M:%S.%f +0000"), MS),
    "Empatica E4": rows("1706745000.000000, IBI", ENDS.round(6), MS / 1000),
    "Empatica E4 without a header": rows("", ENDS.round(6), MS / 1000),
    "comments": "# strap\n% of Ann\n\n" + rows("time,rr", ENDS, MS) + "# end\n",
    "titles above and text below": "Device: H10\nFirmware,1.2\n\n" + rows("time,rr", ENDS, MS) + "End of file\n",
    "days of a spreadsheet": rows("time,rr", [f"{45322.98 + x / 86400:.9f}" for x in ENDS], MS),
    "minutes": rows("time (min),rr", [f"{x / 60:.6f}" for x in ENDS], MS),
    "newest first": rows(POLAR, stamps(ENDS[::-1]), MS[::-1], sep=";"),
    "beats sent twice": rows(POLAR, np.repeat(stamps(ENDS), 2), np.repeat(MS, 2), sep=";"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_one_night_in_many_spellings(name: str, tmp_path: Path) -> None:
    same_beats(read(tmp_path, SPELLINGS[name]))
    assert beat_format(tmp_path / "night.csv") == "text"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "gzip"])
def test_encodings_and_gzip(encoding: str, tmp_path: Path) -> None:
    text = rows("time,rr", ENDS, MS)
    content = gzip.compress(text.encode()) if encoding == "gzip" else text.encode(encoding)
    for name in ("night.csv", "night.csv.gz", "night.txt.gz"):
        same_beats(read(tmp_path, content, name))
        assert beat_format(tmp_path / name) == "text"
    with pytest.raises(UserError, match="is a damaged gzip file"):
        read(tmp_path, gzip.compress(text.encode())[:-20])


def test_the_report_says_what_each_column_was_taken_for(tmp_path: Path) -> None:
    kept = (ENDS < 300) | (ENDS > 420)
    content = rows("Phone timestamp;RR-interval [ms];note", stamps(ENDS[kept]), MS[kept], ["a"] * kept.sum(), sep=";")
    found = read(tmp_path, content)
    gap = np.diff(found.times).max()
    assert gap == pytest.approx(120, abs=1)
    assert found.start == Start(date(2024, 1, 31), EVENING.time())
    assert found.report.lines() == [
        f"table: {kept.sum()} rows, semicolons, line 1 names the columns",
        "column Phone timestamp: time when the intervals of a row had ended: date and time, no zone",
        "column RR-interval [ms]: RR intervals, ms",
        "column note: not read",
        "input: heartbeats",
        f"beats: {len(found.times)}, from 0 s to {found.times[-1]:.6g} s ({found.times[-1] / 3600:.2f} h)",
        f"gaps: 1, {gap:.6g} s in all, the longest {gap:.6g} s",
        "start: 2024-01-31 23:50:00",
    ]


def test_sample_numbers_need_the_sampling_rate(tmp_path: Path) -> None:
    for hz in (250.0, 500.0):
        peaks = rows("", np.rint(hz * (BEATS + 10)).astype(int))
        same_beats(read(tmp_path, peaks, rate_hz=hz), atol=1 / hz)
        with pytest.raises(UserError, match="give --fs for sample numbers"):
            read(tmp_path, peaks)
        same_beats(read(tmp_path, rows("rpeak", np.rint(hz * BEATS).astype(int)), rate_hz=hz), atol=1 / hz)
    rate = read(tmp_path, rows("hr", RATES), rate_hz=1.0)
    assert rate.cadence_s == 1 and len(rate.times) == pytest.approx(900, rel=0.02)
    for content, message in (
        (rows("rr_ms", MS), "its RR intervals are in ms, not in samples; leave out --fs"),
        (rows("time,hr", SECONDS, RATES), "its heart rates have times; leave out --fs"),
        (rows("time", stamps(BEATS)), "its beat times are dates, not sample numbers; leave out --fs"),
    ):
        with pytest.raises(UserError, match=f"--fs 250: {message}"):
            read(tmp_path, content, rate_hz=250.0)


def test_a_named_column_is_the_one_that_is_read(tmp_path: Path) -> None:
    content = rows("time,HR,RR,SpO2", SECONDS, RATES, [15] * 900, [97] * 900)
    of_rate = read(tmp_path, content)
    np.testing.assert_array_equal(of_rate.times, read(tmp_path, content, column="hr").times)
    assert "column RR: breaths per minute, not read" in of_rate.report.lines()
    with pytest.raises(UserError, match="median of 15, which is not an RR interval"):
        read(tmp_path, content, column="RR")
    with pytest.raises(UserError, match="has no column pulse; it has time, HR, RR, SpO2"):
        read(tmp_path, content, column="pulse")
    path = tmp_path / "both.csv"
    path.write_text(rows("time,ecg,hr", SECONDS / 100, RATES, RATES))
    assert beat_format(path, column="ecg") is None and beat_format(path, column="hr") == "text"


def test_numbers_without_names(tmp_path: Path) -> None:
    for sep in (",", "\t", " ", ";"):
        found = read(tmp_path, rows("", (SECONDS - 1838.3175).round(4), RATES, sep=sep), "7749105.txt")
        assert found.cadence_s == 1 and found.times[-1] == pytest.approx(899, abs=1.1)
        assert beat_format(tmp_path / "7749105.txt") == "text"
    one = rows("", MS)
    (tmp_path / "numbers.txt").write_text(one)
    with pytest.raises(UserError, match=r"--beats for RR intervals or beat times, --fs HZ for the samples of an ECG"):
        beat_format(tmp_path / "numbers.txt")
    assert beat_format(tmp_path / "numbers.txt", holds_beats=True) == "text"
    assert beat_format(tmp_path / "numbers.txt", rate_hz=250.0) is None
    (tmp_path / "ecg.csv").write_text(rows("", SECONDS / 250, RATES))
    assert beat_format(tmp_path / "ecg.csv") is None  # samples, not rates


def test_rates_with_a_start(tmp_path: Path) -> None:
    above = "Name,Sport,Date,Start time\nAnn,Other,31-01-2024,23:50:00\nSample rate,Time,HR (bpm)\n"
    elapsed = [f"00:{s // 60:02d}:{s % 60:02d}" for s in SECONDS]
    flow = read(tmp_path, above + rows("", [""] * 900, elapsed, RATES))
    empatica = read(tmp_path, rows(f"{UNIX}.000000\n1.000000", RATES))
    assert (flow.start, flow.cadence_s) == (Start(date(2024, 1, 31), time(23, 50)), 1)
    assert (empatica.start, empatica.cadence_s) == (Start(date(2024, 1, 31), time(23, 50), zone="UTC"), 1)
    np.testing.assert_allclose(flow.times, empatica.times)


def test_fillers_and_missing_values(tmp_path: Path) -> None:
    same_beats(read(tmp_path, rows("rr", np.insert(MS, [100, 200], [0, 65535]))))
    na = ["NA" if k % 100 == 7 else f"{x}" for k, x in enumerate(MS)]
    same_beats(read(tmp_path, rows("time,rr", ENDS, na)))
    null = ["null" if k == 7 else str(x) for k, x in enumerate(RATES)]
    assert len(read(tmp_path, rows("time,hr", SECONDS, null)).times) == pytest.approx(900, rel=0.02)
    strange = np.where(SECONDS % 300 == 200, 65535, RATES)
    found = read(tmp_path, rows("time,hr", SECONDS, strange))
    assert len(found.times) < 1000 and "3 heart rates outside" in found.report.notes[0]


REFUSED = {
    "people": (rows("subject,time,rr", ["A", "B"] * 600, ENDS, MS), "holds 2 people .column subject: A, B."),
    "sources": (rows("time,source,hr", SECONDS, ["a", "b", "b"] * 300, RATES), "holds 2 sources .column source: a, b."),
    "kinds of value": (rows("metric,time,value", ["hr", "spo2"] * 450, SECONDS, RATES), "holds 2 sources"),
    "columns of two people": (rows("time,hr_a,hr_b", SECONDS, RATES, RATES + 15), "several columns of heart rates"),
    "two rates at a time": (rows("time,hr", np.repeat(SECONDS, 2), [60, 75] * 900), "two heart rates at most times"),
    "unix ms as s": (
        rows("time_s,hr", 1000 * (UNIX + 32 * SECONDS), RATES),
        r"last time are 7991.11 h apart, more than 14 days: are they in another unit than s\?",
    ),
    "a row at 0": (rows("time,hr", [0, *(UNIX + SECONDS)], [60, *RATES]), "474.* h apart, more than 14 days"),
    "coarse": (rows("time,hr", 1200 * SECONDS[:60], RATES[:60]), "20 min apart .median., too far apart"),
    "a blank interval": (rows("rr", [*MS[:5], "NA", *MS]), "line 7: has a blank interval"),
    "names alone": ("time,rr\n", "has no row below the names of its columns .time, rr."),
    "text among numbers": (rows("time,rr", ENDS[:4], [900, "late", 910, 905]), "line 3: 'late' is not a number"),
    "several kinds of interval": (rows("rr_left,rr_right", MS, MS * 1.3), "--column names the one to read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, tmp_path: Path) -> None:
    content, message = REFUSED[name]
    with pytest.raises(UserError, match=message) as refused:
        read(tmp_path, content)
    assert "\n" not in str(refused.value) and str(tmp_path / "night.csv") in str(refused.value)
