"""The electroencephalogram: spectra by sleep stage over a 1/f floor, with spindles, K-complexes and sharp waves."""

from dataclasses import dataclass

import numpy as np

from sleepkd.simulation import spectra
from sleepkd.simulation.hypnogram import N1, N2, REM, S3, S4, STATE_SECONDS
from sleepkd.simulation.night import Night
from sleepkd.simulation.noise import slow_noise, smooth

HIGHEST = 60.0  # Hz synthesised; above lies only the amplifier's noise
SHARED = 0.6  # of the variance of neighbouring electrodes comes from shared sources

# Root mean square in microvolt of each component at C3, by state W (at rest), N1, N2, S3, S4, REM and W (active):
# AASM Manual 2.6 for what marks each stage, and the spectra of Prerau et al. 2017 (Physiology 32:60).
RESTING_STATES = 6
COMPONENTS = {
    "flat": np.array([5.0, 5.0, 4.5, 4.0, 3.5, 4.5, 6.0]),  # 1/f
    "steep": np.array([5.0, 6.0, 10.0, 14.0, 16.0, 6.5, 7.0]),  # 1/f^2.5
    "slow": np.array([1.0, 3.0, 9.0, 24.0, 36.0, 3.0, 1.0]),  # slow waves, 0.5 to 2 Hz
    "theta": np.array([2.0, 5.5, 4.5, 4.5, 4.5, 4.5, 2.0]),
    "alpha": np.array([9.0, 3.0, 2.2, 2.0, 2.0, 2.2, 3.0]),
    "sigma": np.array([1.0, 1.2, 2.6, 2.2, 1.6, 1.0, 1.0]),
    "beta": np.array([3.2, 2.4, 1.5, 1.0, 0.8, 2.2, 4.0]),
    "muscle": np.array([0.8, 0.4, 0.2, 0.1, 0.1, 0.1, 3.0]),
}
# How much of each component an electrode sees: alpha at the back, spindles and slow waves in front (AASM Manual 2.6).
TOPOGRAPHY = {
    "F": {"flat": 1.0, "steep": 1.05, "slow": 1.2, "theta": 1.0, "alpha": 0.7, "sigma": 0.9, "beta": 1.0, "muscle": 1.4},
    "C": {"flat": 1.0, "steep": 1.0, "slow": 1.0, "theta": 1.0, "alpha": 1.0, "sigma": 1.0, "beta": 1.0, "muscle": 1.0},
    "O": {"flat": 0.9, "steep": 0.8, "slow": 0.6, "theta": 0.8, "alpha": 2.0, "sigma": 0.5, "beta": 0.9, "muscle": 1.2},
    "A": {"flat": 0.4, "steep": 0.3, "slow": 0.2, "theta": 0.25, "alpha": 0.25, "sigma": 0.1, "beta": 0.4, "muscle": 1.5},
}
# Log-amplitude changes that are no change of stage, (standard deviation, time constant in seconds): within a sleep epoch
# or two and within a cycle; and the subject's own constant deviation.
WANDER = ((0.20, 40.0), (0.10, 900.0))
TRAIT = 0.15
AROUSAL_GAIN = {"alpha": 3.0, "beta": 2.0, "muscle": 4.0, "slow": 0.7, "sigma": 0.5}

SPINDLE_GAIN = {"F": 0.8, "C": 1.0, "O": 0.35, "A": 0.1}
SHARP_GAIN = {"F": 1.1, "C": 1.0, "O": 0.5, "A": 0.15}


@dataclass(frozen=True)
class Brain:
    """What all electrodes of a night share, so that each can be made on its own."""

    amplitudes: dict[str, np.ndarray]  # component -> (frames,) microvolt at C3
    shared: np.ndarray  # (frames, bins) random spectra
    spindles: np.ndarray  # (samples,) microvolt at C3
    sharp: np.ndarray  # (samples,) K-complexes, vertex and sawtooth waves, microvolt at C3


