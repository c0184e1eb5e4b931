"""Exports of Apple Health: of iOS 16, packed, of many nights, of two devices."""

import datetime
import gzip
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sleepkd.cohorts.beats import BEATS, BeatTimes, beat_format
from sleepkd.cohorts.beats.apple_health import read_apple_days
from sleepkd.cohorts.clock import moment_of
from sleepkd.errors import UserError

RECORD = '<Record type="HKQuantityTypeIdentifierHeartRate" sourceName="{}" unit="{}" startDate="{}" value="{:g}"/>'
BROKEN_DTD = """<!DOCTYPE HealthData [
<!ELEMENT Record EMPTY>
<!ATTLIST VisionPrescription
  dateIssued CDATA #REQUIRED
<!ELEMENT RightEye EMPTY>
]>"""
NINTH = datetime.datetime(2024, 3, 9, 22, 30)


def records(
    start: datetime.datetime,
    rate: float,
    hours: float = 8,
    every_s: int = 60,
    source: str = "Watch",
    zone: str = "+0100",
    unit: str = "count/min",
) -> list[str]:
    moments = (start + datetime.timedelta(seconds=k) for k in range(0, round(hours * 3600) + 1, every_s))
    return [RECORD.format(source, unit, f"{moment:%Y-%m-%d %H:%M:%S} {zone}", rate) for moment in moments]


def export(path: Path, lines: list[str], before: str = "") -> Path:
    path.write_text("\n".join(['<?xml version="1.0"?>', before, "<HealthData>", *lines, "</HealthData>"]))
    return path


def read(path: Path) -> BeatTimes:
    form = beat_format(path)
    assert form == "apple_health"
    return BEATS[form].read(path, BEATS[form].layout(files=(path.name,), format=form))


def test_the_last_night_with_its_date(tmp_path: Path) -> None:
    lines = [*records(NINTH - datetime.timedelta(days=1), 60), *records(NINTH, 50)]
    lines += records(datetime.datetime(2024, 3, 10, 17), 140, 0.75, 5)  # a workout
    found = read(export(tmp_path / "export.xml", lines))
    assert moment_of(found.start) == NINTH and found.cadence_s == 60
    assert found.times[-1] == pytest.approx(8 * 3600, abs=1.3)
    np.testing.assert_allclose(np.diff(found.times), 60 / 50, rtol=1e-3)


def test_what_ios_writes_that_is_no_xml_is_read(tmp_path: Path) -> None:
    lines = records(NINTH, 50)
    plain = read(export(tmp_path / "export.xml", lines))
    lines = [line.replace("Watch", "Wa\x0btch &#0;&#x1f;&#11; of A &amp; B") for line in lines]
    found = read(export(tmp_path / "ios16.xml", lines, BROKEN_DTD))
    np.testing.assert_array_equal(found.times, plain.times)
    assert read_apple_days(tmp_path / "ios16.xml").sources == ("Watch  of A & B",)


def test_packed_exports_are_read(tmp_path: Path) -> None:
    plain = export(tmp_path / "export.xml", records(NINTH, 50))
    with gzip.open(tmp_path / "export.xml.gz", "wb") as file:
        file.write(plain.read_bytes())
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("apple_health_export/export_cda.xml", "<ClinicalDocument>" + " " * 10**6)
        archive.writestr("apple_health_export/electrocardiograms/ecg.csv", "1\n")
        archive.write(plain, "apple_health_export/Exportación.xml")
    for name in ("export.xml.gz", "export.zip"):
        np.testing.assert_array_equal(read(tmp_path / name).times, read(plain).times)


@pytest.mark.parametrize(
    ("zone", "moment"),
    [("+0100", "2024-03-09 22:30:00"), ("-0800", "2024-03-09 22:30:00"), ("+0530", "2024-03-09 22:30:00")],
)
def test_the_date_is_local(tmp_path: Path, zone: str, moment: str) -> None:
    assert str(moment_of(read(export(tmp_path / "export.xml", records(NINTH, 50, zone=zone))).start)) == moment


def test_a_clock_of_12_hours_and_beats_per_second(tmp_path: Path) -> None:
    lines = records(NINTH, 50 / 60, hours=1, unit="count/s")
    lines = [line.replace(" 22:", " 10:").replace(" 23:", " 11:").replace(" +0100", "\u202fPM +0100") for line in lines]
    found = read(export(tmp_path / "export.xml", lines))
    assert moment_of(found.start) == NINTH
    np.testing.assert_allclose(np.diff(found.times), 60 / 50, rtol=1e-3)


def test_summer_time_ends_within_the_night(tmp_path: Path) -> None:
    evening = datetime.datetime(2024, 10, 26, 23)
    lines = [*records(evening, 50, 3.99, zone="+0200"), *records(evening + datetime.timedelta(hours=3), 50, 4)]
    found = read(export(tmp_path / "export.xml", lines))
    assert moment_of(found.start) == evening and found.times[-1] == pytest.approx(8 * 3600, abs=1.3)


def test_of_two_devices_the_one_that_covers_the_night_is_read(tmp_path: Path) -> None:
    phone = records(NINTH + datetime.timedelta(hours=5), 90, 1, 5, "Phone")
    path = export(tmp_path / "export.xml", [*phone, *records(NINTH, 50)])
    days = read_apple_days(path)
    night = days.night(path, days.spans(path)[-1])
    assert (night.source, night.others) == ("Watch", ("Phone",))
    np.testing.assert_allclose(np.diff(night.beats.times), 60 / 50, rtol=1e-3)
    strap = records(NINTH, 51, 8, 5, "Strap")  # covers as much, more densely
    path = export(tmp_path / "two.xml", [*records(NINTH, 50), *strap])
    days = read_apple_days(path)
    assert days.night(path, days.spans(path)[-1]).source == "Strap"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xml", b"<a></a>", "is no export of Apple Health"),
        ("b.xml", b"<ClinicalDocument></ClinicalDocument>", "give export.xml"),
        ("c.xml", b"<HealthData></HealthData>", "contains no records of heart rate"),
        ("d.xml", b'<HealthData><Record type="HKQuantityTypeIdentifierHeartRate" value="60"/></HealthData>', "1 heart"),
        ("e.xml", b'<HealthData><Record type="HKQ', "is cut off"),
        ("f.xml", b"<HealthData><Record></Note></HealthData>", "is not valid XML"),
        ("g.xml.gz", gzip.compress(b"<HealthData></HealthData>" * 99, mtime=0)[:30], "cannot be unpacked"),
        ("h.xml", b"", "is no export of Apple Health"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"^{path}: .*{message}") as error:
        read(path)
    assert "\n" not in str(error.value)


def test_a_zip_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("IBI.csv", "1,2\n")
    with pytest.raises(UserError, match=r"a ZIP archive without the export\.xml of Apple Health"):
        read(tmp_path / "a.zip")


def test_memory_does_not_grow_with_the_size_of_an_export(tmp_path: Path) -> None:
    line = b'<Record type="HKQuantityTypeIdentifierStepCount" startDate="2024-03-09 22:30:00 +0100" value="9"/>\n'
    path = export(tmp_path / "export.xml", [*records(NINTH, 50), "PLACE"])
    head, _, tail = path.read_bytes().partition(b"PLACE")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with gzip.open(tmp_path / "large.xml.gz", "wb", compresslevel=1) as file:
        file.write(head)
        for _ in range(20):
            file.write(line * 10_000)
        file.write(tail)
    assert len(read(tmp_path / "large.xml.gz").times) == pytest.approx(24000, abs=2)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 15_000  # KiB; a tree of it has over 60,000
