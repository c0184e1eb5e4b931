"""One reader for `prepare` and `predict`: every format of signals and of heartbeats, by either command."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import wfdb
import yaml

from sleepkd import prepare
from sleepkd.cohorts.beats import BEATS, beat_format
from sleepkd.cohorts.endings import format_by_ending
from sleepkd.cohorts.signals import SIGNALS, signal_format
from sleepkd.data.inputs import BeatsInput, SignalInput
from sleepkd.data.signal_kinds import SIGNAL_KINDS, SignalKind
from sleepkd.data.store import Night, Store
from sleepkd.errors import UserError
from sleepkd.prediction.recorded import ENDINGS, ReadingOptions, open_recording
from tests.cohorts.raw import channel, heartbeats, write_psg

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # of wfdb

SECONDS, RATE = 660, 100
ECG = heartbeats(SECONDS, RATE, 0)
BEATS_S = np.cumsum(np.random.default_rng(1).normal(0.95, 0.04, 700).round(3))
LABELS = {"format": "table", "files": ["{recording}.stages"], "labels": {"W": "W", "N2": "N2"}}


def prepared(raw: Path, *more: object, code: int = 0, **content) -> Night:
    """The recording r of a folder, prepared by a dataset YAML with this content."""
    path = raw.parent / "cohort.yaml"
    path.write_text(yaml.safe_dump({"name": "lab", "scoring": "none"} | content))
    arguments = ["--dataset", path, "--raw", raw, "--out", raw.parent / "store", "--rate", 50, *more]
    assert prepare.main([str(argument) for argument in arguments]) == code
    return Store(raw.parent / "store").open("r")


def physical(night: Night, name: str) -> np.ndarray:
    info = night.info.signals[name]
    return night.signal(name) * info.scale + info.offset


def write_ecg(folder: Path, form: str) -> Path:
    """The ECG in a format, as r.<form>."""
    folder.mkdir(exist_ok=True)
    path, times = folder / f"r.{form}", np.arange(len(ECG)) / RATE
    if form == "edf":
        write_psg(path, [channel("ECG", ECG, RATE, "mV")])
    elif form == "hea":
        wfdb.wrsamp("r", RATE, ["mV"], ["ECG"], p_signal=ECG[:, None], fmt=["16"], write_dir=str(folder))
    elif form == "npz":
        np.savez(path, ECG=ECG, fs=RATE)
    elif form == "npy":
        np.save(path, ECG)
    else:
        delimiter = {"csv": ",", "tsv": "\t", "txt": ";"}[form]
        columns = np.stack([times, ECG], 1)
        np.savetxt(path, columns, "%.5f", delimiter, header=f"time{delimiter}ECG", comments="")
    return path


@pytest.mark.parametrize("form", ["edf", "hea", "csv", "tsv", "txt", "npz", "npy"])
def test_an_ecg_in_every_format_is_prepared_and_predicted_alike(tmp_path, form):
    path = write_ecg(tmp_path / "raw", form)
    name, rate = signal_format(path), RATE if form == "npy" else None
    plus = "signal" if form == "npy" else "ECG"
    content = {"rate_hz": rate} if rate else {}
    night = prepared(
        tmp_path / "raw",
        files=rf"(?P<recording>r)\.{form}",
        format=name,
        signals={"ecg": [{"plus": plus, "unit": "mV"}]},
        **content,
    )
    assert (night.info.signals["ecg"].unit, night.info.signals["ecg"].recorded_hz) == ("mV", pytest.approx(RATE))
    inputs = {"ecg": SignalInput(rate=50.0), "beats": BeatsInput()}
    opened = open_recording(path, inputs, ReadingOptions(rate_hz=rate)).night
    assert len(night.beats()) > 600
    np.testing.assert_allclose(opened.beats(), night.beats(), atol=1e-6)
    np.testing.assert_allclose(physical(opened, "ecg"), physical(night, "ecg"), atol=1e-4)


def test_a_table_without_a_unit_is_arbitrary_and_warned_of(tmp_path):
    write_ecg(tmp_path / "raw", "csv")
    night = prepared(
        tmp_path / "raw", files=r"(?P<recording>r)\.csv", format="table", signals={"ecg": [{"plus": "ECG"}]}
    )
    assert night.info.signals["ecg"].unit == "arbitrary"
    assert "WARNING: ECG has no unit: the numbers are taken as they are" in night.info.note


def test_a_table_without_a_rate_says_what_to_give(tmp_path):
    write_ecg(tmp_path / "raw", "npy")
    with pytest.raises(UserError, match="holds no recording"):
        prepared(
            tmp_path / "raw", code=2, files=r"(?P<recording>r)\.npy", format="table", signals={"ecg": [{"plus": ".*"}]}
        )
    assert "give --fs (in a dataset YAML: rate_hz), or a column time (s)" in (
        tmp_path / "store" / "summary.tsv"
    ).read_text(encoding="utf-8")


# --- heartbeats ---


def apple(times: np.ndarray, rates: np.ndarray) -> str:
    start = np.datetime64("2024-03-01T22:00:00")
    stamps = [str(start + np.timedelta64(round(t), "s")).replace("T", " ") for t in times]
    record = '<Record type="HKQuantityTypeIdentifierHeartRate" startDate="{} +0100" value="{:.2f}"/>'
    lines = [record.format(stamp, rate) for stamp, rate in zip(stamps, rates, strict=True)]
    return "\n".join(["<HealthData>", *lines, "</HealthData>"])


MINUTES = np.arange(0.0, SECONDS, 5.0)
BEAT_FILES = {
    "r.txt": "\n".join(f"{1000 * interval:.0f}" for interval in np.diff(BEATS_S)),
    "r.csv": "\n".join(["rr", *(f"{interval:.3f}" for interval in np.diff(BEATS_S))]),
    "r.tsv": "\n".join(["time\thr", *(f"{t}\t{60 + 5 * np.sin(t / 60):.2f}" for t in MINUTES)]),
    "export.xml": apple(MINUTES, 60 + 5 * np.sin(MINUTES / 60)),
    "r.ibi": "\n".join(f"{t:.3f}" for t in BEATS_S),
}


@pytest.mark.parametrize("name", BEAT_FILES)
def test_a_file_of_heartbeats_is_prepared_and_predicted_alike(tmp_path, name):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / name).write_text(BEAT_FILES[name])
    (raw / "r.stages").write_text(
        "\n".join(["onset,stage", *(f"{30 * k},{'W' if k % 3 else 'N2'}" for k in range(20))])
    )
    form = beat_format(raw / name, holds_beats=True)
    night = prepared(
        raw,
        files=r"(?P<recording>r)\.stages",
        format="none",
        beats={"format": form, "files": [name]},
        scoring=LABELS,
    )
    opened = open_recording(raw / name, {"beats": BeatsInput()}, ReadingOptions(beats=True)).night
    np.testing.assert_array_equal(opened.beats(), night.beats())
    assert len(night.beats()) > 600 and night.info.beats.source == name
    assert night.info.beats.cadence_s == opened.info.beats.cadence_s == (5 if name in ("r.tsv", "export.xml") else 0)
    assert night.hypnogram.labels.tolist() == [2 if k % 3 == 0 else 0 for k in range(20)]


def test_columns_that_are_named_and_columns_that_are_recognised_give_the_same_beats(tmp_path):
    text = [
        "time,rr",
        *(f"{end:.3f},{interval:.3f}" for end, interval in zip(BEATS_S[1:], np.diff(BEATS_S), strict=True)),
    ]
    path = tmp_path / "r.csv"
    path.write_text("\n".join([text[0], *text[100:0:-1], *text[300:100:-1]]))  # in no order
    table, recognised = BEATS["table"], BEATS["text"]
    named = table.layout(files=("r.csv",), format="table", column="rr", values="intervals", time="time")
    kept = recognised.layout(files=("r.csv",), format="text", from_first=False)
    found = table.read(path, named).times
    np.testing.assert_allclose(found, BEATS_S[:301], atol=2e-3)
    np.testing.assert_array_equal(recognised.read(path, kept).times, found)
    shifted = recognised.read(path, recognised.layout(files=("r.csv",), format="text")).times
    np.testing.assert_allclose(shifted, found - found[0])


# --- formats and kinds ---


def test_no_two_formats_of_a_registry_claim_one_ending():
    for formats in (SIGNALS, BEATS):
        for (one, a), (other, b) in combinations(formats.items(), 2):
            assert not set(a.endings) & set(b.endings), (one, other)
    assert {".edf", ".hea", ".csv", ".npz", ".xml"} <= set(ENDINGS)


def test_the_longest_ending_wins():
    endings = {"table": (".npz", ".csv"), "device": (".device.npz",)}
    assert format_by_ending(endings, Path("a/n1.DEVICE.npz")) == "device"
    assert format_by_ending(endings, Path("n1.npz")) == "table"
    assert format_by_ending(endings, Path("n1.npz.bak")) is None


@pytest.mark.parametrize("resample", ["whole_night", "each_window"])
def test_a_kind_of_signal_is_one_entry_of_the_registry(tmp_path, monkeypatch, resample):
    """A respiration belt, stored at 10 Hz in the unit of its file."""
    monkeypatch.setitem(SIGNAL_KINDS, "thorax", SignalKind(label="thorax", rate_hz=10.0, channels="Thor.*"))
    t = np.arange(SECONDS * RATE) / RATE
    belt = np.sin(2 * np.pi * 0.25 * t)
    write_psg(tmp_path / "raw" / "r.edf", [channel("Thor", belt, RATE, "l/s"), channel("ECG", ECG, RATE, "mV")])
    night = prepared(
        tmp_path / "raw",
        "--resample",
        resample,
        files=r"(?P<recording>r)\.edf",
        signals={"thorax": [{"plus": "Thor"}], "ecg": [{"plus": "ECG"}]},
    )
    info = night.info.signals["thorax"]
    assert (info.unit, info.rate_hz, info.polarity) == ("l/s", 10.0, 1)
    inner = slice(100, -100)
    expected = np.sin(2 * np.pi * 0.25 * np.arange(SECONDS * 10) / 10)
    np.testing.assert_allclose(physical(night, "thorax")[inner], expected[inner], atol=2e-3)
    assert night.info.signals["ecg"].rate_hz == (50 if resample == "whole_night" else RATE)


def write_eog(folder: Path) -> dict:
    noise = np.random.default_rng(0).normal(scale=20, size=SECONDS * RATE)
    labels = ("C3", "EOG Left", "Chin")
    write_psg(folder / "r.edf", [channel(label, noise * (k + 1), RATE) for k, label in enumerate(labels)])
    choices = {"eeg": "C3", "eog": "EOG.*", "emg": "Chin|EMG"}
    signals = {name: [{"plus": plus}] for name, plus in choices.items()}
    return {"files": r"(?P<recording>r)\.edf", "signals": signals}


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        ([], ["eeg"]),
        (["--signals", "eog"], ["eeg", "eog"]),
        (["--signals", "eog", "emg"], ["eeg", "eog", "emg"]),
        (["--eog-emg"], ["eeg", "eog", "emg"]),
    ],
)
def test_kinds_on_request_are_stored_if_the_command_names_them(tmp_path, options, stored):
    content = write_eog(tmp_path / "raw")
    assert list(prepared(tmp_path / "raw", *options, **content).info.signals) == stored


def test_kinds_on_request_need_a_derivation_and_a_channel(tmp_path):
    content = write_eog(tmp_path / "raw")
    content["signals"]["emg"] = [{"plus": "EMG"}]
    assert list(prepared(tmp_path / "raw", "--signals", "emg", **content).info.signals) == ["eeg"]
    del content["signals"]["emg"]
    with pytest.raises(UserError, match=r"--signals emg: cohort lab has no derivation of it; add signals\.emg"):
        prepared(tmp_path / "raw", "--signals", "emg", **content)
    assert list(prepared(tmp_path / "raw", "--eog-emg", "--again", **content).info.signals) == ["eeg", "eog"]
