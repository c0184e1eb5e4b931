"""How sure a score is: bootstrap intervals over subjects, of the scores of a whole set of nights.

The unit that is drawn is the subject, with all recordings of that subject: nights of one person resemble each other,
and sleep epochs of one night even more, so drawing either would promise too much. Nothing is scored again per draw: a
draw is a vector of weights over recordings, and every score a function of weighted sums of confusion matrices.

The interval is Hesterberg's expanded percentile interval. The plain percentile interval is too narrow for the few
subjects of a test split; how often each covers the truth is measured by `benchmarks/evaluation.py`.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from sleepkd.evaluation.scores.metrics import SCALAR_SCORES, batch_scores

DRAWS = 10_000
LEVEL = 0.95


def resample_subjects(subjects: Sequence[str], draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Bootstrap draws of subjects, as weights of recordings.

    subjects: (R,) whose recording each is. Every draw takes as many subjects as there are, with replacement.
    Returns (draws, R) float64: how often the recording's subject was drawn.
    """
    _, of_subject = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    n = int(of_subject.max(initial=-1)) + 1
    drawn = np.random.default_rng(seed).integers(0, max(n, 1), size=(draws, n))
    slots = drawn + n * np.arange(draws)[:, None]
    weights = np.bincount(slots.ravel(), minlength=draws * n).reshape(draws, n)
    return weights[:, of_subject].astype(np.float64)


def expanded_interval(drawn: np.ndarray, n_subjects: int, level: float = LEVEL) -> tuple[float, float]:
    """Expanded percentile interval of a statistic from its bootstrap draws (undefined draws are left out).

    The percentiles are Φ(∓ sqrt(n / (n - 1)) t_{n-1}), t at (1 + level) / 2, in place of (1 ∓ level) / 2: Hesterberg,
    What Teachers Should Know About the Bootstrap, The American Statistician 69(4):371-386 (2015), arXiv 1411.5279,
    "expanded percentile interval". NaN, NaN for fewer than two subjects: one person says nothing about the next.
    """
    drawn = drawn[~np.isnan(drawn)]
    if n_subjects < 2 or not drawn.size:
        return float("nan"), float("nan")
    reach = np.sqrt(n_subjects / (n_subjects - 1)) * stats.t.ppf((1 + level) / 2, n_subjects - 1)
    low, high = np.quantile(drawn, stats.norm.cdf([-reach, reach]))
    return float(low), float(high)


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of values (R,), NaN left out, for each row of weights (B, R). Returns (B,); NaN where nothing is left."""
    defined = ~np.isnan(values)
    total = weights @ defined
    out = np.full(len(weights), np.nan)
    return np.divide(weights @ np.where(defined, values, 0.0), total, out=out, where=total > 0)


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Median of values (R,), NaN left out, each repeated as often as its whole-number weight says, for each row of
    weights (B, R). Returns (B,); NaN where nothing is left. As numpy.median: the mean of the two middle values."""
    order = np.argsort(values)[: int((~np.isnan(values)).sum())]  # NaN sorts last
    if not order.size:
        return np.full(len(weights), np.nan)
    ranked, upto = values[order], np.cumsum(weights[:, order], axis=1)
    total = upto[:, -1:]
    lower = (upto > (total - 1) // 2).argmax(axis=1)
    upper = (upto > total // 2).argmax(axis=1)
    return np.where(total[:, 0] > 0, (ranked[lower] + ranked[upper]) / 2, np.nan)


def pooled_scores(matrices: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of the sleep epochs of all recordings together. matrices: (R, K, K); weights: (B, R). Arrays of (B, …)."""
    r, k, _ = matrices.shape
    return batch_scores((weights @ matrices.reshape(r, k * k).astype(np.float64)).reshape(-1, k, k))


def summary_statistics(matrices: np.ndarray, weights: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """{"mean" | "median" | "pooled": {score: (B,)}}: over recordings, and of all sleep epochs together, per draw."""
    by_recording, pooled = batch_scores(matrices), pooled_scores(matrices, weights)
    return {
        "mean": {score: weighted_mean(by_recording[score], weights) for score in SCALAR_SCORES},
        "median": {score: weighted_median(by_recording[score], weights) for score in SCALAR_SCORES},
        "pooled": {score: pooled[score] for score in SCALAR_SCORES},
    }


def attach_intervals(
    values: dict[str, dict[str, np.ndarray]], drawn: dict[str, dict[str, np.ndarray]], n_subjects: int
) -> dict[str, dict[str, dict[str, float]]]:
    """{statistic: {score: {value, low, high}}} from the statistics as they are, (1,) each, and as drawn, (B,) each."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for statistic, by_score in values.items():
        found[statistic] = {}
        for score, value in by_score.items():
            low, high = expanded_interval(drawn[statistic][score], n_subjects)
            found[statistic][score] = {"value": float(value[0]), "low": low, "high": high}
    return found


def bootstrap_intervals(matrices: np.ndarray, subjects: Sequence[str], *, draws: int = DRAWS, seed: int = 0) -> dict:
    """Mean and median over recordings, and pooled value, of every score, each with its 95 % interval.

    matrices: (R, K, K) confusion matrices; subjects: (R,) whose they are. Returns recordings and subjects (how many),
    and mean, median, pooled: {score: {value, low, high}}. The same seed gives the same numbers.
    """
    n_subjects = len(set(subjects))
    values = summary_statistics(matrices, np.ones((1, len(matrices))))
    drawn = summary_statistics(matrices, resample_subjects(subjects, draws, seed))
    return {"recordings": len(matrices), "subjects": n_subjects, **attach_intervals(values, drawn, n_subjects)}
