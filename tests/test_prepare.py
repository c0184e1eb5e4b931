"""From EDF files to a store: the times of labels, the stored signals, and a second run."""

import csv
import os
import re
import shutil
from datetime import timedelta
from pathlib import Path
from signal import SIGKILL

import numpy as np
import pytest

from sleepkd.cohorts import batch
from sleepkd.cohorts.find import RecordingFiles
from sleepkd.cohorts.ingest import PrepareOptions
from sleepkd.data.splits import read_split
from sleepkd.data.store import Night, Store
from tests.cohorts.mass import SECONDS, files_below, night, noise, run, sleep_epochs, summary, two_nights
from tests.cohorts.raw import DREAMS, START, heartbeats, needs_dreams

# --- events at the onsets of labels ---


def with_pulses(instants: list[float], rate_hz: float, sign: int = 1) -> np.ndarray:
    """Noise of 10 with a narrow pulse of 2000 at each instant, also between two samples."""
    x = noise(SECONDS, rate_hz)
    t = np.arange(len(x)) / rate_hz
    for instant in instants:
        x += sign * 2000 * np.exp(-(((t - instant) / 0.008) ** 2) / 2)
    return x


def centre_of_pulse(x: np.ndarray, about: float) -> float:
    """The centre of gravity of a pulse near a sample number."""
    k = np.arange(max(0, round(about) - 8), min(len(x), round(about) + 9))
    weight = np.where(np.abs(x[k]) > 0.05 * np.abs(x[k]).max(), np.abs(x[k]), 0)
    return float(np.sum(k * weight) / np.sum(weight))


@pytest.mark.parametrize("shift_s", [0.0, 7.0, -2.0])
@pytest.mark.parametrize(("first", "standard"), [(3.2415, "aasm"), (0.0617, "aasm"), (8.9039, "rk")])
@pytest.mark.parametrize("rate_hz", [256, 512, 255.5])
def test_an_event_at_an_onset_is_stored_within_a_tenth_of_a_sample(tmp_path, rate_hz, first, standard, shift_s):
    """The scoring file starts `shift_s` after the signals, so its onsets count from there."""
    name, seconds = {"aasm": ("01-03-0001", 30.0), "rk": ("01-05-0001", 20.0)}[standard]
    annotations = sleep_epochs(first, int((SECONDS - first - 10) / seconds), seconds)
    onsets = [onset + shift_s for onset, _, _ in annotations]
    inside = [onset for onset in onsets if onset > 0.05]
    signals = {"EEG C3-LER": with_pulses(inside, rate_hz), "ECG ECGI": with_pulses(inside, rate_hz, -1)}
    night(tmp_path, name, signals, annotations, rate_hz, scoring_start=START + timedelta(seconds=shift_s))

    store = run(tmp_path, tmp_path / "store")
    recording = store.open(name)
    np.testing.assert_allclose(recording.hypnogram.onset_s, onsets, rtol=0, atol=1e-6)
    assert recording.hypnogram.labels.tolist() == [[0, 1, 2, 3, 4][k % 5] for k in range(len(onsets))]
    for signal in ("eeg", "ecg"):
        info, stored = recording.info.signals[signal], recording.signal(signal)
        physical = stored * info.scale + info.offset - info.median
        assert (info.rate_hz, info.recorded_hz) == (200, rate_hz)
        for onset in inside:
            assert abs(centre_of_pulse(physical, 200 * onset) - 200 * onset) < 0.1


@pytest.mark.filterwarnings("ignore:Creating EDF")
def test_files_that_start_at_a_fraction_of_a_second(tmp_path):
    start, scoring_start = (START + timedelta(seconds=s) for s in (0.25, 0.75))
    night(tmp_path, annotations=sleep_epochs(3.0, 5), start=start, scoring_start=scoring_start)
    assert run(tmp_path, tmp_path / "store").open("01-03-0001").hypnogram.onset_s[0] == pytest.approx(3.5, abs=1e-6)


def test_a_scoring_file_of_another_night_is_refused(tmp_path):
    night(tmp_path, scoring_start=START + timedelta(hours=13))
    run(tmp_path, tmp_path / "store", code=2)
    assert (
        "Base.edf begin 13.0 h apart by their dates; are they of the same night?"
        in (summary(tmp_path / "store")["01-03-0001"]["note"])
    )


