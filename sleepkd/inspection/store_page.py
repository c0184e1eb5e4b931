"""A store as one page to leaf through: its split, its warnings, and each night's picture and notes."""

import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

from sleepkd.cohorts.remarks import parts_of
from sleepkd.data.store import Store
from sleepkd.evaluation.pages.page import grid, heading, page, paragraph, pictures
from sleepkd.evaluation.pictures.drawing import Picture
from sleepkd.files import write_text_atomically
from sleepkd.inspection.recording_figure import night_picture
from sleepkd.inspection.store_summary import Facts, lines, totals

INDEX = "index.html"


def write_page(
    store: Store, facts: Sequence[Facts], damaged: Sequence[str], balance: Sequence[list[str]], folder: Path, most: int
) -> Path:
    """Write FOLDER/index.html: all recordings in a table, pictures of up to `most`, those with warnings first."""
    shown = sorted(facts, key=lambda f: (not f.warnings, f.recording))[:most]
    header, *rows = lines(facts)
    body = [heading(str(store.path.name), 1), *(paragraph(line, "quiet") for line in totals(facts))]
    body += [paragraph(f"Cannot be read: {line}") for line in damaged]
    if balance:
        body += [heading("The split"), grid(balance[0], balance[1:])]
    warned = [(f.recording, warning) for f in facts for warning in f.warnings]
    if warned:
        body += [heading("To look at"), grid(("recording", "warning"), warned, text_columns=(1,))]
    body += [heading("All recordings"), grid(header, rows)]
    if len(shown) < len(facts):
        body.append(paragraph(f"Pictures of {len(shown)} follow, of those with warnings first; --most shows more."))
    links = [f'<a href="#{_anchor(f)}">{escape(f.recording)}</a>' for f in shown]
    body.append(f'<p class="quiet">{" · ".join(links)}</p>')
    for k, one in enumerate(shown):
        body.append(f'<section id="{_anchor(one)}">')
        body += _night(store, one)
        around = [links[k - 1]] if k else []
        around += [links[k + 1]] if k + 1 < len(links) else []
        body.append(f'<p class="quiet">{" · ".join([*around, "<a href=#>top</a>"])}</p></section>')
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomically(folder / INDEX, page(f"{store.path.name}: what it holds", body))
    return folder / INDEX


def _night(store: Store, facts: Facts) -> list[str]:
    """One recording: its picture, and what `prepare` said of it."""
    night = store.open(facts.recording)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "night.png"
        night_picture(night, path)
        shown = pictures([Picture(path, f"{facts.recording}: {facts.channels}")])
    listed = "".join(f"<li>{escape(part)}</li>" for part in parts_of(night.info.note))
    return [heading(facts.recording), shown.replace("<img ", '<img loading="lazy" '), f"<ul>{listed}</ul>"]


def _anchor(facts: Facts) -> str:
    return "n-" + escape(facts.recording, quote=True)
