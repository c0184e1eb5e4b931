"""SleepECG as a teacher: its network against Keras and against numpy, and the nights that it knows nothing of."""

import io
import warnings
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import sleepecg
import torch
from sklearn.metrics import cohen_kappa_score
from sleepecg.io.sleep_readers import Gender, SubjectData

from launch import REPOSITORY
from sleepkd import prepare, pseudo_label
from sleepkd.data.beats import median_interval
from sleepkd.data.hypnogram import UNSCORED, Hypnogram, merge_labels
from sleepkd.data.pseudo_labels import read_pseudo_labels
from sleepkd.data.recording_info import BeatsInfo, RecordingInfo
from sleepkd.data.store import Night, Store, StoreSettings
from sleepkd.data.store_writing import create_store, write_recording
from sleepkd.teachers.sleepecg import CLASSIFIER, SleepEcgTeacher, night_features, subject_features
from sleepkd.teachers.sleepecg_network import SleepEcgNetwork, keras_weights, load_sleepecg

N = 20
ONSET = 60.0
_n = np.arange(900)
BEATS = 15 + np.cumsum(0.9 + 0.08 * np.sin(2 * np.pi * _n / 5) + 0.05 * np.sin(2 * np.pi * _n / 70) + 0.15 * (_n > 500))
KERAS = {
    0: (0.790502, 0.180039, 0.029459),
    5: (0.875565, 0.114671, 0.009764),
    10: (0.882682, 0.108906, 0.008412),
    15: (0.871346, 0.120304, 0.008350),
    19: (0.671097, 0.296567, 0.032336),
}
"""W, NREM, REM of some of the twenty 30-s epochs from 60 s on, by Keras 3.15 (backend torch) and sleepecg 0.6.0:

    clf = sleepecg.load_classifier("wrn-gru-mesa", "SleepECG")
    record = sleepecg.SleepRecord(sleep_stages=np.zeros(20), sleep_stage_duration=30, heartbeat_times=BEATS - 60)
    x = sleepecg.extract_features([record], **clf.feature_extraction_params)[0][0]
    x[:, 33:] = clf.model.layers[1].moving_mean[33:]
    x[~np.isfinite(x)] = -1
    p = clf.model.predict(x[None])[0]
    p[:, [3, 1, 2]] / p[:, 1:].sum(axis=1, keepdims=True)
"""


OWN: dict[str, Any] = {"age": 61.0, "sex": "F", "start_time": "22:30:05"}
KERAS_WITH_OWN = {
    0: (0.777840, 0.193053, 0.029106),
    5: (0.870827, 0.120214, 0.008959),
    10: (0.878607, 0.113750, 0.007642),
    15: (0.865778, 0.126342, 0.007880),
    19: (0.667128, 0.301090, 0.031782),
}
"""The same by Keras for a woman of 61 years from 22:30:05 on, without the line of x[:, 33:], the record with:

    recording_start_time=datetime.time(22, 30, 5), subject_data=SubjectData(gender=0, age=61)
"""


def stored(
    path: Path, beats: np.ndarray | None, cadence_s: float | None = 0.0, seconds: float = 30.0, **facts: Any
) -> Night:
    """A night of ten minutes from 60 s on with these heartbeats, in a store of its own."""
    create_store(path, StoreSettings("made up", 100.0))
    count = round(N * 30 / seconds)
    onsets = ONSET + seconds * np.arange(count)
    hypnogram = Hypnogram(onsets, np.full(count, seconds), np.full(count, UNSCORED, np.int8))
    of_beats, quality = None, None
    if beats is not None:
        of_beats = BeatsInfo("beats.txt", len(beats), median_interval(beats), cadence_s=cadence_s)
        quality = np.array([np.any((beats >= t) & (beats < t + seconds)) for t in onsets], dtype=np.float32)
    info = RecordingInfo(
        recording="a", subject="a", subset="all", standard="aasm", source="a.edf", scoring="", seconds=900.0,
        signals={}, ignored_annotations={}, beats=of_beats, **facts,
    )  # fmt: skip
    write_recording(path, info, {}, hypnogram, beats, quality)
    return Store(path).open("a")


