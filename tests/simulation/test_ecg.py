from dataclasses import replace

import numpy as np
import pytest

from simulation.simulated_nights import night, rhythm
from sleepkd.simulation.cardiac import VENTRICULAR, simulate_cardiac_rhythm
from sleepkd.simulation.ecg import artifact_free, lead_off_events, simulate_ecg
from sleepkd.simulation.sleep_architecture import STATE_SECONDS

RATE = 256
HOURS = 1.0
NUMBERS = range(8)


@pytest.fixture(scope="module")
def signals():
    return {k: simulate_ecg(night(k, HOURS), rhythm(k, HOURS), RATE, "ECGI") for k in NUMBERS}


def around(signal, seconds, reach):
    """Samples around each time in seconds (k, 2 reach + 1)."""
    centre = np.rint(seconds * RATE).astype(int)
    centre = centre[(centre > reach) & (centre < len(signal) - reach)]
    return signal[centre[:, None] + np.arange(-reach, reach + 1)]


def test_r_wave_peaks_at_the_true_beat_with_the_polarity_of_the_subject(signals):
    polarities = set()
    for k, signal in signals.items():
        one, cardiac = night(k, HOURS), rhythm(k, HOURS)
        usable = artifact_free(one, cardiac.beats) & (cardiac.kinds != VENTRICULAR)
        waves = one.subject.ecg_polarity * around(signal, cardiac.beats[usable], 25)
        waves -= np.median(waves, axis=1, keepdims=True)
        assert (np.abs(waves.argmax(axis=1) - 25) <= 1).mean() > 0.99
        assert 0.3 < np.median(waves.max(axis=1)) < 2.5  # millivolt
        polarities.add(one.subject.ecg_polarity)
    assert polarities == {-1, 1}


def test_sleepecg_detects_the_true_beats(signals):
    from sleepecg import detect_heartbeats

    for k, signal in signals.items():
        beats = rhythm(k, HOURS).beats
        usable = artifact_free(night(k, HOURS), beats) & (beats > 3) & (beats < HOURS * 3600 - 3)
        found = detect_heartbeats(signal, RATE) / RATE
        distance = np.abs(found[:, None] - beats[None, :])
        assert (distance.min(axis=0)[usable] < 0.1).mean() >= 0.99
        assert (distance.min(axis=1) < 0.1)[usable[distance.argmin(axis=1)]].mean() >= 0.99


def test_p_and_t_waves_surround_the_r_wave_and_the_qt_interval_shortens_with_heart_rate():
    one = replace(night(0, HOURS), subject=replace(night(0, HOURS).subject, ecg_polarity=1, ecg_shape=(0.0,) * 5))
    signal, beats = simulate_ecg(one, rhythm(0, HOURS), RATE, "ECGI"), rhythm(0, HOURS).beats
    usable = artifact_free(one, beats) & (rhythm(0, HOURS).kinds == 0)
    intervals = np.diff(beats, prepend=np.nan)
    t_times = []
    for low, high in ((0, 40), (60, 100)):
        chosen = (
            usable & (intervals > np.nanpercentile(intervals, low)) & (intervals < np.nanpercentile(intervals, high))
        )
        mean = around(signal, beats[chosen], 120).mean(axis=0)
        mean -= mean[100:108].mean()
        assert mean[60:95].max() > 0.05 * mean[120]  # P
        assert mean[150:240].max() > 0.15 * mean[120]  # T
        t_times.append(mean[150:240].argmax())
    assert t_times[0] < t_times[1]


def test_ventricular_beat_is_wide_and_has_no_p_wave():
    one = replace(night(1, HOURS), subject=replace(night(1, HOURS).subject, ecg_polarity=1))
    beats = rhythm(1, HOURS)
    kinds = np.zeros_like(beats.kinds)
    kinds[::10] = VENTRICULAR
    signal = simulate_ecg(one, replace(beats, kinds=kinds), RATE, "ECGI")
    usable = artifact_free(one, beats.beats)
    mean = {kind: around(signal, beats.beats[usable & (kinds == kind)], 60).mean(axis=0) for kind in (0, VENTRICULAR)}
    width = {kind: (m > m.max() / 2).sum() for kind, m in mean.items()}
    assert width[VENTRICULAR] > 2 * width[0]
    p_wave = {kind: m[8:30].max() - m[36:44].mean() for kind, m in mean.items()}
    assert p_wave[VENTRICULAR] < 0.3 * p_wave[0]


def test_muscle_noise_is_higher_in_active_wake_but_overlaps_with_sleep(signals):
    active, asleep = [], []
    for k, signal in signals.items():
        one = night(k, HOURS)
        high = np.diff(signal.astype(float), n=2)[: len(one.states) * STATE_SECONDS * RATE - 2560]
        # The median of the absolute second difference ignores the QRS complexes.
        level = np.median(np.abs(high[: len(high) // 2560 * 2560].reshape(-1, 2560)), axis=1)
        active.extend(level[one.active[: len(level)]] / np.median(level))
        asleep.extend(level[one.states[: len(level)] > 0] / np.median(level))
    assert np.median(active) > 1.3 * np.median(asleep)
    assert np.percentile(active, 20) < np.percentile(asleep, 90)


def test_lead_off_hides_the_qrs_complexes_and_is_excluded_as_an_artifact():
    one, events = next(
        (night(k), events) for k in range(20) if len(events := lead_off_events(night(k))) > 1 and events[0, 1] > 10
    )
    onset, duration = events[0]
    beats = simulate_cardiac_rhythm(one)
    signal = one.subject.ecg_polarity * simulate_ecg(one, beats, RATE, "ECGI")
    inside = (beats.beats > onset + 1) & (beats.beats < onset + duration - 1)
    outside = artifact_free(one, beats.beats) & (beats.beats < onset)
    r_wave = [around(signal, beats.beats[which], 30).mean(axis=0) for which in (inside, outside)]
    assert np.ptp(r_wave[0]) < 0.7 * np.ptp(r_wave[1])
    assert not artifact_free(one, np.array([onset, onset + duration / 2, onset + duration])).any()
    assert artifact_free(one, np.linspace(0, one.duration, 1000)).mean() > 0.7


def test_leads_differ_in_shape_and_share_the_beats(signals):
    one, beats = night(3, HOURS), rhythm(3, HOURS)
    second = simulate_ecg(one, beats, RATE, "ECGII")
    usable = beats.beats[artifact_free(one, beats.beats)]
    first, second = (one.subject.ecg_polarity * around(x, usable, 60).mean(axis=0) for x in (signals[3], second))
    assert abs(first.argmax() - second.argmax()) <= 1
    assert second.max() > 1.08 * first.max()


def test_baseline_wanders_with_breathing(signals):
    one, beats = night(0, HOURS), rhythm(0, HOURS)
    grid = np.arange(0, HOURS * 3600 - 1, 0.25)
    quiet = artifact_free(one, grid)
    baseline = np.median(signals[0][: len(grid) * 64].reshape(-1, 64), axis=1)[quiet]
    correlation = np.corrcoef(baseline, beats.breathing[: len(grid)][quiet])[0, 1]
    assert one.subject.ecg_polarity * correlation > 0.3
