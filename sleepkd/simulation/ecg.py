"""The electrocardiogram: P, Q, R, S and T waves on every beat, and all that disturbs them."""

import numpy as np
from scipy.signal import butter, sosfilt

from sleepkd.simulation.heart import RATE, VENTRICULAR, Heart
from sleepkd.simulation.hypnogram import STATE_SECONDS, W
from sleepkd.simulation.night import Night, covered, turns
from sleepkd.simulation.noise import mains, slow_noise, upsample

WAVES = ("P", "Q", "R", "S", "T")
# A sum of Gaussians (McSharry et al. 2003, IEEE Trans Biomed Eng 50:289, table I, angles turned to seconds at 60 beats
# per minute): centre and width in seconds, height relative to the R wave, for a normal and for a ventricular beat.
CENTRE = np.array([-0.17, -0.032, 0.0, 0.032, 0.28])
WIDTH = np.array([0.024, 0.010, 0.011, 0.011, 0.048])
HEIGHT = np.array([0.12, -0.12, 1.0, -0.22, 0.26])
VENTRICULAR_WIDTH = np.array([0.024, 0.022, 0.036, 0.034, 0.065])
VENTRICULAR_HEIGHT = np.array([0.0, -0.10, 1.25, -0.55, -0.40])
# The leads of MASS: how large each wave is in them, relative to the first.
LEADS = {
    "ECGI": np.array([1.0, 1.0, 1.0, 1.0, 1.0]),
    "ECGII": np.array([1.3, 0.8, 1.15, 0.7, 1.1]),
    "ECGIII": np.array([0.6, 1.4, 0.55, 1.3, 0.5]),
}
BREATHING_GAIN = 0.08  # the R wave over one breath (Moody et al. 1985, Comput Cardiol 12:113)
WANDER_MV = 0.06


def simulate_ecg(night: Night, heart: Heart, rate: int, lead: str) -> np.ndarray:
    """One ECG lead in millivolt (samples,), float32."""
    samples = round(night.duration * rate)
    signal = _waves(night, heart, rate, samples, lead)
    rng = night.generator(f"ecg {lead}")
    hum = mains(samples, rate, phase=rng.uniform(0, 2 * np.pi))
    wander = WANDER_MV * (heart.breathing + 0.8 * slow_noise(rng, len(heart.breathing), RATE, 8))
    signal += upsample(wander, RATE, samples, rate)
    signal += _tonic_noise(night, rng, samples, rate)
    signal += np.float32(0.006 * rng.random()) * hum
    _add_muscle(night, rng, signal, rate)
    signal *= night.subject.ecg_polarity
    for onset, duration in lead_off(night):
        piece = slice(round(onset * rate), round((onset + duration) * rate))
        length = len(signal[piece])
        floating = 0.4 * slow_noise(rng, length, rate, 1.0) + 0.08 * rng.standard_normal(length)
        signal[piece] = floating + 0.3 * hum[piece]
    return signal


def lead_off(night: Night) -> np.ndarray:
    """Stretches without contact (k, 2): onset and duration in seconds; they begin with one movement in thirty."""
    rng = night.generator("lead off")
    chosen = night.movements[rng.random(len(night.movements)) < 1 / 30]
    return np.stack([chosen[:, 0], rng.uniform(3, 40, len(chosen))], axis=1)


def clean(night: Night, seconds: np.ndarray) -> np.ndarray:
    """Whether each time (n,) lies outside movements and lead-off stretches, with 2 s to spare."""
    return ~covered(np.concatenate([night.movements, lead_off(night)]), seconds, margin=2.0)


def _waves(night: Night, heart: Heart, rate: int, samples: int, lead: str) -> np.ndarray:
    """The beats alone (samples,), float32 millivolt."""
    interval = np.diff(heart.beats, append=heart.beats[-1] + 1.0).clip(0.3, 2.0)
    previous = np.diff(heart.beats, prepend=heart.beats[0] - 1.0).clip(0.3, 2.0)
    stretch = np.sqrt(np.minimum(previous, interval * 1.1))  # the T wave comes sooner when the heart is fast (Bazett)
    ventricular = (heart.kinds == VENTRICULAR)[:, None]
    centre = np.where([wave == "T" for wave in WAVES], CENTRE * stretch[:, None], CENTRE)
    width = np.where(ventricular, VENTRICULAR_WIDTH, WIDTH)
    height = np.where(ventricular, VENTRICULAR_HEIGHT, HEIGHT) * LEADS[lead] * np.exp(night.subject.ecg_shape)
    breath = np.interp(heart.beats, np.arange(len(heart.breathing)) / RATE, heart.breathing)
    gain = night.subject.ecg_amplitude * (1 + BREATHING_GAIN * breath) * _posture(night, heart.beats)
    signal = np.zeros(samples, dtype=np.float32)
    for wave in range(len(WAVES)):
        reach = round(3.5 * max(WIDTH[wave], VENTRICULAR_WIDTH[wave] * ventricular.any()) * rate) + 1
        peak = (heart.beats + centre[:, wave]) * rate
        nearest = np.rint(peak).astype(np.int64)
        place = nearest[:, None] + np.arange(-reach, reach + 1)
        distance = ((place - peak[:, None]) / (width[:, wave, None] * rate)).astype(np.float32)
        values = (gain * height[:, wave])[:, None].astype(np.float32) * np.exp(-0.5 * distance**2)
        inside = (place >= 0) & (place < samples)
        signal += np.bincount(place[inside], weights=values[inside], minlength=samples).astype(np.float32)
    return signal


def _posture(night: Night, seconds: np.ndarray) -> np.ndarray:
    """A gain (n,) that changes when the sleeper turns over."""
    at = turns(night)
    gains = np.exp(0.12 * night.generator("posture gain").standard_normal(len(at) + 1))
    return gains[np.searchsorted(at, seconds)]


def _tonic_noise(night: Night, rng: np.random.Generator, samples: int, rate: int) -> np.ndarray:
    """The amplifier's noise and the muscles' tone between movements (samples,), float32 mV: most in active wake."""
    tone = 0.005 + 0.001 * (night.states == W) + 0.003 * night.active
    wander = 0.35 * slow_noise(rng, len(tone), 1 / STATE_SECONDS, 180) + 0.3 * rng.standard_normal()
    level = upsample(tone * np.exp(wander), 1 / STATE_SECONDS, samples, rate)
    return level * rng.standard_normal(samples, dtype=np.float32)


def _add_muscle(night: Night, rng: np.random.Generator, signal: np.ndarray, rate: int) -> None:
    """Add muscle noise above 15 Hz and slow motion artefacts to `signal` during movements, in place."""
    highpass = butter(2, 15, "highpass", fs=rate, output="sos")
    for onset, duration in night.movements:
        piece = slice(round(onset * rate), min(round((onset + duration) * rate), len(signal)))
        length = len(signal[piece])
        if length < 2:
            continue
        fade = np.sin(np.pi * np.arange(length) / length)
        muscle = sosfilt(highpass, rng.standard_normal(length)) * rng.gamma(2, 0.04)
        motion = slow_noise(rng, length, rate, 0.5) * rng.gamma(2, 0.12)
        signal[piece] += (fade * (muscle + motion)).astype(np.float32)
