"""Several files of one night as one recording: heartbeats or signals, and sensors beside them, aligned by clocks."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sleepkd.cohorts.beats import beat_format
from sleepkd.cohorts.clock import Start, moment_of, seconds_between
from sleepkd.cohorts.recording import Recording, placed_sensor
from sleepkd.cohorts.sensors import SENSORS
from sleepkd.cohorts.sensors.apple_energy import read_active_energy
from sleepkd.cohorts.sensors.movement_table import looks_like_movement, movement_layout
from sleepkd.cohorts.signals import DerivedSignal, open_signals, signal_format
from sleepkd.data.inputs import InputSpec
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.errors import UserError
from sleepkd.prediction.channel_choice import channels_like

MOTION = "motion"
APPLE = "apple_health"
TEXT = (None, "table")
"""Formats of files that may be heartbeats as text."""
LEAST_OVERLAP_S = 60.0
"""Files that overlap for less are not of one night."""


class NightFiles(NamedTuple):
    """The files of one night. main: of heartbeats or ECG, whose first sample is 0 s. beside: the others."""

    main: Path
    beside: tuple[Path, ...]


def sorted_files(paths: Sequence[Path], holds_beats: bool = False) -> NightFiles:
    """Which of the files of a night holds its heartbeats: the first one, or else the first of signals.

    holds_beats: text files that hold no movement hold heartbeats, whatever their columns. Files of neither are left
    out. Raises UserError: no heartbeats and no signals, or several files of heartbeats.
    """
    movement = [path for path in paths if looks_like_movement(path)]
    others = [path for path in paths if path not in movement]
    beats = [path for path in others if beat_format(path, holds_beats and signal_format(path) in TEXT) is not None]
    if len(beats) > 1:
        raise UserError(f"{beats[1]}: holds heartbeats as {beats[0].name} does; give one of them for the night")
    signals = [path for path in others if path not in beats and signal_format(path) is not None]
    main = [*beats, *signals]
    if not main:
        raise UserError(f"{paths[0].parent}: no file of the night holds heartbeats or signals of its own")
    return NightFiles(main[0], (*movement, *main[1:]))


def with_sensors(recording: Recording, beside: Sequence[Path], inputs: InputSpec) -> tuple[Recording, list[str]]:
    """A recording with what files beside it hold of the inputs of a network, and lines on what was done with each.

    An export of Apple Health holds movement itself, as active energy. A file of what the network does not read is left
    out. Times without a date count from the same zero as those of the
    recording. Raises UserError: a file that cannot be read, that does not overlap, whose clock has another zone.
    """
    signals = dict(recording.signals)
    lines: list[str] = []
    if MOTION in inputs and not beside and beat_format(recording.path) == APPLE:
        signals |= _energy(recording, lines)
    for path in beside:
        if signal_format(path) is not None and not looks_like_movement(path):
            found = _channels(recording, path, inputs, lines)
        else:
            found = _movement(recording, path, inputs, lines)
        for name, signal in found.items():
            if name in signals:
                lines.append(f"{path.name}: {SIGNAL_KINDS[name].label} is read from another file, not from this one")
            else:
                signals[name] = signal
    return replace(recording, signals=signals), lines


def _movement(recording: Recording, path: Path, inputs: InputSpec, lines: list[str]) -> dict[str, DerivedSignal]:
    """The movement that a table holds."""
    if MOTION not in inputs:
        lines.append(_not_read(path, MOTION, inputs))
        return {}
    layout = movement_layout(path)
    reading = SENSORS[layout.format].read(path, layout)
    shift_s = _shift(recording, reading.start, path, lines)
    lines += [f"{path.name}: {remark}" for remark in reading.remarks]
    _check_overlap(recording, path, MOTION, reading.first_s + shift_s, reading.end_s + shift_s, lines)
    return {MOTION: placed_sensor(reading, MOTION, shift_s, recording.seconds)}


def _energy(recording: Recording, lines: list[str]) -> dict[str, DerivedSignal]:
    """The active energy of an export of Apple Health in the night of a recording as its movement; {} without any."""
    name, begin = recording.path.name, moment_of(recording.start)
    reading = None if begin is None else read_active_energy(recording.path, begin, recording.seconds)
    if reading is None:
        lines.append(f"{name}: holds no active energy in this night, so the network is not given movement")
        return {}
    share = float(np.isfinite(reading.samples).mean())
    lines.append(
        f"{name}: movement is the active energy of the watch, which covers {share:.0%} of the night; networks are "
        "trained with activity counts"
    )
    return {MOTION: placed_sensor(reading, MOTION, 0.0, recording.seconds)}


def _channels(recording: Recording, path: Path, inputs: InputSpec, lines: list[str]) -> dict[str, DerivedSignal]:
    """The channels of a file of signals that look like inputs of the network; missing beyond its ends."""
    kinds = [name for name in inputs if SIGNAL_KINDS[name].keeps_missing]
    form = signal_format(path)
    assert form is not None
    file = open_signals(path, form, None)
    found = {name: channels_like(file, name) for name in kinds}
    found = {name: choices for name, choices in found.items() if choices}
    if not found:
        read = ", ".join(SIGNAL_KINDS[name].label for name in inputs)
        lines.append(f"{path.name}: holds no channel that the network reads ({read}); it was not given it")
        return {}
    shift_s = _shift(recording, file.start(), path, lines)
    placed = {}
    for name, choices in found.items():
        signal = file.derive(choices, SIGNAL_KINDS[name].unit)
        end_s = len(signal.samples) / signal.rate_hz
        _check_overlap(recording, path, name, shift_s, end_s + shift_s, lines)
        placed[name] = _shifted(signal, shift_s, recording.seconds)
    return placed


def _shifted(signal: DerivedSignal, shift_s: float, seconds: float) -> DerivedSignal:
    """A signal that begins shift_s after a recording of `seconds`, to the nearest sample, NaN beyond its ends."""
    samples = np.full(round(seconds * signal.rate_hz), np.nan)
    first = round(shift_s * signal.rate_hz)
    kept = signal.samples[max(0, -first) : max(0, len(samples) - first)]
    samples[max(0, first) : max(0, first) + len(kept)] = kept
    return replace(signal, samples=samples)


def _shift(recording: Recording, start: Start | None, path: Path, lines: list[str]) -> float:
    """The zero of a file's times, s from the first sample of a recording."""
    if recording.start is None and start is None:
        return -recording.zero_s
    if recording.start is None or start is None:
        dated, bare = (recording.path, path) if start is None else (path, recording.path)
        raise UserError(
            f"{path}: cannot be aligned with {recording.path.name}: {dated.name} has dates and times, {bare.name} not"
        )
    if start.zone != recording.start.zone:
        clocks = [f"{x or 'local time'}" for x in (start.zone, recording.start.zone)]
        raise UserError(f"{path}: its clock is {clocks[0]}, that of {recording.path.name} is {clocks[1]}")
    own, main = moment_of(start), moment_of(recording.start)
    if own is not None and main is not None:
        return (own - main).total_seconds()
    shift_s, remark = seconds_between(recording.start, start, "date_and_time", f"{recording.path} and {path}")
    lines += [f"{path.name}: {remark}"] if remark else []
    return shift_s


