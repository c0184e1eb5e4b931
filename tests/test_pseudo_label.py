"""Pseudo-labels of YASA: equal to YASA's own output, kept in the store, enough to train a student without labels."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import mne
import numpy as np
import pytest
import torch
import yasa

import train_ddp
from launch import tiny
from sleepkd import prepare, pseudo_label
from sleepkd.checkpoints.checkpoint import read_checkpoint
from sleepkd.data.data_settings import Source
from sleepkd.data.hypnogram import Hypnogram
from sleepkd.data.nights import open_nights
from sleepkd.data.pseudo_labels import merge_probabilities, read_pseudo_labels
from sleepkd.data.segments import Segments
from sleepkd.data.stage_inputs import resolve
from sleepkd.data.store import Night, Store
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.settings import load_config
from sleepkd.simulation.cohort import write_cohort
from sleepkd.teachers import external
from sleepkd.teachers.external import YasaTeacher, compute_pseudo_labels

YASA_CLASSES = ["WAKE", "N1", "N2", "N3", "REM"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "raw"
    write_cohort(folder, nights=3, hours=0.5, seed=3, channels="needed", rate=128)
    return folder


@pytest.fixture(scope="module")
def store_100hz(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three half-hour nights at 100 Hz with YASA's pseudo-labels: SS1 (30-s sleep epochs), SS2 (20 s), SS3 (30 s)."""
    out = tmp_path_factory.mktemp("100hz") / "store"
    arguments = ["--dataset", "mass", "--raw", str(raw), "--out", str(out), "--rate", "100"]
    assert prepare.main([*arguments, "--split", "0.34", "0.33", "0.33"]) == 0
    assert pseudo_label.main([str(out)]) == 0
    return out


def test_pseudo_labels_are_those_of_yasa_on_the_file(raw: Path, store_100hz: Path) -> None:
    """The file is read by MNE, from the first sleep epoch on; the store holds 16-bit samples."""
    mne.set_log_level("ERROR")
    (psg,) = raw.glob("SS1_EDF/*PSG.edf")
    night = Store(store_100hz).open("01-01-0001")
    signal = mne.io.read_raw_edf(psg, preload=True)
    signal.crop(night.hypnogram.onset_s[0])
    eeg = signal.get_data("EEG C3-CLE") - signal.get_data("EEG A2-CLE")
    found = yasa.SleepStaging(mne.io.RawArray(eeg, mne.create_info(["C3"], 128, "eeg")), eeg_name="C3").predict().proba
    expected = found[YASA_CLASSES].to_numpy()
    stored = read_pseudo_labels("yasa", night)[: len(expected)]
    assert np.corrcoef(stored.ravel(), expected.ravel())[0, 1] > 0.99
    assert (stored.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.9


def test_yasa_gets_eog_and_emg_if_the_store_holds_them(tmp_path: Path) -> None:
    write_cohort(tmp_path / "raw", nights=1, hours=0.5, seed=4, channels="full", rate=128)
    arguments = ["--dataset", "mass", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "store"), "--rate", "100"]
    assert prepare.main([*arguments, "--eog-emg"]) == 0
    night = Store(tmp_path / "store").open("01-01-0001")
    assert set(night.info.signals) == {"eeg", "ecg", "eog", "emg"}
    mne.set_log_level("ERROR")
    (psg,) = (tmp_path / "raw").glob("SS1_EDF/*PSG.edf")
    signal = mne.io.read_raw_edf(psg, preload=True)
    np.testing.assert_allclose(
        night.info.signals["emg"].scale * night.signal("emg")[2000] + night.info.signals["emg"].offset,
        signal.copy().resample(100).get_data("EMG Chin1")[0, 2000] * 1e6,
        atol=3,
    )
    eeg_only = replace(night, info=replace(night.info, signals={"eeg": night.info.signals["eeg"]}))
    from_all, from_eeg = YasaTeacher.stage_night(night), YasaTeacher.stage_night(eeg_only)
    signal.crop(night.hypnogram.onset_s[0])
    eeg = signal.get_data("EEG C3-CLE") - signal.get_data("EEG A2-CLE")
    all_signals = np.concatenate([eeg, signal.get_data(["EOG Left Horiz", "EMG Chin1"])])
    raw = mne.io.RawArray(all_signals, mne.create_info(["eeg", "eog", "emg"], 128, "eeg"))
    found = yasa.SleepStaging(raw, eeg_name="eeg", eog_name="eog", emg_name="emg").predict().proba
    expected = found[YASA_CLASSES].to_numpy()
    n = len(expected)
    assert np.abs(from_all[:n] - expected).mean() < np.abs(from_eeg[:n] - expected).mean() / 2


def with_sleep_epochs(night: Night, onset: list[float], duration: float) -> Night:
    n = len(onset)
    return replace(night, hypnogram=Hypnogram(np.array(onset), np.full(n, duration), np.full(n, -1, dtype=np.int8)))


