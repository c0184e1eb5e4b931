"""SleepECG as a teacher: its network against Keras and against numpy, and the nights that it knows nothing of."""

import io
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from sleepkd import pseudo_label
from sleepkd.data.beats import median_interval
from sleepkd.data.hypnogram import UNSCORED, Hypnogram
from sleepkd.data.pseudo_labels import read_pseudo_labels
from sleepkd.data.recording_info import BeatsInfo, RecordingInfo
from sleepkd.data.store import Night, Store, StoreSettings
from sleepkd.data.store_writing import create_store, write_recording
from sleepkd.teachers.sleepecg import SleepEcgTeacher
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


def stored(path: Path, beats: np.ndarray | None, cadence_s: float | None = 0.0, seconds: float = 30.0) -> Night:
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
        signals={}, ignored_annotations={}, beats=of_beats,
    )  # fmt: skip
    write_recording(path, info, {}, hypnogram, beats, quality)
    return Store(path).open("a")


def test_probabilities_are_those_of_keras(tmp_path: Path) -> None:
    found = SleepEcgTeacher.stage_night(stored(tmp_path / "store", BEATS))
    assert found.shape == (N, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found[list(KERAS)], list(KERAS.values()), atol=1e-4)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)


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
