"""Write requirements.lock and requirements-cuda.lock: every dependency of requirements.txt, exact versions and hashes.

    make lock

uv resolves requirements.txt for every platform and Python from 3.11 on. What only a CUDA build of torch needs goes into
requirements-cuda.lock, so that a machine with a CPU build installs none of it.
"""

import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CUDA = re.compile(r"(nvidia|cuda)-|triton==")
CPU_WHEELS = {
    "torch==2.13.0": ["6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"],  # Python 3.11, Linux x86-64
}
"""sha256 of PyTorch's own CPU builds, which PyPI does not list: add one with `sha256sum torch-*+cpu-*.whl`."""
HEADER = "# Made by `make lock` from requirements.txt. Do not edit.\n"


def main() -> None:
    """Resolve, add the hashes of CPU builds, and write both files."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version=3.11", "--generate-hashes"]
    layout = ["--no-header", "--no-annotate", "requirements.txt"]
    text = subprocess.run([*command, *layout], cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    packages = re.split(r"\n(?=\S)", text.strip())
    for name in CPU_WHEELS:
        if not any(package.split()[0] == name for package in packages):
            raise SystemExit(f"error: CPU_WHEELS: {name} is not the version of requirements.txt; update its hashes")
    locked = {False: "", True: ""}
    for package in packages:
        extra = CPU_WHEELS.get(package.split()[0], [])
        locked[bool(CUDA.match(package))] += " \\\n    ".join([package, *(f"--hash=sha256:{h}" for h in extra)]) + "\n"
    (REPOSITORY / "requirements.lock").write_text(HEADER + locked[False], encoding="utf-8")
    (REPOSITORY / "requirements-cuda.lock").write_text(HEADER + locked[True], encoding="utf-8")


if __name__ == "__main__":
    main()
