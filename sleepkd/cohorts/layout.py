"""A dataset YAML: how a cohort's files, channels and labels are laid out. A new cohort is a YAML file, not code."""

import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from sleepkd.cohorts.beats import BEATS, BeatLayout
from sleepkd.cohorts.labels import LABELS, LabelLayout
from sleepkd.cohorts.sensors import SENSORS, SensorLayout
from sleepkd.cohorts.signals import SIGNALS, Derivation
from sleepkd.cohorts.subject_table import SubjectTableLayout
from sleepkd.config import CONFIGS, find_config, from_dict, read_yaml, require
from sleepkd.data.hypnogram import Standard
from sleepkd.data.signal_kinds import SIGNAL_KINDS, sampled_kinds
from sleepkd.errors import UserError

DATASETS = CONFIGS / "datasets"
NONE = "none"
EARLIER_SIGNAL_KEYS = ("eeg", "ecg", "eog", "emg")
"""Keys of earlier versions, now keys of `signals`."""

Derivations = dict[str, tuple[Derivation, ...]]
SensorLayouts = dict[str, tuple[SensorLayout, ...]]


def _section(formats: dict[str, Any], default: str) -> Callable[[Any, str], Any]:
    """A function that reads a section of a YAML by the keys of its `format`; None for a missing section, or none."""

    def read(value: Any, key: str) -> Any:
        if value is None or value == NONE:
            return None
        require(isinstance(value, dict), key, f"expected a section of keys, or none; got {value!r}")
        name = value.get("format", default)
        require(name in formats, f"{key}.format", f"must be one of {', '.join(formats)}; is {name!r}")
        return from_dict(formats[name].layout, value, prefix=f"{key}.")

    return read


def _sensor_files(value: Any, key: str) -> SensorLayouts:
    """The section `sensor_files` of a YAML: by kind, an entry or a list of them, read by the keys of its format."""
    if value is None:
        return {}
    require(isinstance(value, Mapping), key, f"expected kinds of signals, got {value!r}")
    counts = [kind for kind, entry in SIGNAL_KINDS.items() if entry.stored_as == "counts"]
    found = {}
    for name, entries in value.items():
        where = f"{key}.{name}"
        require(name in counts, where, f"is not a kind that files of their own hold; there are {', '.join(counts)}")
        layouts = []
        for section in entries if isinstance(entries, list) else [entries]:
            require(isinstance(section, dict), where, f"expected a section of keys, got {section!r}")
            form = section.get("format")
            require(form in SENSORS, f"{where}.format", f"must be one of {', '.join(SENSORS)}; is {form!r}")
            layouts.append(from_dict(SENSORS[form].layout, section, prefix=f"{where}."))
        found[name] = tuple(layouts)
    return found


@dataclass(frozen=True)
class Origin:
    """Where a cohort is available, and its licence.

    physionet: name/version on PhysioNet. files: a regular expression for the files to download, "" for all.
    """

    where: str = ""
    licence: str = ""
    physionet: str = ""
    files: str = ""


@dataclass(frozen=True)
class SubsetLayout:
    """What differs in one subset of the cohort. signals: kinds that are not named have the cohort's derivations."""

    standard: Standard | None = None
    epoch_seconds: float | None = None
    signals: Derivations = field(default_factory=dict)


@dataclass(frozen=True)
class Cohort:
    """A dataset YAML.

    files: regular expression, in any capitals, for the names of the files that each stand for a recording; with a /,
    for their paths from the raw folder. Its group `recording` names the recording.
    signals: derivations by kind (a key of SIGNAL_KINDS); of a kind, the first that a file's channels fit.
    format: of these files, a key of SIGNALS; "none" if they only name recordings, which then have heartbeats, or files
    of sensors, alone.
    sensor_files: by kind of signal, sensors in files of their own, such as a watch's movement; of several entries of a
    kind, the first that a recording has a file of.
    pulse_beats: whether the heartbeats of recordings without an ECG are the pulse waves of their PPG.
    rate_hz: samples per second, for formats that do not state them (table).
    scoring: files of labels; none for an unlabelled cohort. beats: files of heartbeats, if there are any.
    subjects: a table of age and sex; without this section, the cohort's participants.tsv, if it has one.
    recording, subject, subset: templates over the groups of `files`.
    ecg_polarity: "auto" detects inverted ECGs, "as_recorded" and "inverted" hold for every recording.
    """

    name: str
    files: str
    signals: Derivations = field(default_factory=dict)
    format: str = "edf"
    rate_hz: float | None = None
    scoring: Annotated[LabelLayout | None, _section(LABELS, "edf_annotations")] = None
    beats: Annotated[BeatLayout | None, _section(BEATS, "wfdb")] = None
    sensor_files: Annotated[SensorLayouts, _sensor_files] = field(default_factory=dict)
    pulse_beats: bool = False
    subjects: SubjectTableLayout | None = None
    standard: Standard = "aasm"
    epoch_seconds: float = 30.0
    recording: str = "{recording}"
    subject: str = "{recording}"
    subset: str = "all"
    source: Origin | None = None
    ecg_polarity: Literal["auto", "as_recorded", "inverted"] = "auto"
    subsets: dict[str, SubsetLayout] = field(default_factory=dict)


def load_cohort(name: str) -> Cohort:
    """The cohort of a YAML file, or of a bare name in configs/datasets. Raises UserError naming file and key."""
    path = find_config(name, DATASETS)
    content = read_yaml(path)
    try:
        cohort = from_dict(Cohort, _current_keys(content, path.name))
        _check(cohort)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return cohort


