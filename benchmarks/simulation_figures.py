"""The figures of `docs/simulation.md`: one simulated night, and ten seconds of each sleep stage."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import sleepecg
from scipy.ndimage import median_filter
from scipy.signal import spectrogram

from benchmarks.simulation_recordings import LABELS, read_ecg, read_labels, read_recording
from benchmarks.simulation_rr_intervals import EPOCH

SCALES = {
    "EEG": 100,
    "EEG O1-LER": 100,
    "EOG Left Horiz": 150,
    "EOG Right Horiz": 150,
    "EMG Chin1": 100,
    "ECG ECGI": 1500,
}
"""Channels of `draw_stages`, and the microvolts between two traces."""


def draw_night(paths: tuple[Path, ...], target: Path) -> None:
    """Draw hypnogram, heart rate and spectrogram of the first SS3 night."""
    psg = next(path for path in paths if "SS3" in str(path))
    raw, labels = read_recording(psg)
    onset, _ = read_labels(psg)
    rate = raw.info["sfreq"]
    ecg, _ = read_ecg(psg)
    beats = sleepecg.detect_heartbeats(ecg, rate) / rate - onset
    f, t, power = spectrogram(raw.get_data("EEG")[0] * 1e6, rate, nperseg=round(4 * rate), noverlap=0)
    power = power[:, : power.shape[1] // 8 * 8].reshape(len(f), -1, 8).mean(axis=2)  # of half a minute
    figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(12, 8), sharex=True, layout="constrained")
    height = np.array([np.nan, 4, 2, 1, 0, 3])[labels + 1]  # W at the top, REM below it
    top.step(np.arange(len(labels)) * EPOCH / 3600, height, where="post", lw=0.8)
    top.set_yticks([4, 3, 2, 1, 0], ["W", "REM", "N1", "N2", "N3"])
    middle.plot(beats[1:] / 3600, median_filter(60 / np.diff(beats), 15), lw=0.5)
    middle.set(ylabel="heart rate (1/min)", ylim=(40, 110))
    bottom.pcolormesh(t[: power.shape[1] * 8 : 8] / 3600, f, 10 * np.log10(power), vmin=-15, vmax=25, rasterized=True)
    bottom.set(ylim=(0, 30), ylabel="frequency (Hz)", xlabel=f"hours, {psg.name[:10]}")
    figure.savefig(target, dpi=90)


def draw_stages(paths: tuple[Path, ...], target: Path) -> None:
    """Draw ten seconds of EEG, EOG, EMG and ECG in each sleep stage of the first SS3 night."""
    raw, labels = read_recording(next(path for path in paths if "SS3" in str(path)))
    figure, axes = plt.subplots(len(LABELS), 1, figsize=(12, 16), sharex=True, layout="constrained")
    for label, axis in enumerate(axes):
        steady = (labels == label) & (np.roll(labels, 1) == label) & (np.roll(labels, -1) == label)
        start = np.flatnonzero(steady)[steady.sum() // 2] * EPOCH + 10
        for trace, (channel, scale) in enumerate(SCALES.items()):
            signal = raw.get_data(channel, tmin=start, tmax=start + 10)[0] * 1e6
            axis.plot(
                np.arange(len(signal)) / raw.info["sfreq"], (signal - np.median(signal)) / scale - trace, lw=0.6, c="k"
            )
        axis.set(ylabel=LABELS[label], ylim=(-len(SCALES) + 0.2, 0.8))
        axis.set_yticks(-np.arange(len(SCALES)), [f"{name} ({scale} uV)" for name, scale in SCALES.items()])
    axes[-1].set_xlabel("seconds; the distance between traces is the microvolts in brackets")
    figure.savefig(target, dpi=80)
