"""The command `sleepkd VERB`: its help, its version, its verbs and its messages."""

import subprocess
import sys
from importlib import import_module

import pytest

import sleepkd
from launch import REPOSITORY, environment
from sleepkd import cli
from sleepkd.errors import UserError


def test_help_lists_each_verb_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.run(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert end.value.code == 0 and max(map(len, lines)) <= 110
    for verb, text in cli.VERBS.items():
        assert sum(line.split() == [verb, *text.split()] for line in lines) == 1
    assert cli.run([]) == 0 and capsys.readouterr().out.splitlines() == lines


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.run(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out == f"sleepkd {sleepkd.__version__}\n"


@pytest.mark.parametrize("verb", cli.VERBS)
def test_a_verb_gets_its_arguments_and_returns_its_exit_code(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    module = import_module(f"sleepkd.{verb.replace('-', '_')}")
    monkeypatch.setattr(module, "main", lambda arguments: seen.append(arguments) or 3)
    assert cli.run([verb, "--out", "x"]) == 3 and seen == [["--out", "x"]]


@pytest.mark.parametrize("verb", cli.VERBS)
def test_the_help_of_a_verb_names_the_command(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.run([verb, "--help"])
    assert end.value.code == 0 and capsys.readouterr().out.startswith(f"usage: sleepkd {verb} ")


def test_an_unknown_verb_is_one_line_with_the_nearest_verb() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sleepkd.cli", "predikt"],
        cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "error: sleepkd predikt: no such verb; did you mean sleepkd predict? See sleepkd --help\n"


@pytest.mark.parametrize(("verb", "script"), [("train", "train_ddp.py"), ("evaluate", "evaluate.py")])
def test_a_script_of_the_checkout_is_named(verb: str, script: str) -> None:
    with pytest.raises(UserError, match=f"^sleepkd {verb}: .* checkout: .*{script} --") as raised:
        cli.run([verb, "--config", "feat_temp"])
    assert "\n" not in str(raised.value)


def test_the_command_imports_no_library() -> None:
    code = "import sys, sleepkd.cli as c; c._parser(); print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "sleepkd" in loaded and not loaded & {"torch", "numpy", "scipy", "yaml", "tqdm", "matplotlib"}
