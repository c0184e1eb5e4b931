"""Recordings that cannot be prepared: one line each, exit code 2, nothing written, and the others are prepared."""

import re
from pathlib import Path

import numpy as np
import pytest

from sleepkd import prepare
from sleepkd.errors import UserError, run_command
from tests.cohorts.mass import SECONDS, files_below, night, noise, run, sleep_epochs, summary, two_nights
from tests.cohorts.raw import channel, write_psg


@pytest.fixture
def two(tmp_path) -> Path:
    return two_nights(tmp_path / "raw")


def no_scoring(raw: Path) -> None:
    night(raw, "01-01-0009")
    (raw / "01-01-0009 Base.edf").unlink()


def cut(name: str, size: int):
    def make(raw: Path) -> None:
        night(raw, "01-01-0009")
        path = raw / f"01-01-0009 {name}.edf"
        path.write_bytes(path.read_bytes()[:size])

    return make


def signals(**labels: np.ndarray):
    def make(raw: Path) -> None:
        night(raw, "01-01-0009", {label.replace("_", "-").replace("9", " "): x for label, x in labels.items()})

    return make


def scored(annotations: list):
    return lambda raw: night(raw, "01-01-0009", annotations=annotations)


def two_rates(raw: Path) -> None:
    night(raw, "01-01-0009")
    channels = [
        channel("EEG C3-CLE", noise(rate_hz=256), 256),
        channel("EEG A2-CLE", noise(rate_hz=128), 128),
        channel("ECG ECGI", noise(rate_hz=256), 256),
    ]
    write_psg(raw / "01-01-0009 PSG.edf", channels)


def no_length(raw: Path) -> None:
    path = night(raw, "01-01-0009")
    whole = path.read_bytes()
    path.write_bytes(whole[:236] + b"0".ljust(8) + whole[244 : 256 * 3])


def one_record(raw: Path) -> None:
    short = {"EEG C3-LER": noise(1), "ECG ECGI": noise(1)}
    night(raw, "01-01-0009", short)


def slow_ecg(raw: Path) -> None:
    """An ECG of 1 Hz, too slow for the filters."""
    night(raw, "01-01-0009")
    channels = [channel("EEG C3-LER", noise(), 256), channel("ECG ECGI", noise(rate_hz=1), 1)]
    write_psg(raw / "01-01-0009 PSG.edf", channels)


