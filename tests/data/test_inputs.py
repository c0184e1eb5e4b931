"""The inputs of a network: settings, defaults, refusals, normalisation."""

import dataclasses

import numpy as np
import pytest

from sleepkd.config import to_dict
from sleepkd.data.data_settings import DataConfig
from sleepkd.data.inputs import BeatsInput, SignalInput
from sleepkd.data.recording_info import BeatsInfo, RecordingInfo
from sleepkd.data.segments import Segments
from sleepkd.data.stage_inputs import describe_inputs, input_settings, input_spec, resolve
from sleepkd.data.store import Store, StoreSettings
from sleepkd.data.store_writing import create_store, write_recording
from sleepkd.errors import UserError
from tests.data.stored import hypnogram, made_store, signal_info

SIGNAL = np.random.default_rng(0).integers(-3000, 3000, 9000).astype(np.int16)
NIGHT = hypnogram([0.0, 30.0, 60.0])


def test_settings_left_open_take_the_values_of_data_and_of_the_kind():
    data = DataConfig(clip=5.0, alignment="truncated", ecg_polarity="inverted")
    given = {"eeg": {}, "ecg": {"clip": 8, "normalisation": "minmax_window", "polarity": None}}
    spec = resolve(input_settings(given, "stage.inputs"), data, 200)
    assert spec["eeg"] == SignalInput(200, "robust_night", 5.0, "as_recorded", "truncated", 20.0)
    assert spec["ecg"] == SignalInput(200, "minmax_window", 8.0, "inverted", "truncated", 0.1)


def test_the_inputs_of_a_checkpoint_are_read_as_written():
    spec = resolve(
        input_settings({"ecg": None, "beats": {"rate": 2}, "emg": {"polarity": "inverted"}}, "x"), DataConfig(), 64
    )
    kept = {name: to_dict(item) for name, item in spec.items()}
    assert input_spec(kept, "last.pt: inputs") == spec
    assert spec["beats"] == BeatsInput(2.0)
    assert describe_inputs(spec) == "ECG + heartbeats + EMG"


def test_checkpoints_of_earlier_versions_keep_their_scale_and_polarity():
    kept = {"rate": 64.0, "normalisation": "physical", "clip": 20.0, "polarity": "inverted", "alignment": "exact"}
    spec = input_spec({"eeg": kept, "ecg": kept}, "last.pt: inputs")
    assert spec["eeg"] == SignalInput(64.0, "physical", 20.0, "as_recorded", "exact", 20.0)
    assert spec["ecg"] == SignalInput(64.0, "physical", 20.0, "inverted", "exact", 100.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"eda": {}}, "stage.inputs.eda: is not a known signal; known are eeg, ecg, eog, emg, beats, motion"),
        ({"ecg": {"normalization": "x"}}, "stage.inputs.ecg.normalization: unknown key; did you mean .*normalisation"),
        ({"ecg": {"clip": -1}}, "stage.inputs.ecg.clip: must be positive, is -1"),
        ({"beats": {"rate": 0}}, "stage.inputs.beats.rate: must be positive, is 0"),
        ({"beats": {"clip": 3}}, "stage.inputs.beats.clip: unknown key"),
        ({"ecg": 5}, "stage.inputs.ecg: expected settings by name, got 5"),
        (["ecg"], "stage.inputs: expected signals by name"),
    ],
)
def test_a_mistake_in_stage_inputs_is_named(values, message):
    with pytest.raises(UserError, match=message):
        input_settings(values, "stage.inputs")


def segments_of(store, inputs, **data):
    config = DataConfig(**data)
    spec = resolve(input_settings(inputs, "i"), config, store.rate_hz)
    return Segments([store.open("a")], {"student": spec}, config)


def test_statistics_of_the_night_or_of_its_scored_part(tmp_path):
    facts = {"median": 10.0, "iqr": 4.0, "scored_median": -6.0, "scored_iqr": 8.0}
    store = made_store(tmp_path / "s", {"a": NIGHT}, {"ecg": SIGNAL}, **facts)
    for normalisation, median, iqr in (("robust_night", 10.0, 4.0), ("robust_scored", -6.0, 8.0)):
        x = segments_of(store, {"ecg": {}}, normalisation=normalisation, clip=1e6)[np.arange(3)].inputs["student"][
            "ecg"
        ]
        np.testing.assert_allclose(x.flatten(), (SIGNAL.astype(float) - median) / iqr, atol=1e-3)


