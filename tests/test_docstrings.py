"""The examples in the docstrings of the Python interface: of `sleepkd`, and of every module that docs/api shows."""

import doctest
import importlib
import re
import shutil
from pathlib import Path

import pytest

from launch import REPOSITORY

SHOWN = re.compile(r"^::: ([\w.]+)", re.MULTILINE)
"""What a page of docs/api shows: a module, or a class or function in one."""


def module_of(name: str) -> str:
    """The module that defines a dotted name."""
    while not ((path := REPOSITORY / name.replace(".", "/")).is_dir() or path.with_suffix(".py").is_file()):
        name = name.rpartition(".")[0]
    return name


PAGES = sorted((REPOSITORY / "docs" / "api").glob("*.md"))
MODULES = sorted({module_of(name) for page in PAGES for name in SHOWN.findall(page.read_text(encoding="utf-8"))})
WITH_EXAMPLES = {
    "sleepkd",
    "sleepkd.data.hypnogram",
    "sleepkd.data.nights",
    "sleepkd.data.pseudo_labels",
    "sleepkd.data.store",
    "sleepkd.evaluation.analysis",
    "sleepkd.evaluation.scores.night_scores",
    "sleepkd.losses.loss",
    "sleepkd.prediction.model",
    "sleepkd.prediction.predicted_night",
    "sleepkd.prediction.regularity",
}


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name: str, store: Path, tmp_path: Path) -> None:
    """Examples may open the store at `path`."""
    shutil.copytree(store, tmp_path / "store")
    failed, attempted = doctest.testmod(importlib.import_module(name), extraglobs={"path": tmp_path / "store"})
    assert not failed
    assert bool(attempted) == (name in WITH_EXAMPLES)


def test_the_pages_show_the_interface() -> None:
    assert set(MODULES) >= WITH_EXAMPLES
