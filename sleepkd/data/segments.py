"""Rows of a view, read in batches: what every network of a stage sees of the same stretch of a night."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from sleepkd.data.augment import Augment
from sleepkd.data.data_settings import DataConfig
from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.data.inputs import InputSpec
from sleepkd.data.store import Night
from sleepkd.data.views import TOKEN_SECONDS, SegmentTable, segment_table
from sleepkd.errors import UserError

STUDENT = "student"
"""The reader name of the student in `Segments.readers`."""


class Batch(NamedTuple):
    """B rows of n sleep epochs.

    inputs: what each reader sees, {reader: {signal: float32}}: (B, n, samples) in view `epochs`, (B, 1, samples) in
    view `night`; beats have their channels before the samples. labels: int64 (B, n), -1 unscored; present: bool (B, n),
    false where a row is padded (signal 0, unscored). token_spans: int64 (B, n, 2), first cell and number of token_spans of each
    sleep epoch (view `night`, else (B, n, 0)); mask: bool (B, C), which token_spans hold signal (else (B, 0)).
    targets: rows (B, …) of the arrays that `Segments.targets` names, if any.
    """

    inputs: dict[str, dict[str, Tensor]]
    labels: Tensor
    present: Tensor
    token_spans: Tensor
    mask: Tensor
    targets: dict[str, Tensor]

    def to(self, device: torch.device, dtype: torch.dtype) -> "Batch":
        """The batch on a device, its signals in a dtype; copies from pinned memory do not wait."""

        def move(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: x.to(device, dtype, non_blocking=True) for name, x in tensors.items()}

        inputs = {reader: move(signals) for reader, signals in self.inputs.items()}
        facts = (x.to(device, non_blocking=True) for x in (self.labels, self.present, self.token_spans, self.mask))
        return Batch(inputs, *facts, move(self.targets))

    def per_sleep_epoch(self, logits: Tensor) -> Tensor:
        """A network's answers as (B, n, K): on the 10-s grid of view `night`, the mean over the token_spans of each."""
        if not self.token_spans.shape[-1]:
            return logits
        first, count = self.token_spans.unbind(-1)
        most = MAX_TOKENS
        step = torch.arange(most, device=logits.device)
        index_BNM = (first[..., None] + step).clamp_max(logits.shape[1] - 1)
        inside = (step < count[..., None]).to(logits.dtype)
        rows = torch.arange(len(logits), device=logits.device)[:, None, None]
        total = (logits[rows, index_BNM] * inside[..., None]).sum(dim=2)
        return total / count.clamp(1, most)[..., None]

    def positions(self, length: int) -> Tensor:
        """Which positions of a tapped feature (sequences, C, length) hold signal: bool (sequences, length).

        Stretches are the B * n cuts of view `epochs`, the B rows of view `night`.
        """
        if not self.mask.shape[-1]:
            return self.present.flatten()[:, None].expand(-1, length)
        return F.interpolate(self.mask[:, None].float(), size=length, mode="nearest")[:, 0] > 0


MAX_TOKENS = 12
"""Of one sleep epoch: two minutes. Scorings have 20 or 30 s."""


