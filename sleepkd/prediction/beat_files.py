"""Beats of watches and chest straps: text of times, RR intervals or heart rate; Polar's and Apple Health's exports."""

import datetime
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from sleepkd.cohorts.beats.found import in_order
from sleepkd.cohorts.beats.table import beats_of_rate
from sleepkd.cohorts.text import delimiter_of, read_lines
from sleepkd.errors import UserError

INTERVAL = re.compile(r"(rr|ibi|nn|r-r).*|.*\b(rr|ibi|r-r)[ _-]?(interval)?s?\b.*", re.IGNORECASE)
RATE = re.compile(r"(hr|bpm|heart[ _]?rate|pulse|value).*", re.IGNORECASE)
TIME = re.compile(r"(phone timestamp|time|t|timestamp|seconds|unix.*|date.*|beat.*|start.*)\b.*", re.IGNORECASE)
APPLE_RATE = "HKQuantityTypeIdentifierHeartRate"
LONGEST_GAP = 20.0 * 60
"""Heart rates further apart than this, s, are interrupted: a watch measures every few minutes at night."""
MIDDLE_OF_DAY = datetime.time(15)
"""From here to here is one night of an export of months."""


def is_beat_file(path: Path) -> bool:
    """Whether a file can only hold beats: an export of Apple Health, or text whose columns say so."""
    if path.suffix.lower() == ".xml":
        return True
    if path.suffix.lower() not in (".csv", ".tsv", ".txt"):
        return False
    names = _header(read_lines(path)[:1])
    return any(INTERVAL.fullmatch(name) or RATE.fullmatch(name) for name in names)


def read_beats(path: Path) -> np.ndarray:
    """The times of beats (beats,), s from the first. Raises UserError where the file holds none."""
    times = _apple(path) if path.suffix.lower() == ".xml" else _text(path)
    if len(times) < 2:
        raise UserError(f"{path}: holds no beats")
    return in_order(path, times - times.min())


