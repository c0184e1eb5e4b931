"""A store prepared before: statistics that need no labels, and beats, from the signals that it holds."""

from dataclasses import replace

import numpy as np

from sleepkd.cohorts.beats.detect import FoundBeats, find_beats
from sleepkd.cohorts.condition import night_statistics
from sleepkd.cohorts.remarks import joined
from sleepkd.data.store import Night, Store
from sleepkd.data.store_writing import add_to_recording


def mend_recording(store: Store, recording: str, beats: bool) -> str | None:
    """Add what one recording lacks, in one step; returns a line on it, or None where it lacks nothing.

    Signals, hypnogram and the statistics of the scored part stay as they are. beats: detect them as well.
    """
    night = store.open(recording)
    signals = night.info.signals
    lacking = [name for name, signal in signals.items() if signal.median is None]
    to_detect = beats and "ecg" in signals and night.info.beats is None
    if not lacking and not to_detect:
        return None
    for name in lacking:
        median, iqr = night_statistics(_physical(night, name), signals[name].rate_hz)
        signals = signals | {name: replace(signals[name], median=median, iqr=iqr)}
    found = FoundBeats(info=night.info.beats)
    if to_detect:
        found = find_beats(_physical(night, "ecg"), signals["ecg"].rate_hz, signals["ecg"].polarity, night.hypnogram)
    add_to_recording(night.folder, replace(night.info, signals=signals, beats=found.info), found.times, found.quality)
    return joined(["statistics without labels" if lacking else "", *found.remarks])


def _physical(night: Night, name: str) -> np.ndarray:
    info = night.info.signals[name]
    samples = night.signal(name) * info.scale
    samples += info.offset
    return samples
