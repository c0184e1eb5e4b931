"""Recognise scoring files of programs that no reader here reads: Profusion, Noxturnal, Domino and others."""

import re
from pathlib import Path
from typing import NamedTuple

from sleepkd.cohorts.text import decoded

HEAD = 8192
"""Bytes that are looked at."""


class _Signature(NamedTuple):
    """How the files of a program begin. pattern: found in the first bytes as text, in any capitals.

    advice: how to get labels that are read. read_by: formats of `LABELS` that read such a file if their settings fit.
    """

    pattern: str
    what: str
    advice: str
    read_by: tuple[str, ...] = ()


EDF_PLUS = "export the scoring as EDF+ annotations, or as a table with an onset, a duration and a sleep stage per line"
SIGNATURES = tuple(
    _Signature(*fields)
    for fields in (
        (r"<CMPStudyConfig", "an XML export of Compumedics Profusion", f"{EDF_PLUS}; NSRR has a …-nsrr.xml of each"),
        (r"respironics\.com/PatientStudy|<PatientStudy", "a scoring of Philips Sleepware (Alice, .rml)", EDF_PLUS),
        (r"<PSGAnnotation", "NSRR's XML", "set scoring.format: nsrr_xml", ("nsrr_xml",)),
        (r"<annotationlist", "an XML export of EDFbrowser", EDF_PLUS),
        (r"<annotations[\s>].*<rater", "a scoring of Wonambi (XML)", EDF_PLUS),
        (r"<HealthData", "an export of Apple Health", "it holds no scoring of these signals"),
        (
            r"\ARemLogic Event Export",
            "an event export of RemLogic",
            "set scoring.format: table, see cap.yaml",
            ("table",),
        ),
        (r"\ASignal ID: *\S|^Events list:", "a sleep profile of Somnomedics Domino", EDF_PLUS, ("table",)),
        (
            r"\A(?=[^\n]*(Start Time|Heure de d.{1,2}but|Startzeit|Hora de inicio))"
            r"(?=[^\n]*(End Time|Heure de fin|Endzeit|Hora de fin))[^\n]*(Event|.{1,2}v.{1,2}nement|Ereignis|Evento)",
            "an event list of Noxturnal",
            EDF_PLUS,
            ("table",),
        ),
        (r"\ANOX", "a signal file of Noxturnal (.ndf)", EDF_PLUS),
        (r"\ASQLite format 3", "a database (SQLite), as Noxturnal keeps its scoring in (.ndb)", EDF_PLUS),
        (r"\ABrain ?Vision Data Exchange Marker", "a marker file of BrainVision", EDF_PLUS),
        (r"\APK\x03\x04.*(xl/|\[Content_Types\])", "an Excel workbook", "save the sheet as CSV, and set format: table"),
        (r"\A\xd0\xcf\x11\xe0", "a file of an old Excel or Word", "save the sheet as CSV, and set format: table"),
        (r"\APK\x03\x04", "a ZIP archive", "unpack it"),
        (r"\A\x1f\x8b", "a gzip archive", "unpack it"),
        (r"\A%PDF", "a report (PDF)", EDF_PLUS),
        (r"\A\{\\rtf", "a report (RTF)", EDF_PLUS),
        (r"\AMATLAB [57]|\A\x89HDF", "a MATLAB or HDF5 file", EDF_PLUS, ("mat",)),
        (
            r"\A0 {7}.{80}.{80}\d\d[.:/-]\d\d",
            "an EDF file",
            "set scoring.format: edf_annotations",
            ("edf_annotations",),
        ),
        (r"\A\s*(<!DOCTYPE html|<html)", "a web page", "download the file itself"),
        (r"\Aversion https://git-lfs", "a pointer of Git LFS", "fetch the file itself"),
    )
)


def foreign_scoring(path: Path, form: str) -> str:
    """The program that wrote a scoring file, and what to do instead; "" for an unknown one, or one of format `form`.

    form: the key of `LABELS` whose reader failed.
    """
    try:
        with path.open("rb") as file:
            content = file.read(HEAD)
    except OSError:
        return ""
    for text in dict.fromkeys((decoded(content).lstrip("\ufeff \r\n"), content.decode("latin1"))):
        for signature in SIGNATURES:
            if re.search(signature.pattern, text, re.IGNORECASE | re.DOTALL | re.MULTILINE):
                if signature.advice == f"set scoring.format: {form}":
                    return ""
                unread = f", which is not read: {signature.advice}"
                return signature.what + ("" if form in signature.read_by else unread)
    return ""
