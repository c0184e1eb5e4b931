"""Pulse waves of a PPG against the R peaks of the same night."""

import numpy as np
import pytest

from sleepkd.cohorts.ecg.detect import detect_beats
from sleepkd.cohorts.pulse import detect_pulses, find_pulse_beats
from sleepkd.cohorts.signals import DerivedSignal, open_signals
from sleepkd.errors import UserError
from tests.cohorts.raw import DREAMS, needs_dreams
from tests.data.stored import hypnogram

pytest.importorskip("neurokit2")


def pulses(beats: np.ndarray, seconds: float, rate_hz: float) -> np.ndarray:
    """A PPG (samples,): a systolic peak 0.3 s after each beat, and a smaller diastolic one."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    ppg = np.zeros(len(t))
    for beat in beats:
        near = slice(*np.searchsorted(t, (beat, beat + 1.2)))
        after = t[near] - beat
        ppg[near] += np.exp(-0.5 * ((after - 0.3) / 0.07) ** 2) + 0.3 * np.exp(-0.5 * ((after - 0.6) / 0.08) ** 2)
    return ppg


def matched(found: np.ndarray, beats: np.ndarray, tolerance_s: float) -> float:
    """F1 of detections, each counted once, within a tolerance of a beat."""
    nearest = np.abs(found[:, None] - beats[None]).argmin(axis=1)
    hits = len(np.unique(nearest[np.abs(found - beats[nearest]) <= tolerance_s]))
    return 2 * hits / (len(found) + len(beats))


def test_every_pulse_is_found_where_the_ppg_is_there():
    beats = np.cumsum(np.random.default_rng(0).normal(0.95, 0.05, 700))
    ppg = pulses(beats, 660, 64) + np.random.default_rng(1).normal(0, 0.02, 660 * 64)
    ppg[300 * 64 : 340 * 64] = 0.0  # off
    found = find_pulse_beats(DerivedSignal(ppg, 64.0, "BVP", "arbitrary"), hypnogram(30.0 * np.arange(22)))
    there = beats[(beats < 299) | ((beats > 340.5) & (beats < 659))]
    assert matched(found.times - 0.3, there, 0.03) > 0.985
    assert not ((found.times > 300.5) & (found.times < 339.5)).any()
    assert found.quality[2] > 0.95 and found.quality[10] < 0.1
    assert found.info.source == "neurokit2, PPG"


def test_a_slow_ppg_has_no_beats_and_says_why():
    found = find_pulse_beats(DerivedSignal(np.zeros(6000), 10.0, "x", ""), hypnogram([0.0]))
    assert found.times is None and "a PPG of 10 Hz is too slow for pulse waves" in found.remarks[0]


def test_without_neurokit2_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("sleepkd.extras.find_spec", lambda module: None)
    with pytest.raises(UserError, match=r"pip install 'sleepkd\[ppg\]'"):
        detect_pulses(DerivedSignal(np.zeros(6000), 64.0, "x", ""))


@needs_dreams
def test_real_pulses_follow_real_r_peaks():
    """Half an hour at 50 Hz; the monitor delays its pulse wave by about half a second."""
    file = open_signals(DREAMS / "excerpt3.edf", "edf")
    ppg, ecg = (file.channel(list(file.labels).index(name)).samples for name in ("PULSE", "ECG"))
    found = detect_pulses(DerivedSignal(ppg, 50.0, "PULSE", "arbitrary"))
    beats = detect_beats(ecg, 50.0, -1)
    assert matched(found - 0.52, beats, 0.15) > 0.985
