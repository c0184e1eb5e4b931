"""Self-contained HTML page: text, tables and inlined pictures, without scripts or requests, for screens and print."""

import base64
import io
import math
from collections.abc import Iterable, Sequence
from html import escape

from sleepkd.evaluation.pictures.drawing import DPI, Picture
from sleepkd.palette import FAINT_INK, GRID, INK, NEGATIVE, POSITIVE, UNSCORED_FILL

MISSING = "–"
_WIDE = 900  # CSS pixels
_CSS_PIXELS_PER_INCH = 96  # pictures are shown at the size they were drawn for, so that their text matches the page's

_STYLE = f"""
:root {{ color-scheme: light; }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: #fff; color: {INK}; font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", "DejaVu Sans", sans-serif; }}
main {{ max-width: 1120px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; margin: 0 0 .35rem; }}
h2 {{ font-size: 1.25rem; margin: 3rem 0 .75rem; padding-top: 1rem; border-top: 1px solid {GRID}; }}
h3 {{ font-size: 1rem; margin: 1.75rem 0 .5rem; }}
p {{ margin: .4rem 0 .8rem; max-width: 46rem; }}
.note {{ border-left: 4px solid {NEGATIVE}; padding-left: .8rem; font-weight: 600; }}
.quiet {{ color: {FAINT_INK}; font-size: .92rem; }}
.headline {{ margin: 1.5rem 0 1rem; padding: 1.25rem 1.5rem; background: {UNSCORED_FILL}; border-radius: 10px; }}
.headline b.figure {{ display: block; font-size: 2.6rem; line-height: 1.1; font-weight: 700; letter-spacing: -.01em; }}
.headline .range {{ font-size: 1.05rem; color: {FAINT_INK}; }}
.headline p {{ margin: .6rem 0 0; font-size: 1.08rem; }}
.better {{ color: {POSITIVE}; }} .worse {{ color: {NEGATIVE}; }}
.headlines {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 1rem; }}
.headlines .headline {{ margin: 0; }}
.headlines b.figure {{ font-size: 1.7rem; }}
.pictures {{ display: flex; flex-wrap: wrap; gap: 1.75rem 2rem; align-items: flex-start; }}
figure {{ margin: 0; max-width: 100%; break-inside: avoid; }}
figure img {{ display: block; max-width: 100%; height: auto; }}
figcaption {{ color: {FAINT_INK}; font-size: .88rem; margin-top: .4rem; contain: inline-size; }}
.table {{ overflow-x: auto; margin: .5rem 0 1rem; }}
table {{ border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .32rem .8rem .32rem 0; text-align: right; white-space: nowrap; vertical-align: top;
  border-bottom: 1px solid {GRID}; }}
th {{ color: {FAINT_INK}; font-weight: 600; white-space: normal; vertical-align: bottom; }}
th:first-child, td:first-child, td.text, th.text {{ text-align: left; }}
td.text {{ white-space: normal; overflow-wrap: anywhere; min-width: 13rem; }}
pre {{ margin: .5rem 0 1rem; padding: .8rem 1rem; background: {UNSCORED_FILL}; border-radius: 8px;
  white-space: pre-wrap; overflow-wrap: anywhere;
  font: .85rem/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
@media screen and (max-width: 30rem) {{
  /* A night scaled to the width of a phone is unreadable: scroll it horizontally. */
  figure.wide {{ overflow-x: auto; }}
  figure.wide img {{ max-width: none; width: 46rem; }}
  main {{ padding: 1.25rem 1rem 3rem; }}
  .headline {{ padding: 1rem; }}
  .headline b.figure {{ font-size: 2rem; }}
}}
@media print {{
  @page {{ margin: 1.6cm; }}
  body {{ font-size: 10.5pt; }}
  main {{ max-width: none; padding: 0; }}
  h2, h3 {{ break-after: avoid; }}
  figure img {{ max-height: 9.5cm; width: auto; }}
  tr {{ break-inside: avoid; }}
  .table {{ overflow: visible; }}
  table {{ font-size: 8.5pt; }}
  td, th {{ padding-right: .5rem; }}
}}
"""


def page(title: str, body: Iterable[str]) -> str:
    """An HTML document. title: plain text; body: HTML elements in order."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # An empty icon, or browsers ask the server for one.
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n'
        "<body>\n<main>\n" + "\n".join(body) + "\n</main>\n</body>\n</html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    """A heading of level 1 to 3."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text; kind: "", "quiet" or "note"."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def headline(figure: str, interval: str, sentence: str, kind: str = "") -> str:
    """A highlighted box: one number, its interval, and a sentence on it. kind (its colour): "", "better" or "worse"."""
    return (
        f'<div class="headline"><b class="figure {kind}">{escape(figure)}</b>'
        f'<span class="range">{escape(interval)}</span>{paragraph(sentence)}</div>'
    )


def side_by_side(boxes: Iterable[str]) -> str:
    """Several `headline` boxes in a row, smaller; in a column on a phone."""
    return '<div class="headlines">' + "\n".join(boxes) + "</div>"


def pictures(items: Sequence[Picture]) -> str:
    """Pictures inlined with their captions. Raises FileNotFoundError where one is not on disk."""
    return '<div class="pictures">\n' + "\n".join(_picture(item) for item in items) + "\n</div>"


def _picture(item: Picture) -> str:
    from PIL import Image  # matplotlib, which drew the picture, requires Pillow

    with Image.open(item.path) as image:
        width, height = (round(pixels * _CSS_PIXELS_PER_INCH / DPI) for pixels in image.size)
        # 256 colours are enough for a figure, at a third of the size.
        few = image.convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    file = io.BytesIO()
    few.save(file, "PNG", optimize=True)
    content = base64.b64encode(file.getvalue()).decode("ascii")
    caption = escape(item.caption)
    kind = ' class="wide" tabindex="0"' if width > _WIDE else ""  # what scrolls is reached by keys, too
    return (
        f'<figure{kind}><img src="data:image/png;base64,{content}" width="{width}" height="{height}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: Sequence[int] = ()) -> str:
    """An HTML table of plain texts. Left-aligned: the first column, and text_columns, which may also wrap."""

    def line(tag: str, cells: Sequence[str]) -> str:
        marked = (
            f"<{tag}{' class=text' if i in text_columns else ''}>{escape(cell)}</{tag}>" for i, cell in enumerate(cells)
        )
        return "<tr>" + "".join(marked) + "</tr>"

    body = "\n".join(line("td", row) for row in rows)
    head = line("th", header)
    return f'<div class="table" tabindex="0"><table><thead>{head}</thead>\n<tbody>\n{body}\n</tbody></table></div>'


def code(lines: Sequence[str]) -> str:
    """A block of commands, one per line."""
    return f"<pre>{escape(chr(10).join(lines))}</pre>"


def number(value: float | None, digits: int = 3, sign: bool = False) -> str:
    """A number with `digits` decimals and a true minus sign; a dash where it is undefined (None or NaN)."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def interval(entry: dict, digits: int = 3, sign: bool = False) -> str:
    """A {value, low, high} as "value [low, high]"; the value alone where the interval is undefined."""
    value, low, high = (number(entry[key], digits, sign) for key in ("value", "low", "high"))
    return value if MISSING in (low, high) else f"{value} [{low}, {high}]"
