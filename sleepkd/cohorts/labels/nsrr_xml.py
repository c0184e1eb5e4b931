"""Sleep stages as events of NSRR's XML (sleepdata.org, `…-nsrr.xml`): runs with an onset and a duration."""

import math
from pathlib import Path
from xml.etree import ElementTree

from sleepkd.cohorts.labels.marks import as_sleep_epochs
from sleepkd.cohorts.labels.scored import LabelLayout, Mark, ScoredFile
from sleepkd.errors import UserError

STAGES = "Stages|Stages"


def read_nsrr_xml(path: Path, layout: LabelLayout, epoch_seconds: float) -> ScoredFile:
    """Events of type Stages|Stages. The keys of `labels` are their concepts: Wake|0, Stage 1 sleep|1 … REM sleep|5.

    Onsets count from the first sample. Other events are counted and ignored.
    Raises UserError for other XML, for a document type or entities (a risk without a use here), and for no sleep stage.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    plain = content.replace(b"\0", b"")  # UTF-16 too
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise UserError(f"{path}: declares a document type or entities, which NSRR's files do not; it is not read")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise UserError(f"{path}: is no XML: {error}") from None
    events = root.findall(".//ScoredEvent")
    if not events:
        raise UserError(f"{path}: holds no ScoredEvent; is it one of NSRR's …-nsrr.xml files?")
    marks = []
    for number, event in enumerate(events, 1):
        concept = (event.findtext("EventConcept") or "").strip()
        if (event.findtext("EventType") or "").strip() == STAGES:
            onset, lasts = (_seconds(path, number, event, tag) for tag in ("Start", "Duration"))
            marks.append(Mark(onset, lasts, concept))
    unknown = sorted({mark.text for mark in marks} - layout.labels.keys())
    if unknown:
        raise UserError(f"{path}: sleep stage {unknown[0]!r} is not in scoring.labels")
    return as_sleep_epochs(path, marks, layout, epoch_seconds)


def _seconds(path: Path, number: int, event: ElementTree.Element, tag: str) -> float:
    text = (event.findtext(tag) or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise UserError(f"{path}: ScoredEvent {number}: its {tag} {text!r} is not a number of seconds")
    return seconds
