"""Paired comparison of two models: differences B minus A with intervals and tests, by recording and training seed."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from sleepkd.errors import UserError
from sleepkd.evaluation.scores.bootstrap import (
    DRAWS,
    LEVEL,
    attach_intervals,
    pooled_scores,
    resample_subjects,
    weighted_mean,
    weighted_median,
)
from sleepkd.evaluation.scores.metrics import SCALAR_SCORES, batch_scores
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.summary import confusions_of

Statistics = dict[str, dict[str, np.ndarray]]


def match_nights(
    a: Sequence[NightPredictions], b: Sequence[NightPredictions]
) -> list[tuple[NightPredictions, NightPredictions]]:
    """Pair the nights of two sets by recording, in A's order, each reduced to the sleep epochs that both sets hold.

    (Networks whose input is 30 s leave out the first and last sleep epoch of an R&K night; whole-night networks do
    not.) Raises UserError where no recording is in both, or a recording's scored labels differ: the two sets were not
    evaluated on the same scoring (other classes, another store), so their difference is undefined.
    """
    of_b = {night.recording: night for night in b}
    pairs = [_common(night, of_b[night.recording]) for night in a if night.recording in of_b]
    if not pairs:
        raise UserError("nothing to compare: no recording occurs in both sets of predictions")
    for night_a, night_b in pairs:
        same = np.array_equal(night_a.labels, night_b.labels) and len(night_a)
        if night_a.n_classes != night_b.n_classes or not same:
            raise UserError(
                f"{night_a.recording}: the two sets hold different scored labels; compare models of the same number of "
                "classes, evaluated on the same store"
            )
    return pairs


def _common(a: NightPredictions, b: NightPredictions) -> tuple[NightPredictions, NightPredictions]:
    """Two predictions of a night, reduced to the sleep epochs with the same onset, to the millisecond."""
    if np.array_equal(a.onset_s, b.onset_s):
        return a, b
    _, in_a, in_b = np.intersect1d(np.rint(1000 * a.onset_s), np.rint(1000 * b.onset_s), return_indices=True)
    return a.take(in_a), b.take(in_b)


def compare(
    runs_a: Mapping[int, Sequence[NightPredictions]],
    runs_b: Mapping[int, Sequence[NightPredictions]],
    class_names: Sequence[str],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict:
    """Paired differences in score, B minus A, with bootstrap intervals and Wilcoxon signed-rank tests.

    Parameters
    ----------
    runs_a, runs_b
        The nights of each run by training seed (one run: {0: nights}); A and B are paired by seed, then by recording.
        Seeds and recordings that only one side has are left out and counted.
    class_names
        The K classes.
    draws, seed
        Of the bootstrap.

    Returns
    -------
    dict
        seeds, recordings, subjects, left_out; and

        - difference: {mean | median | pooled: {score: {value, low, high}}}, each computed within a seed and averaged
          over seeds: mean and median of the recordings' differences, difference of the pooled scores. The intervals are
          over subjects and, with several seeds, over seeds (`paired_intervals`); with one seed they do not cover other
          seeds.
        - tests: {score: {wilcoxon_p, better, worse, equal}}: two-sided Wilcoxon signed-rank p (scipy) over subjects,
          each with the mean difference of its recordings and seeds; how many recordings are better and worse, by the
          mean over seeds. NaN, and not counted, where no seed defines the score on both sides.
        - by_seed: {seed: {score: mean difference over recordings}}; by_recording: {recording: subject, and by score a,
          b, difference}, means over seeds.
        - confusion_difference: (K, K) confusion matrix of B minus that of A, summed over seeds.

    Raises
    ------
    UserError
        No seed is in both; and as `match_nights`.
    """
    seeds = [key for key in runs_a if key in runs_b]
    if not seeds:
        raise UserError(f"nothing to compare: A has seeds {sorted(map(str, runs_a))}, B {sorted(map(str, runs_b))}")
    pairs = {key: match_nights(runs_a[key], runs_b[key]) for key in seeds}
    k = len(class_names)
    matrices = {
        key: (confusions_of([a for a, _ in pairs[key]], k), confusions_of([b for _, b in pairs[key]], k))
        for key in seeds
    }
    nights = [night_a for key in seeds for night_a, _ in pairs[key]]
    subjects = [night.subject for night in nights]
    scored_a, scored_b = (batch_scores(np.concatenate([matrices[key][side] for key in seeds])) for side in (0, 1))
    recordings = list(dict.fromkeys(night.recording for night in nights))
    confusion_difference = sum(np.subtract(matrices[key][1], matrices[key][0]).sum(0) for key in seeds)
    return {
        "seeds": [str(key) for key in seeds],
        "recordings": len(recordings),
        "subjects": len(set(subjects)),
        "left_out": {
            "seeds": len(set(runs_a) ^ set(runs_b)),
            "recordings": sum(
                len({night.recording for night in runs_a[key]} ^ {night.recording for night in runs_b[key]})
                for key in seeds
            ),
        },
        "difference": paired_intervals([matrices[key] for key in seeds], subjects, draws=draws, seed=seed),
        "tests": {score: _tests(scored_b[score] - scored_a[score], nights) for score in SCALAR_SCORES},
        "by_seed": {
            str(key): {
                score: float(_one_seed(*matrices[key], np.ones((1, len(pairs[key]))))["mean"][score][0])
                for score in SCALAR_SCORES
            }
            for key in seeds
        },
        "by_recording": _by_recording(nights, scored_a, scored_b),
        "confusion_difference": confusion_difference,
    }


def paired_intervals(
    matrices: Sequence[tuple[np.ndarray, np.ndarray]],
    subjects: Sequence[str],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict:
    """Bootstrap intervals of paired differences, from confusion matrices: the `difference` of `compare`.

    matrices: per training seed (R, K, K) of A and of B, paired; subjects: the subject of each recording, seed after
    seed. Each bootstrap draw takes the same subjects in every seed.

    With S > 1 seeds, the interval over subjects is combined with that of the mean over seeds, ± t_{S-1} sd / sqrt(S),
    by the square root of the sum of squares on each side (Zou & Donner 2008, Statistics in Medicine 27:1693-1702,
    "MOVER"). sd² is the variance between seeds minus the part that sampling subjects contributes (from the draws), at
    least 0: the method of moments, as in a random-effects analysis of variance.
    """
    counts = [len(a) for a, _ in matrices]
    weights = np.split(resample_subjects(subjects, draws, seed), np.cumsum(counts)[:-1], axis=1)
    observed = [_one_seed(a, b, np.ones((1, len(a)))) for a, b in matrices]
    drawn = [_one_seed(a, b, part) for (a, b), part in zip(matrices, weights, strict=True)]
    differences = attach_intervals(_over_seeds(observed), _over_seeds(drawn), len(set(subjects)))
    if len(matrices) == 1:
        return differences
    for statistic, by_score in differences.items():
        for score, entry in by_score.items():
            found, sampled = (np.stack([of[statistic][score] for of in by_seed]) for by_seed in (observed, drawn))
            reach = _seed_half_width(found[:, 0], sampled)
            entry["low"] = entry["value"] - float(np.hypot(entry["value"] - entry["low"], reach))
            entry["high"] = entry["value"] + float(np.hypot(entry["high"] - entry["value"], reach))
    return differences


def _seed_half_width(found: np.ndarray, drawn: np.ndarray) -> float:
    """Half width of the interval of the mean over seeds. found: (S,), one statistic; drawn: (S, B), its draws."""
    n = len(found)
    by_sampling = np.nanvar(drawn - drawn.mean(axis=0), axis=1).sum() / (n - 1)
    variance = max(float(np.var(found, ddof=1) - by_sampling), 0.0)
    return float(stats.t.ppf((1 + LEVEL) / 2, n - 1) * np.sqrt(variance / n))


def _one_seed(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> Statistics:
    """The statistics of B minus A within one seed, per draw. a, b: (R, K, K); weights: (B, R)."""
    scored_a, scored_b = batch_scores(a), batch_scores(b)
    pooled_a, pooled_b = pooled_scores(a, weights), pooled_scores(b, weights)
    difference = {score: scored_b[score] - scored_a[score] for score in SCALAR_SCORES}
    return {
        "mean": {score: weighted_mean(values, weights) for score, values in difference.items()},
        "median": {score: weighted_median(values, weights) for score, values in difference.items()},
        "pooled": {score: pooled_b[score] - pooled_a[score] for score in SCALAR_SCORES},
    }


def _over_seeds(by_seed: Sequence[Statistics]) -> Statistics:
    """Mean over seeds of each statistic, per draw."""
    return {
        statistic: {score: np.mean([of[statistic][score] for of in by_seed], axis=0) for score in by_score}
        for statistic, by_score in by_seed[0].items()
    }


def _tests(difference: np.ndarray, nights: Sequence[NightPredictions]) -> dict:
    """Wilcoxon over subjects and counts over recordings. difference: one value per entry of nights (all seeds)."""
    of_recording = _means_by([night.recording for night in nights], difference)
    of_subject = _means_by([night.subject for night in nights], difference)
    if not of_subject.size:
        p = float("nan")
    elif not of_subject.any():
        p = 1.0  # as scipy, without its warning
    else:
        p = float(stats.wilcoxon(of_subject).pvalue)
    return {
        "wilcoxon_p": p,
        "better": int((of_recording > 0).sum()),
        "worse": int((of_recording < 0).sum()),
        "equal": int((of_recording == 0).sum()),
    }


def _means_by(keys: Sequence[str], values: np.ndarray) -> np.ndarray:
    """Mean of the defined values of each key; keys without a defined value are left out."""
    _, index = np.unique(np.asarray(keys, dtype=str), return_inverse=True)
    defined = ~np.isnan(values)
    counts = np.bincount(index[defined], minlength=index.max() + 1)
    sums = np.bincount(index[defined], weights=values[defined], minlength=index.max() + 1)
    return sums[counts > 0] / counts[counts > 0]


def _by_recording(
    nights: Sequence[NightPredictions], scored_a: Mapping[str, np.ndarray], scored_b: Mapping[str, np.ndarray]
) -> dict[str, dict]:
    """{recording: {subject, score: {a, b, difference}}}, means over seeds."""
    entries: dict[str, list[int]] = {}
    for i, night in enumerate(nights):
        entries.setdefault(night.recording, []).append(i)
    paired: dict[str, dict] = {}
    for recording, indices in entries.items():
        paired[recording] = {"subject": nights[indices[0]].subject}
        for score in SCALAR_SCORES:
            a, b = (float(np.mean(side[score][indices])) for side in (scored_a, scored_b))
            paired[recording][score] = {"a": a, "b": b, "difference": b - a}
    return paired
