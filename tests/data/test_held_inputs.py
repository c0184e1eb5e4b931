"""Nights that lack inputs: zeros in their place, refusals, silent teachers, signals that end early."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sleepkd.data.data_settings import DataConfig, Source
from sleepkd.data.held_inputs import AbsentInputs, reading_rate_hz
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import Segments
from sleepkd.data.stage_inputs import resolve
from sleepkd.data.store import Store
from sleepkd.errors import UserError
from tests.data.stored import hypnogram, made_store, without_inputs

ANY = AbsentInputs(may_lack=frozenset({"student"}), may_be_silent=frozenset({"teacher"}))
RATE = 32


@pytest.fixture(scope="module")
def mixed(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the store. The first recording lacks the ECG, the second the heartbeats, the third the EEG."""
    path = tmp_path_factory.mktemp("mixed") / "store"
    first, second, third, *_ = Store(store).recordings
    return without_inputs(store, path, {first: ["ecg"], second: ["beats"], third: ["eeg"]}).path


def segments_of(store: Path, absent: AbsentInputs = ANY, teacher: str = "eeg", **data: object) -> Segments:
    """The student reads ECG and heartbeats."""
    config = DataConfig(view="night", **data)
    nights = open_nights((Source(str(store)),), "all")
    spec = resolve({name: {} for name in ("ecg", "beats")}, config, 64)
    readers = {"student": spec} | ({"teacher": resolve({teacher: {}}, config, 64)} if teacher else {})
    return Segments(nights, readers, config, absent=absent)


def test_an_absent_input_is_zero_and_changes_no_other(store: Path, mixed: Path) -> None:
    whole, lacking = segments_of(store, segment_minutes=5), segments_of(mixed, segment_minutes=5)
    rows = np.arange(len(whole))
    expected, found = whole[rows].inputs["student"], lacking[rows].inputs["student"]
    night = torch.from_numpy(whole.table.night)
    for name, without in (("ecg", 0), ("beats", 1)):
        x = torch.where((night == without).view(-1, *[1] * (expected[name].dim() - 1)), 0, expected[name])
        assert torch.equal(found[name], x) and expected[name][night == without].any()
    for row in (0, 7, len(rows) - 1):  # of nights with other inputs
        assert all(torch.equal(x[0], found[name][row]) for name, x in lacking[rows[[row]]].inputs["student"].items())
    assert lacking.nights_with("student") == {"ecg": 5, "beats": 5}


def test_a_teacher_is_silent_on_nights_that_lack_its_inputs(store: Path, mixed: Path) -> None:
    whole, lacking = segments_of(store), segments_of(mixed)
    assert whole.table.silent is None and whole[np.arange(2)].silent is None
    assert lacking.table.silent.tolist() == [False, False, True, False, False, False]
    batch = lacking[np.array([2, 3])]
    assert not batch.inputs["teacher"]["eeg"][0].any() and batch.inputs["teacher"]["eeg"][1].any()
    heard = batch.with_teacher()
    assert not heard.present[0].any() and not heard.mask[0].any()
    assert torch.equal(heard.present[1], batch.present[1]) and torch.equal(heard.mask[1], batch.mask[1])
    kept = lacking.table.with_teacher()
    assert kept.night.tolist() == [0, 1, 3, 4, 5]
    lacking.check_inputs()


def test_nights_that_cannot_be_read_are_one_line(store: Path, mixed: Path, tmp_path: Path) -> None:
    first, *others = Store(store).recordings
    with pytest.raises(UserError, match=rf"{first}: holds no ecg; prepare it with a channel for it"):
        segments_of(mixed, AbsentInputs())
    nothing = without_inputs(store, tmp_path / "nothing", {first: ["ecg", "beats"]}).path
    with pytest.raises(UserError, match=rf"{first}: holds none of the inputs ecg, beats; leave the recording out"):
        segments_of(nothing)
    nowhere = without_inputs(store, tmp_path / "nowhere", {name: ["ecg"] for name in (first, *others)}).path
    with pytest.raises(UserError, match=r"stage\.inputs\.ecg: no training night holds it; set it to false"):
        segments_of(nowhere).check_inputs()
    silent = without_inputs(store, tmp_path / "silent", {name: ["eeg"] for name in (first, *others)}).path
    with pytest.raises(UserError, match=r"stage\.teacher: no training night holds the inputs of the teacher \(eeg\)"):
        segments_of(silent).check_inputs()


def made(path: Path, **changed: object) -> Path:
    """A night of ten minutes of noise, ECG and EMG. changed: fields of the ECG in recording.json."""
    noise = np.random.default_rng(0).integers(1, 3000, (2, 600 * RATE)).astype(np.int16)
    made_store(path, {"a": hypnogram(30.0 * np.arange(20))}, {"ecg": noise[0], "emg": noise[1]}, float(RATE))
    file = path / "recordings" / "a" / "recording.json"
    about = json.loads(file.read_text())
    about["signals"]["ecg"] |= changed
    file.write_text(json.dumps(about))
    return path


def read_made(path: Path, may_lack: bool) -> Segments:
    data = DataConfig(view="night")
    spec = resolve({"ecg": {}, "emg": {}}, data, RATE)
    absent = AbsentInputs(frozenset({"student"} if may_lack else ()))
    return Segments(open_nights((Source(str(path)),), "all"), {"student": spec}, data, absent=absent)


def test_a_signal_that_ends_early_is_absent_from_there_on(tmp_path: Path) -> None:
    path = made(tmp_path / "s", samples=300 * RATE)
    batch = read_made(path, may_lack=True)[np.array([0])]
    assert batch.mask.shape == (1, 60) and batch.mask.all()
    assert not batch.inputs["student"]["ecg"][..., 300 * RATE :].any()
    assert read_made(path, may_lack=False).table.mask.sum() == 30


def test_the_rate_of_a_network_is_that_of_the_first_night_with_a_signal(tmp_path: Path) -> None:
    night = hypnogram([0.0, 30.0])
    samples = np.ones(6000, dtype=np.int16)
    slow = made_store(tmp_path / "slow", {"a": night}, {"emg": samples}, 50.0).open("a")
    fast = made_store(tmp_path / "fast", {"b": night}, {"ecg": samples}, 100.0).open("b")
    assert reading_rate_hz([slow, fast], {"ecg": {}, "beats": {}}) == 100
    assert reading_rate_hz([slow, fast], {"emg": {}, "ecg": {}}) == reading_rate_hz([slow], {"beats": {}}) == 50
