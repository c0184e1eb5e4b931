"""Evaluation: coverage of the 95 % intervals, and seconds and memory of evaluating 200 stored nights.

    python -m benchmarks.evaluation coverage      # takes minutes
    python -m benchmarks.evaluation paired        # takes minutes
    python -m benchmarks.evaluation speed

Cohorts for `coverage` are simulated as confusion matrices: kappa differs between subjects (skewed: a few are staged
badly), nights of one subject are correlated, the shares of stages vary from night to night. The true value is that of a
cohort of 30,000 subjects drawn in the same way.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

# One core: this must come before numpy is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.errors import run_command
from sleepkd.evaluation.predictions import read_predictions, write_predictions
from sleepkd.evaluation.scores.bootstrap import (
    LEVEL,
    bootstrap_intervals,
    expanded_interval,
    resample_subjects,
    summary_statistics,
)
from sleepkd.evaluation.scores.comparison import paired_intervals
from sleepkd.evaluation.scores.night_predictions import NightPredictions

K = 4
STATISTICS = ("mean", "median", "pooled")
POPULATION = 30_000


def simulated_cohort(
    rng: np.random.Generator,
    subjects: int,
    most_recordings: int,
    models: int = 1,
    seed_effects: np.ndarray | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Confusion matrices (models, R, K, K) of the same nights by several models, and the subjects of the nights (R,).

    Model m is better than model 0 by about 0.1 nats m, by different amounts in different subjects. seed_effects
    (models,), nats, shift each model as a whole, as another training seed would.
    """
    of = np.repeat(np.arange(subjects), rng.integers(1, most_recordings + 1, size=subjects))
    skill = 1.9 - rng.gamma(2.0, 0.35, size=subjects)
    counts = rng.multinomial(900, rng.dirichlet([3.0, 13.75, 3.75, 4.5], size=len(of)))
    shared = rng.normal(scale=0.5, size=(len(of), K, K))
    night = skill[of] + 0.25 * rng.normal(size=len(of))
    gains = 0.1 * np.arange(models)[:, None] * (1 + 0.8 * rng.normal(size=(models, subjects)))
    if seed_effects is not None:
        gains = gains + seed_effects[:, None]
    matrices = np.empty((models, len(of), K, K), dtype=np.int64)
    for m in range(models):
        logits = shared.copy()
        logits[:, range(K), range(K)] += (night + gains[m, of])[:, None] + np.array([0.4, 0.3, -0.2, 0.0])
        shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        matrices[m] = rng.multinomial(counts.ravel(), shares.reshape(-1, K)).reshape(-1, K, K)
    return matrices, list(of.astype(str))


