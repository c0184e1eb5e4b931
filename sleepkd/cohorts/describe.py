"""A first dataset YAML for a folder of unknown recordings, for a person to complete."""

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import yaml

from sleepkd.cohorts.edf.records import Annotation, EdfRecords
from sleepkd.cohorts.find import files_below
from sleepkd.cohorts.signals import SIGNALS
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.errors import UserError

MOST = 20
"""How many files of a kind are read."""
MASTOID = r"(EEG[ _-]?)?(A1|A2|M1|M2)\b.*"
"""Names of mastoid and earlobe references."""
REFERENCED = "eeg"
"""The kind of signal that is derived against a mastoid or earlobe reference."""
STAGES = (  # the most likely sleep stage of a text: the first pattern that fits
    (r".*(\?|unscored|unknown|movement|artefact|artifact)|mt|m|not scored|unclassified", "unscored"),
    (r"(.*[\W_])?(w|wk|wake|awake|s0|stage w)(\W.*)?", "W"),
    (r"(.*[\W_])?(n1|s1|1)(\W.*)?", "N1"),
    (r"(.*[\W_])?(n2|s2|2)(\W.*)?", "N2"),
    (r"(.*[\W_])?(n3|n4|s3|s4|3|4)(\W.*)?", "N3"),
    (r"(.*[\W_])?(r|rem)(\W.*)?", "REM"),
)


@dataclass
class _FolderContent:
    """The files of a folder and their channels: name -> (rates, units) and how often each occurs."""

    signals: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    channels: dict[str, tuple[Counter[str], Counter[str]]] = field(default_factory=dict)
    annotations: dict[Path, list[Annotation]] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)


def describe(raw: Path) -> str:
    """A dataset YAML of a folder, with comments on what to decide. Raises UserError for a folder without EDF files."""
    if not raw.is_dir():
        raise UserError(f"{raw}: no such folder")
    seen = _look(sorted(files_below(raw)))
    if not seen.signals:
        raise UserError(
            f"{raw}: holds no EDF or BDF file with signals; for other formats, copy a YAML of configs/datasets"
        )
    pattern, named = _pattern(seen.signals)
    scoring, template = _scoring_files(pattern, named, seen)
    lines = [
        f"# A first description of {raw.name}, from {len(named)} files of signals: check every line, then",
        "#   sleepkd prepare --dataset THIS.yaml --raw FOLDER --out STORE",
        f"name: {re.sub(r'[^a-z0-9_]', '_', raw.name.lower()) or 'mine'}",
        f"files: {_quoted(pattern)} # for example {named[0].name}",
        "subject: '{recording}' # if a subject has several nights: a group of files that names the subject",
        "",
        *_scoring_lines(scoring, template, seen),
        "",
        "standard: aasm # or rk",
        f"epoch_seconds: {_epoch_seconds(scoring, seen):g}",
        "",
        *_channel_lines(seen),
    ]
    lines += [f"# {what}" for what in seen.odd[:MOST]]
    return "\n".join(lines) + "\n"


def _look(paths: list[Path]) -> _FolderContent:
    """Read files: the channels of those with signals, the texts of those with annotations."""
    seen = _FolderContent()
    for path in paths:
        try:
            records = EdfRecords(path)
        except UserError as error:
            seen.others.append(path)
            if path.suffix.lower() in SIGNALS["edf"].endings:
                seen.odd.append(f"cannot be read: {error}")
            continue
        signals = [channel for channel in records.header.channels if not channel.is_annotations]
        (seen.signals if signals else seen.others).append(path)
        for channel in signals if len(seen.signals) <= MOST else ():
            rates, units = seen.channels.setdefault(channel.label, (Counter(), Counter()))
            seconds = records.header.record_seconds
            rates[f"{channel.samples / seconds:g} Hz" if seconds else "no rate"] += 1
            units[channel.unit or "no unit"] += 1
        if len(seen.annotations) < MOST and records.annotations:
            seen.annotations[path] = records.annotations
    return seen


def _pattern(paths: list[Path]) -> tuple[str, list[Path]]:
    """A regular expression for the most common form of name, with any digits, and the files that fit it."""
    kinds = Counter(re.sub(r"\d+", "0", path.name) for path in paths)
    kind = kinds.most_common(1)[0][0]
    stem, dot, suffix = kind.rpartition(".")
    tail = re.search(r"[ _-][A-Za-z]+$", stem)  # " PSG", which the name of the scoring lacks
    last = tail.group() if tail else ""
    free = r"\d+".join(map(_escaped, stem.removesuffix(last).split("0")))
    pattern = f"(?P<recording>{free}){_escaped(last + dot + suffix)}"
    return pattern, [path for path in paths if re.fullmatch(pattern, path.name)]


