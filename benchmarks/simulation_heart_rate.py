"""Heart rate by sleep stage: the quantities of `../shared/data/heart_by_stage.json` for real and simulated nights."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepkd.data.averaged_rate import RateDevice, averaged_rate, beats_of_rate
from sleepkd.data.beats import MAX_RR_S, MIN_RR_S
from sleepkd.data.hypnogram import UNSCORED, Hypnogram
from sleepkd.data.store import Store
from sleepkd.simulation.cardiac import simulate_cardiac_rhythm
from sleepkd.simulation.inter_rater import scorer_labels
from sleepkd.simulation.mass_layout import plan_recordings
from sleepkd.simulation.noise import generator
from sleepkd.simulation.population import Population
from sleepkd.simulation.simulated_night import simulate_night
from sleepkd.simulation.sleep_architecture import SLEEP_EPOCH_SECONDS

STEP_S = 5.0
"""Cadence of the heart rate that all quantities are computed from."""
STAGES = ("W", "N1", "N2", "N3", "R")
LONGEST_GAP_S = 20.0
TREND_STEPS = 360
"""30 minutes: the length of the running mean that `sd_without_30min_mean` and the autocorrelation subtract."""
MINUTE, TWO_MINUTES = 12, 24
MIN_STEPS = 61
"""A sleep stage with fewer steps of 5 s has no quantities; an autocorrelation takes as many pairs."""
MIN_AWAKENINGS = 2
WATCH_WINDOWS_S = (10.0, 15.0)
"""A simulated watch averages over a time in this range, which differs between nights, every 5 s, in whole numbers.

Shorter windows would show variability around 0.1 Hz that hearts have and the watch nights of `sleep_accel` do not. The
time stamp lies a window after the middle: there heart rate rises some 10 s later at an awakening than the labels say.
"""
LABEL_CODES = {"W": 0, "1": 1, "2": 2, "3": 3, "4": 3, "R": 4}
PERCENTILES = (10, 25, 50, 75, 90)


@dataclass(frozen=True)
class StagedHeartRate:
    """Heart rate on a grid of 5 s. log_rate: (n,) of beats per minute, NaN in gaps. labels: (n,), -1 is unscored."""

    log_rate: np.ndarray
    labels: np.ndarray


def staged_heart_rate(times: np.ndarray, per_minute: np.ndarray, hypnogram: Hypnogram) -> StagedHeartRate:
    """Heart rate (k,), beats per minute, at times (k,), s, with its labels, from the first to the last scored epoch."""
    grid = np.arange(np.ceil(times[0] / STEP_S) * STEP_S, times[-1], STEP_S)
    log_rate = np.interp(grid, times, np.log(per_minute))
    following = np.searchsorted(times, grid).clip(1, len(times) - 1)
    log_rate[times[following] - times[following - 1] > LONGEST_GAP_S] = np.nan
    row = np.searchsorted(hypnogram.onset_s, grid, side="right") - 1
    inside = (row >= 0) & (grid < (hypnogram.onset_s + hypnogram.duration_s)[row.clip(0)])
    labels = np.where(inside, hypnogram.labels[row.clip(0)], UNSCORED)
    scored = np.flatnonzero(labels != UNSCORED)
    span = slice(scored[0], scored[-1] + 1)
    return StagedHeartRate(log_rate[span], labels[span])


def rate_of_beats(beats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times (k,), s, and heart rate (k,) in beats per minute of the RR intervals from 0.3 to 2 s."""
    intervals = np.diff(beats)
    possible = (intervals >= MIN_RR_S) & (intervals <= MAX_RR_S)
    return ((beats[1:] + beats[:-1]) / 2)[possible], 60 / intervals[possible]