def test_probabilities_are_those_of_keras(tmp_path: Path) -> None:
    found = SleepEcgTeacher.stage_night(stored(tmp_path / "store", BEATS))
    assert found.shape == (N, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found[list(KERAS)], list(KERAS.values()), atol=1e-4)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)


def test_probabilities_with_age_sex_and_time_of_day_are_those_of_keras(tmp_path: Path) -> None:
    found = SleepEcgTeacher.stage_night(stored(tmp_path / "store", BEATS, **OWN))
    np.testing.assert_allclose(found[list(KERAS_WITH_OWN)], list(KERAS_WITH_OWN.values()), atol=1e-4)


def test_features_are_those_of_the_library(tmp_path: Path) -> None:
    night = stored(tmp_path / "store", BEATS, **OWN)
    network, parameters = load_sleepecg(CLASSIFIER)
    record = sleepecg.SleepRecord(
        sleep_stages=np.zeros(N), sleep_stage_duration=30, heartbeat_times=night.beats() - ONSET,
        recording_start_time=time(22, 30, 5), subject_data=SubjectData(gender=Gender.FEMALE, age=61),
    )  # fmt: skip
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
        expected = sleepecg.extract_features([record], **parameters)[0][0]
    expected[~np.isfinite(expected)] = -1
    found = night_features(night, parameters, network.training_means, network.training_sds)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found[0, -3:].tolist() == [81005.0, 61.0, 0.0]


MEANS, SDS = np.array([77000.0, 69.0, 0.45]), np.array([5700.0, 9.0, 0.5])


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, (77000, 69, 0.45)),
        ({"age": 70.0}, (77000, 70, 0.45)),
        ({"sex": "M"}, (77000, 69, 1)),
        ({"age": 30.0, "sex": "F"}, (77000, 51, 0)),  # two standard deviations below the mean
        ({"start_time": "18:30:00"}, (66600, 69, 0.45)),
        ({"start_time": "00:05:30"}, (86730, 69, 0.45)),  # 24:05:30
        ({"start_time": "03:00:00"}, (88400, 69, 0.45)),  # 27:00:00 is limited, too
        ({"start_time": "12:00:00"}, (65600, 69, 0.45)),
    ],
)
def test_unknown_facts_are_means_and_others_are_limited(facts: dict[str, Any], expected: tuple[float, ...]) -> None:
    info = RecordingInfo("a", "a", "all", "aasm", "a.edf", "", 900.0, {}, {}, **facts)
    np.testing.assert_allclose(subject_features(info, MEANS, SDS), expected)


def test_means_and_standard_deviations_are_those_of_the_weights() -> None:
    """Of 1,971 people of 54 and more years, about half of them men, whose nights began at 21:21 on average."""
    network, _ = load_sleepecg(CLASSIFIER)
    np.testing.assert_allclose(network.training_means[-3:], [76865.984, 69.148514, 0.457838], rtol=1e-6)
    np.testing.assert_allclose(network.training_sds[-3:], [5730, 8.8717, 0.49022], rtol=1e-4)


SLPDB = REPOSITORY.parent / "shared" / "data" / "slpdb"


@pytest.mark.skipif(not SLPDB.is_dir(), reason="the real nights (shared/data) are not here")
@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of wfdb
def test_a_night_of_slpdb(tmp_path: Path) -> None:
    """A man of 49 from eleven minutes past midnight on: the library's own features would be far from all others."""
    (tmp_path / "raw").mkdir()
    for path in SLPDB.glob("slp60.*"):
        (tmp_path / "raw" / path.name).symlink_to(path.resolve())
    arguments = ["--dataset", "slpdb_beats", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "store")]
    assert prepare.main(arguments) == 0
    night = Store(tmp_path / "store").open("slp60")
    without = replace(night, info=replace(night.info, age=None, sex=None, start_time=""), _maps={})
    kappas = [kappa_of(SleepEcgTeacher.stage_night(one), night) for one in (night, without)]
    assert kappas == [pytest.approx(0.084, abs=0.02), pytest.approx(-0.019, abs=0.02)]


