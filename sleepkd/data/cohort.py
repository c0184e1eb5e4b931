"""A dataset YAML: how a cohort's files, channels and labels are laid out; a new cohort is a YAML, not code."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sleepkd.config import CONFIGS, find_config, from_dict, read_yaml
from sleepkd.data.hypnogram import SLEEP_STAGES, UNSCORED_NAME, Standard
from sleepkd.data.recording import Derivation
from sleepkd.errors import UserError

DATASETS = CONFIGS / "datasets"


@dataclass(frozen=True)
class ScoringLayout:
    """Where the labels are. files: names beside the signals, the first that exists; {name} as in `Cohort.signals`.

    format "edf_annotations": EDF+, one annotation per sleep epoch. "values": text, one value per `value_seconds`.
    labels: annotation or value → W, N1, N2, N3, REM or unscored.
    """

    files: tuple[str, ...]
    labels: dict[str, str]
    format: Literal["edf_annotations", "values"] = "edf_annotations"
    value_seconds: float = 0.0
    header_lines: int = 0


@dataclass(frozen=True)
class SubsetLayout:
    """What differs in one subset of the cohort; an empty list of derivations means the cohort's."""

    standard: Standard | None = None
    epoch_seconds: float | None = None
    eeg: tuple[Derivation, ...] = ()
    ecg: tuple[Derivation, ...] = ()


@dataclass(frozen=True)
class Cohort:
    """A dataset YAML.

    signals: regular expression for the name of a signal file; its group `recording` names the recording.
    subject, subset: templates over that expression's groups.
    eeg, ecg: derivations, the first that a file's channels fit.
    """

    name: str
    signals: str
    scoring: ScoringLayout
    eeg: tuple[Derivation, ...]
    ecg: tuple[Derivation, ...]
    standard: Standard = "aasm"
    epoch_seconds: float = 30.0
    subject: str = "{recording}"
    subset: str = "all"
    ecg_polarity: Literal["auto", "as_recorded", "inverted"] = "auto"
    subsets: dict[str, SubsetLayout] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordingFiles:
    """One recording of a cohort, found on disk, with everything needed to prepare it."""

    recording: str
    subject: str
    subset: str
    signals: Path
    scoring_names: tuple[str, ...]
    standard: Standard
    epoch_seconds: float
    eeg: tuple[Derivation, ...]
    ecg: tuple[Derivation, ...]

    def scoring_file(self) -> Path:
        """The scoring file beside the signals; UserError where there is none."""
        for name in self.scoring_names:
            path = self.signals.with_name(name)
            if path.is_file():
                return path
        raise UserError(f"{self.signals}: has no scoring file beside it ({' or '.join(self.scoring_names)})")


def load_cohort(name: str) -> Cohort:
    """The cohort of a YAML file, or of a bare name in configs/datasets. Raises UserError naming file or key."""
    path = find_config(name, DATASETS)
    cohort = from_dict(Cohort, read_yaml(path))
    _check(cohort, path)
    return cohort


def find_recordings(cohort: Cohort, raw: Path) -> list[RecordingFiles]:
    """All recordings of a cohort below a folder, by name. Raises UserError where there is none or one occurs twice."""
    if not raw.is_dir():
        raise UserError(f"{raw}: no such folder")
    found: dict[str, RecordingFiles] = {}
    for path in sorted(p for p in raw.rglob("*") if p.is_file()):
        match = re.fullmatch(cohort.signals, path.name)
        if not match:
            continue
        groups = match.groupdict()
        recording = _describe(cohort, path, groups)
        if recording.recording in found:
            raise UserError(f"{path}: recording {recording.recording} is also {found[recording.recording].signals}")
        found[recording.recording] = recording
    if not found:
        raise UserError(f"{raw}: no file here or below is named like {cohort.signals}")
    return list(found.values())


def _describe(cohort: Cohort, path: Path, groups: dict[str, str]) -> RecordingFiles:
    subset = cohort.subset.format(**groups)
    special = cohort.subsets.get(subset, SubsetLayout())
    return RecordingFiles(
        recording=re.sub(r"[^\w.-]", "_", groups["recording"]),  # it names a folder
        subject=cohort.subject.format(**groups),
        subset=subset,
        signals=path,
        scoring_names=tuple(name.format(**groups) for name in cohort.scoring.files),
        standard=special.standard or cohort.standard,
        epoch_seconds=special.epoch_seconds or cohort.epoch_seconds,
        eeg=special.eeg or cohort.eeg,
        ecg=special.ecg or cohort.ecg,
    )


def _check(cohort: Cohort, path: Path) -> None:
    derivations = [*cohort.eeg, *cohort.ecg, *(d for s in cohort.subsets.values() for d in (*s.eeg, *s.ecg))]
    for pattern in (cohort.signals, *(p for d in derivations for p in (d.plus, d.minus))):
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(f"{path}: {pattern!r} is no regular expression: {error}") from None
    groups = re.compile(cohort.signals).groupindex
    if "recording" not in groups:
        raise UserError(f"{path}: signals: needs a group (?P<recording>…) that names the recording")
    for key, template in (
        ("subject", cohort.subject),
        ("subset", cohort.subset),
        *(("scoring.files", f) for f in cohort.scoring.files),
    ):
        try:
            template.format(**dict.fromkeys(groups, ""))
        except (KeyError, IndexError, ValueError, AttributeError):
            raise UserError(f"{path}: {key}: {template!r} uses a name that signals has no group for") from None
    for key, choices in (("eeg", cohort.eeg), ("ecg", cohort.ecg)):
        if not choices:
            raise UserError(f"{path}: {key}: lists no derivation")
    for text, stage in cohort.scoring.labels.items():
        if stage not in (*SLEEP_STAGES, UNSCORED_NAME):
            raise UserError(f"{path}: scoring.labels.{text}: {stage!r} is none of {', '.join(SLEEP_STAGES)}, unscored")
    lengths = [cohort.epoch_seconds, *(s.epoch_seconds for s in cohort.subsets.values() if s.epoch_seconds is not None)]
    if min(lengths) <= 0:
        raise UserError(f"{path}: epoch_seconds: must be positive, is {min(lengths):g}")
    value = cohort.scoring.value_seconds
    if cohort.scoring.format == "values" and (value <= 0 or any(length % value for length in lengths)):
        raise UserError(f"{path}: scoring.value_seconds: must divide epoch_seconds where scoring.format is values")
