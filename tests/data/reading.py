"""Segments of synthetic stores, with one reader, called student."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from sleepkd.data.data_settings import DataConfig
from sleepkd.data.hypnogram import Hypnogram
from sleepkd.data.segments import Batch, Segments
from sleepkd.data.stage_inputs import resolve
from sleepkd.data.store import Store
from tests.data.stored import made_store

RATE = 100
LENGTH = 30 * RATE
RAMP = np.arange(300 * RATE, dtype=np.int16)  # the stored number is the sample's own number
AS_STORED = {"classes": 5, "clip": 1e6}  # with median 0 and interquartile range 1, a network reads the stored numbers


def segments_of(store: Store, data: DataConfig, signals: Sequence[str] = ("eeg",), **how: bool) -> Segments:
    """The segments of all nights of a store. how: scored_only, unlabelled."""
    spec = resolve({name: {} for name in signals}, data, store.rate_hz)
    return Segments([store.open(recording) for recording in store.recordings], {"student": spec}, data, **how)


def ramp_segments(path, night: Hypnogram, rate_hz: float = RATE, **data) -> Segments:
    store = made_store(path / "store", {"a": night}, {"eeg": RAMP}, rate_hz)
    return segments_of(store, DataConfig(**(AS_STORED | data)))


def signal_of(batch: Batch, signal: str = "eeg") -> Tensor:
    """(B, n, samples): a signal as the network reads it."""
    return batch.inputs["student"][signal]


def first_samples(segments: Segments) -> list[int]:
    """The index of the first sample of each segment; the samples after it must follow without a gap."""
    x = signal_of(segments[np.arange(len(segments))])[:, 0]
    assert (x.diff(dim=1) == 1).all()
    return x[:, 0].int().tolist()
