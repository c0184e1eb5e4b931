"""YASA as a teacher: its answers beside those of YASA itself, kept in the store, and training by them alone."""

import json
from dataclasses import replace
from pathlib import Path

import mne
import numpy as np
import pytest
import torch
import yasa
from launch import tiny

import train_ddp
from sleepkd import prepare, stager
from sleepkd.data.hypnogram import Hypnogram
from sleepkd.data.nights import open_nights
from sleepkd.data.data_settings import Source
from sleepkd.data.store import Night, Store
from sleepkd.data.segments import Segments
from sleepkd.distillation import stagers
from sleepkd.settings import load_config
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.simulation.cohort import write_cohort
from sleepkd.checkpoints.checkpoint import read_checkpoint


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "raw"
    write_cohort(folder, nights=3, hours=0.5, seed=3, channels="needed", rate=128)
    return folder


@pytest.fixture(scope="module")
def hundred(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three half-hour nights at 100 Hz, staged by YASA: SS1, of 30 s, SS2, of 20 s, and SS3."""
    out = tmp_path_factory.mktemp("hundred") / "store"
    arguments = ["--dataset", "mass", "--raw", str(raw), "--out", str(out), "--rate", "100"]
    assert prepare.main([*arguments, "--split", "0.34", "0.33", "0.33"]) == 0
    assert stager.main([str(out)]) == 0
    return out


def test_the_answers_are_those_of_yasa_on_the_file(raw: Path, hundred: Path) -> None:
    """Read by MNE, from the first line of the scoring on; the store keeps 16 bits."""
    mne.set_log_level("ERROR")
    (psg,) = raw.glob("SS1_EDF/*PSG.edf")
    night = Store(hundred).open("01-01-0001")
    signal = mne.io.read_raw_edf(psg, preload=True)
    signal.crop(night.hypnogram.onset_s[0])
    eeg = signal.get_data("EEG C3-CLE") - signal.get_data("EEG A2-CLE")
    found = yasa.SleepStaging(mne.io.RawArray(eeg, mne.create_info(["C3"], 128, "eeg")), eeg_name="C3").predict().proba
    expected = found[["WAKE", "N1", "N2", "N3", "REM"]].to_numpy()
    kept = stagers.answers("yasa", night)[: len(expected)]
    assert np.corrcoef(kept.ravel(), expected.ravel())[0, 1] > 0.99
    assert (kept.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.9


def test_eog_and_emg_are_shown_to_it_where_they_were_kept(tmp_path: Path) -> None:
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
    alone = replace(night, info=replace(night.info, signals={"eeg": night.info.signals["eeg"]}))
    both, only = stagers.by_yasa(night), stagers.by_yasa(alone)
    signal.crop(night.hypnogram.onset_s[0])
    eeg = signal.get_data("EEG C3-CLE") - signal.get_data("EEG A2-CLE")
    shown = np.concatenate([eeg, signal.get_data(["EOG Left Horiz", "EMG Chin1"])])
    raw = mne.io.RawArray(shown, mne.create_info(["eeg", "eog", "emg"], 128, "eeg"))
    found = yasa.SleepStaging(raw, eeg_name="eeg", eog_name="eog", emg_name="emg").predict().proba
    expected = found[["WAKE", "N1", "N2", "N3", "REM"]].to_numpy()
    assert np.abs(both[: len(expected)] - expected).mean() < np.abs(only[: len(expected)] - expected).mean() / 2


def lines(night: Night, onset: list[float], length: float) -> Night:
    n = len(onset)
    return replace(night, hypnogram=Hypnogram(np.array(onset), np.full(n, length), np.full(n, -1, dtype=np.int8)))


def test_sleep_epochs_get_what_they_overlap(hundred: Path) -> None:
    night = lines(Store(hundred).open("01-02-0001"), [10.0, 30.0, 50.0, 70.0, 90.0], 20.0)
    two = np.eye(5, dtype=np.float32)[:2]  # 10 to 40 s and 40 to 70 s
    found = stagers._by_line(two, 10.0, night)
    expected = [two[0], (two[0] + two[1]) / 2, two[1], [0.2] * 5, [0.2] * 5]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_classes_are_joined_and_rows_filled(hundred: Path) -> None:
    p = np.array([[0.1, 0.2, 0.3, 0.15, 0.25]], dtype=np.float32)
    np.testing.assert_allclose(stagers.classes_of(p, 3), [[0.1, 0.65, 0.25]], rtol=1e-6)
    np.testing.assert_allclose(stagers.classes_of(p, 4), [[0.1, 0.5, 0.15, 0.25]], rtol=1e-6)
    config = load_config(["night_ecg", "beats"], ["data.segment_minutes=5"])
    nights = open_nights((Source(str(hundred)),), "all")
    segments = Segments(nights, {"student": config.stage.inputs}, config.data)
    logits, table = stagers.logits_of_rows("yasa", segments), segments.table
    for row, column in ((0, 0), (4, 3)):
        night = nights[table.night[row]]
        p = stagers.classes_of(stagers.answers("yasa", night), 4)[table.sleep_epoch[row, column]]
        np.testing.assert_allclose(np.exp(logits[row, column]), np.maximum(p, 1e-6), rtol=1e-5)
    assert not logits[~table.present].any()


def test_a_student_learns_of_yasa_alone_on_a_machine_without_it(
    hundred: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stagers.importlib.util, "find_spec", lambda _name: None)
    sources = f"data.nights=[{{store: {hundred}, labels: false}}]"
    targets = {"stage__teacher": "yasa", "train__batch_size": 2, "train__epochs": 2, "data__segment_minutes": 10}
    overrides = [*tiny(hundred, tmp_path, **targets), sources, "loss.ce.weight=0", "loss.transition.weight=0.5"]
    overrides = [o for o in overrides if not o.startswith(("data.store", "model"))] + ["train.validate_every=0"]
    config = load_config(["night_kd", "beats"], overrides)
    assert train_ddp.train(config, Processes("cpu")) == 0
    said = capsys.readouterr().out
    assert "targets by yasa" in said and "1 nights (1 without labels), no validation" in said
    lines = [json.loads(line) for line in (config.run_directory / "metrics.jsonl").read_text().splitlines()]
    assert all(line["kd"] > 0 and line["transition"] > 0 and "ce" not in line for line in lines)
    shares = [lines[-1][f"unscored_{name}"] for name in ("W", "NREM", "REM")]
    assert sum(shares) == pytest.approx(1)
    assert read_checkpoint(config.run_directory / "last.pt").model


def test_what_yasa_cannot_stage_is_one_line(store: Path, hundred: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="its EEG has 64 samples per second, too few for YASA"):
        stagers.by_yasa(Store(store).open("01-01-0001"))
    monkeypatch.setattr(stagers.importlib.util, "find_spec", lambda _name: None)
    nights = open_nights((Source(str(store)),), "train")
    with pytest.raises(UserError, match="yasa has not staged it, and yasa is not installed here; run"):
        stagers.compute_answers("yasa", nights, Processes("cpu"))
    night = lines(Store(hundred).open("01-01-0001"), [0.0], 30.0)
    with pytest.raises(UserError, match="belongs to another hypnogram"):
        stagers.answers("yasa", night)


def test_a_store_of_the_same_nights_gets_the_answers_too(raw: Path, hundred: Path, tmp_path: Path) -> None:
    """At a rate that YASA would refuse."""
    slow = tmp_path / "slow"
    assert prepare.main(["--dataset", "mass", "--raw", str(raw), "--out", str(slow), "--rate", "32"]) == 0
    assert stager.main([str(hundred), "--into", str(slow)]) == 0
    for recording in Store(slow).recordings:
        both = [stagers.answers("yasa", Store(path).open(recording)) for path in (hundred, slow)]
        np.testing.assert_array_equal(*both)
    path = slow / "recordings" / "01-02-0001" / "hypnogram.tsv"
    path.write_text("\n".join(path.read_text().splitlines()[:-3]) + "\n")
    with pytest.raises(UserError, match="has other sleep epochs than"):
        stager.main([str(hundred), "--into", str(slow)])


def test_scores_are_printed_and_written(hundred: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stager.main([str(hundred), "--classes", "5", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert f"kappa {metrics['overall']['kappa']:.3f}" in said and "3 scored nights" in said
    assert "at least 0.9 sure" in said and metrics["calibration"]["ece"] >= 0
    assert torch.tensor(metrics["overall"]["confusion"]).sum() == metrics["overall"]["n"]
