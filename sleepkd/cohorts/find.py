"""Find the recordings of a cohort on disk, and the files that belong to each."""

import fnmatch
import glob
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from sleepkd.cohorts.layout import Cohort, SubsetLayout
from sleepkd.cohorts.signals import Derivation
from sleepkd.data.hypnogram import Standard
from sleepkd.errors import UserError


@dataclass(frozen=True)
class RecordingFiles:
    """One recording of a cohort on disk, with everything needed to prepare it.

    path: the file that names it, of signals unless the cohort has heartbeats alone. raw: the folder of the cohort.
    scoring_names, beat_names, other_names (of further scorers): shell patterns. sensor_names: the same, by kind
    and by entry of `Cohort.sensor_files`. derivations: of signals, by kind. subject_names: shell patterns of the table
    of subjects. subject_texts: {column: text} of the recording's row in it.
    """

    recording: str
    subject: str
    subset: str
    path: Path
    raw: Path
    scoring_names: tuple[str, ...]
    beat_names: tuple[str, ...]
    other_names: tuple[str, ...]
    standard: Standard
    epoch_seconds: float
    derivations: dict[str, tuple[Derivation, ...]]
    sensor_names: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    subject_names: tuple[str, ...] = ()
    subject_texts: dict[str, str] = field(default_factory=dict)

    def scoring_file(self) -> Path | None:
        """The scoring file beside the recording, or in the raw folder; None without one."""
        return self._find(self.scoring_names)

    def beat_file(self) -> Path | None:
        """The file of heartbeats beside the recording, or in the raw folder; None without one."""
        return self._find(self.beat_names)

    def sensor_file(self, kind: str) -> tuple[int, Path] | None:
        """The first entry of a kind's `sensor_files` with a file beside the recording or in the raw folder, and it."""
        found = (self._find(names) for names in self.sensor_names.get(kind, ()))
        return next(((entry, path) for entry, path in enumerate(found) if path), None)

    def subject_table(self) -> Path | None:
        """The table of subjects in the raw folder, or beside the recording; None without one."""
        return self._find(self.subject_names)

    def other_scoring_files(self) -> list[Path]:
        """The files of further scorers beside the recording, or else in the raw folder, in order of their names."""
        for folder in dict.fromkeys((self.path.parent, self.raw)):
            found = {path for name in self.other_names for path in _matching(folder, name) if path.is_file()}
            if others := sorted(found - {self.scoring_file()}):
                return others
        return []

    def missing(self, what: str, names: tuple[str, ...]) -> UserError:
        """The error for a missing file. what: its content, in words."""
        for folder in (self.path.parent, self.raw):
            for path in (path for name in names for path in _matching(folder, name)):
                return UserError(f"{path}: {_broken_link(path)}")
        return UserError(f"{self.path}: has no {what} file beside it ({' or '.join(names)}), nor so in {self.raw}")

    def _find(self, names: tuple[str, ...]) -> Path | None:
        """The first name for which a file exists. Raises UserError for several files of one name."""
        for folder in dict.fromkeys((self.path.parent, self.raw)):
            for name in names:
                found = [path for path in _matching(folder, name) if path.is_file()]
                if len(found) > 1:
                    raise UserError(f"{found[0]}: {found[1].name} fits {name} too; keep one, or name it exactly")
                if found:
                    return found[0]
        return None


class UnclearRecording(NamedTuple):
    """A recording that cannot be prepared. linked: its file is a broken link; else two files have its name."""

    recording: str
    subset: str
    why: str
    linked: bool


class FoundRecordings(NamedTuple):
    """The recordings of a cohort in a folder, by name."""

    recordings: list[RecordingFiles]
    unclear: list[UnclearRecording]


