"""A recording of any device as an opened night in memory: signals at a network's rates, heartbeats, sleep epochs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sleepkd.cohorts.beats import BEATS, BeatLayout, beat_format
from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.condition import stored_signal
from sleepkd.cohorts.recording import BeatFile, Recording, read_recording
from sleepkd.cohorts.signals import SIGNALS, Derivation, DerivedSignal, SignalFile, open_signals, signal_format
from sleepkd.data.beats import median_interval
from sleepkd.data.heart_rate_input import beats_cadence
from sleepkd.data.hypnogram import EPOCH_SECONDS, Hypnogram, unscored_hypnogram
from sleepkd.data.inputs import InputSpec
from sleepkd.data.recording_info import BeatsInfo, RecordingInfo
from sleepkd.data.signal_kinds import SIGNAL_KINDS, sampled_kinds
from sleepkd.data.store import Night
from sleepkd.errors import UserError
from sleepkd.prediction.channel_choice import channels_like, chosen_channel
from sleepkd.prediction.ecg_check import ecg_beats, flat_or_clipped

LEAST_SECONDS = 600.0
"""A shorter recording is not staged."""
LONGEST_SECONDS = 14 * 86400.0
"""A longer recording is not staged: memory grows with its length, and its times are likely wrong."""
ENDINGS = tuple(
    dict.fromkeys(ending for formats in (SIGNALS, BEATS) for entry in formats.values() for ending in entry.endings)
)
"""Of the names of files that can be read."""


@dataclass(frozen=True)
class ReadingOptions:
    """What a user states about recordings.

    channel: of the channel to read, as `chosen_channel` takes it: a name, NAME#2, a number, or a pattern.
    rate_hz: samples per second of tables without times. beats: the files hold heartbeats.
    start_s: where the first sleep epoch begins, s from the first sample.
    beside: further files of the night, as `night_files.with_sensors` reads them.
    """

    channel: str = ""
    rate_hz: float | None = None
    beats: bool = False
    start_s: float = 0.0
    beside: tuple[Path, ...] = ()


@dataclass(frozen=True)
class OpenedRecording:
    """A night in memory. start: when the recording starts, if its file states it.

    lost: of an ECG, the flat and the clipped share (N, 2) of each sleep epoch.
    notes: why sensors of the recording are not read.
    """

    night: Night
    start: Start | None = None
    lost: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def open_recording(path: Path, inputs: InputSpec, options: ReadingOptions) -> OpenedRecording:
    """A file as a night with the inputs of a network, as far as the file holds them.

    Raises UserError as `read_file` and `opened_night` do.
    """
    return opened(read_file(path, inputs, options), inputs, options.start_s)


def read_file(path: Path, inputs: InputSpec, options: ReadingOptions) -> Recording:
    """A file's heartbeats, or its signal that a network needs. Raises UserError: an unknown format, no such channel."""
    return read_as(path, beat_format(path, options.beats, options.channel, options.rate_hz), inputs, options)


def read_as(path: Path, beats_as: str | None, inputs: InputSpec, options: ReadingOptions) -> Recording:
    """`read_file` of a file whose format of heartbeats is known; None: it holds signals."""
    if beats_as is not None:
        return read_recording(path, beat_file=BeatFile(path, beat_layout(path, beats_as, inputs, options)))
    form = signal_format(path)
    if form is None:
        raise UserError(f"{path}: has no supported format: {', '.join(ENDINGS)}; for heartbeats as text: --beats")
    file = open_signals(path, form, options.rate_hz)
    derivations = derivations_of(file, inputs, options.channel)
    first = next(iter(derivations))
    return read_recording(path, file, derivations, optional=[name for name in derivations if name != first])


def derivations_of(file: SignalFile, inputs: InputSpec, channel: str = "") -> dict[str, list[Derivation]]:
    """By kind, the channels of a file that the inputs of a network are read from, the ECG of heartbeats first.

    channel: of the first kind, as `chosen_channel` takes it. Of the others, the first channel that is named like it.
    Raises UserError: no channel for any input.
    """
    first = signal_to_read(inputs)
    others = {name: channels_like(file, name) for name in inputs if name in sampled_kinds() and name != first}
    found = {name: choices for name, choices in others.items() if choices}
    try:
        return {first: [chosen_channel(file, channel, first)], **found}
    except UserError:
        if channel or not found:
            raise
        return found


def beat_layout(path: Path, form: str, inputs: InputSpec, options: ReadingOptions) -> BeatLayout:
    """The layout of a file of heartbeats with what a user states.

    Raises UserError for an option of no use to it, and for a network that does not read heartbeats.
    """
    entry = BEATS[form]
    if not any(SIGNAL_KINDS[name].stored_as == "heartbeats" for name in inputs):
        raise UserError(f"{path}: holds heartbeats, but the network sees {', '.join(inputs)}")
    if entry.takes_column:
        stated = {"column": options.channel, "rate_hz": options.rate_hz or 0.0}
        return entry.layout(files=(path.name,), format=form, **stated)
    if options.channel or options.rate_hz is not None:
        raise UserError(f"{path}: has no columns or samples to choose: leave out --channel, --column and --fs")
    return entry.layout(files=(path.name,), format=form)


