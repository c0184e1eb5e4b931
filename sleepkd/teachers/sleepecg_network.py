"""The network of SleepECG's classifiers of W, NREM and REM, read from their HDF5 weights, without Keras.

Features (N, 36) of a night → batch normalisation → a dense layer → two bidirectional GRUs → probabilities (N, 4).
"""

import io
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
import yaml
from torch import Tensor, nn

FEATURES, DENSE, UNITS, OUTPUTS = 36, 64, 8, 4
GATES_OF_KERAS = (1, 0, 2)
"""The order of the gates of torch (reset, update, new) among those of Keras (update, reset, new)."""


class SleepEcgNetwork(nn.Module):
    """Features (N, 36) float32 of the 30-s epochs of a night → logits (N, 4) of undefined, NREM, REM, W.

    Keras' layer of this network that masks epochs whose features are all missing has no counterpart: two of the
    features (counts of differences of RR intervals) are 0, never missing, in an epoch without heartbeats.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(FEATURES, eps=1e-3)
        self.dense = nn.Linear(FEATURES, DENSE)
        self.recurrent = nn.GRU(DENSE, UNITS, num_layers=2, bidirectional=True)
        self.classify = nn.Linear(2 * UNITS, OUTPUTS)

    @property
    def training_means(self) -> np.ndarray:
        """Means (36,) of the features over the training nights, from the batch normalisation."""
        return self.norm.get_buffer("running_mean").numpy()

    @property
    def training_sds(self) -> np.ndarray:
        """Standard deviations (36,) of the features over the training nights."""
        return np.sqrt(self.norm.get_buffer("running_var").numpy())

    def forward(self, features_NF: Tensor) -> Tensor:
        """Logits (N, 4)."""
        states, _ = self.recurrent(torch.relu(self.dense(self.norm(features_NF))))
        return self.classify(states)


def load_sleepecg(name: str) -> tuple[SleepEcgNetwork, dict[str, Any]]:
    """A classifier that the package sleepecg ships, in evaluation mode, and the parameters of its features.

    name: for example "wrn-gru-mesa". Raises ValueError where it is not a network of this kind.
    """
    spec = find_spec("sleepecg")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'sleepecg'", name="sleepecg")
    with ZipFile(Path(spec.origin).parent / "classifiers" / f"{name}.zip") as archive:
        info = yaml.safe_load(archive.read("info.yml"))
        with ZipFile(io.BytesIO(archive.read("classifier.keras"))) as inner:
            layers = [layer["class_name"] for layer in json.loads(inner.read("config.json"))["config"]["layers"]]
            weights = inner.read("model.weights.h5")
    expected = ["InputLayer", "Masking", "BatchNormalization", "Dense", "ReLU", *["Bidirectional"] * 2, "Dense"]
    if info["stages_mode"] != "wake-rem-nrem" or layers != expected:
        raise ValueError(f"sleepecg's classifier {name} is another network than that of version 0.6")
    network = SleepEcgNetwork()
    network.load_state_dict(keras_weights(weights))
    return network.eval().requires_grad_(False), info["feature_extraction_params"]


def keras_weights(content: bytes) -> dict[str, Tensor]:
    """The state of `SleepEcgNetwork` in the content of a model.weights.h5 of Keras 3."""
    import h5py

    with h5py.File(io.BytesIO(content)) as file:

        def read(layer: str, number: int) -> Tensor:
            return torch.from_numpy(np.asarray(file[f"layers/{layer}/vars/{number}"], dtype=np.float32))

        norm = ("weight", "bias", "running_mean", "running_var")
        state = {f"norm.{part}": read("batch_normalization", number) for number, part in enumerate(norm)}
        state["norm.num_batches_tracked"] = torch.tensor(0)
        for name, layer in (("dense", "dense"), ("classify", "dense_1")):
            state |= {f"{name}.weight": read(layer, 0).T, f"{name}.bias": read(layer, 1)}
        for number, layer in enumerate(("bidirectional", "bidirectional_1")):
            for part, ending in (("forward_layer", ""), ("backward_layer", "_reverse")):
                kernel, recurrent, biases = (read(f"{layer}/{part}/cell", k) for k in range(3))
                of_torch = {"weight_ih": kernel.T, "weight_hh": recurrent.T, "bias_ih": biases[0], "bias_hh": biases[1]}
                for parameter, value in of_torch.items():
                    state[f"recurrent.{parameter}_l{number}{ending}"] = _gates(value)
    return state


def _gates(of_keras: Tensor) -> Tensor:
    """The rows (3 units, …) of a parameter in the order of torch's gates."""
    return of_keras.reshape(3, UNITS, -1)[list(GATES_OF_KERAS)].reshape(of_keras.shape)
