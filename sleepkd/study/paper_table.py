"""Scores of all rows over training seeds, and paired gains over the baselines, for all nights and per standard."""

from collections.abc import Mapping, Sequence

import numpy as np

from sleepkd.evaluation.scores.bootstrap import DRAWS
from sleepkd.evaluation.scores.comparison import compare
from sleepkd.evaluation.scores.metrics import batch_scores
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.summary import confusions_of, json_safe

# {class names: {row: {training seed: the nights it was tested on}}}
Results = dict[tuple[str, ...], dict[str, dict[int, list[NightPredictions]]]]

SCORES = ("weighted_f1", "kappa", "accuracy", "macro_f1")
ALL = "all"


def table_of(results: Results, baselines: Sequence[str], *, draws: int = DRAWS, seed: int = 0) -> dict:
    """Scores of all rows, JSON-safe: {number of classes: {classes, nights, subjects, sleep_epochs, rows: {row: …}}}.

    A row's entry holds its seeds, and for all nights and each standard
    - scores: {all | standard: {score: {mean, sd, by_seed}}} of the pooled sleep epochs, as published; mean and standard
      deviation (n - 1; None for one seed) over training seeds;
    - by_night: the same for the mean over nights;
    - gains: {baseline: {all | standard: {pooled | mean: {score: {value, low, high}}, relative, tests}}}: row minus
      baseline, paired by seed and night (`compare`); relative: the pooled gain of weighted F1 as a share of the
      baseline's.
    """
    table = {}
    for names, rows in results.items():
        nights = next(iter(next(iter(rows.values())).values()))
        table[len(names)] = {
            "classes": list(names),
            "nights": len(nights),
            "subjects": len({night.subject for night in nights}),
            "sleep_epochs": int(confusions_of(nights, len(names)).sum()),
            "rows": {row: _row(row, rows, baselines, names, draws, seed) for row in rows},
        }
    return json_safe(table)


def _row(
    row: str,
    rows: Mapping[str, Mapping[int, list[NightPredictions]]],
    baselines: Sequence[str],
    names: tuple[str, ...],
    draws: int,
    seed: int,
) -> dict:
    by_seed = rows[row]
    parts = [ALL, *sorted({night.standard for nights in by_seed.values() for night in nights})]
    return {
        "seeds": list(by_seed),
        "scores": {part: _over_seeds(_of(by_seed, part), names, pooled=True) for part in parts},
        "by_night": {part: _over_seeds(_of(by_seed, part), names, pooled=False) for part in parts},
        "gains": {
            baseline: {part: _gain(_of(rows[baseline], part), _of(by_seed, part), names, draws, seed) for part in parts}
            for baseline in baselines
            if baseline != row and baseline in rows and rows[baseline].keys() & by_seed.keys()
        },
    }


def _of(by_seed: Mapping[int, Sequence[NightPredictions]], standard: str) -> dict[int, list[NightPredictions]]:
    return {seed: [night for night in nights if standard in (ALL, night.standard)] for seed, nights in by_seed.items()}


def _over_seeds(by_seed: Mapping[int, Sequence[NightPredictions]], names: Sequence[str], pooled: bool) -> dict:
    found: dict[str, list[float]] = {score: [] for score in SCORES}
    for nights in by_seed.values():
        matrices = confusions_of(nights, len(names))
        scored = batch_scores(matrices.sum(0) if pooled else matrices)
        for score in SCORES:
            values = scored[score][~np.isnan(scored[score])]
            found[score].append(float(values.mean()) if values.size else float("nan"))
    return {
        score: {
            "mean": float(np.mean(values)),
            "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "by_seed": dict(zip(by_seed, values, strict=True)),
        }
        for score, values in found.items()
    }


def _gain(
    baseline: Mapping[int, Sequence[NightPredictions]],
    row: Mapping[int, Sequence[NightPredictions]],
    names: Sequence[str],
    draws: int,
    seed: int,
) -> dict:
    found = compare(baseline, row, names, draws=draws, seed=seed)
    both = {key: baseline[key] for key in baseline if key in row}
    reference = _over_seeds(both, names, pooled=True)["weighted_f1"]["mean"]
    difference = found["difference"]
    return {
        "pooled": {score: difference["pooled"][score] for score in SCORES},
        "mean": {score: difference["mean"][score] for score in SCORES},
        "relative": difference["pooled"]["weighted_f1"]["value"] / reference if reference else float("nan"),
        "tests": {score: found["tests"][score] for score in SCORES},
        "seeds": found["seeds"],
    }
