"""Recordings with belts, pulse and movement beside their ECG: what is stored, left out and said."""

import numpy as np
import pytest

from sleepkd.data.recording_info import MISSING
from sleepkd.data.store import Store
from sleepkd.errors import UserError
from tests.cohorts.raw import DREAMS, channel, heartbeats, write_psg
from tests.cohorts.test_pulse import pulses
from tests.cohorts.test_recording import prepared

SLEEP_ACCEL = DREAMS.parent / "sleep_accel"
SECONDS, RATE = 660, 100
T = np.arange(SECONDS * 20) / 20
ECG = channel("ECG", heartbeats(SECONDS, RATE, 0), RATE, "mV")
BELT = channel("Thor", np.sin(2 * np.pi * T / 4), 20, "V")
SPO2 = np.where((T[::20] > 300) & (T[::20] < 360), 0, 96 + np.round(np.sin(T[::20] / 20)))
SIGNALS = {
    "ecg": [{"plus": "ECG"}],
    "thorax": [{"plus": "Thor"}],
    "abdomen": [{"plus": "Abdo"}],
    "spo2": [{"plus": "SpO2"}],
}


def test_requested_signals_are_stored_and_what_is_absent_or_off_is_said(tmp_path):
    off = channel("Abdo", np.zeros(SECONDS * 20), 20, "V")
    write_psg(tmp_path / "raw" / "r.edf", [ECG, BELT, off, channel("SpO2", SPO2, 1, "%")])
    settings = {"files": r"(?P<recording>r)\.edf", "signals": SIGNALS | {"airflow": [{"plus": "Flow"}]}}
    night = prepared(tmp_path / "raw", "--signals", "thorax", "abdomen", "airflow", "spo2", **settings)
    info = night.info.signals
    assert set(info) == {"ecg", "thorax", "spo2"} and night.info.beats is not None
    assert (info["thorax"].rate_hz, info["spo2"].rate_hz, info["spo2"].unit) == (10, 1, "%")
    assert info["spo2"].missing_s == pytest.approx(60, abs=1)
    assert (night.signal("spo2")[302:359] == MISSING).all()
    np.testing.assert_allclose(night.signal_quality("spo2")[[9, 10, 11]], [1, 0, 0], atol=0.04)
    summary = (tmp_path / "store" / "summary.tsv").read_text()
    assert "without abdomen belt, airflow" in summary
    assert "WARNING: without abdomen belt: " in summary and "Abdo has no value" in summary
    assert "SpO2 SpO2 (missing for 1.0 min)" in summary


def test_without_a_request_nothing_of_them_is_read(tmp_path):
    write_psg(tmp_path / "raw" / "r.edf", [ECG, BELT])
    night = prepared(tmp_path / "raw", files=r"(?P<recording>r)\.edf", signals=SIGNALS)
    assert set(night.info.signals) == {"ecg"} and "without" not in night.info.note.split("without labels")[0]


def test_heartbeats_are_of_the_ecg_or_else_of_the_ppg(tmp_path):
    pytest.importorskip("neurokit2")
    beats = np.cumsum(np.random.default_rng(0).normal(0.8, 0.03, 800))
    ppg = channel("Pleth", pulses(beats, SECONDS, 64), 64, "")
    signals = {"ecg": [{"plus": "ECG"}], "ppg": [{"plus": "Pleth"}]}
    settings = {"files": r"(?P<recording>r)\.edf", "signals": signals, "pulse_beats": True}
    for name, channels in (("both", [ECG, ppg]), ("pulse", [ppg])):
        write_psg(tmp_path / name / "raw" / "r.edf", channels)
        night = prepared(tmp_path / name / "raw", **settings)
        assert set(night.info.signals) == ({"ecg"} if name == "both" else set())
        assert night.info.beats.median_s == pytest.approx(1.0 if name == "both" else 0.8, abs=0.01)
        assert night.info.beats.source == ("sleepecg" if name == "both" else "neurokit2, PPG")


def test_movement_is_placed_by_the_clock_of_the_recording(tmp_path):
    """The recording begins at 22:30:00, the counts at 22:29:30; its third count, of 22:30:30, is 8."""
    write_psg(tmp_path / "raw" / "r.edf", [ECG])
    moments = ("22:29:30,1", "22:30:00,0", "22:30:30,8", "22:31:30,0")
    rows = "\n".join(["time,count", *(f"2003-11-17 {moment}" for moment in moments)])
    (tmp_path / "raw" / "r.counts.csv").write_text(rows)
    sensor = {"motion": {"format": "counts", "files": ["{recording}.counts.csv"]}}
    settings = {"files": r"(?P<recording>r)\.edf", "signals": {"ecg": [{"plus": "ECG"}]}, "sensor_files": sensor}
    night = prepared(tmp_path / "raw", "--signals", "motion", **settings)
    info = night.info.signals["motion"]
    stored = night.signal("motion")
    assert len(stored) == SECONDS / 5
    expected = [0] * 6 + [8] * 6 + [np.nan] * 6 + [0] * 6 + [np.nan] * (len(stored) - 24)
    np.testing.assert_allclose(
        np.where(stored == MISSING, np.nan, stored * info.scale + info.offset), expected, atol=0.01
    )
    assert info.mean == pytest.approx(8 / 3)


