"""A night network as an ONNX file that runs without this project, and what it needs to say of itself."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import Tensor, nn

from sleepkd.checkpoints.trained import NETWORK, TrainedNetwork
from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.data.inputs import BeatsInput
from sleepkd.data.segments import Segments
from sleepkd.data.views import TOKEN_SECONDS
from sleepkd.errors import UserError
from sleepkd.prediction.model import Model

OUTPUT = "logits"
TRACED_TOKENS, CHECKED_TOKENS = 60, (8 * 360, 333)
LEAST_TOKENS, MOST_TOKENS = 2, 100_000
AGREES = 1e-4
"""The largest difference of a logit between onnxruntime and PyTorch that is let through."""


class Positional(nn.Module):
    """The network with its inputs as positions: ONNX has no dict."""

    def __init__(self, network: nn.Module, names: Sequence[str]):
        super().__init__()
        self.network, self.names = network, tuple(names)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Logits (1, tokens, K) of (1, 1, samples) or (1, 1, 3, samples) each."""
        return self.network(dict(zip(self.names, inputs, strict=True)))


def facts_of(model: Model, version: str) -> dict[str, str]:
    """The metadata of the file, as texts: classes, inputs (as JSON), temperature, seconds of a token, what is known of
    it, version."""
    trained = model.trained
    inputs = {
        name: asdict(item)
        | {"channels": 3 if isinstance(item, BeatsInput) else 1, "samples_per_token": round(TOKEN_SECONDS * item.rate)}
        for name, item in trained.inputs.items()
    }
    return {
        "classes": json.dumps(CLASS_NAMES[trained.config.data.classes]),
        "inputs": json.dumps(inputs),
        "temperature": f"{model.temperature:.6g}",
        "token_seconds": f"{TOKEN_SECONDS:g}",
        "about": " ".join(model.about),
        "sleepkd": version,
    }


def write_onnx(trained: TrainedNetwork, path: Path, facts: dict[str, str]) -> float:
    """Write the network, check it on whole nights, and return the largest difference of a logit.

    Raises UserError: no night network, or onnxruntime does not agree with PyTorch within AGREES and in every label.
    """
    if trained.config.data.view != "night":
        raise UserError(f"{trained.path}: sees {trained.config.data.view}; networks that see the night are exported")
    network, names = trained.network.eval(), list(trained.inputs)
    tokens = torch.export.Dim("tokens", min=LEAST_TOKENS, max=MOST_TOKENS)
    shapes = tuple({len(_shape(trained, name, 1)) - 1: _per_token(trained, name) * tokens} for name in names)
    with _quiet():
        program = torch.onnx.export(
            Positional(network, names),
            tuple(_example(trained, name, TRACED_TOKENS) for name in names),
            dynamo=True,
            verbose=False,
            dynamic_shapes=(shapes,),
            input_names=names,
            output_names=[OUTPUT],
        )
    model = program.model_proto
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return check_onnx(trained, path)


def check_onnx(trained: TrainedNetwork, path: Path, agrees: float = AGREES) -> float:
    """The largest difference of a logit over made-up nights. UserError above `agrees`, or where a label differs."""
    session, names = session_of(path), list(trained.inputs)
    largest = 0.0
    for tokens in CHECKED_TOKENS:
        inputs = {name: _example(trained, name, tokens) for name in names}
        with torch.no_grad():
            expected = trained.network(inputs).numpy()
        (found,) = session.run(None, {name: x.numpy() for name, x in inputs.items()})
        largest = max(largest, float(np.abs(found - expected).max()))
        if largest > agrees or (found.argmax(-1) != expected.argmax(-1)).any():
            path.unlink()
            raise UserError(f"{path}: onnxruntime differs from PyTorch by {largest:.2g}; nothing is left of it")
    return largest


def quantise(source: Path, target: Path, segments: Segments) -> None:
    """An int8 file of a float one, its ranges taken from nights (static quantisation, symmetric weights by channel)."""

    class Nights(CalibrationDataReader):
        def __init__(self) -> None:
            self._rows = rows_of(segments)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._rows, None)

    with _quiet():
        quantize_static(
            source,
            target,
            Nights(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
        )


def rows_of(segments: Segments) -> Iterator[dict[str, np.ndarray]]:
    """What the network sees of each row, one at a time."""
    for row in range(len(segments)):
        batch = segments[np.array([row])]
        yield {name: x.numpy() for name, x in batch.inputs[NETWORK].items()}


def predictor(path: Path) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """A file as a function: inputs by name → logits (1, tokens, K)."""
    session = session_of(path)
    return lambda inputs: session.run(None, inputs)[0]


def session_of(path: Path) -> onnxruntime.InferenceSession:
    """A file, ready to run on one core of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _per_token(trained: TrainedNetwork, name: str) -> int:
    return round(TOKEN_SECONDS * trained.inputs[name].rate)


def _shape(trained: TrainedNetwork, name: str, tokens: int) -> tuple[int, ...]:
    return 1, 1, *trained.inputs[name].shape(TOKEN_SECONDS * tokens)


def _example(trained: TrainedNetwork, name: str, tokens: int) -> Tensor:
    """Noise, with a stretch in which the input is absent."""
    drawn = torch.randn(_shape(trained, name, tokens), generator=torch.Generator().manual_seed(tokens))
    per = _per_token(trained, name)
    drawn[..., per * (tokens // 3) : per * (tokens // 3 + 2)] = 0
    return drawn


class _quiet:
    """Exporters talk a lot."""

    def __enter__(self) -> None:
        self._level = logging.root.manager.disable
        logging.disable(logging.WARNING)
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, *raised: Any) -> None:
        self._warnings.__exit__(*raised)
        logging.disable(self._level)
