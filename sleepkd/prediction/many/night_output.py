"""Where the results of a run go: a folder for each night, or tables of all nights; and index.html in either case."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from sleepkd.files import write_text_atomically
from sleepkd.prediction.many.night_rows import FAILED, STAGED
from sleepkd.prediction.many.night_tables import EPOCHS, NIGHTS, NightTables, shard_suffix
from sleepkd.prediction.many.nights_page import nights_page
from sleepkd.prediction.many.resume import Due, due_of
from sleepkd.prediction.many.stage_file import StagedRecording, StagingSettings
from sleepkd.prediction.many.work_list import ListedRecording
from sleepkd.prediction.model import NOT_MEDICAL, Model
from sleepkd.progress import print_beside

MANY_FOLDERS = 1000
"""With more, a line names the option that writes tables."""
INLINE_NIGHTS = 100
"""index.html holds the pictures of so many nights; of more, it is a table that sorts and filters."""


class NightOutput(ABC):
    """Takes the results of a run one by one, inside a `with` block. staged: nights. failed: recordings."""

    staged = 0
    failed = 0

    @abstractmethod
    def due(
        self, listed: Sequence[ListedRecording], settings: StagingSettings, overwrite: bool, retry_failed: bool
    ) -> list[ListedRecording]:
        """The recordings that are left to stage, each with its folder if it gets one."""

    @abstractmethod
    def add(self, result: StagedRecording) -> None:
        """Take the result of one recording."""

    @abstractmethod
    def summary(self) -> list[str]:
        """What to print at the end."""

    def __enter__(self) -> "NightOutput":
        return self

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is written at the end, or leave what an interrupted run resumes from."""

    def _count(self, result: StagedRecording, nights: int) -> None:
        self.staged += nights
        self.failed += bool(result.error)


class FolderOutput(NightOutput):
    """A folder for each night, and index.html with their pictures; nothing of an earlier run is kept."""

    def __init__(self, folder: Path):
        self._page = folder / "index.html"
        self._folder = folder
        self._order: dict[str, tuple[int, str]] = {}
        self._results: list[StagedRecording] = []

    def due(
        self, listed: Sequence[ListedRecording], settings: StagingSettings, overwrite: bool, retry_failed: bool
    ) -> list[ListedRecording]:
        """See `NightOutput`: all of them."""
        if len(listed) > MANY_FOLDERS:
            print_beside(f"{len(listed)} folders will be written; --format parquet or csv writes two tables instead")
        self._order = {item.name: (k, str(item.path)) for k, item in enumerate(listed)}
        return [replace(item, folder=self._folder / item.name) for item in listed]

    def add(self, result: StagedRecording) -> None:
        """See `NightOutput`."""
        for message in result.messages:
            print_beside(message)
        self._results.append(replace(result, messages=[]))
        self._count(result, len(result.reports))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `NightOutput`."""
        if kind is not None or not self.staged:
            return
        from sleepkd.prediction.outputs import index_page

        self._results.sort(key=lambda result: self._order[result.name][0])
        reports = [report for result in self._results for report in result.reports]
        rejected = {self._order[result.name][1]: result.error for result in self._results if result.error}
        if len(reports) <= INLINE_NIGHTS:
            text = index_page(reports, rejected, self._about())
        else:
            text = nights_page(self._rows(), list(reports[0].summary["stages"]), self._about())
        write_text_atomically(self._page, text)

    def summary(self) -> list[str]:
        """See `NightOutput`."""
        if not self.staged:
            return []
        return [*self._about(), f"{self.staged} of {self.staged + self.failed} staged; {self._page}"]

    def _about(self) -> list[str]:
        """What is known of the networks that staged some nights, each line once."""
        reports = (report for result in self._results for report in result.reports)
        lines = dict.fromkeys(line for report in reports for line in report.summary["about"])
        return [*(line for line in lines if line != NOT_MEDICAL), NOT_MEDICAL]

    def _rows(self) -> Iterator[dict[str, Any]]:
        """The nights as rows of the page of many."""
        statistics = ("TST", "SE", "WASO", "SOL")
        for result in self._results:
            for report in result.reports:
                summary = report.summary
                yield {
                    "recording": report.name,
                    "start": summary.get("start"),
                    "status": STAGED,
                    "staged": summary["staged"],
                    **{name: summary["sleep_statistics"].get(name) for name in statistics},
                    "input": report.judged.text,
                    "warning": report.judged.warning or None,
                    "reason": None,
                    "folder": report.name,
                }
            if result.error:
                yield {"recording": self._order[result.name][1], "status": FAILED, "reason": result.error}


class TableOutput(NightOutput):
    """Tables of nights and of sleep epochs, which hold what earlier runs staged; folders for the first recordings.

    shard, form: as in `NightTables`. figures: how many recordings get a folder with pictures.
    """

    def __init__(self, folder: Path, shard: tuple[int, int] | None, form: str | None, model: Model, figures: float):
        self._model, self._figures, self._folder = model, figures, folder
        self._classes = classes_of(model)
        self._tables = NightTables(folder, shard, form, self._classes)
        self._page = folder / f"index{shard_suffix(shard)}.html"
        self._kept = Due()

    def due(
        self, listed: Sequence[ListedRecording], settings: StagingSettings, overwrite: bool, retry_failed: bool
    ) -> list[ListedRecording]:
        """See `NightOutput`: those that the tables do not hold."""
        with_folders = [
            replace(item, folder=self._folder / item.name) if k < self._figures else item
            for k, item in enumerate(listed)
        ]
        self._kept = due_of(with_folders, self._tables.known(), settings, overwrite, retry_failed)
        self.staged, self.failed = self._kept.kept_nights, self._kept.kept_failed
        return self._kept.listed

    def add(self, result: StagedRecording) -> None:
        """See `NightOutput`. Of the messages, only errors are printed: the rows hold the others."""
        for message in result.messages:
            if message.startswith(("error: ", "Traceback")):
                print_beside(message)
        self._tables.add(result.rows)
        self._count(result, sum(row["status"] == STAGED for row in result.rows.nights))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `NightOutput`."""
        if kind is not None:
            self._tables.flush()
            if self._tables.release():
                print_beside("what was staged is kept; the same command resumes from there")
            return
        self._tables.close()
        if self._tables.table(NIGHTS).is_file():
            text = nights_page(self._tables.rows(), self._classes, self._model.about)
            write_text_atomically(self._page, text)

    def summary(self) -> list[str]:
        """See `NightOutput`."""
        kept = self._kept
        before = f", {kept.kept_nights} of them before" if kept.kept_nights else ""
        failed = f"; recordings failed: {self.failed}" if self.failed else ""
        if kept.kept_failed:
            failed += f", {kept.kept_failed} of them before: --retry failed stages them again"
        tables = " and ".join(os.fspath(self._tables.table(name)) for name in (NIGHTS, EPOCHS))
        return [*self._model.about, f"{self.staged} nights staged{before}{failed}; {tables}, {self._page}"]


def classes_of(model: Model) -> list[str]:
    """The sleep stages of a model and of those that it chooses among, in order, each once."""
    from sleepkd.data.hypnogram import CLASS_NAMES

    models = (model, *model.others)
    return list(dict.fromkeys(name for one in models for name in CLASS_NAMES[one.trained.config.data.classes]))
