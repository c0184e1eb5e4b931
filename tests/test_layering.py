"""Imports within sleepkd point from an upper layer to a lower one, and training imports only light packages."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from launch import REPOSITORY, environment

PACKAGE = REPOSITORY / "sleepkd"
LAYERS = (  # a room, a folder or file of sleepkd, imports rooms of earlier layers only
    {"errors"},
    {"config", "distributed", "extras", "files", "palette", "progress", "provenance", "worker_pool"},
    {"data"},
    {"simulation"},
    {"cohorts", "losses", "models"},
    {"settings"},
    {"checkpoints", "precision"},
    {"teachers"},
    {"evaluation", "training"},
    {"inspection", "prediction", "study"},
    {"export", "inspect", "label_efficiency", "merge", "predict", "prepare", "pseudo_label", "simulate"},  # verbs
    {"cli", "reproduce", "__init__"},
)
RAW_FILES = {"cohorts", "simulation"}
READ_RAW_FILES = {"inspection", "prediction"}
"""The rooms that import `cohorts`, besides verbs: training and evaluation read stores only."""
SCRIPTS = {"train_ddp", "evaluate", "examples", "scripts", "benchmarks"}
HEAVY = {
    "h5py", "mne", "edfio", "wfdb", "yasa", "sklearn", "sleepecg", "matplotlib", "pandas", "numba", "onnx",
    "onnxruntime", "neurokit2",
}  # fmt: skip


def room(path: Path, folder: Path = PACKAGE) -> str:
    """The folder or file directly in `folder` that a path belongs to."""
    return path.relative_to(folder).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports; `from a import b` is a.b where b is a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for whole in (f"{node.module}.{alias.name}" for alias in node.names):
                yield whole if is_module(whole) else node.module


def is_module(name: str) -> bool:
    path = REPOSITORY.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def rooms_imported(path: Path, folder: Path = PACKAGE) -> set[str]:
    """The other folders and files of `folder` that a file imports."""
    parts = folder.relative_to(REPOSITORY).parts
    inside = (name.split(".") for name in imported(path) if name.startswith(".".join(parts) + "."))
    return {names[len(parts)] for names in inside} - {room(path, folder)}


def test_imports_point_one_way() -> None:
    layer_of = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    verbs = len(LAYERS) - 2
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        own = room(path)
        wrong += [f"{path}: imports {name}" for name in imported(path) if name.split(".")[0] in SCRIPTS]
        for other in rooms_imported(path):
            downwards = layer_of[other] < layer_of[own]
            may_read = other not in RAW_FILES or own in READ_RAW_FILES or layer_of[own] >= verbs
            wrong += [] if downwards and may_read else [f"{path}: {own} imports {other}"]
    assert not wrong, "\n".join(wrong)


def test_no_files_or_folders_import_each_other_in_a_circle() -> None:
    files = list(PACKAGE.rglob("*.py"))
    for folder in {path.parent for path in files}:
        needs: dict[str, set[str]] = {}
        for path in (path for path in files if folder in path.parents):
            needs.setdefault(room(path, folder), set()).update(rooms_imported(path, folder))
        TopologicalSorter(needs).prepare()  # raises CycleError, which names the circle


def test_training_imports_only_light_packages() -> None:
    code = "import sys, train_ddp; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=True
    ).stdout.split()
    assert not HEAVY & set(loaded)
    assert {"torch", "numpy", "yaml"} <= set(loaded)
