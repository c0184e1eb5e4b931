"""The recordings of a cohort, found on disk: which files belong to each."""

import fnmatch
import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sleepkd.cohorts.layout import Cohort, SubsetLayout
from sleepkd.cohorts.signals import Derivation
from sleepkd.data.hypnogram import Standard
from sleepkd.errors import UserError


@dataclass(frozen=True)
class RecordingFiles:
    """One recording of a cohort, found on disk, with everything needed to prepare it.

    signals: the file that names it. raw: the folder that holds the cohort. scoring_names, beat_names, other_names (of
    further scorers): patterns, as of a shell. eeg, ecg, eog, emg: empty where there is none.
    """

    recording: str
    subject: str
    subset: str
    signals: Path
    raw: Path
    scoring_names: tuple[str, ...]
    beat_names: tuple[str, ...]
    other_names: tuple[str, ...]
    standard: Standard
    epoch_seconds: float
    eeg: tuple[Derivation, ...]
    ecg: tuple[Derivation, ...]
    eog: tuple[Derivation, ...] = ()
    emg: tuple[Derivation, ...] = ()

    def scoring_file(self) -> Path | None:
        """The scoring file beside the signals, or from the raw folder; None where there is none."""
        return self._find(self.scoring_names)

    def beat_file(self) -> Path | None:
        """The file of beats beside the signals, or from the raw folder; None where there is none."""
        return self._find(self.beat_names)

    def other_scoring_files(self) -> list[Path]:
        """The files of further scorers beside the signals, or else from the raw folder, in order of their names."""
        for folder in dict.fromkeys((self.signals.parent, self.raw)):
            found = {path for name in self.other_names for path in _matching(folder, name) if path.is_file()}
            if others := sorted(found - {self.scoring_file()}):
                return others
        return []

    def missing(self, what: str, names: tuple[str, ...]) -> UserError:
        """What to say where one of these files has to be there and is not."""
        for folder in (self.signals.parent, self.raw):
            for path in (path for name in names for path in _matching(folder, name)):
                return UserError(f"{path}: {_link_to_nothing(path)}")
        return UserError(f"{self.signals}: has no {what} file beside it ({' or '.join(names)}), nor so in {self.raw}")

    def _find(self, names: tuple[str, ...]) -> Path | None:
        """The first name for which there is a file. Raises UserError where there are several."""
        for folder in dict.fromkeys((self.signals.parent, self.raw)):
            for name in names:
                found = [path for path in _matching(folder, name) if path.is_file()]
                if len(found) > 1:
                    raise UserError(f"{found[0]}: {found[1].name} fits {name} too; keep one, or name it exactly")
                if found:
                    return found[0]
        return None


class Unclear(NamedTuple):
    """A name of a recording that cannot be prepared. linked: its file is a link to nothing; else two files have it."""

    recording: str
    subset: str
    why: str
    linked: bool


class Found(NamedTuple):
    """What a folder holds of a cohort, by name."""

    recordings: list[RecordingFiles]
    unclear: list[Unclear]


def find_recordings(cohort: Cohort, raw: Path) -> Found:
    """All recordings of a cohort below a folder, links followed. Raises UserError where there is none."""
    if not raw.is_dir():
        raise UserError(f"{raw}: no such folder")
    files: dict[str, list[RecordingFiles]] = {}
    for path in sorted(files_below(raw)):
        name = path.relative_to(raw).as_posix() if "/" in cohort.signals else path.name
        if match := re.fullmatch(cohort.signals, name, re.IGNORECASE):
            recording = _describe(cohort, raw, path, match.groupdict())
            files.setdefault(recording.recording.lower(), []).append(recording)
    if not files:
        raise UserError(f"{raw}: no file here or below is named like {cohort.signals}")
    recordings, unclear = [], []
    for _, (first, *others) in sorted(files.items()):
        if others:
            why = f"{first.signals}: {others[0].signals} is of this name too; keep one, or name them apart by signals"
            unclear.append(Unclear(first.recording, first.subset, why, linked=False))
        elif not first.signals.exists():
            why = f"{first.signals}: {_link_to_nothing(first.signals)}"
            unclear.append(Unclear(first.recording, first.subset, why, linked=True))
        else:
            recordings.append(first)
    return Found(recordings, unclear)


def files_below(raw: Path) -> Iterator[Path]:
    """All files and links to nothing below a folder; links to folders are followed, each folder is entered once."""
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
    """Files and links that fit a pattern below a folder: the one of just this name, else any capitals."""
    parent, name = os.path.split(pattern)
    try:
        names = sorted(os.listdir(folder / _unescaped(parent)))
    except OSError:
        return []
    exact = [found for found in names if found == _unescaped(name)]
    fitting = exact or [found for found in names if fnmatch.fnmatchcase(found.lower(), name.lower())]
    return [folder / _unescaped(parent) / found for found in fitting]


def _unescaped(pattern: str) -> str:
    """The name that a pattern without wildcards means."""
    return re.sub(r"\[(.)\]", r"\1", pattern)


def _link_to_nothing(path: Path) -> str:
    return f"is a link to {os.readlink(path)}, where there is nothing; fetch the file"


def _describe(cohort: Cohort, raw: Path, path: Path, groups: dict[str, Any]) -> RecordingFiles:
    groups = {name: value or "" for name, value in groups.items()}

    def filled(names: tuple[str, ...]) -> tuple[str, ...]:
        escaped = {name: glob.escape(value) for name, value in groups.items()}
        return tuple(name.format(**escaped) for name in names)

    subset = cohort.subset.format(**groups)
    special = cohort.subsets.get(subset, SubsetLayout())
    return RecordingFiles(
        recording=re.sub(r"[^\w.-]", "_", cohort.recording.format(**groups)),  # it names a folder
        subject=cohort.subject.format(**groups),
        subset=subset,
        signals=path,
        raw=raw,
        scoring_names=filled(cohort.scoring.files if cohort.scoring else ()),
        beat_names=filled(cohort.beats.files if cohort.beats else ()),
        other_names=filled(cohort.scoring.others if cohort.scoring else ()),
        standard=special.standard or cohort.standard,
        epoch_seconds=special.epoch_seconds or cohort.epoch_seconds,
        eeg=special.eeg or cohort.eeg or (),
        ecg=special.ecg or cohort.ecg or (),
        eog=cohort.eog,
        emg=cohort.emg,
    )
