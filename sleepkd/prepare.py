"""python -m sleepkd.prepare --dataset mass --raw RAW --out STORE: a cohort's recordings into a store, and its split."""

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from sleepkd.data.cohort import Cohort, RecordingFiles, find_recordings, load_cohort
from sleepkd.data.hypnogram import UNSCORED, Hypnogram
from sleepkd.data.recording import DerivedSignal, EdfFile, detect_polarity, resample_night
from sleepkd.data.scoring import Scoring, read_edf_annotations, read_values
from sleepkd.data.splits import draw_split, write_split
from sleepkd.data.store import (
    RecordingInfo,
    SignalInfo,
    Store,
    StoreSettings,
    create_store,
    to_int16,
    write_recording,
)
from sleepkd.errors import EXIT_USER_ERROR, UserError, run_command
from sleepkd.files import write_bytes_atomically, write_text_atomically

DEFAULT_SPLIT = "default"
# The interquartile range of a scalp EEG over a night; outside it, the unit in the file's header is in doubt.
PLAUSIBLE_EEG_IQR_UV = (2.0, 200.0)


@dataclass(frozen=True)
class Outcome:
    """What became of one recording."""

    recording: str
    subset: str
    status: Literal["prepared", "kept", "skipped"]
    note: str


def main(arguments: list[str] | None = None) -> int:
    """Prepare all recordings found; exit code 2 where any had to be skipped."""
    args = _parse(arguments)
    cohort = load_cohort(args.dataset)
    if args.ecg_polarity:
        cohort = replace(cohort, ecg_polarity=args.ecg_polarity)
    recordings = find_recordings(cohort, args.raw)
    settings = StoreSettings(cohort.name, args.rate, args.resample)
    create_store(args.out, settings)
    if (participants := args.raw / "participants.tsv").is_file():  # evaluate.py groups its scores by it
        write_bytes_atomically(args.out / participants.name, participants.read_bytes())
    outcomes = list(_prepare_all(args.out, cohort, settings, recordings, args.jobs, args.again))
    _write_summary(args.out, outcomes)
    skipped = _print_summary(args.out, outcomes)
    if len(skipped) < len(outcomes):
        _split(args.out, tuple(args.split), args.split_seed)
    return EXIT_USER_ERROR if skipped else 0


def prepare_recording(
    store: Path, cohort: Cohort, settings: StoreSettings, files: RecordingFiles, again: bool
) -> Outcome:
    """Read one recording and write it to the store; a mistake in its files is told in the outcome, not raised."""
    if not again and (store / "recordings" / files.recording / "recording.json").is_file():
        return Outcome(files.recording, files.subset, "kept", "prepared before")
    try:
        note = _prepare(store, cohort, settings, files)
    except UserError as error:
        return Outcome(files.recording, files.subset, "skipped", " ".join(str(error).split()))
    except Exception as error:  # whatever a damaged file makes a reader do, the other recordings go on
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return Outcome(files.recording, files.subset, "skipped", f"{files.signals}: cannot be prepared: {what}")
    return Outcome(files.recording, files.subset, "prepared", note)


def _prepare(store: Path, cohort: Cohort, settings: StoreSettings, files: RecordingFiles) -> str:
    scoring_file = files.scoring_file()
    edf = EdfFile(files.signals)
    scoring = _read_scoring(cohort, files, scoring_file)
    hypnogram = _align(scoring, edf, scoring_file)
    derived = {"eeg": edf.derive(files.eeg, "uV"), "ecg": edf.derive(files.ecg, "mV")}
    polarity = {"eeg": 1, "ecg": _polarity(cohort, derived["ecg"])}
    signals, infos = {}, {}
    for name, signal in derived.items():
        signals[name], infos[name] = _store_signal(
            signal, settings, hypnogram, polarity[name], f"{files.signals}: {name}"
        )
    info = RecordingInfo(
        recording=files.recording,
        subject=files.subject,
        subset=files.subset,
        standard=files.standard,
        source=files.signals.name,
        scoring=scoring_file.name,
        signals=infos,
        ignored_annotations=scoring.ignored,
    )
    write_recording(store, info, signals, hypnogram)
    return _describe(info, hypnogram)


