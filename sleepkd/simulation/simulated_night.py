"""A simulated night: a subject, its sleep stages, and the events that shape several signals at once.

The events are arousals, body movements, apneas and periodic limb movements.
"""

from dataclasses import dataclass

import numpy as np

from sleepkd.simulation.noise import generator
from sleepkd.simulation.population import Population
from sleepkd.simulation.sleep_architecture import S3, S4, STATE_SECONDS, W, simulate_states
from sleepkd.simulation.subject import Subject, draw_subject

# By state W, N1, N2, S3, S4, REM.
# Arousals relative to the subject's rate: few in deep sleep, most in light sleep (Bonnet & Arand 2007, J Clin Sleep Med
# 3:271).
AROUSAL_GAIN = np.array([0.0, 1.5, 1.0, 0.35, 0.2, 1.1])
# Body movements per hour: mostly in wake (Wilde-Frenz & Schulz 1983, Percept Mot Skills 56:275).
MOVEMENT_RATE = np.array([40.0, 8.0, 3.0, 1.0, 0.6, 5.0])
# Periodic limb movements relative to the subject's rate: mostly in NREM sleep (Zucconi et al. 2006, Sleep Med 7:175).
LIMB_MOVEMENT_GAIN = np.array([0.0, 1.2, 1.2, 0.5, 0.3, 0.0])
# Apneas relative to the subject's index: fewer in deep sleep (Ratnavadivel et al. 2009, J Clin Sleep Med 5:519).
APNEA_GAIN = np.array([0.0, 1.2, 1.1, 0.4, 0.2, 1.3])

DEEP_SLEEP_END = 0.6
"""Share of the ends of deep sleep that begin with an arousal, beside those with an awakening: heart rate rises at most
of them on the nights of `sleep_accel` (ODC-By 1.0)."""


@dataclass(frozen=True)
class SimulatedNight:
    """One subject's night, before any signal is simulated.

    Events are (k, 2): onset and duration in seconds from the start of the recording.
    """

    seed: int
    number: int
    subject: Subject
    duration: float  # seconds, a whole number of states
    states: np.ndarray  # (n,) true sleep stage of every STATE_SECONDS, an index into STATES
    active: np.ndarray  # (n,) bool: active wake, with open eyes, as opposed to quiet wake
    arousals: np.ndarray
    movements: np.ndarray
    apneas: np.ndarray
    limb_movements: np.ndarray
    population: Population

    def generator(self, purpose: str) -> np.random.Generator:
        """The random generator of this night for one purpose."""
        return generator(self.seed, self.number, purpose)

    def step_at(self, seconds: np.ndarray) -> np.ndarray:
        """Indices into `states` and `active` of times in seconds (n,)."""
        return np.clip((seconds / STATE_SECONDS).astype(int), 0, len(self.states) - 1)


def simulate_night(
    seed: int, number: int, subset: str, hours: float, population: Population | None = None
) -> SimulatedNight:
    """Simulate night `number` of a cohort: its subject, states and events.

    The night depends on the arguments alone, not on other nights of the cohort.
    """
    population = (population or Population()).scaled()
    subject = draw_subject(seed, number, subset, population)
    states = simulate_states(generator(seed, number, "hypnogram"), subject, hours)
    return night_of_states(seed, number, subject, states, population)


def night_of_states(
    seed: int, number: int, subject: Subject, states: np.ndarray, population: Population
) -> SimulatedNight:
    """The night of a subject with these true sleep stages (n,): simulates its events."""
    rng = generator(seed, number, "events")
    apneas = _apneas(rng, states, subject)
    spontaneous_arousals = poisson_onsets(rng, AROUSAL_GAIN[states] * subject.arousal_rate)
    apnea_arousals = apneas.sum(axis=1)[rng.random(len(apneas)) < subject.apnea_arousal]
    limb_movements = _limb_movements(generator(seed, number, "limb movements"), states, subject)
    # A third of periodic limb movements are accompanied by an arousal (Sforza et al. 1999, Neurology 52:786).
    limb_arousals = limb_movements[rng.random(len(limb_movements)) < 0.3, 0]
    # Each awakening begins with an arousal, and so do most ends of deep sleep.
    awakenings = STATE_SECONDS * (1 + np.flatnonzero((states[1:] == W) & (states[:-1] != W)))
    ends = STATE_SECONDS * (
        1 + np.flatnonzero((states[1:] < S3) & (states[1:] != W) & (states[:-1] >= S3) & (states[:-1] <= S4))
    )
    ends = ends[rng.random(len(ends)) < DEEP_SLEEP_END]
    onsets = np.sort(np.concatenate([spontaneous_arousals, apnea_arousals, awakenings, limb_arousals, ends]))
    arousals = np.stack(
        [onsets, rng.uniform(3, 14, len(onsets))], axis=1
    )  # an arousal lasts at least 3 s by definition
    movement_onsets = np.sort(
        np.concatenate([poisson_onsets(rng, MOVEMENT_RATE[states]), onsets[rng.random(len(onsets)) < 0.15]])
    )
    movements = np.stack([movement_onsets, rng.gamma(2.0, 2.5, len(movement_onsets)) + 1], axis=1)
    return SimulatedNight(
        seed=seed,
        number=number,
        subject=subject,
        duration=float(len(states) * STATE_SECONDS),
        states=states,
        active=_active_wake(rng, states),
        arousals=arousals,
        movements=movements,
        apneas=apneas,
        limb_movements=limb_movements,
        population=population,
    )


