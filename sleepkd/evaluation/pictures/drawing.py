"""Matplotlib figures in one style, written as PNG files. Matplotlib is imported when a figure is drawn."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sleepkd.extras import require_extra
from sleepkd.files import write_bytes_atomically
from sleepkd.palette import FAINT_INK, GRID, INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 160
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": FAINT_INK,
    "ytick.color": FAINT_INK,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
}


@dataclass(frozen=True)
class Picture:
    """A figure on disk and its caption."""

    path: Path
    caption: str


def require_figures() -> None:
    """Raise UserError where figures cannot be drawn. Call it before the first file of a result is written."""
    require_extra("matplotlib", "evaluate", "figures")


@contextmanager
def new_figure(path: str | Path, width: float, height: float) -> Iterator["Figure"]:
    """An empty figure in this package's style, written as PNG at the end of the `with` block.

    width, height: inches. Raises UserError where matplotlib is not installed.
    """
    require_figures()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        save_png(figure, path)


def legend_inches(names: Iterable[str]) -> float:
    """The width that a legend of these names needs beside the axes, where it covers no line."""
    return 0.9 + 0.08 * max(map(len, names), default=0)


def save_png(figure: "Figure", path: str | Path) -> None:
    """Write a figure as PNG; the file appears whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(DPI)
    content = io.BytesIO()
    FigureCanvasAgg(figure).print_png(content)  # savefig would draw it twice
    write_bytes_atomically(path, content.getvalue())
