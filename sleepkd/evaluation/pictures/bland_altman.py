"""Bland-Altman plots of sleep statistics as PNG, drawn by YASA."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sleepkd.evaluation.pictures.drawing import STYLE, require_figures, save_png
from sleepkd.evaluation.scores.sleep_medicine import PREDICTED, REM_LATENCY, SCORED, quiet_yasa, yasa_agreement
from sleepkd.palette import INK

if TYPE_CHECKING:
    import pandas as pd

HEADLINE = ("TST", "SE", "WASO", "SOL", REM_LATENCY, "REM")


def bland_altman_figure(statistics: "pd.DataFrame", path: str | Path, names: Sequence[str] = HEADLINE) -> list[str]:
    """Draw YASA's Bland-Altman plots of the named sleep statistics to a PNG: predicted minus scored, against scored.

    statistics: the frame of `sleep_medicine_of`. Returns the names drawn: those that at least three nights define and
    on which scored and predicted differ. Writes no file without any. Raises UserError where matplotlib or
    YASA is not installed.
    """
    defined = statistics.loc[SCORED].notna() & statistics.loc[PREDICTED].notna()
    difference = statistics.loc[PREDICTED] - statistics.loc[SCORED]
    drawn = [name for name in names if name in difference and defined[name].sum() >= 3 and difference[name].any()]
    if not drawn:
        return []
    require_figures()
    import matplotlib.pyplot as plt

    agreement = yasa_agreement(statistics[drawn])
    with plt.rc_context(STYLE), quiet_yasa():
        grid = agreement.plot_blandaltman(
            sleep_stats=drawn,
            ci_method="param",
            scatter_kwargs={"s": 22, "edgecolor": INK, "linewidth": 0.9},
            height=2.9,
        )
        try:
            for axes, name in zip(grid.axes.flat, drawn, strict=True):
                unit = "%" if name.startswith("%") or name in ("SE", "SME") else "min"
                axes.set_title(f"{name} ({unit})", fontsize=11)
                axes.set_xlabel("scored")
            grid.set_ylabels("predicted − scored")
            save_png(grid.figure, path)
        finally:
            plt.close(grid.figure)
    return drawn
