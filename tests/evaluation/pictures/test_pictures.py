import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.evaluation.pictures.confusion_image import confusion_image
from sleepkd.evaluation.pictures.hypnogram_figure import hypnogram_figure
from sleepkd.evaluation.pictures.matrix_figures import confusion_figure
from sleepkd.evaluation.pictures.palette import STAGE_COLOURS, display_order, rgb
from tests.evaluation.nights import made_up_night


def pixels_of(path, colour):
    """How many pixels of a PNG have exactly this colour."""
    image = np.asarray(Image.open(path).convert("RGB"))
    return int((image == rgb(colour)).all(-1).sum())


@pytest.mark.parametrize("classes", [3, 4, 5])
def test_hypnogram_shows_every_stage_in_its_colour(tmp_path, classes):
    path = tmp_path / "h.png"
    hypnogram_figure(made_up_night(classes=classes), CLASS_NAMES[classes], path)
    assert all(pixels_of(path, STAGE_COLOURS[name]) > 500 for name in CLASS_NAMES[classes])


def test_unscored_is_a_gap_in_the_scored_hypnogram_only(tmp_path):
    """All wake, predicted wake with certainty: what unscoring half the night takes away is that half of one line."""
    n = 100
    night = dataclasses.replace(
        made_up_night(n=n, classes=3),
        labels=np.zeros(n, dtype=np.int8),
        probabilities=np.tile(np.float32([0.4, 0.3, 0.3]), (n, 1)),
    )
    unscored = dataclasses.replace(night, labels=np.repeat(np.int8([0, -1]), n // 2))
    hypnogram_figure(night, CLASS_NAMES[3], tmp_path / "full.png")
    hypnogram_figure(unscored, CLASS_NAMES[3], tmp_path / "half.png")
    full, half = (pixels_of(tmp_path / name, STAGE_COLOURS["W"]) for name in ("full.png", "half.png"))
    line = 5 / 72 * 160 * 1600  # 5 points thick, about 1600 pixels long
    assert 0.3 * line < full - half < 0.6 * line


def test_order_of_stages_is_the_fields():
    assert [CLASS_NAMES[5][k] for k in display_order(CLASS_NAMES[5])] == ["W", "REM", "N1", "N2", "N3"]
    assert [CLASS_NAMES[4][k] for k in display_order(CLASS_NAMES[4])] == ["W", "REM", "light", "deep"]


def test_confusion_figure_is_drawn_even_with_a_class_never_scored(tmp_path):
    confusion_figure(np.array([[5, 1, 0], [0, 0, 0], [1, 0, 3]]), CLASS_NAMES[3], "title", tmp_path / "c.png")
    assert Image.open(tmp_path / "c.png").size[0] > 500


def test_confusion_image_is_darker_where_more_is():
    image = confusion_image(np.array([[9, 1], [0, 0]]), ("W", "REM"))
    assert image.dtype == np.uint8
    assert image.ndim == 3
    right, wrong = image[76, 100].astype(int).sum(), image[76, 196].astype(int).sum()
    assert right < wrong


def test_training_gets_metrics_and_image_without_the_drawing_and_reading_libraries():
    code = (
        "import sys; import sleepkd.evaluation.scores.metrics, sleepkd.evaluation.pictures.confusion_image; "
        "bad = {'matplotlib', 'pandas', 'yasa', 'mne', 'scipy'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
