"""Checks of the simulated sensors that read the files of a cohort, and its true heartbeats and apneas.

    python -m benchmarks.simulation_sensors --work /tmp/simulation --nights 20 --real ../shared/data/sleep_accel

simulates 20 nights of 8 h with all sensors in the work folder (once) and prints the result of each check.
`--write docs/simulation.md` replaces the tables between the two marks in that document.
"""

import argparse
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import mne
import numpy as np
from edfio import read_edf
from scipy.signal import butter, csd, find_peaks, sosfiltfilt, welch

from benchmarks.nearest import nearest, to_nearest
from benchmarks.simulation_recordings import LABELS, read_labels
from benchmarks.simulation_rr_intervals import EPOCH
from sleepkd.cohorts.pulse import detect_pulses
from sleepkd.cohorts.signals import DerivedSignal
from sleepkd.simulation.cardiac import simulate_cardiac_rhythm
from sleepkd.simulation.cohort import write_cohort
from sleepkd.simulation.movement import simulate_activity
from sleepkd.simulation.population import Population
from sleepkd.simulation.sensor_channels import CHANNELS_OF_SENSORS, MOTION, SENSOR_KINDS, simulate_sensors
from sleepkd.simulation.simulated_night import simulate_night

BEGIN, END = "<!-- sensors -->", "<!-- end of sensors -->"
RATE_BY_STAGE = {"W": 1.02, "N1": 0.95, "N2": 0.95, "N3": 0.92, "R": 1.0}
"""Respiratory rate relative to REM sleep (Bartsch et al. 2014, Comput Cardiol 41:781, table 1)."""
SPREAD_BY_STAGE = {"W": 0.15, "N1": 0.10, "N2": 0.06, "N3": 0.035, "R": 0.13}
"""Standard deviation of the logarithm of successive breaths: `autonomic.BREATH_SPREAD`."""
RUNNING_BREATHS = 15
"""The irregularity of breathing is its deviation from the median of so many breaths."""
HEALTHY_INDEX = 5.0
"""Apneas per hour; sleepers with more are left out where healthy ones are described."""
COUNT_NIGHTS = 60
"""Nights of healthy sleepers, without signals, whose activity counts are compared."""
PULSE_S, MATCH_S = 0.02, 0.15
GRID_HZ = 4.0
CODES = {"0": 0, "1": 1, "2": 2, "3": 3, "4": 3, "5": 4}
"""The labels of `sleep_accel`."""


# ---- respiration -----------------------------------------------------------------------------------------------------


def breaths_of(belt: np.ndarray, rate: float) -> np.ndarray:
    """Times in seconds (k,) of the ends of inspiration in a belt (samples,)."""
    filtered = sosfiltfilt(butter(2, (0.1, 0.7), "bandpass", fs=rate, output="sos"), belt)
    depth = np.median(np.abs(filtered))
    peaks, _ = find_peaks(filtered, distance=round(1.5 * rate), prominence=0.7 * depth)
    return np.asarray(peaks / rate)


