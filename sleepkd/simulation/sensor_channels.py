"""The sensors of simulated recordings beside EEG, EOG, EMG and ECG: names, units and rates of their channels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sleepkd.simulation.cardiac import CardiacRhythm
from sleepkd.simulation.oximetry import SPO2_RATE, simulate_spo2
from sleepkd.simulation.ppg import simulate_ppg
from sleepkd.simulation.respiration import (
    ABDOMEN,
    THORAX,
    RespiratoryEffort,
    respiratory_effort,
    simulate_airflow,
    simulate_belt,
)
from sleepkd.simulation.simulated_night import SimulatedNight

MOTION = "motion"
"""The activity counts, a table beside the recording."""
Simulation = Callable[[SimulatedNight, CardiacRhythm, RespiratoryEffort, int], np.ndarray]


@dataclass(frozen=True)
class SensorChannel:
    """A channel of the EDF file. label: as in MASS. rate: samples per second. simulate: its signal, (samples,)."""

    label: str
    unit: str
    rate: int
    simulate: Simulation


def _thorax(night: SimulatedNight, _: CardiacRhythm, effort: RespiratoryEffort, rate: int) -> np.ndarray:
    return simulate_belt(night, effort, THORAX, rate)


def _abdomen(night: SimulatedNight, _: CardiacRhythm, effort: RespiratoryEffort, rate: int) -> np.ndarray:
    return simulate_belt(night, effort, ABDOMEN, rate)


def _airflow(night: SimulatedNight, _: CardiacRhythm, effort: RespiratoryEffort, rate: int) -> np.ndarray:
    return simulate_airflow(night, effort, rate)


def _spo2(night: SimulatedNight, _: CardiacRhythm, __: RespiratoryEffort, ___: int) -> np.ndarray:
    return simulate_spo2(night)


def _ppg(night: SimulatedNight, rhythm: CardiacRhythm, _: RespiratoryEffort, rate: int) -> np.ndarray:
    return simulate_ppg(night, rhythm, rate)


CHANNELS_OF_SENSORS: dict[str, SensorChannel] = {
    "thorax": SensorChannel("Resp Belt Thor", "uV", 32, _thorax),
    "abdomen": SensorChannel("Resp Belt Abdo", "uV", 32, _abdomen),
    "airflow": SensorChannel("Resp Cannula", "uV", 32, _airflow),
    "spo2": SensorChannel("SaO2 SaO2", "%", SPO2_RATE, _spo2),
    "ppg": SensorChannel("Pleth", "mV", 64, _ppg),
}
"""By kind of signal."""
SENSOR_KINDS = (*CHANNELS_OF_SENSORS, MOTION)


def simulate_sensors(
    night: SimulatedNight, rhythm: CardiacRhythm, kinds: Sequence[str]
) -> list[tuple[SensorChannel, np.ndarray]]:
    """Simulate the channels of the given `SENSOR_KINDS`, in their order; "motion" has none."""
    chosen = [channel for kind, channel in CHANNELS_OF_SENSORS.items() if kind in kinds]
    if not chosen:
        return []
    effort = respiratory_effort(night, rhythm)
    return [(channel, channel.simulate(night, rhythm, effort, channel.rate)) for channel in chosen]
