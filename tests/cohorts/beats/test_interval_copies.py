"""RR intervals that are listed twice, and those of two people."""

import numpy as np
import pytest

from sleepkd.cohorts.beats.interval_copies import kept_intervals
from sleepkd.errors import UserError
from tests.cohorts.beats.given import ENDS, MS

RR = MS / 1000
LINES = range(2, 2 * len(RR) + 2)


@pytest.mark.parametrize("later", [0.0, 0.4, 0.25])
@pytest.mark.parametrize("first", [0, 600])
def test_shifted_copies_are_left_out(later: float, first: int) -> None:
    times, values = np.concatenate([ENDS, ENDS[first:] + later]), np.concatenate([RR, RR[first:]])
    order = np.argsort(times, kind="stable")
    kept, note = kept_intervals(values[order], times[order], LINES)
    np.testing.assert_allclose(values[order][kept], RR)
    assert note == f"{len(RR) - first} RR intervals are listed twice: the copies are left out"


def test_two_people_are_refused() -> None:
    times, values = np.tile(ENDS, 2), np.concatenate([RR, RR[::-1]])
    order = np.argsort(times, kind="stable")
    with pytest.raises(
        UserError, match=r"line \d+: its RR intervals last longer than .* two people or sources overlap"
    ):
        kept_intervals(values[order], times[order], LINES)


def test_packets_and_stalls_are_no_copies() -> None:
    for times in (ENDS, np.ceil(ENDS / 60) * 60, np.where(ENDS % 400 > 380, np.ceil(ENDS / 400) * 400, ENDS)):
        assert kept_intervals(RR, times, LINES)[0].all()
