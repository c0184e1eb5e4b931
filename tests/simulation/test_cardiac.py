from dataclasses import replace

import numpy as np
from scipy.signal import welch

from simulation.simulated_nights import night, rhythm
from sleepkd.simulation.cardiac import (
    ATRIAL,
    GRID_RATE,
    NORMAL,
    VENTRICULAR,
    _autonomic_states,
    simulate_cardiac_rhythm,
)
from sleepkd.simulation.simulated_night import inside_events
from sleepkd.simulation.sleep_architecture import N1, N2, REM, S3, S4, STATE_SECONDS, W

# 25th and 75th percentile of heart rate over the night's median and of RMSSD in ms, from
# ../shared/data/autonomic_by_stage.json (MIT-BIH Polysomnographic Database, ODC-BY 1.0: mostly sleepers with apnea).
QUARTILES = {
    W: ((0.960, 1.073), (18.9, 38.7)),
    N1: ((0.920, 1.038), (30.4, 56.1)),
    N2: ((0.928, 1.024), (28.7, 60.3)),
    S3: ((0.959, 1.025), (22.0, 39.1)),
    REM: ((0.962, 1.058), (17.1, 46.6)),
}


def by_30_s(one, cardiac):
    """State (S3 for N3), heart rate over the night's median, and RMSSD in ms, of every 30 s in one state (k, 3)."""
    intervals = np.diff(cardiac.beats)
    rows = []
    for i in range(0, len(one.states) - 3, 3):
        states = np.where(one.states[i : i + 3] == S4, S3, one.states[i : i + 3])
        span = slice(*np.searchsorted(cardiac.beats, [i * STATE_SECONDS, (i + 3) * STATE_SECONDS]))
        if len(set(states)) == 1 and (cardiac.kinds[span] == NORMAL).all():
            rr = intervals[span]
            rows.append((states[0], np.median(intervals) / rr.mean(), 1000 * np.sqrt(np.mean(np.diff(rr) ** 2))))
    return np.array(rows)


def test_medians_of_heart_rate_and_rmssd_with_apnea_lie_inside_the_measured_quartiles():
    nights = [night(k, apnea_share=10.0) for k in range(15)]
    assert all(one.subject.apnea_index >= 5 for one in nights)
    rows = np.concatenate([by_30_s(one, simulate_cardiac_rhythm(one)) for one in nights])
    for state, bounds in QUARTILES.items():
        medians = np.median(rows[rows[:, 0] == state, 1:], axis=0)
        for median, (low, high) in zip(medians, bounds, strict=True):
            assert low <= median <= high, (state, median, low, high)


def test_heart_rate_variability_of_healthy_sleepers_by_frequency():
    # LF/HF: about 1.2 in NREM and 3 in REM sleep (Vanoli et al. 1995, Circulation 91:1918), lower in deep sleep.
    ratios = {N2: [], S3: [], REM: []}
    for k in range(12):
        one, beats = night(k), rhythm(k).beats
        grid = np.arange(beats[1], beats[-2], 0.25)
        interval = np.interp(grid, beats[1:], np.diff(beats))
        for start in range(0, len(grid) - 1200, 1200):  # 5 minutes
            states = set(one.states[one.step_at(grid[start : start + 1200])])
            for state, wanted in ((N2, {N2}), (S3, {S3, S4}), (REM, {REM})):
                if states <= wanted:
                    f, power = welch(interval[start : start + 1200], 4.0, nperseg=600)
                    low, high = (power[(f >= a) & (f < b)].sum() for a, b in ((0.04, 0.15), (0.15, 0.4)))
                    ratios[state].append(low / high)
    medians = {state: np.median(values) for state, values in ratios.items()}
    assert 0.8 < medians[N2] < 2 and 2 < medians[REM] < 4.5 and medians[S3] < 0.8 * medians[N2], medians


def test_hf_peak_of_a_sleep_epoch_is_as_wide_in_every_sleep_stage_as_on_real_nights():
    # Medians by sleep stage on slpdb: 0.041 to 0.048 Hz; on nsr2db 0.045 Hz.
    widths = {N2: [], S3: [], REM: []}
    for k in range(6):
        one, beats = night(k), rhythm(k).beats
        interval = np.interp(np.arange(0, beats[-1], 0.25), beats[1:], np.diff(beats))
        for i in range(0, len(one.states) - 3, 3):
            states = set(np.where(one.states[i : i + 3] == S4, S3, one.states[i : i + 3]))
            window = interval[i * 40 : i * 40 + 120]
            if len(states) == 1 and states <= set(widths) and len(window) == 120:
                f, power = (
                    np.fft.rfftfreq(120, 0.25),
                    np.abs(np.fft.rfft((window - window.mean()) * np.hanning(120))) ** 2,
                )
                high = (f >= 0.15) & (f < 0.4)
                centre = np.average(f[high], weights=power[high])
                widths[states.pop()].append(np.sqrt(np.average((f[high] - centre) ** 2, weights=power[high])))
    medians = {state: np.median(values) for state, values in widths.items()}
    assert all(0.037 < median < 0.052 for median in medians.values()), medians