def _read_scoring(cohort: Cohort, files: RecordingFiles, path: Path) -> Scoring:
    layout = cohort.scoring
    if layout.format == "values":
        return read_values(path, layout.labels, files.epoch_seconds, layout.value_seconds, layout.header_lines)
    return read_edf_annotations(path, layout.labels, files.epoch_seconds)


def _align(scoring: Scoring, edf: EdfFile, scoring_file: Path) -> Hypnogram:
    """The hypnogram in seconds from the first sample; the scoring file may start at another time than the signals."""
    start = edf.start()
    if scoring.start is None or start is None or scoring.start == start:
        return scoring.hypnogram
    shift = (scoring.start - start).total_seconds()
    if abs(shift) > 12 * 3600:
        raise UserError(
            f"{scoring_file}: starts {shift / 3600:+.1f} h from {edf.path.name}; are they of the same night?"
        )
    return replace(scoring.hypnogram, onset_s=scoring.hypnogram.onset_s + shift)


def _polarity(cohort: Cohort, ecg: DerivedSignal) -> int:
    fixed = {"as_recorded": 1, "inverted": -1}
    return fixed[cohort.ecg_polarity] if cohort.ecg_polarity in fixed else detect_polarity(ecg.samples, ecg.rate_hz)


def _store_signal(
    signal: DerivedSignal, settings: StoreSettings, hypnogram: Hypnogram, polarity: int, where: str
) -> tuple[np.ndarray, SignalInfo]:
    samples, rate = signal.samples, signal.rate_hz
    if settings.resample == "whole_night":
        samples, rate = resample_night(samples, rate, settings.rate_hz), settings.rate_hz
    end = hypnogram.onset_s[-1] + hypnogram.duration_s[-1]
    scored = samples[max(0, round(hypnogram.onset_s[0] * rate)) : max(0, round(end * rate))]
    if not len(scored):
        raise UserError(f"{where}: no sleep epoch lies within its {len(samples) / rate:.0f} s")
    stored, scale, offset = to_int16(samples)
    low, median, high = np.percentile(scored, (25, 50, 75))
    if high - low < scale:
        raise UserError(f"{where}: {signal.derivation} is flat")
    return stored, SignalInfo(
        derivation=signal.derivation,
        unit=signal.unit,
        recorded_hz=signal.rate_hz,
        rate_hz=rate,
        samples=len(stored),
        scale=scale,
        offset=offset,
        median=float(median),
        iqr=float(high - low),
        polarity=polarity,
    )


def _describe(info: RecordingInfo, hypnogram: Hypnogram) -> str:
    eeg, ecg = info.signals["eeg"], info.signals["ecg"]
    parts = [
        f"EEG {eeg.derivation}, ECG {ecg.derivation} ({'upside down' if ecg.polarity < 0 else 'upright'})",
        f"{eeg.recorded_hz:g} Hz"
        if eeg.recorded_hz == ecg.recorded_hz
        else f"{eeg.recorded_hz:g} and {ecg.recorded_hz:g} Hz",
        f"{np.count_nonzero(hypnogram.labels != UNSCORED)} of {len(hypnogram)} sleep epochs scored",
    ]
    low, high = PLAUSIBLE_EEG_IQR_UV
    if eeg.unit != "uV" or not low <= eeg.iqr <= high:
        parts.append(f"WARNING: EEG spans {eeg.iqr:.3g} {eeg.unit}, check its unit")
    if info.ignored_annotations:
        parts.append(f"{sum(info.ignored_annotations.values())} other annotations ignored")
    return "; ".join(parts)