def simulate_brain(night: Night, rate: int) -> Brain:
    """The sources of one night's EEG."""
    samples = round(night.duration * rate)
    frames = spectra.frame_count(samples, rate)
    bins = len(spectra.frequencies(min(HIGHEST, 0.45 * rate)))
    return Brain(
        amplitudes=_amplitudes(night, frames),
        shared=spectra.white(night.generator("eeg shared"), frames, bins),
        spindles=_spindles(night, samples, rate),
        sharp=_sharp_waves(night, samples, rate),
    )


def simulate_eeg(night: Night, brain: Brain, electrode: str, rate: int) -> np.ndarray:
    """One electrode (C3, O2, A2, ...) against linked ears in microvolt (samples,), float32."""
    samples = len(brain.spindles)
    rng = night.generator(f"eeg {electrode}")
    site = electrode[0]
    own = spectra.white(rng, *brain.shared.shape)
    mixed = np.float32(np.sqrt(SHARED)) * brain.shared + np.float32(np.sqrt(1 - SHARED)) * own
    power = np.zeros(brain.shared.shape, dtype=np.float32)
    for name, shape in _shapes(night, brain.shared.shape[1]).items():
        amplitude = TOPOGRAPHY[site][name] * brain.amplitudes[name] * np.exp(0.05 * rng.standard_normal())
        power += (amplitude**2).astype(np.float32)[:, None] * shape.astype(np.float32)
    signal = spectra.synthesise(mixed, power, samples, rate)
    signal += np.float32(SPINDLE_GAIN[site]) * brain.spindles
    signal += np.float32(SHARP_GAIN[site]) * brain.sharp
    signal *= np.float32(night.subject.eeg_gain)
    return signal


def _shapes(night: Night, bins: int) -> dict[str, np.ndarray]:
    """The spectrum of each component over the bins (bins,), summing to one."""
    f = np.arange(bins) / spectra.FRAME_SECONDS
    low = np.maximum(f, 0.25)
    highpass = 1 / (1 + (0.4 / low) ** 4)  # the amplifier's

    def bell(centre: float, width: float) -> np.ndarray:
        return np.exp(-0.5 * ((f - centre) / width) ** 2)

    shapes = {
        "flat": highpass / low,
        "steep": highpass / low**2.5,
        "slow": highpass * low**2 * np.exp(-low / 0.45),
        "theta": bell(5.5, 1.3),
        "alpha": bell(night.subject.alpha_frequency, 0.8),
        "sigma": bell(night.subject.spindle_frequency, 1.2),
        "beta": bell(20, 5),
        "muscle": 1 / (1 + (20 / low) ** 4),
    }
    for shape in shapes.values():
        shape[0] = 0
        shape /= shape.sum()
    return shapes


def _amplitudes(night: Night, frames: int) -> dict[str, np.ndarray]:
    """Each component's amplitude over time at C3, {name: (frames,)} in microvolt."""
    rate = 1 / spectra.HOP_SECONDS
    step = np.minimum((spectra.frame_times(frames) / STATE_SECONDS).astype(int), len(night.states) - 1)
    states = np.where(night.active[step], RESTING_STATES, night.states[step])
    in_arousal = covered(night.arousals, spectra.frame_times(frames), margin=1.0)
    gains = {"slow": night.subject.slow_wave_gain, "alpha": night.subject.alpha_gain, "sigma": night.subject.spindle_gain}
    amplitudes = {}
    for name, by_state in COMPONENTS.items():
        rng = night.generator(f"eeg amplitude {name}")
        wander = TRAIT * rng.standard_normal()
        wander += sum(spread * slow_noise(rng, frames, rate, seconds) for spread, seconds in WANDER)
        if name == "alpha":  # alpha waxes and wanes within seconds
            wander += 0.3 * slow_noise(rng, frames, rate, 4.0)
        level = smooth(by_state[states] * gains.get(name, 1.0), rate, 2.0)
        level = np.where(in_arousal, level * AROUSAL_GAIN.get(name, 1.0), level)
        amplitudes[name] = level * np.exp(wander)
    return amplitudes


