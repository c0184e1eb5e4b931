"""Which nights of a file are staged: the last one, all, or the whole recording; and the date of each."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from sleepkd.cohorts.beats import BEATS, beat_format
from sleepkd.cohorts.beats.rate_days import RateDays
from sleepkd.cohorts.beats.which_night import WHOLE_S, NightSpan, find_nights, no_night, rate_of_beats
from sleepkd.cohorts.clock import moment_of, start_later
from sleepkd.cohorts.recording import Recording
from sleepkd.data.inputs import InputSpec
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.errors import UserError
from sleepkd.prediction.ecg_check import ecg_beats
from sleepkd.prediction.recorded import ReadingOptions, beat_layout, read_as

WhichNights = Literal["last", "all", "whole"]
WHICH_NIGHTS: tuple[WhichNights, ...] = get_args(WhichNights)
LONGEST_WHOLE_S = 7 * 86400.0
"""A longer heart rate of a watch is not staged whole: it would need gigabytes."""


@dataclass(frozen=True)
class ChosenNight:
    """A night of a file.

    number, of: which of the file's nights it is, from 1. span: where in the recording it lies, if that is longer.
    device: what measured its heart rate, if the file states it; left_out: other devices that measured that night.
    """

    recording: Recording
    number: int = 1
    of: int = 1
    span: NightSpan | None = None
    device: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def start(self) -> datetime | None:
        """Local date and time of its first sample; None if the file does not state it."""
        return moment_of(self.recording.start)

    @property
    def when(self) -> str:
        """For example "2024-03-09 23:00 to 2024-03-10 06:55, night 2 of 2"; "" if nothing is known."""
        parts = []
        if self.start is not None:
            end = self.start + timedelta(seconds=self.recording.seconds)
            zone = f" {self.recording.start.zone}" if self.recording.start and self.recording.start.zone else ""
            parts.append(f"{self.start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}{zone}")
        elif self.span is not None:
            parts.append(f"{self.span.start_s / 3600:.1f} h to {self.span.end_s / 3600:.1f} h of the recording")
        if self.span is not None:
            parts.append(f"night {self.number} of {self.of}")
        if self.left_out:
            parts.append(f"heart rate of {self.device or 'an unnamed device'}, not of {', '.join(self.left_out)}")
        return ", ".join(parts)

    def folder_name(self, name: str) -> str:
        """The folder of this night among several of a file, for example "export-2024-03-09T2300"."""
        if self.span is None:
            return name
        return f"{name}-night-{self.number}" if self.start is None else f"{name}-{self.start:%Y-%m-%dT%H%M}"

    @property
    def facts(self) -> dict[str, Any]:
        """Entries of summary.json."""
        start = None if self.start is None else self.start.isoformat(timespec="seconds")
        onset_s = 0.0 if self.span is None else self.span.start_s
        facts = {"start": start, "night": self.number, "nights": self.of, "onset_in_recording_s": round(onset_s, 3)}
        return facts | ({"device": self.device, "devices_left_out": list(self.left_out)} if self.device else {})


def chosen_nights(
    path: Path, inputs: InputSpec, options: ReadingOptions, which: WhichNights = "last"
) -> Iterator[ChosenNight]:
    """The nights of a file to stage, read one by one.

    A recording of up to 16 h is one night. Of longer heartbeats, heart rates and ECGs, nights are found by
    `find_nights`; which: the "last", "all", or none: the recording is staged "whole".
    Raises UserError: a file that cannot be read, a recording of more than 16 h without a night.
    """
    form = beat_format(path, options.beats, options.channel, options.rate_hz)
    read_days = BEATS[form].days if form else None
    if form is not None and read_days is not None:
        beat_layout(path, form, inputs, options)
        yield from _nights_of_days(path, read_days(path), which)
        return
    recording = read_as(path, form, inputs, options)
    spans = None if which == "whole" else nights_of(recording)
    if spans is None:
        yield ChosenNight(recording)
        return
    for number, span in _chosen(spans, which):
        yield ChosenNight(part_of(recording, span), number, len(spans), span)


def nights_of(recording: Recording) -> list[NightSpan] | None:
    """The nights of a recording of heartbeats or ECG; None for one of up to 16 h or of other signals.

    Raises UserError if a longer one holds no night.
    """
    if recording.seconds <= WHOLE_S:
        return None
    beats = recording.beats
    for name, signal in recording.signals.items():
        if SIGNAL_KINDS[name].has_heartbeats:
            beats = ecg_beats(signal.samples, signal.rate_hz, f"{recording.path}: {signal.derivation}").times
    if beats is None or not len(beats):
        return None
    times, per_minute = rate_of_beats(beats)
    start = moment_of(recording.start) if recording.start and not recording.start.zone else None
    clock = None if start is None else times + (start - datetime(start.year, start.month, start.day)).total_seconds()
    spans = find_nights(times, per_minute, clock)
    if not spans:
        raise no_night(recording.path, recording.seconds)
    return spans


def part_of(recording: Recording, span: NightSpan) -> Recording:
    """A part of an unlabelled recording, its times from the start of the part, which is a whole second."""
    first_s, last_s = float(np.floor(span.start_s)), min(span.end_s, recording.seconds)
    signals = {}
    for name, signal in recording.signals.items():
        first, last = (round(seconds * signal.rate_hz) for seconds in (first_s, last_s))
        signals[name] = replace(signal, samples=signal.samples[first:last])
    beats = recording.beats
    if beats is not None:
        beats = beats[(beats >= first_s) & (beats <= last_s)] - first_s
    inside = [
        (max(a, first_s) - first_s, min(b, last_s) - first_s) for a, b in recording.gaps if a < last_s and b > first_s
    ]
    start = start_later(recording.start, first_s)
    return replace(recording, seconds=last_s - first_s, signals=signals, beats=beats, gaps=tuple(inside), start=start)


def _nights_of_days(path: Path, days: RateDays, which: WhichNights) -> Iterator[ChosenNight]:
    """The nights of the heart rate of a watch."""
    spans = days.spans(path) if which != "whole" else [NightSpan(0.0, float(days.times[-1]))]
    if which == "whole" and days.times[-1] > LONGEST_WHOLE_S:
        raise UserError(f"{path}: lasts {days.times[-1] / 86400:.0f} days, too long for --nights whole")
    for number, span in _chosen(spans, which):
        night = days.night(path, span)
        beats = night.beats
        seconds = float(beats.times[-1])
        recording = Recording(path, seconds, beats=beats.times, cadence_s=beats.cadence_s, start=beats.start)
        yield ChosenNight(recording, number, len(spans), span, night.source, night.others)


def _chosen(spans: list[NightSpan], which: WhichNights) -> list[tuple[int, NightSpan]]:
    numbered = list(enumerate(spans, 1))
    return numbered[-1:] if which == "last" else numbered
