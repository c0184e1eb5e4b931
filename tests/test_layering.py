"""Imports point one way, and training imports nothing that only preparing and drawing need."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from launch import REPOSITORY, environment

PACKAGE = REPOSITORY / "sleepkd"
EVALUATION = PACKAGE / "evaluation"
GROUND = {"errors", "files", "provenance", "config", "distributed"}
FLOORS = {  # what each room may import of sleepkd, besides itself
    "errors": set(),
    "provenance": {"errors"},
    "files": {"errors"},
    "config": {"errors"},
    "distributed": {"errors"},
    "data": GROUND,
    "cohorts": {*GROUND, "data"},
    "simulation": {"errors", "files", "config"},
    "models": {*GROUND, "data"},
    "training": GROUND,
    "distillation": {*GROUND, "data", "models", "training"},
    "evaluation": {*GROUND, "data", "models", "training", "distillation"},
    "study": {*GROUND, "data", "models", "training", "distillation", "evaluation"},
    "prediction": {*GROUND, "data", "cohorts", "models", "training", "distillation", "evaluation"},
    "inspection": {*GROUND, "data", "cohorts", "evaluation"},
}
EVALUATION_FLOORS = {  # the same within sleepkd/evaluation: rooms, and the files above them
    "scores": set(),
    "pictures": {"scores"},
    "distillation": {"scores", "pictures"},
    "pages": {"scores", "pictures"},
    "predictions": {"scores"},
    "inference": {"scores"},
    "runs": {"scores"},
    "analysis": {"scores", "pictures"},
    "results": {"scores", "pictures", "distillation", "pages", "predictions", "runs", "analysis"},
}
VERBS = {"simulate", "prepare", "inspect", "predict", "reproduce", "stager", "export"}
SCRIPTS = {"train_ddp", "evaluate", "examples"}
TOO_HEAVY = {"mne", "edfio", "wfdb", "yasa", "sleepecg", "matplotlib", "pandas", "numba", "onnx", "onnxruntime"}
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted({path.parent for path in FILES})


def room(path: Path, house: Path = PACKAGE) -> str:
    """The folder or file directly in `house` that a path belongs to."""
    return path.relative_to(house).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The modules that a file imports; `from a import b` is a.b where b is a module."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for whole in (f"{node.module}.{alias.name}" for alias in node.names):
                names.add(whole if is_module(whole) else node.module)
    return names


def is_module(name: str) -> bool:
    path = REPOSITORY.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def rooms_imported(path: Path, house: Path = PACKAGE) -> set[str]:
    """The other folders and files of `house` that a file imports."""
    depth = len(house.relative_to(REPOSITORY).parts)
    prefix = ".".join(house.relative_to(REPOSITORY).parts) + "."
    return {name.split(".")[depth] for name in imported(path) if name.startswith(prefix)} - {room(path, house)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & SCRIPTS
    if path.name != "__init__.py" and EVALUATION in path.parents:
        assert rooms_imported(path, EVALUATION) <= EVALUATION_FLOORS[room(path, EVALUATION)]
    if room(path) != "__init__" and room(path) not in VERBS:
        assert rooms_imported(path) <= FLOORS[room(path)]


@pytest.mark.parametrize("house", ROOMS, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_no_folders_or_files_import_each_other_in_a_circle(house: Path) -> None:
    needs: dict[str, set[str]] = {}
    for path in (path for path in FILES if house in path.parents):
        needs.setdefault(room(path, house), set()).update(rooms_imported(path, house))
    TopologicalSorter(needs).prepare()  # raises CycleError, which names the circle


def test_training_imports_only_what_a_training_node_has() -> None:
    code = "import sys, train_ddp; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=True
    ).stdout.split()
    assert not TOO_HEAVY & set(loaded)
    assert {"torch", "numpy", "yaml"} <= set(loaded)
