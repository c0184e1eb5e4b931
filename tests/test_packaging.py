"""What is installed: the files of the wheel, the configs that an installed package finds, and the extras."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest
import yaml

import sleepkd
from launch import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy: builds leave files beside the sources."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "train_ddp.py", "evaluate.py"):
        shutil.copy(REPOSITORY / name, source)
    for folder in ("sleepkd", "configs", "tests", "examples", "benchmarks", "scripts"):
        ignored = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(REPOSITORY / folder, source / folder, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, source]
    subprocess.run(command, check=True)
    return next(out.glob("*.whl"))


def files(folder: str) -> set[str]:
    """The files of a folder of this checkout, without what Python leaves there."""
    return {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_the_wheel_holds_the_package_its_configs_and_weights(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    assert names == files("sleepkd") | {f"sleepkd/{name}" for name in files("configs")}
    assert {"sleepkd/py.typed", "sleepkd/configs/kd_temp.yaml", "sleepkd/weights/night/night.pt"} <= names
    assert f"\nVersion: {sleepkd.__version__}\n" in text and "\nLicense-Expression: MIT\n" in text


def test_an_installed_package_finds_its_configs(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "from sleepkd.cohorts.layout import load_cohort; from sleepkd.config import find_config;"
        "from sleepkd.settings import load_config;"
        "print(find_config('kd_temp')); load_config(['kd_temp'], []); print(load_cohort('mass').name)"
    )
    environment = {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(tmp_path / "sleepkd" / "configs" / "kd_temp.yaml"), "mass"]


def test_the_pinned_versions_are_within_the_ranges() -> None:
    from packaging.requirements import Requirement

    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.lower().split("==") for line in lines if "==" in line)
    extras = PROJECT["optional-dependencies"]
    ranges = [Requirement(line) for line in chain(PROJECT["dependencies"], *extras.values())]
    checked = {item.name.lower() for item in ranges if item.name.lower() in pinned}
    assert checked == set(pinned), "each pin belongs to a dependency of pyproject.toml"
    for item in ranges:
        if item.name.lower() in pinned:
            assert item.specifier.contains(pinned[item.name.lower()]), item


def test_the_lock_files_hold_every_pin_with_hashes() -> None:
    pins = {line.lower() for line in (REPOSITORY / "requirements.txt").read_text().splitlines() if "==" in line}
    locked: set[str] = set()
    for name in ("requirements.lock", "requirements-cpu.lock", "requirements-cuda.lock"):
        text = (REPOSITORY / name).read_text(encoding="utf-8").replace("\\\n", " ")
        for line in text.splitlines():
            if line and not line.startswith("#"):
                assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line
                locked.add(line.split()[0])
    assert pins <= locked


def test_the_extras_that_messages_name_hold_the_package() -> None:
    on_pypi = {"PIL": "pillow", "sklearn": "scikit-learn", "dask_jobqueue": "dask-jobqueue"}
    extras = {name: " ".join(lines).lower() for name, lines in PROJECT["optional-dependencies"].items()}
    calls = []
    for path in (REPOSITORY / "sleepkd").rglob("*.py"):
        calls += re.findall(r"require_extra\(\"(\w+)\", \"(\w+)\"", path.read_text(encoding="utf-8"))
    assert calls
    for module, extra in calls:
        assert on_pypi.get(module, module) in extras[extra], f"pip install 'sleepkd[{extra}]' lacks {module}"


def test_pre_commit_and_make_lint_use_one_version_of_ruff() -> None:
    pin = next(line for line in (REPOSITORY / "requirements.txt").read_text().splitlines() if line.startswith("ruff=="))
    hooks = (REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"ruff==[\d.]+", hooks)) == {pin}


def test_the_workflow_runs_every_check_of_ci() -> None:
    script = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    checks = re.search(r"set -- (.+)", script)
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8"))
    assert checks and set(workflow["jobs"]["check"]["strategy"]["matrix"]["check"]) == set(checks[1].split())