def breathing_by_stage(breaths: np.ndarray, onset: float, labels: np.ndarray) -> dict[str, tuple[float, float]]:
    """By sleep stage: breaths per minute, and standard deviation of their logarithm without its running median."""
    intervals, middle = np.diff(breaths), (breaths[1:] + breaths[:-1]) / 2
    log = np.log(intervals)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(log, RUNNING_BREATHS // 2, mode="edge"), RUNNING_BREATHS)
    deviation = log - np.median(windows, axis=1)
    row = np.floor((middle - onset) / EPOCH).astype(int)
    inside = (row >= 0) & (row < len(labels))
    stage = np.where(inside, labels[row.clip(0, len(labels) - 1)], -1)
    found = {}
    for k, name in enumerate(LABELS):
        of_stage = (stage == k) & (np.abs(deviation) < 1)
        if of_stage.sum() >= 50:
            found[name] = (60 / float(np.median(intervals[of_stage])), float(np.std(deviation[of_stage])))
    return found


def sinus_arrhythmia(belt: np.ndarray, rate: float, beats: np.ndarray) -> tuple[float, float]:
    """Phase in degrees by which heart rate leads the belt at the breathing rate, and their coherence there."""
    grid = np.arange(beats[1], beats[-1], 1 / GRID_HZ)
    heart_rate = np.interp(grid, (beats[1:] + beats[:-1]) / 2, 1 / np.diff(beats))
    volume = np.interp(grid, np.arange(len(belt)) / rate, belt)
    f, cross = csd(volume, heart_rate, GRID_HZ, nperseg=256)
    power = [welch(x, GRID_HZ, nperseg=256)[1] for x in (volume, heart_rate)]
    band = np.flatnonzero((f > 0.15) & (f < 0.4))
    at = band[power[0][band].argmax()]
    return float(np.degrees(np.angle(cross[at]))), float(np.abs(cross[at]) ** 2 / (power[0][at] * power[1][at]))


def effort_in_apneas(signals: Mapping[str, np.ndarray], rate: float, apneas: np.ndarray) -> dict[str, float]:
    """Size in apneas (k, 2) relative to before, by channel, and correlation of thorax and abdomen; medians."""
    found: dict[str, list[float]] = {name: [] for name in (*signals, "correlation")}
    band = butter(2, (0.1, 1.0), "bandpass", fs=rate, output="sos")
    filtered = {name: sosfiltfilt(band, samples) for name, samples in signals.items()}
    for onset, duration in apneas:
        inside = slice(round((onset + 3) * rate), round((onset + duration - 2) * rate))
        before = slice(round((onset - 12) * rate), round((onset - 2) * rate))
        if before.start < 0:
            continue
        for name, samples in filtered.items():
            found[name].append(float(samples[inside].std() / samples[before].std()))
        found["correlation"].append(float(np.corrcoef(filtered["thorax"][inside], filtered["abdomen"][inside])[0, 1]))
    return {name: float(np.median(values)) if values else float("nan") for name, values in found.items()}


# ---- oximetry --------------------------------------------------------------------------------------------------------


def dips(spo2: np.ndarray, onsets: np.ndarray, durations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fall of SpO2 (samples,), one per second, after each onset (k,), and seconds from the end to its lowest value.

    NaN where the sensor was loose.
    """
    depth, lag = np.full(len(onsets), np.nan), np.full(len(onsets), np.nan)
    for k, (onset, duration) in enumerate(zip(onsets, durations, strict=True)):
        first, last = int(onset), int(onset + duration)
        before, after = spo2[first : first + 15], spo2[first + 10 : last + 40]
        if len(after) and (before > 0).all() and (after > 0).all():
            depth[k] = before.max() - after.min()
            lag[k] = first + 10 + np.flatnonzero(after == after.min()).mean() - last
    return depth, lag


# ---- pulse -----------------------------------------------------------------------------------------------------------


def pulse_agreement(pulses: np.ndarray, beats: np.ndarray, clean: np.ndarray) -> tuple[float, float, float]:
    """Mean delay in s of pulse waves (k,) after R peaks (beats,), the share within 20 ms of it, and F1 within 150 ms.

    clean: whether each R peak (beats,) is artifact-free; others are not counted.
    """
    following = np.searchsorted(pulses, beats + 0.1)
    known = following < len(pulses)
    delay = float(np.median(pulses[following[known]] - beats[known]))
    error = to_nearest(beats, pulses - delay)
    hits = clean & (np.abs(error) < MATCH_S)
    mean = float(error[hits].mean())
    within = float((np.abs(error[hits] - mean) < PULSE_S).mean())
    of_clean = clean[nearest(pulses - delay, beats)]
    false = int((of_clean & (np.abs(to_nearest(pulses - delay, beats)) >= MATCH_S)).sum())
    missed = int((clean & (np.abs(error) >= MATCH_S)).sum())
    return delay + mean, within, float(2 * hits.sum() / (2 * hits.sum() + missed + false))


# ---- movement --------------------------------------------------------------------------------------------------------


def real_counts(folder: Path) -> dict[str, np.ndarray]:
    """Activity counts per 30 s by sleep stage of the nights of `sleep_accel`."""
    found: dict[str, list[float]] = {name: [] for name in LABELS}
    for path in sorted((folder / "activity").glob("*_activity.csv")):
        counts = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
        lines = (folder / "labels" / f"{path.name.split('_')[0]}_labeled_sleep.txt").read_text().split("\n")
        labels = {float(line.split()[0]): line.split()[1] for line in lines if line.strip()}
        for onset, count in counts:
            if (code := CODES.get(labels.get(onset, ""))) is not None:
                found[LABELS[code]].append(count)
    return {name: np.array(values) for name, values in found.items()}


def counts_by_stage(path: Path, onset: float, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Simulated activity counts by sleep stage: each count has the label of its middle."""
    times, counts = np.loadtxt(path, delimiter=",", skiprows=1).T
    row = np.floor((times + EPOCH / 2 - onset) / EPOCH).astype(int)
    inside = (row >= 0) & (row < len(labels))
    stage = np.where(inside, labels[row.clip(0, len(labels) - 1)], -1)
    return {name: counts[stage == k] for k, name in enumerate(LABELS)}


def simulated_counts(raw: Path) -> dict[str, np.ndarray]:
    """The same of a simulated cohort."""
    nights = [
        counts_by_stage(path, *read_labels(path.with_name(path.name.replace("Activity.csv", "PSG.edf"))))
        for path in sorted(raw.glob("SS*_EDF/* Activity.csv"))
    ]
    return {name: np.concatenate([night[name] for night in nights]) for name in LABELS}


def describe_counts(counts: np.ndarray) -> str:
    """Share of zero counts, and the quartiles and the 90th percentile."""
    quarters = " / ".join(f"{value:.2f}" for value in np.percentile(counts, (25, 50, 75, 90)))
    return f"{(counts == 0).mean():.2f}; {quarters}"


# ---- report ----------------------------------------------------------------------------------------------------------


def main() -> None:
    """Simulate the cohort unless it exists, measure it, and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, metavar="FOLDER", help="folder of the simulated cohort")
    parser.add_argument("--nights", type=int, default=20, metavar="COUNT", help="number of recordings (default: 20)")
    parser.add_argument("--hours", type=float, default=8.0, metavar="HOURS", help="hours per recording (default: 8)")
    parser.add_argument("--seed", type=int, default=0, metavar="SEED", help="random seed (default: 0)")
    parser.add_argument("--real", type=Path, metavar="FOLDER", help="sleep_accel with its folder activity")
    parser.add_argument("--write", type=Path, metavar="FILE", help="document whose tables are replaced")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    mne.set_log_level("ERROR")
    raw = options.work / f"sensors-{options.nights}x{options.hours:g}-{options.seed}"
    if not raw.exists():
        write_cohort(raw, options.nights, options.hours, options.seed, channels="needed", sensors=SENSOR_KINDS)
    activity = options.work / f"activity-{COUNT_NIGHTS}x{options.hours:g}-{options.seed}"
    if not activity.exists():
        healthy = Population(apnea_share=0)
        write_cohort(
            activity, COUNT_NIGHTS, options.hours, options.seed, channels="beats", population=healthy, sensors=[MOTION]
        )
    text = report(raw, activity, options.real)
    print(text)
    if options.write:
        before, rest = options.write.read_text().split(BEGIN)
        options.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


def report(raw: Path, activity: Path, real: Path | None) -> str:
    """The tables of `docs/simulation.md` in Markdown."""
    nights = [measure(psg) for psg in sorted(raw.glob("SS*_EDF/*PSG.edf"))]
    rows = _respiration_rows(nights) + _apnea_rows(nights) + _pulse_rows(nights)
    rows.append(("all sensors, 8 h", "≤ 0.5 s of one core", f"{sensor_seconds():.2f} s of CPU time"))
    table = ["| check | target | measured |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    truth, simulated = real_counts(real) if real else {}, simulated_counts(activity)
    table += ["", "Share of zero counts; quartiles and 90th percentile of the counts per 30 s:", ""]
    table += ["| sleep stage | `sleep_accel` | simulated |", "|---|---|---|"]
    for name in LABELS:
        known = describe_counts(truth[name]) if truth else ""
        table.append(f"| {name} | {known} | {describe_counts(simulated[name])} |")
    return "\n".join(table)


@dataclass(frozen=True)
class SensorMeasures:
    """What the checks measure on one night.

    healthy: fewer than `HEALTHY_INDEX` apneas per hour. breathing: `breathing_by_stage`. arrhythmia: phase in degrees
    and coherence, None in atrial fibrillation. obstructive, central: `effort_in_apneas`. dips: `dips` of its apneas.
    quiet: the same far from apneas. pulse: `pulse_agreement`.
    """

    healthy: bool
    breathing: dict[str, tuple[float, float]]
    arrhythmia: tuple[float, float] | None
    obstructive: dict[str, float]
    central: dict[str, float]
    dips: tuple[np.ndarray, np.ndarray]
    quiet: np.ndarray
    pulse: tuple[float, float, float]


def measure(psg: Path) -> SensorMeasures:
    """The measures of one recording."""
    name = psg.name[:10]
    truth = np.load(psg.parents[1] / "truth" / f"{name}.npz")
    lines = [line.split("\t") for line in (psg.parents[1] / "participants.tsv").read_text().splitlines()]
    row = next(dict(zip(lines[0], line, strict=True)) for line in lines if line[0] == name)
    edf = read_edf(psg)
    signals = {kind: edf.get_signal(channel.label).data for kind, channel in CHANNELS_OF_SENSORS.items()}
    # The digital steps of an EDF file turn 93 % into 92.999 %.
    rate, spo2 = CHANNELS_OF_SENSORS["thorax"].rate, np.rint(signals["spo2"])
    onset, labels = read_labels(psg)
    beats, apneas, central = truth["beats"], truth["apneas"], truth["central"]
    belts = {kind: signals[kind] for kind in ("thorax", "abdomen", "airflow")}
    regular = row["fibrillation"] == "no"
    ppg = DerivedSignal(signals["ppg"], CHANNELS_OF_SENSORS["ppg"].rate, "Pleth", "mV")
    times = np.arange(600.0, len(spo2) - 600, 97)
    ends = apneas.sum(axis=1)
    if len(apneas):
        times = times[(np.abs(to_nearest(times, np.sort(np.concatenate([apneas[:, 0], ends])))) > 120)]
    normal = truth["clean"] & (truth["kinds"] == 0) & (beats > 5) & (beats < len(spo2) - 5)
    return SensorMeasures(
        healthy=float(row["apnea_index"]) < HEALTHY_INDEX,
        breathing=breathing_by_stage(breaths_of(signals["thorax"], rate), onset, labels),
        arrhythmia=sinus_arrhythmia(signals["thorax"], rate, beats) if regular else None,
        obstructive=effort_in_apneas(belts, rate, apneas[~central]),
        central=effort_in_apneas(belts, rate, apneas[central]),
        dips=dips(spo2, apneas[:, 0], apneas[:, 1]),
        quiet=dips(spo2, times, np.full(len(times), 17.0))[0],
        pulse=pulse_agreement(detect_pulses(ppg), beats, normal),
    )


def _respiration_rows(nights: Sequence[SensorMeasures]) -> list[tuple[str, str, str]]:
    """Rate and irregularity of breathing by sleep stage, and respiratory sinus arrhythmia."""
    healthy = [night.breathing for night in nights if night.healthy]
    relative = {k: [x[k][0] / x["R"][0] for x in healthy if k in x and "R" in x] for k in LABELS}
    spread = {k: [x[k][1] for x in healthy if k in x] for k in LABELS}
    rates = [night["N2"][0] for night in healthy if "N2" in night]
    arrhythmia = np.array([night.arrhythmia for night in nights if night.arrhythmia])
    return [
        ("breaths per minute in N2, healthy nights", "12 to 20", f"{min(rates):.1f} to {max(rates):.1f}"),
        ("the same relative to REM sleep", _each(RATE_BY_STAGE) + ", each ± .05", _each(_medians(relative))),
        ("standard deviation of log breaths", _each(SPREAD_BY_STAGE) + ", each ± a third", _each(_medians(spread))),
        (
            "heart rate against the thorax belt, at the breathing rate",
            "degrees: median within 30",
            _median(arrhythmia[:, 0]),
        ),
        ("", "median coherence ≥ .5", f"{np.median(arrhythmia[:, 1]):.2f}"),
    ]


def _apnea_rows(nights: Sequence[SensorMeasures]) -> list[tuple[str, str, str]]:
    """Airflow, effort and oxygen saturation in apneas."""
    obstructive, central = (
        {name: float(np.nanmedian([getattr(night, kind)[name] for night in nights])) for name in nights[0].obstructive}
        for kind in ("obstructive", "central")
    )
    depth, lag, quiet = (
        np.concatenate(parts)
        for parts in zip(*((night.dips[0], night.dips[1], night.quiet) for night in nights), strict=True)
    )
    lag, known = lag[depth >= 3], np.isfinite(depth)
    return [
        (
            "airflow in obstructive and in central apneas, relative to before",
            "≤ .1",
            f"{obstructive['airflow']:.2f}, {central['airflow']:.2f}",
        ),
        ("thorax in obstructive apneas, relative to before", ".3 to 1", f"{obstructive['thorax']:.2f}"),
        ("thorax in central apneas, relative to before", "≤ .1", f"{central['thorax']:.2f}"),
        ("thorax and abdomen in obstructive apneas", "correlation below -.5", f"{obstructive['correlation']:.2f}"),
        ("apneas with a fall of SpO2 by 3 % or more", "≥ .7", f"{np.mean(depth[known] >= 3):.2f}"),
        ("times far from apneas with such a fall", "≤ .02", f"{np.mean(quiet[np.isfinite(quiet)] >= 3):.3f}"),
        ("fall of SpO2 at apneas, %", "median 3 to 8", _median(depth[known])),
        ("seconds from their end to the lowest SpO2", "10 to 30", _median(lag)),
    ]


def _pulse_rows(nights: Sequence[SensorMeasures]) -> list[tuple[str, str, str]]:
    """Pulse waves that the detector of `prepare` finds against R peaks."""
    delay, within, f1 = np.array([night.pulse for night in nights]).T
    return [
        ("delay of the pulse after the R peak", "0.2 to 0.5 s", f"{delay.min():.2f} to {delay.max():.2f} s"),
        (
            "pulse peaks within 20 ms of R peak and mean delay",
            "≥ .9",
            f"{np.median(within):.3f}, lowest {within.min():.3f}",
        ),
        ("F1 of pulse waves against R peaks, artifact-free", "≥ .98", f"{np.median(f1):.4f}, lowest {f1.min():.4f}"),
    ]


def sensor_seconds() -> float:
    """Seconds of one core to simulate all sensors of an 8-h night: best of three."""
    night = simulate_night(0, 0, "SS1", 8.0)
    rhythm = simulate_cardiac_rhythm(night)
    seconds = []
    for _ in range(3):
        began = time.process_time()
        simulate_sensors(night, rhythm, SENSOR_KINDS)
        simulate_activity(night)
        seconds.append(time.process_time() - began)
    return min(seconds)


def _medians(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: float(np.median(of_stage)) for name, of_stage in values.items()}


def _each(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in values.items())


def _median(values: np.ndarray) -> str:
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.0f}, quartiles {low:.0f} and {high:.0f}"


if __name__ == "__main__":
    main()
