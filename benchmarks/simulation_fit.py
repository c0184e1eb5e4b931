"""Fit the autonomic tables of simulated sleepers to real nights, and compare simulated with real heart rate.

    python -m benchmarks.simulation_fit --fit --cross-check stores/sleep_accel stores/slpdb --write docs/simulation.md

`--fit` fits `sleepkd/simulation/autonomic_tables.json` to `../shared/data/heart_by_stage.json`: healthy sleepers as a
watch gives them to `sleep_accel`, sleepers with apnea as heartbeats to `slpdb`. Each parameter follows one quantity.
Without `--fit` the tables stay. `--cross-check` fits each half of the real sleepers of two prepared stores alone, and
compares with the other half. `--write` replaces the table between the two marks in a document.
"""

import argparse
import json
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.simulation_heart_rate import (
    PERCENTILES,
    STAGES,
    percentiles,
    plan,
    real_quantities,
    simulated_quantities,
)
from sleepkd.simulation.autonomic import APNEA, EFFECTS, HEALTHY, AutonomicEffects, write_effects

FACTS = Path(__file__).parents[2] / "shared" / "data" / "heart_by_stage.json"
COHORTS = {HEALTHY: "sleep_accel_22_healthy_watch_5s", APNEA: "slpdb_12_mostly_apnea_beats"}
HOURS = {HEALTHY: 8.0, APNEA: 5.0}
"""Length of a night: about that of the real ones."""
BEGIN, END = "<!-- heart rate -->", "<!-- end of heart rate -->"
FIT_SEED, CHECK_SEED = 11, 12
FIT_NIGHTS, CHECK_NIGHTS, ROUNDS = 120, 120, 6
SLOWEST_STEP, SPREAD_STEP = 0.25, 0.4
LARGEST_SPREAD, LARGEST_GAIN = 0.7, 0.6
SMALLEST, SLOWEST = 0.004, 0.1
SMALLEST_GAIN = 0.03
"""Fluctuations could stand for arousals in all quantities, but heart rate rises at an arousal in every sleep stage."""
GAIN_BY_HAND = {HEALTHY: ("N2", "N3", "R"), APNEA: ()}
"""Sleep stages whose gain at arousals the fit leaves alone. It is set by hand, such that heart rate is as skewed as on
`sleep_accel`; there the fluctuations that last minutes follow the standard deviation."""
SPREAD_TOLERANCE = 1 / 3

Facts = Mapping[str, np.ndarray]
"""Quantity: its 10th, 25th, 50th, 75th and 90th percentile over nights (5,)."""
Effects = dict[str, AutonomicEffects]


def main() -> None:
    """Fit the tables, cross-check the fit, and print or write the comparison with real nights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="fit the tables anew, starting from the present ones")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="COUNT", help=f"of the fit (default: {ROUNDS})")
    parser.add_argument(
        "--cross-check", type=Path, nargs=2, metavar="STORE", help="prepared stores of sleep_accel and of slpdb"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="PROCESSES", help="parallel processes (default: 1)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="document whose table is replaced")
    options = parser.parse_args()
    facts = published_facts()
    with ProcessPoolExecutor(options.jobs) as pool:
        effects = dict(EFFECTS)
        if options.fit:
            effects = fit(pool, facts, effects, options.rounds)
            write_effects(effects)
        measured = {group: measure(pool, effects, group, CHECK_SEED, CHECK_NIGHTS) for group in COHORTS}
        lines = comparison_table(facts, measured)
        if options.cross_check:
            lines += ["", *cross_check(pool, options.cross_check, effects, options.rounds)]
    print("\n".join(lines))
    if options.write:
        before, rest = options.write.read_text().split(BEGIN)
        options.write.write_text("\n".join([f"{before}{BEGIN}", *lines, f"{END}{rest.split(END)[1]}"]))


def published_facts() -> dict[str, Facts]:
    """The facts of both groups, from `heart_by_stage.json`."""
    cohorts = json.loads(FACTS.read_text(encoding="utf-8"))
    return {
        group: {name: np.array([row[f"p{p}"] for p in PERCENTILES]) for name, row in cohorts[cohort].items()}
        for group, cohort in COHORTS.items()
    }


def measure(pool: ProcessPoolExecutor, effects: Effects, group: str, seed: int, nights: int) -> Facts:
    """The percentiles of simulated nights of one group."""
    night = partial(_night, effects, group, seed)
    return percentiles(pool.map(night, plan(nights, seed), chunksize=4))


def _night(effects: Effects, group: str, seed: int, planned: tuple[int, str]) -> dict[str, float]:
    EFFECTS.update(effects)  # in a worker process
    return simulated_quantities(seed, *planned, hours=HOURS[group], apneic=group == APNEA)


# ---- fit -------------------------------------------------------------------------------------------------------------


def fit(pool: ProcessPoolExecutor, facts: Mapping[str, Facts], effects: Effects, rounds: int) -> Effects:
    """The tables of both groups after so many rounds: each moves every parameter towards its quantity's target."""
    for k in range(rounds):
        step = max(SLOWEST_STEP, 0.7 / (1 + k))
        for group in facts:
            found = measure(pool, effects, group, FIT_SEED, FIT_NIGHTS)
            effects = effects | {group: moved(effects[group], facts[group], found, step, GAIN_BY_HAND[group])}
    return effects