def poisson_onsets(rng: np.random.Generator, per_hour: np.ndarray) -> np.ndarray:
    """Sorted onsets in seconds (k,) of a Poisson process; `per_hour` (n,) is its rate in each `STATE_SECONDS`."""
    steps = np.repeat(np.arange(len(per_hour)), rng.poisson(per_hour * STATE_SECONDS / 3600))
    return np.sort(STATE_SECONDS * (steps + rng.random(len(steps))))


def inside_events(events: np.ndarray, seconds: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """Whether each time (n,) lies inside one of the events (k, 2), extended by `margin` seconds on both sides."""
    if len(events) == 0:
        return np.zeros(len(seconds), dtype=bool)
    events = events[np.argsort(events[:, 0])]
    onset, end = events[:, 0] - margin, np.maximum.accumulate(events.sum(axis=1)) + margin
    latest = np.searchsorted(onset, seconds, side="right") - 1
    return (latest >= 0) & (seconds < end[np.maximum(latest, 0)])


def position_changes(night: SimulatedNight) -> np.ndarray:
    """Times in seconds (k,) at which the subject changes body position: about a third of the movements."""
    return night.movements[night.generator("posture").random(len(night.movements)) < 0.3, 0]


def _apneas(rng: np.random.Generator, states: np.ndarray, subject: Subject) -> np.ndarray:
    """Apneas of 10 to 24 s in trains, one every 22 to 50 s (Guilleminault et al. 1984, Lancet 1:126)."""
    train_apneas_per_hour, train_minutes = 100.0, 8.0
    trains_per_hour = subject.apnea_index * APNEA_GAIN[states] / (train_apneas_per_hour * train_minutes / 60)
    events: list[tuple[float, float]] = []
    previous_end = 0.0
    last = len(states) * STATE_SECONDS - 60
    for start in poisson_onsets(rng, trains_per_hour):
        onset = max(start, previous_end)
        end = start + 60 * rng.exponential(train_minutes)
        while onset < min(end, last) and states[int(onset / STATE_SECONDS)] != W:
            duration = rng.uniform(10, 24)
            events.append((onset, duration))
            onset += duration + rng.uniform(12, 26)
        previous_end = onset
    return np.array(events).reshape(-1, 2)


def _limb_movements(rng: np.random.Generator, states: np.ndarray, subject: Subject) -> np.ndarray:
    """Periodic limb movements in trains of about 30, one every 20 to 40 s."""
    trains_per_hour = subject.limb_movements * LIMB_MOVEMENT_GAIN[states] / 30
    events: list[tuple[float, float]] = []
    for start in poisson_onsets(rng, trains_per_hour):
        onsets = start + np.cumsum(rng.uniform(20, 40, 1 + rng.poisson(30)))
        onsets = onsets[onsets < len(states) * STATE_SECONDS - 10]
        possible = LIMB_MOVEMENT_GAIN[states[(onsets / STATE_SECONDS).astype(int)]] > 0
        events += [(float(onset), float(rng.uniform(0.5, 5))) for onset in onsets[possible]]
    return np.array(sorted(events)).reshape(-1, 2)


def _active_wake(rng: np.random.Generator, states: np.ndarray) -> np.ndarray:
    """Active wake (n,) bool: about half of wake, in bouts of about a minute."""
    active = np.empty(len(states), dtype=bool)
    current = True
    for i, change in enumerate(rng.random(len(states)) < STATE_SECONDS / 60):
        current = not current if change else current
        active[i] = current
    return active & (states == W)
