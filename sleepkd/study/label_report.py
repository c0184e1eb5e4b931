"""Write the label-efficiency table: labels.md, labels.json and labels.png."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from sleepkd.data.hypnogram import merge_labels
from sleepkd.data.store import Night, Store
from sleepkd.evaluation.pages import page
from sleepkd.evaluation.pages.page import MISSING
from sleepkd.evaluation.pages.report import report_versions
from sleepkd.evaluation.pictures.label_efficiency_figure import label_efficiency_figure
from sleepkd.evaluation.scores.inter_rater_agreement import consensus
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.files import write_text_atomically
from sleepkd.study.label_plan import ALONE, LABEL_ROWS, PLAIN, LabelStudy
from sleepkd.study.paper_report import ReportBlock, markdown, spread
from sleepkd.study.paper_table import ALL, Results, table_of

KAPPA = "kappa"


def label_table(by_number: Mapping[int, Results], draws: int) -> dict[int, dict]:
    """{number of labelled nights: {row: {kappa, gains: {over: {value, low, high, better, worse}}}}}, kappa by night.

    Gains are over the student without a teacher and over plain softmax distillation with as many labelled nights,
    paired by seed and night, with intervals over subjects and seeds.
    """
    found: dict[int, dict] = {}
    for number, results in by_number.items():
        for part in table_of(results, (ALONE, PLAIN), draws=draws).values():
            found[number] = {
                row: {
                    "seeds": entry["seeds"],
                    "kappa": entry["by_night"][ALL][KAPPA],
                    "pooled": entry["scores"][ALL][KAPPA],
                    "gains": {
                        over: gain[ALL]["mean"][KAPPA]
                        | {side: gain[ALL]["tests"][KAPPA][side] for side in ("better", "worse")}
                        for over, gain in entry["gains"].items()
                    },
                }
                for row, entry in part["rows"].items()
            }
    return found


def by_standard(by_number: Mapping[int, Results]) -> dict[str, dict[int, Results]]:
    """The same predictions by scoring standard and number of labelled nights; {} if all nights have the same one."""
    found: dict[str, dict[int, Results]] = {}
    for number, results in by_number.items():
        for names, rows in results.items():
            for row, by_seed in rows.items():
                for seed, nights in by_seed.items():
                    for night in nights:
                        of_row = found.setdefault(night.standard, {}).setdefault(number, {}).setdefault(names, {})
                        of_row.setdefault(row, {}).setdefault(seed, []).append(night)
    return found if len(found) > 1 else {}


def against_consensus(results: Results, stores: Sequence[Store]) -> Results:
    """The same predictions against the consensus of a night's scorers; {} if every night has one scorer."""
    found: Results = {}
    holding = {recording: store for store in stores for recording in store.recordings}
    opened = cache(lambda recording: holding[recording].open(recording))  # every row and seed is tested on these nights
    for names, rows in results.items():
        for row, by_seed in rows.items():
            for seed, nights in by_seed.items():
                agreed = [_agreed(night, opened(night.recording)) for night in nights]
                several = [night for night in agreed if night is not None]
                if several:
                    found.setdefault(names, {}).setdefault(row, {})[seed] = several
    return found


def _agreed(night: NightPredictions, held: Night) -> NightPredictions | None:
    others = held.other_scorings()
    if not len(others):
        return None
    lines = np.searchsorted(held.hypnogram.onset_s, night.onset_s - 1e-3)
    of_others = merge_labels(others[:, lines], night.n_classes)
    return replace(night, labels=consensus(np.concatenate([night.labels[None], of_others])))


def write_label_table(
    folder: Path,
    tables: Mapping[str, Mapping[int, dict]],
    command: str,
    study: LabelStudy,
    failed: Sequence[str],
) -> None:
    """Write the three files. tables: by test set; the figure shows the first."""
    content = {"command": command, "updates": study.updates, "versions": report_versions(), "tables": tables}
    write_text_atomically(folder / "labels.json", json.dumps(content, indent=1) + "\n")
    blocks = [ReportBlock(heading="Label efficiency: kappa by number of labelled nights")]
    validating = "One in five of the labelled nights validates" if study.validates else "All labelled nights train"
    blocks.append(
        ReportBlock(
            text=f"Kappa by night, mean ± sd over seeds; {study.updates} updates each. {validating}. "
            "Gains are paired by seed and night, with 95 % intervals over subjects and seeds."
        )
    )
    for where, table in tables.items():
        blocks += _blocks(where, table)
    blocks += [ReportBlock(text=f"Missing: {line}") for line in failed]
    blocks.append(ReportBlock(heading="To reproduce", code=command))
    write_text_atomically(folder / "labels.md", markdown(blocks))
    first = next(iter(tables.values()))
    label_efficiency_figure(first, tuple(LABEL_ROWS), folder / "labels.png")


def _blocks(where: str, table: Mapping[int, dict]) -> list[ReportBlock]:
    numbers = sorted(table)
    rows = [row for row in LABEL_ROWS if any(row in table[number] for number in numbers)]
    blocks = [
        ReportBlock(
            heading=f"{where}: kappa by night",
            header=["labelled nights", *map(str, numbers)],
            rows=[
                [row, *(spread(table[n][row]["kappa"]) if row in table[n] else MISSING for n in numbers)]
                for row in rows
            ],
        )
    ]
    for over in (ALONE, PLAIN):
        gained = [row for row in rows if any(over in table[n].get(row, {}).get("gains", {}) for n in numbers)]
        cells = [[row, *(_gain(table[n].get(row, {}).get("gains", {}).get(over)) for n in numbers)] for row in gained]
        blocks.append(
            ReportBlock(
                heading=f"{where}: gain over {over}", header=["labelled nights", *map(str, numbers)], rows=cells
            )
        )
    return blocks


def _gain(gain: dict | None) -> str:
    if not gain:
        return MISSING
    return f"{page.interval(gain, digits=2, sign=True)}, {gain['better']} / {gain['worse']}"