def kappa_of(probabilities: np.ndarray, night: Night) -> float:
    """Cohen's kappa of W, NREM and REM, over the sleep epochs that the classifier knows."""
    known = np.isfinite(probabilities).all(axis=1)
    labels = merge_labels(night.hypnogram.labels, 3)[known]
    return float(cohen_kappa_score(labels[labels >= 0], probabilities[known].argmax(axis=1)[labels >= 0]))


def test_a_sleep_epoch_of_20_s_gets_the_mean_over_the_30_s_that_it_overlaps(tmp_path: Path) -> None:
    of_30_s = SleepEcgTeacher.stage_night(stored(tmp_path / "aasm", BEATS))
    of_20_s = SleepEcgTeacher.stage_night(stored(tmp_path / "rk", BEATS, seconds=20.0))
    expected = [of_30_s[0], (of_30_s[0] + of_30_s[1]) / 2, of_30_s[1]]
    np.testing.assert_allclose(of_20_s[:3], expected, atol=1e-6)


AVERAGED = np.cumsum(np.repeat(60 / np.random.default_rng(0).integers(50, 80, 30), 30))


@pytest.mark.parametrize(
    ("beats", "cadence_s"),
    [(None, None), (BEATS, 5.0), (AVERAGED, None), (BEATS[:1], 0.0), (np.array([1000.0, 1001, 1002]), 0.0)],
)
def test_it_knows_nothing_of_a_night_without_measured_heartbeats(
    tmp_path: Path, beats: np.ndarray | None, cadence_s: float | None
) -> None:
    """None, an averaged heart rate (stated, or recognised in an older store), one beat, none in the hypnogram."""
    found = SleepEcgTeacher.stage_night(stored(tmp_path / "store", beats, cadence_s))
    assert found.shape == (N, 3) and np.isnan(found).all()


def test_sleep_epochs_without_heartbeats_are_unknown_and_the_others_are_not(tmp_path: Path) -> None:
    gap = BEATS[(BEATS < ONSET + 150) | (BEATS > ONSET + 300)]
    found = SleepEcgTeacher.stage_night(stored(tmp_path / "store", gap))
    assert np.isnan(found).any(axis=1).tolist() == [5 <= k < 10 for k in range(N)]
    assert np.isfinite(found[:5]).all()


def test_the_command_computes_them_and_scores_what_it_knows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known, silent = (stored(tmp_path / name, beats) for name, beats in (("known", BEATS), ("silent", None)))
    for flag, night in (("--teacher", known), ("--model", silent)):
        store = night.folder.parents[1]
        path = night.folder / "hypnogram.tsv"
        path.write_text(path.read_text().replace("unscored", "W", 12))
        info = night.folder / "recording.json"
        info.write_text(info.read_text().replace('"scoring": ""', '"scoring": "a.txt"'))
        assert pseudo_label.main([str(store), flag, "sleepecg", "--classes", "4"]) == 0
    printed = capsys.readouterr().out
    assert read_pseudo_labels("sleepecg", known).shape == (N, 3)
    assert "1 labelled nights, 12 sleep epochs" in printed and "F1 W" in printed and "NREM" in printed
    assert "sleepecg knows nothing of 1 nights" in printed and "no labelled nights with pseudo-labels" in printed


# --- The network


