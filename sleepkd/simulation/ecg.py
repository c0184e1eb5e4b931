"""Simulated ECG: P, Q, R, S and T waves of every beat, respiratory modulation, noise, motion artifacts, lead-off."""

import numpy as np
from scipy.signal import butter, sosfilt

from sleepkd.simulation.cardiac import GRID_RATE, VENTRICULAR, CardiacRhythm
from sleepkd.simulation.noise import mains, slow_noise, upsample
from sleepkd.simulation.simulated_night import SimulatedNight, inside_events, position_changes
from sleepkd.simulation.sleep_architecture import STATE_SECONDS, W

WAVES = ("P", "Q", "R", "S", "T")
# A sum of Gaussians (McSharry et al. 2003, IEEE Trans Biomed Eng 50:289, table I, angles converted to seconds at 60
# beats per minute): centre and width in seconds, height relative to the R wave, for normal and ventricular beats.
CENTRE = np.array([-0.17, -0.032, 0.0, 0.032, 0.28])
WIDTH = np.array([0.024, 0.010, 0.011, 0.011, 0.048])
HEIGHT = np.array([0.12, -0.12, 1.0, -0.22, 0.26])
VENTRICULAR_WIDTH = np.array([0.024, 0.022, 0.036, 0.034, 0.065])
VENTRICULAR_HEIGHT = np.array([0.0, -0.10, 1.25, -0.55, -0.40])
# Size of each wave in the leads of MASS, relative to the first lead.
LEADS = {
    "ECGI": np.array([1.0, 1.0, 1.0, 1.0, 1.0]),
    "ECGII": np.array([1.3, 0.8, 1.15, 0.7, 1.1]),
    "ECGIII": np.array([0.6, 1.4, 0.55, 1.3, 0.5]),
}
BREATHING_GAIN = 0.08  # modulation of the R wave by breathing (Moody et al. 1985, Comput Cardiol 12:113)
BASELINE_WANDER_MV = 0.06


def simulate_ecg(night: SimulatedNight, rhythm: CardiacRhythm, rate: int, lead: str) -> np.ndarray:
    """Simulate one ECG lead (a key of `LEADS`) at `rate` Hz: millivolts (samples,), float32."""
    samples = round(night.duration * rate)
    signal = _beat_waves(night, rhythm, rate, samples, lead)
    rng = night.generator(f"ecg {lead}")
    hum = mains(samples, rate, phase=rng.uniform(0, 2 * np.pi))
    wander = BASELINE_WANDER_MV * (rhythm.breathing + 0.8 * slow_noise(rng, len(rhythm.breathing), GRID_RATE, 8))
    signal += upsample(wander, GRID_RATE, samples, rate)
    signal += _muscle_tone(night, rng, samples, rate)
    signal += np.float32(0.006 * rng.random()) * hum
    _add_movement_artifacts(night, rng, signal, rate)
    signal *= night.subject.ecg_polarity
    for onset, duration in lead_off_events(night):
        span = slice(round(onset * rate), round((onset + duration) * rate))
        length = len(signal[span])
        floating = 0.4 * slow_noise(rng, length, rate, 1.0) + 0.08 * rng.standard_normal(length)
        signal[span] = floating + 0.3 * hum[span]
    return signal


def lead_off_events(night: SimulatedNight) -> np.ndarray:
    """Times without electrode contact (k, 2): onset and duration in seconds; one in thirty movements causes one."""
    rng = night.generator("lead off")
    chosen = night.movements[rng.random(len(night.movements)) < 1 / 30]
    return np.stack([chosen[:, 0], rng.uniform(3, 40, len(chosen))], axis=1)


def artifact_free(night: SimulatedNight, seconds: np.ndarray) -> np.ndarray:
    """Whether each time (n,) is at least 2 s away from movements and lead-off."""
    return ~inside_events(np.concatenate([night.movements, lead_off_events(night)]), seconds, margin=2.0)


