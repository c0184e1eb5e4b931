"""A simulated subject: demographic, cardiac and EEG traits, drawn once and constant over the night."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sleepkd.simulation.autonomic import APNEA, EFFECTS, HEALTHY, AutonomicTraits, draw_autonomic
from sleepkd.simulation.noise import generator
from sleepkd.simulation.population import Population

# Age in years by subset of MASS: mean, standard deviation, lowest, highest. After O'Reilly et al. 2014 (J Sleep Res
# 23:628): 18 to 76 years in all, SS1 the oldest subjects, SS2 and SS4 young adults.
AGE_BY_SUBSET = {
    "SS1": (63.6, 5.3, 55, 76),
    "SS2": (23.6, 3.7, 18, 33),
    "SS3": (42.5, 18.9, 20, 69),
    "SS4": (25.3, 4.3, 18, 35),
    "SS5": (30.0, 8.0, 20, 59),
}
# Time in deep and in REM sleep, length of awakenings and fragmentation of sleep, and their spread over sleepers
# (standard deviation of the logarithm), of healthy sleepers and of those with apnea: tuned until the shares of sleep
# stages are those of `sleep_accel` and of `slpdb` in `../shared/data/heart_by_stage.json`.
ARCHITECTURE = {
    HEALTHY: {"deep": (1.0, 0.45), "rem": (0.97, 0.3), "wake": (0.85, 0.45), "fragmentation": (1.0, 0.25)},
    APNEA: {"deep": (0.09, 1.2), "rem": (0.45, 0.8), "wake": (4.5, 0.4), "fragmentation": (1.8, 0.5)},
}


@dataclass(frozen=True)
class Subject:
    """Traits of one subject. Gains are factors around 1; rates are per hour unless stated otherwise."""

    age: float  # years
    sex: Literal["F", "M"]
    fitness: float  # z-score
    apnea_index: float  # apneas per hour of sleep
    apnea_arousal: float  # fraction of apneas that end in an arousal
    limb_movements: float  # periodic limb movements per hour of sleep
    autonomic: AutonomicTraits
    resting_heart_rate: float  # beats per minute, the median of the night
    hrv_gain: float
    respiratory_rate: float  # breaths per minute
    ectopic_rate: float  # ectopic beats
    ecg_polarity: int  # +1 | -1
    ecg_amplitude: float  # R wave, mV
    ecg_shape: tuple[float, ...]  # logarithms of the gains of the P, Q, R, S and T wave
    cycle_minutes: float  # length of a NREM-REM cycle
    sleep_latency_minutes: float
    deep_gain: float  # time in deep sleep
    rem_gain: float  # time in REM sleep
    wake_gain: float  # length of awakenings
    fragmentation: float  # gain of awakenings and transitions to lighter sleep
    arousal_rate: float
    eeg_gain: float
    slow_wave_gain: float
    alpha_frequency: float  # Hz
    alpha_gain: float
    spindle_frequency: float  # Hz
    spindle_gain: float
    spindle_rate: float  # per minute of N2
    emg_gain: float
    mains_amplitude: float  # 60-Hz interference in EEG, EOG and EMG, microvolts


def draw_subject(seed: int, night: int, subset: str, population: Population) -> Subject:
    """Draw the subject of one night; `subset` of MASS gives the distribution of age.

    Sources: deep sleep and awakenings by age, Ohayon et al. 2004 (Sleep 27:1255); heart-rate variability by age,
    Umetani et al. 1998 (JACC 31:593); resting heart rate by sex and fitness, Quer et al. 2020 (PLOS ONE 15:e0227709);
    arousals by age, Bonnet & Arand 2007 (J Clin Sleep Med 3:271); slow waves by age, Carrier et al. 2011 (Eur J
    Neurosci 33:758); spindle frequency, amplitude and density by age, Purcell et al. 2017 (Nat Commun 8:15930); alpha
    frequency by age, Clark et al. 2004 (Int J Psychophysiol 53:1).
    """
    rng = generator(seed, night, "subject")
    mean, spread, youngest, oldest = AGE_BY_SUBSET[subset]
    age = float(np.clip(rng.normal(mean, spread), youngest, oldest))
    decades = (age - 40) / 10
    sex: Literal["F", "M"] = "F" if rng.random() < 103 / 200 else "M"  # 103 women in 200 (O'Reilly et al. 2014)
    fitness = float(rng.standard_normal())
    # Apnea is more frequent in older people and in men (Young et al. 2002, Arch Intern Med 162:893).
    apneic = rng.random() < population.apnea_share * (0.7 + 0.25 * decades + 0.4 * (sex == "M"))
    apnea_index = float(rng.uniform(0, 3))
    if apneic:
        apnea_index = float(np.clip(population.apnea_index * np.exp(0.6 * rng.standard_normal()), 5, 90))
    traits = generator(seed, night, "autonomic")
    share, concentration = population.apnea_arousal, 4.0
    apnea_arousal = traits.beta(concentration * share, concentration * (1 - share)) if 0 < share < 1 else share
    has_limb_movements = traits.random() < population.limb_movement_share * (0.5 + 0.5 * max(decades, -1) + 0.5)
    limb_movements = float(traits.uniform(10, 60)) if has_limb_movements else 0.0

    group = APNEA if apneic else HEALTHY
    effects, architecture = EFFECTS[group], ARCHITECTURE[group]
    women_and_fitness = 1.25 * (1 if sex == "F" else -1) - 4 * fitness
    own = np.sqrt(max(effects.heart_rate_spread**2 - 17.5, 1.0))  # 17.5: the variance of women_and_fitness
    resting = effects.heart_rate + women_and_fitness + rng.normal(0, own)

    def lognormal(spread: float) -> float:
        return float(np.exp(spread * rng.standard_normal()))

    def architecture_gain(name: str) -> float:
        mean, spread = architecture[name]
        return mean * lognormal(spread)

    return Subject(
        age=age,
        sex=sex,
        fitness=fitness,
        apnea_index=apnea_index,
        apnea_arousal=float(apnea_arousal),
        limb_movements=limb_movements,
        autonomic=draw_autonomic(traits, population, age, apneic),
        resting_heart_rate=float(np.clip(resting, 44, 105)),
        hrv_gain=lognormal(0.1) * float(np.exp(-0.08 * decades + 0.1 * fitness)),
        respiratory_rate=float(np.clip(rng.normal(15, 1.8), 11, 20)),
        ectopic_rate=float(rng.gamma(0.5, 4 + 2 * max(decades, 0))),
        ecg_polarity=-1 if rng.random() < 0.3 else 1,
        ecg_amplitude=0.9 * lognormal(0.25),
        ecg_shape=tuple(float(x) for x in rng.normal(0, [0.25, 0.3, 0.05, 0.35, 0.25])),
        cycle_minutes=float(np.clip(rng.normal(95, 9), 75, 120)),
        sleep_latency_minutes=float(np.clip(14 * lognormal(0.5), 3, 60)),
        deep_gain=float(np.clip(architecture_gain("deep") * np.exp(-0.10 * decades), 0, 2.5)),
        rem_gain=float(np.clip(architecture_gain("rem") * np.exp(-0.02 * decades), 0, 1.7)),
        wake_gain=architecture_gain("wake"),
        fragmentation=float(
            np.clip(architecture_gain("fragmentation") * np.exp(0.15 * decades + apnea_index / 80), 0.4, 4)
        ),
        arousal_rate=float(np.clip(rng.normal(14 + 2.0 * decades, 3), 5, 35)),
        eeg_gain=lognormal(0.12),
        slow_wave_gain=lognormal(0.12) * float(np.exp(-0.06 * decades)),
        alpha_frequency=float(np.clip(rng.normal(10.1 - 0.1 * decades, 0.6), 8.5, 11.5)),
        alpha_gain=lognormal(0.35),
        spindle_frequency=float(np.clip(rng.normal(13.2 + 0.1 * decades, 0.4), 12, 14.5)),
        spindle_gain=lognormal(0.2) * float(np.exp(-0.06 * decades)),
        spindle_rate=float(np.clip(3.2 * lognormal(0.25) * np.exp(-0.08 * decades), 1.2, 6)),
        emg_gain=lognormal(0.25),
        mains_amplitude=float(rng.gamma(2, 0.4)),
    )
