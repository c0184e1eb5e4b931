"""`python -m sleepkd.simulate`, as a user runs it."""

import subprocess
import sys

import pytest
from launch import REPOSITORY


def simulate(*arguments):
    command = [sys.executable, "-m", "sleepkd.simulate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)


def test_writes_a_cohort_and_says_where(tmp_path):
    result = simulate("--out", tmp_path / "raw", "--nights", 1, "--hours", 0.25, "--rate", 128, "--channels", "needed")
    assert (result.returncode, result.stderr) == (0, "")
    assert str(tmp_path / "raw") in result.stdout and "1 recordings of 0.25 h" in result.stdout
    assert (tmp_path / "raw" / "SS1_EDF" / "01-01-0001 PSG.edf").is_file()


@pytest.mark.parametrize(
    ("arguments", "word"), [(("--nights", 0), "nights"), (("--hours", 0.01), "hours"), (("--jobs", -2), "jobs")]
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, arguments, word):
    result = simulate("--out", tmp_path / "raw", *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1 and word in result.stderr
    assert not (tmp_path / "raw").exists()
