"""Whether what lies side by side belongs together: a scoring and its signals, a heart and its channel."""

from pathlib import Path

import numpy as np

from sleepkd.cohorts.beats.detect import ENOUGH_BEATS, SLOWEST_HZ, detect_beats, plausible_share
from sleepkd.cohorts.clock import Clock, Start, seconds_between
from sleepkd.cohorts.condition import detect_polarity
from sleepkd.cohorts.labels import ScoredFile
from sleepkd.cohorts.remarks import WARNING
from sleepkd.data.hypnogram import UNSCORED, Hypnogram
from sleepkd.errors import UserError

MANY_BEYOND = 0.05
"""Of the scored sleep epochs: where more lie beyond the signals, the two may not be of one night. A scoring commonly
ends a sleep epoch or two after its signals."""
SHORT_SCORING = 0.5
"""Of the night: a scoring that spans less of it is in doubt."""


def aligned(
    scored: ScoredFile, start: Start | None, seconds: float, clock: Clock, scoring_file: Path, signals: Path
) -> tuple[Hypnogram, list[str]]:
    """The hypnogram in seconds from the first sample, as far as there are signals, and what is to be said of it.

    start: of the signals; seconds: how long they last. Raises UserError where the two are not of one night.
    """
    shift, remark = seconds_between(start, scored.start, clock, f"{signals} and {scoring_file}")
    remarks = [*scored.remarks, remark]
    onset, duration, labels = scored.hypnogram.onset_s + shift, scored.hypnogram.duration_s, scored.hypnogram.labels
    if scored.to_the_end:
        more = max(0, int((seconds - onset[-1]) / duration[-1]) - 1)
        onset = np.append(onset, onset[-1] + duration[-1] * np.arange(1, more + 1))
        duration, labels = (np.append(x, np.repeat(x[-1], more)) for x in (duration, labels))
    inside = (onset + duration > 0) & (onset < seconds)
    if not inside.any():
        raise UserError(
            f"{scoring_file}: no sleep epoch lies within the {seconds:.0f} s of {signals.name}: the scoring runs from "
            f"{onset[0]:.0f} to {onset[-1] + duration[-1]:.0f} s; are they of the same night?"
        )
    beyond = int(np.count_nonzero(~inside & (labels != UNSCORED)))
    if beyond:
        many = beyond > max(2, MANY_BEYOND * np.count_nonzero(labels != UNSCORED))
        remarks.append(f"{WARNING if many else ''}{beyond} scored sleep epochs lie beyond the signals")
    spanned = onset[-1] + duration[-1] - onset[0]
    if spanned < SHORT_SCORING * seconds:
        remarks.append(f"{WARNING}the scoring spans {spanned / 60:.0f} of {seconds / 60:.0f} minutes of signals")
    return Hypnogram(onset[inside], duration[inside], labels[inside]), remarks


def check_pairing(eeg: np.ndarray, rate_hz: float, hypnogram: Hypnogram, beats: np.ndarray | None) -> list[str]:
    """What is to be said of an EEG (samples,) beside its labels, and beside the beats (beats,) of its ECG, if any."""
    return [*_check_labels(eeg, rate_hz, hypnogram), *_check_heart(eeg, rate_hz, beats)]


# --- labels ---

LEAST_SLEEP_EPOCHS = 120
"""Fewer say nothing: an hour of 30-s ones."""
FAR_SECONDS, NEAR_SECONDS = 600.0, 7200.0
CLEARLY = 1.5
"""Labels of another night explain nearly as much as chance does, those of this night, four times as much: between
simulated nights of 7 h, 0.03 to 0.16 against 0.49 to 0.59, where chance reaches 0.07 to 0.18."""
LEAST_EXPLAINED = 0.2
"""Less than this of the band powers is in doubt whatever chance makes; a real EEG, DREAMS excerpt 3, has 0.33."""
BETTER = 0.1
BANDS_HZ = ((0.5, 4.0), (4.0, 8.0), (8.0, 11.0), (11.0, 16.0), (16.0, 30.0))


