"""The page reads the files of watches and straps as Python does: one list of spellings for both."""

import datetime
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.cohorts.beats.given import CLOCKS, ENDS, MS, rows, stamps
from tests.cohorts.beats.test_apple_health import NINTH, export, records
from tests.cohorts.beats.test_fit_file import (
    FILE_ID,
    HRV,
    MONITORING,
    MONITORING_INFO,
    RECORD,
    RR,
    START,
    activity,
    fit,
)
from tests.cohorts.beats.test_vendor_tables import TABLES, clock
from tests.web_page.javascript import assert_same_nights, read_in_node, read_in_python

DRAWN = np.random.default_rng(11)
NAMES = ["rr", "RR-interval [ms]", "IBI", "PP interval", "nn_ms", "hr", "Heart rate (bpm)", "HR", "bpm"]
PAGE_CLOCKS = CLOCKS | {
    "Time": lambda s: [text + "+01:00" for text in stamps(s)],
    "date time": lambda s: stamps(s, "%m/%d/%Y %I:%M:%S %p"),
    "Date": lambda s: stamps(s, "%b %d, %Y %I:%M:%S %p"),
    "minute": lambda s: [clock(x) for x in s],
}


def spelled(rng: np.random.Generator) -> bytes:
    """A table of a night in a random spelling, sometimes with damage."""
    first, count = rng.integers(0, 500), 300
    ends, ms = ENDS[first : first + count] - ENDS[first], MS[first : first + count]
    name, time = rng.choice(NAMES), rng.choice([*PAGE_CLOCKS, ""])
    is_rate = name.lower().startswith(("h", "b"))
    if is_rate:
        ends, ms = np.arange(count) * float(rng.choice([1, 5, 60, 300])), np.rint(60000 / ms)
    in_seconds = rng.random() < 0.3 and not is_rate
    values = [f"{x / 1000:.3f}" if in_seconds else f"{x:g}" for x in ms]
    columns, header = [values], [str(name)]
    if time:
        columns, header = [PAGE_CLOCKS[time](ends), values], [str(time), str(name)]
    if rng.random() < 0.2:
        columns[-1] = [text if k % 40 else rng.choice(["", "NA", "0", "65535"]) for k, text in enumerate(columns[-1])]
    order = np.arange(count)
    if time and rng.random() < 0.3:
        repeated = np.concatenate([order[:150], order[120:]])[:count]
        order = rng.choice([order[::-1], np.roll(order, 100), repeated, rng.permutation(count)])
    if time and rng.random() < 0.2:
        order = np.delete(order, np.s_[100:130])
    if rng.random() < 0.3:
        columns, header = [*columns, ["ok"] * count], [*header, str(rng.choice(["note", "status", "HRV", "rr2"]))]
    columns = [[column[k] for k in order] for column in columns]
    sep = str(rng.choice([",", ";", "\t", "|", " "]))
    if sep in ";\t|" and rng.random() < 0.3:
        columns = [[text.replace(".", ",") if text.count(".") == 1 else text for text in column] for column in columns]
    if rng.random() < 0.3 and sep != " ":
        columns = [[f'"{text}"' for text in column] for column in columns]
    text = rows("" if rng.random() < 0.2 else sep.join(header), *columns, sep=sep)
    text = str(rng.choice(["", "", "# a comment\n", "Exported by a watch\n\n", "sep=;\n"])) + text
    end = str(rng.choice(["\n", "\r\n", "\r"]))
    return text.replace("\n", end).encode(str(rng.choice(["utf-8", "utf-8-sig", "utf-16"])))


def test_any_spelling_of_a_night(tmp_path: Path) -> None:
    paths = [tmp_path / f"{k}.csv" for k in range(120)]
    for path in paths:
        path.write_bytes(spelled(DRAWN))
    expected = [read_in_python(path) for path in paths]
    for path, found, wanted in zip(paths, read_in_node(paths), expected, strict=True):
        assert_same_nights(found, wanted, f"{path.name}: {path.read_bytes()[:200]!r}")
    assert 60 < sum(isinstance(wanted, list) for wanted in expected) < 118


