"""Checks that files belong together: labels and EEG of one night, and an EEG channel that is not an ECG."""

import numpy as np

from sleepkd.cohorts.condition import detect_polarity
from sleepkd.cohorts.ecg.detect import ENOUGH_BEATS, SLOWEST_HZ, detect_beats, plausible_share
from sleepkd.cohorts.remarks import WARNING
from sleepkd.data.hypnogram import UNSCORED, Hypnogram

SCORED_SIGNAL = "eeg"
"""The kind of signal that scorers look at: labels of a night explain its band powers."""


def check_pairing(eeg: np.ndarray, rate_hz: float, hypnogram: Hypnogram, beats: np.ndarray | None) -> list[str]:
    """Remarks on an EEG (samples,) and its labels, and on the EEG and the beats (beats,), s, of its ECG, if any."""
    return [*_check_labels(eeg, rate_hz, hypnogram), *_check_heartbeats(eeg, rate_hz, beats)]


# --- labels ---

LEAST_SLEEP_EPOCHS = 120
"""Fewer labels are not checked: an hour of 30-s sleep epochs."""
FAR_SECONDS, NEAR_SECONDS = 600.0, 7200.0
CLEARLY = 1.5
"""Labels must explain so many times more than chance. Labels of another night explain about as much as chance, those of
the same night four times as much: in simulated nights of 7 h, 0.03 to 0.16 and 0.49 to 0.59, with chance at 0.07 to
0.18."""
LEAST_EXPLAINED = 0.2
"""Labels that explain less are in doubt whatever chance reaches. In a real EEG, DREAMS excerpt 3, they explain 0.33."""
BETTER = 0.1
"""Labels are taken as shifted if they explain so much more elsewhere."""
BANDS_HZ = ((0.5, 4.0), (4.0, 8.0), (8.0, 11.0), (11.0, 16.0), (16.0, 30.0))


def _check_labels(eeg: np.ndarray, rate_hz: float, hypnogram: Hypnogram) -> list[str]:
    """A warning if shifted labels explain the EEG as well as these, or clearly better."""
    power = _band_powers(eeg, rate_hz, hypnogram)
    chosen = (hypnogram.labels != UNSCORED) & np.isfinite(power).all(axis=1)
    power, labels = power[chosen], hypnogram.labels[chosen]
    if len(labels) < LEAST_SLEEP_EPOCHS or len(np.unique(labels)) < 2:
        return []
    epoch_seconds = float(np.median(hypnogram.duration_s))
    far, near = round(FAR_SECONDS / epoch_seconds), round(NEAR_SECONDS / epoch_seconds)
    n = len(labels)
    shares = _explained_by_lag(power, labels)
    moved = {lag: float(shares[lag]) for lag in range(-n // 2, n - n // 2)}
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
    """(N, bands): log power of each sleep epoch, median over its 5-s pieces; NaN for an epoch beyond the signal."""
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


def _explained_by_lag(power: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The share of the variance of band power between labels (eta squared), a mean over bands: (N,), by lag.

    Lag k moves the labels by k sleep epochs, the last ones to the beginning. The sums of power by label and lag are
    circular correlations.
    """
    centred = power - power.mean(axis=0)
    one_hot = labels[:, None] == np.unique(labels)
    spectra = np.fft.rfft(one_hot, axis=0).conj()[:, :, None] * np.fft.rfft(centred, axis=0)[:, None]
    sums = np.fft.irfft(spectra, len(labels), axis=0)  # (lag, label, band)
    between = (sums**2 / one_hot.sum(axis=0)[:, None]).sum(axis=1)
    return np.asarray((between / np.maximum((centred**2).sum(axis=0), np.finfo(float).tiny)).mean(axis=1))


# --- heartbeats in the EEG ---

MOSTLY_ECG, SOME_ECG = 0.5, 0.1
"""Share of an EEG's variance within 0.3 s of a beat that the mean over beats explains. It is 0.22 in a real EEG with a
strong cardiac artefact (DREAMS excerpt 3, earlobe reference), and 0.82 in its ECG."""
REGULAR = 0.8
"""A channel whose detected beats are plausible for a larger share of the night is an ECG. In EEG, 0.26 to 0.37 are."""


def _check_heartbeats(eeg: np.ndarray, rate_hz: float, beats: np.ndarray | None) -> list[str]:
    """A warning if an EEG is an ECG or contains one, a remark on a strong cardiac artefact."""
    seconds = len(eeg) / rate_hz
    if beats is not None and plausible_share(beats, seconds) >= ENOUGH_BEATS:
        share = _beat_locked(eeg, rate_hz, beats)
        explained = f"heartbeats explain {share:.0%} of the EEG near them"
        if share >= MOSTLY_ECG:
            return [f"{WARNING}{explained}, check its channel"]
        return [explained] if share >= SOME_ECG else []
    if rate_hz <= SLOWEST_HZ:
        return []
    if plausible_share(detect_beats(eeg, rate_hz, detect_polarity(eeg, rate_hz)), seconds) >= REGULAR:
        return [f"{WARNING}heartbeats in the EEG, as regular as an ECG's: were the channels exchanged?"]
    return []


def _beat_locked(eeg: np.ndarray, rate_hz: float, beats: np.ndarray) -> float:
    """The share of an EEG's variance within 0.3 s of beats that their mean explains, without the loudest tenth."""
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
