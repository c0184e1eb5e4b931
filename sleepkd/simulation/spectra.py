"""Noise with a time-varying spectrum: overlap-add of windowed frames with random phases."""

import numpy as np
from scipy import fft

FRAME_SECONDS = 4
HOP_SECONDS = 2
CHUNK = 512
"""Frames at a time, which fit into a processor's cache."""


def frame_count(samples: int, rate: int) -> int:
    """Number of frames that cover a signal of `samples`."""
    return -(-samples // (HOP_SECONDS * rate)) + 1


def frame_times(count: int) -> np.ndarray:
    """Centre of each frame in seconds (count,)."""
    return np.arange(count) * float(HOP_SECONDS)


def frequencies(highest: float) -> np.ndarray:
    """Frequency bins of a frame in Hz (bins,), from 0 to `highest`."""
    return np.arange(int(highest * FRAME_SECONDS) + 1) / FRAME_SECONDS


def white(rng: np.random.Generator, frames: int, bins: int) -> np.ndarray:
    """Random spectra of white noise (frames, bins), complex64; real and imaginary part have unit variance."""
    return rng.standard_normal((frames, 2 * bins), dtype=np.float32).view(np.complex64)


def synthesise(spectra: np.ndarray, power: np.ndarray, samples: int, rate: int) -> np.ndarray:
    """Signal (samples,), float32, from the random `spectra` of `white` and their `power`, (frames, bins) each.

    `power` is the variance that each bin contributes. The squared sine windows of overlapping frames sum to one, so
    the variance of the signal is exactly the sum of the power.
    """
    length, hop = FRAME_SECONDS * rate, HOP_SECONDS * rate
    window = np.sin(np.pi * (np.arange(length, dtype=np.float32) + 0.5) / length)
    signal = np.zeros((len(spectra) + 1, hop), dtype=np.float32)
    for start in range(0, len(spectra), CHUNK):
        chunk = slice(start, start + CHUNK)
        shaped = np.zeros((len(spectra[chunk]), length // 2 + 1), dtype=np.complex64)
        np.multiply(spectra[chunk], np.sqrt(power[chunk]) * np.float32(length / 2), out=shaped[:, : spectra.shape[1]])
        frames = fft.irfft(shaped, n=length, axis=1, overwrite_x=True)
        frames *= window
        signal[start : start + len(frames)] += frames[:, :hop]
        signal[start + 1 : start + 1 + len(frames)] += frames[:, hop:]
    # The first frame is centred on the start of the recording.
    return signal.reshape(-1)[hop : hop + samples]
