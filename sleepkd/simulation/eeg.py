"""Simulated EEG: spectra by sleep stage over a 1/f background, spindles, K-complexes, vertex and sawtooth waves."""

from dataclasses import dataclass

import numpy as np

from sleepkd.simulation import spectra
from sleepkd.simulation.noise import slow_noise, smooth
from sleepkd.simulation.simulated_night import SimulatedNight, inside_events, poisson_onsets
from sleepkd.simulation.sleep_architecture import STATES

HIGHEST_FREQUENCY = 60.0  # Hz, the limit of synthesis
SHARED_VARIANCE = 0.6  # fraction of an electrode's variance that all electrodes share
ACTIVE = len(STATES)  # column of active wake (eyes open), after the states
SITES = ("F", "C", "O", "A")  # frontal, central and occipital electrodes, and the earlobe


@dataclass(frozen=True)
class Component:
    """One component of the EEG spectrum."""

    rms: tuple[float, ...]  # microvolts at C3 in W (quiet), N1, N2, S3, S4, REM and W (active)
    sites: tuple[float, ...]  # gain at each of `SITES`
    arousal: float = 1.0  # gain during an arousal


# Which waves mark which sleep stage, their topography, and their change at an arousal: AASM Manual 2.6. Their spectra:
# Prerau et al. 2017 (Physiology 32:60). The 1/f background, steeper in deep sleep: Lendner et al. 2020 (eLife
# 9:e55092).
COMPONENTS = {
    "flat": Component((5.0, 5.0, 4.5, 4.0, 3.5, 4.5, 6.0), (1.0, 1.0, 0.9, 0.4)),  # 1/f
    "steep": Component((5.0, 6.0, 10.0, 14.0, 16.0, 6.5, 7.0), (1.05, 1.0, 0.8, 0.3)),  # 1/f^2.5
    "slow": Component((1.0, 3.0, 9.0, 24.0, 36.0, 3.0, 1.0), (1.2, 1.0, 0.6, 0.2), 0.7),  # peak at 0.9 Hz
    "theta": Component((2.0, 6.0, 4.5, 4.5, 4.5, 4.5, 2.0), (1.0, 1.0, 0.8, 0.25)),
    "alpha": Component((9.0, 2.6, 2.2, 2.0, 2.0, 2.2, 3.0), (0.7, 1.0, 2.0, 0.25), 3.0),
    "sigma": Component((1.0, 1.2, 2.6, 2.2, 1.6, 1.0, 1.0), (0.9, 1.0, 0.5, 0.1), 0.5),
    "beta": Component((3.2, 2.1, 1.5, 1.0, 0.8, 2.2, 4.0), (1.0, 1.0, 0.9, 0.4), 2.0),
    "muscle": Component((0.8, 0.4, 0.2, 0.1, 0.1, 0.1, 3.0), (1.4, 1.0, 1.2, 1.5), 4.0),
}
# Changes of log-amplitude within a sleep stage (standard deviation, time constant in seconds): over one or two sleep
# epochs, and over a cycle.
FAST_DRIFT, SLOW_DRIFT = (0.20, 40.0), (0.10, 900.0)
# Standard deviation of log-amplitude between subjects.
SUBJECT_SPREAD = 0.15

SPINDLE_SITES = (0.8, 1.0, 0.35, 0.1)
SHARP_SITES = (1.1, 1.0, 0.5, 0.15)
# Transients per hour in W, N1, N2, S3, S4, REM. `SPINDLE_RATE` is multiplied by the subject's spindles per minute.
SPINDLE_RATE = np.array([0.0, 0.0, 60.0, 30.0, 15.0, 0.0])
K_COMPLEX_RATE = np.array([0.0, 0.0, 90.0, 48.0, 0.0, 0.0])  # Halász 2005, Sleep Med Rev 9:391
VERTEX_RATE = np.array([0.0, 90.0, 0.0, 0.0, 0.0, 0.0])
SAWTOOTH_RATE = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 42.0])


