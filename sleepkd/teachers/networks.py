"""A teacher that is one trained network, or an ensemble of several."""

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import nn

from sleepkd.checkpoints.temperature import read_temperature
from sleepkd.checkpoints.trained import TrainedNetwork, load_teacher
from sleepkd.data.inputs import InputSpec
from sleepkd.data.segments import Batch
from sleepkd.errors import UserError
from sleepkd.losses.loss import NetworkOutput, merged_logits
from sleepkd.models.taps import Taps
from sleepkd.settings import Config
from sleepkd.teachers.base import TEACHER, Teacher


class TrainedTeacher(Teacher):
    """One trained network, or the weighted mean of the probabilities of several; frozen, in evaluation mode.

    weights: one per network, summing to 1. temperatures: divide the logits of each network. classes: those of the
    network that has fewest; probabilities of the others are merged to them.
    """

    has_features = True

    def __init__(self, members: Sequence[TrainedNetwork], weights: Sequence[float], temperatures: Sequence[float]):
        self.members = tuple(members)
        self.weights, self.temperatures = tuple(weights), tuple(temperatures)
        self.networks: list[nn.Module] = [member.network for member in self.members]
        self.readers: dict[str, InputSpec] = {}
        self._reader_of: list[str] = []
        for member in self.members:
            same = [name for name, spec in self.readers.items() if spec == member.inputs]
            name = same[0] if same else f"{TEACHER} {len(self.readers) + 1}" if self.readers else TEACHER
            self.readers[name] = member.inputs
            self._reader_of.append(name)
        needing = {
            name for name, member in zip(self._reader_of, self.members, strict=True) if not member.learnt_absence
        }
        self.may_lack = frozenset(self.readers.keys() - needing)
        self._taps: Taps | None = None
        self.classes: int = min(member.config.data.classes for member in self.members)

    @classmethod
    def build(cls, config: Config, student: nn.Module, inputs: InputSpec) -> "TrainedTeacher":
        """The networks that `stage.teacher` names. Raises UserError: no checkpoint, other classes or view, no kappa."""
        members = [load_teacher(config, name) for name in config.stage.teachers]
        temperature = config.distill.trust.temperature
        fitted = temperature == "fitted"
        temperatures = [read_temperature(member.path) if fitted else float(temperature) for member in members]
        return cls(members, _ensemble_weights(config, members), temperatures)

    def __str__(self) -> str:
        return " and ".join(str(member.path) for member in self.members)

    @property
    def trained_on(self) -> dict[str, list[str]]:
        """{cohort/recording: digests} of the nights that the networks were trained on."""
        return {key: digests for member in self.members for key, digests in member.trained_on.items()}

    def tap(self, paths: tuple[str, ...], key: str, view: str) -> dict[str, tuple[int, ...]]:
        """Register forward hooks; returns feature shapes. Raises UserError for the features of an ensemble."""
        if paths and len(self.members) > 1:
            raise UserError(f"{key}: needs the features of one network; stage.teacher names {len(self.members)}")
        self._taps = Taps(self.networks[0], paths, key) if paths else None
        return self._taps.shapes(self.readers[TEACHER], view) if self._taps else {}

    def output(self, batch: Batch) -> NetworkOutput:
        """The network's logits and features, or the logarithm of the ensemble's mean probability."""
        logits = [
            batch.per_sleep_epoch(network(batch.inputs[reader])) / temperature
            for network, reader, temperature in zip(self.networks, self._reader_of, self.temperatures, strict=True)
        ]
        features = self._taps.pop() if self._taps else {}
        if len(logits) == 1:
            return NetworkOutput(logits[0], features)
        weighted = [
            merged_logits(x, self.classes).log_softmax(dim=-1) + math.log(weight)
            for x, weight in zip(logits, self.weights, strict=True)
            if weight
        ]
        return NetworkOutput(torch.stack(weighted).logsumexp(dim=0), features)

    def identity(self) -> str:
        """A digest of the weights of all networks and the temperatures."""
        digest = hashlib.sha256(str((self.weights, self.temperatures)).encode())
        for network in self.networks:
            for name, value in network.state_dict().items():
                digest.update(name.encode() + value.detach().to("cpu").double().numpy().tobytes())
        return digest.hexdigest()


def _ensemble_weights(config: Config, members: Sequence[TrainedNetwork]) -> list[float]:
    """Weights that sum to 1: equal, or proportional to validation kappa."""
    if config.distill.ensemble == "equal" or len(members) == 1:
        return [1 / len(members)] * len(members)
    kappas = []
    for member in members:
        kappa = (member.checkpoint.scores or {}).get("kappa")
        if kappa is None or not kappa > 0:
            raise UserError(
                f"{member.path}: has no validation kappa above 0 for its weight; set distill.ensemble: equal"
            )
        kappas.append(float(kappa))
    return [kappa / sum(kappas) for kappa in kappas]
