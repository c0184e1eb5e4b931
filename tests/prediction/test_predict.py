"""sleepkd predict: the stages of evaluate.py, from every file format, in files that other libraries read."""

import datetime as dt
import json
import sys
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
import wfdb
import yasa

import sleepkd
import train_ddp
from launch import tiny_night
from sleepkd import predict
from sleepkd.checkpoints.temperature import write_temperature
from sleepkd.checkpoints.trained import load_trained
from sleepkd.cohorts.edf.records import EdfRecords
from sleepkd.cohorts.recording import Recording
from sleepkd.cohorts.signals.edf import EdfFile
from sleepkd.data.data_settings import Source
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import Segments
from sleepkd.data.store import Store
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.evaluation import inference
from sleepkd.prediction.judged import GivenInput
from sleepkd.prediction.many import stage_file
from sleepkd.prediction.recorded import ReadingOptions, open_recording
from sleepkd.settings import load_config


def trained_checkpoint(store: Path, root: Path, stage: str) -> Path:
    config = load_config([stage], tiny_night(store, root, train__epochs=3))
    assert train_ddp.train(config, Processes("cpu")) == 0
    return config.run_directory / "best.pt"


@pytest.fixture(scope="module")
def checkpoint(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of ECG and heartbeats, either of which may be missing."""
    return trained_checkpoint(store, tmp_path_factory.mktemp("runs"), "night_ecg")


@pytest.fixture(scope="module")
def psg(cohort: Path) -> Path:
    (path,) = cohort.glob("SS1_EDF/01-01-0001 PSG.edf")
    return path


@pytest.fixture(scope="module")
def ecg(psg: Path) -> tuple[np.ndarray, float]:
    file = EdfFile(psg)
    index = next(i for i, label in enumerate(file.labels) if label.startswith("ECG"))
    return file.channel(index).samples, file.rates[index]


def hypnogram(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "hypnogram.csv")


def probabilities(frame: pd.DataFrame) -> np.ndarray:
    return frame[[name for name in frame if name.startswith("p_")]].to_numpy()


def run_predict(out: Path, *arguments: object) -> int:
    return predict.main([*map(str, arguments), "--out", str(out)])


def test_a_file_gets_the_predictions_of_its_stored_recording(
    store: Path, checkpoint: Path, psg: Path, tmp_path: Path
) -> None:
    trained = load_trained(checkpoint)
    nights = open_nights((Source(str(store)),), "all")
    segments = Segments(nights, trained.readers, trained.config.data.whole_nights(), scored_only=False)
    stored = inference.predict_nights(trained, segments, Processes("cpu"), 4)
    expected = next(night for night in stored if night.recording == "01-01-0001")
    start = Store(store).open("01-01-0001").hypnogram.onset_s[0]
    assert run_predict(tmp_path, psg, "--checkpoint", checkpoint, "--start", start) == 0
    found = hypnogram(tmp_path / "01-01-0001 PSG")
    n = min(len(found), len(expected))
    assert n >= len(expected) - 1
    np.testing.assert_allclose(found["onset"][:n], expected.onset_s[:n], atol=1e-3)
    np.testing.assert_allclose(probabilities(found)[:n], expected.probabilities[:n], atol=1e-4)


def test_every_file_format_gives_the_same_stages(
    checkpoint: Path, psg: Path, ecg: tuple[np.ndarray, float], tmp_path: Path
) -> None:
    samples, rate = ecg
    np.savetxt(tmp_path / "plain.csv", samples, fmt="%.5f", header="ecg", comments="")
    timed = np.stack([np.arange(len(samples)) / rate, samples], axis=1)
    np.savetxt(tmp_path / "timed.tsv", timed, fmt="%.6f", delimiter="\t", header="time\tecg", comments="")
    np.savez(tmp_path / "arrays.npz", ecg=samples, fs=rate)
    wfdb.wrsamp("record", rate, ["mV"], ["ECG"], samples[:, None], fmt=["16"], write_dir=str(tmp_path))
    out = tmp_path / "out"
    common = ("--checkpoint", checkpoint)
    assert run_predict(out, psg, *common) == 0
    assert run_predict(out, tmp_path / "plain.csv", "--fs", rate, "--column", "ecg", *common) == 0
    assert run_predict(out, tmp_path / "timed.tsv", tmp_path / "arrays.npz", tmp_path / "record.hea", *common) == 0
    expected = probabilities(hypnogram(out / "01-01-0001 PSG"))
    for name in ("plain", "timed", "arrays", "record"):
        np.testing.assert_allclose(probabilities(hypnogram(out / name)), expected, atol=0.02)
    labels, found = sleepkd.load(checkpoint).predict(samples, rate)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert len(labels) == len(expected) and set(labels) <= {"W", "NREM", "REM", "unscored"}


@pytest.mark.parametrize("rate", [64, 250, 1000])
def test_any_rate_and_polarity(checkpoint: Path, ecg: tuple[np.ndarray, float], rate: int) -> None:
    samples, recorded_rate = ecg
    model = sleepkd.load(checkpoint)
    _, expected = model.predict(samples, recorded_rate)
    times = np.arange(len(samples)) / recorded_rate
    resampled = np.interp(np.arange(0, len(samples) / recorded_rate, 1 / rate), times, samples)
    _, found = model.predict(-resampled, rate)
    assert np.abs(found[: len(expected)] - expected[: len(found)]).mean() < 0.03


def test_rr_intervals_alone(checkpoint: Path, cohort: Path, tmp_path: Path) -> None:
    beats = np.load(cohort / "truth" / "01-01-0001.npz")["beats"]
    np.savetxt(tmp_path / "rr.csv", np.diff(beats), fmt="%.4f", header="rr", comments="")
    assert run_predict(tmp_path / "out", tmp_path / "rr.csv", "--checkpoint", checkpoint) == 0
    labels, found = sleepkd.load(checkpoint).predict_beats(beats - beats[0])
    np.testing.assert_allclose(probabilities(hypnogram(tmp_path / "out" / "rr")), found, atol=5e-3)
    assert len(labels) == int((beats[-1] - beats[0]) / 30)


def test_an_eeg_network_stages_an_eeg(store: Path, psg: Path, tmp_path: Path) -> None:
    checkpoint = trained_checkpoint(store, tmp_path, "night_eeg")
    assert run_predict(tmp_path / "out", psg, "--checkpoint", checkpoint, "--channel", "EEG C3.*") == 0
    frame = hypnogram(tmp_path / "out" / "01-01-0001 PSG")
    assert frame["quality"].isna().all() and (frame["stage"] != "unscored").all()


def test_other_libraries_read_the_output(checkpoint: Path, psg: Path, tmp_path: Path) -> None:
    write_temperature(checkpoint, {"temperature": 1.7})
    try:
        assert run_predict(tmp_path, psg, "--checkpoint", checkpoint, "--abstain-below", 0.4) == 0
    finally:
        (checkpoint.parent / "temperature.json").unlink()
    folder = tmp_path / "01-01-0001 PSG"
    frame = hypnogram(folder)
    annotations = mne.read_annotations(folder / "hypnogram.edf")
    names = {"W": "W", "NREM": "2", "REM": "R", "unscored": "?"}
    assert [text.split()[-1] for text in annotations.description] == [names[stage] for stage in frame["stage"]]
    np.testing.assert_allclose(annotations.onset, frame["onset"], atol=1e-4)
    raw = mne.io.read_raw_edf(psg, verbose="ERROR")
    both = mne.io.read_raw_edf(psg, verbose="ERROR").set_annotations(annotations)
    assert len(both.annotations) == len(frame)
    assert EdfRecords(folder / "hypnogram.edf").header.date == raw.info["meas_date"].date()
    np.testing.assert_allclose(probabilities(frame).sum(axis=1), 1, atol=2e-3)
    confidence = probabilities(frame).max(axis=1)
    assert ((frame["stage"] == "unscored") == ((frame["quality"] < 0.5) | (confidence < 0.3999))).mean() > 0.98
    summary = json.loads((folder / "summary.json").read_text())
    yasa_names = {"W": "WAKE", "NREM": "NREM", "REM": "REM", "unscored": "UNS"}
    stages = [yasa_names[stage] for stage in frame["stage"]]
    expected = yasa.Hypnogram(stages, n_stages=3, freq="30s").sleep_statistics()
    assert summary["sleep_statistics"]["TST"] == pytest.approx(expected["TST"])
    assert "Not a medical device." in (tmp_path / "index.html").read_text()


def test_the_temperature_is_applied(checkpoint: Path, ecg: tuple[np.ndarray, float], tmp_path: Path) -> None:
    _, plain = sleepkd.load(checkpoint).predict(*ecg)
    calibrated = tmp_path / "best.pt"
    calibrated.write_bytes(checkpoint.read_bytes())
    write_temperature(calibrated, {"temperature": 3.0})
    _, softer = sleepkd.load(calibrated).predict(*ecg)
    powers = plain.astype(float) ** (1 / 3)
    np.testing.assert_allclose(softer, powers / powers.sum(axis=1, keepdims=True), atol=1e-5)


def test_a_flat_ecg_stays_unscored(checkpoint: Path, ecg: tuple[np.ndarray, float]) -> None:
    samples, rate = ecg
    flat = samples.copy()
    flat[round(300 * rate) : round(900 * rate)] = 0.0
    labels, _ = sleepkd.load(checkpoint).predict(flat, rate)
    assert all(label == "unscored" for label in labels[11:29])
    assert sum(label != "unscored" for label in labels[30:]) > 20
    flat[round(250 * rate) :] = 0.0
    with pytest.raises(UserError, match=r"plausible beats in|have usable heartbeats"):
        sleepkd.load(checkpoint).predict(flat, rate)


def test_signal_quality_is_reported_per_sleep_epoch(
    checkpoint: Path, ecg: tuple[np.ndarray, float], tmp_path: Path
) -> None:
    samples, rate = ecg
    bad = np.minimum(samples, np.percentile(samples, 99.8))  # the amplifier saturates at some R waves
    bad[round(300 * rate) : round(315 * rate)] = bad[round(300 * rate)]  # half of the eleventh sleep epoch
    np.savetxt(tmp_path / "bad.csv", bad, header="ecg", comments="")
    assert run_predict(tmp_path / "out", tmp_path / "bad.csv", "--fs", rate, "--checkpoint", checkpoint) == 0
    frame = hypnogram(tmp_path / "out" / "bad")
    assert list(frame)[-4:] == ["quality", "beats", "flat", "clipped"]
    np.testing.assert_allclose(frame["flat"], [0.5 if i == 10 else 0 for i in range(len(frame))], atol=2e-3)
    assert 0 < frame["clipped"].mean() < 0.004 and frame["beats"].drop(10).between(15, 60).all()
    assert frame["beats"][10] < 0.7 * frame["beats"][9]


def test_bad_files_are_reported_and_the_others_staged(
    checkpoint: Path, psg: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "nights"
    folder.mkdir()
    (folder / "good.edf").write_bytes(psg.read_bytes())
    (folder / "cut.edf").write_bytes(psg.read_bytes()[:20000])
    (folder / "page.edf").write_text("<html></html>")
    np.savetxt(folder / "flat.csv", np.zeros(100_000), header="ecg", comments="")
    np.savetxt(folder / "short.csv", np.zeros(100), header="ecg", comments="")
    assert run_predict(tmp_path / "out", folder, "--checkpoint", checkpoint, "--fs", 100) == 1
    printed = capsys.readouterr()
    assert "1 of 5 staged" in printed.out
    lines = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 4 and all(str(folder) in line for line in lines)
    assert "\r" not in printed.err and "predict: 5 of 5 nights" in printed.err  # no progress bar without a terminal
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"good", "index.html"}
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Not staged" in page and "is constant" in page and "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.edf"], "gone.edf: no such file or folder"),
        (["{psg}", "--checkpoint", "gone.pt"], "gone.pt: no such checkpoint"),
        (["{psg}", "--abstain-below", "1"], "--abstain-below: must be"),
        (["{psg}", "--fs", "0"], "--fs: must be positive"),
        (["{psg}", "--start", "-1"], "--start: must be 0 or more"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str, checkpoint: Path, psg: Path, tmp_path: Path) -> None:
    filled = [argument.format(psg=psg) for argument in arguments]
    if "--checkpoint" not in filled:
        filled += ["--checkpoint", str(checkpoint)]
    with pytest.raises(UserError, match=message):
        run_predict(tmp_path / "out", *filled)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("module", ["edfio", "matplotlib", "yasa"])
def test_a_missing_package_is_named_before_a_file_is_written(
    module: str, checkpoint: Path, psg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"sleepkd predict: the package {module} is not installed; pip install"):
        run_predict(tmp_path / "out", psg, "--checkpoint", checkpoint)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ReadingOptions(channel="EEG C3.*"), "is not an ECG"),
        (ReadingOptions(channel="SpO2"), "has no channel SpO2; --channel names one of"),
        (ReadingOptions(start_s=1700), "too short to be staged"),
    ],
)
def test_a_rejected_recording_is_reported_with_the_reason(
    options: ReadingOptions, message: str, checkpoint: Path, psg: Path
) -> None:
    with pytest.raises(UserError, match=message):
        open_recording(psg, load_trained(checkpoint).inputs, options)


def test_files_of_the_same_name_get_folders_of_their_own(checkpoint: Path, psg: Path, tmp_path: Path) -> None:
    for night in ("a", "b"):
        (tmp_path / "in" / night).mkdir(parents=True)
        (tmp_path / "in" / night / "psg.edf").write_bytes(psg.read_bytes())
    assert run_predict(tmp_path / "out", tmp_path / "in", "--checkpoint", checkpoint) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a-psg.edf", "b-psg.edf", "index.html"}


def test_an_unforeseen_error_of_one_file_is_its_line_and_the_others_are_staged(
    checkpoint: Path, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    beats = np.load(cohort / "truth" / "01-01-0001.npz")["beats"]
    for name in ("a", "b"):
        np.savetxt(tmp_path / f"{name}.csv", np.diff(beats), fmt="%.4f", header="rr", comments="")
    given_input = stage_file.given_input

    def fails(recording: Recording) -> GivenInput:
        if recording.path.name == "a.csv":
            raise ZeroDivisionError("by\nzero")
        return given_input(recording)

    monkeypatch.setattr(stage_file, "given_input", fails)
    files = [tmp_path / "a.csv", tmp_path / "b.csv", "--checkpoint", checkpoint]
    assert run_predict(tmp_path / "out", *files) == 1
    shown = capsys.readouterr().err
    assert f"error: {tmp_path / 'a.csv'}: could not be staged, a fault of sleepkd (ZeroDivisionError: by zero)" in shown
    assert "Traceback" not in shown
    assert "ZeroDivisionError: by zero" in (tmp_path / "out" / "index.html").read_text()
    assert (tmp_path / "out" / "b" / "hypnogram.csv").is_file()
    assert run_predict(tmp_path / "out", *files, "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("year", [1970, 1985, 2084, 2163, 3036])
def test_any_date_is_staged_and_one_that_edf_cannot_hold_is_named(
    checkpoint: Path, ecg: tuple[np.ndarray, float], tmp_path: Path, year: int
) -> None:
    samples, rate = ecg
    day = {"base_date": dt.date(year, 3, 14), "base_time": dt.time(23, 10, 0, 250_000)}
    short = samples[: round(700 * rate), None]
    wfdb.wrsamp("night", rate, ["mV"], ["ECG"], short, fmt=["16"], write_dir=str(tmp_path), **day)
    assert run_predict(tmp_path / "out", tmp_path / "night.hea", "--checkpoint", checkpoint) == 0
    summary = json.loads((tmp_path / "out" / "night" / "summary.json").read_text())
    header = EdfRecords(tmp_path / "out" / "night" / "hypnogram.edf").header
    held = 1985 <= year <= 2084
    assert ("date_note" in summary) != held and (header.date is not None and header.date.year == year) == held
    assert header.time == dt.time(23, 10) and summary["channel"] == "ECG"