def test_rr_intervals_are_physiological_and_follow_the_resting_heart_rate():
    for k in range(5):
        one, cardiac = night(k), rhythm(k)
        intervals = np.diff(cardiac.beats)
        assert cardiac.beats[0] >= 0 and cardiac.beats[-1] <= one.duration
        assert intervals.min() > 0.25 and intervals.max() < 3
        assert abs(60 / np.median(intervals) / one.subject.resting_heart_rate - 1) < 0.1


def test_respiratory_sinus_arrhythmia_in_deep_sleep():
    found = []
    for k in range(6):
        one, cardiac = night(k), rhythm(k)
        normal = cardiac.kinds[1:] == NORMAL
        middle = (cardiac.beats[1:] + cardiac.beats[:-1]) / 2
        breathing = np.interp(middle, np.arange(len(cardiac.breathing)) / GRID_RATE, cardiac.breathing)
        asleep = (np.isin(one.states[one.step_at(middle)], [S3, S4]) & normal)[1:]
        # Differences of neighbouring RR intervals remove slower changes of heart rate.
        found.append(np.corrcoef(np.diff(breathing)[asleep], np.diff(cardiac.beats, n=2)[asleep])[0, 1])
    assert np.median(found) > 0.6 and min(found) > 0.2


def test_breathing_is_more_regular_in_deep_sleep_than_in_rem_sleep():
    spread = {S3: [], REM: []}
    for k in range(6):
        one, breathing = night(k), rhythm(k).breathing
        upward = np.flatnonzero((breathing[1:] > 0) & (breathing[:-1] <= 0)) / GRID_RATE
        states = one.states[one.step_at(upward[1:])]
        quiet = ~inside_events(one.apneas, upward[1:], margin=30)
        for state, values in spread.items():
            breaths = np.diff(upward)[(states == state) & quiet]
            values.append(breaths.std() / breaths.mean())
    assert np.median(spread[S3]) < 0.7 * np.median(spread[REM])


def test_autonomic_changes_lead_or_lag_cortical_ones_by_up_to_two_minutes():
    one = night(1)
    autonomic = _autonomic_states(one, round(one.duration * GRID_RATE))
    cortical = one.states[one.step_at(np.arange(len(autonomic)) / GRID_RATE)]
    changes = np.flatnonzero(np.diff(cortical)) / GRID_RATE
    differs = np.flatnonzero(autonomic != cortical) / GRID_RATE
    distance = np.abs(differs[:, None] - changes[None, :]).min(axis=1)
    assert len(differs) > 0 and distance.max() <= 120.5
    before = [autonomic[round((t + 0.5 - 3) * GRID_RATE)] == cortical[round((t + 0.5) * GRID_RATE)] for t in changes]
    assert 0.2 < np.mean(before) < 0.9  # some changes lead by three seconds or more, some do not


def test_arousals_raise_heart_rate_within_seconds():
    ratios = []
    for k in range(5):
        one, cardiac = night(k), rhythm(k)
        rate = 60 / np.diff(cardiac.beats)
        for onset in one.arousals[:, 0]:
            before, after = (
                rate[slice(*np.searchsorted(cardiac.beats, [onset + a, onset + b]))].mean()
                for a, b in ((-9, -1), (3, 9))
            )
            ratios.append(after / before)
    assert 1.04 < np.nanmedian(ratios) < 1.2


def mean_heart_rate(beats, low, high):
    return 60 / np.diff(beats[slice(*np.searchsorted(beats, [low, high]))]).mean()


def test_apnea_suspends_breathing_and_lowers_heart_rate_which_rises_at_its_end():
    apneic = next(
        one
        for one in (night(k, apnea_share=1.0) for k in range(60))
        if one.subject.apnea_index > 20 and len(one.apneas) > 30
    )
    cardiac = simulate_cardiac_rhythm(apneic)
    without_apnea = simulate_cardiac_rhythm(replace(apneic, apneas=np.empty((0, 2))))
    during, recovery, breathing = [], [], []
    for onset, duration in apneic.apneas:
        end = onset + duration
        during.append(
            mean_heart_rate(cardiac.beats, onset + 5, end) / mean_heart_rate(without_apnea.beats, onset + 5, end)
        )
        recovery.append(
            mean_heart_rate(cardiac.beats, end + 3, end + 10) / mean_heart_rate(cardiac.beats, end - 7, end)
        )
        span = slice(round((onset + 4) * GRID_RATE), round((end - 4) * GRID_RATE))
        breathing.append(cardiac.breathing[span].std() / without_apnea.breathing[span].std())
    assert np.median(during) < 0.96
    assert np.median(recovery) > 1.06
    assert np.median(breathing) < 0.2


def test_ectopic_beats_are_premature_at_the_rate_of_the_subject_with_a_compensatory_pause():
    many = replace(night(0), subject=replace(night(0).subject, ectopic_rate=60.0))
    cardiac = simulate_cardiac_rhythm(many)
    early = np.flatnonzero(cardiac.kinds != NORMAL)
    early = early[(early > 1) & (early < len(cardiac.beats) - 2)]
    intervals = np.diff(cardiac.beats)
    assert abs(len(early) / 8 - 60) < 12
    assert (intervals[early - 1] < 0.9 * intervals[early - 2]).mean() > 0.9
    assert (intervals[early] > 1.1 * intervals[early - 2]).mean() > 0.9
    assert {ATRIAL, VENTRICULAR} <= set(cardiac.kinds.tolist())
