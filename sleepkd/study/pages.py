"""table.md, table.json and table.html: the same table for a repository, for a program and for a browser."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sleepkd.evaluation.pages import page
from sleepkd.evaluation.pages.page import MISSING, number
from sleepkd.evaluation.pages.report import report_versions
from sleepkd.evaluation.scores.groups import participants_of
from sleepkd.files import write_text_atomically
from sleepkd.study.table import ALL, SCORES

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
    baseline: str
    failed: tuple[str, ...]

    @property
    def is_mass(self) -> bool:
        """Whether the published numbers are of this cohort."""
        return self.cohort == "mass" and not self.simulated


@dataclass(frozen=True)
class Piece:
    """A heading, a paragraph, or rows under a header: what both pages are made of."""

    heading: str = ""
    text: str = ""
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    code: str = ""


def is_simulated(store: str) -> bool:
    """Whether the store's participants say that they are simulated (sleepkd.simulate writes it)."""
    participants = participants_of(None, [store]) or {}
    return any(row.get("origin") == "simulated" for row in participants.values())


def write_table(folder: Path, table: dict, about: About) -> None:
    """Write the three files; each appears whole or not at all."""
    content = {"about": {**asdict(about), "versions": report_versions()}, "table": table}
    write_text_atomically(folder / "table.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    pieces = list(pieces_of(table, about))
    write_text_atomically(folder / "table.md", markdown(pieces))
    write_text_atomically(folder / "table.html", html(pieces))


def pieces_of(table: dict, about: About) -> Iterator[Piece]:
    """The table as text, the answer first."""
    yield Piece(heading="EEG-assisted distillation for single-lead ECG: the table")
    origin = "Simulated nights in MASS's layout" if about.simulated else f"Cohort {about.cohort}"
    first = next(iter(table.values()))
    yield Piece(
        text=f"{origin}; {about.split}; {first['nights']} test nights of {first['subjects']} subjects, "
        f"{first['sleep_epochs']:,} scored sleep epochs; training seeds {', '.join(map(str, about.seeds))}. "
        "Checkpoints are chosen by the validation nights; the test nights choose nothing."
    )
    yield from _answer(table, about)
    yield Piece(
        text="Scores are of all sleep epochs pooled, mean ± standard deviation over seeds. Gains are differences of "
        "pooled scores, paired by seed and night, with 95 % intervals over subjects (and seeds, where there are "
        "several); undecided: the interval holds 0. By night: of the mean over nights. Better / worse: nights, by "
        "their own weighted F1."
    )
    for classes, part in table.items():
        yield from _class_pieces(classes, part, about)
    for failure in about.failed:
        yield Piece(text=f"Missing: {failure}")
    yield Piece(heading="To run it again", code=about.command)


def _answer(table: dict, about: About) -> Iterator[Piece]:
    """The proposed model against the baselines, beside what was published."""
    rows = []
    for classes, part in table.items():
        gains = part["rows"].get(about.proposed, {}).get("gains", {})
        for baseline, gain in gains.items():
            published = PUBLISHED_GAIN_PERCENT.get(int(classes)) if baseline == about.baseline else None
            pooled = gain[ALL]["pooled"]
            rows.append(
                [
                    f"over {baseline}, {classes} classes",
                    MISSING if published is None else f"+{published} %",
                    f"{number(_percent(gain[ALL]['relative']), 1, sign=True)} %",
                    page.interval(pooled["weighted_f1"], digits=2, sign=True),
                    _verdict(pooled["weighted_f1"]),
                    page.interval(pooled["kappa"], digits=2, sign=True),
                    _verdict(pooled["kappa"]),
                ]
            )
    if not rows:
        return
    other = "" if about.is_mass else " The published gains are of MASS, another data set: they do not compare."
    yield Piece(
        text="The papers print the gain in weighted F1 as a percentage without saying of what; ours is relative to the "
        f"baseline, with the difference itself beside it.{other}"
    )
    yield Piece(
        header=[f"gain of {about.proposed}", "published (MASS)", "here, relative", "weighted F1", "", "kappa", ""],
        rows=rows,
    )


def _class_pieces(classes: str, part: dict, about: About) -> Iterator[Piece]:
    """The scores of all rows, then their gains over each baseline."""
    rows = part["rows"]
    parts = list(dict.fromkeys(name for entry in rows.values() for name in entry["scores"]))
    standards = [name for name in parts if name != ALL] if len(parts) > 2 else []
    labels = [f"{STANDARDS.get(standard, standard)}: weighted F1" for standard in standards]
    yield Piece(heading=f"{classes} classes: {', '.join(part['classes'])}")
    yield Piece(
        header=["row", "training epochs", *(NAMES[score] for score in SCORES), *labels],
        rows=[
            [
                name,
                str(about.epochs[name]),
                *(spread(entry["scores"][ALL][score]) for score in SCORES),
                *(spread(entry["scores"][standard]["weighted_f1"]) for standard in standards),
            ]
            for name, entry in rows.items()
        ],
    )
    for baseline in dict.fromkeys(name for entry in rows.values() for name in entry["gains"]):
        yield Piece(
            header=[f"gain over {baseline}", "weighted F1", "kappa", "kappa by night", "better / worse", *labels],
            rows=[
                _gain_cells(name, entry["gains"][baseline], standards)
                for name, entry in rows.items()
                if baseline in entry["gains"]
            ],
        )


def _gain_cells(name: str, gain: dict, standards: Sequence[str]) -> list[str]:
    tests = gain[ALL]["tests"]["weighted_f1"]
    return [
        name,
        *(page.interval(gain[ALL]["pooled"][score], digits=2, sign=True) for score in ("weighted_f1", "kappa")),
        page.interval(gain[ALL]["mean"]["kappa"], digits=2, sign=True),
        f"{tests['better']} / {tests['worse']}",
        *(page.interval(gain[standard]["pooled"]["weighted_f1"], digits=2, sign=True) for standard in standards),
    ]


def _verdict(gain: dict) -> str:
    """What an interval says."""
    if gain["low"] is None or gain["low"] <= 0 <= gain["high"]:
        return "undecided"
    return "better" if gain["low"] > 0 else "worse"


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
            lines += [f"| {' | '.join(token_spans)} |" for token_spans in (piece.header, marks, *piece.rows)] + [""]
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
            body.append(page.grid(piece.header, piece.rows))
    return page.page(pieces[0].heading, body)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
