"""What sleep does to one sleeper's heart: the population's mean by stage, and how far this one is from it."""

from dataclasses import dataclass

import numpy as np

from sleepkd.simulation.population import Population

# By state W, N1, N2, S3, S4, REM. Heart rate over the night's median, and the standard deviations in ms of the high
# (breathing), low (0.04-0.15 Hz) and very low (0.007-0.04 Hz) frequency parts of the RR interval. They are set so that
# the simulated medians of RMSSD, LF/HF and VLF/(LF+HF) meet those of `../shared/data/autonomic_by_stage.json`
# (MIT-BIH Polysomnographic Database, ODC-BY 1.0); `benchmarks/simulation.py` measures them.
HEART_RATE = np.array([1.01, 0.985, 0.965, 0.965, 0.965, 1.006])
HF_MS = np.array([18.0, 34.0, 29.0, 24.0, 23.0, 21.0])
LF_MS = np.array([20.0, 33.0, 29.0, 23.5, 20.5, 16.5])
VLF_MS = np.array([23.0, 37.0, 29.0, 15.5, 13.5, 23.0])
# The spread of the breath-to-breath rate: regular in deep sleep, irregular in REM sleep and wake (Cabiddu et al. 2012,
# Front Physiol 3:45).
BREATH_SPREAD = np.array([0.15, 0.10, 0.06, 0.04, 0.03, 0.13])
# An arousal quickens the heart by some 12 % within 5 s and lets it rebound below the baseline (Sforza et al. 2000, Clin
# Neurophysiol 111:1611).
AROUSAL_GAIN = 0.12
# Beta blockers take away half of what the sympathetic side does; how much is a choice.
BLOCKED = 0.5


@dataclass(frozen=True)
class Autonomic:
    """The tables above as they are in one sleeper, (6,) each; arousal_gain: of heart rate at an arousal.

    surges: of heart rate per hour of REM sleep; pauses: slowings there (Guilleminault et al. 1984, N Engl J Med
    311:1006). Their rates are a choice.
    """

    heart_rate: tuple[float, ...]
    hf_ms: tuple[float, ...]
    lf_ms: tuple[float, ...]
    vlf_ms: tuple[float, ...]
    breath_spread: tuple[float, ...]
    arousal_gain: float
    surges: float
    pauses: float
    fibrillates: bool
    beta_blocker: bool


def draw_autonomic(rng: np.random.Generator, population: Population, age: float) -> Autonomic:
    """One sleeper's tables: each stage's effect around the population's, partly shared by all of sleep."""

    def around(table: np.ndarray, spread: float) -> np.ndarray:
        sleep, stages = rng.standard_normal(), rng.standard_normal(len(table))
        stages[4] = 0.8 * stages[3] + 0.6 * stages[4]  # S4 is much like S3
        asleep = np.arange(len(table)) > 0
        return table * np.exp(spread * (0.6 * sleep * asleep + 0.8 * stages))

    older = age > 55
    heart_rate = around(HEART_RATE, population.stage_heart_rate)
    tables = [
        around(table, spread)
        for table, spread in (
            (HF_MS, population.stage_hf),
            (LF_MS, population.stage_lf),
            (VLF_MS, population.stage_vlf),
            (BREATH_SPREAD, population.stage_breathing),
        )
    ]
    blocked = bool(rng.random() < population.beta_blocker_share * (3 if older else 0.5))
    gain = AROUSAL_GAIN * float(np.exp(0.35 * rng.standard_normal())) * (BLOCKED if blocked else 1)
    surges, pauses = rng.gamma(2.0, 5.0, 2)
    return Autonomic(
        tuple(1 + (BLOCKED if blocked else 1) * (heart_rate - 1)),
        *map(tuple, tables),
        arousal_gain=gain,
        surges=float(surges),
        pauses=float(pauses),
        fibrillates=bool(rng.random() < population.fibrillation_share * (4 if older else 0.2)),
        beta_blocker=blocked,
    )
