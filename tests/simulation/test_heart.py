from dataclasses import replace

import numpy as np

from simulation.nights import heart, night
from sleepkd.simulation.heart import ATRIAL, NORMAL, RATE, VENTRICULAR, simulate_heart
from sleepkd.simulation.hypnogram import N1, N2, REM, S3, S4, STATE_SECONDS, W
from sleepkd.simulation.night import covered

# 25th and 75th percentile of heart rate over the night's median and of RMSSD in ms, from
# ../shared/data/autonomic_by_stage.json (MIT-BIH Polysomnographic Database, ODC-BY 1.0). The other measures of that
# table, which need spectra over minutes, are judged in test_judges.py.
QUARTILES = {
    W: ((0.960, 1.073), (18.9, 38.7)),
    N1: ((0.920, 1.038), (30.4, 56.1)),
    N2: ((0.928, 1.024), (28.7, 60.3)),
    S3: ((0.959, 1.025), (22.0, 39.1)),
    REM: ((0.962, 1.058), (17.1, 46.6)),
}


def by_step(one, beating):
    """State (S3 for N3), heart rate over the night's median and RMSSD in ms of each 30 s that holds one state."""
    intervals = np.diff(beating.beats)
    rows = []
    for i in range(0, len(one.states) - 3, 3):
        states = np.where(one.states[i : i + 3] == S4, S3, one.states[i : i + 3])
        piece = slice(*np.searchsorted(beating.beats, [i * STATE_SECONDS, (i + 3) * STATE_SECONDS]))
        if len(set(states)) == 1 and (beating.kinds[piece] == NORMAL).all():
            rr = intervals[piece]
            rows.append((states[0], np.median(intervals) / rr.mean(), 1000 * np.sqrt(np.mean(np.diff(rr) ** 2))))
    return np.array(rows)


def test_medians_of_heart_rate_and_rmssd_lie_inside_the_measured_quartiles():
    rows = np.concatenate([by_step(night(k), heart(k)) for k in range(15)])
    for state, bounds in QUARTILES.items():
        medians = np.median(rows[rows[:, 0] == state, 1:], axis=0)
        for median, (low, high) in zip(medians, bounds, strict=True):
            assert low <= median <= high, (state, median, low, high)


def test_beats_are_in_order_and_at_rates_that_hearts_have():
    for k in range(5):
        one, beating = night(k), heart(k)
        intervals = np.diff(beating.beats)
        assert beating.beats[0] >= 0 and beating.beats[-1] <= one.duration
        assert intervals.min() > 0.25 and intervals.max() < 3
        assert abs(60 / np.median(intervals) / one.subject.resting_heart_rate - 1) < 0.1


def test_the_heart_follows_breathing():
    found = []
    for k in range(6):
        one, beating = night(k), heart(k)
        normal = beating.kinds[1:] == NORMAL
        middle = (beating.beats[1:] + beating.beats[:-1]) / 2
        breathing = np.interp(middle, np.arange(len(beating.breathing)) / RATE, beating.breathing)
        asleep = (np.isin(one.states[one.step_at(middle)], [S3, S4]) & normal)[1:]
        # Of neighbouring intervals, so that slower changes of the heart rate do not blur it.
        found.append(np.corrcoef(np.diff(breathing)[asleep], np.diff(beating.beats, n=2)[asleep])[0, 1])
    assert np.median(found) > 0.6 and min(found) > 0.2


def test_breathing_is_steadier_in_deep_sleep_than_in_rem_sleep():
    spread = {S3: [], REM: []}
    for k in range(6):
        one, breathing = night(k), heart(k).breathing
        upward = np.flatnonzero((breathing[1:] > 0) & (breathing[:-1] <= 0)) / RATE
        states = one.states[one.step_at(upward[1:])]
        quiet = ~covered(one.apneas, upward[1:], margin=30)
        for state, values in spread.items():
            breaths = np.diff(upward)[(states == state) & quiet]
            values.append(breaths.std() / breaths.mean())
    assert np.median(spread[S3]) < 0.7 * np.median(spread[REM])


def test_autonomic_changes_lead_or_lag_the_cortical_ones_within_two_minutes():
    from sleepkd.simulation.heart import _autonomic_states

    one = night(1)
    autonomic = _autonomic_states(one, round(one.duration * RATE))
    cortical = one.states[one.step_at(np.arange(len(autonomic)) / RATE)]
    changes = np.flatnonzero(np.diff(cortical)) / RATE
    differs = np.flatnonzero(autonomic != cortical) / RATE
    away = np.abs(differs[:, None] - changes[None, :]).min(axis=1)
    assert len(differs) > 0 and away.max() <= 120.5
    before = [autonomic[round((t + 0.5 - 3) * RATE)] == cortical[round((t + 0.5) * RATE)] for t in changes]
    assert 0.2 < np.mean(before) < 0.9  # some changes lead by three seconds or more, some do not


def test_an_arousal_quickens_the_heart_within_seconds():
    ratios = []
    for k in range(5):
        one, beating = night(k), heart(k)
        rate = 60 / np.diff(beating.beats)
        for onset in one.arousals[:, 0]:
            before, after = (
                rate[slice(*np.searchsorted(beating.beats, [onset + a, onset + b]))].mean()
                for a, b in ((-9, -1), (3, 9))
            )
            ratios.append(after / before)
    assert 1.04 < np.nanmedian(ratios) < 1.2


def mean_rate(beats, low, high):
    return 60 / np.diff(beats[slice(*np.searchsorted(beats, [low, high]))]).mean()


def test_apnea_stops_breath_and_slows_the_heart_and_its_end_quickens_it():
    apneic = next(night(k) for k in range(60) if night(k).subject.apnea_index > 20 and len(night(k).apneas) > 30)
    beating = simulate_heart(apneic)
    freely = simulate_heart(replace(apneic, apneas=np.empty((0, 2))))
    slowing, quickening, breath = [], [], []
    for onset, duration in apneic.apneas:
        end = onset + duration
        slowing.append(mean_rate(beating.beats, onset + 5, end) / mean_rate(freely.beats, onset + 5, end))
        quickening.append(mean_rate(beating.beats, end + 3, end + 10) / mean_rate(beating.beats, end - 7, end))
        piece = slice(round((onset + 4) * RATE), round((end - 4) * RATE))
        breath.append(beating.breathing[piece].std() / freely.breathing[piece].std())
    assert np.median(slowing) < 0.96
    assert np.median(quickening) > 1.06
    assert np.median(breath) < 0.2


def test_ectopic_beats_come_early_at_the_subjects_rate_and_a_pause_follows():
    many = replace(night(0), subject=replace(night(0).subject, ectopic_rate=60.0))
    beating = simulate_heart(many)
    early = np.flatnonzero(beating.kinds != NORMAL)
    early = early[(early > 1) & (early < len(beating.beats) - 2)]
    intervals = np.diff(beating.beats)
    assert abs(len(early) / 8 - 60) < 12
    assert (intervals[early - 1] < 0.9 * intervals[early - 2]).mean() > 0.9
    assert (intervals[early] > 1.1 * intervals[early - 2]).mean() > 0.9
    assert {ATRIAL, VENTRICULAR} <= set(beating.kinds.tolist())
