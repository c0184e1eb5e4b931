"""Where a number came from: the commit of this checkout, the versions it ran with, and commands to type again."""

import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

REPOSITORY = Path(__file__).resolve().parent.parent  # where train_ddp.py and evaluate.py are
TRAINED_WITH = ("torch", "numpy", "scipy", "tensorboard", "PyYAML")
_TORCHRUN = ("-m", "torch.distributed.run", "--standalone")


def commit() -> str | None:
    """This checkout's commit (40 digits; -dirty where files were changed). None without git or outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        git = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return git.stdout.strip() or None


def versions(packages: Sequence[str]) -> dict[str, str]:
    """The installed version of each package by its name on PyPI, or "not installed"."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def environment() -> dict[str, Any]:
    """What this process runs with, JSON-safe: command, commit, python, machine, gpu (None without), packages."""
    return {
        "command": sys.argv,
        "commit": commit(),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": versions(TRAINED_WITH),
    }


def launch_command(script: str, processes: int, arguments: Sequence[object]) -> list[str]:
    """The command line that starts a script of this checkout on so many processes of this machine.

    One process needs no torchrun, which would start a second beside it.
    """
    launcher = (*_TORCHRUN, f"--nproc_per_node={processes}") if processes > 1 else ()
    return [sys.executable, *launcher, str(REPOSITORY / script), *map(str, arguments)]


def shown(command: Sequence[str]) -> str:
    """A command line of this Python, quoted, as one would type it in this checkout's folder: torchrun … or python …."""
    python, *words = command
    launched = tuple(words[:2]) == _TORCHRUN[:2]
    typed = ["torchrun", *words[2:]] if launched else ["python" if python == sys.executable else python, *words]
    return shlex.join(word.removeprefix(f"{REPOSITORY}/") for word in typed)
