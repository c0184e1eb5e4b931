"""Simulated movement: activity counts of the wrist (actigraphy) per 30 s, and motion artifacts in other sensors."""

import numpy as np
from scipy.special import ndtr

from sleepkd.simulation.noise import slow_noise
from sleepkd.simulation.simulated_night import SimulatedNight
from sleepkd.simulation.sleep_architecture import STATE_SECONDS

COUNT_SECONDS = 30
"""One count every 30 s, as in `sleep_accel`."""
SMOOTHING_S = 50.0
"""Standard deviation of the Gaussian that the counts of `sleep_accel` are smoothed by: measured on a single movement in
its files, whose counts fall by the factors .19, .136 and .098 from one to the next."""
# Share of the movements of the body, by state W, N1, N2, S3, S4, REM, that move the wrist, and the median of their
# activity; the same for an arousal without a movement of the body. Tuned until shares of zero and quartiles of the
# counts by sleep stage are those of `sleep_accel` (ODC-By 1.0): `benchmarks/simulation_sensors.py`.
WRIST_SHARE = np.array([0.64, 0.50, 0.49, 0.92, 0.92, 0.60])
AROUSAL_SHARE = np.array([0.45, 0.12, 0.08, 0.40, 0.40, 0.17])
ACTIVITY = np.array([5.5, 4.0, 12.0, 13.0, 13.0, 8.0])
ACTIVITY_SPREAD = 1.65
"""Standard deviation of the logarithm of the activity of a movement."""
SLEEPER_SPREAD = 0.5
"""The same, between subjects."""
RESTLESS_SECONDS = 1500.0
"""Movements cluster: correlation time of the restlessness that decides which of them move the wrist."""


def simulate_activity(night: SimulatedNight) -> np.ndarray:
    """Simulate activity counts of the wrist: (n,) per `COUNT_SECONDS`, 0 at rest.

    Movements and arousals move the wrist; periodic movements of the legs do not.
    """
    rng = night.generator("activity")
    restless = ndtr(slow_noise(rng, len(night.states), 1 / STATE_SECONDS, RESTLESS_SECONDS))
    sleeper = np.exp(SLEEPER_SPREAD * rng.standard_normal())
    seconds, activity = [np.zeros(0)], [np.zeros(0)]
    for events, share in ((night.movements, WRIST_SHARE), (night.arousals, AROUSAL_SHARE)):
        step = night.step_at(events[:, 0])
        size = ACTIVITY[night.states[step]] * np.exp(ACTIVITY_SPREAD * rng.standard_normal(len(events)))
        moves = restless[step] < share[night.states[step]]
        seconds.append(events[moves].sum(axis=1) - events[moves, 1] / 2)
        activity.append(sleeper * size[moves])
    middle = (np.arange(int(night.duration / COUNT_SECONDS)) + 0.5) * COUNT_SECONDS
    distance = (middle[:, None] - np.concatenate(seconds)) / SMOOTHING_S
    density = np.exp(-0.5 * distance**2) * (COUNT_SECONDS / (SMOOTHING_S * np.sqrt(2 * np.pi)))
    return np.asarray((density @ np.concatenate(activity)).round(4))


def add_motion_artifacts(
    night: SimulatedNight, rng: np.random.Generator, signal: np.ndarray, rate: int, seconds: float, size: float
) -> None:
    """Add slow noise to a sensor's `signal` (samples,) during movements, in place.

    seconds: its correlation time. size: its mean standard deviation.
    """
    for onset, duration in night.movements:
        span = slice(round(onset * rate), min(round((onset + duration) * rate), len(signal)))
        length = len(signal[span])
        if length < 2:
            continue
        fade = np.sin(np.pi * np.arange(length) / length)
        signal[span] += (size * rng.gamma(2, 0.5) * fade * slow_noise(rng, length, rate, seconds)).astype(np.float32)
