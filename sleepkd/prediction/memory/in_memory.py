"""Recordings that a program holds in memory: arrays, mne.io.Raw, wfdb.Record, and frames and series of pandas."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from sleepkd.cohorts.recording import Recording
from sleepkd.cohorts.signals import DerivedSignal
from sleepkd.cohorts.signals.derivation import find_channels
from sleepkd.data.inputs import InputSpec
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.errors import UserError
from sleepkd.prediction.channel_choice import chosen_channel
from sleepkd.prediction.chosen_nights import chosen_nights, nights_of, part_of
from sleepkd.prediction.memory.arrays import checked_rate, checked_samples
from sleepkd.prediction.memory.frames import as_frame, beats_of_frame, frame_holds_beats, signals_of_frame
from sleepkd.prediction.memory.signals_in_memory import SignalsInMemory, signals_of_raw, signals_of_record
from sleepkd.prediction.recorded import ReadingOptions, read_file, recording_of_signal, signal_to_read

if TYPE_CHECKING:
    import mne
    import pandas as pd
    import wfdb

GivenSignal: TypeAlias = Union[  # not `|`, which takes no names in quotes
    np.ndarray, Sequence[float], "mne.io.BaseRaw", "wfdb.Record", "pd.DataFrame", "pd.Series", str, Path
]
ARGUMENTS = {
    "--channel": "channel=",
    "--column": "channel=",
    "--fs HZ": "fs=",
    "--fs": "fs",
    "--beats": "predict_beats",
    "--nights whole": "predict",
}
"""The argument in Python for an option of `sleepkd predict`."""
SAME_RATE = 1e-3
"""Largest difference between a rate that is given and that of a recording, in parts of it."""


def recording_in_memory(given: GivenSignal, inputs: InputSpec, fs: float | None = None, channel: str = "") -> Recording:
    """What a program hands over as a recording, with the signal that a network needs or with heartbeats.

    given, fs, channel: see `Model.predict`. Raises UserError: no such channel or several, a rate that contradicts the
    recording, and as `read_file` does for a path.
    """
    kind = SIGNAL_KINDS[signal_to_read(inputs)]
    with _words_of_python():
        if isinstance(given, str | Path):
            return read_file(Path(given), inputs, ReadingOptions(channel, fs))
        if _is_a(given, "mne.io.base", "BaseRaw"):
            return _chosen_signal(signals_of_raw(given, kind, channel), inputs, fs, channel)
        if _is_a(given, "wfdb.io.record", "Record"):
            return _chosen_signal(signals_of_record(given), inputs, fs, channel)
        if _is_a(given, "wfdb.io.record", "MultiRecord"):
            raise UserError("wfdb.MultiRecord: give one Record, as wfdb.rdrecord(..., m2s=True) returns")
        if _is_a(given, "pandas", "DataFrame", "Series"):
            frame = as_frame(given)
            if frame_holds_beats(frame, fs, channel):
                return beats_of_frame(frame, fs, channel)
            return _chosen_signal(signals_of_frame(frame, fs), inputs, None, channel)
        if channel:
            raise UserError(f"channel {channel}: an array has no names of channels; give the samples of one")
        return _of_array(given, inputs, fs)


def nights_in_memory(
    given: GivenSignal, inputs: InputSpec, fs: float | None = None, channel: str = ""
) -> list[Recording]:
    """The nights of what a program hands over, in order of time, as `sleepkd predict --nights all` finds them.

    Raises UserError as `recording_in_memory` does, and for more than 16 h without a night.
    """
    with _words_of_python():
        if isinstance(given, str | Path):
            nights = chosen_nights(Path(given), inputs, ReadingOptions(channel, fs), "all")
            return [night.recording for night in nights]
        recording = recording_in_memory(given, inputs, fs, channel)
        spans = nights_of(recording)
        return [recording] if spans is None else [part_of(recording, span) for span in spans]


def _is_a(given: Any, module: str, *names: str) -> bool:
    """Whether an object is of a class of a module. The module is not imported: who has such an object has done so."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(given, tuple(getattr(loaded, name) for name in names))


def _of_array(samples: Any, inputs: InputSpec, fs: float | None) -> Recording:
    name, rate_hz = signal_to_read(inputs), checked_rate(fs)
    kind, given = SIGNAL_KINDS[name], checked_samples(samples, rate_hz)
    # Over NaN an ECG holds no beats, so it is left unscored as if an electrode were off, and as in a stream.
    gaps = () if kind.has_heartbeats else given.gaps
    return recording_of_signal(
        Path("the signal"), name, DerivedSignal(given.samples, rate_hz, kind.label, kind.unit), gaps
    )


def _chosen_signal(signals: SignalsInMemory, inputs: InputSpec, fs: float | None, channel: str) -> Recording:
    """The channel that a network needs as a recording: the ECG as `sleepkd predict` chooses it, or the only other.

    Raises UserError where several channels are named like a signal without heartbeats.
    """
    name = signal_to_read(inputs)
    kind = SIGNAL_KINDS[name]
    if fs is not None and not np.allclose(checked_rate(fs), signals.rates, rtol=SAME_RATE):
        rates = ", ".join(f"{rate:g}" for rate in sorted(set(signals.rates)))
        raise UserError(f"fs: is {fs:g}, {signals.path} states {rates} samples per second; leave out fs")
    like = [label for label in signals.labels if re.fullmatch(kind.channels, label.strip(), re.IGNORECASE)]
    if not channel and not kind.has_heartbeats and len(like) > 1:
        listed = ", ".join(like)
        raise UserError(f"{signals.path}: {len(like)} channels look like {kind.label}; channel= names one of {listed}")
    derivation = chosen_channel(signals, channel or signals.among, name)
    signal = signals.derive([derivation], kind.unit)
    found = find_channels([derivation], signals.labels)
    gaps: tuple[tuple[float, float], ...] = ()
    if found and not kind.has_heartbeats:
        gaps = checked_samples(signals.read(found[1][0]), signal.rate_hz).gaps
    return replace(recording_of_signal(signals.path, name, signal, gaps), start=signals.start())


@contextmanager
def _words_of_python() -> Iterator[None]:
    """Name the arguments of `Model.predict` in the messages of readers, which name options of commands."""
    try:
        yield
    except UserError as error:
        text = str(error)
        for option, argument in ARGUMENTS.items():
            text = text.replace(option, argument)
        raise UserError(text) from None
