"""What columns hold, by the names that devices and programs give them."""

import pytest

from sleepkd.cohorts.beats.column_roles import ColumnName, column_name, role_of

ROLES = {
    "interval": "rr|RR-interval [ms]|rr_ms|rr1|IBI|PP-interval [ms]|ppInMs|NN|BBI|R-R (ms)|Inter-beat interval",
    "rate": "hr|HR (bpm)|heart_rate|heartRate|Heart Rate [bpm]|Pulse Rate(bpm)|bpm|Beats per minute|HeartRate [1/min]",
    "time": "time|time_s|Time [ms]|timestamp|Phone timestamp|sensor timestamp [ns]|datetime|seconds|since start",
    "beat": "beats|R peaks|rpeak|qrs",
    "sample": "sample|samples|RPoint",
    "date": "date|Datum|day",
    "person": "subject|participant_id|Patient|user|ID",
    "source": "source|sourceName|device|metric",
    "ecg": "ecg [uV]|EKG",
    "value": "value",
    "": "HRV|hr_confidence|rr_quality|RMSSD|max hr|Sample rate|Speed (km/h)|SpO2|timezone|HR zone",
}


@pytest.mark.parametrize(("role", "names"), ROLES.items())
def test_roles(role: str, names: str) -> None:
    assert {name: role_of(name) for name in names.split("|")} == dict.fromkeys(names.split("|"), role)


def test_units_in_names() -> None:
    assert column_name("RR-interval [ms]") == ColumnName(("rr", "interval"), "ms")
    assert column_name("timestampNs").unit == "ns" and column_name("time_s").unit == "s"
    assert column_name("t").unit == "" and column_name("HR (bpm)").unit == ""
