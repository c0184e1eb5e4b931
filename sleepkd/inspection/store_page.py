"""HTML page of a store: its split, warnings, all recordings in a table, and a figure and the notes of each night."""

import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

from sleepkd.cohorts.remarks import parts_of
from sleepkd.data.store import Store
from sleepkd.evaluation.pages.page import heading, page, paragraph, pictures, table
from sleepkd.evaluation.pictures.drawing import Picture
from sleepkd.files import write_text_atomically
from sleepkd.inspection.recording_figure import recording_figure
from sleepkd.inspection.store_summary import RecordingSummary, subset_totals, summary_table

INDEX = "index.html"


def write_page(
    store: Store,
    summaries: Sequence[RecordingSummary],
    unreadable: Sequence[str],
    balance: Sequence[list[str]],
    folder: Path,
    max_figures: int,
) -> Path:
    """Write FOLDER/index.html and return its path. balance: rows of `split_balance`; empty without a split.

    Up to `max_figures` recordings get a figure, those with warnings first.
    """
    shown = sorted(summaries, key=lambda one: (not one.warnings, one.recording))[:max_figures]
    body = [heading(store.path.name, 1), *(paragraph(line, "quiet") for line in subset_totals(summaries))]
    body += [paragraph(f"Cannot be read: {line}") for line in unreadable]
    if balance:
        body += [heading("Split"), table(balance[0], balance[1:])]
    warnings = [(one.recording, warning) for one in summaries for warning in one.warnings]
    if warnings:
        body += [heading("Warnings"), table(("recording", "warning"), warnings, text_columns=(1,))]
    header, *rows = summary_table(summaries)
    body += [heading("All recordings"), table(header, rows)]
    if len(shown) < len(summaries):
        text = f"Figures of {len(shown)} of {len(summaries)} recordings, those with warnings first"
        body.append(paragraph(f"{text}; --max-figures sets how many."))
    links = [f'<a href="#{_anchor(one)}">{escape(one.recording)}</a>' for one in shown]
    body.append(f'<p class="quiet">{" · ".join(links)}</p>')
    for k, one in enumerate(shown):
        body.append(f'<section id="{_anchor(one)}">')
        body += _recording(store, one)
        neighbours = links[max(k - 1, 0) : k] + links[k + 1 : k + 2]
        body.append(f'<p class="quiet">{" · ".join([*neighbours, "<a href=#>top</a>"])}</p></section>')
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomically(folder / INDEX, page(f"{store.path.name}: recordings of the store", body))
    return folder / INDEX


def _recording(store: Store, summary: RecordingSummary) -> list[str]:
    """One recording: its figure and the notes of `prepare`."""
    night = store.open(summary.recording)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "night.png"
        recording_figure(night, path)
        figure = pictures([Picture(path, f"{summary.recording}: {summary.channels}")])
    notes = "".join(f"<li>{escape(part)}</li>" for part in parts_of(night.info.note))
    return [heading(summary.recording), figure.replace("<img ", '<img loading="lazy" '), f"<ul>{notes}</ul>"]


def _anchor(summary: RecordingSummary) -> str:
    return "n-" + escape(summary.recording, quote=True)
