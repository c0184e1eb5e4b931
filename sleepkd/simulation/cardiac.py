"""Cardiac dynamics of a simulated night: breathing, heart rate variability and beat times, driven by sleep stage."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import oaconvolve

from sleepkd.simulation.noise import band_noise, slow_noise, smooth
from sleepkd.simulation.simulated_night import SimulatedNight, inside_events, poisson_onsets, position_changes
from sleepkd.simulation.sleep_architecture import REM, STATE_SECONDS, W

GRID_RATE = 4.0  # Hz, the grid of breathing and of the autonomic state
NORMAL, ATRIAL, VENTRICULAR = 0, 1, 2  # kinds of beats

# Breathing rate relative to the subject's own, and its depth, by state W, N1, N2, S3, S4, REM (Douglas et al. 1982,
# Thorax 37:840).
BREATH_RATE = np.array([1.06, 1.0, 0.98, 0.99, 1.0, 1.05])
BREATH_DEPTH = np.array([1.0, 0.9, 0.9, 0.95, 0.95, 0.75])

SLOW_SECONDS = 120.0  # correlation time of the fluctuations that last minutes
# Seconds from an arousal to the peak of its heart-rate response (Sforza et al. 2000, Clin Neurophysiol 111:1611), and
# from an awakening or a movement in wake: tuned on the watch nights of `sleep_accel` (ODC-By 1.0).
AROUSAL_PEAK, WAKING_PEAK = 6.0, 17.0
GAIN_SHAPE = 1.3  # of the gamma distribution of single responses around their mean
SUSPENSION_S = 1.5  # standard deviation of the smoothing at both ends of an apnea
SUSPENDED_SHARE = 0.95  # of the depth of breathing, during an apnea
APNEA_FALL = 1.0  # fall of heart rate during an apnea, relative to the rise at an arousal
# Mean and limit in seconds of the lag of autonomic behind cortical changes: mostly within a minute, on average slightly
# ahead (Jurysta et al. 2003, Clin Neurophysiol 114:2146; de Zambotti et al. 2018, Neurosci Biobehav Rev 90:84).
LAG_MEAN, LAG_LIMIT = -5.0, 120.0
# The heart-rate response to a periodic limb movement, relative to an arousal (Sforza et al. 1999, Neurology 52:786).
LIMB_MOVEMENT_RESPONSE = 0.5
# Share of the HF variance of RR intervals that does not follow breathing: the HF peak is as wide, in every sleep stage,
# as on `slpdb` and `nsr2db` (ODC-By 1.0). Breathing alone would make it half as wide in NREM sleep.
HF_NOISE_SHARE = 0.35
# Standard deviation of an RR interval relative to its mean in atrial fibrillation (Hayano et al. 1997, Am J Physiol
# 273:H2811).
FIBRILLATION_SPREAD = 0.22


@dataclass(frozen=True)
class CardiacRhythm:
    """Heartbeats and breathing of one night.

    beats: times of R peaks in seconds from the start of the recording (n,). kinds: NORMAL, ATRIAL or VENTRICULAR (n,).
    breathing: the respiratory waveform, about -1 to 1, at `GRID_RATE` Hz (samples,).
    """

    beats: np.ndarray
    kinds: np.ndarray
    breathing: np.ndarray


def simulate_cardiac_rhythm(night: SimulatedNight) -> CardiacRhythm:
    """Simulate breathing and heartbeats; a beat occurs whenever the integral of heart rate passes an integer."""
    samples = round(night.duration * GRID_RATE)
    states = _autonomic_states(night, samples)
    breathing, suspended = _breathing(night, states)
    interval = _rr_intervals(night, states, breathing, suspended)
    phase = np.concatenate([[0.0], np.cumsum(1 / (interval * GRID_RATE))])
    rng = night.generator("beats")
    beats = np.interp(np.arange(rng.random(), phase[-1], 1.0), phase, np.arange(samples + 1) / GRID_RATE)
    if night.subject.autonomic.atrial_fibrillation:
        irregular = np.clip(1 + FIBRILLATION_SPREAD * rng.standard_normal(len(beats) - 1), 0.5, 1.8)
        beats = beats[0] + np.concatenate([[0.0], np.cumsum(np.diff(beats) * irregular)])
        beats = beats[beats < night.duration]
    beats, kinds = _add_ectopic_beats(rng, beats, night.subject.ectopic_rate)
    return CardiacRhythm(beats, kinds, breathing)


def suspension(apneas: np.ndarray, samples: int) -> np.ndarray:
    """How far apneas (k, 2) suspend breathing: 0 to 1 (samples,) at `GRID_RATE` Hz."""
    inside = inside_events(apneas, np.arange(samples) / GRID_RATE)
    return smooth(inside.astype(float), GRID_RATE, SUSPENSION_S)


def _autonomic_states(night: SimulatedNight, samples: int) -> np.ndarray:
    """The states on the grid (samples,), each transition shifted by its own lag."""
    rng = night.generator("lag")
    changes = np.flatnonzero(np.diff(night.states)) + 1
    lags = np.clip(rng.normal(LAG_MEAN, night.population.lag_seconds, len(changes)), -LAG_LIMIT, LAG_LIMIT)
    # The order is kept: a transition that would overtake the next one coincides with it.
    shifted = np.minimum.accumulate((changes * STATE_SECONDS + lags)[::-1])[::-1]
    order = np.searchsorted(shifted, np.arange(samples) / GRID_RATE, side="right")
    return night.states[np.concatenate([[0], changes])][order]


def _breathing(night: SimulatedNight, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The respiratory waveform, and how far apneas suspend it (0 to 1), (samples,) each."""
    rng = night.generator("breathing")
    wander = slow_noise(rng, len(states), GRID_RATE, 4.0) * smooth(
        np.array(night.subject.autonomic.breath_spread)[states], GRID_RATE, 8
    )
    drift = 0.04 * _wander(rng, len(states), 600)
    rate = night.subject.respiratory_rate / 60 * smooth(BREATH_RATE[states], GRID_RATE, 10) * np.exp(wander + drift)
    depth = smooth(BREATH_DEPTH[states], GRID_RATE, 10) * np.exp(
        wander + 0.15 * slow_noise(rng, len(states), GRID_RATE, 20)
    )
    suspended = suspension(night.apneas, len(states))
    phase = 2 * np.pi * np.cumsum(rate) / GRID_RATE
    return depth * (1 - SUSPENDED_SHARE * suspended) * np.sin(phase), suspended


