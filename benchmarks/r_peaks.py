"""R peaks found in means of several samples against R peaks found in every sample, both against the true beats.

    python -m benchmarks.r_peaks
    python -m benchmarks.r_peaks --nights 4 --noise 0 0.3

On simulated nights of two hours, with white noise of so many mV added. A beat counts as found if an R peak is less
than 0.1 s away. Jitter is the standard deviation of that distance, less its median by night.
"""

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.nearest import to_nearest
from sleepkd.cohorts.ecg import detector_rate
from sleepkd.cohorts.ecg.detect import detect_beats
from sleepkd.cohorts.ecg.detector_rate import samples_per_mean
from sleepkd.errors import run_command
from sleepkd.simulation.cardiac import simulate_cardiac_rhythm
from sleepkd.simulation.ecg import artifact_free, simulate_ecg
from sleepkd.simulation.simulated_night import simulate_night

HOURS = 2.0
RATES = (256, 500)
NEAR_S = 0.1
EDGE_S = 3.0
"""Not counted at both ends, where the detector learns."""
SUBSETS = ("SS1", "SS2", "SS3", "SS4", "SS5")


class KnownEcg(NamedTuple):
    """An ECG (samples,), mV, whose R waves point up, its true beats (beats,), s, and which are in no artifact."""

    ecg: np.ndarray
    beats: np.ndarray
    clean: np.ndarray


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.r_peaks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nights", type=int, default=16, metavar="N", help="number of nights; default: 16")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.15], metavar="MV", help="default: 0 0.15")
    args = parser.parse_args(arguments)
    print("| ECG | samples per mean | sensitivity, clean beats | in artifacts | precision | jitter, ms | seconds |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    enough_hz = detector_rate.ENOUGH_HZ
    for rate_hz in RATES:
        known = list(simulated(args.nights, rate_hz))
        for noise_mv in args.noise:
            for limit in (math.inf, enough_hz):
                detector_rate.ENOUGH_HZ = limit
                scores = " | ".join(found_beats(known, rate_hz, noise_mv))
                print(f"| {rate_hz} Hz, noise {noise_mv:g} mV | {samples_per_mean(rate_hz)} | {scores} |", flush=True)


def simulated(nights: int, rate_hz: int) -> Iterator[KnownEcg]:
    """Nights of all subsets."""
    for number in range(nights):
        night = simulate_night(5, number, SUBSETS[number % len(SUBSETS)], HOURS)
        rhythm = simulate_cardiac_rhythm(night)
        ecg = night.subject.ecg_polarity * simulate_ecg(night, rhythm, rate_hz, "ECGI")
        yield KnownEcg(ecg, rhythm.beats, artifact_free(night, rhythm.beats))


def found_beats(known: Sequence[KnownEcg], rate_hz: int, noise_mv: float) -> list[str]:
    """Sensitivity of clean beats, and in artifacts; precision; jitter, ms; seconds of a core."""
    counts, off, seconds = np.zeros((3, 2)), [], 0.0
    for number, (ecg, beats, clean) in enumerate(known):
        noise = noise_mv * np.random.default_rng(number).standard_normal(len(ecg))
        started = time.process_time()
        found = detect_beats(ecg + noise, rate_hz, 1)
        seconds += time.process_time() - started
        end = len(ecg) / rate_hz - EDGE_S
        counted = (beats > EDGE_S) & (beats < end)
        missed = to_nearest(beats, found)
        for row, which in enumerate((counted & clean, counted & ~clean)):
            counts[row] += (np.abs(missed[which]) < NEAR_S).sum(), which.sum()
        inside = found[(found > EDGE_S) & (found < end)]
        counts[2] += (np.abs(to_nearest(inside, beats)) < NEAR_S).sum(), len(inside)
        hits = missed[counted & clean & (np.abs(missed) < NEAR_S)]
        off.append(hits - np.median(hits))
    clean_share, artifact_share, precision = counts[:, 0] / counts[:, 1]
    jitter_ms = 1e3 * np.concatenate(off).std()
    return [f"{clean_share:.5f}", f"{artifact_share:.3f}", f"{precision:.4f}", f"{jitter_ms:.2f}", f"{seconds:.1f}"]


if __name__ == "__main__":
    run_command(main)
