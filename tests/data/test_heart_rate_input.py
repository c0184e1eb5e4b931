"""Heartbeats and averaged heart rates are recognised, with their cadence, on real nights and on averages of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from launch import REPOSITORY
from sleepkd.cohorts.beats.beat_layout import BeatLayout
from sleepkd.cohorts.beats.wfdb_beats import read_wfdb_beats
from sleepkd.data.averaged_rate import RateDevice, averaged_rate, beats_of_rate
from sleepkd.data.heart_rate_input import beats_cadence, rate_cadence

DATA = REPOSITORY.parent / "shared" / "data"
RECORDINGS = ("slpdb/slp32.ecg", "slpdb/slp60.ecg", "apnea_ecg/a19.qrs", "apnea_ecg/x28.qrs", "apnea_ecg/c04.qrs")
"""Those with most and with least equal consecutive RR intervals."""
WATCH_NIGHTS = ("1066528", "7749105", "8692923")
"""With repeated time stamps, with long gaps, and a usual one."""


def given(path: Path) -> Path:
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    return path


def real_beats() -> Iterator[np.ndarray]:
    for name in RECORDINGS:
        yield read_wfdb_beats(given(DATA / name), BeatLayout(("x",), "wfdb")).times


def test_real_heartbeats_are_heartbeats() -> None:
    for beats in real_beats():
        rates = 60 / np.diff(beats)
        assert beats_cadence(beats) == 0
        assert rate_cadence(beats[1:], rates) == 0  # a row at the end of each interval
        assert rate_cadence(beats[:-1], rates.round()) == 0  # or at its beginning, in whole numbers


@pytest.mark.parametrize("name", WATCH_NIGHTS)
def test_a_watch_averages_over_about_5_s(name: str) -> None:
    path = given(DATA / "sleep_accel" / "heart_rate" / f"{name}_heartrate.txt")
    times, rates = np.loadtxt(path, delimiter=",").T
    assert rate_cadence(times, rates) == pytest.approx(5, abs=0.1)
    assert beats_cadence(beats_of_rate(*sorted_table(times, rates))) == pytest.approx(5, abs=1.5)


def sorted_table(times: np.ndarray, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(times, kind="stable")
    return times[order], rates[order]


@pytest.mark.parametrize("rounding", [0.0, 1.0])
@pytest.mark.parametrize("cadence_s", [1.0, 5.0, 15.0, 30.0, 60.0])
def test_averages_of_real_heartbeats_have_their_cadence(cadence_s: float, rounding: float) -> None:
    for real in real_beats():
        times, rates = averaged_rate(real, RateDevice(cadence_s, cadence_s, rounding))
        assert rate_cadence(times, rates) == pytest.approx(cadence_s)
        every_second = np.arange(times[0], times[-1])  # the last value again and again
        held = rates[np.searchsorted(times, every_second, side="right") - 1]
        assert rate_cadence(every_second, held) == pytest.approx(cadence_s)
        made = beats_of_rate(times, rates)
        if cadence_s >= 5:
            assert beats_cadence(made) == pytest.approx(cadence_s, rel=0.06)
            assert beats_cadence(made.round(3)) == pytest.approx(cadence_s, rel=0.06)
        else:
            assert beats_cadence(made) == 0  # an average over one beat is a heartbeat


def test_rr_intervals_that_repeat_an_averaged_rate_have_its_cadence() -> None:
    rates = np.random.default_rng(0).uniform(50, 70, 400).round()
    intervals = np.repeat(60 / rates, np.round(30 * rates / 60).astype(int))
    assert beats_cadence(np.cumsum(intervals.round(3))) == pytest.approx(30, rel=0.03)


def test_gaps_and_missing_values_do_not_change_the_cadence() -> None:
    rng = np.random.default_rng(1)
    times = np.arange(0.0, 20000.0, 15.0)
    rates = rng.uniform(50, 70, len(times))
    rates[::7], rates[::11] = np.nan, 0
    kept = (times < 6000) | (times > 9000)
    shuffled = rng.permutation(np.flatnonzero(kept))
    assert rate_cadence(times[shuffled], rates[shuffled]) == 15
    assert beats_cadence(beats_of_rate(times[kept], rng.uniform(50, 70, kept.sum()))) == pytest.approx(15, rel=0.05)


def test_an_instantaneous_rate_at_4_hz_counts_as_heartbeats_and_a_held_one_does_not() -> None:
    rng = np.random.default_rng(2)
    times = np.arange(0, 3600, 0.25)
    assert rate_cadence(times, 60 + np.cumsum(rng.normal(0, 0.1, len(times)))) == 0
    assert rate_cadence(times, np.repeat(rng.uniform(50, 70, 120), 120)) == pytest.approx(30)


def test_a_rate_near_60_every_second_is_an_average() -> None:
    rates = np.random.default_rng(3).normal(60, 1.5, 3000)
    assert rate_cadence(np.arange(3000.0), rates) == 1


def test_too_few_values_count_as_heartbeats() -> None:
    assert rate_cadence(np.array([0.0, 5.0]), np.array([60.0, 61.0])) == 0
    assert rate_cadence(np.zeros(0), np.zeros(0)) == 0
    assert beats_cadence(np.zeros(0)) == 0 and beats_cadence(np.arange(10.0)) == 0
    assert beats_cadence(np.arange(0, 300, 10.0)) == 0  # no plausible interval
    assert beats_cadence(np.arange(600.0)) == 599  # one value throughout
