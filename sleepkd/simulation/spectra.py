"""Noise with a time-varying spectrum: overlap-add of windowed frames with random phases."""

import numpy as np
from scipy import fft

FRAME_SECONDS = 4
HOP_SECONDS = 2


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
    # `irfft` would copy the spectra to append zeros.
    shaped = np.zeros((len(spectra), length // 2 + 1), dtype=np.complex64)
    np.multiply(spectra, np.sqrt(power) * np.float32(length / 2), out=shaped[:, : spectra.shape[1]])
    frames = fft.irfft(shaped, n=length, axis=1, overwrite_x=True)
    frames *= np.sin(np.pi * (np.arange(length, dtype=np.float32) + 0.5) / length)
    signal = np.empty((len(frames) + 1, hop), dtype=np.float32)
    signal[0] = frames[0, :hop]
    signal[-1] = frames[-1, hop:]
    np.add(frames[1:, :hop], frames[:-1, hop:], out=signal[1:-1])
    # The first frame is centred on the start of the recording.
    return signal.reshape(-1)[hop : hop + samples]
