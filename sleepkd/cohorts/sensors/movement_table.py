"""Recognise a table of movement by its columns: activity counts, or raw acceleration of the wrist."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sleepkd.cohorts.beats.sniff_table import find_delimiter, split_line
from sleepkd.cohorts.sensors.acceleration import AccelerationLayout
from sleepkd.cohorts.sensors.count_table import CountTableLayout
from sleepkd.cohorts.sensors.number_table import timed_values
from sleepkd.cohorts.sensors.sensor_layout import SensorLayout
from sleepkd.cohorts.text import is_number, read_lines
from sleepkd.errors import UserError

HEAD_BYTES, HEADER_LINES = 1 << 16, 20
FINEST_COUNTS_S = 1.0
TIME = re.compile(r"(date)?[ _]?time([ _]?stamp)?|timestamp|onset|start([ _]?time)?|seconds?|secs?|elapsed|unix|date|t")
COUNT = re.compile(r"((activity|motion|movement|actigraphy|axis ?1|vector magnitude|vm)[ _]?)?(counts?|index)?|vmcpm")
AXES = re.compile(r"(acc\w*|raw)?[ _.-]?([xyz])([ _-]?axis)?")
UNIT = re.compile(r"\s*[\[(][^\])]*[\])]\s*$|_(s|ms|g|hz)$")
FILE_NAME = re.compile(
    r"(^|[^a-z])(motion|movement|acti(vity|graphy|graph|watch)?|acc(el\w*)?|counts?)([^a-z]|$)", re.I
)
GRAVITY = {1.0: "g", 9.81: "m/s²", 64.0: "1/64 g", 1000.0: "mg"}
"""The magnitude of the acceleration of a wrist at rest, by its unit."""
NEAR_GRAVITY = 1.6
"""The median magnitude is that of gravity to this factor, or the unit is unknown."""


def looks_like_movement(path: Path) -> bool:
    """Whether a file is a text table with columns of movement, by their names, or without names by that of the file."""
    try:
        head, _ = _head(path)
    except UserError:
        return False
    if not head:
        return False
    if any(map(is_number, head[0])):
        return bool(FILE_NAME.search(path.name)) and len(head[0]) in (2, 4)
    names = [_plain(name) for name in head[0]]
    has_axes = {"x", "y", "z"} <= set(map(_axis, head[0]))
    return any(map(TIME.fullmatch, names)) and (has_axes or any(map(_is_count, names)))


def movement_layout(path: Path) -> SensorLayout:
    """How to read a table of movement: `SENSORS` format "counts" or "acceleration".

    Columns are recognised by their names. Without names, two columns are time and count, four are time, x, y, z. The
    length of a count's interval is the median time between rows.
    Raises UserError: no text table, no column of times or of movement, rows too far apart or too near for counts.
    """
    head, delimiter = _head(path)
    if not head:
        raise UserError(f"{path}: is empty")
    has_header = not any(map(is_number, head[0]))
    names = head[0] if has_header else [str(k + 1) for k in range(len(head[0]))]
    time, value, is_acceleration = _columns(path, names, has_header)
    if is_acceleration:
        axes = [name for axis in "xyz" for name in names if _axis(name) == axis] or list(names[-3:])
        unit_g = 1 / _gravity(path, head[has_header:], [names.index(name) for name in axes[:3]])
        return AccelerationLayout((path.name,), "acceleration", time, value, unit_g, delimiter, has_header)
    seconds = timed_values(path, time, value, delimiter, has_header).clock.seconds
    step_s = float(np.median(np.diff(np.unique(seconds)))) if len(np.unique(seconds)) > 1 else 0.0
    if step_s < FINEST_COUNTS_S:
        raise UserError(f"{path}: column {value} has a row every {step_s:.3g} s, too often for activity counts")
    return CountTableLayout((path.name,), "counts", time, value, step_s, delimiter, has_header)


def _columns(path: Path, names: Sequence[str], has_header: bool) -> tuple[str, str, bool]:
    """The column of times, that of movement, and whether it is acceleration."""
    if not has_header:
        if len(names) not in (2, 4):
            raise UserError(
                f"{path}: has {len(names)} columns without names; movement has time, count or time, x, y, z"
            )
        return names[0], names[-1], len(names) == 4
    plain = {name: _plain(name) for name in names}
    times = [name for name in names if TIME.fullmatch(plain[name])]
    z = [name for name in names if _axis(name) == "z"]
    counts = [name for name in names if _is_count(plain[name])]
    if not times or not (z or counts):
        what = "movement (count, activity, x y z)" if times else "times"
        raise UserError(f"{path}: has no column of {what}; it has {', '.join(names)}")
    return times[0], (counts or z)[0], not counts


def _is_count(name: str) -> bool:
    return bool(name) and COUNT.fullmatch(name) is not None and name != "index"


def _axis(name: str) -> str:
    """The axis of a column of acceleration; "" for another column."""
    found = AXES.fullmatch(_plain(name))
    return found[2] if found else ""


def _gravity(path: Path, rows: Sequence[Sequence[str]], axes: Sequence[int]) -> float:
    """The acceleration of gravity in the unit of a table, by the median magnitude of its first rows.

    Raises UserError where it is that of no known unit, as of an acceleration without gravity.
    """
    known = [[float(row[k]) for k in axes] for row in rows if all(k < len(row) and is_number(row[k]) for k in axes)]
    magnitude = float(np.median(np.linalg.norm(known, axis=1))) if known else float("nan")
    for gravity in GRAVITY:
        if gravity / NEAR_GRAVITY <= magnitude <= gravity * NEAR_GRAVITY:
            return gravity
    raise UserError(
        f"{path}: the magnitude of its acceleration is {magnitude:.3g}, that of gravity in none of "
        f"{', '.join(GRAVITY.values())}; give the raw acceleration, gravity included"
    )


def _plain(name: str) -> str:
    """A column's name without its unit, in lower case."""
    return UNIT.sub("", name.strip()).strip().lower()


def _head(path: Path) -> tuple[list[list[str]], str]:
    """The cells of the first lines of a text file, and their delimiter."""
    lines = [line for line in read_lines(path, HEAD_BYTES) if line.strip()]
    if not lines:
        return [], ""
    delimiter = find_delimiter(lines[:HEADER_LINES])
    return [split_line(line, delimiter) for line in lines], delimiter
