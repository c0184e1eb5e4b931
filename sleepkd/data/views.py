"""Cut nights into segments: view `epochs`, single sleep epochs as published, or view `night`, the continuous signal.

- `epochs`: a segment is n sleep epochs, each read as 30 s around its middle. An R&K sleep epoch of 20 s is widened by
  5 s on either side, and the first and last of such a night are left out (Joshi et al., arXiv 2211.13125). The n inputs
  are independent of one another: widened ones overlap.
- `night`: a segment is continuous signal in tokens of 10 s, which divide both 20 and 30 s; the segments of a night do
  not overlap and leave nothing out. A sleep epoch has the tokens whose middles it holds. Tokens beyond the recording
  are masked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from sleepkd.data.data_settings import DataConfig
from sleepkd.data.held_inputs import AbsentInputs, lengths_s
from sleepkd.data.hypnogram import EPOCH_SECONDS, UNSCORED, Hypnogram, merge_labels
from sleepkd.data.inputs import InputSpec
from sleepkd.data.store import Night

TOKEN_SECONDS = 10.0
TOKENS_PER_30_S = round(EPOCH_SECONDS / TOKEN_SECONDS)
CONTIGUOUS_SECONDS = 0.05
"""Largest time between the end of a sleep epoch and the onset of the next at which the two are consecutive."""


@dataclass(frozen=True)
class SegmentTable:
    """S segments of n sleep epochs; a padded sleep epoch has index -1 and is unscored.

    night: (S,) index into the nights. sleep_epoch: (S, n) index into the hypnogram of that night.
    onset_s, duration_s: (S, n) float64 as scored. labels: (S, n) int8, merged to `data.classes`.
    start_s: (S,) where the signal of a segment begins; may lie before the first sample in view `night`.
    token_spans: (S, n, 2) int32, first token and number of tokens of each sleep epoch; (S, n, 0) in view `epochs`.
    mask: (S, T) bool, which tokens hold signal; (S, 0) in view `epochs`.
    known: by model whose pseudo-labels are read, (S, n) bool, the sleep epochs that it knows.
    silent: (S,) bool, segments of nights on which the teacher is silent; None: none.
    """

    night: np.ndarray
    sleep_epoch: np.ndarray
    onset_s: np.ndarray
    duration_s: np.ndarray
    labels: np.ndarray
    start_s: np.ndarray
    token_spans: np.ndarray
    mask: np.ndarray
    known: dict[str, np.ndarray] = field(default_factory=dict)
    silent: np.ndarray | None = None

    COLUMNS: ClassVar = (
        "night", "sleep_epoch", "onset_s", "duration_s", "labels", "start_s", "token_spans", "mask",
    )  # fmt: skip
    """The columns that the view fills."""

    def __len__(self) -> int:
        return len(self.night)

    @property
    def present(self) -> np.ndarray:
        """(S, n) bool, false where a segment is padded."""
        return self.sleep_epoch >= 0

    @property
    def lead_s(self) -> np.ndarray:
        """(S, n) float64: time from the onset of a sleep epoch to the start of its 30 s in view `epochs`."""
        return self.duration_s / 2 - EPOCH_SECONDS / 2

    @property
    def sequences(self) -> int:
        """Number of sequences that a network processes independently: sleep epochs, or segments of view `night`."""
        return len(self) if self.mask.shape[1] else int(self.present.sum())

    def take(self, chosen: np.ndarray) -> "SegmentTable":
        """Some of the segments, by index."""
        columns: dict[str, Any] = {name: getattr(self, name)[chosen] for name in self.COLUMNS}
        known = {model: of_model[chosen] for model, of_model in self.known.items()}
        return SegmentTable(**columns, known=known, silent=None if self.silent is None else self.silent[chosen])

    def known_to(self, model: str) -> "SegmentTable":
        """The same segments with the sleep epochs that a model does not know as padding; all, if it is not named."""
        if model not in self.known:
            return self
        return replace(self, sleep_epoch=np.where(self.known[model], self.sleep_epoch, -1))

    def with_teacher(self) -> "SegmentTable":
        """The segments without those on which the teacher is silent."""
        return self if self.silent is None else self.take(np.flatnonzero(~self.silent))


def segment_table(
    nights: Sequence[Night],
    held: Sequence[Mapping[str, InputSpec]],
    data: DataConfig,
    scored_only: bool,
    unlabelled: bool,
    absent: AbsentInputs | None = None,
) -> SegmentTable:
    """The segments of some nights in the view of `data`.

    held: the inputs that will be read of each night, by reader. A sleep epoch that one of them does not hold is left
    out, except in view `night` for readers that may lack inputs.
    scored_only: leaves out segments of labelled recordings without a scored sleep epoch.
    unlabelled: keeps the segments of unlabelled recordings.
    """
    view = _night if data.view == "night" else _epochs
    parts = [
        view(i, night, of_night, data, absent or AbsentInputs())
        for i, (night, of_night) in enumerate(zip(nights, held, strict=True))
        if night.has_labels or unlabelled or not scored_only
    ]
    table = _joined(parts, data)
    if scored_only:
        labelled = np.array([night.has_labels for night in nights], dtype=bool)[table.night]
        keep = (table.labels != UNSCORED).any(axis=1) | ~labelled & table.present.any(axis=1)
        table = table.take(np.flatnonzero(keep))
    return table


# --- view epochs ---


def _epochs(
    index: int, night: Night, held: Mapping[str, InputSpec], data: DataConfig, absent: AbsentInputs
) -> SegmentTable:
    hypnogram = night.hypnogram
    usable = np.ones(len(hypnogram), dtype=bool)
    if len(hypnogram) and np.median(hypnogram.duration_s) < EPOCH_SECONDS:
        usable[[0, -1]] = False
    lead_s = hypnogram.duration_s / 2 - EPOCH_SECONDS / 2
    for spec in held.values():
        for name, item in spec.items():
            usable &= item.usable(name, night, hypnogram.onset_s, lead_s, EPOCH_SECONDS)
    start_s = hypnogram.onset_s + lead_s
    usable &= night.info.clear_of_gaps(start_s, start_s + EPOCH_SECONDS)
    runs = _consecutive_runs(hypnogram, np.flatnonzero(usable))
    groups = [run[i : i + data.sleep_epochs] for run in runs for i in range(0, len(run), data.sleep_epochs)]
    columns = _columns(index, hypnogram, groups, data.sleep_epochs, data.classes)
    first = columns["onset_s"][:, :1] + columns["duration_s"][:, :1] / 2 - EPOCH_SECONDS / 2
    no_tokens = np.zeros((len(groups), data.sleep_epochs, 0), np.int32)
    return SegmentTable(**columns, start_s=first[:, 0], token_spans=no_tokens, mask=np.zeros((len(groups), 0), bool))


def _consecutive_runs(hypnogram: Hypnogram, usable: np.ndarray) -> list[np.ndarray]:
    end = hypnogram.onset_s + hypnogram.duration_s
    gap = np.abs(hypnogram.onset_s[usable[1:]] - end[usable[:-1]]) > CONTIGUOUS_SECONDS
    return [run for run in np.split(usable, np.flatnonzero(gap) + 1) if len(run)]


# --- view night ---


def _night(
    index: int, night: Night, held: Mapping[str, InputSpec], data: DataConfig, absent: AbsentInputs
) -> SegmentTable:
    hypnogram, seconds = night.hypnogram, min([night.info.seconds, *lengths_s(night, held, absent)])
    # Segments begin a whole number of minutes from the first onset: none cuts a sleep epoch of 20 or 30 s in two.
    first_onset = hypnogram.onset_s[0] if len(hypnogram) else 0.0
    start = first_onset - 60.0 * np.ceil(first_onset / 60.0)
    tokens = round(60 * data.shown_minutes / TOKEN_SECONDS) or _tokens_of(seconds - start)  # per segment
    count = max(1, int(np.ceil((seconds - start) / (tokens * TOKEN_SECONDS) - 1e-9)))
    starts = start + TOKEN_SECONDS * tokens * np.arange(count)
    token_starts = starts[:, None] + TOKEN_SECONDS * np.arange(tokens)
    mask = (token_starts > -1e-6) & (token_starts + TOKEN_SECONDS < seconds + 1e-6)
    mask &= night.info.clear_of_gaps(token_starts, token_starts + TOKEN_SECONDS)

    first = np.rint((hypnogram.onset_s - start) / TOKEN_SECONDS).astype(np.int64)  # token from the start of the night
    length = np.rint(hypnogram.duration_s / TOKEN_SECONDS).astype(np.int64)
    segment = np.clip((first + length // 2) // tokens, 0, count - 1)  # the one that holds the sleep epoch's middle
    inside = first - segment * tokens
    length = np.minimum(inside + length, tokens) - np.maximum(inside, 0)
    inside = np.clip(inside, 0, tokens)
    masked_before = np.concatenate([[0], np.cumsum(~mask.ravel())])
    absolute = segment * tokens + inside
    usable = (length > 0) & (masked_before[absolute + np.maximum(length, 0)] == masked_before[absolute])

    groups = [np.flatnonzero(usable & (segment == s)) for s in range(count)]
    n = max(1, *(len(group) for group in groups))
    columns = _columns(index, hypnogram, groups, n, data.classes)
    spans = np.stack([inside, length], axis=-1).astype(np.int32)
    token_spans = np.where(columns["sleep_epoch"][..., None] >= 0, spans[columns["sleep_epoch"]], np.int32(0))
    return SegmentTable(**columns, start_s=starts, token_spans=token_spans, mask=mask)


def _tokens_of(seconds: float) -> int:
    """Number of tokens that hold so many seconds, rounded up to whole 30 s."""
    return TOKENS_PER_30_S * max(1, int(np.ceil(seconds / EPOCH_SECONDS - 1e-9)))


# --- both views ---


def _columns(index: int, hypnogram: Hypnogram, groups: Sequence[np.ndarray], n: int, classes: int) -> dict[str, Any]:
    """The columns of `SegmentTable` that both views share. groups: the sleep epochs of each segment, at most n."""
    sleep_epoch = np.full((len(groups), n), -1, dtype=np.int32)
    for padded, group in zip(sleep_epoch, groups, strict=True):
        padded[: len(group)] = group
    present, labels = sleep_epoch >= 0, merge_labels(hypnogram.labels, classes)

    def of(values: np.ndarray, missing: float) -> np.ndarray:
        return np.where(present, values[sleep_epoch], missing) if len(values) else np.full(present.shape, missing)

    return {
        "night": np.full(len(groups), index, dtype=np.int32),
        "sleep_epoch": sleep_epoch,
        "onset_s": of(hypnogram.onset_s, 0.0),
        "duration_s": of(hypnogram.duration_s, EPOCH_SECONDS),
        "labels": of(labels, UNSCORED).astype(np.int8),
    }


def _joined(parts: Sequence[SegmentTable], data: DataConfig) -> SegmentTable:
    """The segments of all nights in one table, padded to the most sleep epochs and tokens."""
    if not parts:
        nothing = Hypnogram(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int8))
        empty = _columns(0, nothing, [], data.sleep_epochs, data.classes)
        token_spans = np.zeros((0, data.sleep_epochs, 2 * (data.view == "night")), np.int32)
        mask = np.zeros((0, int(data.view == "night")), bool)
        return SegmentTable(**empty, start_s=np.zeros(0), token_spans=token_spans, mask=mask)
    fill = {"sleep_epoch": -1, "duration_s": EPOCH_SECONDS, "labels": UNSCORED}
    columns: dict[str, Any] = {}
    for name in SegmentTable.COLUMNS:
        arrays = [getattr(part, name) for part in parts]
        width = max(array.shape[1] for array in arrays) if arrays[0].ndim > 1 else 0
        columns[name] = np.concatenate([_padded(array, width, fill.get(name, 0)) for array in arrays])
    return SegmentTable(**columns)


def _padded(array: np.ndarray, width: int, fill: float) -> np.ndarray:
    if array.ndim == 1 or array.shape[1] == width:
        return array
    pad = [(0, 0), (0, width - array.shape[1]), *[(0, 0)] * (array.ndim - 2)]
    return np.pad(array, pad, constant_values=fill)
