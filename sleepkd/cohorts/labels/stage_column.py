"""Sleep stages as a column of a table of samples: every row, at 64 or 100 per second, repeats the stage."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sleepkd.cohorts.labels.marks import as_sleep_epochs
from sleepkd.cohorts.labels.scored import LabelLayout, Mark, ScoredFile
from sleepkd.cohorts.text import column_index, read_lines
from sleepkd.errors import UserError


@dataclass(frozen=True)
class StageColumnLayout(LabelLayout):
    """The section `scoring` of a dataset YAML, of format "sample_column". stage, time: columns; time in s."""

    stage: str = "stage"
    time: str = "time"
    delimiter: str = ","


def read_stage_column(path: Path, layout: StageColumnLayout, epoch_seconds: float) -> ScoredFile:
    """The sleep stages of a table of samples, as runs of one stage from the first sample of the recording.

    A blank stage is not a label. Raises UserError: a missing column, a time that is not a number, no sleep stage.
    """
    lines = read_lines(path)
    if len(lines) < 2:
        raise UserError(f"{path}: holds no rows")
    names = lines[0].split(layout.delimiter)
    stage, time = (column_index(path, names, name) for name in (layout.stage, layout.time))
    return as_sleep_epochs(path, list(_runs(path, lines, stage, time, layout.delimiter)), layout, epoch_seconds)


def _runs(path: Path, lines: list[str], stage: int, time: int, delimiter: str) -> Iterator[Mark]:
    """Each run of rows of one stage: its onset from the first row, its duration, its text."""
    before, zero, onset, last, step = "", None, 0.0, 0.0, 0.0
    for number, line in enumerate(lines[1:], 2):
        cells = line.split(delimiter)
        if len(cells) <= max(stage, time):
            continue  # a line that was cut off
        try:
            now = float(cells[time])
        except ValueError:
            raise UserError(f"{path}: line {number}: {cells[time]!r} is not a time in s") from None
        zero = now if zero is None else zero
        step, last = now - zero - last, now - zero
        text = cells[stage].strip()
        if text != before:
            if before:
                yield Mark(onset, last - onset, before)
            before, onset = text, last
    if before:
        yield Mark(onset, last + step - onset, before)
