"""Tables of heartbeats as Kubios, Polar Flow, NeuroKit, BioSPPy and an Empatica E4 write them, of one recording."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from sleepkd.cohorts.beats import BEATS, BeatTimes
from sleepkd.cohorts.clock import moment_of
from sleepkd.errors import UserError

RR = np.round(np.random.default_rng(0).normal(0.9, 0.03, 900), 2)
BEATS_S = np.concatenate([[0.0], np.cumsum(RR)])
ENDS = BEATS_S[1:]
PEAKS = np.rint(100 * BEATS_S).astype(int)
FLAGS = np.isin(np.arange(PEAKS[-1] + 50), PEAKS).astype(int)


def clock(seconds: float) -> str:
    return f"{int(seconds // 3600):02d}:{int(seconds // 60 % 60):02d}:{seconds % 60:06.3f}"


def rows(*columns: object, mark: str = ",") -> list[str]:
    return [mark.join(map(str, row)) for row in zip(*columns, strict=True)]


TABLES = {
    "kubios.txt": ["Kubios HRV Standard", "", "File name:\tx.txt", "Mean RR (ms):\t900", "RR interval samples", "",
                   "Time (s)\tRR (s)", *rows(ENDS.round(3), RR, mark="\t")],
    "kubios.csv": ["Kubios HRV Scientific,,", "Measurement date,31-Jan-2024,", "SAMPLE 1,,", "Time,RR,",
                   "(hh:mm:ss),(s),", *rows(map(clock, ENDS), RR, [""] * len(RR))],
    "IBI.csv": ["1706744400.000000, IBI", *rows(ENDS.round(6), RR)],
}  # fmt: skip


def read(path: Path, lines: list[str], **stated: object) -> BeatTimes:
    path.write_text("\n".join(lines) + "\n")
    layout = BEATS["text"].layout(files=(path.name,), format="text", **stated)
    return BEATS["text"].read(path, layout)


@pytest.mark.parametrize("name", TABLES)
def test_rr_intervals_with_their_ends(name: str, tmp_path: Path) -> None:
    np.testing.assert_allclose(read(tmp_path / name, TABLES[name]).times, BEATS_S, atol=2e-3)


def test_a_session_of_polar_flow_has_its_date(tmp_path: Path) -> None:
    seconds = np.arange(900)
    lines = [
        "Name,Sport,Date,Start time,Duration", "Ann,Other,31-01-2024,23:40:00,00:15:00",
        "Sample rate,Time,HR (bpm),Speed (km/h)",
        *rows(["1", *[""] * 899], (clock(s)[:8] for s in seconds), [60] * 900, [""] * 900),
    ]  # fmt: skip
    found = read(tmp_path / "polar.csv", lines)
    np.testing.assert_allclose(np.diff(found.times), 1.0, atol=1e-6)
    assert moment_of(found.start) == datetime(2024, 1, 31, 23, 40)


def test_r_peaks_of_neurokit_and_biosppy(tmp_path: Path) -> None:
    flags = ["ECG_Raw,ECG_R_Peaks", *rows(np.zeros(len(FLAGS)), FLAGS)]
    for lines in (flags, ["ECG_R_Peaks", *map(str, FLAGS)], ["rpeaks", *map(str, PEAKS)]):
        column = lines[0].split(",")[-1]
        found = read(tmp_path / "peaks.csv", lines, column=column, rate_hz=100.0)
        np.testing.assert_allclose(found.times, BEATS_S, atol=1e-6)
    with pytest.raises(UserError, match=r"peaks\.csv: column ECG_R_Peaks is 1 at each beat and else 0: give --fs"):
        read(tmp_path / "peaks.csv", flags, column="ECG_R_Peaks")