def find_recordings(cohort: Cohort, raw: Path) -> FoundRecordings:
    """All recordings of a cohort below a folder; links are followed. Raises UserError if there is none."""
    if not raw.is_dir():
        raise UserError(f"{raw}: no such folder")
    files: dict[str, list[RecordingFiles]] = {}
    spelled: dict[str, str] = {}
    for path in sorted(files_below(raw)):
        name = path.relative_to(raw).as_posix() if "/" in cohort.files else path.name
        if match := re.fullmatch(cohort.files, name, re.IGNORECASE):
            recording = _recording_files(cohort, raw, path, match.groupdict())
            subject = spelled.setdefault(recording.subject.lower(), recording.subject)
            recording = replace(recording, subject=subject)  # S01 and s01 are one person, of one split
            files.setdefault(recording.recording.lower(), []).append(recording)
    if not files:
        raise UserError(f"{raw}: no file here or below is named like {cohort.files}")
    recordings, unclear = [], []
    for _, (first, *others) in sorted(files.items()):
        if others:
            why = f"{first.path}: {others[0].path} has this name too; keep one, or tell them apart in files"
            unclear.append(UnclearRecording(first.recording, first.subset, why, linked=False))
        elif not first.path.exists():
            why = f"{first.path}: {_broken_link(first.path)}"
            unclear.append(UnclearRecording(first.recording, first.subset, why, linked=True))
        else:
            recordings.append(first)
    return FoundRecordings(recordings, unclear)


def files_below(raw: Path) -> Iterator[Path]:
    """All files and broken links below a folder. Links to folders are followed, and each folder is entered once."""
    entered = set()
    for folder, names, files in os.walk(raw, followlinks=True):
        real = os.path.realpath(folder)
        if real in entered:
            names.clear()
            continue
        entered.add(real)
        names[:] = [name for name in names if not name.startswith(".")]
        yield from (Path(folder) / name for name in files)


def _matching(folder: Path, pattern: str) -> list[Path]:
    """Files and links that fit a pattern in a folder: those of exactly this name, else in any capitals and accents."""
    found = [folder]
    for part in Path(pattern).parts:
        found = [path / name for path in found for name in _fitting(path, part)]
    return found


def _fitting(folder: Path, pattern: str) -> list[str]:
    """The names in a folder that fit one part of a pattern."""
    try:
        names = [".", "..", *sorted(os.listdir(folder))]
    except OSError:
        return []
    exact = [name for name in names if name == _unescaped(pattern)]
    return exact or [name for name in names[2:] if fnmatch.fnmatchcase(_plain(name), _plain(pattern))]


def _plain(name: str) -> str:
    """A name in small letters. Some systems write an accent as a character of its own."""
    return unicodedata.normalize("NFC", name).lower()


def _unescaped(pattern: str) -> str:
    """The name that a pattern without wildcards stands for."""
    return re.sub(r"\[(.)\]", r"\1", pattern)


def _broken_link(path: Path) -> str:
    return f"is a link to {os.readlink(path)}, which does not exist; fetch the file"


def _recording_files(cohort: Cohort, raw: Path, path: Path, groups: dict[str, Any]) -> RecordingFiles:
    groups = {name: value or "" for name, value in groups.items()}

    def filled(names: tuple[str, ...]) -> tuple[str, ...]:
        escaped = {name: glob.escape(value) for name, value in groups.items()}
        return tuple(name.format(**escaped) for name in names)

    subset = cohort.subset.format(**groups)
    match = cohort.subjects.match if cohort.subjects else {}
    special = cohort.subsets.get(subset, SubsetLayout())
    return RecordingFiles(
        recording=re.sub(r"[^\w.-]", "_", cohort.recording.format(**groups)),  # it names a folder
        subject=cohort.subject.format(**groups),
        subset=subset,
        path=path,
        raw=raw,
        scoring_names=filled(cohort.scoring.files if cohort.scoring else ()),
        beat_names=filled(cohort.beats.files if cohort.beats else ()),
        other_names=filled(cohort.scoring.others if cohort.scoring else ()),
        standard=special.standard or cohort.standard,
        epoch_seconds=special.epoch_seconds or cohort.epoch_seconds,
        derivations=cohort.signals | special.signals,
        sensor_names={
            name: tuple(filled(layout.files) for layout in layouts) for name, layouts in cohort.sensor_files.items()
        },
        subject_names=filled(cohort.subjects.files if cohort.subjects else ()),
        subject_texts={column: template.format(**groups) for column, template in match.items()},
    )