class Segments(Dataset):
    """The rows of some nights. Index it with an array of row numbers to get a `Batch`.

    readers: what each network wants to see, by its part in the stage ("student", "teacher"). Holds indices only:
    signals are memory-mapped, and mapped anew in every loader process.

    augmented: the reader whose rows are changed as `data.augment` says, by draws of (seed, `epoch`, row); "" for none.
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
    ):
        self.nights, self.data = tuple(nights), data
        self.readers = dict(readers)
        self.augmented, self.seed, self.epoch = augmented if data.augment.is_on else "", seed, 0
        if data.augment.drop_input and len(self.readers.get(augmented, ())) == 1:
            raise UserError("data.augment.drop_input: stage.inputs names one input only; set it to 0")
        for night in self.nights:
            for spec in self.readers.values():
                for name, item in spec.items():
                    item.check(name, night)
        self.table = segment_table(self.nights, self.readers, data, scored_only, unlabelled)
        if scored_only and not len(self):
            named = ", ".join(night.key for night in self.nights[:8])
            raise UserError(f"none of {named} holds a scored sleep epoch to use")
        self.targets: dict[str, Path] = {}  # .npy arrays with a row per row, to be read in the teacher's place
        self._maps: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, chosen: np.ndarray) -> Batch:
        chosen = np.asarray(chosen)
        rows = self.table.take(chosen)
        seen: dict[Any, Tensor] = {}  # what two networks want alike is read once

        def read(name: str, item: Any) -> Tensor:
            if (name, item) not in seen:
                seen[name, item] = torch.from_numpy(self._read(name, item, rows))
            return seen[name, item]

        inputs = {
            reader: {name: read(name, item) for name, item in spec.items()}
            for reader, spec in self.readers.items()
            if reader != self.augmented
        }
        if self.augmented:
            inputs[self.augmented] = self._augmented(self.readers[self.augmented], chosen, rows)
        return Batch(
            inputs=inputs,
            labels=torch.from_numpy(rows.labels.astype(np.int64)),
            present=torch.from_numpy(rows.present),
            token_spans=torch.from_numpy(rows.token_spans.astype(np.int64)),
            mask=torch.from_numpy(rows.mask),
            targets={name: torch.from_numpy(self._target(name)[chosen]) for name in self.targets},
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_maps": {}}  # a map pickles as all of its bytes

    @property
    def names(self) -> list[str]:
        """What each night is called: its recording, or its key where two cohorts have one of the same name."""
        count = Counter(night.info.recording for night in self.nights)
        return [night.info.recording if count[night.info.recording] == 1 else night.key for night in self.nights]

    @property
    def seconds(self) -> float:
        """How long each stretch of signal is that a network sees at once."""
        return TOKEN_SECONDS * self.table.mask.shape[1] if self.data.view == "night" else EPOCH_SECONDS

    def _read(self, name: str, item: Any, rows: SegmentTable) -> np.ndarray:
        """One signal of some rows: float32 (B, n, …) or (B, 1, …); 0 where a row is padded."""
        if self.data.view == "night":
            nights = [self.nights[night] for night in rows.night]
            return _masked(item.read(name, nights, rows.start_s, np.zeros(len(rows)), self.seconds), rows.mask)[:, None]
        present = rows.present
        nights = [self.nights[night] for night in np.broadcast_to(rows.night[:, None], present.shape)[present]]
        cuts = item.read(name, nights, rows.onset_s[present], rows.lead_s[present], EPOCH_SECONDS)
        if present.all():
            return cuts.reshape(*present.shape, *cuts.shape[1:])
        x = np.zeros((*present.shape, *cuts.shape[1:]), dtype=np.float32)
        x[present] = cuts
        return x

    def _augmented(self, spec: InputSpec, chosen: np.ndarray, rows: SegmentTable) -> dict[str, Tensor]:
        """The inputs of some rows of a night, changed: float32 (B, 1, …); 0 where a row is padded, or an input out."""
        shapes = {name: item.shape(self.seconds) for name, item in spec.items()}
        inputs = {name: np.zeros((len(chosen), 1, *shape), np.float32) for name, shape in shapes.items()}
        for i, number in enumerate(chosen):
            row = rows.take(np.array([i]))
            augment = Augment(self.data.augment, np.random.default_rng([self.seed, self.epoch, int(number)]))
            out = augment.left_out(list(spec))
            for name, item in spec.items():
                night, start = self.nights[row.night[0]], float(row.start_s[0])
                x = item.read_augmented(name, night, start, self.seconds, augment)
                if name != out:
                    inputs[name][i, 0] = x
        return {name: torch.from_numpy(_masked(x[:, 0], rows.mask)[:, None]) for name, x in inputs.items()}

    def _target(self, name: str) -> np.ndarray:
        if name not in self._maps:
            self._maps[name] = np.load(self.targets[name], mmap_mode="r")
        return self._maps[name]


def _masked(x: np.ndarray, mask_BC: np.ndarray) -> np.ndarray:
    """Rows (B, …, samples), in place, with 0 in the token_spans that hold no signal."""
    per_cell = x.reshape(*x.shape[:-1], mask_BC.shape[1], -1)
    per_cell *= mask_BC.reshape(len(x), *[1] * (x.ndim - 2), -1, 1)
    return x