def written(rng: np.random.Generator) -> tuple[bytes, dict[str, np.ndarray]]:
    """Random weights in a file laid out as Keras 3 lays out this network, and the same by path."""
    shapes: dict[str, tuple[int, ...]] = {f"batch_normalization/vars/{k}": (36,) for k in range(4)}
    shapes |= {"dense/vars/0": (36, 64), "dense/vars/1": (64,), "dense_1/vars/0": (16, 4), "dense_1/vars/1": (4,)}
    for layer, width in (("bidirectional", 64), ("bidirectional_1", 16)):
        for part in ("forward_layer", "backward_layer"):
            for number, shape in enumerate(((width, 24), (8, 24), (2, 24))):
                shapes[f"{layer}/{part}/cell/vars/{number}"] = shape
    weights = {path: rng.normal(scale=0.5, size=shape).astype(np.float32) for path, shape in shapes.items()}
    weights["batch_normalization/vars/3"] = np.abs(weights["batch_normalization/vars/3"])
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for path, value in weights.items():
            file[f"layers/{path}"] = value
    return content.getvalue(), weights


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gru(x: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """States (N, 8) of Keras' GRU with reset_after: gates update, reset, new; a bias of the input and of the state."""
    h, states = np.zeros(8), []
    for of_input in x @ kernel + bias[0]:
        of_state = h @ recurrent + bias[1]
        update = sigmoid(of_input[:8] + of_state[:8])
        reset = sigmoid(of_input[8:16] + of_state[8:16])
        new = np.tanh(of_input[16:] + reset * of_state[16:])
        h = update * h + (1 - update) * new
        states.append(h)
    return np.array(states)


def test_the_network_is_that_of_keras_formulas_in_numpy() -> None:
    content, weights = written(np.random.default_rng(1))
    network = SleepEcgNetwork()
    network.load_state_dict(keras_weights(content))
    network.eval().double()
    x = np.random.default_rng(2).normal(size=(7, 36))
    gamma, beta, mean, variance = (weights[f"batch_normalization/vars/{k}"].astype(float) for k in range(4))
    h = gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta
    h = np.maximum(h @ weights["dense/vars/0"] + weights["dense/vars/1"], 0)
    for layer in ("bidirectional", "bidirectional_1"):
        forward, backward = (
            [weights[f"{layer}/{part}/cell/vars/{k}"].astype(float) for k in range(3)]
            for part in ("forward_layer", "backward_layer")
        )
        h = np.concatenate([gru(h, *forward), gru(h[::-1], *backward)[::-1]], axis=1)
    expected = h @ weights["dense_1/vars/0"] + weights["dense_1/vars/1"]
    with torch.no_grad():
        np.testing.assert_allclose(network(torch.from_numpy(x)), expected, rtol=1e-9)


def test_one_step_of_the_gru_by_hand() -> None:
    """Zero weights but three biases: update σ(1), reset σ(-1), new tanh(0.5 + σ(-1) 2); the state starts at 0."""
    content, _ = written(np.random.default_rng(0))
    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        for path in list(file["layers"]):
            file[f"layers/{path}"].visititems(lambda _, x: x.write_direct(0 * x[:]) if hasattr(x, "shape") else None)
        bias = file["layers/bidirectional/forward_layer/cell/vars/2"]
        bias[0, 0], bias[0, 8], bias[0, 16], bias[1, 16] = 1.0, -1.0, 0.5, 2.0
    state = keras_weights(buffer.getvalue())
    cell = torch.nn.GRU(64, 8)
    cell.load_state_dict(
        {f"{name}_l0": state[f"recurrent.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    )
    first = cell(torch.zeros(1, 64))[0][0]
    expected = (1 - 1 / (1 + np.exp(-1))) * np.tanh(0.5 + 2 / (1 + np.e))
    assert first[0].item() == pytest.approx(expected, rel=1e-6) and not first[1:].any()


def test_another_classifier_is_refused() -> None:
    with pytest.raises(ValueError, match="ws-gru-mesa is another network"):
        load_sleepecg("ws-gru-mesa")
