"""Scoring files of programs that are not read are named, whatever format the dataset YAML states."""

from pathlib import Path

import pytest

from sleepkd.cohorts.labels import LABELS
from sleepkd.cohorts.recording import LabelFile
from sleepkd.errors import UserError

PROFUSION = """<?xml version="1.0" encoding="utf-8"?>
<CMPStudyConfig><EpochLength>30</EpochLength>
<ScoredEvents>
<ScoredEvent><Name>SpO2 desaturation</Name><Start>3</Start><Duration>9</Duration></ScoredEvent></ScoredEvents>
<SleepStages><SleepStage>0</SleepStage><SleepStage>1</SleepStage></SleepStages></CMPStudyConfig>
"""
SLEEPWARE = '<?xml version="1.0"?><PatientStudy xmlns="http://www.respironics.com/PatientStudy.xsd"></PatientStudy>'
DOMINO = """Signal ID: SchlafProfil\\profil
Start Time: 17/11/2010 23:57:00
Unit:
Signal Type: Discret
Events list: N4,N3,N2,N1,REM,Wake,Movement
Rate: 30 s

23:57:00,000; Wake
"""
NOXTURNAL = "Start Time,End Time,Event,Duration\n01/02/2020 22:00:00,01/02/2020 22:00:30,Wake,30\n"
FRENCH = "Heure de début,Heure de fin,Événement,Durée\n01/02/2020 22:00:00,01/02/2020 22:00:30,Éveil,30\n"
REMLOGIC = "RemLogic Event Export\nPatient:\t1\n\nSleep Stage\tTime [hh:mm:ss]\tEvent\tDuration[s]\n"
FILES = {
    "profusion.xml": (PROFUSION.encode(), "Compumedics Profusion"),
    "profusion-utf16.xml": (PROFUSION.encode("utf-16"), "Compumedics Profusion"),
    "alice.rml": (SLEEPWARE.encode(), "Philips Sleepware"),
    "domino.txt": (DOMINO.encode("latin1"), "Somnomedics Domino"),
    "events.csv": (NOXTURNAL.encode(), "Noxturnal"),
    "events-unicode.csv": (FRENCH.encode("utf-16"), "Noxturnal"),
    "events-utf8.csv": (FRENCH.encode(), "Noxturnal"),
    "DATA.ndb": (b"SQLite format 3\0" + bytes(99), "Noxturnal"),
    "EEG.ndf": (b"NOX\x00" + bytes(99), "Noxturnal"),
    "cap.txt": (REMLOGIC.encode(), "RemLogic"),
    "marks.vmrk": (b"Brain Vision Data Exchange Marker File, Version 1.0\n", "BrainVision"),
    "stages.xlsx": (b"PK\x03\x04\x14\0\x06\0[Content_Types].xml xl/workbook.xml", "Excel workbook"),
    "stages.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "old Excel"),
    "report.pdf": (b"%PDF-1.7\n", "PDF"),
    "report.rtf": (b"{\\rtf1\\ansi Report}", "RTF"),
    "annotations.xml": (b'<?xml version="1.0"?>\n<annotationlist></annotationlist>', "EDFbrowser"),
    "wonambi.xml": (b'<?xml version="1.0" ?><annotations version="5"><rater name="a"/></annotations>', "Wonambi"),
    "login.txt": (b"<!DOCTYPE html><html>", "web page"),
}


def label_file(path: Path, form: str) -> LabelFile:
    more = {"value_seconds": 30.0} if form == "values" else {}
    return LabelFile(path, LABELS[form].layout(files=("x",), labels={"W": "W"}, format=form, **more), 30.0)


@pytest.mark.parametrize("form", ["edf_annotations", "values", "table", "nsrr_xml"])
@pytest.mark.parametrize("name", FILES)
def test_the_program_is_named_in_one_line(tmp_path: Path, name: str, form: str) -> None:
    content, program = FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"^{path}: is .*{program}") as error:
        label_file(path, form).read(path)
    assert "\n" not in str(error.value) and str(error.value).count(str(path)) == 1
    assert ("which is not read" in str(error.value)) == (
        form != "table" or (program not in ("Somnomedics Domino", "RemLogic") and not name.startswith("events"))
    )


def test_other_errors_and_readable_files_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "stages.csv"
    path.write_text("onset,stage\n0,W\n30,W\n")
    assert len(label_file(path, "table").read(path).hypnogram) == 2
    with pytest.raises(UserError, match=r"^.*stages\.csv: holds no ScoredEvent|is no XML") as error:
        label_file(path, "nsrr_xml").read(path)
    assert "which is not read" not in str(error.value)
    with pytest.raises(UserError, match=r"none\.csv: cannot be read"):
        label_file(tmp_path / "none.csv", "table").read(tmp_path / "none.csv")