def covered(events: np.ndarray, seconds: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """Whether each time (n,) lies inside one of the events (k, 2), widened by `margin` seconds."""
    if len(events) == 0:
        return np.zeros(len(seconds), dtype=bool)
    order = np.argsort(events[:, 0])
    onset, end = events[order, 0] - margin, np.maximum.accumulate(events[order].sum(axis=1)) + margin
    before = np.searchsorted(onset, seconds, side="right") - 1
    return (before >= 0) & (seconds < end[np.maximum(before, 0)])


def add_waves(signal: np.ndarray, onsets: np.ndarray, waves: list[np.ndarray], rate: int) -> None:
    """Add each wave to `signal` at its onset in seconds, in place."""
    for start, wave in zip((onsets * rate).astype(int), waves, strict=True):
        end = min(start + len(wave), len(signal))
        signal[start:end] += wave[: end - start]


def onsets_by_state(night: Night, rng: np.random.Generator, per_minute: np.ndarray) -> np.ndarray:
    """Poisson onsets in seconds of events that come `per_minute` (6,) times in each state."""
    counts = rng.poisson(per_minute[night.states] * STATE_SECONDS / 60)
    steps = np.repeat(np.arange(len(night.states)), counts)
    return np.sort(STATE_SECONDS * (steps + rng.random(len(steps))))


def _spindles(night: Night, samples: int, rate: int) -> np.ndarray:
    """Spindles (samples,): 0.5 to 1.6 s at the subject's frequency, in N2 and half as often in N3 (Purcell et al. 2017)."""
    rng = night.generator("spindles")
    per_minute = np.zeros(6)
    per_minute[[N2, S3, S4]] = night.subject.spindle_rate * np.array([1.0, 0.5, 0.25])
    onsets = onsets_by_state(night, rng, per_minute)
    waves = []
    for _ in onsets:
        t = np.arange(0, rng.uniform(0.6, 1.6), 1 / rate)
        frequency = night.subject.spindle_frequency + rng.normal(0, 0.4)
        peak = 22 * night.subject.spindle_gain * np.exp(0.25 * rng.standard_normal())
        waves.append(peak * np.sin(np.pi * t / t[-1]) ** 2 * np.sin(2 * np.pi * frequency * t + rng.uniform(0, 6)))
    signal = np.zeros(samples, dtype=np.float32)
    add_waves(signal, onsets, waves, rate)
    return signal


def _sharp_waves(night: Night, samples: int, rate: int) -> np.ndarray:
    """K-complexes in N2 (1.5 a minute), vertex sharp waves in N1 and sawtooth trains in REM sleep (samples,)."""
    rng = night.generator("sharp waves")
    signal = np.zeros(samples, dtype=np.float32)

    def rates(**per_minute: float) -> np.ndarray:
        values = np.zeros(6)
        for name, value in per_minute.items():
            values[{"N1": N1, "N2": N2, "S3": S3, "REM": REM}[name]] = value
        return values

    onsets = onsets_by_state(night, rng, rates(N2=1.5, S3=0.8))
    k_complexes = []
    for _ in onsets:
        t = np.arange(0, 1.3, 1 / rate)
        negative = -np.exp(-0.5 * ((t - 0.35) / 0.09) ** 2)
        positive = 0.6 * np.exp(-0.5 * ((t - 0.72) / 0.17) ** 2)
        k_complexes.append(night.subject.slow_wave_gain * rng.uniform(70, 130) * (negative + positive))
    add_waves(signal, onsets, k_complexes, rate)

    onsets = onsets_by_state(night, rng, rates(N1=1.5))
    t = np.arange(0, 0.5, 1 / rate)
    vertex = -np.exp(-0.5 * ((t - 0.2) / 0.035) ** 2) + 0.4 * np.exp(-0.5 * ((t - 0.3) / 0.05) ** 2)
    add_waves(signal, onsets, [rng.uniform(25, 60) * vertex for _ in onsets], rate)

    onsets = onsets_by_state(night, rng, rates(REM=0.7))
    sawtooth = []
    for _ in onsets:
        t = np.arange(0, rng.uniform(1.5, 4), 1 / rate)
        sawtooth.append(rng.uniform(8, 16) * np.hanning(len(t)) * (2 * ((rng.uniform(2, 4) * t) % 1) - 1))
    add_waves(signal, onsets, sawtooth, rate)
    return signal
