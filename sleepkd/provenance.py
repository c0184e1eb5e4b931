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

from sleepkd import __version__
from sleepkd.errors import UserError

REPOSITORY = Path(__file__).resolve().parent.parent  # a checkout's root, or the site-packages of an installed package
TRAINED_WITH = ("torch", "numpy", "scipy", "tensorboard", "PyYAML")
_TORCHRUN = ("-m", "torch.distributed.run", "--standalone")


def is_checkout() -> bool:
    """Whether the package runs from a checkout, which has train_ddp.py, rather than from an installed copy."""
    return (REPOSITORY / "train_ddp.py").is_file()


def commit() -> str | None:
    """This checkout's commit: 40 digits, and -dirty if files differ. None without git or outside a checkout."""
    if not is_checkout():  # an environment may lie in another project's repository
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        git = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return git.stdout.strip() or None


def code_version() -> str:
    """The commit of a checkout; else, the version of the package."""
    return commit() or __version__


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
    """What this process runs with, JSON-safe: command, version, commit, python, machine, gpu (or None), packages."""
    return {
        "command": sys.argv,
        "version": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": versions(TRAINED_WITH),
    }


def launch_command(script: str, processes: int, arguments: Sequence[object]) -> list[str]:
    """The command line that starts train_ddp.py or evaluate.py of this checkout on so many processes of this machine.

    One process needs no torchrun, which would start a second beside it. Raises UserError outside a checkout.
    """
    if not is_checkout():
        raise UserError(
            f"{script}: is not part of the installed package; get a checkout of the sleepkd repository, run make in it "
            "and start this command there"
        )
    launcher = (*_TORCHRUN, f"--nproc_per_node={processes}") if processes > 1 else ()
    return [sys.executable, *launcher, str(REPOSITORY / script), *map(str, arguments)]


def shown(command: Sequence[str]) -> str:
    """A command line of this Python, quoted, as typed in the checkout's folder: torchrun … or python …."""
    python, *words = command
    launched = tuple(words[:2]) == _TORCHRUN[:2]
    typed = ["torchrun", *words[2:]] if launched else ["python" if python == sys.executable else python, *words]
    return shlex.join(word.removeprefix(f"{REPOSITORY}/") for word in typed)