def _rr_intervals(
    night: SimulatedNight, states: np.ndarray, breathing: np.ndarray, suspended: np.ndarray
) -> np.ndarray:
    """RR interval in seconds on the grid (samples,)."""
    rng = night.generator("intervals")
    samples, subject, population = len(states), night.subject, night.population
    autonomic = subject.autonomic

    def amplitude(by_state: tuple[float, ...] | np.ndarray, minutes: float) -> np.ndarray:
        # On the grid; it drifts within `minutes` and within 15 times as long.
        fast, slow = (_wander(rng, samples, 60 * constant) for constant in (minutes, 15 * minutes))
        wander = np.exp(population.variability_drift * (0.8 * fast + 0.6 * slow))
        return smooth(np.array(by_state)[states], GRID_RATE, 10) * wander

    elapsed = np.linspace(-0.5, 0.5, samples)
    trend = autonomic.trend * elapsed * night.duration / 3600
    drift = population.heart_rate_drift * _wander(rng, samples, 3600)
    slow = smooth(np.array(autonomic.slow)[states], GRID_RATE, 10) * _wander(rng, samples, SLOW_SECONDS, 5)
    position = smooth(_position_effect(night, samples), GRID_RATE, 15)
    level = smooth(np.array(autonomic.level)[states], GRID_RATE, 15)
    # Heart rate falls during an apnea and rises when breathing resumes (Guilleminault et al. 1984, Lancet 1:126).
    apnea_fall = APNEA_FALL * np.array(autonomic.gain)[states] * smooth(suspended, GRID_RATE, 3)
    events = _arousal_response(night, samples) - apnea_fall
    heart_rate = subject.resting_heart_rate * np.exp(trend + drift + position + level + slow + events)
    respiratory = np.sqrt(2 * (1 - HF_NOISE_SHARE)) * breathing
    short = amplitude(autonomic.hf, 2) * (
        respiratory + np.sqrt(HF_NOISE_SHARE) * band_noise(rng, samples, GRID_RATE, 0.15, 0.4)
    )
    short += amplitude(autonomic.lf, 3) * band_noise(rng, samples, GRID_RATE, 0.04, 0.12)
    variation = subject.hrv_gain / 1000 * short
    variation += amplitude(autonomic.fast, 4) * band_noise(rng, samples, GRID_RATE, 0.008, 0.04)
    # Variability decreases as heart rate rises (Monfredi et al. 2014, Hypertension 64:1334).
    return np.clip(60 / heart_rate + variation * (60 / heart_rate) ** 1.5, 0.35, 2.2)


