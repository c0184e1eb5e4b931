"""table.md, table.json and table.html: the same table for a repository, for a program and for a browser."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sleepkd.evaluation import page
from sleepkd.evaluation.html_report import package_versions
from sleepkd.evaluation.page import MISSING, number
from sleepkd.evaluation.table import ALL, SCORES
from sleepkd.files import write_text_atomically

# Joshi et al., arXiv 2112.07252 and 2211.13125, abstracts: weighted F1 of the proposed model against ECG alone.
PUBLISHED_GAIN_PERCENT = {3: 13.4, 4: 14.3}
NAMES = {"weighted_f1": "weighted F1", "kappa": "kappa", "accuracy": "accuracy", "macro_f1": "macro F1"}
STANDARDS = {"aasm": "AASM", "rk": "R&K"}


@dataclass(frozen=True)
class About:
    """How a table came about. epochs: training epochs by row; failed: runs that are not in it, and why."""

    command: str
    store: str
    cohort: str
    simulated: bool
    overlays: tuple[str, ...]
    settings: tuple[str, ...]
    split: str
    seeds: tuple[int, ...]
    epochs: dict[str, int]
    proposed: str
    failed: tuple[str, ...]

    @property
    def is_mass(self) -> bool:
        """Whether the published numbers are of this cohort."""
        return self.cohort == "mass" and not self.simulated


@dataclass(frozen=True)
class Piece:
    """A heading, a paragraph, or a table with its header: what both pages are made of."""

    heading: str = ""
    text: str = ""
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    code: str = ""


def write_table(folder: Path, table: dict, about: About) -> None:
    """Write the three files; each appears whole or not at all."""
    content = {"about": {**asdict(about), "versions": package_versions()}, "table": table}
    write_text_atomically(folder / "table.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    pieces = list(pieces_of(table, about))
    write_text_atomically(folder / "table.md", markdown(pieces))
    write_text_atomically(folder / "table.html", html(pieces))


def pieces_of(table: dict, about: About) -> Iterator[Piece]:
    """The table as text."""
    yield Piece(heading="EEG-assisted distillation for single-lead ECG: the table")
    origin = "simulated nights in MASS's layout" if about.simulated else f"cohort {about.cohort}"
    first = next(iter(table.values()))
    yield Piece(
        text=f"{origin}; {about.split}; {first['nights']} test nights of {first['subjects']} subjects, "
        f"{first['sleep_epochs']:,} scored sleep epochs; training seeds {', '.join(map(str, about.seeds))}. "
        "Checkpoints are chosen by the validation nights; the test nights choose nothing."
    )
    yield Piece(
        text="Scores: all sleep epochs pooled, mean ± standard deviation over seeds. Gains: difference of pooled "
        "weighted F1, paired by seed and night, with its 95 % interval over subjects (and seeds, where there are "
        "several); better and worse: nights by their own weighted F1."
    )
    for classes, part in table.items():
        yield from _class_pieces(classes, part, about)
    yield from _published(table, about)
    for failure in about.failed:
        yield Piece(text=f"Missing: {failure}")
    yield Piece(heading="To run it again", code=about.command)


def _class_pieces(classes: int, part: dict, about: About) -> Iterator[Piece]:
    rows = part["rows"]
    baselines = list(dict.fromkeys(name for entry in rows.values() for name in entry["gains"]))
    yield Piece(heading=f"{classes} classes: {', '.join(part['classes'])}")
    header = ["row", "training epochs", *(NAMES[score] for score in SCORES)]
    for baseline in baselines:
        header += [f"gain over {baseline}", "better / worse"]
    yield Piece(
        header=header,
        rows=[
            [
                name,
                str(about.epochs[name]),
                *(spread(entry["scores"][ALL][score]) for score in SCORES),
                *(cell for baseline in baselines for cell in _gain_cells(entry, baseline, ALL)),
            ]
            for name, entry in rows.items()
        ],
    )
    standards = sorted({name for entry in rows.values() for name in entry["scores"]} - {ALL})
    if len(standards) < 2:
        return
    header = ["row"]
    for standard in standards:
        label = STANDARDS.get(standard, standard)
        header += [f"{label}: weighted F1", *(f"{label}: gain over {baseline}" for baseline in baselines)]
    yield Piece(
        header=header,
        rows=[
            [
                name,
                *(
                    cell
                    for standard in standards
                    for cell in (
                        spread(entry["scores"][standard]["weighted_f1"]),
                        *(_gain_cells(entry, baseline, standard)[0] for baseline in baselines),
                    )
                ),
            ]
            for name, entry in rows.items()
        ],
    )


def _gain_cells(entry: dict, baseline: str, part: str) -> tuple[str, str]:
    gain = entry["gains"].get(baseline, {}).get(part)
    if not gain:
        return MISSING, MISSING
    tests = gain["tests"]["weighted_f1"]
    return page.interval(gain["pooled"]["weighted_f1"], sign=True), f"{tests['better']} / {tests['worse']}"


def _published(table: dict, about: About) -> Iterator[Piece]:
    rows = []
    for classes, part in table.items():
        gains = part["rows"].get(about.proposed, {}).get("gains", {})
        for baseline, gain in gains.items():
            published = PUBLISHED_GAIN_PERCENT.get(int(classes)) if baseline == "ecg_base" else None
            rows.append(
                [
                    f"{about.proposed} over {baseline}, {classes} classes",
                    MISSING if published is None else f"+{published} %",
                    f"{number(_percent(gain[ALL]['relative']), 1, sign=True)} %",
                    page.interval(gain[ALL]["pooled"]["weighted_f1"], sign=True),
                ]
            )
    if not rows:
        return
    yield Piece(heading="Beside the published gains")
    other = (
        "" if about.is_mass else " The published gains are of MASS, another data set than this: they do not compare."
    )
    yield Piece(
        text="Gain in weighted F1. The papers print a percentage without saying of what; ours is relative to the "
        f"baseline, with the difference itself beside it.{other}"
    )
    yield Piece(header=["", "published (MASS)", "here, relative", "here, difference"], rows=rows)


def spread(entry: dict, digits: int = 3) -> str:
    """A {mean, sd} as "mean ± sd"."""
    mean, sd = number(entry["mean"], digits), number(entry["sd"], digits)
    return mean if sd == MISSING else f"{mean} ± {sd}"


def markdown(pieces: Sequence[Piece]) -> str:
    """The pieces as Markdown."""
    lines: list[str] = []
    for i, piece in enumerate(pieces):
        if piece.heading:
            lines += [f"{'##' if i else '#'} {piece.heading}", ""]
        if piece.text:
            lines += [piece.text, ""]
        if piece.code:
            lines += [f"    {piece.code}", ""]
        if piece.header:
            marks = ["---", *("---:" for _ in piece.header[1:])]
            lines += [f"| {' | '.join(cells)} |" for cells in (piece.header, marks, *piece.rows)] + [""]
    return "\n".join(lines).rstrip() + "\n"


def html(pieces: Sequence[Piece]) -> str:
    """The pieces as one self-contained page."""
    body = []
    for i, piece in enumerate(pieces):
        if piece.heading:
            body.append(page.heading(piece.heading, 2 if i else 1))
        if piece.text:
            body.append(page.paragraph(piece.text))
        if piece.code:
            body.append(page.code([piece.code]))
        if piece.header:
            body.append(page.table(piece.header, piece.rows))
    return page.page(pieces[0].heading, body)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