def test_tables_of_programs_and_of_polar_flow(tmp_path: Path) -> None:
    flow = [
        "Name,Sport,Date,Start time,Duration", "Ann,Other,31-01-2024,23:40:00,00:15:00",
        "Sample rate,Time,HR (bpm),Speed (km/h)",
        *(f"{'1' if k == 0 else ''},{clock(k)[:8]},{60 + k // 60 % 5}," for k in range(900)),
    ]  # fmt: skip
    sensor_logger = ["Phone timestamp;RR-interval [ms]", *map(";".join, zip(stamps(ENDS), map(str, MS), strict=True))]
    empatica = ["1706744400.000000", "1.000000", *(f"{60 + k // 60 % 7}.0" for k in range(1200))]
    ecg = ["time,ecg", *(f"{k / 100},{k % 7}" for k in range(500))]
    two = ["time,hr", *(f"{k},60" for k in range(20)), "subject,hr", *(f"{k},60" for k in range(20))]
    people = ["id,time,hr", *(f"{k % 2},{k},60" for k in range(400))]
    tables = {**TABLES, "polar.csv": flow, "logger.txt": sensor_logger, "HR.csv": empatica, "two.csv": two}
    tables |= {"people.csv": people, "elite_hrv.txt": list(map(str, MS))}
    paths = [tmp_path / name for name in [*tables, "ecg.csv"]]
    for path, lines in zip(paths, [*tables.values(), ecg], strict=True):
        path.write_text("\n".join(lines) + "\n")
    *found, of_ecg = read_in_node(paths)
    for path, nights in zip(paths, found, strict=False):
        assert_same_nights(nights, read_in_python(path), path.name)
    assert "ECG samples: sleepkd predict" in of_ecg["error"]


def test_fit_files(tmp_path: Path) -> None:
    pytest.importorskip("fitdecode")
    minutes = [60 * k for k in range(1, 1300)]
    paths = [
        fit(tmp_path / "activity.fit", activity(RR)),
        fit(tmp_path / "pause.fit", activity(RR, paused_s=600)),
        fit(tmp_path / "rates.fit", [(RECORD, [START + 5 * k, 50]) for k in range(200)]),
        fit(tmp_path / "few.fit", [*((RECORD, [START + 5 * k, 50]) for k in range(200)), (HRV, [900, *[65535] * 4])]),
        fit(
            tmp_path / "monitoring.fit",
            [
                (FILE_ID, [32]),
                (MONITORING_INFO, [START, START - 8 * 3600]),
                *((MONITORING, [(START + s) & 0xFFFF, 60 if s < 40000 else 75]) for s in minutes),
            ],
        ),
        fit(tmp_path / "settings.fit", [(FILE_ID, [2])]),
    ]
    content = paths[0].read_bytes()
    for name, damaged in (
        ("cut.fit", content[:-100]),
        ("odd.fit", content[:500] + bytes(50) + content[550:]),
        ("no.fit", b"\x0e\x10\x00\x00.FIT"),
    ):
        paths.append(tmp_path / name)
        paths[-1].write_bytes(damaged)
    found = read_in_node(paths)
    for path, nights in zip(paths, found, strict=True):
        assert_same_nights(nights, read_in_python(path), path.name)
    assert "its kind of file: settings" in found[5]["error"] and "cut off" in found[6]["error"]