def test_a_sleep_epoch_gets_the_mean_over_the_30_s_that_it_overlaps(store_100hz: Path) -> None:
    night = with_sleep_epochs(Store(store_100hz).open("01-02-0001"), [10.0, 30.0, 50.0, 70.0, 90.0], 20.0)
    p = np.eye(5, dtype=np.float32)[:2]  # of 10 to 40 s and 40 to 70 s
    found = external.overlap_mean(p, 10.0, night)
    expected = [p[0], (p[0] + p[1]) / 2, p[1], [np.nan] * 5, [np.nan] * 5]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_classes_are_merged_and_padding_is_zero(store_100hz: Path) -> None:
    p = np.array([[0.1, 0.2, 0.3, 0.15, 0.25]], dtype=np.float32)
    np.testing.assert_allclose(merge_probabilities(p, 3), [[0.1, 0.65, 0.25]], rtol=1e-6)
    np.testing.assert_allclose(merge_probabilities(p, 4), [[0.1, 0.5, 0.15, 0.25]], rtol=1e-6)
    config = load_config(["night_ecg", "beats"], ["data.segment_minutes=5"])
    nights = open_nights((Source(str(store_100hz)),), "all")
    inputs = resolve(config.stage.inputs, config.data, nights[0].rate_hz)
    segments = Segments(nights, {"student": inputs}, config.data, pseudo_labels=("yasa",))
    table = segments.table
    logits = segments[np.arange(len(segments))].pseudo_labels["yasa"].numpy()
    for row, column in ((0, 0), (4, 3)):
        night = nights[table.night[row]]
        p = merge_probabilities(read_pseudo_labels("yasa", night), 4)[table.sleep_epoch[row, column]]
        np.testing.assert_allclose(np.exp(logits[row, column]), np.maximum(p, 1e-6), rtol=1e-5)
    assert not logits[~table.present].any()


def test_a_student_trains_on_pseudo_labels_alone_without_yasa(
    store_100hz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(external.importlib.util, "find_spec", lambda _name: None)
    nights = f"data.nights=[{{store: {store_100hz}, labels: false}}]"
    settings = {"stage__teacher": "yasa", "train__batch_size": 2, "train__epochs": 2, "data__segment_minutes": 10}
    overrides = [*tiny(store_100hz, tmp_path, **settings), nights, "loss.ce.weight=0", "loss.transition.weight=0.5"]
    overrides = [o for o in overrides if not o.startswith(("data.store", "model"))] + ["train.validate_every=0"]
    config = load_config(["night_kd", "beats"], overrides)
    assert train_ddp.train(config, Processes("cpu")) == 0
    printed = capsys.readouterr().out
    assert "teacher yasa" in printed and "1 nights (1 without labels), no validation" in printed
    lines = [json.loads(line) for line in (config.run_directory / "metrics.jsonl").read_text().splitlines()]
    assert all(line["kd"] > 0 and line["transition"] > 0 and "ce" not in line for line in lines)
    shares = [lines[-1][f"unlabelled_{name}"] for name in ("W", "NREM", "REM")]
    assert sum(shares) == pytest.approx(1)
    assert read_checkpoint(config.run_directory / "last.pt").model


def test_a_night_that_yasa_cannot_stage_is_one_line(
    store: Path, store_100hz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="its EEG has 64 samples per second, too few for YASA"):
        YasaTeacher.stage_night(Store(store).open("01-01-0001"))
    monkeypatch.setattr(external.importlib.util, "find_spec", lambda _name: None)
    nights = open_nights((Source(str(store)),), "train")
    with pytest.raises(UserError, match="has no pseudo-labels of yasa, and yasa is not installed"):
        compute_pseudo_labels(YasaTeacher, nights, Processes("cpu"))
    night = with_sleep_epochs(Store(store_100hz).open("01-01-0001"), [0.0], 30.0)
    with pytest.raises(UserError, match="belongs to another hypnogram"):
        read_pseudo_labels("yasa", night)


def test_without_yasa_the_command_names_the_extra(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yasa", None)
    with pytest.raises(UserError, match=r"--model yasa: .*pip install 'sleepkd\[teachers\]'"):
        pseudo_label.main([str(store)])


@pytest.mark.parametrize("flag", ["--copy-to", "--into"])  # --into: version 0.1
def test_another_store_of_the_same_nights_gets_copies(raw: Path, store_100hz: Path, flag: str, tmp_path: Path) -> None:
    """Its rate is too low for YASA."""
    slow = tmp_path / "slow"
    assert prepare.main(["--dataset", "mass", "--raw", str(raw), "--out", str(slow), "--rate", "32"]) == 0
    assert pseudo_label.main([str(store_100hz), flag, str(slow)]) == 0
    for recording in Store(slow).recordings:
        copies = [read_pseudo_labels("yasa", Store(path).open(recording)) for path in (store_100hz, slow)]
        np.testing.assert_array_equal(*copies)
    path = slow / "recordings" / "01-02-0001" / "hypnogram.tsv"
    path.write_text("\n".join(path.read_text().splitlines()[:-3]) + "\n")
    with pytest.raises(UserError, match="has other sleep epochs than"):
        pseudo_label.main([str(store_100hz), flag, str(slow)])


@pytest.mark.parametrize("flag", ["--model", "--stager"])  # --stager: version 0.1
def test_scores_are_printed_and_written(
    store_100hz: Path, flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pseudo_label.main([str(store_100hz), flag, "yasa", "--classes", "5", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert f"kappa {metrics['overall']['kappa']:.3f}" in printed and "3 labelled nights" in printed
    assert "confidence 0.9 or more" in printed and metrics["calibration"]["ece"] >= 0
    assert torch.tensor(metrics["overall"]["confusion"]).sum() == metrics["overall"]["n"]
    with pytest.raises(SystemExit):
        pseudo_label.main([str(store_100hz), flag, "unknown"])
