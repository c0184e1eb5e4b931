"""Many recordings, one after another or several at a time: what became of each, told in a table and in print."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from tqdm import tqdm

from sleepkd.cohorts.find import Found, RecordingFiles
from sleepkd.cohorts.ingest import Options, ingest
from sleepkd.cohorts.mend import mend_recording
from sleepkd.cohorts.remarks import WARNING, joined, parts_of, warnings_of
from sleepkd.data.store import Store, read_info
from sleepkd.errors import UserError
from sleepkd.files import write_text_atomically

Item = TypeVar("Item")


Status = Literal["prepared", "mended", "kept", "skipped", "twice"]
FAILED: tuple[Status, ...] = ("skipped", "twice")
SUMMARY, MENDED = "summary.tsv", "mended.tsv"


@dataclass(frozen=True)
class Outcome:
    """What became of one recording."""

    recording: str
    subset: str
    status: Status
    note: str


def prepare_all(store: Path, options: Options, found: Found, jobs: int, again: bool) -> list[Outcome]:
    """Prepare recordings; a mistake in the files of one is told in its outcome, and the others go on."""
    outcomes = list(_each(partial(_prepare, store, options, again), found.recordings, jobs, "prepare"))
    copies = _copies(store)
    for i, outcome in enumerate(outcomes):
        if others := copies.get(outcome.recording):
            warned = f"{WARNING}is the same night as {', '.join(others)}, under another name: keep one"
            outcomes[i] = replace(outcome, note=joined([*parts_of(outcome.note), warned]))
    unclear = [Outcome(u.recording, u.subset, "skipped" if u.linked else "twice", u.why) for u in found.unclear]
    return sorted([*outcomes, *unclear], key=lambda outcome: outcome.recording)


def mend_all(store: Path, beats: bool, jobs: int) -> list[Outcome]:
    """Give every recording of a store what a store of today holds."""
    opened = Store(store)
    return list(_each(partial(_mend, opened, beats), opened.recordings, jobs, "mend"))


def _prepare(store: Path, options: Options, again: bool, files: RecordingFiles) -> Outcome:
    if not again and (store / "recordings" / files.recording / "recording.json").is_file():
        note = read_info(store, files.recording).note
        return Outcome(files.recording, files.subset, "kept", joined(["prepared before", *parts_of(note)]))
    status, note = _tried(lambda: ingest(store, options, files), "prepared", files.signals)
    return Outcome(files.recording, files.subset, status, note or "")


def _mend(store: Store, beats: bool, recording: str) -> Outcome:
    subset = ""

    def mend() -> str | None:
        nonlocal subset
        subset = store.info(recording).subset
        return mend_recording(store, recording, beats)

    status, note = _tried(mend, "mended", store.path / "recordings" / recording)
    return Outcome(recording, subset, status, note or "is whole")


def _tried(work: Callable[[], str | None], done: Status, where: Path) -> tuple[Status, str | None]:
    """What became of a recording, and a line on it; work returns None where there is nothing to do."""
    try:
        note = work()
    except UserError as error:
        return "skipped", " ".join(str(error).split())
    except Exception as error:  # whatever a damaged file makes a reader do, the other recordings go on
        return "skipped", " ".join(f"{where}: cannot be {done}: {type(error).__name__}: {error}".split())
    return ("kept" if note is None else done), note


def _each(work: Callable[[Item], Outcome], items: Sequence[Item], jobs: int, what: str) -> Iterator[Outcome]:
    if jobs == 1:
        yield from tqdm(map(work, items), total=len(items), desc=what, unit="recording")
        return
    try:
        with ProcessPoolExecutor(jobs) as pool:
            yield from tqdm(pool.map(work, items), total=len(items), desc=what, unit="recording")
    except BrokenProcessPool:
        raise UserError(f"{what}: a process was killed, most likely for lack of memory; lower --jobs") from None


def _copies(store: Path) -> dict[str, list[str]]:
    """For each recording of a store that is another's copy, the others' names."""
    of_digest: dict[str, list[str]] = {}
    opened = Store(store) if any((store / "recordings").glob("*/recording.json")) else None
    for recording in opened.recordings if opened else ():
        for digest in opened.info(recording).digests:  # type: ignore[union-attr]
            of_digest.setdefault(digest, []).append(recording)
    copies: dict[str, set[str]] = {}
    for names in of_digest.values():
        for name in names if len(names) > 1 else ():
            copies.setdefault(name, set()).update(set(names) - {name})
    return {name: sorted(others) for name, others in copies.items()}


def write_summary(path: Path, outcomes: Sequence[Outcome]) -> None:
    """A table with a line per recording."""
    lines = ["recording\tsubset\tstatus\tnote", *(f"{o.recording}\t{o.subset}\t{o.status}\t{o.note}" for o in outcomes)]
    write_text_atomically(path, "\n".join(lines) + "\n")


def summary_lines(path: Path, outcomes: Sequence[Outcome]) -> list[str]:
    """What was skipped and why, what to look at, and how many recordings came out how; path: of the table."""
    lines = [f"skipped {outcome.recording}: {outcome.note}" for outcome in outcomes if outcome.status in FAILED]
    for outcome in outcomes:
        lines += [f"{outcome.recording}: {warning}" for warning in warnings_of(outcome.note)]
    counts = Counter("skipped" if outcome.status in FAILED else outcome.status for outcome in outcomes)
    subsets = Counter(outcome.subset for outcome in outcomes if outcome.status not in FAILED)
    done = "mended" if path.name == MENDED else "prepared"
    parts = [f"{counts[done]} {done}, {counts['kept']} kept from before, {counts['skipped']} skipped"]
    parts += [", ".join(f"{subset} {count}" for subset, count in sorted(subsets.items()))] if subsets else []
    lines.append(f"{path.parent}: {'; '.join(parts)}; each recording in {path}")
    return lines