def _scoring_files(pattern: str, named: list[Path], seen: _FolderContent) -> tuple[list[Path], str]:
    """The scoring files and the template of their names; ([], "") without any.

    The name of a scoring contains that of its recording. The files of signals themselves come last.
    """
    templates: Counter[str] = Counter()
    fitting: dict[str, list[Path]] = {}
    for signals in named[:MOST]:
        recording = _recording_name(pattern, signals)
        for path in seen.others:
            template = re.sub(re.escape(recording), "{recording}", path.name, flags=re.IGNORECASE)
            if template != path.name:
                if path.parent != signals.parent:
                    template = f"{path.parent.name}/{template}"
                templates[template] += 1
                fitting.setdefault(template, []).append(path)
    if templates:
        best = templates.most_common(1)[0][0]
        return fitting[best], best
    own = [path for path in named if seen.annotations.get(path)]
    if not own:
        return [], ""
    return own, own[0].name.replace(_recording_name(pattern, own[0]), "{recording}")


def _recording_name(pattern: str, path: Path) -> str:
    """The group `recording` of a file that fits the pattern."""
    match = re.fullmatch(pattern, path.name)
    assert match is not None, f"{path.name} was chosen because it fits {pattern}"
    return match["recording"]


def _scoring_lines(files: list[Path], template: str, seen: _FolderContent) -> list[str]:
    if not files:
        return ["scoring: none # no file is named after the recordings; if there is one: files, format, labels"]
    texts = Counter(a.text for path in files for a in seen.annotations.get(path, ()))
    if not texts:
        kind = {".xml": "nsrr_xml", ".st": "wfdb", ".csv": "table", ".tsv": "table"}.get(files[0].suffix, "values")
        return ["scoring:", f"  files: ['{template}']", f"  format: {kind} # guessed from the name", "  labels: {}"]
    lines = ["scoring:", f"  files: ['{template}']", "  format: edf_annotations", "  labels:"]
    for text, count in sorted(texts.items()):
        meaning = _meaning(text)
        line = f"    {_quoted(text)}: {meaning or '???'} # {count} times"
        lines.append(line if meaning else line.replace("    ", "    # ", 1))
    return lines


def _epoch_seconds(files: list[Path], seen: _FolderContent) -> float:
    """The most common duration of a label, or distance between two."""
    durations: Counter[float] = Counter()
    for path in files:
        labels = [a for a in seen.annotations.get(path, ()) if _meaning(a.text)]
        durations.update(round(a.duration_s, 1) for a in labels if a.duration_s > 0)
        if not durations:
            durations.update(round(b.onset_s - a.onset_s, 1) for a, b in pairwise(labels))
    return durations.most_common(1)[0][0] if durations else 30.0


def _meaning(text: str) -> str | None:
    """The most likely sleep stage of a text, or "unscored"; None for a text that is neither."""
    return next((stage for form, stage in STAGES if re.fullmatch(form, text.strip().lower())), None)


def _channel_lines(seen: _FolderContent) -> list[str]:
    """The section `signals`, and all channels as comments."""
    lines = ["# Regular expressions for whole channel names; the first derivation that a file's channels fit is used."]
    lines.append("signals:")
    mastoids = _fitting(seen, MASTOID)
    for name, kind in SIGNAL_KINDS.items():
        if not kind.channels:
            continue
        found = _fitting(seen, kind.channels)
        if not found and kind.on_request:
            continue
        lines.append(f"  {name}:" if found else f"  # {name}: no channel is named like one")
        for label in found:
            minus = ""
            if name == REFERENCED and mastoids and not re.search(r"[-/](A|M|REF|LER|CLE)", label, re.IGNORECASE):
                minus = f", minus: {_quoted(_escaped(mastoids[-1]))}"
            lines.append(f"    - {{plus: {_quoted(_escaped(label))}{minus}}}")
    lines.append("ecg_polarity: auto # or as_recorded, or inverted")
    lines += ["", f"# All channels of {min(len(seen.signals), MOST)} files:"]
    for label, (rates, units) in seen.channels.items():
        lines.append(f"#   {label or '(blank)'}: {sum(rates.values())} times, {', '.join(rates)}, {', '.join(units)}")
    return lines


def _fitting(seen: _FolderContent, pattern: str) -> list[str]:
    return [name for name in seen.channels if re.fullmatch(pattern, name, re.IGNORECASE)]


def _escaped(text: str) -> str:
    """A text with the special characters of regular expressions escaped, and no others."""
    return re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", text)


def _quoted(text: str) -> str:
    """A text in single quotes, as in YAML."""
    return yaml.safe_dump(text, default_style="'", allow_unicode=True, width=10**6).strip()
