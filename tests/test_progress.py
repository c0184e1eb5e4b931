"""Progress of long work: a bar on a terminal, an occasional line elsewhere."""

import sys

import pytest

from sleepkd import progress
from sleepkd.progress import Progress, print_beside, track


def test_lines_without_carriage_returns_where_stderr_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 12))  # 12 s per look at the clock
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Progress("prepare", 8, "recording") as shown:
        for _ in range(7):
            shown.advance()
            shown.show(loss="0.5")
    err = capsys.readouterr().err
    assert "\r" not in err
    lines = err.splitlines()
    assert 2 <= len(lines) <= 4  # at most one per 30 s, and one at the end
    assert lines[-1] == "prepare: 7 of 8 recordings, loss 0.5"


def test_the_last_line_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(iter("ab"), "stage", 2, "night")) == ["a", "b"]
    assert capsys.readouterr().err == "stage: 2 of 2 nights\n"


def test_other_processes_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("ecg_base", 2, "update", shown=False) as shown:
        shown.advance()
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress("ecg_base", 4, "update", done=2) as shown:
        shown.advance()
        print_beside("a note")
    err = capsys.readouterr().err
    assert "\r" in err and "3/4" in err and "\na note\n" in err.replace("\r", "\n")
    assert "3 of 4" not in err