def quantities(night: StagedHeartRate) -> dict[str, float]:
    """The quantities of one night; those that it has too little data for are left out.

    All but the median heart rate and the shares are of the logarithm of heart rate.
    """
    known = np.isfinite(night.log_rate) & (night.labels != UNSCORED)
    median = float(np.median(night.log_rate[known]))
    x, labels = night.log_rate - median, night.labels
    detrended = x - _running_mean(x)
    found = {"median_heart_rate": float(np.exp(median))}
    for code, name in enumerate(STAGES):
        inside = known & (labels == code)
        found[f"{name}.share"] = float(inside.sum() / known.sum())
        if inside.sum() < MIN_STEPS:
            continue
        found[f"{name}.level"] = float(x[inside].mean())
        found[f"{name}.sd_without_30min_mean"] = float(detrended[inside].std())
        found[f"{name}.step_5s"] = float(np.abs(np.diff(x))[inside[1:] & inside[:-1]].mean())
        pairs = inside[MINUTE:] & inside[:-MINUTE]
        if pairs.sum() >= MIN_STEPS:
            both = np.corrcoef(detrended[MINUTE:][pairs], detrended[:-MINUTE][pairs])
            found[f"{name}.autocorrelation_60s"] = float(both[0, 1])
    means = np.array(
        [x[known & (labels == code)].mean() if (known & (labels == code)).any() else 0 for code in range(5)]
    )
    found["share_of_variance_by_stage"] = float(means[labels[known]].var() / x[known].var())
    nrem = np.flatnonzero(known & ((labels == 2) | (labels == 3)))
    if len(nrem) >= MIN_STEPS:
        found["slope_per_hour_in_N2_N3"] = float(np.polyfit(nrem * STEP_S / 3600, x[nrem], 1)[0])
    rises = _rises_at_waking(x, labels)
    if len(rises) >= MIN_AWAKENINGS:
        found["rise_at_waking"] = float(np.mean(rises))
    return found


def _running_mean(x: np.ndarray) -> np.ndarray:
    known, window = np.isfinite(x), np.ones(TREND_STEPS + 1)
    count = np.convolve(known, window, "same")
    return np.asarray(np.convolve(np.where(known, x, 0), window, "same") / np.maximum(count, 1))


def _rises_at_waking(x: np.ndarray, labels: np.ndarray) -> list[float]:
    """Of each awakening after two minutes of sleep: the maximum of the next minute minus the mean of the last one."""
    rises = []
    for i in np.flatnonzero(labels == 0):
        if TWO_MINUTES <= i <= len(x) - MINUTE and (labels[i - TWO_MINUTES : i] > 0).all():
            after, before = x[i : i + MINUTE], x[i - MINUTE : i]
            if np.isfinite(after).any() and np.isfinite(before).any():
                rises.append(float(np.nanmax(after) - np.nanmean(before)))
    return rises


def percentiles(nights: Iterable[Mapping[str, float]]) -> dict[str, np.ndarray]:
    """The 10th, 25th, 50th, 75th and 90th percentile over nights (5,) of every quantity."""
    rows = list(nights)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.percentile([row[name] for row in rows if name in row], PERCENTILES) for name in names}


def real_quantities(store: Path, least_known: float = 0.5) -> dict[str, dict[str, float]]:
    """The quantities of every labelled night of a store whose heart rate is known in at least half of the night."""
    opened, found = Store(store), {}
    for recording in opened.recordings:
        night = opened.open(recording)
        if night.has_labels:
            staged = staged_heart_rate(*rate_of_beats(np.asarray(night.beats())), night.hypnogram)
            if np.isfinite(staged.log_rate).mean() >= least_known:
                found[recording] = quantities(staged)
    return found


def simulated_quantities(seed: int, number: int, subset: str, hours: float, apneic: bool) -> dict[str, float]:
    """The quantities of a simulated night of AASM scoring: of a sleeper with apnea by heartbeats, else by a watch.

    Beside them `resting_heart_rate`, which the sleeper was drawn with.
    """
    night = simulate_night(seed, number, subset, hours, Population(apnea_share=10.0 if apneic else 0.0))
    beats = simulate_cardiac_rhythm(night).beats
    length = SLEEP_EPOCH_SECONDS["aasm"]
    count = int(night.duration / length)
    labels = scorer_labels(night.states, "aasm", 0.0, count, seed, number, 1)[0]
    codes = np.array([LABEL_CODES[label] for label in labels], dtype=np.int8)
    hypnogram = Hypnogram(np.arange(count) * float(length), np.full(count, float(length)), codes)
    rate = rate_of_beats(beats)
    if not apneic:
        rng = generator(seed, number, "watch")
        window = rng.uniform(*WATCH_WINDOWS_S)
        watch = RateDevice(window, STEP_S, lag_s=window)
        # A prepared store holds the heartbeats made of a watch's rate.
        rate = rate_of_beats(beats_of_rate(*averaged_rate(beats, watch)))
    drawn = {"resting_heart_rate": night.subject.resting_heart_rate}
    return quantities(staged_heart_rate(*rate, hypnogram)) | drawn


def plan(nights: int, seed: int) -> list[tuple[int, str]]:
    """Number and subset of the first nights of a simulated cohort."""
    return [(recording.night, recording.subset) for recording in plan_recordings(nights, seed)]
