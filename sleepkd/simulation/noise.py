"""Random numbers and coloured noise: everything a simulated night draws comes through here."""

import zlib

import numpy as np
from scipy import fft
from scipy.signal import lfilter, oaconvolve


def generator(seed: int, night: int, purpose: str) -> np.random.Generator:
    """Random numbers for one purpose in one night; they depend on nothing but these three.

    Each channel and each event type has a purpose of its own, so that writing fewer channels changes no other.
    """
    return np.random.default_rng([seed, night, zlib.crc32(purpose.encode())])


def band_noise(rng: np.random.Generator, samples: int, rate: float, low: float, high: float) -> np.ndarray:
    """Gaussian noise (samples,) with a flat spectrum between `low` and `high` Hz and unit variance."""
    frequencies = fft.rfftfreq(samples, 1 / rate)
    inside = (frequencies >= low) & (frequencies <= high)
    # A short signal may have no bin inside the band: its variance is then in what lies below, which is a constant.
    if not inside.any():
        return np.full(samples, rng.standard_normal())
    spectrum = np.zeros(len(frequencies), dtype=complex)
    spectrum[inside] = rng.standard_normal(inside.sum()) + 1j * rng.standard_normal(inside.sum())
    return fft.irfft(spectrum * samples / (2 * np.sqrt(inside.sum())), n=samples)


def slow_noise(rng: np.random.Generator, samples: int, rate: float, time_constant: float) -> np.ndarray:
    """Ornstein-Uhlenbeck noise (samples,) of unit variance that forgets itself in `time_constant` seconds."""
    keep = np.exp(-1 / (rate * time_constant))
    shocks = rng.standard_normal(samples) * np.sqrt(1 - keep**2)
    shocks[0] = rng.standard_normal()
    return lfilter([1.0], [1.0, -keep], shocks)


def smooth(values: np.ndarray, rate: float, seconds: float) -> np.ndarray:
    """`values` (samples,) under a Gaussian of the given standard deviation in seconds."""
    sigma = rate * seconds
    reach = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    # By blocks of a Fourier transform: the kernels are hundreds of samples long.
    return oaconvolve(np.pad(values, reach, mode="edge"), kernel / kernel.sum(), mode="valid")


def upsample(values: np.ndarray, rate: float, samples: int, target: int) -> np.ndarray:
    """Slow `values` at `rate` Hz as a signal (samples,), float32, at `target` Hz, by straight lines."""
    return np.interp(np.arange(samples) / target, np.arange(len(values)) / rate, values).astype(np.float32)


def mains(samples: int, rate: int, phase: float = 0.0) -> np.ndarray:
    """60 Hz of amplitude one (samples,), float32: one second repeated, so that its phase stays exact all night."""
    second = np.sin(2 * np.pi * 60 * np.arange(rate) / rate + phase).astype(np.float32)
    return np.resize(second, samples)