def test_a_last_sleep_epoch_that_outlasts_the_signal_is_kept_in_the_store(tmp_path):
    night(tmp_path, annotations=sleep_epochs(3.25, 8))  # the last: 213.25 to 243.25 of 240 s
    recording = run(tmp_path, tmp_path / "store").open("01-03-0001")
    assert len(recording.hypnogram) == 8
    assert recording.info.seconds == 240


def test_unscored_and_other_annotations(tmp_path):
    scored = [*sleep_epochs(3.25, 6, stages="?W24R?"), (50.0, 1.0, "Spindle"), (60.0, 0.5, "bruit XXX")]
    night(tmp_path, annotations=scored)
    scoring = tmp_path / "01-03-0001 Base.edf"
    scoring.write_bytes(scoring.read_bytes().replace(b"XXX", b"\xe9\xe8\xff"))
    recording = run(tmp_path, tmp_path / "store").open("01-03-0001")
    assert recording.hypnogram.labels.tolist() == [-1, 0, 2, 3, 4, -1]
    assert recording.info.ignored_annotations == {"Spindle": 1, "bruit éèÿ": 1}
    note = summary(tmp_path / "store")["01-03-0001"]["note"]
    assert "4 of 6 sleep epochs scored" in note and "2 other annotations ignored" in note


# --- what is stored ---


def stored_signal(recording: Night, name: str) -> np.ndarray:
    info = recording.info.signals[name]
    return recording.signal(name) * info.scale + info.offset


def test_montage_unit_and_rate_in_the_store(tmp_path):
    c4, a1, lead_two = noise(seed=1, scale=30), noise(seed=2, scale=30), 1000 * heartbeats(SECONDS, 256, 0)
    signals = {
        "EEG C4-CLE": c4, "EEG C3-CLE": noise(seed=3), "EEG A1-CLE": a1,
        "ECG ECGI": noise(seed=4), "ECG ECGII": lead_two, "ECG ECGIII": noise(seed=5),
    }  # fmt: skip
    night(tmp_path, "01-04-0001", signals, sleep_epochs(8.5, 10, 20.0))
    recording = run(tmp_path, tmp_path / "store", "--rate", 256).open("01-04-0001")
    eeg, ecg = recording.info.signals["eeg"], recording.info.signals["ecg"]
    assert (eeg.derivation, eeg.unit) == ("EEG C4-CLE - EEG A1-CLE", "uV")
    assert (ecg.derivation, ecg.unit) == ("ECG ECGII", "mV")
    assert (recording.info.subset, recording.info.standard) == ("SS4", "rk")
    # At the recorded rate nothing is filtered: what is stored is what was written, to the steps of two 16-bit files.
    assert np.abs(stored_signal(recording, "eeg") - (c4 - a1)).max() < 0.02
    assert np.abs(stored_signal(recording, "ecg") - lead_two / 1000).max() < 2e-4
    scored = (c4 - a1)[round(8.5 * 256) : round(208.5 * 256)]
    low, median, high = np.percentile(scored, (25, 50, 75))
    assert (eeg.scored_median, eeg.scored_iqr) == pytest.approx((median, high - low), abs=0.02)
    low, median, high = np.percentile(c4 - a1, (25, 50, 75))
    assert (eeg.median, eeg.iqr) == pytest.approx((median, high - low), abs=0.02)


def test_frequencies_that_would_alias_are_not_stored(tmp_path):
    t = np.arange(SECONDS * 256) / 256
    signals = {
        "EEG C3-LER": 100 * np.sin(2 * np.pi * 110 * t) + noise(scale=0.01),
        "ECG ECGI": 100 * np.sin(2 * np.pi * 40 * t),
    }
    night(tmp_path, signals=signals)
    recording = run(tmp_path, tmp_path / "store").open("01-03-0001")
    inner = slice(2000, -2000)
    assert stored_signal(recording, "eeg")[inner].std() < 100 / np.sqrt(2) / 100  # 40 dB
    assert stored_signal(recording, "ecg")[inner].std() == pytest.approx(0.1 / np.sqrt(2), rel=0.01)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("choice", "polarity"), [("auto", None), ("as_recorded", 1), ("inverted", -1)])