def _current_keys(content: Mapping[str, Any], file: str) -> dict[str, Any]:
    """A YAML's content with the keys of earlier versions replaced by those of `Cohort`; a note on stderr names them.

    Earlier, `signals` was today's `files`, and the kinds of signals were keys beside it.
    """
    result = dict(content)
    if isinstance(result.get("signals"), str) and "files" not in result:
        result["files"] = result.pop("signals")
        _note(f"{file}: signals: '…' is now files: '…', and signals: has the derivations of eeg, ecg, … as its keys")
    _move_signals(result, file)
    if isinstance(result.get("subsets"), dict):
        subsets = {
            name: dict(subset) if isinstance(subset, dict) else subset for name, subset in result["subsets"].items()
        }
        for name, subset in subsets.items():
            if isinstance(subset, dict):
                _move_signals(subset, f"{file}: subsets.{name}")
        result["subsets"] = subsets
    return result


def _move_signals(section: dict[str, Any], where: str) -> None:
    if section.get("signals", {}) is None:  # a key without a value
        del section["signals"]
    earlier = {name: section.pop(name) for name in EARLIER_SIGNAL_KEYS if name in section}
    earlier = {name: choices for name, choices in earlier.items() if choices is not None}
    if earlier and isinstance(section.get("signals", {}), dict):
        section["signals"] = earlier | section.get("signals", {})
        _note(f"{where}: {', '.join(earlier)} are now keys of signals")


@functools.cache
def _note(text: str) -> None:
    """Print a note on stderr, once per process."""
    print(f"note: {text}", file=sys.stderr)


def _check(cohort: Cohort) -> None:
    """Raise UserError, naming the key, for impossible values."""
    patterns = [("files", cohort.files)]
    for key, name, choices in _derivations(cohort):
        require(name in sampled_kinds(), key, f"is not a kind of signal; there are {', '.join(sampled_kinds())}")
        require(bool(choices), key, "lists no derivation")
        patterns += [(key, pattern) for choice in choices for pattern in (choice.plus, choice.minus)]
    for key, pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(f"{key}: {pattern!r} is not a regular expression: {error}") from None
    groups = re.compile(cohort.files).groupindex
    require("recording" in groups, "files", "needs a group (?P<recording>…) that names the recording")
    _check_templates(cohort, dict.fromkeys(groups, ""))
    _check_format(cohort)
    lengths = [cohort.epoch_seconds, *(s.epoch_seconds for s in cohort.subsets.values() if s.epoch_seconds is not None)]
    require(min(lengths) > 0, "epoch_seconds", f"must be positive, is {min(lengths):g}")
    if cohort.scoring:
        cohort.scoring.check(lengths)
    if cohort.subjects:
        cohort.subjects.check()


def _derivations(cohort: Cohort) -> Iterator[tuple[str, str, tuple[Derivation, ...]]]:
    """Key, kind and derivations of every signal of the cohort and of its subsets."""
    for name, choices in cohort.signals.items():
        yield f"signals.{name}", name, choices
    for subset, layout in cohort.subsets.items():
        for name, choices in layout.signals.items():
            yield f"subsets.{subset}.signals.{name}", name, choices


def _check_format(cohort: Cohort) -> None:
    formats = (*SIGNALS, NONE)
    require(cohort.format in formats, "format", f"must be one of {', '.join(formats)}; is {cohort.format!r}")
    named = {name for _, name, _ in _derivations(cohort)}
    if cohort.format == NONE:
        require(not named, "format", f"none is for heartbeats alone, but signals names {', '.join(sorted(named))}")
        has_any = cohort.beats is not None or bool(cohort.sensor_files)
        require(has_any, "beats", "is missing: with format none there is nothing else")
    else:
        always = [name for name, kind in sampled_kinds().items() if not kind.on_request]
        stored = bool(named & set(always)) or cohort.pulse_beats
        require(stored, "signals", f"names none of {', '.join(always)}; give one, or format none and beats")
    has_pulse = any(SIGNAL_KINDS[name].has_pulse for name in named)
    require(has_pulse or not cohort.pulse_beats, "pulse_beats", "needs a derivation of signals.ppg")
    takes_rate = cohort.format in SIGNALS and SIGNALS[cohort.format].takes_rate
    require(cohort.rate_hz is None or takes_rate, "rate_hz", f"files of format {cohort.format} state their rates")
    require(cohort.rate_hz is None or cohort.rate_hz > 0, "rate_hz", f"must be positive, is {cohort.rate_hz}")


def _check_templates(cohort: Cohort, groups: dict[str, str]) -> None:
    files: dict[str, LabelLayout | BeatLayout | SensorLayout | None] = {
        "scoring.files": cohort.scoring,
        "beats.files": cohort.beats,
        **{
            f"sensor_files.{name}.files ({layout.format})": layout
            for name, layouts in cohort.sensor_files.items()
            for layout in layouts
        },
    }
    for key, layout in files.items():
        require(layout is None or bool(layout.files), key, "lists no file")
    named = [(key, template) for key, layout in files.items() if layout for template in layout.files]
    named += [("scoring.others", template) for template in (cohort.scoring.others if cohort.scoring else ())]
    if cohort.subjects:
        named += [("subjects.files", template) for template in cohort.subjects.files]
        named += [(f"subjects.match.{column}", template) for column, template in cohort.subjects.match.items()]
    named += [(key, getattr(cohort, key)) for key in ("recording", "subject", "subset")]
    for key, template in named:
        try:
            template.format(**groups)
        except (KeyError, IndexError, ValueError, AttributeError):
            raise UserError(f"{key}: {template!r} uses a name that files has no group for") from None
