"""Segments of nights, read in batches: the inputs of every network of a stage for the same segment."""

import copy
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from sleepkd.data.augment import Augment
from sleepkd.data.data_settings import DataConfig
from sleepkd.data.held_inputs import AbsentInputs, held_inputs
from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.data.inputs import Input, InputSpec
from sleepkd.data.pseudo_labels import known_sleep_epochs, segment_logits
from sleepkd.data.store import Night
from sleepkd.data.views import TOKEN_SECONDS, SegmentTable, segment_table
from sleepkd.errors import UserError

STUDENT = "student"
"""The reader name of the student in `Segments.readers`."""
MAX_TOKENS_PER_SLEEP_EPOCH = 12
"""Two minutes; scorings have sleep epochs of 20 or 30 s."""


class Batch(NamedTuple):
    """B segments of n sleep epochs.

    inputs: {reader: {signal: float32}}, (B, n, samples) in view `epochs`, (B, 1, samples) in view `night`; a signal of
    several channels has them before the samples. An absent one is 0.
    labels: int64 (B, n), -1 unscored. present: bool (B, n), false where a segment is padded (signal 0, unscored).
    token_spans: int64 (B, n, 2), first token and number of tokens of each sleep epoch; (B, n, 0) in view `epochs`.
    mask: bool (B, T), which tokens hold signal; (B, 0) in view `epochs`.
    targets: {name: (B, …)}, cached teacher targets, see `Segments.targets`.
    pseudo_labels: by model, log-probabilities (B, n, K); NaN where the model does not know a sleep epoch.
    silent: bool (B,), segments of nights on which the teacher is silent; None: none.
    """

    inputs: dict[str, dict[str, Tensor]]
    labels: Tensor
    present: Tensor
    token_spans: Tensor
    mask: Tensor
    targets: dict[str, Tensor]
    pseudo_labels: dict[str, Tensor] = {}  # noqa: RUF012 (never changed; a NamedTuple has no default factory)
    silent: Tensor | None = None

    def to(self, device: torch.device, dtype: torch.dtype) -> "Batch":
        """The batch on a device, its floating-point tensors in a dtype; copies from pinned memory do not block."""

        def move(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: x.to(device, dtype, non_blocking=True) for name, x in tensors.items()}

        return Batch(
            inputs={reader: move(signals) for reader, signals in self.inputs.items()},
            labels=self.labels.to(device, non_blocking=True),
            present=self.present.to(device, non_blocking=True),
            token_spans=self.token_spans.to(device, non_blocking=True),
            mask=self.mask.to(device, non_blocking=True),
            targets=move(self.targets),
            pseudo_labels=move(self.pseudo_labels),
            silent=None if self.silent is None else self.silent.to(device, non_blocking=True),
        )

    def with_teacher(self) -> "Batch":
        """The same batch with the segments on which the teacher is silent as padding."""
        if self.silent is None:
            return self
        heard_B1 = ~self.silent[:, None]
        return self._replace(present=self.present & heard_B1, mask=self.mask & heard_B1)

    def per_sleep_epoch(self, logits: Tensor) -> Tensor:
        """Logits per sleep epoch (B, n, K): in view `night`, the mean over the tokens of each sleep epoch."""
        if not self.token_spans.shape[-1]:
            return logits
        first, count = self.token_spans.unbind(-1)
        step = torch.arange(MAX_TOKENS_PER_SLEEP_EPOCH, device=logits.device)
        index_BNM = (first[..., None] + step).clamp_max(logits.shape[1] - 1)
        inside = (step < count[..., None]).to(logits.dtype)
        segment_B11 = torch.arange(len(logits), device=logits.device)[:, None, None]
        total = (logits[segment_B11, index_BNM] * inside[..., None]).sum(dim=2)
        return total / count.clamp(1, MAX_TOKENS_PER_SLEEP_EPOCH)[..., None]

    def positions(self, length: int) -> Tensor:
        """Which positions of a tapped feature (sequences, C, length) hold signal: bool (sequences, length).

        The sequences are the B * n inputs of view `epochs`, or the B segments of view `night`.
        """
        if not self.mask.shape[-1]:
            return self.present.flatten()[:, None].expand(-1, length)
        return F.interpolate(self.mask[:, None].float(), size=length, mode="nearest")[:, 0] > 0


