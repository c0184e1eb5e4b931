"""Tables of movement recognised by their columns: counts and acceleration, with and without names."""

import re

import numpy as np
import pytest

from sleepkd.cohorts.sensors import SENSORS
from sleepkd.cohorts.sensors.movement_table import looks_like_movement, movement_layout
from sleepkd.errors import UserError


def written(folder, name, header, rows, delimiter=","):
    path = folder / name
    lines = [
        delimiter.join(f"{value:.10g}" if isinstance(value, float) else str(value) for value in row) for row in rows
    ]
    path.write_text("\n".join(([header] if header else []) + lines) + "\n")
    return path


def counts(step, n=20):
    return [(float(step * k), k % 3) for k in range(n)]


def moving(factor, rate_hz=50.0, seconds=60.0):
    """Gravity along z, and a shake of 5 Hz from 30 s to 45 s, in units of 1 / factor g."""
    t = np.arange(0, seconds, 1 / rate_hz)
    z = 1 + np.where((t >= 30) & (t < 45), 0.5 * np.sin(2 * np.pi * 5 * t), 0)
    return [(float(now), 0.0, 0.0, float(value * factor)) for now, value in zip(t, z, strict=True)]


@pytest.mark.parametrize(
    ("name", "header", "delimiter"),
    [
        ("a.csv", "onset_s,count", ","),
        ("a.csv", "time,activity", ","),
        ("a.csv", "Timestamp;Activity counts", ";"),
        ("a.tsv", "seconds\tmotion", "\t"),
        ("night_activity.txt", "", " "),
    ],
)
def test_counts_are_recognised_with_the_length_of_their_intervals(tmp_path, name, header, delimiter):
    path = written(tmp_path, name, header, counts(15), delimiter)
    layout = movement_layout(path)
    assert looks_like_movement(path)
    assert layout.format == "counts" and layout.epoch_seconds == 15
    reading = SENSORS["counts"].read(path, layout)
    np.testing.assert_allclose(reading.samples[:4], [0, 2, 4, 0])  # counts per 15 s, as a rate per 30 s


@pytest.mark.parametrize("gravity", [1.0, 9.81, 64.0, 1000.0])
@pytest.mark.parametrize(
    ("name", "header"), [("x.csv", "time,x,y,z"), ("x.csv", "t,acc_x,acc_y,acc_z"), ("acc.csv", "")]
)
def test_acceleration_is_recognised_in_any_unit(tmp_path, gravity, name, header):
    path = written(tmp_path, name, header, moving(gravity))
    layout = movement_layout(path)
    assert looks_like_movement(path)
    assert layout.format == "acceleration" and layout.unit_g == pytest.approx(1 / gravity)
    reading = SENSORS["acceleration"].read(path, layout)
    assert reading.samples[2] > 100 > 10 > max(reading.samples[:2])  # every 15 s


@pytest.mark.parametrize(
    ("name", "header", "rows"),
    [("rr.csv", "time,rr_ms", counts(1)), ("hr.csv", "time,hr", counts(5)), ("rr.txt", "", [(800,), (810,)])],
)
def test_heartbeats_are_no_movement(tmp_path, name, header, rows):
    assert not looks_like_movement(written(tmp_path, name, header, rows))
    assert not looks_like_movement(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (
            "time,x,y,z",
            [(now, x, y, 0.02 * z) for now, x, y, z in moving(1.0)],
            "magnitude of its acceleration is 0.02",
        ),
        ("time,temperature", counts(30), "has no column of movement"),
        ("hour,count", counts(30), "has no column of times"),
        ("time,count", counts(0.1), "a row every 0.1 s, too often for activity counts"),
        ("", [(0, 1, 2), (1, 1, 2)], "has 3 columns without names"),
    ],
)
def test_other_tables_are_refused_in_a_line(tmp_path, header, rows, message):
    path = written(tmp_path, "table.csv", header, rows)
    with pytest.raises(UserError, match=re.escape(message)):
        movement_layout(path)
