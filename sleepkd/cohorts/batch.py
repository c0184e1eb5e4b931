"""Many recordings, one after another or several at a time: what became of each, told in a table and in print."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from tqdm import tqdm

from sleepkd.cohorts.ingest import WARNING, Options, ingest
from sleepkd.cohorts.layout import RecordingFiles
from sleepkd.cohorts.mend import mend_recording
from sleepkd.data.store import Store
from sleepkd.errors import UserError
from sleepkd.files import write_text_atomically

Item = TypeVar("Item")


Status = Literal["prepared", "mended", "kept", "skipped"]
SUMMARY, MENDED = "summary.tsv", "mended.tsv"


@dataclass(frozen=True)
class Outcome:
    """What became of one recording."""

    recording: str
    subset: str
    status: Status
    note: str


def prepare_all(
    store: Path, options: Options, recordings: Sequence[RecordingFiles], jobs: int, again: bool
) -> list[Outcome]:
    """Prepare recordings; a mistake in the files of one is told in its outcome, and the others go on."""
    return list(_each(partial(_prepare, store, options, again), recordings, jobs, "prepare"))


def mend_all(store: Path, beats: bool, jobs: int) -> list[Outcome]:
    """Give every recording of a store what a store of today holds."""
    opened = Store(store)
    return list(_each(partial(_mend, opened, beats), opened.recordings, jobs, "mend"))


def _prepare(store: Path, options: Options, again: bool, files: RecordingFiles) -> Outcome:
    if not again and (store / "recordings" / files.recording / "recording.json").is_file():
        return Outcome(files.recording, files.subset, "kept", "prepared before")
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


def write_summary(path: Path, outcomes: Sequence[Outcome]) -> None:
    """A table with a line per recording."""
    lines = ["recording\tsubset\tstatus\tnote", *(f"{o.recording}\t{o.subset}\t{o.status}\t{o.note}" for o in outcomes)]
    write_text_atomically(path, "\n".join(lines) + "\n")


def summary_lines(path: Path, outcomes: Sequence[Outcome]) -> list[str]:
    """What was skipped and why, what to look at, and how many recordings came out how; path: of the table."""
    lines = [f"skipped {outcome.recording}: {outcome.note}" for outcome in outcomes if outcome.status == "skipped"]
    for outcome in outcomes:
        for part in outcome.note.split("; "):
            if part.startswith(WARNING):
                lines.append(f"{outcome.recording}: {part.removeprefix(WARNING)}")
    counts = Counter(outcome.status for outcome in outcomes)
    subsets = Counter(outcome.subset for outcome in outcomes if outcome.status != "skipped")
    done = "mended" if path.name == MENDED else "prepared"
    lines.append(
        f"{path.parent}: {counts[done]} {done}, {counts['kept']} kept from before, {counts['skipped']} skipped; "
        + ", ".join(f"{subset} {count}" for subset, count in sorted(subsets.items()))
        + f"; each recording in {path}"
    )
    return lines