def _check_labels(eeg: np.ndarray, rate_hz: float, hypnogram: Hypnogram) -> list[str]:
    """A warning where the labels explain the EEG no better than they do elsewhere in the night, or better there."""
    power = _band_powers(eeg, rate_hz, hypnogram)
    chosen = (hypnogram.labels != UNSCORED) & np.isfinite(power).all(axis=1)
    power, labels = power[chosen], hypnogram.labels[chosen]
    if len(labels) < LEAST_SLEEP_EPOCHS or len(np.unique(labels)) < 2:
        return []
    epoch_seconds = float(np.median(hypnogram.duration_s))
    far, near = round(FAR_SECONDS / epoch_seconds), round(NEAR_SECONDS / epoch_seconds)
    n = len(labels)
    moved = {lag: _explained(power, np.roll(labels, lag)) for lag in range(-n // 2, n - n // 2)}
    here, chance = moved[0], float(np.percentile([moved[lag] for lag in moved if abs(lag) >= min(far, n // 4)], 95))
    best = max((lag for lag in moved if abs(lag) <= near), key=moved.__getitem__)
    if moved[best] > here + BETTER and moved[best] > CLEARLY * chance and abs(best) > 1:
        minutes = best * epoch_seconds / 60
        return [
            f"{WARNING}the labels fit the EEG better when moved by {minutes:+.1f} min: they explain {moved[best]:.2f} "
            f"of its band powers there, {here:.2f} where they are, check the start of the scoring"
        ]
    if here < max(CLEARLY * chance, LEAST_EXPLAINED):
        return [
            f"{WARNING}the labels explain {here:.2f} of the EEG's band powers, and {chance:.2f} by chance: is the "
            "scoring of this night?"
        ]
    return []


def _band_powers(eeg: np.ndarray, rate_hz: float, hypnogram: Hypnogram) -> np.ndarray:
    """(N, bands): log power of each sleep epoch, median over its 5-s pieces; NaN where it lies beyond the signal."""
    piece = round(5 * rate_hz)
    frequency, window = np.fft.rfftfreq(piece, 1 / rate_hz), np.hanning(piece)
    bands = np.array([(frequency >= low) & (frequency < high) for low, high in BANDS_HZ], dtype=float)
    power = np.full((len(hypnogram), len(BANDS_HZ)), np.nan)
    for k, (onset, duration) in enumerate(zip(hypnogram.onset_s, hypnogram.duration_s, strict=True)):
        first, last = round(onset * rate_hz), round((onset + duration) * rate_hz)
        if first < 0 or last > len(eeg) or last - first < piece:
            continue
        pieces = eeg[first:last][: (last - first) // piece * piece].reshape(-1, piece)
        spectrum = np.abs(np.fft.rfft((pieces - pieces.mean(axis=1, keepdims=True)) * window)) ** 2
        power[k] = np.log(np.median(spectrum, axis=0) @ bands.T + np.finfo(float).tiny)
    return power


def _explained(power: np.ndarray, labels: np.ndarray) -> float:
    """Which part of the variance of each band's power lies between labels (eta squared), a mean over bands."""
    centred = power - power.mean(axis=0)
    between = sum(np.count_nonzero(labels == k) * centred[labels == k].mean(axis=0) ** 2 for k in np.unique(labels))
    return float(np.mean(between / np.maximum((centred**2).sum(axis=0), np.finfo(float).tiny)))


# --- the heart ---

HEART, SOME_HEART = 0.5, 0.1
"""Of an EEG's variance within 0.3 s of a beat: what the mean over beats explains. A real EEG with a strong artefact of
the heart has 0.24 (DREAMS excerpt 3, an ear for reference), its ECG 0.82."""
REGULAR = 0.8
"""Of the night: where the beats found in a channel are plausible so long, it is a heart. In EEG, 0.26 to 0.37 are."""


def _check_heart(eeg: np.ndarray, rate_hz: float, beats: np.ndarray | None) -> list[str]:
    """A warning where an EEG is, or holds, the beat of a heart."""
    seconds = len(eeg) / rate_hz
    if beats is not None and plausible_share(beats, seconds) >= ENOUGH_BEATS:
        share = _beat_locked(eeg, rate_hz, beats)
        said = f"{share:.0%} of the EEG near a beat is the beat's"
        if share >= HEART:
            return [f"{WARNING}heart beats in the EEG: {said}, check its channel"]
        return [said] if share >= SOME_HEART else []
    if rate_hz <= SLOWEST_HZ:
        return []
    if plausible_share(detect_beats(eeg, rate_hz, detect_polarity(eeg, rate_hz)), seconds) >= REGULAR:
        return [f"{WARNING}heart beats in the EEG, as regular as an ECG's: were the channels exchanged?"]
    return []


def _beat_locked(eeg: np.ndarray, rate_hz: float, beats: np.ndarray) -> float:
    """Which part of the EEG's variance within 0.3 s of beats their mean explains, the loudest tenth left out."""
    half = round(0.3 * rate_hz)
    centre = np.rint(beats * rate_hz).astype(np.int64)
    centre = centre[(centre >= half) & (centre < len(eeg) - half)][:: max(1, len(beats) // 5000)]
    if not len(centre) or half < 2:
        return 0.0
    near = eeg[centre[:, None] + np.arange(-half, half)]
    near = near - near.mean(axis=1, keepdims=True)
    loudness = np.einsum("bk,bk->b", near, near)
    near = near[loudness <= np.percentile(loudness, 90)]
    total = float((near**2).sum())
    return 1 - float(((near - near.mean(axis=0)) ** 2).sum()) / total if total else 0.0
