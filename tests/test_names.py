"""One name, one thing: no two public classes or functions, and no two files, of the same name."""

import ast
import sys
from collections import defaultdict
from pathlib import Path

from launch import REPOSITORY

PACKAGE = REPOSITORY / "sleepkd"
NAMED_ALIKE = {
    "main": "every verb has one; sleepkd/cli.py calls it",
}
FILES_NAMED_ALIKE = {
    "__init__.py": "Python's",
}


def duplicates(places: dict[str, list[Path]], allowed: dict[str, str]) -> list[str]:
    found = {name: paths for name, paths in places.items() if len(paths) > 1 and name not in allowed}
    return [
        f"{name}: {', '.join(str(path.relative_to(REPOSITORY)) for path in paths)}" for name, paths in found.items()
    ]


def test_no_two_public_classes_or_functions_have_one_name() -> None:
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path)
    assert not duplicates(places, NAMED_ALIKE), "\n".join(duplicates(places, NAMED_ALIKE))
    assert all(len(places[name]) > 1 for name in NAMED_ALIKE)  # no exception without need


def test_no_two_files_have_one_name() -> None:
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        places[path.name].append(path)
    assert not duplicates(places, FILES_NAMED_ALIKE), "\n".join(duplicates(places, FILES_NAMED_ALIKE))
    assert all(len(places[name]) > 1 for name in FILES_NAMED_ALIKE)


def test_no_file_has_the_name_of_a_module_of_the_standard_library_except_a_verb() -> None:
    clash = {path.stem for path in PACKAGE.rglob("*.py")} & sys.stdlib_module_names
    assert clash <= {"inspect"}  # `sleepkd inspect`