def moved(
    effects: AutonomicEffects, target: Facts, found: Facts, step: float, by_hand: tuple[str, ...]
) -> AutonomicEffects:
    """The effects of one group after a step towards the target percentiles, from those found with them."""

    def ratio(name: str) -> float:
        return float(np.clip(target[name][2] / found[name][2], 0.5, 2)) ** step

    def spread_ratio(name: str, relative: bool) -> float:
        wide, now = (facts[name][4] - facts[name][0] for facts in (target, found))
        if relative:
            wide, now = wide / target[name][2], now / found[name][2]
        return float(np.clip(wide / max(now, 1e-9), 0.5, 2)) ** (SPREAD_STEP * step)

    def by_stage(
        values: tuple[float, ...], quantity: str, update: str, smallest: float = SMALLEST
    ) -> tuple[float, ...]:
        new = []
        for stage, value in zip(STAGES, values, strict=True):
            name = f"{stage}.{quantity}"
            if name not in target or name not in found:
                new.append(value)
            elif update == "add":
                # Levels in REM sleep are skewed over sleepers: the middle of the quartiles is nearer to their mean.
                middle = (target[name][1] + target[name][3]) / 2
                new.append(value + step * 0.8 * float(middle - found[name][2]))
            elif update == "follow":
                change = float(np.clip(target[name][2] - found[name][2], -0.3, 0.3))
                new.append(float(np.clip(value * np.exp(1.2 * step * change), SMALLEST, SLOWEST)))
            elif update == "multiply":
                new.append(float(np.clip(value * ratio(name), smallest, LARGEST_GAIN)))
            else:
                spread = value * spread_ratio(name, relative=update == "relative spread")
                new.append(float(np.clip(spread, SMALLEST, LARGEST_SPREAD)))
        return tuple(new)

    sd = "sd_without_30min_mean"
    gain = by_stage(effects.gain, sd, "multiply", SMALLEST_GAIN)
    slow, wide = by_stage(effects.slow, "autocorrelation_60s", "follow"), by_stage(effects.slow, sd, "multiply")
    hand = [stage in by_hand for stage in STAGES]
    slope, rate, rise = "slope_per_hour_in_N2_N3", "median_heart_rate", "rise_at_waking"
    # Levels are relative to the night's median, which arousals raise: it shall be the heart rate that was drawn.
    offset = step * float(np.log(found["resting_heart_rate"][2] / found[rate][2]))
    return replace(
        effects,
        level=tuple(value + offset for value in by_stage(effects.level, "level", "add")),
        level_spread=by_stage(effects.level_spread, "level", "spread"),
        gain=tuple(old if fixed else new for fixed, old, new in zip(hand, effects.gain, gain, strict=True)),
        gain_spread=by_stage(effects.gain_spread, sd, "relative spread"),
        fast=by_stage(effects.fast, "step_5s", "multiply"),
        fast_spread=by_stage(effects.fast_spread, "step_5s", "relative spread"),
        slow=tuple(y if fixed else x for fixed, x, y in zip(hand, slow, wide, strict=True)),
        waking=min(effects.waking * ratio(rise), LARGEST_GAIN),
        waking_spread=min(effects.waking_spread * spread_ratio(rise, relative=True), LARGEST_SPREAD),
        trend=effects.trend + step * float(target[slope][2] - found[slope][2]),
        trend_spread=effects.trend_spread * spread_ratio(slope, relative=False),
        heart_rate=float(target[rate][2]),
        heart_rate_spread=effects.heart_rate_spread * spread_ratio(rate, relative=False),
    )


