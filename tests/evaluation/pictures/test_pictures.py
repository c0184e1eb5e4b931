import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.evaluation.pictures.hypnogram_figure import hypnogram_figure
from sleepkd.evaluation.pictures.matrix_figures import confusion_figure
from sleepkd.palette import STAGE_COLOURS, display_order, rgb
from tests.evaluation.nights import made_up_night


def pixels_of(path, colour):
    """Number of pixels of a PNG with exactly this colour."""
    image = np.asarray(Image.open(path).convert("RGB"))
    return int((image == rgb(colour)).all(-1).sum())


@pytest.mark.parametrize("classes", [3, 4, 5])
def test_hypnogram_shows_every_stage_in_its_colour(tmp_path, classes):
    path = tmp_path / "h.png"
    hypnogram_figure(made_up_night(classes=classes), CLASS_NAMES[classes], path)
    assert all(pixels_of(path, STAGE_COLOURS[name]) > 500 for name in CLASS_NAMES[classes])


def test_unscored_time_is_empty_in_the_scored_hypnogram_only(tmp_path):
    """All wake, predicted as wake: without labels, half of one of the two lines disappears."""
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


def test_display_order_is_wake_rem_then_nrem_by_depth():
    assert [CLASS_NAMES[5][k] for k in display_order(CLASS_NAMES[5])] == ["W", "REM", "N1", "N2", "N3"]
    assert [CLASS_NAMES[4][k] for k in display_order(CLASS_NAMES[4])] == ["W", "REM", "light", "deep"]


def test_confusion_figure_with_a_class_that_is_never_scored(tmp_path):
    confusion_figure(np.array([[5, 1, 0], [0, 0, 0], [1, 0, 3]]), CLASS_NAMES[3], "title", tmp_path / "c.png")
    assert Image.open(tmp_path / "c.png").size[0] > 500


OPTIONAL = ("matplotlib", "mne", "pandas", "PIL", "sklearn", "yasa")
"""Packages that evaluation imports only where it uses them."""


def run_without_optional_packages(code):
    """Standard output of Python code in a process that cannot import the optional packages."""
    block = f"import sys; sys.modules.update(dict.fromkeys({OPTIONAL}))\n"
    return subprocess.run([sys.executable, "-c", block + code], capture_output=True, text=True, check=True).stdout


def test_scores_figures_and_pages_import_without_optional_packages():
    run_without_optional_packages(
        "import importlib, pkgutil, sleepkd.evaluation.scores, sleepkd.evaluation.pictures, sleepkd.evaluation.pages\n"
        "for package in (sleepkd.evaluation.scores, sleepkd.evaluation.pictures, sleepkd.evaluation.pages):\n"
        "    for module in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "import sleepkd.inspect"
    )


def test_without_optional_packages_the_error_names_the_extra_to_install():
    out = run_without_optional_packages(
        "import numpy as np\n"
        "from sleepkd.errors import UserError\n"
        "from sleepkd.training.confusion_image import confusion_image\n"
        "from sleepkd.evaluation.pictures.matrix_figures import confusion_figure\n"
        "from sleepkd.evaluation.scores.sleep_medicine import sleep_medicine_of\n"
        "from tests.evaluation.nights import made_up_night\n"
        "names = ('W', 'light', 'deep', 'REM')\n"
        "for call in (\n"
        "    lambda: confusion_figure(np.eye(4, dtype=int), names, 'title', 'unwritten.png'),\n"
        "    lambda: confusion_image(np.eye(4, dtype=int), names),\n"
        "    lambda: sleep_medicine_of([made_up_night()], names),\n"
        "):\n"
        "    try:\n"
        "        call()\n"
        "    except UserError as error:\n"
        "        print(error)\n"
    )
    assert [re.search(r"package (\w+) .*sleepkd\[(\w+)\]", line).groups() for line in out.splitlines()] == [
        ("matplotlib", "evaluate"),
        ("PIL", "train"),
        ("yasa", "evaluate"),
    ]
    assert not Path("unwritten.png").exists()