def _check_overlap(recording: Recording, path: Path, name: str, begin_s: float, end_s: float, lines: list[str]) -> None:
    """Raise UserError where a sensor does not lie within a recording; a line says how much of it the sensor covers."""
    covered_s = min(end_s, recording.seconds) - max(begin_s, 0.0)
    if covered_s < LEAST_OVERLAP_S:
        whole = _span_text(recording, 0.0, recording.seconds)
        raise UserError(
            f"{path}: {SIGNAL_KINDS[name].label} from {_span_text(recording, begin_s, end_s)} does not overlap with "
            f"{recording.path.name}, from {whole}; are they of the same night?"
        )
    share = covered_s / recording.seconds
    lines.append(f"{path.name}: {SIGNAL_KINDS[name].label} covers {share:.0%} of {recording.path.name}")


def _span_text(recording: Recording, begin_s: float, end_s: float) -> str:
    """A span of a recording as dates and times, or as hours from its start."""
    start = moment_of(recording.start)
    if start is None:
        return f"{begin_s / 3600:.2f} to {end_s / 3600:.2f} h"
    return " to ".join(f"{start + timedelta(seconds=x):%Y-%m-%d %H:%M}" for x in (begin_s, end_s))


def _not_read(path: Path, name: str, inputs: InputSpec) -> str:
    read = ", ".join(SIGNAL_KINDS[kind].label for kind in inputs)
    return f"{path.name}: the network reads {read}, not {SIGNAL_KINDS[name].label}; it was not given it"
