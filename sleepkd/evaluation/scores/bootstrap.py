"""Bootstrap confidence intervals over subjects, of the scores of a set of nights.

Subjects are drawn, each with all its recordings: nights of one person are correlated, and sleep epochs of one night
even more, so drawing nights or sleep epochs would give intervals that are too narrow. A draw is a vector of weights
over recordings, and every score a function of weighted sums of confusion matrices: no night is scored again.

The interval is Hesterberg's expanded percentile interval. The plain percentile interval is too narrow for the few
subjects of a test split; `benchmarks/evaluation.py` measures the coverage of both.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from sleepkd.evaluation.scores.metrics import SCALAR_SCORES, batch_scores

DRAWS = 10_000
LEVEL = 0.95


def resample_subjects(subjects: Sequence[str], draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Bootstrap draws of subjects, as weights of recordings.

    subjects: (R,), the subject of each recording. A draw takes as many subjects as there are, with replacement.
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
    "expanded percentile interval". NaN, NaN for fewer than two subjects.
    """
    drawn = drawn[~np.isnan(drawn)]
    if n_subjects < 2 or not drawn.size:
        return float("nan"), float("nan")
    z = np.sqrt(n_subjects / (n_subjects - 1)) * stats.t.ppf((1 + level) / 2, n_subjects - 1)
    low, high = np.quantile(drawn, stats.norm.cdf([-z, z]))
    return float(low), float(high)


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of values (R,), NaN left out, for each row of weights (B, R). Returns (B,); NaN where no value is left."""
    defined = ~np.isnan(values)
    total = weights @ defined
    out = np.full(len(weights), np.nan)
    return np.divide(weights @ np.where(defined, values, 0.0), total, out=out, where=total > 0)


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Median of values (R,), NaN left out, each repeated `weight` times, for each row of weights (B, R).

    weights: whole numbers. Returns (B,); NaN where no value is left; of an even number, the mean of the middle two.
    """
    order = np.argsort(values)[: int((~np.isnan(values)).sum())]  # NaN sorts last
    if not order.size:
        return np.full(len(weights), np.nan)
    ranked, cumulative = values[order], np.cumsum(weights[:, order], axis=1)
    total = cumulative[:, -1:]
    lower = (cumulative > (total - 1) // 2).argmax(axis=1)
    upper = (cumulative > total // 2).argmax(axis=1)
    return np.where(total[:, 0] > 0, (ranked[lower] + ranked[upper]) / 2, np.nan)


def pooled_scores(matrices: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of all sleep epochs pooled, per draw. matrices: (R, K, K); weights: (B, R). Returns arrays of (B, …)."""
    r, k, _ = matrices.shape
    return batch_scores((weights @ matrices.reshape(r, k * k).astype(np.float64)).reshape(-1, k, k))


def summary_statistics(matrices: np.ndarray, weights: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """{"mean" | "median" | "pooled": {score: (B,)}}: over recordings, and of all sleep epochs pooled, per draw."""
    by_recording, pooled = batch_scores(matrices), pooled_scores(matrices, weights)
    return {
        "mean": {score: weighted_mean(by_recording[score], weights) for score in SCALAR_SCORES},
        "median": {score: weighted_median(by_recording[score], weights) for score in SCALAR_SCORES},
        "pooled": {score: pooled[score] for score in SCALAR_SCORES},
    }


def attach_intervals(
    values: dict[str, dict[str, np.ndarray]], drawn: dict[str, dict[str, np.ndarray]], n_subjects: int
) -> dict[str, dict[str, dict[str, float]]]:
    """{statistic: {score: {value, low, high}}} from observed statistics, (1,) each, and their draws, (B,) each."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for statistic, by_score in values.items():
        found[statistic] = {}
        for score, value in by_score.items():
            low, high = expanded_interval(drawn[statistic][score], n_subjects)
            found[statistic][score] = {"value": float(value[0]), "low": low, "high": high}
    return found


def bootstrap_intervals(matrices: np.ndarray, subjects: Sequence[str], *, draws: int = DRAWS, seed: int = 0) -> dict:
    """Mean and median over recordings, and pooled value, of every score, each with its 95 % interval.

    matrices: (R, K, K) confusion matrices; subjects: (R,), the subject of each. Returns recordings and subjects (how
    many), and mean, median, pooled: {score: {value, low, high}}. The same seed gives the same numbers.
    """
    n_subjects = len(set(subjects))
    values = summary_statistics(matrices, np.ones((1, len(matrices))))
    drawn = summary_statistics(matrices, resample_subjects(subjects, draws, seed))
    return {"recordings": len(matrices), "subjects": n_subjects, **attach_intervals(values, drawn, n_subjects)}