@dataclass(frozen=True)
class EegSources:
    """Sources that all electrodes of a night share; each electrode can then be simulated without the others."""

    amplitudes: dict[str, np.ndarray]  # component -> (frames,), microvolts at C3
    spectra: np.ndarray  # (frames, bins), random, of variance `SHARED_VARIANCE`
    spindles: np.ndarray  # (samples,), microvolts at C3
    sharp_waves: np.ndarray  # (samples,), K-complexes, vertex and sawtooth waves, microvolts at C3


def simulate_eeg_sources(night: SimulatedNight, rate: int) -> EegSources:
    """Simulate the EEG sources of one night at `rate` Hz."""
    samples = round(night.duration * rate)
    frames = spectra.frame_count(samples, rate)
    bins = len(spectra.frequencies(min(HIGHEST_FREQUENCY, 0.45 * rate)))
    return EegSources(
        amplitudes=_amplitudes(night, frames),
        spectra=np.float32(np.sqrt(SHARED_VARIANCE)) * spectra.white(night.generator("eeg shared"), frames, bins),
        spindles=_spindles(night, samples, rate),
        sharp_waves=_sharp_waves(night, samples, rate),
    )


def simulate_eeg(night: SimulatedNight, sources: EegSources, electrode: str, rate: int) -> np.ndarray:
    """Simulate one electrode (C3, O2, A2, ...) against linked ears at `rate` Hz: microvolts (samples,), float32."""
    rng = night.generator(f"eeg {electrode}")
    site = SITES.index(electrode[0])
    mixed = spectra.white(rng, *sources.spectra.shape)
    mixed *= np.float32(np.sqrt(1 - SHARED_VARIANCE))
    mixed += sources.spectra
    shapes = _shapes(night, sources.spectra.shape[1])
    gains = [COMPONENTS[name].sites[site] * np.exp(0.05 * rng.standard_normal()) for name in shapes]
    amplitudes = np.stack([(gain * sources.amplitudes[name]) ** 2 for gain, name in zip(gains, shapes, strict=True)])
    power = amplitudes.T.astype(np.float32) @ np.stack(list(shapes.values())).astype(np.float32)
    signal = spectra.synthesise(mixed, power, len(sources.spindles), rate)
    signal += np.float32(SPINDLE_SITES[site]) * sources.spindles
    signal += np.float32(SHARP_SITES[site]) * sources.sharp_waves
    signal *= np.float32(night.subject.eeg_gain)
    return signal


def _shapes(night: SimulatedNight, bins: int) -> dict[str, np.ndarray]:
    """Normalised power spectrum of each component (bins,); each sums to one."""
    f = np.maximum(np.arange(bins) / spectra.FRAME_SECONDS, 1 / spectra.FRAME_SECONDS)
    highpass = 1 / (1 + (0.4 / f) ** 4)  # of the amplifier

    def bell(centre: float, width: float) -> np.ndarray:
        return np.exp(-0.5 * ((f - centre) / width) ** 2)

    shapes = {
        "flat": highpass / f,
        "steep": highpass / f**2.5,
        "slow": highpass * f**2 * np.exp(-f / 0.45),
        "theta": bell(5.5, 1.3),
        "alpha": bell(night.subject.alpha_frequency, 0.8),
        "sigma": bell(night.subject.spindle_frequency, 1.2),
        "beta": bell(20, 5),
        "muscle": 1 / (1 + (20 / f) ** 4),
    }
    for shape in shapes.values():
        shape[0] = 0  # no DC
        shape /= shape.sum()
    return shapes


