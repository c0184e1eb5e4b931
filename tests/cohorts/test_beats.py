"""Heartbeats of files, and R peaks detected in an ECG."""

from pathlib import Path

import numpy as np
import pytest
import wfdb

from sleepkd.cohorts.beats import BEATS, BeatLayout
from sleepkd.cohorts.beats.beat_table import BeatTableLayout, read_beat_table
from sleepkd.cohorts.ecg.detect import detect_beats
from sleepkd.data.beats import median_interval
from sleepkd.errors import UserError
from tests.cohorts.raw import heartbeats

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # of wfdb

TEXT = BeatTableLayout(("{recording}.txt",), "table")
WFDB = BeatLayout(("{recording}.ecg",), "wfdb")


def ecg_file(tmp_path, samples, symbols, fs=250) -> Path:
    wfdb.wrann("r", "ecg", np.array(samples), list(symbols), fs=fs, write_dir=str(tmp_path))
    return tmp_path / "r.ecg"


def test_only_beat_annotations_of_a_wfdb_file_are_beats(tmp_path):
    symbols = "NVALSQx+~|Np"
    path = ecg_file(tmp_path, 100 * np.arange(1, 13), symbols)
    found = BEATS["wfdb"].read(path, WFDB).times
    np.testing.assert_allclose(found, np.array([1, 2, 3, 4, 5, 6, 11]) * 100 / 250)
    assert found.dtype == np.float64


def test_a_wfdb_file_without_beats_is_rejected(tmp_path):
    with pytest.raises(UserError, match=r"r\.ecg: holds no beat"):
        BEATS["wfdb"].read(ecg_file(tmp_path, [1, 2], "+~"), WFDB)


def test_one_beat_time_per_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\ufeff# s\n1.25\n\n0.5 # first\n 2 \n1.25\n", encoding="utf-8")
    np.testing.assert_array_equal(BEATS["table"].read(path, TEXT).times, [0.5, 1.25, 2.0])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_beat_times_in_a_column(tmp_path, delimiter):
    path = tmp_path / "a.csv"
    rows = [("RPoint", " seconds "), ("12", "0.5"), ("40", "1.5"), ("41", "")]
    path.write_text("\n".join(delimiter.join(row) for row in rows))
    layout = BeatTableLayout(("a.csv",), "table", column="seconds", delimiter=delimiter)
    np.testing.assert_array_equal(read_beat_table(path, layout).times, [0.5, 1.5])


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("0.5\nnoon\n", "", "line 2: 'noon' is not a number"),
        ("s\n0.5\nnoon\n", "s", "line 3: 'noon' is not a number"),
        ("s,t\n0.5,1\n", "seconds", "has no column seconds; it has s, t"),
        ("", "s", "is empty"),
        ("# nothing\n", "", "holds no beat"),
        ("0.5\ninf\n", "", "line 2: 'inf' is not a number"),
        (b"0\x00\x01", "", "is not text"),
        (None, "", "cannot be read: No such file"),
    ],
)
def test_errors_in_a_table_of_beats_name_the_line(tmp_path, text, column, message):
    path = tmp_path / "a.txt"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=rf"a\.txt: {message}"):
        read_beat_table(path, BeatTableLayout(("a.txt",), "table", column=column))


# --- beats of an ECG ---

SECONDS = 1200


def truth() -> np.ndarray:
    """The beats of `heartbeats`."""
    beats = np.cumsum(np.random.default_rng(0).normal(1.0, 0.05, int(2 * SECONDS)))
    return beats[beats < SECONDS - 1]


def ecg(rate_hz: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(scale=0.03, size=round(SECONDS * rate_hz))
    return heartbeats(SECONDS, rate_hz, 0) + noise


def missed(beats: np.ndarray, found: np.ndarray, within_s: float) -> float:
    """The share of beats without a detected one near them."""
    nearest = np.searchsorted(found, beats)[:, None] + np.array([-1, 0])
    return float(np.mean(np.abs(found[nearest.clip(0, len(found) - 1)] - beats[:, None]).min(axis=1) > within_s))


@pytest.mark.parametrize("polarity", [1, -1])
@pytest.mark.parametrize("rate_hz", [50, 64, 200, 255.5, 512])
def test_every_r_peak_is_detected_at_its_time(rate_hz, polarity):
    found = detect_beats(polarity * ecg(rate_hz), rate_hz, polarity)
    assert missed(truth(), found, within_s=0.008) < 0.003
    assert len(found) - len(truth()) <= 5  # at its ends, above all
    assert np.all(np.diff(found) > 0.3)  # none twice where two blocks meet
    assert median_interval(found) == pytest.approx(1.0, abs=0.02)


def test_a_wrong_polarity_moves_the_detected_peaks():
    found = detect_beats(-ecg(200), 200, 1)
    assert missed(truth(), found, within_s=0.02) > 0.9


@pytest.mark.parametrize("kind", ["flat", "hum", "noise"])
def test_beats_after_a_lost_electrode_are_detected(kind):
    x, rate_hz = ecg(200), 200
    n = 600 * rate_hz
    hum = 100 * np.sin(2 * np.pi * 50 * np.arange(n) / rate_hz + 0.3)
    x[:n] = {"flat": np.full(n, 5.0), "hum": hum, "noise": np.random.default_rng(3).normal(scale=10, size=n)}[kind]
    after = truth()[truth() > 900]
    assert missed(after, detect_beats(x, rate_hz, 1), within_s=0.008) < 0.003


def test_a_constant_ecg_has_no_beats_and_a_slow_one_is_refused():
    assert len(detect_beats(np.full(10_000, 3.0), 200, 1)) == 0
    with pytest.raises(ValueError, match="25 Hz is too slow for R peaks"):
        detect_beats(np.zeros(1000), 25, 1)
