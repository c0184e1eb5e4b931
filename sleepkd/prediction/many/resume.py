"""What is left to do of a run: recordings that the tables do not hold, that have changed, or that failed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sleepkd.errors import UserError
from sleepkd.prediction.many.file_state import checksum_of, file_state
from sleepkd.prediction.many.night_tables import KnownRecording
from sleepkd.prediction.many.stage_file import StagingSettings
from sleepkd.prediction.many.work_list import ListedRecording


@dataclass
class Due:
    """Recordings to stage; and of those that are kept, how many nights are staged, and how many recordings failed."""

    listed: list[ListedRecording] = field(default_factory=list)
    kept_nights: int = 0
    kept_failed: int = 0


def due_of(
    listed: Iterable[ListedRecording],
    known: Mapping[str, KnownRecording],
    settings: StagingSettings,
    overwrite: bool = False,
    retry_failed: bool = False,
) -> Due:
    """The recordings that are not kept.

    Kept are those that the tables hold of the same files, weights and options: by size and time of change, or else by
    their checksum. A recording keeps the name that it has in the tables. overwrite: none is
    kept. retry_failed: those that failed are not kept. Raises UserError where a name is that of another file.
    """
    by_path = {recording.path: name for name, recording in known.items()}
    due = Due()
    for item in listed:
        name = by_path.get(str(item.path), item.name)
        item, was = replace(item, name=name), known.get(name)
        if was is None:
            due.listed.append(item)
            continue
        is_same = _same_files(item, was)
        if not is_same and was.path != str(item.path):
            raise UserError(
                f"{item.path}: the tables hold another file of the name {name}, {was.path}: choose another --out, or "
                "give ids in a manifest"
            )
        changed = not is_same or was.weights != settings.weights or was.options != settings.options_text(item)
        if overwrite or changed or (retry_failed and was.failed):
            due.listed.append(item)
        else:
            due.kept_nights += was.staged
            due.kept_failed += was.failed
    return due


def _same_files(item: ListedRecording, was: KnownRecording) -> bool:
    if was.path == str(item.path) and file_state(item.path) == was.state:
        return True
    return checksum_of(item.path) == was.checksum