def coverage(
    subjects: int, most_recordings: int, cohorts: int, draws: int, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Share of simulated cohorts whose 95 % interval of kappa covers the truth, by statistic and interval."""
    rng = np.random.default_rng(seed)
    population = simulated_cohort(rng, POPULATION, most_recordings)[0][0]
    truth = summary_statistics(population, np.ones((1, len(population))))
    hits = {statistic: {"expanded": 0, "percentile": 0} for statistic in STATISTICS}
    for cohort in range(cohorts):
        (matrices,), of = simulated_cohort(rng, subjects, most_recordings)
        drawn = summary_statistics(matrices, resample_subjects(of, draws, seed=cohort))
        for statistic in STATISTICS:
            values, target = drawn[statistic]["kappa"], truth[statistic]["kappa"][0]
            plain = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            for method, (low, high) in (("expanded", expanded_interval(values, subjects)), ("percentile", plain)):
                hits[statistic][method] += low <= target <= high
    return {statistic: {method: n / cohorts for method, n in by.items()} for statistic, by in hits.items()}


def paired_coverage(
    subjects: int, seeds: int, seed_spread: float, cohorts: int, draws: int, seed: int = 0
) -> dict[str, float]:
    """Share of simulated cohorts whose interval covers the true paired difference in kappa of two models, by statistic.

    seed_spread: standard deviation of the effect of a training seed on either model, nats. The true difference is the
    mean over seeds.
    """
    rng = np.random.default_rng(seed)

    def pair(of_cohort: int, n: int, effects: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], list[str]]:
        # The same subjects and nights for every training seed: their generator starts again.
        (a, b), of = simulated_cohort(np.random.default_rng([seed, of_cohort]), n, 1, 2, effects)
        return (a, b), of

    halves = rng.normal(scale=seed_spread, size=(10 if seed_spread else 1, 2))
    populations = []
    for effects in (*halves, *-halves):
        matrices, of = pair(0, POPULATION // 4, effects)
        populations.append(paired_intervals([matrices], of, draws=1))
    truth = {name: np.mean([found[name]["kappa"]["value"] for found in populations]) for name in STATISTICS}
    hits = dict.fromkeys(STATISTICS, 0)
    for cohort in range(1, cohorts + 1):
        effects = rng.normal(scale=seed_spread, size=(seeds, 2))
        pairs = [pair(cohort, subjects, of_seed) for of_seed in effects]
        found = paired_intervals([matrices for matrices, _ in pairs], pairs[0][1] * seeds, draws=draws, seed=cohort)
        for name in STATISTICS:
            hits[name] += found[name]["kappa"]["low"] <= truth[name] <= found[name]["kappa"]["high"]
    return {name: n / cohorts for name, n in hits.items()}


def print_coverage(cohorts: int, draws: int) -> None:
    """Print the coverage of scores."""
    print(f"{cohorts} cohorts each, {draws} draws, kappa; coverage of 95 % intervals, in %\n")
    print("| subjects | recordings of each | mean | median | pooled | plain percentile: mean | median | pooled |")
    print("|---|---|---|---|---|---|---|---|")
    for subjects in (6, 10, 20, 40, 100):
        for most in (1, 3):
            found = coverage(subjects, most, cohorts, draws)
            shares = [found[name][method] for method in ("expanded", "percentile") for name in STATISTICS]
            print(f"| {subjects} | {'1' if most == 1 else f'1 to {most}'} | {_cells(shares)} |", flush=True)


def print_paired(cohorts: int, draws: int) -> None:
    """Print the coverage of paired differences."""
    print("| subjects | seeds | spread of a seed's effect, nats | mean difference | median difference | pooled |")
    print("|---|---|---|---|---|---|")
    for seeds, spread in ((1, 0.0), (3, 0.02), (3, 0.1), (5, 0.1)):
        found = paired_coverage(20, seeds, spread, cohorts, draws)
        print(f"| 20 | {seeds} | {spread} | {_cells(found[name] for name in STATISTICS)} |", flush=True)


def _cells(shares: Iterable[float]) -> str:
    return " | ".join(f"{100 * share:.1f}" for share in shares)


def stored_nights(n: int) -> list[NightPredictions]:
    """n random nights of about 8 h, two in five scored in 20-s sleep epochs."""
    rng = np.random.default_rng(0)
    nights = []
    for i in range(n):
        standard, seconds = ("rk", 20.0) if i % 5 < 2 else ("aasm", 30.0)
        epochs = int(8 * 3600 / seconds)
        labels = np.repeat(rng.integers(0, K, epochs), rng.integers(1, 40, epochs))[:epochs].astype(np.int8)
        logits = rng.normal(size=(epochs, K)) + rng.gamma(4, 0.4) * np.eye(K)[labels]
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        labels[rng.random(epochs) < 0.01] = -1
        nights.append(
            NightPredictions(
                recording=f"night{i:03d}",
                subject=f"subject{i:03d}",
                subset=f"SS{1 + i % 5}",
                standard=standard,
                onset_s=4.73 + seconds * np.arange(epochs),
                duration_s=np.full(epochs, seconds),
                labels=labels,
                probabilities=probabilities.astype(np.float32),
            )
        )
    return nights


def evaluate_stored(folder: Path, out: Path) -> None:
    """From stored predictions to report.html; prints the CPU seconds of each step."""
    last = time.process_time()

    def lap(what: str) -> None:
        nonlocal last
        print(f"| {what} | {time.process_time() - last:.2f} |", flush=True)
        last = time.process_time()

    import matplotlib.pyplot  # noqa: F401  before the steps that import it
    import yasa  # noqa: F401

    from sleepkd.evaluation.analysis import analyse
    from sleepkd.evaluation.model_figures import draw_model, draw_models
    from sleepkd.evaluation.pages.report import Provenance, write_report
    from sleepkd.evaluation.scores.summary import write_metrics

    lap("importing pandas, YASA, matplotlib")
    nights, class_names = read_predictions(folder)
    lap(f"reading {len(nights)} nights, {sum(map(len, nights)):,} sleep epochs")
    analysis = analyse("model", nights, class_names)
    lap("all scores, intervals, groups, calibration, sleep statistics")
    write_metrics(out / "metrics.json", analysis.metrics)
    lap("metrics.json")
    pictures = {"model": [*draw_model(analysis, out), *draw_models([analysis], out)]}
    lap(f"{len(pictures['model'])} figures")
    write_report(out / "report.html", "Stored nights", [analysis], pictures, Provenance())
    lap("report.html")


def print_speed(n: int) -> None:
    """Print seconds and peak memory of `evaluate_stored` in a process of its own, and of the bootstrap alone."""
    nights = stored_nights(n)
    matrices, subjects = np.array([night.confusion for night in nights]), [night.subject for night in nights]
    start = time.perf_counter()
    bootstrap_intervals(matrices, subjects)
    seconds = time.perf_counter() - start
    print(f"bootstrap, 10,000 draws, {n} nights, mean, median and pooled of 5 scores: {seconds:.2f} s\n")
    with tempfile.TemporaryDirectory() as folder:
        write_predictions(nights, Path(folder) / "predictions", CLASS_NAMES[K])
        print("| step | CPU seconds |\n|---|---|", flush=True)
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "benchmarks.evaluation", "stored", folder], check=True)
        seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"| total, with the start of Python | {used.ru_utime + used.ru_stime:.2f} |")
    peak = used.ru_maxrss / 1024  # KiB on Linux
    print(f"\n{seconds:.2f} s wall clock (load {os.getloadavg()[0]:.1f}); peak memory {peak:.0f} MiB")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.evaluation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("coverage", "paired", "speed", "stored"), help="measurement")
    parser.add_argument("folder", nargs="?", type=Path, help="folder with predictions/, of stored")
    parser.add_argument("--cohorts", type=int, default=1000, metavar="N", help="simulated cohorts; default: 1000")
    parser.add_argument("--draws", type=int, default=2000, metavar="N", help="bootstrap draws; default: 2000")
    parser.add_argument("--nights", type=int, default=200, metavar="N", help="stored nights of speed; default: 200")
    args = parser.parse_args(arguments)
    if args.what == "coverage":
        print_coverage(args.cohorts, args.draws)
    elif args.what == "paired":
        print_paired(args.cohorts, args.draws)
    elif args.what == "speed":
        print_speed(args.nights)
    else:
        evaluate_stored(args.folder / "predictions", args.folder / "out")


if __name__ == "__main__":
    run_command(main)
