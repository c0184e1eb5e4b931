import numpy as np

from simulation.simulated_nights import night
from sleepkd.simulation.noise import generator
from sleepkd.simulation.simulated_night import inside_events, poisson_onsets, simulate_night
from sleepkd.simulation.sleep_architecture import N2, S4, STATE_SECONDS, W


def test_inside_events_equals_a_loop_over_the_events():
    rng = np.random.default_rng(0)
    events = np.stack([rng.uniform(0, 100, 12), rng.uniform(0, 15, 12)], axis=1)
    seconds = rng.uniform(-5, 120, 500)
    for margin in (0.0, 2.0):
        expected = [any(o - margin <= t < o + d + margin for o, d in events) for t in seconds]
        assert inside_events(events, seconds, margin).tolist() == expected
    assert not inside_events(np.empty((0, 2)), seconds).any()


def test_poisson_onsets_have_the_given_rate_in_each_step():
    per_hour = np.repeat([0.0, 120.0], 3600)
    onsets = poisson_onsets(generator(0, 0, "test"), per_hour)
    assert abs(len(onsets) / (120 * 10) - 1) < 0.1
    assert onsets.min() >= 3600 * STATE_SECONDS and (np.diff(onsets) >= 0).all()


def test_the_seed_determines_the_night():
    first, second, other = (simulate_night(seed, 3, "SS3", 2.0) for seed in (1, 1, 2))
    assert first.subject == second.subject and (first.states == second.states).all()
    assert np.array_equal(first.arousals, second.arousals)
    assert first.subject != other.subject and not np.array_equal(first.states, other.states)


def test_subjects_differ_and_have_the_ages_of_their_subset():
    subjects = {name: [simulate_night(0, k, name, 0.3).subject for k in range(40)] for name in ("SS1", "SS2")}
    assert min(s.age for s in subjects["SS1"]) >= 55 and max(s.age for s in subjects["SS2"]) <= 33
    for trait in ("resting_heart_rate", "hrv_gain", "alpha_frequency", "spindle_frequency", "eeg_gain"):
        clipped = trait in ("resting_heart_rate", "alpha_frequency")  # two subjects may share an extreme value
        assert len({getattr(s, trait) for s in subjects["SS1"]}) >= 40 - clipped
    assert {s.ecg_polarity for s in subjects["SS1"]} == {-1, 1} and {s.sex for s in subjects["SS1"]} == {"F", "M"}
    assert np.mean([s.slow_wave_gain for s in subjects["SS1"]]) < np.mean([s.slow_wave_gain for s in subjects["SS2"]])


def test_apneas_occur_in_subjects_with_apnea_and_in_sleep_only():
    rates = {True: [], False: []}
    for number in range(40):
        one = night(number, 4.0, apnea_share=0.5)
        asleep = (one.states != W).sum() * STATE_SECONDS / 3600
        rates[one.subject.apnea_index > 5].append(len(one.apneas) / asleep)
        onsets = one.apneas[:, 0] if len(one.apneas) else np.array([])
        assert (one.states[one.step_at(onsets)] != W).all()
    assert np.mean(rates[True]) > 8 > 3 > np.mean(rates[False])


def test_arousals_are_rare_in_deep_sleep_and_movements_most_frequent_in_wake():
    counts = np.zeros((2, 6))
    hours = np.zeros(6)
    for number in range(10):
        one = night(number)
        hours += np.bincount(one.states, minlength=6) * STATE_SECONDS / 3600
        for row, events in enumerate((one.arousals, one.movements)):
            counts[row] += np.bincount(one.states[one.step_at(events[:, 0])], minlength=6)
    arousals, movements = counts / hours
    assert arousals[S4] < 0.6 * arousals[N2]
    assert movements[W] > 4 * movements[N2]


def test_active_wake_is_about_half_of_wake():
    states, active = (np.concatenate([getattr(night(k), name) for k in range(10)]) for name in ("states", "active"))
    assert not active[states != W].any()
    assert 0.3 < active[states == W].mean() < 0.7