def opened(recording: Recording, inputs: InputSpec, start_s: float = 0.0) -> OpenedRecording:
    """A recording as a night with the inputs of a network that it holds. Raises UserError as `opened_night` does."""
    notes: list[str] = []
    night, lost = opened_night(recording, inputs, start_s, notes), None
    for name, signal in recording.signals.items():
        if SIGNAL_KINDS[name].has_heartbeats:
            epochs = night.hypnogram
            lost = flat_or_clipped(signal.samples, signal.rate_hz, epochs.onset_s, epochs.duration_s)
    return OpenedRecording(night, recording.start, lost, tuple(notes))


def without_unread(recording: Recording, night: Night) -> Recording:
    """A recording without the sensors that its opened night does not hold."""
    kept = {
        name: signal
        for name, signal in recording.signals.items()
        if name in night.info.signals or not SIGNAL_KINDS[name].on_request
    }
    return replace(recording, signals=kept)


def signal_to_read(inputs: InputSpec) -> str:
    """The kind of signal that a network needs first: its EEG or ECG, the ECG of its heartbeats, or its first sensor."""
    sampled = [name for name in sampled_kinds() if name in inputs]
    always = [name for name in sampled if not SIGNAL_KINDS[name].on_request]
    if not always and (not sampled or any(SIGNAL_KINDS[name].stored_as == "heartbeats" for name in inputs)):
        return next(name for name, kind in SIGNAL_KINDS.items() if kind.has_heartbeats)
    return (always or sampled)[0]


def too_long(seconds: float) -> str:
    """The reason why a recording is not staged that lasts longer than `LONGEST_SECONDS`."""
    return (
        f"lasts {seconds / 3600:.4g} hours from its start, longer than {LONGEST_SECONDS / 86400:.0f} days; are the "
        "times in s, and from the start of the recording rather than from 1970?"
    )


def recording_of_signal(
    path: Path, name: str, signal: DerivedSignal, gaps: Sequence[tuple[float, float]] = ()
) -> Recording:
    """A recording of one signal. path: its name in messages. gaps: (start, end), s, where its values are missing."""
    return Recording(path, len(signal.samples) / signal.rate_hz, {name: signal}, gaps=tuple(gaps))


def recording_of_beats(path: Path, times: np.ndarray) -> Recording:
    """A recording of heartbeats (beats,), s, in order, or of an averaged heart rate that they were made from.

    path: its name in messages.
    """
    return Recording(path, float(times[-1]) if len(times) else 0.0, beats=times, cadence_s=beats_cadence(times))


def opened_night(
    recording: Recording, inputs: InputSpec, start_s: float = 0.0, notes: list[str] | None = None
) -> Night:
    """A recording as a night in memory, with unscored sleep epochs of 30 s from `start_s`.

    Signals are stored at the rates of the inputs. Heartbeats are those of the recording, or are detected in its ECG.
    notes: takes a line for each sensor that is left out because it holds nothing. The other signals are needed.
    Raises UserError: a signal that is not an ECG, no plausible heartbeats, a recording of less than ten minutes.
    """
    path, seconds = recording.path, recording.seconds
    if not seconds - start_s >= LEAST_SECONDS:
        raise UserError(f"{path}: lasts {max(0.0, seconds - start_s) / 60:.1f} min, too short to be staged")
    if not seconds <= LONGEST_SECONDS:
        raise UserError(f"{path}: {too_long(seconds)}")
    times, rate_hz, infos = recording.beats, 0.0, {}
    maps: dict[str, np.ndarray] = {}
    for name, signal in recording.signals.items():
        where, polarity = f"{path}: {signal.derivation}", 1
        if SIGNAL_KINDS[name].has_heartbeats:
            detected = ecg_beats(signal.samples, signal.rate_hz, where)
            times, polarity = detected.times, detected.polarity
        if name in inputs:
            read_hz, kind = float(inputs[name].rate), SIGNAL_KINDS[name]
            rate_hz = rate_hz if kind.rate_hz else read_hz
            try:
                maps[f"{name}.npy"], infos[name] = stored_signal(
                    signal, kind, read_hz, None, recording.gaps, polarity, where
                )
            except UserError as error:
                if notes is None or not kind.on_request or len(recording.signals) + (times is not None) < 2:
                    raise
                notes.append(f"without {kind.label}: {str(error).removeprefix(f'{where}: ')}")
    beats = None
    if times is not None:
        median_s = median_interval(times)
        if np.isnan(median_s):
            raise UserError(f"{path}: holds no physiologically plausible heartbeats")
        maps["beats.npy"], beats = times, BeatsInfo("", len(times), median_s, cadence_s=recording.cadence_s)
    grid = unscored_hypnogram(seconds - start_s, EPOCH_SECONDS)
    hypnogram = Hypnogram(grid.onset_s + start_s, grid.duration_s, grid.labels)
    name = path.stem
    info = RecordingInfo(name, name, "", "aasm", path.name, "", seconds, infos, {}, beats, recording.gaps)
    return Night(path, info, hypnogram, "", rate_hz, _maps=maps)
