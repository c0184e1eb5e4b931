"""Coverage of the confidence intervals, and the memory that evaluating 200 stored nights takes."""

import re
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.evaluation import coverage, paired_coverage


def test_the_expanded_interval_covers_more_often():
    """Few cohorts: coverages are shares, and the expanded interval covers at least as often as the percentile one."""
    found = coverage(subjects=8, most_recordings=2, cohorts=20, draws=200)
    for by_method in found.values():
        assert 0.5 < by_method["percentile"] <= by_method["expanded"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize(("subjects", "most_recordings"), [(10, 3), (20, 1), (40, 3)])
def test_intervals_cover_in_93_to_97_percent_of_1000_cohorts(subjects, most_recordings):
    found = coverage(subjects, most_recordings, cohorts=1000, draws=2000)
    covered = np.array([by_method["expanded"] for by_method in found.values()])
    assert ((covered >= 0.93) & (covered <= 0.97)).all(), found


@pytest.mark.slow
def test_paired_intervals_cover_in_93_to_97_percent_of_1000_cohorts():
    found = paired_coverage(subjects=20, seeds=1, seed_spread=0.0, cohorts=1000, draws=2000)
    covered = np.array(list(found.values()))
    assert ((covered >= 0.93) & (covered <= 0.97)).all(), found


@pytest.mark.slow
def test_evaluating_200_stored_nights_takes_under_one_gigabyte():
    command = [sys.executable, "-m", "benchmarks.evaluation", "speed"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert float(re.search(r"peak memory (\d+) MiB", text).group(1)) < 1000
