"""Active energy of an export of Apple Health as movement, against values by hand."""

import datetime as dt

import numpy as np

from sleepkd.cohorts.sensors.apple_energy import read_active_energy

BEGIN = dt.datetime(2024, 3, 9, 23, 0)
RECORD = (
    '<Record type="HKQuantityTypeIdentifier{kind}" unit="{unit}" startDate="{start} +0100" endDate="{end} +0100" '
    'value="{value}"/>'
)


def record(start_s, end_s, value, unit="kcal", kind="ActiveEnergyBurned"):
    start, end = (BEGIN + dt.timedelta(seconds=x) for x in (start_s, end_s))
    return RECORD.format(kind=kind, unit=unit, start=start, end=end, value=value)


def export(folder, *records):
    path = folder / "export.xml"
    path.write_text("\n".join(["<HealthData>", *records, "</HealthData>"]))
    return path


def test_energy_is_spread_over_the_time_of_its_record(tmp_path):
    path = export(
        tmp_path,
        record(-30, 60, 0.9),  # .3 kcal in each 30 s
        record(60, 90, 4.184, "kJ"),  # 1 kcal
        record(90, 90, 5.0),  # of no time
        record(150, 165, 0.2),  # half of an interval
        record(180, 210, 1.0),
        record(180, 210, 3.0),  # another device
        record(240, 9999, 7.0),  # too long to tell
        record(240, 270, 7.0, "parsec"),
        record(240, 270, 60, "count/min", "HeartRate"),
    )
    reading = read_active_energy(path, BEGIN, 300.0)
    expected = [300, 300, 1000, np.nan, np.nan, 400, 2000, np.nan, np.nan, np.nan]
    np.testing.assert_allclose(reading.samples, expected)
    assert (reading.rate_hz, reading.first_s) == (1 / 30, 0.0)


def test_a_night_without_energy(tmp_path):
    assert read_active_energy(export(tmp_path, record(86400, 86430, 1.0)), BEGIN, 300.0) is None
