"""Prepare many recordings, one by one or several at a time, and report on each in a table and in print."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from sleepkd.cohorts.find import FoundRecordings, RecordingFiles
from sleepkd.cohorts.ingest import PrepareOptions, ingest
from sleepkd.cohorts.remarks import WARNING, joined, parts_of, warnings_of
from sleepkd.data.store import Store, read_info
from sleepkd.errors import UserError
from sleepkd.files import write_text_atomically
from sleepkd.progress import track
from sleepkd.worker_pool import Failure, run_on_processes

Status = Literal["prepared", "kept", "skipped", "twice"]
FAILED: tuple[Status, ...] = ("skipped", "twice")
SUMMARY = "summary.tsv"
LIMIT_S = 3600.0
"""Of one recording, among several processes: a night takes seconds."""
IMPORTED_ONCE = ("sleepkd.cohorts.ingest",)


@dataclass(frozen=True)
class Outcome:
    """The result of one recording. "kept": it was prepared before. "twice": two files have its name."""

    recording: str
    subset: str
    status: Status
    note: str


def prepare_all(
    store: Path, options: PrepareOptions, found: FoundRecordings, jobs: int, overwrite: bool
) -> list[Outcome]:
    """Prepare recordings. An error in one is reported in its outcome, and the others are prepared all the same.

    jobs: processes. overwrite: prepare recordings that the store holds again.
    """
    outcomes = list(_prepare_each(partial(_prepare, store, options, overwrite), found.recordings, jobs))
    copies = _copies(store)
    for i, outcome in enumerate(outcomes):
        if others := copies.get(outcome.recording):
            warned = f"{WARNING}is the same night as {', '.join(others)}, under another name: keep one"
            outcomes[i] = replace(outcome, note=joined([*parts_of(outcome.note), warned]))
    unclear = [Outcome(u.recording, u.subset, "skipped" if u.linked else "twice", u.why) for u in found.unclear]
    return sorted([*outcomes, *unclear], key=lambda outcome: outcome.recording)


def _prepare(store: Path, options: PrepareOptions, overwrite: bool, files: RecordingFiles) -> Outcome:
    if not overwrite and (store / "recordings" / files.recording / "recording.json").is_file():
        note = read_info(store, files.recording).note
        return Outcome(files.recording, files.subset, "kept", joined(["prepared before", *parts_of(note)]))
    try:
        return Outcome(files.recording, files.subset, "prepared", ingest(store, options, files))
    except UserError as error:
        why = str(error)
    except Exception as error:  # whatever a damaged file makes a reader raise, the other recordings are prepared
        why = f"{files.path}: cannot be prepared: {type(error).__name__}: {error}"
    return Outcome(files.recording, files.subset, "skipped", " ".join(why.split()))


def _prepare_each(prepare: "partial[Outcome]", recordings: Sequence[RecordingFiles], jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from track(map(prepare, recordings), "prepare", len(recordings), "recording")
        return
    results = run_on_processes(prepare, recordings, min(jobs, max(1, len(recordings))), LIMIT_S, IMPORTED_ONCE)
    for files, result in track(results, "prepare", len(recordings), "recording"):
        if isinstance(result, Failure):
            yield Outcome(files.recording, files.subset, "skipped", f"{files.path}: {result.reason}")
        else:
            yield result


def _copies(store: Path) -> dict[str, list[str]]:
    """For each recording of a store that has copies under other names, these names."""
    of_digest: dict[str, list[str]] = {}
    if not any((store / "recordings").glob("*/recording.json")):
        return {}
    opened = Store(store)
    for recording in opened.recordings:
        for digest in opened.info(recording).digests:
            of_digest.setdefault(digest, []).append(recording)
    copies: dict[str, set[str]] = {}
    for names in of_digest.values():
        for name in names if len(names) > 1 else ():
            copies.setdefault(name, set()).update(set(names) - {name})
    return {name: sorted(others) for name, others in copies.items()}


def write_summary(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write a table with one line per recording."""
    lines = ["recording\tsubset\tstatus\tnote", *(f"{o.recording}\t{o.subset}\t{o.status}\t{o.note}" for o in outcomes)]
    write_text_atomically(path, "\n".join(lines) + "\n")


def summary_lines(path: Path, outcomes: Sequence[Outcome]) -> list[str]:
    """Skipped recordings and why, warnings, and the number of recordings by status. path: of the table."""
    lines = [f"skipped {outcome.recording}: {outcome.note}" for outcome in outcomes if outcome.status in FAILED]
    for outcome in outcomes:
        lines += [f"{outcome.recording}: {warning}" for warning in warnings_of(outcome.note)]
    counts = Counter("skipped" if outcome.status in FAILED else outcome.status for outcome in outcomes)
    subsets = Counter(outcome.subset for outcome in outcomes if outcome.status not in FAILED)
    parts = [f"{counts['prepared']} prepared, {counts['kept']} kept from before, {counts['skipped']} skipped"]
    parts += [", ".join(f"{subset} {count}" for subset, count in sorted(subsets.items()))] if subsets else []
    lines.append(f"{path.parent}: {'; '.join(parts)}; each recording in {path}")
    return lines