GOOD = noise()
FLAT = np.full(SECONDS * 256, 3.0)
PSG, BASE = r"01-01-0009 PSG\.edf: ", r"01-01-0009 Base\.edf: "
BAD = {
    "no scoring file": (no_scoring, PSG + r"has no scoring file beside it \(01-01-0009 Base\.edf or"),
    "empty file": (cut("PSG", 0), PSG + "is not an EDF: it is empty"),
    "cut in the fixed header": (cut("PSG", 200), PSG + "is cut off within its header"),
    "cut in the signals' header": (cut("PSG", 700), PSG + "is cut off within its header"),
    "cut after the header": (cut("PSG", 768), PSG + "is cut off"),
    "cut in the signals": (cut("PSG", 100_001), PSG + "is cut off: its header says 240 data records, it holds"),
    "a byte short": (cut("PSG", -1), PSG + "is cut off"),
    "scoring cut off": (cut("Base", -40), BASE + "is cut off"),
    "scoring empty": (cut("Base", 0), BASE + "is not an EDF: it is empty"),
    "no EEG that fits": (signals(EEG9O1_LER=GOOD, ECG9ECGI=GOOD), PSG + "no channel fits .*C3-LER; it has EEG O1-LER"),
    "no ECG that fits": (signals(EEG9C3_LER=GOOD, EMG=GOOD), PSG + "no channel fits .*I; it has EEG C3-LER, EMG"),
    "no sleep stage": (
        scored([(1.0, 2.0, "Spindle")]),
        BASE + "holds no sleep stage of scoring.labels; it holds 'Spindle'",
    ),
    "scored beyond its end": (
        scored(sleep_epochs(300.5, 5)),
        BASE + "no sleep epoch lies within the 240 s of 01-01-0009 PSG",
    ),
    "scored before its start": (scored([(-90.5, 30.0, "Sleep stage W")]), BASE + "no sleep epoch lies within"),
    "flat EEG": (signals(EEG9C3_LER=FLAT, ECG9ECGI=GOOD), PSG + "eeg: EEG C3-LER is flat"),
    "flat ECG": (signals(EEG9C3_LER=GOOD, ECG9ECGI=FLAT), PSG + "ecg: ECG ECGI is flat"),
    "EEG and reference at two rates": (two_rates, PSG + "EEG C3-CLE and EEG A2-CLE were recorded at different rates"),
    "no length": (no_length, PSG + "holds no data record"),
    "a second long": (one_record, BASE + "no sleep epoch lies within the 1 s"),
    "anything else": (slow_ecg, PSG + "cannot be prepared: ValueError: "),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_recording_is_reported_in_one_line_and_the_others_are_prepared(two, tmp_path, capsys, what):
    make, message = BAD[what]
    make(two)
    out = tmp_path / "store"
    store = run(two, out, code=2)
    assert store.recordings == ["01-03-0001", "01-05-0001"]
    assert sorted(path.name for path in (out / "recordings").iterdir()) == store.recordings  # nothing half-written
    row = summary(out)["01-01-0009"]
    assert row["status"] == "skipped"
    printed = [line for line in capsys.readouterr().out.splitlines() if "01-01-0009" in line]
    assert printed == [f"skipped 01-01-0009: {row['note']}"]
    assert re.search(message, row["note"]), row["note"]


def test_a_bad_recording_does_not_stop_other_processes(two, tmp_path):
    for k, make in enumerate((no_scoring, cut("PSG", 100_001), slow_ecg)):
        make(two)
        for path in two.glob("01-01-0009*"):
            path.rename(path.with_name(path.name.replace("01-01-0009", f"01-01-000{k}")))
    store = run(two, tmp_path / "store", "--jobs", 2, code=2)
    assert store.recordings == ["01-03-0001", "01-05-0001"]
    assert [row["status"] for row in summary(store.path).values()].count("skipped") == 3


def test_no_split_without_recordings(tmp_path):
    one_record(tmp_path)
    assert run(tmp_path, tmp_path / "store", code=2) is None
    assert not (tmp_path / "store" / "splits").exists()


def test_a_failed_overwrite_keeps_the_prepared_recording(two, tmp_path):
    out = tmp_path / "store"
    run(two, out)
    before = files_below(out / "recordings")
    psg = two / "01-03-0001 PSG.edf"
    psg.write_bytes(psg.read_bytes()[:-1])
    run(two, out, "--overwrite", code=2)
    assert files_below(out / "recordings") == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--raw", "{tmp}/none"], "none: no such folder"),
        (["--raw", "{tmp}"], "no file here or below is named like"),
        (["--dataset", "shh"], "shh: no such config, here or in datasets/"),
        (["--rate", "0"], "--jobs and --rate must be positive"),
        (["--rate", "nan"], "--jobs and --rate must be positive"),
        (["--jobs", "0"], "--jobs and --rate must be positive"),
        (["--split", "0.8", "0.1", "0.2"], "--split: the three shares must not be negative and add up to 1"),
        (["--split", "1.2", "-0.1", "-0.1"], "--split: the three shares must not be negative"),
        (["--split", "nan", "0", "0"], "--split: the three shares must not be negative"),
    ],
)
def test_an_error_on_the_command_line_writes_nothing(tmp_path, capsys, arguments, message):
    (tmp_path / "raw").mkdir()
    arguments = [argument.format(tmp=tmp_path / "raw") for argument in arguments]
    given = ["--dataset", "mass", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "store"), *arguments]
    with pytest.raises(SystemExit) as leaving:
        run_command(lambda: prepare.main(given))
    assert leaving.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "arguments", [["--rate", "100"], ["--resample", "each_window"]], ids=["another rate", "another resampling"]
)
def test_a_store_with_other_settings_is_not_changed(two, tmp_path, arguments):
    out = tmp_path / "store"
    run(two, out)
    before = files_below(out)
    with pytest.raises(UserError, match=r"store: holds .* this command asks for .*; choose another --out"):
        run(two, out, *arguments)
    assert files_below(out) == before


def test_a_store_at_the_path_of_a_file_is_refused(two, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="file: cannot be made"):
        run(two, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
