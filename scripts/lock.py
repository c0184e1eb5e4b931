"""Write the lock files: every dependency of requirements.txt for every platform, exact versions and hashes.

    make lock

requirements.lock       all but torch
requirements-cuda.lock  torch as on PyPI, and the CUDA libraries that it needs on Linux
requirements-cpu.lock   torch as a CPU build of PyTorch's own, which needs no further library

torch is apart since pip prefers a file whose hash the index lists. In one file with both hashes, it would take the
build from PyPI even where a CPU build is set up.
"""

import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TORCH = re.compile(r"(torch|triton)==|(nvidia|cuda)-")
CPU_BUILD = """torch==2.13.0+cpu \\
    --hash=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
"""
"""For Python 3.11 on x86-64 Linux. PyPI lists no CPU builds: add a hash with `sha256sum torch-*+cpu-*.whl`."""
HEADER = "# Made by `make lock` from requirements.txt. Do not edit.\n"


def main() -> None:
    """Resolve requirements.txt with uv and write the three files."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version=3.11", "--generate-hashes"]
    layout = ["--no-header", "--no-annotate", "requirements.txt"]
    text = subprocess.run([*command, *layout], cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    packages = re.split(r"\n(?=\S)", text.strip())
    version = CPU_BUILD.split("+")[0]
    if not any(package.split()[0] == version for package in packages):
        raise SystemExit(f"error: scripts/lock.py: CPU_BUILD: {version} is not the version of requirements.txt")
    _write("requirements.lock", [package for package in packages if not TORCH.match(package)])
    _write("requirements-cuda.lock", [package for package in packages if TORCH.match(package)])
    _write("requirements-cpu.lock", [CPU_BUILD.strip()])


def _write(name: str, packages: list[str]) -> None:
    (REPOSITORY / name).write_text(HEADER + "\n".join(packages) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
