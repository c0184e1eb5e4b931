"""Imports point one way, and training imports nothing that only preparing and drawing need."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from launch import REPOSITORY, environment

PACKAGE = REPOSITORY / "sleepkd"
FLOORS = {  # what each room may import of sleepkd, besides itself
    "errors": set(),
    "files": {"errors"},
    "config": {"errors"},
    "distributed": {"errors"},
    "checkpoint": {"errors", "files"},
    "data": {"errors", "files", "config"},
    "cohorts": {"errors", "files", "config", "data"},
    "simulation": {"errors", "files"},
    "models": {"errors", "config", "checkpoint", "data"},
    "distillation": {"errors", "files", "config", "distributed", "checkpoint", "data", "models"},
    "evaluation": {"errors", "files", "config", "checkpoint", "distributed", "data", "models"},
    "plan": {"errors", "config"},
    "estimate": {"config", "checkpoint", "data", "models", "distillation", "plan"},
    "progress": {"distributed"},
    "run_directory": {"errors", "files", "config", "checkpoint"},
    "schedule": {"config", "checkpoint"},
}
VERBS = {"simulate", "prepare", "predict", "reproduce"}
SCRIPTS = {"train_ddp", "evaluate", "examples"}
TOO_HEAVY = {"mne", "edfio", "wfdb", "yasa", "sleepecg", "matplotlib", "pandas", "numba"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    names = imported(path)
    assert not {name.split(".")[0] for name in names} & SCRIPTS
    if room(path) == "__init__" or room(path) in VERBS:
        return
    rooms = {name.split(".")[1] for name in names if name.startswith("sleepkd.")}
    assert rooms - {room(path)} <= FLOORS[room(path)]


def test_training_imports_only_what_a_training_node_has() -> None:
    code = "import sys, train_ddp; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=True
    ).stdout.split()
    assert not TOO_HEAVY & set(loaded)
    assert {"torch", "numpy", "yaml"} <= set(loaded)
