"""Export a night network to ONNX, quantize it to int8, and run it with onnxruntime."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import Tensor, nn

from sleepkd.checkpoints.trained import NETWORK, TrainedNetwork
from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.data.segments import Segments
from sleepkd.data.views import TOKEN_SECONDS
from sleepkd.errors import UserError
from sleepkd.prediction.model import Model

OUTPUT = "logits"
TRACED_TOKENS, CHECKED_TOKENS = 60, (8 * 360, 333)
MIN_TOKENS, MAX_TOKENS = 2, 100_000
MAX_DIFFERENCE = 1e-4
"""Largest allowed difference between a logit of onnxruntime and of PyTorch."""


class PositionalInputs(nn.Module):
    """A network that takes its inputs by position, since ONNX has no dict. names: of its inputs, in that order."""

    def __init__(self, network: nn.Module, names: Sequence[str]):
        super().__init__()
        self.network, self.names = network, tuple(names)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Logits (1, tokens, K) of inputs (1, 1, samples) or (1, 1, 3, samples)."""
        return self.network(dict(zip(self.names, inputs, strict=True)))


def onnx_metadata(model: Model, version: str) -> dict[str, str]:
    """The metadata of an ONNX file: classes, inputs and class bias by cadence (JSON), temperature,
    seconds of a token, about, version."""
    trained, inputs = model.trained, {}
    for name, item in trained.inputs.items():
        channels, samples = (1, *item.shape(TOKEN_SECONDS))[-2:]
        inputs[name] = asdict(item) | {"channels": channels, "samples_per_token": samples}
    return {
        "classes": json.dumps(CLASS_NAMES[trained.config.data.classes]),
        "inputs": json.dumps(inputs),
        "temperature": f"{model.temperature:.6g}",
        "cadence_bias": json.dumps(trained.checkpoint.cadence_bias),
        "token_seconds": f"{TOKEN_SECONDS:g}",
        "about": " ".join(model.about),
        "sleepkd": version,
    }


def write_onnx(trained: TrainedNetwork, path: Path, metadata: dict[str, str]) -> float:
    """Write a night network as ONNX and check it against PyTorch; returns the largest difference of a logit.

    Raises UserError: a network of another view, or a check that failed; the file is deleted then.
    """
    if trained.config.data.view != "night":
        raise UserError(f"{trained.path}: has data.view {trained.config.data.view}; export takes view night only")
    network, names = trained.network.eval(), list(trained.inputs)
    tokens = torch.export.Dim("tokens", min=MIN_TOKENS, max=MAX_TOKENS)
    shapes = tuple({len(_shape(trained, name, 1)) - 1: _samples_per_token(trained, name) * tokens} for name in names)
    with _quiet():
        program = torch.onnx.export(
            PositionalInputs(network, names),
            tuple(_example(trained, name, TRACED_TOKENS) for name in names),
            dynamo=True,
            verbose=False,
            dynamic_shapes=(shapes,),
            input_names=names,
            output_names=[OUTPUT],
        )
    assert program is not None  # torch returns None only with dynamo=False
    model = program.model_proto
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return check_onnx(trained, path)


def check_onnx(trained: TrainedNetwork, path: Path, max_difference: float = MAX_DIFFERENCE) -> float:
    """The largest difference of a logit between onnxruntime and PyTorch, on random nights of 8 h and of 55 min.

    Raises UserError, and deletes the file, above `max_difference` or if a predicted stage differs.
    """
    run, names = onnx_predictor(path), list(trained.inputs)
    largest = 0.0
    for tokens in CHECKED_TOKENS:
        inputs = {name: _example(trained, name, tokens) for name in names}
        with torch.no_grad():
            expected = trained.network(inputs).numpy()
        found = run({name: x.numpy() for name, x in inputs.items()})
        largest = max(largest, float(np.abs(found - expected).max()))
        if largest > max_difference or (found.argmax(-1) != expected.argmax(-1)).any():
            path.unlink()
            raise UserError(f"{path}: onnxruntime differs from PyTorch by {largest:.2g}; the file is deleted")
    return largest


def quantize(source: Path, target: Path, segments: Segments) -> None:
    """Quantize a float ONNX file to int8: static, symmetric, weights per channel, ranges from the given nights."""

    class Nights(CalibrationDataReader):
        def __init__(self) -> None:
            self._inputs = inputs_of_nights(segments)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._inputs, None)

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


def inputs_of_nights(segments: Segments) -> Iterator[dict[str, np.ndarray]]:
    """The network's inputs of each segment, one at a time, by name."""
    for row in range(len(segments)):
        batch = segments[np.array([row])]
        yield {name: x.numpy() for name, x in batch.inputs[NETWORK].items()}


def onnx_predictor(path: Path) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """An ONNX file as a function of inputs by name to logits (1, tokens, K), on one core of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)[0]


def _samples_per_token(trained: TrainedNetwork, name: str) -> int:
    return trained.inputs[name].shape(TOKEN_SECONDS)[-1]


def _shape(trained: TrainedNetwork, name: str, tokens: int) -> tuple[int, ...]:
    return 1, 1, *trained.inputs[name].shape(TOKEN_SECONDS * tokens)


def _example(trained: TrainedNetwork, name: str, tokens: int) -> Tensor:
    """Noise as an input, with zeros for a missing input in two of its tokens."""
    drawn = torch.randn(_shape(trained, name, tokens), generator=torch.Generator().manual_seed(tokens))
    samples = _samples_per_token(trained, name)
    drawn[..., samples * (tokens // 3) : samples * (tokens // 3 + 2)] = 0
    return drawn


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the warnings and log messages of the exporters."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
