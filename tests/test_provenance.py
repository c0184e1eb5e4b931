"""Where a number came from, also where git is not installed or this is no checkout."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sleepkd
from sleepkd import provenance
from sleepkd.errors import UserError


def git(folder: Path, *arguments: str) -> None:
    named = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", *named, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_commit_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "REPOSITORY", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "train_ddp.py").write_text("1")
    assert provenance.commit() is None
    git(tmp_path, "init")
    git(tmp_path, "add", "train_ddp.py")
    git(tmp_path, "commit", "-m", "first")
    clean = provenance.commit()
    assert clean and len(clean) == 40 and set(clean) <= set("0123456789abcdef")
    (tmp_path / "train_ddp.py").write_text("2")
    assert provenance.commit() == f"{clean}-dirty"


def test_an_installed_copy_has_no_commit_and_no_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "-m", "another project")
    site_packages = tmp_path / "site-packages"
    site_packages.mkdir()
    monkeypatch.setattr(provenance, "REPOSITORY", site_packages)
    assert provenance.commit() is None and provenance.code_version() == sleepkd.__version__
    with pytest.raises(UserError, match=r"^train_ddp\.py: .* get a checkout of the sleepkd repository"):
        provenance.launch_command("train_ddp.py", 1, [])


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("git") is None
    assert provenance.commit() is None
    found = provenance.environment()
    assert found["commit"] is None and json.loads(json.dumps(found)) == found
    assert list(found) == ["command", "version", "commit", "python", "machine", "gpu", "packages"]


def test_versions_say_what_is_not_installed() -> None:
    found = provenance.versions(["numpy", "no-such-package-anywhere"])
    assert found["numpy"].count(".") == 2 and found["no-such-package-anywhere"] == "not installed"


def test_commands_can_be_typed() -> None:
    command = provenance.launch_command("evaluate.py", 3, ["--out", Path("my results")])
    assert command[0] == sys.executable and Path(command[5]).is_file()
    assert provenance.shown(command) == "torchrun --standalone --nproc_per_node=3 evaluate.py --out 'my results'"
    alone = provenance.launch_command("train_ddp.py", 1, ["--config", "ecg_base"])
    assert alone[:1] == [sys.executable] and Path(alone[1]).is_file()
    assert provenance.shown(alone) == "python train_ddp.py --config ecg_base"
    assert provenance.shown([sys.executable, "-m", "sleepkd.reproduce"]) == "python -m sleepkd.reproduce"
    assert provenance.shown(["make", "demo"]) == "make demo"
