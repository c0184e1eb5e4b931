from dataclasses import replace

import numpy as np
import pytest

from sleepkd.simulation.noise import generator
from sleepkd.simulation.population import Population
from sleepkd.simulation.sleep_architecture import N1, N2, REM, S3, S4, STATE_SECONDS, W, simulate_states, state_shares
from sleepkd.simulation.subject import draw_subject

SUBJECT = draw_subject(0, 0, "SS3", Population())

TYPICAL = {"cycle_minutes": 95.0, "wake_gain": 1.0}


def simulate(hours, count=20, **traits):
    subject = replace(SUBJECT, age=40.0, deep_gain=1.0, rem_gain=1.0, fragmentation=1.0, **(TYPICAL | traits))
    return [simulate_states(generator(1, k, "hypnogram"), subject, hours) for k in range(count)]


def test_one_state_every_ten_seconds_beginning_and_ending_in_wake():
    for states in simulate(8, 5):
        assert len(states) == 8 * 360
        assert states[0] == W and (states[-12:] == W).mean() > 0.5


def test_sleep_stage_percentages_of_a_healthy_adult_are_normal():
    # Ohayon et al. 2004: at 40, of sleep, N1 5-10 %, N2 50 %, N3 15-20 %, REM 20-25 %; efficiency about 88 %.
    states = np.concatenate(simulate(8))
    asleep = states != W
    assert 0.80 < asleep.mean() < 0.95
    share = {name: np.isin(states[asleep], values).mean() for name, values in
             {"N1": [N1], "N2": [N2], "N3": [S3, S4], "REM": [REM]}.items()}  # fmt: skip
    assert 0.04 < share["N1"] < 0.16
    assert 0.38 < share["N2"] < 0.60
    assert 0.12 < share["N3"] < 0.26
    assert 0.15 < share["REM"] < 0.28


def test_deep_sleep_is_early_and_rem_sleep_late():
    nights = np.stack(simulate(8))
    early, late = nights[:, : 4 * 360], nights[:, 4 * 360 :]
    assert np.isin(early, [S3, S4]).mean() > 2.5 * np.isin(late, [S3, S4]).mean()
    assert (late == REM).mean() > 1.7 * (early == REM).mean()


def test_rem_sleep_recurs_in_four_to_six_cycles():
    counts = []
    for states in simulate(8):
        minutes = np.flatnonzero(states == REM) * STATE_SECONDS / 60
        counts.append(1 + (np.diff(minutes) > 30).sum())
    assert 4 <= np.median(counts) <= 6


def test_sleep_latency_is_that_of_the_subject():
    def latency(minutes):
        return np.median([np.argmax(states == N2) for states in simulate(8, sleep_latency_minutes=minutes)]) / 6

    assert latency(5.0) < latency(20.0) - 8 < latency(40.0) - 20


def test_fragmentation_increases_awakenings():
    def awakenings(gain):
        subject = replace(SUBJECT, fragmentation=gain)
        nights = [simulate_states(generator(2, k, "hypnogram"), subject, 8) for k in range(10)]
        return sum(((s[1:] == W) & (s[:-1] != W)).sum() for s in nights)

    assert awakenings(2.0) > 1.4 * awakenings(0.7)


@pytest.mark.parametrize(("hours", "present"), [(2.0, 19), (1.0, 17)])
def test_compressed_night_holds_every_sleep_stage(hours, present):
    complete = [{W, N1, N2, S3, REM} <= set(states) for states in simulate(hours)]
    assert sum(complete) >= present


def test_twenty_minutes_hold_at_least_four_sleep_stages():
    assert all(len({min(s, S3) if s in (S3, S4) else s for s in states}) >= 4 for states in simulate(0.3))


def test_state_shares_are_the_fractions_of_each_sleep_epoch():
    states = np.array([N2, N2, REM, REM, REM, REM])
    shares = state_shares(states, "aasm", 0.0, 2)
    assert shares.sum(axis=1) == pytest.approx(1)
    assert shares[0, [N2, REM]] == pytest.approx([2 / 3, 1 / 3]) and shares[1, REM] == 1
    assert state_shares(states, "rk", 10.0, 2)[:, [N2, REM]] == pytest.approx(np.array([[0.5, 0.5], [0, 1]]))
    assert state_shares(states, "aasm", 5.0, 1)[0, [N2, REM]] == pytest.approx([0.5, 0.5])


def test_last_state_fills_a_sleep_epoch_that_outlasts_the_states():
    assert state_shares(np.array([W, W, W, N2]), "aasm", 15.0, 2)[:, N2] == pytest.approx([0.5, 1])
