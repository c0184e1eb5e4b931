"""Who teaches: a trained network or several, the student's own moving average, or a stager of another library."""

import copy
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sleepkd.data.inputs import InputSpec
from sleepkd.data.windows import Batch, Windows
from sleepkd.distillation.settings import OWN_AVERAGE, Config
from sleepkd.distillation.stagers import STAGERS, compute_answers, logits_of_rows
from sleepkd.distillation.taps import Taps
from sleepkd.distillation.terms import Output
from sleepkd.distillation.terms.term import precise
from sleepkd.distillation.trained import TrainedNetwork, load_teacher
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.training.temperature import read_temperature

TEACHER = "teacher"
STAGED = "stager.logits"
"""What rows bring of a stager's answers, among `Windows.taught`."""


class Trained:
    """One trained network, or several whose probabilities are averaged; frozen, in evaluation mode.

    weights: of each, None for all alike. A temperature divides the logits of each. Only one by itself has features.
    """

    def __init__(self, members: Sequence[TrainedNetwork], weights: Sequence[float], temperatures: Sequence[float]):
        self.members = tuple(members)
        self.weights, self.temperatures = tuple(weights), tuple(temperatures)
        self.networks = [member.network for member in self.members]
        self.readers: dict[str, InputSpec] = {}
        self._reader: list[str] = []
        for member in self.members:
            same = [name for name, spec in self.readers.items() if spec == member.inputs]
            name = same[0] if same else f"{TEACHER} {len(self.readers) + 1}" if self.readers else TEACHER
            self.readers[name] = member.inputs
            self._reader.append(name)
        self._taps: Taps | None = None

    def __str__(self) -> str:
        return " and ".join(str(member.path) for member in self.members)

    def tap(self, paths: tuple[str, ...], key: str) -> Taps:
        """Catch features of these modules from now on. Raises UserError where it is not one network."""
        if len(self.members) > 1:
            raise UserError(f"{key}: needs the features of one network; stage.teacher names {len(self.members)}")
        self._taps = Taps(self.networks[0], paths, key)
        return self._taps

    def answer(self, batch: Batch) -> Output:
        """The one's logits, or the logarithm of the mean probability."""
        said = [
            batch.per_sleep_epoch(network(batch.inputs[reader])) / temperature
            for network, reader, temperature in zip(self.networks, self._reader, self.temperatures, strict=True)
        ]
        features = self._taps.pop() if self._taps else {}
        if len(said) == 1:
            return Output(said[0], features)
        weighted = [
            x.log_softmax(dim=-1) + math.log(weight) for x, weight in zip(said, self.weights, strict=True) if weight
        ]
        return Output(torch.stack(weighted).logsumexp(dim=0), features)

    def identity(self) -> str:
        """A digest of weights and temperatures."""
        found = hashlib.sha256(str((self.weights, self.temperatures)).encode())
        for network in self.networks:
            for name, value in network.state_dict().items():
                found.update(name.encode() + value.detach().to("cpu").double().numpy().tobytes())
        return found.hexdigest()


class OwnAverage:
    """The moving average of the student's weights, which sees every row as it is while the student's is augmented."""

    def __init__(self, student: nn.Module, inputs: InputSpec):
        self.networks: list[nn.Module] = [copy.deepcopy(student).eval().requires_grad_(False)]
        self.readers = {TEACHER: inputs}

    def __str__(self) -> str:
        return "the moving average of its own weights"

    def follow(self, average: nn.Module) -> None:
        """Answer by this network, which the loop updates, from now on."""
        self.networks = [average.eval().requires_grad_(False)]

    def answer(self, batch: Batch) -> Output:
        """Its logits."""
        return Output(batch.per_sleep_epoch(self.networks[0](batch.inputs[TEACHER])), {})


class Staged:
    """A stager of another library, whose answers lie in the nights' stores."""

    networks: Sequence[nn.Module] = ()

    def __init__(self, stager: str, temperature: float):
        self.stager, self.temperature = stager, temperature
        self.readers: dict[str, InputSpec] = {}

    def __str__(self) -> str:
        return self.stager

    def prepare(self, windows: Windows, folder: Path, processes: Processes) -> None:
        """Let batches of these windows bring its answers, from a file in `folder`; nights not staged yet are staged."""
        compute_answers(self.stager, windows.nights, processes)
        path = folder / f"{STAGED}.npy"
        if processes.is_first:
            folder.mkdir(parents=True, exist_ok=True)
            np.save(path, logits_of_rows(self.stager, windows))
        processes.wait()
        windows.taught = {STAGED: path}

    def answer(self, batch: Batch) -> Output:
        """Logarithms of its probabilities."""
        return Output(batch.taught[STAGED] / self.temperature, {})


Teacher = Trained | OwnAverage | Staged
"""readers: what batches must bring for it, each reader beginning with TEACHER; networks: to be moved, and compiled."""


def teacher_of(config: Config, student: nn.Module, inputs: InputSpec) -> Teacher:
    """Whoever `stage.teacher` names. Raises UserError: no such checkpoint, other classes or view, no temperature."""
    named, trust = config.stage.teachers, config.distill.trust
    if named == (OWN_AVERAGE,):
        return OwnAverage(student, inputs)
    if named[0] in STAGERS:
        return Staged(named[0], float(trust.temperature))
    members = [load_teacher(config, name) for name in named]
    fitted = trust.temperature == "fitted"
    temperatures = [read_temperature(member.path) if fitted else float(trust.temperature) for member in members]
    return Trained(members, _weights(config, members), temperatures)


def _weights(config: Config, members: Sequence[TrainedNetwork]) -> list[float]:
    """That sum to 1: all alike, or by the kappa that each had on its validation nights."""
    if config.distill.ensemble == "alike" or len(members) == 1:
        return [1 / len(members)] * len(members)
    kappas = []
    for member in members:
        kappa = (member.checkpoint.scores or {}).get("kappa")
        if kappa is None or not kappa > 0:
            raise UserError(
                f"{member.path}: has no validation kappa above 0 to weigh it by; set distill.ensemble: alike"
            )
        kappas.append(float(kappa))
    return [kappa / sum(kappas) for kappa in kappas]


def certain(logits_BNK: Tensor, least: float) -> Tensor:
    """(B, n) bool: where the most likely class has at least this probability."""
    return precise(logits_BNK).softmax(dim=-1).amax(dim=-1) >= least
