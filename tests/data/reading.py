"""Made-up stores read as a training run reads them: one network, called student."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from sleepkd.data.hypnogram import Hypnogram
from sleepkd.data.inputs import SignalInput, resolve
from sleepkd.data.data_settings import DataConfig
from sleepkd.data.store import Store
from sleepkd.data.segments import Batch, Segments
from tests.data.stored import made_store

RATE = 100
LENGTH = 30 * RATE
RAMP = np.arange(300 * RATE, dtype=np.int16)  # the stored number is the sample's own number
AS_STORED = {"classes": 5, "clip": 1e6}  # with median 0 and interquartile range 1: what is read is what is stored


def windows_of(store: Store, data: DataConfig, signals: Sequence[str] = ("eeg",), **how: bool) -> Segments:
    """All nights of a store; how: scored_only, unlabelled."""
    spec = resolve({name: SignalInput() for name in signals}, data, store.rate_hz)
    return Segments([store.open(recording) for recording in store.recordings], {"student": spec}, data, **how)


def ramp_windows(path, night: Hypnogram, rate_hz: float = RATE, **data) -> Segments:
    store = made_store(path / "store", {"a": night}, {"eeg": RAMP}, rate_hz)
    return windows_of(store, DataConfig(**(AS_STORED | data)))


def seen(batch: Batch, signal: str = "eeg") -> Tensor:
    """(B, n, samples): what the network is given of a signal."""
    return batch.inputs["student"][signal]


def first_samples(segments: Segments) -> list[int]:
    """The number of the sample that each row's first cut begins with; the rest of it must follow without a gap."""
    x = seen(segments[np.arange(len(segments))])[:, 0]
    assert (x.diff(dim=1) == 1).all()
    return x[:, 0].int().tolist()