def _text(path: Path) -> np.ndarray:
    lines = [line for line in read_lines(path) if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise UserError(f"{path}: is empty")
    names = _header(lines[:1])
    body = lines[1:] if names else lines
    delimiter = delimiter_of(lines[0])
    rows = [[cell.strip().strip('"') for cell in line.split(delimiter)] for line in body]
    width = max(map(len, rows), default=0)
    columns = [[row[k] if k < len(row) else "" for row in rows] for k in range(width)]
    if not names:
        return _unnamed(path, [_numbers(path, column) for column in columns])
    found = {kind: next((i for i, n in enumerate(names) if kind.fullmatch(n)), None) for kind in (INTERVAL, RATE)}
    timed = next((i for i, n in enumerate(names) if TIME.fullmatch(n) and i not in found.values()), None)
    times = None if timed is None else _times(path, columns[timed], names[timed])
    if found[INTERVAL] is not None:
        return _of_intervals(path, _numbers(path, columns[found[INTERVAL]]), times)
    if found[RATE] is not None:
        if times is None:
            raise UserError(f"{path}: has a heart rate but no column of times ({', '.join(names)})")
        return beats_of_rate(times, _numbers(path, columns[found[RATE]]), LONGEST_GAP)
    if times is None:
        raise UserError(f"{path}: none of its columns is one of beats: {', '.join(names)}; call it rr, hr or time")
    return times[np.isfinite(times)]


def _unnamed(path: Path, columns: list[np.ndarray]) -> np.ndarray:
    """Numbers that nobody named: rising ones are times, others intervals; of two columns the first is the time."""
    first = columns[0]
    rising = len(first) > 2 and bool((np.diff(first[np.isfinite(first)]) > 0).all())
    if len(columns) == 1:
        return _in_seconds(first) if rising else _of_intervals(path, first, None)
    if not rising:
        raise UserError(f"{path}: its first column does not rise, so it holds no times; give the columns names")
    values, median = columns[1], float(np.nanmedian(columns[1]))
    if 30 <= median <= 220:
        return beats_of_rate(_in_seconds(first), values, LONGEST_GAP)
    return _of_intervals(path, values, _in_seconds(first))


def _of_intervals(path: Path, intervals: np.ndarray, ends: np.ndarray | None) -> np.ndarray:
    """Beats of RR intervals in s or ms, which follow one another, or end at times of their own."""
    median = float(np.nanmedian(intervals)) if np.isfinite(intervals).any() else float("nan")
    if not (0.2 <= median <= 3 or 200 <= median <= 3000):
        raise UserError(f"{path}: intervals of {median:g} on average are no heart's, neither in s nor in ms")
    seconds = intervals / 1000 if median > 3 else intervals
    if ends is None:
        if not np.isfinite(seconds).all():
            raise UserError(f"{path}: has a blank interval and no times to place what follows it")
        return np.concatenate([[0.0], np.cumsum(seconds)])
    known = np.isfinite(seconds) & np.isfinite(ends)
    # Straps send several intervals with one time stamp: those of one packet follow one another up to it.
    seconds, ends = seconds[known], ends[known]
    same = np.flatnonzero(np.diff(ends, append=np.inf) > 0)
    beats, first = [], 0
    for last in same:
        packet = seconds[first : last + 1]
        beats.append(ends[last] - np.concatenate([[0.0], np.cumsum(packet[::-1])])[::-1])
        first = last + 1
    together = np.sort(np.concatenate(beats))
    return together[np.diff(together, prepend=-np.inf) > 0.15]


def _in_seconds(times: np.ndarray) -> np.ndarray:
    """Times in s, ms or ns, told apart by how far beats are from one another."""
    step = float(np.nanmedian(np.diff(times)))
    return times / (1e9 if step > 1e7 else 1e3 if step > 50 else 1.0)


def _times(path: Path, texts: list[str], name: str) -> np.ndarray:
    """A column of numbers, or of dates and times, as seconds."""
    try:
        numbers = np.array([float(text or "nan") for text in texts])
    except ValueError:
        return _clock(path, texts)
    if re.search(r"\[ms\]|\(ms\)|_ms$", name):
        return numbers / 1e3
    if re.search(r"\[ns\]|\(ns\)|_ns$", name):
        return numbers / 1e9
    return _in_seconds(numbers)


def _clock(path: Path, texts: list[str]) -> np.ndarray:
    try:
        moments = [datetime.datetime.fromisoformat(text) for text in texts]
        return np.array([(moment - moments[0]).total_seconds() for moment in moments])
    except (ValueError, TypeError):
        raise UserError(f"{path}: {texts[0]!r} is no time: give seconds, or 2024-01-31T23:05:00") from None


def _apple(path: Path) -> np.ndarray:
    """The heart rate of the last night that an export of Apple Health holds enough of."""
    moments, rates = [], []
    try:
        for _, element in ElementTree.iterparse(path):
            if element.tag == "Record" and element.get("type") == APPLE_RATE:
                moments.append(datetime.datetime.strptime(element.get("startDate", ""), "%Y-%m-%d %H:%M:%S %z"))
                rates.append(float(element.get("value", "nan")))
            element.clear()
    except (ElementTree.ParseError, ValueError) as error:
        raise UserError(f"{path}: is no export of Apple Health: {error}") from None
    if not moments:
        raise UserError(f"{path}: holds no heart rate ({APPLE_RATE})")
    night = [(m - datetime.timedelta(hours=MIDDLE_OF_DAY.hour)).date() for m in moments]
    counts = {day: night.count(day) for day in set(night)}
    last = max(day for day, count in counts.items() if count >= 0.5 * max(counts.values()))
    chosen = [(m.timestamp(), rate) for m, rate, day in zip(moments, rates, night, strict=True) if day == last]
    times, values = (np.array(column) for column in zip(*sorted(chosen), strict=True))
    return beats_of_rate(times - times[0], values, LONGEST_GAP)


def _header(lines: list[str]) -> list[str]:
    """The names of the columns, where the first line has any."""
    if not lines:
        return []
    token_spans = [cell.strip().strip('"') for cell in lines[0].split(delimiter_of(lines[0]))]
    return (
        token_spans
        if any(re.search(r"[A-Za-z]", cell) and not re.fullmatch(r"nan|\d.*", cell, re.I) for cell in token_spans)
        else []
    )


def _numbers(path: Path, texts: list[str]) -> np.ndarray:
    try:
        return np.array([float(text or "nan") for text in texts])
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