def _beat_waves(night: SimulatedNight, rhythm: CardiacRhythm, rate: int, samples: int, lead: str) -> np.ndarray:
    """The waves of all beats, without noise: millivolts (samples,), float32."""
    interval = np.diff(rhythm.beats, append=rhythm.beats[-1] + 1.0).clip(0.3, 2.0)
    previous = np.diff(rhythm.beats, prepend=rhythm.beats[0] - 1.0).clip(0.3, 2.0)
    qt_scale = np.sqrt(np.minimum(previous, interval * 1.1))  # QT shortens as heart rate rises (Bazett)
    ventricular = (rhythm.kinds == VENTRICULAR)[:, None]
    centre = np.where([wave == "T" for wave in WAVES], CENTRE * qt_scale[:, None], CENTRE)
    width = np.where(ventricular, VENTRICULAR_WIDTH, WIDTH)
    height = np.where(ventricular, VENTRICULAR_HEIGHT, HEIGHT) * LEADS[lead] * np.exp(night.subject.ecg_shape)
    breath = np.interp(rhythm.beats, np.arange(len(rhythm.breathing)) / GRID_RATE, rhythm.breathing)
    gain = night.subject.ecg_amplitude * (1 + BREATHING_GAIN * breath) * _position_gain(night, rhythm.beats)
    signal = np.zeros(samples, dtype=np.float32)
    for wave in range(len(WAVES)):
        reach = round(3.5 * max(WIDTH[wave], VENTRICULAR_WIDTH[wave] * ventricular.any()) * rate) + 1
        peak = (rhythm.beats + centre[:, wave]) * rate
        nearest = np.rint(peak).astype(np.int64)
        index = nearest[:, None] + np.arange(-reach, reach + 1)
        distance = ((index - peak[:, None]) / (width[:, wave, None] * rate)).astype(np.float32)
        values = (gain * height[:, wave])[:, None].astype(np.float32) * np.exp(-0.5 * distance**2)
        inside = (index >= 0) & (index < samples)
        signal += np.bincount(index[inside], weights=values[inside], minlength=samples).astype(np.float32)
    return signal


def _position_gain(night: SimulatedNight, seconds: np.ndarray) -> np.ndarray:
    """Gain of the ECG at each time (n,), which changes with body position."""
    changes = position_changes(night)
    gains = np.exp(0.12 * night.generator("posture gain").standard_normal(len(changes) + 1))
    return gains[np.searchsorted(changes, seconds)]


def _muscle_tone(night: SimulatedNight, rng: np.random.Generator, samples: int, rate: int) -> np.ndarray:
    """Amplifier noise and tonic muscle noise (samples,), float32 mV: largest in active wake."""
    tone = 0.005 + 0.001 * (night.states == W) + 0.003 * night.active
    wander = 0.35 * slow_noise(rng, len(tone), 1 / STATE_SECONDS, 180) + 0.3 * rng.standard_normal()
    level = upsample(tone * np.exp(wander), 1 / STATE_SECONDS, samples, rate)
    return level * rng.standard_normal(samples, dtype=np.float32)


def _add_movement_artifacts(night: SimulatedNight, rng: np.random.Generator, signal: np.ndarray, rate: int) -> None:
    """Add muscle noise above 15 Hz and slow motion artifacts to `signal` during movements, in place."""
    highpass = butter(2, 15, "highpass", fs=rate, output="sos")
    for onset, duration in night.movements:
        span = slice(round(onset * rate), min(round((onset + duration) * rate), len(signal)))
        length = len(signal[span])
        if length < 2:
            continue
        fade = np.sin(np.pi * np.arange(length) / length)
        muscle = sosfilt(highpass, rng.standard_normal(length)) * rng.gamma(2, 0.04)
        motion = slow_noise(rng, length, rate, 0.5) * rng.gamma(2, 0.12)
        signal[span] += (fade * (muscle + motion)).astype(np.float32)
