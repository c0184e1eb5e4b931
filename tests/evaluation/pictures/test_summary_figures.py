"""Figures of several models: twelve colours told apart, and a legend that covers no line."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sleepkd.evaluation.pictures import drawing
from sleepkd.evaluation.pictures.summary_figures import reliability_figure, risk_coverage_figure
from sleepkd.palette import MODEL_COLOURS

CALIBRATION = {
    "ece": 0.05,
    "n": 100,
    "bins": [{"low": k / 10, "n": 50, "confidence": k / 10, "accuracy": k / 11} for k in range(10)],
    "risk_coverage": [{"share": share, "kappa": 1 - share / 2} for share in (0.1, 0.5, 1.0)],
}


@pytest.mark.parametrize("draw", [reliability_figure, risk_coverage_figure])
@pytest.mark.parametrize("name", ["a", "a student with a long name"])
def test_the_legend_of_twelve_models_covers_no_axes(tmp_path, monkeypatch, draw, name):
    drawn = []
    monkeypatch.setattr(drawing, "save_png", lambda figure, path: drawn.append(figure))
    draw({f"{name} {k}": CALIBRATION for k in range(12)}, tmp_path / "x.png")
    (figure,) = drawn
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    axes = figure.axes[0]
    legend = axes.get_legend().get_window_extent()
    assert len(axes.get_legend().texts) == 12
    assert legend.x0 >= axes.get_window_extent().x1
    assert legend.x1 <= figure.bbox.x1 and legend.y0 >= 0 and legend.y1 <= figure.bbox.y1 + 1
    assert axes.get_window_extent().width > 0.8 * 5.2 * figure.dpi * 0.8
    lines = [line.get_color() for line in axes.lines if len(np.unique(line.get_xdata())) > 2]
    assert lines == list(MODEL_COLOURS)