def test_exports_of_apple_health(tmp_path: Path) -> None:
    evening = datetime.datetime(2024, 10, 26, 23)
    day = datetime.timedelta(days=1)
    days = [line for k in range(3) for line in records(NINTH + k * day, 50)]
    awake = [line for k in range(3) for line in records(NINTH + k * day + datetime.timedelta(hours=10), 75, 12, 300)]
    afternoon = datetime.datetime(2024, 3, 10, 6, 40)
    whole_days = [*days, *awake, *(records(afternoon + k * day, 70, 2, 120)[0] for k in range(2))]
    strap = records(NINTH, 51, 8, 5, "Strap &amp; Co")
    ios = [line.replace("Watch", "Wa\x0btch &#0;&#x1f; of A &amp; B &gt; C") for line in days]
    half = [line.replace(" 22:", " 10:").replace(" 23:", " 11:").replace(" +0100", "\u202fPM +0100")
            for line in records(NINTH, 50 / 60, 1, unit="count/s")]  # fmt: skip
    summer = [*records(evening, 50, 3.99, zone="+0200"), *records(evening + datetime.timedelta(hours=3), 50, 4)]
    paths = [
        export(tmp_path / "days.xml", days),
        export(tmp_path / "whole.xml", whole_days),
        export(tmp_path / "two.xml", [*days, *strap]),
        export(tmp_path / "ios.xml", ios, "<!DOCTYPE HealthData [\n<!ATTLIST A\n b CDATA #REQUIRED\n]>"),
        export(tmp_path / "half.xml", half),
        export(tmp_path / "summer.xml", summer),
    ]
    for name, method in (("export.zip", zipfile.ZIP_DEFLATED), ("stored.zip", zipfile.ZIP_STORED)):
        paths.append(tmp_path / name)
        with zipfile.ZipFile(paths[-1], "w", method) as archive:
            archive.writestr("apple_health_export/export_cda.xml", "<ClinicalDocument>" + " " * 10**6)
            archive.writestr("apple_health_export/electrocardiograms/ecg.csv", "1\n")
            archive.write(paths[0], "apple_health_export/Exportación.xml")
    paths.append(tmp_path / "wide.zip")
    packed = zipfile.ZipFile(paths[-1], "w", zipfile.ZIP_DEFLATED)
    with packed, packed.open("export.xml", "w", force_zip64=True) as file:  # sizes of 64 bits
        file.write(paths[0].read_bytes())
    for name, content in {
        "a.xml": b"<a></a>", "b.xml": b"<ClinicalDocument></ClinicalDocument>", "c.xml": b"<HealthData></HealthData>",
        "d.xml": b'<HealthData><Record type="HKQuantityTypeIdentifierHeartRate" value="60"/></HealthData>',
        "e.xml": b'<HealthData><Record type="HKQ', "h.xml": b"", "cut.zip": paths[6].read_bytes()[:5000],
    }.items():  # fmt: skip
        paths.append(tmp_path / name)
        paths[-1].write_bytes(content)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("IBI.csv", "1,2\n")
    paths.append(tmp_path / "other.zip")
    for path, nights in zip(paths, read_in_node(paths), strict=True):
        assert_same_nights(nights, read_in_python(path), path.name)


def test_nights_of_a_recording_of_days(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    hours = np.arange(0, 60, 1 / 60)  # from 18:00 on; asleep from 23 to 7
    asleep = (hours + 18 - 23) % 24 < 8
    rate = np.where(asleep, 52, 74) + rng.normal(0, 3, len(hours)).round()
    paths = [tmp_path / "days.csv", tmp_path / "elapsed.csv", tmp_path / "worn_at_night.csv"]
    begin = datetime.datetime(2024, 1, 31, 18)
    dated = stamps(3600 * hours, "%Y-%m-%d %H:%M:%S", begin)
    paths[0].write_text(rows("time,hr", dated, rate.astype(int)))
    paths[1].write_text(rows("time_s,hr", (3600 * hours).round(), rate.astype(int)))
    paths[2].write_text(rows("time,hr", np.array(dated)[asleep], rate[asleep].astype(int)))
    expected = [read_in_python(path) for path in paths]
    assert [len(nights) for nights in expected] == [3, 3, 3] or all(len(nights) >= 2 for nights in expected)
    for path, nights, wanted in zip(paths, read_in_node(paths), expected, strict=True):
        assert_same_nights(nights, wanted, path.name)


def test_formats_that_are_not_read_have_a_hint(tmp_path: Path) -> None:
    hints = {"night.edf": "sleepkd predict", "a.tcx": "FIT file", "session.json": "as CSV", "a.xlsx": "as CSV"}
    for name in hints:
        (tmp_path / name).write_bytes(b"0")
    found = read_in_node([tmp_path / name for name in hints])
    assert all(hint in refused["error"] for hint, refused in zip(hints.values(), found, strict=True))