def test_polarity_is_an_option_and_the_signal_is_stored_as_recorded(tmp_path, sign, choice, polarity):
    ecg = sign * 1000 * heartbeats(SECONDS, 256, 0)
    night(tmp_path, signals={"EEG C3-LER": noise(), "ECG ECGI": ecg})
    recording = run(tmp_path, tmp_path / "store", "--ecg-polarity", choice, "--rate", 256).open("01-03-0001")
    assert recording.info.signals["ecg"].polarity == (sign if polarity is None else polarity)
    assert recording.info.signals["eeg"].polarity == 1
    np.testing.assert_allclose(stored_signal(recording, "ecg"), ecg / 1000, atol=1e-4)


def test_the_polarity_of_every_simulated_night_is_detected(cohort, store):
    with open(cohort / "participants.tsv", newline="") as file:
        truth = {row["recording"]: int(row["ecg_polarity"]) for row in csv.DictReader(file, delimiter="\t")}
    prepared = Store(store)
    found = {recording: prepared.info(recording).signals["ecg"].polarity for recording in prepared.recordings}
    assert found == truth
    assert set(found.values()) == {1, -1}


def test_participants_tsv_is_copied(cohort, store):
    assert (store / "participants.tsv").read_bytes() == (cohort / "participants.tsv").read_bytes()


def test_a_store_that_keeps_the_recorded_rate(tmp_path):
    eeg = noise(rate_hz=255.5)
    night(tmp_path, signals={"EEG C3-LER": eeg, "ECG ECGI": noise(rate_hz=255.5, seed=1)}, rate_hz=255.5)
    store = run(tmp_path, tmp_path / "store", "--resample", "each_window")
    recording = store.open("01-03-0001")
    assert recording.info.signals["eeg"].rate_hz == 255.5
    assert len(recording.signal("eeg")) == len(eeg)
    assert store.rate_hz == 200


def test_an_eeg_with_an_implausible_amplitude_is_warned_of(tmp_path, capsys):
    night(tmp_path, signals={"EEG C3-LER": noise(scale=1e-4), "ECG ECGI": noise()})
    run(tmp_path, tmp_path / "store")
    assert re.search(r"^01-03-0001: EEG spans 0\.0001\d+ uV, check its unit$", capsys.readouterr().out, re.MULTILINE)


# --- the cohort as a whole ---


def test_the_simulated_cohort_by_subset(cohort, store):
    prepared = Store(store)
    montage = {r: prepared.info(r).signals["eeg"].derivation for r in prepared.recordings}
    assert montage["01-02-0001"] == "EEG C4-CLE - EEG A1-CLE"
    assert {montage[r] for r in ("01-01-0001", "01-04-0001")} == {"EEG C3-CLE - EEG A2-CLE"}
    assert {montage[r] for r in ("01-03-0001", "01-03-0002", "01-05-0001")} == {"EEG C3-LER"}
    leads = {r: prepared.info(r).signals["ecg"].derivation for r in prepared.recordings}
    assert {r for r, lead in leads.items() if lead == "ECG ECGII"} == {"01-04-0001"}
    assert {r for r in prepared.recordings if prepared.info(r).standard == "rk"} == {
        "01-02-0001", "01-04-0001", "01-05-0001",
    }  # fmt: skip
    split = read_split(prepared, "default")
    assert [len(split.parts[part]) for part in ("train", "validation", "test")] == [4, 1, 1]
    for recording in prepared.recordings:
        hypnogram = prepared.open(recording).hypnogram
        assert hypnogram.onset_s[0] % 1 != 0
        assert set(hypnogram.labels) >= {-1, 0, 1, 2}


@pytest.fixture
def two(tmp_path) -> Path:
    return two_nights(tmp_path / "raw")


def test_the_number_of_jobs_does_not_change_the_store(two, tmp_path):
    night(two, "01-03-0002", annotations=[(1.0, 2.0, "Spindle")])
    for jobs in (1, 2):
        run(two, tmp_path / f"jobs{jobs}", "--jobs", jobs, code=2)
    one, more = (files_below(tmp_path / f"jobs{jobs}") for jobs in (1, 2))
    assert one == more
    assert len([path for path in one if path.endswith("recording.json")]) == 2