def _wander(rng: np.random.Generator, samples: int, time_constant: float, parts: int = 15) -> np.ndarray:
    """`slow_noise` (samples,) of a minute or longer, drawn `parts` times in its time constant and interpolated."""
    step = time_constant / parts
    coarse = slow_noise(rng, int(samples / GRID_RATE / step) + 2, 1 / step, time_constant)
    return np.interp(np.arange(samples) / GRID_RATE, step * np.arange(len(coarse)), coarse)


def _position_effect(night: SimulatedNight, samples: int) -> np.ndarray:
    """Effect of body position on the logarithm of heart rate (samples,)."""
    changes = position_changes(night)
    levels = night.population.position * night.generator("position").standard_normal(len(changes) + 1)
    return levels[np.searchsorted(changes, np.arange(samples) / GRID_RATE)]


def _arousal_response(night: SimulatedNight, samples: int) -> np.ndarray:
    """Change of log heart rate (samples,) by arousals, awakenings, movements, and surges and pauses in REM sleep."""
    rng = night.generator("arousal response")
    autonomic, in_rem = night.subject.autonomic, (night.states == REM).astype(float)
    arousals, movements, limbs = (events[:, 0] for events in (night.arousals, night.movements, night.limb_movements))
    step = night.step_at(arousals)
    awakening = (night.states[step] == W) & (night.states[np.maximum(step - 1, 0)] != W)
    moving_awake = night.states[night.step_at(movements)] == W
    surges = poisson_onsets(rng, autonomic.rem_surges * in_rem)
    pauses = poisson_onsets(rng, autonomic.rem_pauses * in_rem)

    def response(groups: list[tuple[np.ndarray, float]], peak: float) -> np.ndarray:
        # Groups of onsets and of their gain relative to that of the sleep stage.
        impulses = np.zeros(samples)
        for seconds, gain in groups:
            onsets = np.clip((seconds * GRID_RATE).astype(int), 0, samples - 1)
            by_stage = np.array(autonomic.gain)[night.states[night.step_at(seconds)]]
            np.add.at(impulses, onsets, gain * by_stage * rng.gamma(GAIN_SHAPE, 1 / GAIN_SHAPE, len(onsets)))
        delay = np.arange(0, 12 * peak, 1 / GRID_RATE) / peak
        kernel = delay**2 * np.exp(2 * (1 - delay)) - 0.1 * np.exp(-(((delay - 4.8) / 1.6) ** 2))
        return np.asarray(oaconvolve(impulses, kernel)[:samples])

    short = [(arousals[~awakening], 1.0), (limbs, LIMB_MOVEMENT_RESPONSE), (movements[~moving_awake], 1.0)]
    waking = autonomic.waking / max(autonomic.gain[W], 1e-9)
    long = [(movements[moving_awake], 1.0), (arousals[awakening], waking), (surges, 1.0), (pauses, -0.7)]
    return np.clip(response(short, AROUSAL_PEAK) + response(long, WAKING_PEAK), -0.25, 0.5)


def _add_ectopic_beats(
    rng: np.random.Generator, beats: np.ndarray, rate_per_hour: float
) -> tuple[np.ndarray, np.ndarray]:
    """Beat times and kinds (n,) each, where some beats are premature by a third of an RR interval.

    The next beat is not shifted, so the pause is compensatory.
    """
    intervals = np.diff(beats, prepend=beats[0] - 1.0)
    kinds = np.zeros(len(beats), dtype=np.int8)
    chosen = np.flatnonzero(rng.random(len(beats)) < rate_per_hour * intervals / 3600)
    chosen = chosen[np.diff(chosen, prepend=-9) > 2]
    kinds[chosen] = np.where(rng.random(len(chosen)) < 0.5, ATRIAL, VENTRICULAR)
    times = beats.copy()
    times[chosen] -= rng.uniform(0.25, 0.4, len(chosen)) * intervals[chosen]
    return times, kinds
