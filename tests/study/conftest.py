"""Runs of a study happen in this process, which is faster."""

import sys
from collections.abc import Sequence

import pytest

import evaluate
import train_ddp
from sleepkd.errors import UserError
from sleepkd.study.runner import Runner

SCRIPTS = {"train_ddp.py": train_ddp, "evaluate.py": evaluate}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs happen in this process, which is faster; the names of those that were started."""
    names: list[str] = []

    def in_process(self: Runner, name: str, script: str, arguments: Sequence[object]) -> str:
        names.append(name)
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        try:
            SCRIPTS[script].main()
        except UserError as error:
            return str(error)
        return ""

    monkeypatch.setattr(Runner, "_run", in_process)
    return names