def test_a_second_run_keeps_recordings_and_adds_new_ones(two, tmp_path, capsys):
    out = tmp_path / "store"
    run(two, out)
    before = files_below(out / "recordings")
    times = {path: path.stat().st_mtime_ns for path in (out / "recordings").rglob("*.npy")}
    split = out / "splits" / "default" / "train.txt"
    split.write_text("# edited\n01-03-0001\n01-05-0001\n")
    night(two, "01-03-0002")
    capsys.readouterr()
    store = run(two, out)
    assert store.recordings == ["01-03-0001", "01-03-0002", "01-05-0001"]
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert {k: v for k, v in files_below(out / "recordings").items() if k in before} == before
    assert {r: row["status"] for r, row in summary(out).items()} == {
        "01-03-0001": "kept", "01-03-0002": "prepared", "01-05-0001": "kept",
    }  # fmt: skip
    assert split.read_text().startswith("# edited")
    printed = capsys.readouterr().out
    assert "1 prepared, 2 kept from before, 0 skipped; SS3 2, SS5 1" in printed and "default: kept as it is" in printed


def test_overwrite_prepares_recordings_again(two, tmp_path):
    out = tmp_path / "store"
    run(two, out)
    before = files_below(out / "recordings")
    night(two, "01-03-0001", annotations=sleep_epochs(3.25, 7, stages="R"))
    run(two, out)
    assert files_below(out / "recordings") == before
    store = run(two, out, "--overwrite")
    assert set(store.open("01-03-0001").hypnogram.labels) == {4}
    assert {row["status"] for row in summary(out).values()} == {"prepared"}


# --- the real recording ---


@needs_dreams
def test_the_real_recording(tmp_path):
    store = run(DREAMS, tmp_path / "store", dataset="dreams")
    recording = store.open("excerpt3")
    hypnogram = recording.hypnogram
    assert np.bincount(hypnogram.labels, minlength=5).tolist() == [8, 22, 56, 4, 0]
    np.testing.assert_array_equal(hypnogram.onset_s, 20 * np.arange(90))
    assert recording.info.standard == "rk"
    eeg, ecg = recording.info.signals["eeg"], recording.info.signals["ecg"]
    assert eeg.samples == ecg.samples == 1800 * 200
    assert (eeg.unit, ecg.unit, ecg.polarity) == ("uV", "arbitrary", -1)
    assert stored_signal(recording, "eeg").std() == pytest.approx(20.7, abs=0.1)
    beats = recording.beats()
    assert 60 / recording.info.beats.median_s == pytest.approx(60 / np.median(np.diff(beats)), rel=0.05)
    turned = -stored_signal(recording, "ecg")
    at_beats = turned[np.rint(200 * beats).astype(int).clip(max=len(turned) - 1)]
    assert np.mean(at_beats > np.percentile(turned, 95)) > 0.9  # turned: R waves now point up
    assert recording.beat_quality().mean() > 0.9


@needs_dreams
def test_the_real_recording_cut_off(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "excerpt3.edf").write_bytes((DREAMS / "excerpt3.edf").read_bytes()[:1_000_000])
    shutil.copy(DREAMS / "Hypnogram_excerpt3.txt", raw)
    run(raw, tmp_path / "store", dataset="dreams", code=2)
    assert "excerpt3.edf: is cut off" in summary(tmp_path / "store")["excerpt3"]["note"]


def crashing(store: Path, options: PrepareOptions, overwrite: bool, files: RecordingFiles) -> batch.Outcome:
    """Preparation in a process that ends at one recording; there, `batch` is not patched."""
    if files.recording == "01-03-0001":
        os.kill(os.getpid(), SIGKILL)
    return batch._prepare(store, options, overwrite, files)


def test_a_process_that_is_killed_costs_one_recording(two, tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "_prepare", crashing)
    run(two, tmp_path / "store", "--jobs", 2, code=2)
    lines = summary(tmp_path / "store")
    assert "ended its process" in lines.pop("01-03-0001")["note"]
    assert {row["status"] for row in lines.values()} == {"prepared"}
