"""Predictions of stored nights: what was read of a night, in words, and the class bias of its cadence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from launch import tiny_night
from sleepkd.checkpoints.cadence_bias import corrected
from sleepkd.checkpoints.checkpoint import save_checkpoint
from sleepkd.checkpoints.trained import load_trained, untrained
from sleepkd.data.averaged_rate import DEVICES, averaged_beats
from sleepkd.data.recording_info import BeatsInfo, RecordingInfo
from sleepkd.data.store import Night, Store
from sleepkd.evaluation.inference import input_of, predictions_of
from sleepkd.settings import load_config
from sleepkd.study.ensemble_distillation import network_predictions
from tests.data.stored import hypnogram, made_store, signal_info


def night_of(cadence_s: float | None, beats: np.ndarray, with_ecg: bool = False) -> Night:
    """A night with heartbeats of a cadence (None: of an older store), and perhaps an ECG."""
    signals = {"ecg": signal_info(np.zeros(100, np.int16), 100.0)} if with_ecg else {}
    beats_info = BeatsInfo("made up", len(beats), 1.0, cadence_s=cadence_s)
    info = RecordingInfo("a", "a", "all", "aasm", "x", "y", 3600.0, signals, {}, beats_info)
    return Night(Path("a"), info, hypnogram([0.0]), "made up", 100.0, _maps={"beats.npy": beats})


def measured() -> np.ndarray:
    """Heartbeats of an hour with irregular intervals."""
    return np.cumsum(np.random.default_rng(0).normal(1.0, 0.05, 3600))


@pytest.mark.parametrize(
    ("cadence_s", "expected"),
    [
        (0.0, "heartbeats"),
        (1.0, "averaged heart rate, < 3 s"),
        (3.0, "averaged heart rate, 3 to 8 s"),
        (7.9, "averaged heart rate, 3 to 8 s"),
        (10.0, "averaged heart rate, 8 to 20 s"),
        (30.0, "averaged heart rate, 20 to 45 s"),
        (60.0, "averaged heart rate, ≥ 45 s"),
    ],
)
def test_heart_rates_are_grouped_by_cadence(cadence_s: float, expected: str) -> None:
    assert input_of(night_of(cadence_s, measured()), ["beats"]) == expected


def test_an_input_that_the_night_lacks_or_the_network_does_not_read_is_not_named() -> None:
    assert input_of(night_of(0.0, measured()), ["ecg", "beats"]) == "heartbeats"
    both = night_of(0.0, measured(), with_ecg=True)
    assert input_of(both, ["ecg", "beats"]) == "ECG + heartbeats"
    assert input_of(both, ["ecg"]) == "ECG"
    assert input_of(both, []) == ""


def test_the_cadence_of_an_older_store_is_recognised_from_its_heartbeats() -> None:
    assert input_of(night_of(None, measured()), ["beats"]) == "heartbeats"
    averaged = averaged_beats(measured(), DEVICES["watch"], np.random.default_rng(0))
    assert input_of(night_of(None, averaged), ["beats"]) == "averaged heart rate, 3 to 8 s"


def test_an_averaged_heart_rate_is_corrected_by_the_class_bias_of_its_cadence(store: Path, tmp_path: Path) -> None:
    checkpoint = untrained(load_config(["night_ecg"], tiny_night(store, tmp_path)), 64)
    bias = {"5": [0.0, 0.0, 0.0], "60": [1.0, 0.0, -1.0]}
    for name, given in (("plain", {}), ("corrected", bias)):
        save_checkpoint(tmp_path / f"{name}.pt", replace(checkpoint, cadence_bias=given))
    plain, with_bias = (load_trained(tmp_path / f"{name}.pt") for name in ("plain", "corrected"))
    opened = Store(store)
    measured = opened.open(opened.recordings[0])
    info = replace(measured.info, beats=replace(measured.info.beats, cadence_s=60.0))
    averaged = replace(measured, info=info)
    for night, expected_bias in ((measured, {}), (averaged, bias)):
        (before,), (after,) = (network_predictions(network, [night]) for network in (plain, with_bias))
        np.testing.assert_allclose(after.probabilities, corrected(before.probabilities, expected_bias, 60.0), atol=1e-6)
    assert np.abs(after.probabilities - before.probabilities).max() > 0.1
    (of_ecg,), (expected,) = (network_predictions(x.with_inputs(["ecg"]), [averaged]) for x in (with_bias, plain))
    np.testing.assert_array_equal(of_ecg.probabilities, expected.probabilities)


def test_predictions_have_the_age_and_sex_of_the_store(tmp_path: Path) -> None:
    night = made_store(tmp_path, {"a": hypnogram([0.0, 30.0])}, {}).open("a")
    night = replace(night, info=replace(night.info, age=44.0, sex="M"))
    found = predictions_of(night, "a", np.array([1]), np.ones((1, 4), np.float32) / 4, 4)
    assert (found.age, found.sex) == (44.0, "M")
