"""Autonomic effects of sleep on heart rate and its variability: population means by sleep stage, drawn per subject."""

from dataclasses import dataclass

import numpy as np

from sleepkd.simulation.population import Population

# By state W, N1, N2, S3, S4, REM. Heart rate relative to the night's median, and the standard deviations in ms of the
# high (breathing), low (0.04-0.15 Hz) and very low (0.007-0.04 Hz) frequency parts of the RR interval. They are tuned
# until the simulated medians of RMSSD, LF/HF and VLF/(LF+HF) match those of `../shared/data/autonomic_by_stage.json`
# (MIT-BIH Polysomnographic Database, ODC-BY 1.0), as `benchmarks/simulation.py` measures them.
HEART_RATE = np.array([1.01, 0.985, 0.965, 0.965, 0.965, 1.006])
HF_MS = np.array([18.0, 34.0, 29.0, 24.0, 23.0, 21.0])
LF_MS = np.array([20.0, 33.0, 29.0, 23.5, 20.5, 16.5])
VLF_MS = np.array([23.0, 37.0, 29.0, 15.5, 13.5, 23.0])
# Standard deviation of the logarithm of the breathing rate from breath to breath: low in deep sleep, high in REM sleep
# and wake (Cabiddu et al. 2012, Front Physiol 3:45).
BREATH_SPREAD = np.array([0.15, 0.10, 0.06, 0.04, 0.03, 0.13])
# An arousal raises heart rate by some 12 % within 5 s; a rebound below the baseline follows (Sforza et al. 2000, Clin
# Neurophysiol 111:1611).
HEART_RATE_RESPONSE = 0.12
# Beta blockers halve the effects of sleep stages and arousals on heart rate; the factor is a choice.
BETA_BLOCKER_FACTOR = 0.5


@dataclass(frozen=True)
class AutonomicTraits:
    """One subject's values of the tables above, by state (6,) each, and the autonomic traits without a table.

    heart_rate: relative to the night's median. hf_ms, lf_ms, vlf_ms: standard deviations of the RR interval in ms.
    arousal_gain: relative rise of heart rate at an arousal.
    rem_surges, rem_pauses: accelerations and slowings of heart rate per hour of REM sleep (Guilleminault et al. 1984,
    N Engl J Med 311:1006); their rates are a choice.
    """

    heart_rate: tuple[float, ...]
    hf_ms: tuple[float, ...]
    lf_ms: tuple[float, ...]
    vlf_ms: tuple[float, ...]
    breath_spread: tuple[float, ...]
    arousal_gain: float
    rem_surges: float
    rem_pauses: float
    atrial_fibrillation: bool
    beta_blocker: bool


def draw_autonomic(rng: np.random.Generator, population: Population, age: float) -> AutonomicTraits:
    """Draw one subject's autonomic traits; `age` in years.

    Each entry of a table is the population's mean times a log-normal factor, which the sleep stages partly share.
    """

    def vary(table: np.ndarray, spread: float) -> np.ndarray:
        sleep, stages = rng.standard_normal(), rng.standard_normal(len(table))
        stages[4] = 0.8 * stages[3] + 0.6 * stages[4]  # S4 resembles S3
        asleep = np.arange(len(table)) > 0
        return table * np.exp(spread * (0.6 * sleep * asleep + 0.8 * stages))

    older = age > 55
    heart_rate = vary(HEART_RATE, population.stage_heart_rate)
    hf_ms, lf_ms, vlf_ms, breath_spread = (
        tuple(vary(table, spread))
        for table, spread in (
            (HF_MS, population.stage_hf),
            (LF_MS, population.stage_lf),
            (VLF_MS, population.stage_vlf),
            (BREATH_SPREAD, population.stage_breathing),
        )
    )
    beta_blocker = bool(rng.random() < population.beta_blocker_share * (3 if older else 0.5))
    factor = BETA_BLOCKER_FACTOR if beta_blocker else 1
    arousal_gain = HEART_RATE_RESPONSE * float(np.exp(0.35 * rng.standard_normal())) * factor
    surges, pauses = rng.gamma(2.0, 5.0, 2)
    return AutonomicTraits(
        heart_rate=tuple(1 + factor * (heart_rate - 1)),
        hf_ms=hf_ms,
        lf_ms=lf_ms,
        vlf_ms=vlf_ms,
        breath_spread=breath_spread,
        arousal_gain=arousal_gain,
        rem_surges=float(surges),
        rem_pauses=float(pauses),
        atrial_fibrillation=bool(rng.random() < population.fibrillation_share * (4 if older else 0.2)),
        beta_blocker=beta_blocker,
    )
