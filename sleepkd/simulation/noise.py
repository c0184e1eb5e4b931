"""Seeded random generators, coloured noise, smoothing and upsampling for the simulator."""

import zlib

import numpy as np
from scipy import fft
from scipy.signal import lfilter, oaconvolve


def generator(seed: int, night: int, purpose: str) -> np.random.Generator:
    """A random generator for one purpose in one night, seeded by these three arguments alone.

    Every channel and every kind of event has its own purpose, so a file with fewer channels holds the same signals.
    The text of a purpose is part of the seed: rewording one changes the numbers.
    """
    return np.random.default_rng([seed, night, zlib.crc32(purpose.encode())])


def band_noise(rng: np.random.Generator, samples: int, rate: float, low: float, high: float) -> np.ndarray:
    """Gaussian noise (samples,) of unit variance with a flat spectrum from `low` to `high` Hz, at `rate` Hz."""
    frequencies = fft.rfftfreq(samples, 1 / rate)
    inside = (frequencies >= low) & (frequencies <= high)
    # A signal too short to have a frequency bin in the band becomes a random constant.
    if not inside.any():
        return np.full(samples, rng.standard_normal())
    spectrum = np.zeros(len(frequencies), dtype=complex)
    spectrum[inside] = rng.standard_normal(inside.sum()) + 1j * rng.standard_normal(inside.sum())
    return fft.irfft(spectrum * samples / (2 * np.sqrt(inside.sum())), n=samples)


def slow_noise(rng: np.random.Generator, samples: int, rate: float, time_constant: float) -> np.ndarray:
    """Ornstein-Uhlenbeck noise (samples,) of unit variance; its autocorrelation decays to 1/e in `time_constant` s."""
    decay = np.exp(-1 / (rate * time_constant))
    shocks = rng.standard_normal(samples) * np.sqrt(1 - decay**2)
    shocks[0] = rng.standard_normal()
    return lfilter([1.0], [1.0, -decay], shocks)


def smooth(values: np.ndarray, rate: float, seconds: float) -> np.ndarray:
    """`values` (samples,) convolved with a Gaussian whose standard deviation is `seconds`."""
    sigma = rate * seconds
    reach = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    # Overlap-add by FFT: the kernels are hundreds of samples long.
    return oaconvolve(np.pad(values, reach, mode="edge"), kernel / kernel.sum(), mode="valid")


def upsample(values: np.ndarray, rate: float, samples: int, target: int) -> np.ndarray:
    """`values` at `rate` Hz, linearly interpolated to `target` Hz (samples,), float32."""
    ratio = round(target / rate)
    if not np.isclose(ratio * rate, target):
        return np.interp(np.arange(samples) / target, np.arange(len(values)) / rate, values).astype(np.float32)
    # The same, several times as fast.
    start = values.astype(np.float32)
    slope = np.diff(start, append=start[-1:])[:, None] / np.float32(ratio)
    signal = (start[:, None] + slope * np.arange(ratio, dtype=np.float32)).reshape(-1)[:samples]
    return np.pad(signal, (0, samples - len(signal)), mode="edge")


def mains(samples: int, rate: int, phase: float = 0.0) -> np.ndarray:
    """60-Hz mains interference of amplitude 1 (samples,), float32.

    One second is repeated, so the phase does not drift over a night.
    """
    second = np.sin(2 * np.pi * 60 * np.arange(rate) / rate + phase).astype(np.float32)
    return np.resize(second, samples)
