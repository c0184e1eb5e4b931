"""Simulated respiration: belts of thorax and abdomen and airflow, in quiet breathing, obstructive and central apnea."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft

from sleepkd.simulation.cardiac import GRID_RATE, SUSPENDED_SHARE, CardiacRhythm, suspension
from sleepkd.simulation.movement import add_motion_artifacts
from sleepkd.simulation.noise import slow_noise, smooth, upsample
from sleepkd.simulation.simulated_night import SimulatedNight, position_changes
from sleepkd.simulation.sleep_architecture import REM

THORAX, ABDOMEN = "thorax", "abdomen"
AMPLITUDE_UV = 100.0
"""Of a belt and of the airflow in quiet breathing. Uncalibrated, as in a recording: the number is a choice."""
CENTRAL_APNEA_SHARE, CENTRAL_SLEEPERS = 0.1, 0.08
"""Mean share of central apneas in sleepers with obstructive apnea, and share of the sleepers whose apneas are mostly
central: obstructive apnea is far more frequent (Bixler et al. 1998, Am J Respir Crit Care Med 157:144)."""
CENTRAL_MOSTLY = 0.8
# In an obstructive apnea the effort grows towards its end and the thorax moves against the abdomen (AASM Manual 2.6).
# Size of the effort at the beginning and at the end, relative to breathing before: a choice.
EFFORT_BEGIN, EFFORT_END = 0.35, 1.0
PARADOX = 0.85  # of half a breath: lag of the thorax behind the abdomen in an obstructive apnea
QUIET_LAG = 0.04  # of half a breath: the same in quiet breathing
REM_THORAX = 0.7  # size of the thorax in REM sleep, whose intercostal muscles lose their tone (Tabachnik et al. 1981)
# After an apnea breathing is deeper for a while: its size and its time constant in seconds, a choice.
RECOVERY_GAIN, RECOVERY_SECONDS = 0.5, 8.0
SECOND_HARMONIC = 0.18  # of the belts: inspiration is shorter than expiration
FLOW_HARMONIC = 0.30  # of the airflow: the peak of inspiration is sharper
FLOW_LEAK = 0.02  # airflow that is left in an apnea
NOISE = 0.02  # relative to the amplitude


@dataclass(frozen=True)
class RespiratoryEffort:
    """The drive to breathe, which an obstructive apnea does not stop, on the grid of `GRID_RATE` Hz (samples,) each.

    depth: of breathing, about 1. phase: in radians, inspiration from -pi / 2 to pi / 2.
    obstructive, central: how far apneas of the two kinds suspend breathing, 0 to 1.
    growth: progress of an apnea from 0 to 1, 0 outside.
    """

    depth: np.ndarray
    phase: np.ndarray
    obstructive: np.ndarray
    central: np.ndarray
    growth: np.ndarray

    @cached_property
    def recovery(self) -> np.ndarray:
        """Gain of the breathing (samples,) that is deeper after an apnea."""
        suspended = np.maximum(self.obstructive, self.central)
        ends = np.maximum(-np.diff(suspended, append=suspended[-1]), 0)  # sums to one at each end
        delay = np.arange(0, 5 * RECOVERY_SECONDS, 1 / GRID_RATE)
        return 1 + RECOVERY_GAIN * np.convolve(ends, np.exp(-delay / RECOVERY_SECONDS))[: len(ends)]


def central_apneas(night: SimulatedNight) -> np.ndarray:
    """Whether each apnea of a night (k,) is central: without effort; the others are obstructive."""
    rng = night.generator("central apneas")
    share = CENTRAL_MOSTLY if rng.random() < CENTRAL_SLEEPERS else 2 * CENTRAL_APNEA_SHARE * rng.random()
    return np.asarray(rng.random(len(night.apneas)) < share)


def respiratory_effort(night: SimulatedNight, rhythm: CardiacRhythm) -> RespiratoryEffort:
    """The respiratory effort of one night, in phase with its respiratory sinus arrhythmia.

    `CardiacRhythm.breathing` lengthens RR intervals, so it is high in expiration: RR intervals are shortest where the
    lungs are full.
    """
    samples = len(rhythm.breathing)
    effort = -rhythm.breathing / (1 - SUSPENDED_SHARE * suspension(night.apneas, samples))
    padded = fft.next_fast_len(samples, real=True)
    spectrum = fft.rfft(effort, padded)
    quadrature = fft.irfft(-1j * spectrum, padded)[:samples]
    central = central_apneas(night)
    return RespiratoryEffort(
        depth=np.hypot(effort, quadrature),
        phase=np.unwrap(np.arctan2(effort, -quadrature)),
        obstructive=suspension(night.apneas[~central], samples),
        central=suspension(night.apneas[central], samples),
        growth=_progress(night.apneas, np.arange(samples) / GRID_RATE),
    )


def _progress(apneas: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """How much of an apnea has passed at each time (n,): 0 to 1, 0 outside of apneas (k, 2)."""
    if not len(apneas):
        return np.zeros(len(seconds))
    onset, duration = apneas.T
    latest = np.searchsorted(onset, seconds, side="right") - 1
    progress = (seconds - onset[latest.clip(0)]) / duration[latest.clip(0)]
    return np.where((latest >= 0) & (progress < 1), progress, 0.0)


def simulate_belt(night: SimulatedNight, effort: RespiratoryEffort, belt: str, rate: int) -> np.ndarray:
    """Simulate the belt of `THORAX` or `ABDOMEN` at `rate` Hz: microvolts (samples,), float32.

    Inspiration is upwards. An obstructive apnea shows effort, thorax against abdomen; a central one shows none.
    """
    samples, rng = round(night.duration * rate), night.generator(f"belt {belt}")
    seconds = np.arange(len(effort.depth)) / GRID_RATE
    against = effort.obstructive * (EFFORT_BEGIN + (EFFORT_END - EFFORT_BEGIN) * effort.growth)
    breathing = 1 - np.maximum(effort.obstructive, effort.central)
    depth = effort.depth * effort.recovery * (breathing + against)
    depth *= _position_gain(night, belt, seconds)
    phase = effort.phase
    if belt == THORAX:
        in_rem = smooth((night.states[night.step_at(seconds)] == REM).astype(float), GRID_RATE, 10)
        depth *= 1 - (1 - REM_THORAX) * in_rem
        phase = phase - np.pi * (QUIET_LAG + (PARADOX - QUIET_LAG) * effort.obstructive)
    signal = upsample(AMPLITUDE_UV * depth, GRID_RATE, samples, rate)
    phase = upsample(phase, GRID_RATE, samples, rate)
    signal *= np.sin(phase) + np.float32(SECOND_HARMONIC) * np.sin(2 * phase)
    return _with_noise(night, rng, signal, rate)


def simulate_airflow(night: SimulatedNight, effort: RespiratoryEffort, rate: int) -> np.ndarray:
    """Simulate the airflow of a nasal cannula at `rate` Hz: microvolts (samples,), float32; inspiration is upwards.

    Apneas of both kinds stop it. It is the derivative of the volume, so it leads the belts by a quarter of a breath.
    """
    samples, rng = round(night.duration * rate), night.generator("airflow")
    seconds = np.arange(len(effort.depth)) / GRID_RATE
    open_share = 1 - (1 - FLOW_LEAK) * np.maximum(effort.obstructive, effort.central)
    depth = effort.depth * effort.recovery * open_share * _position_gain(night, "airflow", seconds)
    signal = upsample(AMPLITUDE_UV * depth, GRID_RATE, samples, rate)
    phase = upsample(effort.phase, GRID_RATE, samples, rate)
    signal *= np.cos(phase) + np.float32(FLOW_HARMONIC) * np.cos(2 * phase)
    return _with_noise(night, rng, signal, rate)


def _position_gain(night: SimulatedNight, channel: str, seconds: np.ndarray) -> np.ndarray:
    """Gain of a sensor at each time (n,), which changes with body position."""
    changes = position_changes(night)
    gains = np.exp(0.25 * night.generator(f"position gain {channel}").standard_normal(len(changes) + 1))
    return gains[np.searchsorted(changes, seconds)]


def _with_noise(night: SimulatedNight, rng: np.random.Generator, signal: np.ndarray, rate: int) -> np.ndarray:
    """`signal` (samples,) with drift, noise and motion artifacts."""
    drift = 0.15 * AMPLITUDE_UV * slow_noise(rng, round(night.duration * GRID_RATE), GRID_RATE, 30)
    signal += upsample(drift, GRID_RATE, len(signal), rate)
    signal += np.float32(NOISE * AMPLITUDE_UV) * rng.standard_normal(len(signal), dtype=np.float32)
    add_motion_artifacts(night, rng, signal, rate, seconds=1.0, size=1.5 * AMPLITUDE_UV)
    return signal
