"""The two ways to look at a night: its sleep epochs one by one, as published, or the night as it runs.

A view lists table: rows of the training set, each a stretch of one night with the sleep epochs that lie on it.
- `epochs`: n sleep epochs a row, each cut to 30 s around its middle, so that an R&K one of 20 s is widened by 5 s on
  either side, and the first and last of such a night are dropped (Joshi et al., arXiv 2211.13125). The n cuts are
  independent of one another: widened ones overlap.
- `night`: the signal as it runs, in token_spans of 10 s, which divide both 20 and 30 s; every second lies in one row once.
  A sleep epoch lies on the token_spans whose middles it holds. What is beyond the recording is masked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sleepkd.data.data_settings import DataConfig
from sleepkd.data.hypnogram import EPOCH_SECONDS, UNSCORED, Hypnogram, merge_labels
from sleepkd.data.inputs import InputSpec
from sleepkd.data.store import Night

TOKEN_SECONDS = 10.0
TOKENS_PER_30_S = round(EPOCH_SECONDS / TOKEN_SECONDS)
CONTIGUOUS_SECONDS = 0.05
"""How far the end of one sleep epoch may lie from the next one's onset for the two to count as consecutive."""


@dataclass(frozen=True)
class SegmentTable:
    """Where every row lies: W rows of n sleep epochs, -1 (or unscored) where a row is padded.

    night: (W,) index into the nights; sleep_epoch: (W, n) index into that night's hypnogram; onset_s, duration_s:
    (W, n) float64 as scored; labels: (W, n) int8.
    start_s: (W,) where the signal of a row begins (view `night`; may lie before the first sample); token_spans: (W, n, 2)
    int32, the first cell and the number of token_spans of each sleep epoch; mask: (W, C) bool, which token_spans hold signal. In
    view `epochs` these are empty: (W, n, 0), (W, 0), and start_s is that of the first cut.
    """

    night: np.ndarray
    sleep_epoch: np.ndarray
    onset_s: np.ndarray
    duration_s: np.ndarray
    labels: np.ndarray
    start_s: np.ndarray
    token_spans: np.ndarray
    mask: np.ndarray

    def __len__(self) -> int:
        return len(self.night)

    @property
    def present(self) -> np.ndarray:
        """(W, n) bool, false where a row is padded."""
        return self.sleep_epoch >= 0

    @property
    def lead_s(self) -> np.ndarray:
        """(W, n) float64: how long after its onset the 30-s cut of a sleep epoch begins (view `epochs`)."""
        return self.duration_s / 2 - EPOCH_SECONDS / 2

    @property
    def sequences(self) -> int:
        """How many pieces of signal these rows hold that a network sees by themselves: cuts, or rows of a night."""
        return len(self) if self.mask.shape[1] else int(self.present.sum())

    def take(self, chosen: np.ndarray) -> "SegmentTable":
        """Some of the rows, by index."""
        return SegmentTable(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def segment_table(
    nights: Sequence[Night], readers: Mapping[str, InputSpec], data: DataConfig, scored_only: bool, unlabelled: bool
) -> SegmentTable:
    """The rows of some nights in the view that `data` asks for.

    readers: whatever will read them; a sleep epoch that one of these cannot have is dropped. scored_only: of nights
    with labels, only rows with at least one scored sleep epoch. unlabelled: whether nights without labels enter too.
    """
    view = _night if data.view == "night" else _epochs
    parts = [
        view(i, night, readers, data)
        for i, night in enumerate(nights)
        if night.has_labels or unlabelled or not scored_only
    ]
    table = _joined(parts, data)
    if scored_only:
        labelled = np.array([night.has_labels for night in nights], dtype=bool)[table.night]
        keep = (table.labels != UNSCORED).any(axis=1) | ~labelled & table.present.any(axis=1)
        table = table.take(np.flatnonzero(keep))
    return table


# --- sleep epochs one by one ---


def _epochs(index: int, night: Night, readers: Mapping[str, InputSpec], data: DataConfig) -> SegmentTable:
    hypnogram = night.hypnogram
    usable = np.ones(len(hypnogram), dtype=bool)
    if len(hypnogram) and np.median(hypnogram.duration_s) < EPOCH_SECONDS:
        usable[[0, -1]] = False
    lead_s = hypnogram.duration_s / 2 - EPOCH_SECONDS / 2
    for spec in readers.values():
        for name, item in spec.items():
            usable &= item.usable(name, night, hypnogram.onset_s, lead_s, EPOCH_SECONDS)
    start_s = hypnogram.onset_s + lead_s
    usable &= night.info.clear_of_gaps(start_s, start_s + EPOCH_SECONDS)
    runs = _consecutive_runs(hypnogram, np.flatnonzero(usable))
    chunks = [run[i : i + data.sleep_epochs] for run in runs for i in range(0, len(run), data.sleep_epochs)]
    rows = _rows(index, hypnogram, chunks, data.sleep_epochs, data.classes)
    first = rows["onset_s"][:, :1] + rows["duration_s"][:, :1] / 2 - EPOCH_SECONDS / 2
    n, w = len(chunks), data.sleep_epochs
    return SegmentTable(
        **rows, start_s=first[:, 0], token_spans=np.zeros((n, w, 0), np.int32), mask=np.zeros((n, 0), bool)
    )


def _consecutive_runs(hypnogram: Hypnogram, usable: np.ndarray) -> list[np.ndarray]:
    end = hypnogram.onset_s + hypnogram.duration_s
    gap = np.abs(hypnogram.onset_s[usable[1:]] - end[usable[:-1]]) > CONTIGUOUS_SECONDS
    return [run for run in np.split(usable, np.flatnonzero(gap) + 1) if len(run)]


# --- the night as it runs ---


def _night(index: int, night: Night, readers: Mapping[str, InputSpec], data: DataConfig) -> SegmentTable:
    """Rows of a night: the grid is laid so that token_spans begin where its first sleep epoch begins."""
    hypnogram, seconds = night.hypnogram, _seconds(night, readers)
    # Rows begin a whole number of minutes from the first onset: no sleep epoch of 20 or 30 s is cut in two.
    first = hypnogram.onset_s[0] if len(hypnogram) else 0.0
    start = first - 60.0 * np.ceil(first / 60.0)
    per_row = round(60 * data.shown_minutes / TOKEN_SECONDS) or _whole(seconds - start)
    count = max(1, int(np.ceil((seconds - start) / (per_row * TOKEN_SECONDS) - 1e-9)))
    starts = start + TOKEN_SECONDS * per_row * np.arange(count)
    begins = starts[:, None] + TOKEN_SECONDS * np.arange(per_row)
    mask = (begins > -1e-6) & (begins + TOKEN_SECONDS < seconds + 1e-6)
    mask &= night.info.clear_of_gaps(begins, begins + TOKEN_SECONDS)

    first_cell = np.rint((hypnogram.onset_s - start) / TOKEN_SECONDS).astype(np.int64)
    length = np.rint(hypnogram.duration_s / TOKEN_SECONDS).astype(np.int64)
    row = np.clip((first_cell + length // 2) // per_row, 0, count - 1)  # where the sleep epoch's middle lies
    inside = first_cell - row * per_row
    length = np.minimum(inside + length, per_row) - np.maximum(inside, 0)
    inside = np.clip(inside, 0, per_row)
    masked_before = np.concatenate([[0], np.cumsum(~mask.ravel())])
    absolute = row * per_row + inside
    usable = (length > 0) & (masked_before[absolute + np.maximum(length, 0)] == masked_before[absolute])

    chunks = [np.flatnonzero(usable & (row == r)) for r in range(count)]
    n = max(1, *(len(chunk) for chunk in chunks))
    rows = _rows(index, hypnogram, chunks, n, data.classes)
    token_spans = np.stack([inside, length], axis=-1).astype(np.int32)
    of_rows = np.where(rows["sleep_epoch"][..., None] >= 0, token_spans[rows["sleep_epoch"]], np.int32(0))
    return SegmentTable(**rows, start_s=starts, token_spans=of_rows, mask=mask)


def _seconds(night: Night, readers: Mapping[str, InputSpec]) -> float:
    """How long all that is read of a night lasts."""
    lengths = [item.seconds(name, night) for spec in readers.values() for name, item in spec.items()]
    return min([night.info.seconds, *lengths])


def _whole(seconds: float) -> int:
    """Cells of a whole number of 30 s that hold so many seconds."""
    return TOKENS_PER_30_S * max(1, int(np.ceil(seconds / EPOCH_SECONDS - 1e-9)))


# --- both ---


def _rows(
    index: int, hypnogram: Hypnogram, chunks: Sequence[np.ndarray], n: int, classes: int
) -> dict[str, np.ndarray]:
    """The columns of `SegmentTable` that both views share; chunks: which sleep epochs each row holds."""
    sleep_epoch = np.full((len(chunks), n), -1, dtype=np.int32)
    for row, chunk in zip(sleep_epoch, chunks, strict=True):
        row[: len(chunk)] = chunk
    present, labels = sleep_epoch >= 0, merge_labels(hypnogram.labels, classes)

    def of(values: np.ndarray, missing: float) -> np.ndarray:
        return np.where(present, values[sleep_epoch], missing) if len(values) else np.full(present.shape, missing)

    return {
        "night": np.full(len(chunks), index, dtype=np.int32),
        "sleep_epoch": sleep_epoch,
        "onset_s": of(hypnogram.onset_s, 0.0),
        "duration_s": of(hypnogram.duration_s, EPOCH_SECONDS),
        "labels": of(labels, UNSCORED).astype(np.int8),
    }


def _joined(parts: Sequence[SegmentTable], data: DataConfig) -> SegmentTable:
    """The rows of all nights, padded to the longest."""
    if not parts:
        nothing = Hypnogram(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int8))
        rows = _rows(0, nothing, [], data.sleep_epochs, data.classes)
        token_spans = np.zeros((0, data.sleep_epochs, 2 * (data.view == "night")), np.int32)
        return SegmentTable(
            **rows, start_s=np.zeros(0), token_spans=token_spans, mask=np.zeros((0, int(data.view == "night")), bool)
        )
    fill = {"sleep_epoch": -1, "duration_s": EPOCH_SECONDS, "labels": UNSCORED}
    columns = {}
    for name in SegmentTable.__dataclass_fields__:
        arrays = [getattr(part, name) for part in parts]
        width = max(array.shape[1] for array in arrays) if arrays[0].ndim > 1 else 0
        columns[name] = np.concatenate([_widened(array, width, fill.get(name, 0)) for array in arrays])
    return SegmentTable(**columns)


def _widened(array: np.ndarray, width: int, fill: float) -> np.ndarray:
    if array.ndim == 1 or array.shape[1] == width:
        return array
    pad = [(0, 0), (0, width - array.shape[1]), *[(0, 0)] * (array.ndim - 2)]
    return np.pad(array, pad, constant_values=fill)