def _amplitudes(night: SimulatedNight, frames: int) -> dict[str, np.ndarray]:
    """Amplitude of each component over time at C3: {name: (frames,)}, microvolts."""
    subject, rate = night.subject, 1 / spectra.HOP_SECONDS
    seconds = spectra.frame_times(frames)
    step = night.step_at(seconds)
    states = np.where(night.active[step], ACTIVE, night.states[step])
    in_arousal = inside_events(night.arousals, seconds, margin=1.0)
    gains = {"slow": subject.slow_wave_gain, "alpha": subject.alpha_gain, "sigma": subject.spindle_gain}
    amplitudes = {}
    for name, component in COMPONENTS.items():
        rng = night.generator(f"eeg amplitude {name}")
        trait = SUBJECT_SPREAD * rng.standard_normal()
        fast, slow = (spread * slow_noise(rng, frames, rate, constant) for spread, constant in (FAST_DRIFT, SLOW_DRIFT))
        log_gain = trait + (fast + slow)
        if name == "alpha":  # alpha waxes and wanes within seconds
            log_gain += 0.3 * slow_noise(rng, frames, rate, 4.0)
        level = smooth(np.array(component.rms)[states], rate, 2.0) * gains.get(name, 1.0)
        amplitudes[name] = level * np.where(in_arousal, component.arousal, 1.0) * np.exp(log_gain)
    return amplitudes


def add_waves(signal: np.ndarray, onsets: np.ndarray, waves: list[np.ndarray], rate: int) -> None:
    """Add each wave to `signal` at its onset in seconds (k,), in place; waves end with the signal at the latest."""
    for start, wave in zip((onsets * rate).astype(int), waves, strict=True):
        end = min(start + len(wave), len(signal))
        signal[start:end] += wave[: end - start]


def _spindles(night: SimulatedNight, samples: int, rate: int) -> np.ndarray:
    """Sleep spindles (samples,) in N2, fewer in N3: 0.6 to 1.6 s, about 40 uV peak to peak (Purcell et al. 2017)."""
    rng, subject = night.generator("spindles"), night.subject
    onsets = poisson_onsets(rng, subject.spindle_rate * SPINDLE_RATE[night.states])
    waves = []
    for _ in onsets:
        t = np.arange(0, rng.uniform(0.6, 1.6), 1 / rate)
        frequency = subject.spindle_frequency + rng.normal(0, 0.4)
        peak = 22 * subject.spindle_gain * np.exp(0.25 * rng.standard_normal())
        waves.append(peak * np.sin(np.pi * t / t[-1]) ** 2 * np.sin(2 * np.pi * frequency * t + rng.uniform(0, 6)))
    signal = np.zeros(samples, dtype=np.float32)
    add_waves(signal, onsets, waves, rate)
    return signal


def _sharp_waves(night: SimulatedNight, samples: int, rate: int) -> np.ndarray:
    """K-complexes in N2 and S3, vertex sharp waves in N1, sawtooth waves in REM sleep (samples,): AASM Manual 2.6."""
    rng = night.generator("sharp waves")
    signal = np.zeros(samples, dtype=np.float32)

    def bump(t: np.ndarray, centre: float, width: float) -> np.ndarray:
        return np.exp(-0.5 * ((t - centre) / width) ** 2)

    t = np.arange(0, 1.3, 1 / rate)
    k_complex = night.subject.slow_wave_gain * (0.6 * bump(t, 0.72, 0.17) - bump(t, 0.35, 0.09))
    onsets = poisson_onsets(rng, K_COMPLEX_RATE[night.states])
    add_waves(signal, onsets, [rng.uniform(70, 130) * k_complex for _ in onsets], rate)

    t = np.arange(0, 0.5, 1 / rate)
    vertex = 0.4 * bump(t, 0.3, 0.05) - bump(t, 0.2, 0.035)
    onsets = poisson_onsets(rng, VERTEX_RATE[night.states])
    add_waves(signal, onsets, [rng.uniform(25, 60) * vertex for _ in onsets], rate)

    onsets = poisson_onsets(rng, SAWTOOTH_RATE[night.states])
    sawtooth = []
    for _ in onsets:
        t = np.arange(0, rng.uniform(1.5, 4), 1 / rate)
        sawtooth.append(rng.uniform(8, 16) * np.hanning(len(t)) * (2 * ((rng.uniform(2, 4) * t) % 1) - 1))
    add_waves(signal, onsets, sawtooth, rate)
    return signal
