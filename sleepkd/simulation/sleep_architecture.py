"""Sleep architecture: the true sleep stage of every ten seconds of a night, by a Markov chain over NREM-REM cycles.

A *state* is the true sleep stage, with S3 and S4 apart; a *label* is what a scorer assigns to a sleep epoch.
"""

import numpy as np

from sleepkd.simulation.subject import Subject

STATES = ("W", "N1", "N2", "S3", "S4", "REM")
W, N1, N2, S3, S4, REM = range(len(STATES))
STATE_SECONDS = 10  # divides the sleep epochs of both standards

SLEEP_EPOCH_SECONDS = {"aasm": 30, "rk": 20}
LABELS_BY_STATE = {"aasm": ("W", "1", "2", "3", "3", "R"), "rk": ("W", "1", "2", "3", "4", "R")}

# Target minutes of deep and of REM sleep in successive cycles of an 8-h night of a 40-year-old: deep sleep early, REM
# sleep late and longer (Carskadon & Dement, in Principles and Practice of Sleep Medicine, "Normal human sleep").
DEEP_MINUTES = (38.0, 27.0, 14.0, 6.0, 0.0, 0.0)
REM_MINUTES = (12.0, 24.0, 32.0, 38.0, 40.0, 40.0)

# Transition rates per minute, {phase: {(from, to): rate}}. Which transitions occur follows
# `../shared/data/autonomic_by_stage.json` and Kishi et al. 2008 (Am J Physiol Regul Integr Comp Physiol 294:R1980). The
# stays are longer than in that table, most of whose subjects have apnea; a high `fragmentation` comes close to it.
PHASES = ("wake", "light", "deep", "rem")
RATES = {
    "wake": {(W, N1): 0.12, (N1, W): 1.2, (N2, W): 2.0, (N2, N1): 0.5, (S3, N2): 3, (S4, S3): 3, (REM, W): 2.0},
    "light": {
        (W, N1): 1.6,
        (N1, N2): 0.53,
        (N1, W): 0.10,
        (N2, N1): 0.022,
        (N2, W): 0.025,
        (N2, S3): 0.01,
        (S3, N2): 1.5,
        (S4, S3): 2.0,
        (REM, N2): 0.8,
        (REM, W): 0.25,
        (REM, N1): 0.15,
    },
    "deep": {
        (W, N1): 1.8,
        (N1, N2): 0.8,
        (N1, W): 0.08,
        (N2, S3): 0.7,
        (N2, W): 0.02,
        (S3, S4): 0.35,
        (S3, N2): 0.12,
        (S4, S3): 0.2,
        (S4, W): 0.02,
        (S3, W): 0.03,
        (REM, N2): 1.5,
    },
    "rem": {
        (W, N1): 1.8,
        (N1, REM): 0.7,
        (N1, N2): 0.2,
        (N2, REM): 0.8,
        (S3, N2): 2.0,
        (S4, S3): 3.0,
        (REM, N1): 0.022,
        (REM, W): 0.03,
        (REM, N2): 0.02,
    },
}
# The transitions that `Subject.fragmentation` makes more frequent.
DISTURBANCES = {(N1, W), (N2, N1), (N2, W), (S3, N2), (S3, W), (S4, W), (REM, N1), (REM, W), (REM, N2)}
SHORTEST_PHASE_MINUTES = 1.5
FULL_NIGHT_HOURS = 5.5


def simulate_states(rng: np.random.Generator, subject: Subject, hours: float) -> np.ndarray:
    """Simulate one state per `STATE_SECONDS` (n,), int8: indices into `STATES`.

    A schedule of phases (wake, then cycles of light, deep, light and REM sleep, then wake) selects the transition rates
    of a Markov chain. (`yasa.simulate_hypnogram` has one transition matrix per night, hence no cycles.)

    A recording shorter than `FULL_NIGHT_HOURS` is a compressed night: sleep latency, cycles and phases shrink in
    proportion, so that two hours hold W, N1, N2, N3 and REM.
    """
    compression = min(1.0, hours / FULL_NIGHT_HOURS)
    pace = min(1 / compression, 5.0)
    matrices = np.stack([_transition_matrix(RATES[phase], subject, pace) for phase in PHASES])
    cumulative = np.cumsum(matrices, axis=2)
    phases = _phase_schedule(rng, subject, hours, compression)
    draws = rng.random(len(phases))
    states = np.empty(len(phases), dtype=np.int8)
    state = W
    for i, phase in enumerate(phases):
        states[i] = state
        state = min(int(np.searchsorted(cumulative[phase, state], draws[i], side="right")), len(STATES) - 1)
    return states


def state_shares(states: np.ndarray, standard: str, first_onset: float, count: int) -> np.ndarray:
    """Fraction of each sleep epoch that each state fills (count, 6).

    standard: "aasm" (30-s sleep epochs) or "rk" (20-s). first_onset: start of the first sleep epoch in seconds.
    The last state fills whatever outlasts the states.
    """
    length = SLEEP_EPOCH_SECONDS[standard]
    seconds = first_onset + np.arange(count * length) + 0.5
    at_second = states[np.minimum((seconds / STATE_SECONDS).astype(int), len(states) - 1)].reshape(count, length)
    return np.stack([(at_second == state).mean(axis=1) for state in range(len(STATES))], axis=1)


def _phase_schedule(rng: np.random.Generator, subject: Subject, hours: float, compression: float) -> np.ndarray:
    """The phase of every `STATE_SECONDS` (n,): indices into `PHASES`."""
    total = round(hours * 3600 / STATE_SECONDS)
    steps: list[int] = []

    def stay(phase: str, minutes: float) -> None:
        if minutes > 0:
            minutes = max(minutes * compression * np.exp(0.15 * rng.standard_normal()), SHORTEST_PHASE_MINUTES)
            steps.extend([PHASES.index(phase)] * round(minutes * 60 / STATE_SECONDS))

    stay("wake", subject.sleep_latency_minutes)
    cycle = 0
    while len(steps) < total:
        index = min(cycle, len(DEEP_MINUTES) - 1)
        deep, rem = subject.deep_gain * DEEP_MINUTES[index], subject.rem_gain * REM_MINUTES[index]
        light = max(subject.cycle_minutes - deep - rem, 25.0)
        before = 0.3 if deep else 0.5
        stay("light", before * light)
        stay("deep", deep)
        stay("light", (1 - before) * light)
        stay("rem", rem)
        if rng.random() < 0.25 * subject.fragmentation:
            stay("wake", 8.0 * subject.wake_gain)
        cycle += 1
    final_wake = round(rng.uniform(4, 15) * compression * 60 / STATE_SECONDS)
    return np.array(steps[: total - final_wake] + [PHASES.index("wake")] * final_wake)


def _transition_matrix(rates: dict[tuple[int, int], float], subject: Subject, pace: float) -> np.ndarray:
    """Transition probabilities (6, 6) per `STATE_SECONDS`, rows by present state, from rates per minute.

    pace: factor on all rates, above 1 in a compressed night.
    """
    per_step = np.zeros((len(STATES), len(STATES)))
    for (origin, target), rate in rates.items():
        gain = subject.fragmentation if (origin, target) in DISTURBANCES else 1.0
        gain /= subject.wake_gain if origin == W else 1.0
        per_step[origin, target] = rate * gain * pace * STATE_SECONDS / 60
    leaving = per_step.sum(axis=1, keepdims=True)
    probabilities = per_step / np.maximum(leaving, 1e-12) * (1 - np.exp(-leaving))
    np.fill_diagonal(probabilities, np.exp(-leaving[:, 0]))
    return probabilities
