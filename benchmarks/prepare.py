"""Costs and accuracy of sleepkd prepare, on simulated nights.

    python -m benchmarks.prepare                # all parts
    python -m benchmarks.prepare night jobs     # some of them

night    one night of 8 h, all channels at 256 Hz, heartbeats included: CPU seconds and memory
release  eight nights against the published release: each segment min-maxed and resampled by itself, all kept in memory
jobs     six nights with one job and with two
open     a store of 10,000 nights opened for training, the first time and later
exact    error of stored signals against float64; R peaks of the stored ECG against those of the recorded ECG
pairing  warnings about labels and channels that belong to the night, and about others
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sleepkd.cohorts.condition import resample_night
from sleepkd.cohorts.ecg.detect import detect_beats
from sleepkd.cohorts.find import RecordingFiles, find_recordings
from sleepkd.cohorts.layout import load_cohort
from sleepkd.cohorts.pairing import check_pairing
from sleepkd.cohorts.recording import LabelFile, Recording, read_recording
from sleepkd.cohorts.signals import open_signals
from sleepkd.data.beats import plausible_intervals
from sleepkd.data.hypnogram import Hypnogram
from sleepkd.data.recording_info import RecordingInfo, SignalInfo
from sleepkd.data.splits import write_split
from sleepkd.data.store import Store, StoreSettings
from sleepkd.data.store_writing import create_store, write_recording
from sleepkd.errors import run_command

RATE = 200.0
MANY = 10_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the named parts, by default all."""
    parts = {"night": night, "release": release, "jobs": jobs, "open": opening, "exact": exact, "pairing": pairing}
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.prepare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="parts to run; default: all")
    parser.add_argument("--as-released", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.as_released:
        return prepare_as_released(args.as_released)
    if unknown := set(args.parts) - set(parts):
        parser.error(f"no such part: {', '.join(unknown)}")
    for name in args.parts or parts:
        with tempfile.TemporaryDirectory() as folder:
            print(f"## {name}", flush=True)
            parts[name](Path(folder))


def simulate(folder: Path, nights: int, channels: str = "needed", hours: float = 8) -> Path:
    """Simulate raw nights in the layout of MASS at 256 Hz."""
    command = ["-m", "sleepkd.simulate", "--out", str(folder / "raw"), "--nights", str(nights), "--hours", str(hours)]
    run([*command, "--seed", "3", "--channels", channels, "--rate", "256", "--jobs", "2"])
    return folder / "raw"


def run(arguments: list[str]) -> tuple[float, float, float]:
    """Run Python in a process of its own; returns wall-clock seconds, CPU seconds and peak memory, MB."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([sys.executable, "-c", _WATCH, *arguments], capture_output=True, text=True)
    wall = time.monotonic() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr[-800:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, float(done.stdout.strip().splitlines()[-1])


_WATCH = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
sys.exit(code)
"""


def prepare(raw: Path, out: Path, *more: str) -> tuple[float, float, float]:
    """Run sleepkd prepare."""
    return run(["-m", "sleepkd.prepare", "--dataset", "mass", "--raw", str(raw), "--out", str(out), *more])


def night(folder: Path) -> None:
    """Cost of a night of many channels, and of starting Python."""
    raw = simulate(folder, 1, "full")
    channels = len(open_signals(next(raw.rglob("*PSG.edf")), "edf").labels)
    wall, cpu, memory = prepare(raw, folder / "store")
    _, idle, _ = run(["-m", "sleepkd.prepare", "--help"])
    print(f"{channels} channels: {wall:.1f} s, {cpu:.1f} CPU seconds ({idle:.1f} of them to start), {memory:.0f} MB")


def release(folder: Path) -> None:
    """Two and eight nights, as sleepkd prepares them and as the release does."""
    print("| nights | way | CPU seconds | MB |\n|---:|---|---:|---:|")
    took = {}
    for count in (2, 8):
        raw = simulate(folder / str(count), count)
        for way in ("as released", "sleepkd"):
            if way == "sleepkd":
                _, cpu, memory = prepare(raw, folder / str(count) / "store")
            else:
                _, cpu, memory = run(["-m", "benchmarks.prepare", "--as-released", str(raw)])
            took[count, way] = cpu
            print(f"| {count} | {way} | {cpu:.1f} | {memory:.0f} |", flush=True)
    more = {way: took[8, way] - took[2, way] for way in ("as released", "sleepkd")}
    print(f"a night takes sleepkd {more['sleepkd'] / more['as released']:.1f} times as long")


def prepare_as_released(raw: Path) -> None:
    """Min-max and resample (Fourier) each 30-s segment by itself; keep all of them as float64 in memory."""
    import mne
    from scipy.signal import resample

    segments = []
    for files in find_recordings(load_cohort("mass"), raw).recordings:
        recording = read(files)
        loaded = mne.io.read_raw_edf(files.path, preload=True, verbose="error")
        rate = loaded.info["sfreq"]
        hypnogram = recording.hypnogram
        assert hypnogram is not None, "simulated nights have labels"
        for signal in recording.signals.values():
            derived = signal.derivation.split(" - ")
            samples = loaded.get_data(derived[:1])[0] - (loaded.get_data(derived[1:])[0] if len(derived) > 1 else 0)
            for onset, duration in zip(hypnogram.onset_s, hypnogram.duration_s, strict=True):
                first = int((onset + duration / 2 - 15) * rate)
                window = samples[max(first, 0) : first + int(30 * rate)]
                if first >= 0 and len(window) == int(30 * rate):
                    window = (window - window.min()) / (np.ptp(window) or 1)
                    segments.append(resample(window, int(30 * RATE)))


def jobs(folder: Path) -> None:
    """Seconds with one job and with two."""
    raw = simulate(folder, 6)
    one, *_ = prepare(raw, folder / "one", "--jobs", "1")
    two, *_ = prepare(raw, folder / "two", "--jobs", "2")
    print(f"6 nights: {one:.1f} s with one job, {two:.1f} s with two: {one / two:.2f} times")


def opening(folder: Path) -> None:
    """Seconds to open all nights of a large store for training, in a process of its own."""
    create_store(folder, StoreSettings("many", RATE))
    labels = np.arange(960, dtype=np.int8) % 5
    hypnogram = Hypnogram(30.0 * np.arange(960), np.full(960, 30.0), labels)
    signal = SignalInfo("C3", "uV", RATE, RATE, 600, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0)
    for k in range(MANY):
        name = f"n{k:05d}"
        signals = {"eeg": signal, "ecg": signal}
        info = RecordingInfo(name, f"s{k}", "all", "aasm", "a.edf", "b.edf", 28800.0, signals, {})
        write_recording(folder, info, {"eeg": np.zeros(600, np.int16), "ecg": np.zeros(600, np.int16)}, hypnogram)
    names = Store(folder).recordings
    write_split(folder / "splits" / "default", {"train": tuple(names), "validation": (), "test": ()}, "all")
    code = (
        "import time, sys; from sleepkd.data.nights import open_nights; from sleepkd.data.data_settings import Source; "
        f"t = time.monotonic(); n = open_nights((Source({str(folder)!r}),), 'train'); "
        "print(len(n), round(time.monotonic() - t, 2))"
    )
    for which in ("the first time", "later"):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        count, seconds = done.stdout.split()
        print(f"{count} nights, {which}: {seconds} s")


def exact(folder: Path) -> None:
    """Errors between the file and the store."""
    raw = simulate(folder, 1)
    prepare(raw, folder / "store")
    (files,) = find_recordings(load_cohort("mass"), raw).recordings
    reader, stored = open_signals(files.path, "edf"), Store(folder / "store").open(files.recording)
    for name, unit in (("eeg", "uV"), ("ecg", "mV")):
        info = stored.info.signals[name]
        derived = reader.derive(files.derivations[name], unit)
        exactly = resample_night(derived.samples, derived.rate_hz, RATE)
        error = np.abs(stored.signal(name) * info.scale + info.offset - exactly)
        print(f"{name}: largest error {error.max() / info.iqr:.4%} of the night's interquartile range")
        if name == "ecg":
            peaks = detect_beats(derived.samples, derived.rate_hz, info.polarity)
            stored_peaks = detect_beats(stored.signal(name) * info.scale + info.offset, RATE, info.polarity)
            around = np.searchsorted(stored_peaks, peaks).clip(1, len(stored_peaks) - 1)[:, None] + [-1, 0]
            shift = np.abs(peaks[:, None] - stored_peaks[around]).min(axis=1)
            plausible = plausible_intervals(peaks)
            clean = np.append(True, plausible) & np.append(plausible, True)  # in noise, detectors find false peaks
            near = np.mean(shift <= 0.01)
            print(f"{len(peaks)} R peaks, {near:.2%} within 10 ms; median {1e3 * np.median(shift):.1f} ms")
            print(f"of the {clean.sum()} between plausible intervals, {np.mean(shift[clean] <= 0.01):.2%} within 10 ms")


def pairing(folder: Path) -> None:
    """How often `check_pairing` warns about labels and channels of the same night, and about others."""
    for count, hours in ((8, 7), (10, 2)):
        no_warning, shifted, others, ecg_found, eeg_accepted = ([] for _ in range(5))
        raw = simulate(folder / str(count), count, hours=hours)
        nights = [_signals_and_labels(files) for files in find_recordings(load_cohort("mass"), raw).recordings]
        for k, (eeg, ecg, rate, own) in enumerate(nights):
            no_warning.append(not check_pairing(eeg, rate, own, None))
            eeg_accepted.append(not any("heartbeats" in warning for warning in check_pairing(eeg, rate, own, None)))
            ecg_found.append(any("heartbeats" in warning for warning in check_pairing(ecg, rate, own, None)))
            for minutes in (2, 5, 10, 30):
                late = replace(own, onset_s=own.onset_s + 60 * minutes)
                shifted.append(bool(check_pairing(eeg, rate, late, None)))
            for j, (_, _, _, other) in enumerate(nights):
                if j != k and other.duration_s[0] == own.duration_s[0]:
                    others.append(bool(check_pairing(eeg, rate, other, None)))
        results = {
            "labels of the night, no warning": no_warning,
            "labels 2 to 30 min late, warning": shifted,
            "labels of another night, warning": others,
            "EEG, no warning of an ECG": eeg_accepted,
            "ECG in place of the EEG, warning": ecg_found,
        }
        for name, found in results.items():
            print(f"{hours} h: {name}: {sum(found)} of {len(found)}", flush=True)


def _signals_and_labels(files: RecordingFiles) -> tuple[np.ndarray, np.ndarray, float, Hypnogram]:
    recording = read(files)
    assert recording.hypnogram is not None, "simulated nights have labels"
    eeg, ecg = recording.signals["eeg"], recording.signals["ecg"]
    return eeg.samples, ecg.samples, eeg.rate_hz, recording.hypnogram


def read(files: RecordingFiles) -> Recording:
    """EEG, ECG and labels of a simulated night."""
    scoring, path = load_cohort("mass").scoring, files.scoring_file()
    if scoring is None or path is None:
        raise files.missing("scoring", files.scoring_names)
    derivations = {name: files.derivations[name] for name in ("eeg", "ecg")}
    labels = LabelFile(path, scoring, files.epoch_seconds)
    return read_recording(files.path, open_signals(files.path, "edf"), derivations, label_file=labels)


if __name__ == "__main__":
    run_command(main)
