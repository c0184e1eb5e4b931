"""What happens in a night besides sleep stages: the events that heart, muscles and brain share."""

from dataclasses import dataclass

import numpy as np

from sleepkd.simulation.hypnogram import STATE_SECONDS, W, simulate_states
from sleepkd.simulation.noise import generator
from sleepkd.simulation.population import Population
from sleepkd.simulation.subject import Subject, draw_subject

# By state W, N1, N2, S3, S4, REM: arousals relative to the subject's rate, few in deep sleep and most in light sleep
# (Bonnet & Arand 2007, J Clin Sleep Med 3:271).
AROUSAL_GAIN = np.array([0.0, 1.5, 1.0, 0.35, 0.2, 1.1])
# Body movements per hour by state: chiefly in wake (Wilde-Frenz & Schulz 1983, Percept Mot Skills 56:275).
MOVEMENT_RATE = np.array([40.0, 8.0, 3.0, 1.0, 0.6, 5.0])
# Apneas relative to the subject's index: deep sleep protects (Ratnavadivel et al. 2009, J Clin Sleep Med 5:519).
LIMB_MOVEMENT_GAIN = np.array([0.0, 1.2, 1.2, 0.5, 0.3, 0.0])
APNEA_GAIN = np.array([0.0, 1.2, 1.1, 0.4, 0.2, 1.3])


@dataclass(frozen=True)
class Night:
    """One subject's night. Events are (k, 2): onset and duration in seconds from the start of the recording."""

    seed: int
    number: int
    subject: Subject
    duration: float  # seconds, a whole number of states
    states: np.ndarray  # (n,) one per STATE_SECONDS
    active: np.ndarray  # (n,) bool: awake with open eyes and moving, not at rest
    arousals: np.ndarray
    movements: np.ndarray
    apneas: np.ndarray
    limb_movements: np.ndarray
    population: Population

    def generator(self, purpose: str) -> np.random.Generator:
        """Random numbers of this night for one purpose."""
        return generator(self.seed, self.number, purpose)

    def step_at(self, seconds: np.ndarray) -> np.ndarray:
        """Index into `states` and `active` of each time (n,)."""
        return np.clip((seconds / STATE_SECONDS).astype(int), 0, len(self.states) - 1)


def simulate_night(seed: int, number: int, subset: str, hours: float, population: Population | None = None) -> Night:
    """The night `number` of a cohort: it depends on (seed, number), its subset, and the population it is drawn from."""
    population = (population or Population()).scaled()
    subject = draw_subject(seed, number, subset, population)
    states = simulate_states(generator(seed, number, "hypnogram"), subject, hours)
    rng = generator(seed, number, "events")
    apneas = _apneas(rng, states, subject)
    spontaneous = poisson_onsets(rng, AROUSAL_GAIN[states] * subject.arousal_rate)
    ends = apneas.sum(axis=1)[rng.random(len(apneas)) < subject.apnea_arousal]
    limb_movements = _limb_movements(generator(seed, number, "limb movements"), states, subject)
    # A third of periodic limb movements come with an arousal (Sforza et al. 1999, Neurology 52:786).
    kicked = limb_movements[rng.random(len(limb_movements)) < 0.3, 0]
    # A shift from sleep to wake begins with an arousal, too.
    awakenings = STATE_SECONDS * (1 + np.flatnonzero((states[1:] == W) & (states[:-1] != W)))
    onsets = np.sort(np.concatenate([spontaneous, ends, awakenings, kicked]))
    arousals = np.stack([onsets, rng.uniform(3, 14, len(onsets))], axis=1)  # 3 s at least, by definition
    moves = np.sort(
        np.concatenate([poisson_onsets(rng, MOVEMENT_RATE[states]), onsets[rng.random(len(onsets)) < 0.15]])
    )
    movements = np.stack([moves, rng.gamma(2.0, 2.5, len(moves)) + 1], axis=1)
    return Night(
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
    """Onsets in seconds (k,), sorted, of events that come `per_hour` times in each state step (n,)."""
    steps = np.repeat(np.arange(len(per_hour)), rng.poisson(per_hour * STATE_SECONDS / 3600))
    return np.sort(STATE_SECONDS * (steps + rng.random(len(steps))))


def covered(events: np.ndarray, seconds: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """Whether each time (n,) lies inside one of the events (k, 2), widened by `margin` seconds on either side."""
    if len(events) == 0:
        return np.zeros(len(seconds), dtype=bool)
    events = events[np.argsort(events[:, 0])]
    onset, end = events[:, 0] - margin, np.maximum.accumulate(events.sum(axis=1)) + margin
    latest = np.searchsorted(onset, seconds, side="right") - 1
    return (latest >= 0) & (seconds < end[np.maximum(latest, 0)])


def _apneas(rng: np.random.Generator, states: np.ndarray, subject: Subject) -> np.ndarray:
    """Apneas in trains, one every 40 to 60 s, 12 to 30 s long (Guilleminault et al. 1984, Lancet 1:126)."""
    in_train = 60.0  # trains hold about this many an hour; they come often enough to give the subject's index
    train_minutes = 8.0
    hourly = subject.apnea_index * APNEA_GAIN[states] / (in_train * train_minutes / 60)
    events: list[tuple[float, float]] = []
    free = 0.0
    last = len(states) * STATE_SECONDS - 60
    for start in poisson_onsets(rng, hourly):
        onset = max(start, free)
        end = start + 60 * rng.exponential(train_minutes)
        while onset < min(end, last) and states[int(onset / STATE_SECONDS)] != W:
            duration = rng.uniform(12, 30)
            events.append((onset, duration))
            onset += duration + rng.uniform(22, 38)
        free = onset
    return np.array(events).reshape(-1, 2)


def _limb_movements(rng: np.random.Generator, states: np.ndarray, subject: Subject) -> np.ndarray:
    """Kicks in trains, one every 20 to 40 s, in NREM sleep above all (Zucconi et al. 2006, Sleep Med 7:175)."""
    hourly = subject.limb_movements * LIMB_MOVEMENT_GAIN[states] / 30  # trains hold about 30
    events: list[tuple[float, float]] = []
    for start in poisson_onsets(rng, hourly):
        kicks = start + np.cumsum(rng.uniform(20, 40, 1 + rng.poisson(30)))
        kicks = kicks[kicks < len(states) * STATE_SECONDS - 10]
        asleep = LIMB_MOVEMENT_GAIN[states[(kicks / STATE_SECONDS).astype(int)]] > 0
        events += [(float(kick), float(rng.uniform(0.5, 5))) for kick in kicks[asleep]]
    return np.array(sorted(events)).reshape(-1, 2)


def turns(night: Night) -> np.ndarray:
    """When the sleeper turns over, s (k,): at about a third of the movements."""
    return night.movements[night.generator("posture").random(len(night.movements)) < 0.3, 0]


def _active_wake(rng: np.random.Generator, states: np.ndarray) -> np.ndarray:
    """Where the subject is awake with eyes open: about half of wake, in stretches of a minute; never in sleep."""
    active = np.empty(len(states), dtype=bool)
    now = True
    for i, change in enumerate(rng.random(len(states)) < STATE_SECONDS / 60):
        now = not now if change else now
        active[i] = now
    return active & (states == W)
