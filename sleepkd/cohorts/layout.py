"""A dataset YAML: how a cohort's files, channels and labels are laid out; a new cohort is a YAML, not code."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from sleepkd.cohorts.beats import BEATS, BeatLayout
from sleepkd.cohorts.labels import LABELS, LabelLayout
from sleepkd.cohorts.signals import SIGNALS, Derivation
from sleepkd.config import CONFIGS, find_config, from_dict, read_yaml, require
from sleepkd.data.hypnogram import Standard
from sleepkd.errors import UserError

DATASETS = CONFIGS / "datasets"
NONE = "none"


def _section(formats: dict[str, Any], default: str) -> Callable[[Any, str], Any]:
    """Reads a section of a YAML by the schema of its `format`; None where it says none."""

    def read(value: Any, key: str) -> Any:
        if value is None or value == NONE:
            return None
        require(isinstance(value, dict), key, f"expected a section of keys, or none; got {value!r}")
        name = value.get("format", default)
        require(name in formats, f"{key}.format", f"must be one of {', '.join(formats)}; is {name!r}")
        return from_dict(formats[name].layout, value, prefix=f"{key}.")

    return read


@dataclass(frozen=True)
class Origin:
    """Where a cohort is to be had. physionet: name/version there; files: a regular expression of those to fetch."""

    where: str = ""
    licence: str = ""
    physionet: str = ""
    files: str = ""


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

    signals: regular expression for the name of a signal file, in capitals or not, or, where it has a /, for its path
    from the raw folder; its group `recording` names the recording.
    recording, subject, subset: templates over that expression's groups.
    format: how that file is read, a key of `SIGNALS`; "none" where it only names the recording, which then has beats.
    eeg, ecg: derivations, the first that a file's channels fit; left out where the cohort has none. eog, emg: the same,
    where a file has them and they are asked for (`prepare --eog-emg`), for stagers of other libraries.
    scoring: none where nobody scored it. beats: where they come with the recordings.
    """

    name: str
    signals: str
    scoring: Annotated[LabelLayout | None, _section(LABELS, "edf_annotations")] = None
    eeg: tuple[Derivation, ...] | None = None
    ecg: tuple[Derivation, ...] | None = None
    eog: tuple[Derivation, ...] = ()
    emg: tuple[Derivation, ...] = ()
    beats: Annotated[BeatLayout | None, _section(BEATS, "wfdb")] = None
    format: str = "edf"
    standard: Standard = "aasm"
    epoch_seconds: float = 30.0
    recording: str = "{recording}"
    subject: str = "{recording}"
    subset: str = "all"
    source: Origin | None = None
    ecg_polarity: Literal["auto", "as_recorded", "inverted"] = "auto"
    subsets: dict[str, SubsetLayout] = field(default_factory=dict)


def load_cohort(name: str) -> Cohort:
    """The cohort of a YAML file, or of a bare name in configs/datasets. Raises UserError naming file or key."""
    path = find_config(name, DATASETS)
    content = read_yaml(path)
    try:
        cohort = from_dict(Cohort, content)
        _check(cohort)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return cohort


def _check(cohort: Cohort) -> None:
    """Refuse impossible values by key."""
    of_subsets = [d for s in cohort.subsets.values() for d in (*s.eeg, *s.ecg)]
    derivations = [*(cohort.eeg or ()), *(cohort.ecg or ()), *of_subsets]
    for pattern in (cohort.signals, *(p for d in (*derivations, *cohort.eog, *cohort.emg) for p in (d.plus, d.minus))):
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(f"{pattern!r} is no regular expression: {error}") from None
    groups = re.compile(cohort.signals).groupindex
    require("recording" in groups, "signals", "needs a group (?P<recording>…) that names the recording")
    _check_templates(cohort, dict.fromkeys(groups, ""))
    formats = (*SIGNALS, NONE)
    require(cohort.format in formats, "format", f"must be one of {', '.join(formats)}; is {cohort.format!r}")
    for key, choices in (("eeg", cohort.eeg), ("ecg", cohort.ecg)):
        require(choices != (), key, "lists no derivation")
    if cohort.format == NONE:
        require(not derivations, "format", "none goes with beats alone; it is given beside eeg or ecg")
        require(cohort.beats is not None, "beats", "is missing: with format none there is nothing else")
    else:
        require(bool(derivations), "eeg", "is missing, and so is ecg; give one of the two, or format none and beats")
    lengths = [cohort.epoch_seconds, *(s.epoch_seconds for s in cohort.subsets.values() if s.epoch_seconds is not None)]
    require(min(lengths) > 0, "epoch_seconds", f"must be positive, is {min(lengths):g}")
    if cohort.scoring:
        cohort.scoring.check(lengths)


def _check_templates(cohort: Cohort, groups: dict[str, str]) -> None:
    files = {"scoring.files": cohort.scoring, "beats.files": cohort.beats}
    for key, layout in files.items():
        require(layout is None or bool(layout.files), key, "lists no file")
    named = [(key, template) for key, layout in files.items() if layout for template in layout.files]
    named += [("scoring.others", template) for template in (cohort.scoring.others if cohort.scoring else ())]
    named += [(key, getattr(cohort, key)) for key in ("recording", "subject", "subset")]
    for key, template in named:
        try:
            template.format(**groups)
        except (KeyError, IndexError, ValueError, AttributeError):
            raise UserError(f"{key}: {template!r} uses a name that signals has no group for") from None