def test_a_damaged_sensor_file_costs_the_sensor_alone(tmp_path):
    write_psg(tmp_path / "raw" / "r.edf", [ECG])
    (tmp_path / "raw" / "r.counts.csv").write_text("time,count\n")
    sensor = {"motion": {"format": "counts", "files": ["{recording}.counts.csv"]}}
    settings = {"files": r"(?P<recording>r)\.edf", "signals": {"ecg": [{"plus": "ECG"}]}, "sensor_files": sensor}
    night = prepared(tmp_path / "raw", "--signals", "motion", **settings)
    assert set(night.info.signals) == {"ecg"}
    assert "WARNING: without movement: " in night.info.note and "holds no rows" in night.info.note


def test_movement_may_be_a_channel_of_the_recording(tmp_path):
    """A count every 10 s, of which the third is 6: the mean of two intervals of 5 s each."""
    counts = np.zeros(SECONDS // 10)
    counts[2] = 6
    write_psg(tmp_path / "raw" / "r.edf", [ECG, channel("Activity", counts, 0.1, "")], record_seconds=10)
    signals = {"ecg": [{"plus": "ECG"}], "motion": [{"plus": "Activity"}]}
    night = prepared(tmp_path / "raw", "--signals", "motion", files=r"(?P<recording>r)\.edf", signals=signals)
    info = night.info.signals["motion"]
    found = night.signal("motion") * info.scale + info.offset
    np.testing.assert_allclose(found[:8], [0, 0, 0, 0, 6, 6, 0, 0], atol=1e-3)
    assert "has no unit" not in night.info.note


def test_movement_alone_makes_a_recording(tmp_path):
    (tmp_path / "raw").mkdir()
    rows = "\n".join(["time,count", *(f"{30 * k},{k % 3}" for k in range(20))])
    (tmp_path / "raw" / "r_counts.csv").write_text(rows)
    sensor = {"motion": {"format": "counts", "files": ["{recording}_counts.csv"]}}
    settings = {"files": r"(?P<recording>r)_counts\.csv", "format": "none", "sensor_files": sensor}
    night = prepared(tmp_path / "raw", "--signals", "motion", **settings)
    assert (night.info.seconds, night.info.beats, len(night.hypnogram)) == (600, None, 20)
    prepared(tmp_path / "raw", "--signals", "motion", "--no-beats", "--overwrite", **settings)


def test_nothing_requested_and_nothing_else_is_an_error(tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "r_counts.csv").write_text("time,count\n0,1\n30,1\n")
    sensor = {"motion": {"format": "counts", "files": ["{recording}_counts.csv"]}}
    settings = {"files": r"(?P<recording>r)_counts\.csv", "format": "none", "sensor_files": sensor}
    with pytest.raises(UserError):
        prepared(tmp_path / "raw", code=2, **settings)
    assert "nothing is stored; name signals: --signals motion" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sensor_files": {"spo2": {"format": "counts"}}},
            "sensor_files.spo2: is not a kind that files",
        ),
        ({"sensor_files": {"motion": {"files": ["x"]}}}, r"sensor_files.motion.format: must be one of counts, accel"),
        ({"sensor_files": {"motion": {"format": "counts", "files": ["{x}"]}}}, "sensor_files.motion.files .*no group"),
        ({"sensor_files": {"motion": {"format": "counts", "files": ["x"], "z": "z"}}}, "sensor_files.motion.z"),
        ({"pulse_beats": True}, "pulse_beats: needs a derivation of signals.ppg"),
    ],
)
def test_errors_in_the_yaml_name_the_key(tmp_path, changes, message):
    settings = {"files": r"(?P<recording>r)\.edf", "signals": {"ecg": [{"plus": "ECG"}]}}
    with pytest.raises(UserError, match=message):
        prepared(tmp_path / "raw", **settings | changes)


@pytest.mark.skipif(not SLEEP_ACCEL.is_dir(), reason="the real nights (shared/data) are not here")
def test_real_counts_are_higher_awake_than_in_deep_sleep(tmp_path):
    from sleepkd import prepare

    raw = tmp_path / "raw"
    for name in ("3509524", "5132496", "8258170"):
        for file in SLEEP_ACCEL.glob(f"*/{name}_*"):
            (raw / file.parent.name).mkdir(parents=True, exist_ok=True)
            (raw / file.parent.name / file.name).symlink_to(file.resolve())
    arguments = ["--dataset", "sleep_accel", "--raw", raw, "--out", tmp_path / "store", "--signals", "motion"]
    assert prepare.main([str(argument) for argument in arguments]) == 0
    awake, deep = [], []
    for name in Store(tmp_path / "store").recordings:
        night = Store(tmp_path / "store").open(name)
        info, stored = night.info.signals["motion"], night.signal("motion")
        counts = np.where(stored == MISSING, np.nan, stored * info.scale + info.offset)
        at = np.rint(night.hypnogram.onset_s / 5).astype(int)
        per_epoch = np.array([counts[k : k + 6].mean() for k in at if k + 6 <= len(counts)])
        labels = night.hypnogram.labels[: len(per_epoch)]
        awake.append(np.nanmean(per_epoch[labels == 0]))
        deep.append(np.nanmean(per_epoch[labels == 3]))
    assert np.mean(awake) > 3 * np.mean(deep)
