"""The notebooks: their outputs are those of the weights that ship, and they run."""

import json
import re
from pathlib import Path

import pytest

from launch import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
MACHINE_PATH = re.compile(r"/(tmp|home|root|work|Users|usr)/")


def cells_of(path: Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def kinds_of(outputs: list[dict]) -> set[str]:
    """What a cell shows: text, image/png …"""
    return {kind for output in outputs for kind in output.get("data", {"text/plain": ""})}


def test_there_are_notebooks() -> None:
    assert {path.stem for path in NOTEBOOKS} == {"own_edf", "real_night", "teach_student"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_kept_and_small(path: Path) -> None:
    cells = cells_of(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert any(kinds_of(cell["outputs"]) for cell in cells)
    assert path.stat().st_size < 400_000
    assert not MACHINE_PATH.search(json.dumps([cell["outputs"] for cell in cells]))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_of_the_weights_that_ship(path: Path) -> None:
    pytest.importorskip("nbclient", reason="needs the extra docs")
    from website.notebooks import LOADS, weights_digest

    text = path.read_text(encoding="utf-8")
    expected = weights_digest() if LOADS in text else None
    assert json.loads(text)["metadata"].get("weights") == expected, "run make notebooks"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path: Path) -> None:
    pytest.importorskip("nbclient", reason="needs the extra docs")
    from website.notebooks import SLEEP_ACCEL, executed

    if path.stem == "real_night" and not SLEEP_ACCEL.is_dir():
        pytest.skip(f"needs the recordings of sleep_accel in {SLEEP_ACCEL}")
    for found, kept in zip(
        (cell for cell in executed(path).cells if cell.cell_type == "code"), cells_of(path), strict=True
    ):
        assert kinds_of(found.outputs) == kinds_of(kept["outputs"]), found.source