def test_physical_divides_by_the_scale_of_the_kind_for_any_night(tmp_path):
    facts = {"scale": 0.5, "offset": 2.0, "median": 40.0, "iqr": 7.0}
    store = made_store(tmp_path / "s", {"a": NIGHT}, {"eeg": SIGNAL, "ecg": SIGNAL}, **facts)
    segments = segments_of(store, {"eeg": {}, "ecg": {}}, normalisation="physical", clip=10.0)
    assert all(item.is_causal for item in segments.readers["student"].values())
    assert not SignalInput(64).is_causal
    read = segments[np.array([0])].inputs["student"]
    physical = SIGNAL[:3000] * 0.5 + 2
    for name, scale in (("eeg", 20), ("ecg", 0.1)):  # uV, mV
        np.testing.assert_allclose(read[name][0, 0], np.clip(physical / scale, -10, 10), rtol=1e-5, atol=1e-5)


def test_false_removes_an_input_of_an_earlier_config():
    assert list(input_settings({"ecg": False, "beats": {}}, "stage.inputs")) == ["beats"]
    with pytest.raises(UserError, match=r"stage.inputs.eda: is not a known signal"):
        input_settings({"eda": False}, "stage.inputs")


def test_an_unlabelled_recording_has_no_scored_statistics(tmp_path):
    store = made_store(tmp_path / "s", {"a": NIGHT}, {"ecg": SIGNAL}, scored_median=None, scored_iqr=None)
    with pytest.raises(UserError, match=r"a: has no labels, which normalisation robust_scored needs; set robust_night"):
        segments_of(store, {"ecg": {}}, normalisation="robust_scored")
    assert len(segments_of(store, {"ecg": {}})) == 3


def test_another_rate_than_the_stored_one_is_refused(tmp_path):
    store = made_store(tmp_path / "s", {"a": NIGHT}, {"ecg": SIGNAL})
    with pytest.raises(UserError, match=r"a: ecg is read at 100 Hz, the network was made for 64 Hz; .*prepare --rate"):
        segments_of(store, {"ecg": {"rate": 64}})


def test_missing_heartbeats_are_named(tmp_path):
    store = made_store(tmp_path / "s", {"a": NIGHT}, {"ecg": SIGNAL})
    with pytest.raises(UserError, match="a: holds no beats; prepare it without --no-beats"):
        segments_of(store, {"beats": {}})


@pytest.mark.parametrize("view", ["epochs", "night"])
def test_ecg_at_100_hz_beside_beats_at_4_hz_in_one_batch(tmp_path, view):
    beats = np.arange(0.5, 90.0, 0.8)
    create_store(tmp_path / "s", StoreSettings("made up", 100.0))
    info = RecordingInfo(
        recording="a", subject="a", subset="all", standard="aasm", source="x", scoring="y", seconds=90.0,
        signals={"ecg": signal_info(SIGNAL, 100.0)}, ignored_annotations={},
        beats=BeatsInfo("made up", len(beats), 0.8),
    )  # fmt: skip
    write_recording(tmp_path / "s", info, {"ecg": SIGNAL}, NIGHT, beats, np.ones(3))
    segments = segments_of(Store(tmp_path / "s"), {"ecg": {}, "beats": {}}, view=view)
    inputs = segments[np.arange(len(segments))].inputs["student"]
    if view == "epochs":
        assert (inputs["ecg"].shape, inputs["beats"].shape) == ((3, 1, 3000), (3, 1, 3, 120))
    else:
        assert (inputs["ecg"].shape, inputs["beats"].shape) == ((1, 1, 9000), (1, 1, 3, 360))
    slow, fast, quality = inputs["beats"].movedim(2, 0).flatten(1)
    np.testing.assert_allclose(slow, 0, atol=1e-5)  # every interval is the median of the night
    np.testing.assert_allclose(fast, 0, atol=1e-5)
    assert quality.mean() > 0.98


def test_a_recording_may_hold_heartbeats_alone(tmp_path):
    beats = np.arange(0.5, 90.0, 0.8)
    create_store(tmp_path / "s", StoreSettings("made up", 100.0))
    info = RecordingInfo(
        recording="a", subject="a", subset="all", standard="aasm", source="x", scoring="y", seconds=90.0,
        signals={}, ignored_annotations={}, beats=BeatsInfo("made up", len(beats), 0.8),
    )  # fmt: skip
    write_recording(tmp_path / "s", info, {}, NIGHT, beats, np.ones(3))
    store = Store(tmp_path / "s")
    assert len(segments_of(store, {"beats": {}})) == 3
    with pytest.raises(UserError, match="a: holds no ecg"):
        segments_of(store, {"ecg": {}, "beats": {}})


def test_inputs_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SignalInput(64).clip = 3