# ---- comparison ------------------------------------------------------------------------------------------------------


def agreement(real: Facts, simulated: Facts) -> tuple[int, int, int]:
    """Of the quantities in both: simulated medians within the real quartiles, spreads within a third, and all."""
    names = [name for name in real if name in simulated]
    inside = sum(median_inside(real[name], simulated[name]) for name in names)
    return inside, sum(spread_agrees(real[name], simulated[name]) for name in names), len(names)


def median_inside(real: np.ndarray, simulated: np.ndarray) -> bool:
    """Whether the simulated median lies within the real quartiles."""
    return bool(real[1] <= simulated[2] <= real[3])


def spread_agrees(real: np.ndarray, simulated: np.ndarray) -> bool:
    """Whether the 10th and 90th percentile lie as far apart as the real ones, within a third."""
    wide, expected = simulated[4] - simulated[0], real[4] - real[0]
    return bool(abs(wide - expected) <= SPREAD_TOLERANCE * expected)


def comparison_table(facts: Mapping[str, Facts], measured: Mapping[str, Facts]) -> list[str]:
    """The lines of a Markdown table: real and simulated percentiles of every quantity in both groups."""
    head = " | ".join(f"{group}: real | simulated" for group in facts)
    lines = [f"| quantity: median (10th to 90th percentile) | {head} |", "|---|---|---|---|---|"]
    names = sorted({name for group in facts for name in facts[group]}, key=list(facts[HEALTHY]).index)
    for name in names:
        cells = []
        for group in facts:
            real, simulated = facts[group].get(name), measured[group].get(name)
            outside = real is not None and simulated is not None and not median_inside(real, simulated)
            wide = real is not None and simulated is not None and not spread_agrees(real, simulated)
            cells += [_cell(real), _cell(simulated) + " †" * outside + " ‡" * wide]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    inside = []
    for group in facts:
        medians, spreads, count = agreement(facts[group], measured[group])
        inside.append(
            f"{group}: {medians} of {count} medians within the real quartiles, {spreads} spreads within a third"
        )
    return [*lines, "", f"† outside the real quartiles; ‡ spread off by more than a third. {'; '.join(inside)}."]


def _cell(values: np.ndarray | None) -> str:
    if values is None:
        return ""
    digits = 1 if values[2] > 2 else 3
    return f"{values[2]:.{digits}f} ({values[0]:.{digits}f} to {values[4]:.{digits}f})"


def cross_check(pool: ProcessPoolExecutor, stores: list[Path], effects: Effects, rounds: int) -> list[str]:
    """The lines of a Markdown table: tables fitted to one half of the sleepers, against each half."""
    lines = [
        "| fitted to | compared with | healthy: medians within quartiles | spreads within a third | apnea: medians | "
        "spreads |",
        "|---|---|---|---|---|---|",
    ]
    halves = [
        {group: percentiles(_half(store, k)) for group, store in zip(COHORTS, stores, strict=True)} for k in (0, 1)
    ]
    for k, facts in enumerate(halves):
        fitted = fit(pool, facts, effects, rounds)
        measured = {group: measure(pool, fitted, group, CHECK_SEED, CHECK_NIGHTS) for group in COHORTS}
        for other, name in ((k, "itself"), (1 - k, "the other half")):
            cells = []
            for group in COHORTS:
                medians, spreads, count = agreement(halves[other][group], measured[group])
                cells += [f"{medians} of {count}", f"{spreads} of {count}"]
            lines.append(f"| half {k + 1} | {name} | {' | '.join(cells)} |")
    real = []
    for group in COHORTS:
        medians, spreads, count = agreement(halves[0][group], halves[1][group])
        real += [f"{medians} of {count}", f"{spreads} of {count}"]
    return [*lines, f"| (real half 2) | real half 1 | {' | '.join(real)} |"]


def _half(store: Path, k: int) -> list[dict[str, float]]:
    """The quantities of every second sleeper; slpdb's two records of one person, ...a and ...b, stay together."""
    nights = real_quantities(store)
    subjects = sorted({name.rstrip("ab") for name in nights})
    return [night for name, night in nights.items() if subjects.index(name.rstrip("ab")) % 2 == k]


if __name__ == "__main__":
    main()
