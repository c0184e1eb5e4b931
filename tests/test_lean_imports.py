"""A training node has torch, NumPy, SciPy, PyYAML, tqdm and TensorBoard: every command starts there.

An import hook blocks every other installed package, in one process of its own.
"""

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from launch import REPOSITORY, environment, tiny
from runs import train

PRESENT = ("torch", "numpy", "scipy", "PyYAML", "tqdm", "tensorboard", "Pillow")
VERBS = (
    "predict", "merge", "prepare", "inspect", "simulate", "export", "reproduce", "label_efficiency", "pseudo_label",
)  # fmt: skip
COMMANDS = (*(f"sleepkd.{verb}" for verb in VERBS), "sleepkd.cli", "train_ddp", "evaluate")

PROCESS = """
import contextlib, io, json, runpy, sys, traceback

blocked, commands, evaluations = json.load(sys.stdin)

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
sys.path.insert(0, "")

def outcome(module, arguments):
    sys.argv = [module, *arguments]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            runpy.run_module(module, run_name="__main__")
        except SystemExit as end:
            return [end.code, output.getvalue()]
        except BaseException:
            return [None, traceback.format_exc()]
    return [0, output.getvalue()]

found = {command: outcome(command, ["--help"]) for command in commands}
found |= {name: outcome("evaluate", arguments) for name, arguments in evaluations.items()}
json.dump(found, sys.stdout)
"""


def closure(names: tuple[str, ...]) -> set[str]:
    """Installed distributions that some need, themselves included, by normalised name."""
    found: set[str] = set()
    due = list(names)
    while due:
        name = re.sub(r"[-_.]+", "-", due.pop()).lower()
        if name in found:
            continue
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # for another platform
            continue
        found.add(name)
        needed = [requirement for requirement in requirements if "extra ==" not in requirement]
        due += [re.match(r"[\w.-]+", requirement).group() for requirement in needed]
    return found


def blocked_modules() -> list[str]:
    """Top-level modules of the packages that a training node does not have."""
    present = closure(PRESENT)
    names = {
        module: {re.sub(r"[-_.]+", "-", name).lower() for name in distributions}
        for module, distributions in metadata.packages_distributions().items()
    }
    own = {"sleepkd", "train_ddp", "evaluate", *sys.stdlib_module_names}
    return sorted(module for module, of in names.items() if not of & present and module not in own)


@pytest.fixture(scope="module")
def outcomes(store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int | None, str]]:
    """{command: exit code (None for a traceback) and output} of --help, and of two evaluations, on a training node."""
    out = tmp_path_factory.mktemp("lean")
    folder, _ = train("ecg_base", tiny(store, out / "runs"))
    common = ["--checkpoint", str(folder / "best.pt"), "--device", "cpu", "--draws", "50", "--out"]
    evaluations = {"scores": [*common, str(out / "scores"), "--only-scores"], "report": [*common, str(out / "report")]}
    text = json.dumps([blocked_modules(), COMMANDS, evaluations])
    done = subprocess.run(
        [sys.executable, "-c", PROCESS],
        cwd=REPOSITORY, env=environment(), input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    metrics = out / "scores" / "metrics.json"
    found["metrics"] = [0, metrics.read_text() if metrics.is_file() else ""]
    found["files"] = [0, " ".join(str(path) for path in (out / "report").rglob("*"))]
    return found


def test_optional_packages_are_blocked() -> None:
    blocked = set(blocked_modules())
    assert {"matplotlib", "pandas", "yasa", "sklearn", "mne", "edfio", "wfdb", "sleepecg", "onnx"} <= blocked
    assert not {"torch", "numpy", "scipy", "yaml", "tqdm", "tensorboard", "PIL", "google"} & blocked


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_prints_its_help(outcomes: dict[str, tuple[int | None, str]], command: str) -> None:
    code, output = outcomes[command]
    assert code == 0 and "usage:" in output, output


def test_scores_need_no_optional_package(outcomes: dict[str, tuple[int | None, str]]) -> None:
    code, output = outcomes["scores"]
    assert code == 0 and "kappa" in output, output
    metrics = json.loads(outcomes["metrics"][1])
    assert metrics["calibration"]["nll"] > 0 and metrics["overall"]["n"] > 0
    assert metrics["sleep_medicine"]["missing"].endswith("pip install 'sleepkd[evaluate]'")


def test_a_report_names_the_extra_before_anything_is_written(outcomes: dict[str, tuple[int | None, str]]) -> None:
    code, output = outcomes["report"]
    assert code == 2, output
    assert re.fullmatch(r"error: .*--only-scores.*pip install 'sleepkd\[evaluate\]'\n", output)
    assert outcomes["files"][1] == ""
