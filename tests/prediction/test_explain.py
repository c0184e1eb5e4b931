"""sleepkd predict --explain: what a file was taken for, and nothing staged."""

from pathlib import Path

import numpy as np
import pytest

from sleepkd import predict
from sleepkd.prediction.recorded import ReadingOptions, read_file
from tests.cohorts.beats.given import MS, UNIX, rows


def test_columns_and_date_are_printed_and_nothing_is_staged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad, ecg = tmp_path / "strap.csv", tmp_path / "bad.csv", tmp_path / "ecg.csv"
    ends = np.cumsum(MS) / 1000
    good.write_text(rows("timestamp,rr,note", [f"{1000 * (UNIX + x):.0f}" for x in ends], MS, ["a"] * len(MS)))
    bad.write_text("rr\n5\n6\n")
    ecg.write_text(rows("time,ecg", np.arange(2000) / 100, np.sin(np.arange(2000))))
    assert predict.main([str(good), str(ecg), "--explain"]) == 0
    printed = capsys.readouterr().out
    for line in (
        f"{good}:",
        "  column timestamp: time when the intervals of a row had ended: unix time, ms",
        "  column rr: RR intervals, ms",
        "  column note: not read",
        "  input: heartbeats",
        "  gaps: none",
        "  start: 2024-01-31 23:50:00 UTC",
        f"{ecg}:",
        "  signal: ecg, taken for ecg, 100 Hz, arbitrary",
        "  start: not stated",
    ):
        assert line in printed.splitlines(), line
    assert predict.main([str(good), str(bad), "--explain", "--out", str(tmp_path / "out")]) == 1
    assert predict.main([str(bad), "--explain"]) == 2
    assert f"error: {bad}: its intervals have a median of 5.5" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        predict.main([str(good)])
    assert "required: --out" in capsys.readouterr().err


def test_the_start_and_the_notes_travel_with_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "strap.csv"
    ends = np.cumsum(MS)[::-1] / 1000
    path.write_text(rows("timestamp,rr", [f"{UNIX + x:.3f}" for x in ends], MS[::-1]))
    recording = read_file(path, {"beats": predict.load_model(None).trained.inputs["beats"]}, ReadingOptions())
    assert recording.start is not None and recording.start.date.isoformat() == "2024-01-31"
    assert recording.remarks == ("rows are in descending time",) == recording.beat_report.notes