class Segments(Dataset):
    """The segments of some nights as a dataset: index it with an array of segment indices to get a `Batch`.

    readers: the inputs of each network, by its part in the stage ("student", "teacher").
    scored_only: leaves out segments without a scored sleep epoch. unlabelled: keeps those of unlabelled recordings.
    augmented: the reader whose inputs `data.augment` changes, "" for none; draws depend on (seed, `epoch`, segment).
    pseudo_labels: names of the models whose pseudo-labels batches bring.
    absent: which readers take nights that lack some of their inputs; by default none.
    It holds indices and pseudo-labels; every loader process memory-maps the signals itself.
    Raises UserError: a night without a signal that a reader needs, or without any of its inputs; no segments.
    """

    def __init__(
        self,
        nights: Sequence[Night],
        readers: Mapping[str, InputSpec],
        data: DataConfig,
        unlabelled: bool = False,
        augmented: str = "",
        seed: int = 0,
        scored_only: bool = True,
        pseudo_labels: Iterable[str] = (),
        absent: AbsentInputs | None = None,
    ):
        self.nights, self.data = tuple(nights), data
        self.readers = dict(readers)
        self.augmented, self.seed, self.epoch = augmented if data.augment.is_on else "", seed, 0
        _check_drop_input(data, self.readers.get(augmented, {}))
        self.absent = absent or AbsentInputs()
        self._held = [held_inputs(night, self.readers, self.absent) for night in self.nights]
        self.table = segment_table(self.nights, self._held, data, scored_only, unlabelled, self.absent)
        teachers = self.absent.may_be_silent & self.readers.keys()
        silent = np.array([not teachers <= held.keys() for held in self._held], dtype=bool)
        if silent.any():
            self.table = replace(self.table, silent=silent[self.table.night])
        if scored_only and not len(self):
            named = ", ".join(night.key for night in self.nights[:8])
            raise UserError(f"{named}: no scored sleep epoch lies within the signals that are read")
        self.targets: dict[str, Path] = {}  # .npy arrays (segments, …) of cached teacher targets
        self._maps: dict[str, np.ndarray] = {}
        self._pseudo_labels: dict[str, np.ndarray] = {}
        for model in pseudo_labels:
            self.read_pseudo_labels(model)

    def read_pseudo_labels(self, model: str) -> int:
        """Let batches bring the pseudo-labels of a model; returns its number of classes, at most `data.classes`.

        The table records which sleep epochs the model knows.
        """
        if model not in self._pseudo_labels:
            logits = segment_logits(model, self.nights, self.table, self.data.classes)
            self._pseudo_labels[model] = logits
            known_SN = self.table.present & known_sleep_epochs(logits)
            self.table = replace(self.table, known=self.table.known | {model: known_SN})
        return self._pseudo_labels[model].shape[-1]

    def check_pseudo_labels(self) -> None:
        """Raise UserError for a model that knows none of the sleep epochs: nothing can be learnt from it."""
        for model, known_SN in self.table.known.items():
            if not known_SN.any():
                raise UserError(
                    f"{model}: no night of {self.nights[0].folder.parents[1]} or the other stores has pseudo-labels of "
                    f"it; run sleepkd pseudo-label STORE --model {model}, or write them with write_pseudo_labels"
                )

    def check_inputs(self) -> None:
        """Raise UserError for an input that no night holds, and for a teacher that is silent on all nights."""
        for reader in self.readers:
            counts = self.nights_with(reader)
            missing = [name for name, count in counts.items() if not count]
            if reader in self.absent.may_be_silent and not any(counts.values()):
                raise UserError(
                    f"stage.teacher: no training night holds the inputs of the teacher ({', '.join(counts)}); name "
                    "another teacher, or prepare the recordings with them"
                )
            if missing and reader not in self.absent.may_be_silent:
                raise UserError(
                    f"stage.inputs.{missing[0]}: no training night holds it; set it to false, or prepare the "
                    "recordings with it"
                )

    def nights_with(self, reader: str) -> dict[str, int]:
        """By input of a reader, the number of nights in the table on which it is read."""
        held = [self._held[night].get(reader, {}) for night in np.unique(self.table.night)]
        return {name: sum(name in spec for spec in held) for name in self.readers[reader]}

    def reading(self, readers: Mapping[str, InputSpec]) -> "Segments":
        """The same segments, of which other readers read; these may have no input that is new."""
        other = copy.copy(self)
        other.readers = dict(readers)
        return other

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, chosen: np.ndarray) -> Batch:
        chosen = np.asarray(chosen)
        table = self.table.take(chosen)
        cache: dict[tuple[str, Input], Tensor] = {}  # an input that two networks share is read once

        def read(name: str, item: Input) -> Tensor:
            if (name, item) not in cache:
                cache[name, item] = torch.from_numpy(self._read(name, item, table))
            return cache[name, item]

        inputs = {
            reader: {name: read(name, item) for name, item in spec.items()}
            for reader, spec in self.readers.items()
            if reader != self.augmented
        }
        if self.augmented:
            inputs[self.augmented] = self._augmented(self.readers[self.augmented], chosen, table)
        return Batch(
            inputs=inputs,
            labels=torch.from_numpy(table.labels.astype(np.int64)),
            present=torch.from_numpy(table.present),
            token_spans=torch.from_numpy(table.token_spans.astype(np.int64)),
            mask=torch.from_numpy(table.mask),
            targets={name: torch.from_numpy(self._target(name)[chosen]) for name in self.targets},
            pseudo_labels={model: torch.from_numpy(x[chosen]) for model, x in self._pseudo_labels.items()},
            silent=None if table.silent is None else torch.from_numpy(table.silent),
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_maps": {}}  # a map pickles as all of its bytes

    @property
    def names(self) -> list[str]:
        """The name of each night: its recording, or its key where two cohorts have a recording of one name."""
        count = Counter(night.info.recording for night in self.nights)
        return [night.info.recording if count[night.info.recording] == 1 else night.key for night in self.nights]

    @property
    def seconds(self) -> float:
        """Length of the signal that a network reads at once, s."""
        return TOKEN_SECONDS * self.table.mask.shape[1] if self.data.view == "night" else EPOCH_SECONDS

    def _read(self, name: str, item: Input, table: SegmentTable) -> np.ndarray:
        """One signal of some segments: float32 (B, n, …) or (B, 1, …), 0 where a segment is padded or it is absent."""
        held_B = np.array([self._holds(night, name, item) for night in table.night], dtype=bool)
        if not held_B.all():
            n = 1 if self.data.view == "night" else table.present.shape[1]
            x = np.zeros((len(table), n, *item.shape(self.seconds)), dtype=np.float32)
            if held_B.any():
                x[held_B] = self._read(name, item, table.take(np.flatnonzero(held_B)))
            return x
        if self.data.view == "night":
            nights = [self.nights[night] for night in table.night]
            x = item.read(name, nights, table.start_s, np.zeros(len(table)), self.seconds)
            return _masked(x, table.mask)[:, None]
        present = table.present
        nights = [self.nights[night] for night in np.broadcast_to(table.night[:, None], present.shape)[present]]
        inputs = item.read(name, nights, table.onset_s[present], table.lead_s[present], EPOCH_SECONDS)
        if present.all():
            return inputs.reshape(*present.shape, *inputs.shape[1:])
        x = np.zeros((*present.shape, *inputs.shape[1:]), dtype=np.float32)
        x[present] = inputs
        return x

    def _holds(self, night: int, name: str, item: Input) -> bool:
        """Whether any reader reads an input of a night."""
        return any(spec.get(name) == item for spec in self._held[night].values())

    def _augmented(self, spec: InputSpec, chosen: np.ndarray, table: SegmentTable) -> dict[str, Tensor]:
        """The augmented inputs of some segments of view `night`: float32 (B, 1, …), 0 where padded or dropped."""
        shapes = {name: item.shape(self.seconds) for name, item in spec.items()}
        inputs = {name: np.zeros((len(chosen), 1, *shape), np.float32) for name, shape in shapes.items()}
        for i, number in enumerate(chosen):
            augment = Augment(self.data.augment, np.random.default_rng([self.seed, self.epoch, int(number)]))
            night, start_s = self.nights[table.night[i]], float(table.start_s[i])
            held = self._held[table.night[i]][self.augmented]
            dropped = augment.dropped_inputs(list(held))
            read = {
                name: item.read_augmented(name, night, start_s, self.seconds, augment) for name, item in held.items()
            }
            kept = {name: x for name, x in read.items() if name not in dropped}
            if not any(x.any() for x in kept.values()):  # only what was dropped has signal in this segment
                kept = read
            for name, x in kept.items():
                inputs[name][i, 0] = x
        return {name: torch.from_numpy(_masked(x[:, 0], table.mask)[:, None]) for name, x in inputs.items()}

    def _target(self, name: str) -> np.ndarray:
        if name not in self._maps:
            self._maps[name] = np.load(self.targets[name], mmap_mode="r")
        return self._maps[name]


def _check_drop_input(data: DataConfig, spec: InputSpec) -> None:
    """Raise UserError where `data.augment.drop_input` does not fit the inputs of the reader that is augmented."""
    if data.augment.drops_inputs and len(spec) == 1:
        raise UserError("data.augment.drop_input: stage.inputs names one input only; set it to 0")
    chances = data.augment.drop_input
    for name in chances if isinstance(chances, dict) and spec else ():
        if name not in spec:
            raise UserError(f"data.augment.drop_input.{name}: stage.inputs names no {name}, but {', '.join(spec)}")


def _masked(x: np.ndarray, mask_BT: np.ndarray) -> np.ndarray:
    """Segments (B, …, samples), set to 0 in place in the tokens that hold no signal."""
    per_token = x.reshape(*x.shape[:-1], mask_BT.shape[1], -1)
    per_token *= mask_BT.reshape(len(x), *[1] * (x.ndim - 2), -1, 1)
    return x
