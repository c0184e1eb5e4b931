"""Autonomic effects of sleep on heart rate: tables by sleep stage for healthy sleepers and for sleepers with apnea."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sleepkd.simulation.population import Population

HEALTHY, APNEA = "healthy", "apnea"
TABLES = Path(__file__).with_name("autonomic_tables.json")
"""Written by `python -m benchmarks.simulation_fit`, which fits it to `../shared/data/heart_by_stage.json`."""
STAGE_OF_STATE = np.array([0, 1, 2, 3, 3, 4])
"""The column of the tables (W, N1, N2, N3, REM) for each state W, N1, N2, S3, S4, REM."""

# Standard deviation of the logarithm of the breathing rate from breath to breath: low in deep sleep, high in REM sleep
# and wake (Cabiddu et al. 2012, Front Physiol 3:45).
BREATH_SPREAD = np.array([0.15, 0.10, 0.06, 0.04, 0.03, 0.13])
# Beta blockers halve the effects of sleep stages and arousals on heart rate; the factor is a choice.
BETA_BLOCKER_FACTOR = 0.5


@dataclass(frozen=True)
class AutonomicEffects:
    """One group's effects on the logarithm of heart rate: mean and spread (standard deviation) over its sleepers.

    By sleep stage W, N1, N2, N3, REM (5,) each. The spread of `level` adds to the mean; that of the others is of the
    logarithm.
    level: relative to the night's median.
    gain: the rise at an arousal, a movement, or a surge in REM sleep.
    fast, slow: standard deviations of the fluctuations at 0.008 to 0.04 Hz, and of those that last minutes.
    hf, lf: standard deviations, in ms of the RR interval at 60 beats per minute, of the part by breathing, and of the
    fluctuations at 0.04 to 0.12 Hz. Both are tuned by hand, not fitted, as a watch averages them out. Healthy: power of
    `nsr2db` (ODC-By 1.0), LF/HF of Vanoli et al. 1995 (Circulation 91:1918). Apnea: RMSSD of `slpdb` (ODC-By 1.0).

    One number each: waking, the rise at an awakening. trend: per hour, its spread adds. heart_rate: the median of
    the night in beats per minute, its spread adds.
    """

    level: tuple[float, ...]
    level_spread: tuple[float, ...]
    gain: tuple[float, ...]
    gain_spread: tuple[float, ...]
    fast: tuple[float, ...]
    fast_spread: tuple[float, ...]
    slow: tuple[float, ...]
    slow_spread: float
    hf: tuple[float, ...]
    lf: tuple[float, ...]
    waking: float
    waking_spread: float
    trend: float
    trend_spread: float
    heart_rate: float
    heart_rate_spread: float


def read_effects(path: Path = TABLES) -> dict[str, AutonomicEffects]:
    """The effects of both groups, `HEALTHY` and `APNEA`, from a file that `write_effects` wrote."""
    groups: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    effects = {}
    for name, group in groups.items():
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in group.items()}
        effects[name] = AutonomicEffects(**values)
    return effects


def write_effects(effects: dict[str, AutonomicEffects], path: Path = TABLES) -> None:
    """Write the effects of both groups as JSON, rounded to four digits after the point."""

    def rounded(value: float | tuple[float, ...]) -> float | list[float]:
        return [round(x, 4) for x in value] if isinstance(value, tuple) else round(value, 4)

    rows = {
        name: ",\n".join(f"  {json.dumps(k)}: {json.dumps(rounded(v))}" for k, v in asdict(group).items())
        for name, group in effects.items()
    }
    groups = ",\n".join(f" {json.dumps(name)}: {{\n{text}\n }}" for name, text in rows.items())
    path.write_text(f"{{\n{groups}\n}}\n", encoding="utf-8")


EFFECTS = read_effects()
"""The effects of both groups that subjects are drawn from."""


@dataclass(frozen=True)
class AutonomicTraits:
    """One subject's values of the tables, by state (6,) each, and the autonomic traits without a table.

    level, gain, fast, slow, hf, lf, waking, trend: as in `AutonomicEffects`. breath_spread: irregularity of breathing.
    rem_surges, rem_pauses: accelerations and slowings of heart rate per hour of REM sleep (Guilleminault et al. 1984,
    N Engl J Med 311:1006); their rates are a choice.
    """

    level: tuple[float, ...]
    gain: tuple[float, ...]
    fast: tuple[float, ...]
    slow: tuple[float, ...]
    hf: tuple[float, ...]
    lf: tuple[float, ...]
    breath_spread: tuple[float, ...]
    waking: float
    trend: float
    rem_surges: float
    rem_pauses: float
    atrial_fibrillation: bool
    beta_blocker: bool


def draw_autonomic(rng: np.random.Generator, population: Population, age: float, apneic: bool) -> AutonomicTraits:
    """Draw one subject's autonomic traits from the tables of its group; `age` in years.

    Factors are log-normal; the sleep stages share part of each. `population.stage_effects` multiplies the spreads.
    """
    effects = EFFECTS[APNEA if apneic else HEALTHY]
    strength = population.stage_effects

    def stages() -> np.ndarray:
        return np.asarray(0.6 * rng.standard_normal() + 0.8 * rng.standard_normal(5))

    def factors(spread: tuple[float, ...] | float) -> np.ndarray:
        return np.asarray(np.exp(strength * np.array(spread) * stages()))

    def by_state(table: np.ndarray) -> tuple[float, ...]:
        return tuple(float(value) for value in table[STAGE_OF_STATE])

    def vary(table: np.ndarray, spread: float) -> tuple[float, ...]:
        return tuple(float(value) for value in table * np.exp(spread * stages()[STAGE_OF_STATE]))

    older = age > 55
    beta_blocker = bool(rng.random() < population.beta_blocker_share * (3 if older else 0.5))
    factor = BETA_BLOCKER_FACTOR if beta_blocker else 1.0
    level = np.array(effects.level) + strength * np.array(effects.level_spread) * rng.standard_normal(5)
    waking = effects.waking * float(np.exp(strength * effects.waking_spread * rng.standard_normal()))
    surges, pauses = rng.gamma(4.0, 2.5, 2)
    return AutonomicTraits(
        level=by_state(factor * level),
        gain=by_state(factor * np.array(effects.gain) * factors(effects.gain_spread)),
        fast=by_state(np.array(effects.fast) * factors(effects.fast_spread)),
        slow=by_state(np.array(effects.slow) * factors(effects.slow_spread)),
        hf=vary(np.array(effects.hf)[STAGE_OF_STATE], population.stage_hf),
        lf=vary(np.array(effects.lf)[STAGE_OF_STATE], population.stage_hf),
        breath_spread=vary(BREATH_SPREAD, population.stage_breathing),
        waking=factor * waking,
        trend=effects.trend + population.night_trend * effects.trend_spread * rng.standard_normal(),
        rem_surges=float(surges),
        rem_pauses=float(pauses),
        atrial_fibrillation=bool(rng.random() < population.fibrillation_share * (4 if older else 0.2)),
        beta_blocker=beta_blocker,
    )
