"""Write the paper's table as Markdown, JSON and HTML."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sleepkd.evaluation.pages import page
from sleepkd.evaluation.pages.page import MISSING, number
from sleepkd.evaluation.pages.report import report_versions
from sleepkd.evaluation.scores.groups import participants_of
from sleepkd.files import write_text_atomically
from sleepkd.study.paper_table import ALL, SCORES

# Joshi et al., arXiv 2112.07252 and 2211.13125, abstracts: weighted F1 of the proposed model against ECG alone.
PUBLISHED_GAIN_PERCENT = {3: 13.4, 4: 14.3}
NAMES = {"weighted_f1": "weighted F1", "kappa": "kappa", "accuracy": "accuracy", "macro_f1": "macro F1"}
STANDARDS = {"aasm": "AASM", "rk": "R&K"}


@dataclass(frozen=True)
class TableProvenance:
    """How a table was made. epochs: training epochs by row. failed: runs that are missing, with the reason."""

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
        """Whether the published numbers were measured on this cohort."""
        return self.cohort == "mass" and not self.simulated


@dataclass(frozen=True)
class ReportBlock:
    """One block of a report: a heading, a paragraph, a table (rows under a header) or a command."""

    heading: str = ""
    text: str = ""
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    code: str = ""


def is_simulated(store: str) -> bool:
    """Whether the store's participants.tsv marks its nights as simulated, as `sleepkd simulate` does."""
    participants = participants_of(None, [store]) or {}
    return any(row.get("origin") == "simulated" for row in participants.values())


def write_table(folder: Path, table: dict, about: TableProvenance) -> None:
    """Write table.json, table.md and table.html, each atomically."""
    content = {"about": {**asdict(about), "versions": report_versions()}, "table": table}
    write_text_atomically(folder / "table.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    blocks = list(table_blocks(table, about))
    write_text_atomically(folder / "table.md", markdown(blocks))
    write_text_atomically(folder / "table.html", html(blocks))


def table_blocks(table: dict, about: TableProvenance) -> Iterator[ReportBlock]:
    """The report: the proposed model against the baselines first, then all scores and gains."""
    yield ReportBlock(heading="EEG-assisted distillation for single-lead ECG: the table")
    origin = "Simulated nights in MASS's layout" if about.simulated else f"Cohort {about.cohort}"
    first = next(iter(table.values()))
    yield ReportBlock(
        text=f"{origin}; {about.split}; {first['nights']} test nights of {first['subjects']} subjects, "
        f"{first['sleep_epochs']:,} scored sleep epochs; training seeds {', '.join(map(str, about.seeds))}. "
        "Checkpoints are chosen on the validation nights, never on the test nights."
    )
    yield from _answer(table, about)
    yield ReportBlock(
        text="Scores pool all sleep epochs: mean ± standard deviation over seeds. Gains are differences of pooled "
        "scores, paired by seed and night, with 95 % intervals over subjects (and seeds, if there are several); "
        "undecided: the interval contains 0. By night: difference of the means over nights. Better / worse: number of "
        "nights, by weighted F1."
    )
    for classes, part in table.items():
        yield from _class_blocks(classes, part, about)
    for failure in about.failed:
        yield ReportBlock(text=f"Missing: {failure}")
    yield ReportBlock(heading="To reproduce", code=about.command)


def _answer(table: dict, about: TableProvenance) -> Iterator[ReportBlock]:
    """The proposed model against the baselines, beside the published gains."""
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
    other = "" if about.is_mass else " The published gains are of MASS, another data set: not comparable."
    yield ReportBlock(
        text="The papers print the gain in weighted F1 as a percentage without its reference; ours is relative to the "
        f"baseline, with the difference beside it.{other}"
    )
    yield ReportBlock(
        header=[f"gain of {about.proposed}", "published (MASS)", "here, relative", "weighted F1", "", "kappa", ""],
        rows=rows,
    )


def _class_blocks(classes: str, part: dict, about: TableProvenance) -> Iterator[ReportBlock]:
    """The scores of all rows, then their gains over each baseline."""
    rows = part["rows"]
    parts = list(dict.fromkeys(name for entry in rows.values() for name in entry["scores"]))
    standards = [name for name in parts if name != ALL] if len(parts) > 2 else []
    labels = [f"{STANDARDS.get(standard, standard)}: weighted F1" for standard in standards]
    yield ReportBlock(heading=f"{classes} classes: {', '.join(part['classes'])}")
    yield ReportBlock(
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
        yield ReportBlock(
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
    """ "better" or "worse" where the interval excludes 0, else "undecided"."""
    if gain["low"] is None or gain["low"] <= 0 <= gain["high"]:
        return "undecided"
    return "better" if gain["low"] > 0 else "worse"


def spread(entry: dict, digits: int = 3) -> str:
    """A {mean, sd} as "mean ± sd"."""
    mean, sd = number(entry["mean"], digits), number(entry["sd"], digits)
    return mean if sd == MISSING else f"{mean} ± {sd}"


def markdown(blocks: Sequence[ReportBlock]) -> str:
    """The blocks as Markdown."""
    lines: list[str] = []
    for i, block in enumerate(blocks):
        if block.heading:
            lines += [f"{'##' if i else '#'} {block.heading}", ""]
        if block.text:
            lines += [block.text, ""]
        if block.code:
            lines += [f"    {block.code}", ""]
        if block.header:
            marks = ["---", *("---:" for _ in block.header[1:])]
            lines += [f"| {' | '.join(cells)} |" for cells in (block.header, marks, *block.rows)] + [""]
    return "\n".join(lines).rstrip() + "\n"


def html(blocks: Sequence[ReportBlock]) -> str:
    """The blocks as one self-contained page."""
    body = []
    for i, block in enumerate(blocks):
        if block.heading:
            body.append(page.heading(block.heading, 2 if i else 1))
        if block.text:
            body.append(page.paragraph(block.text))
        if block.code:
            body.append(page.code([block.code]))
        if block.header:
            body.append(page.table(block.header, block.rows))
    return page.page(blocks[0].heading, body)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