def _prepare_all(
    store: Path, cohort: Cohort, settings: StoreSettings, recordings: list[RecordingFiles], jobs: int, again: bool
) -> Iterator[Outcome]:
    n = len(recordings)
    work = ([store] * n, [cohort] * n, [settings] * n, recordings, [again] * n)
    if jobs == 1:
        yield from tqdm(map(prepare_recording, *work), total=n, desc="prepare", unit="recording")
        return
    try:
        with ProcessPoolExecutor(jobs) as pool:
            yield from tqdm(pool.map(prepare_recording, *work), total=n, desc="prepare", unit="recording")
    except BrokenProcessPool:
        raise UserError("prepare: a process was killed, most likely for lack of memory; lower --jobs") from None


def _write_summary(store: Path, outcomes: list[Outcome]) -> None:
    lines = ["recording\tsubset\tstatus\tnote", *(f"{o.recording}\t{o.subset}\t{o.status}\t{o.note}" for o in outcomes)]
    write_text_atomically(store / "summary.tsv", "\n".join(lines) + "\n")


def _print_summary(store: Path, outcomes: list[Outcome]) -> list[Outcome]:
    """Print what was read and what was skipped and why; returns the skipped."""
    counts = Counter(outcome.status for outcome in outcomes)
    subsets = Counter(outcome.subset for outcome in outcomes if outcome.status != "skipped")
    skipped = [outcome for outcome in outcomes if outcome.status == "skipped"]
    for outcome in skipped:
        print(f"skipped {outcome.recording}: {outcome.note}")
    for outcome in outcomes:
        if "WARNING" in outcome.note:
            print(f"{outcome.recording}: {outcome.note.partition('WARNING: ')[2]}")
    print(
        f"{store}: {counts['prepared']} prepared, {counts['kept']} kept from before, {counts['skipped']} skipped; "
        + ", ".join(f"{subset} {count}" for subset, count in sorted(subsets.items()))
        + f"; each recording in {store / 'summary.tsv'}"
    )
    return skipped


def _split(path: Path, shares: tuple[float, float, float], seed: int) -> None:
    """Draw the store's default split, unless it has one (a person may have edited it)."""
    folder = path / "splits" / DEFAULT_SPLIT
    if folder.is_dir():
        print(f"{folder}: kept as it is; delete it and run again to draw another")
        return
    store = Store(path)
    parts = draw_split(store, shares, seed)
    write_split(folder, parts, f"shares {json.dumps(shares)}, seed {seed}, by subject within subset")
    print(f"{folder}: " + ", ".join(f"{part} {len(recordings)}" for part, recordings in parts.items()))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sleepkd.prepare", description=__doc__)
    parser.add_argument("--dataset", required=True, help="a name in configs/datasets, or a dataset YAML")
    parser.add_argument("--raw", type=Path, required=True, help="folder with the cohort's files, at any depth")
    parser.add_argument("--out", type=Path, required=True, help="the store to write or to add to")
    parser.add_argument("--jobs", type=int, default=1, help="recordings at a time (about 1 GB of memory each)")
    parser.add_argument("--rate", type=float, default=200.0, help="samples per second of the store (default 200)")
    parser.add_argument(
        "--resample",
        choices=("whole_night", "each_window"),
        default="whole_night",
        help="each_window: keep the recorded rate and resample window by window on reading, as released",
    )
    parser.add_argument("--ecg-polarity", choices=("auto", "as_recorded", "inverted"), help="over the dataset YAML's")
    parser.add_argument("--again", action="store_true", help="prepare recordings anew that the store already holds")
    parser.add_argument("--split", type=float, nargs=3, default=(0.8, 0.1, 0.1), metavar=("TRAIN", "VAL", "TEST"))
    parser.add_argument("--split-seed", type=int, default=0)
    args = parser.parse_args(arguments)
    if args.jobs < 1 or not 0 < args.rate < math.inf:
        raise UserError("--jobs and --rate must be positive")
    if not (min(args.split) >= 0 and abs(sum(args.split) - 1) <= 1e-6):
        raise UserError(f"--split: the three shares must not be negative and add up to 1, are {args.split}")
    return args


if __name__ == "__main__":
    run_command(main)
