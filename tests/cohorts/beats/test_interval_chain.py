"""Beat times of RR intervals with a clock that is late, rounded, or the same for a packet; gaps stay."""

import numpy as np
import pytest

from sleepkd.cohorts.beats.interval_chain import beats_of_chain
from tests.cohorts.beats.given import BEATS, ENDS, MS

RR = MS / 1000
KEPT = ~((ENDS > 200) & (ENDS <= 260) | (ENDS > 600) & (ENDS <= 602))  # a gap of a minute, and one of two beats
WITH_GAPS = np.unique(np.concatenate([ENDS[KEPT], (ENDS - RR)[KEPT]]).round(3))
rng = np.random.default_rng(3)
CLOCKS = {
    "exact": ENDS,
    "whole seconds": np.floor(ENDS),
    "packets of 0.98 s": np.ceil(ENDS / 0.98) * 0.98,
    "packets of 5 s": np.ceil(ENDS / 5) * 5,
    "late by 300 ms": np.maximum.accumulate(ENDS + np.abs(rng.normal(0, 0.3, len(ENDS)))),
    "both ways by 100 ms": ENDS + rng.normal(0, 0.1, len(ENDS)),
    "stalls of 20 s": np.where(ENDS % 200 > 180, np.ceil(ENDS / 200) * 200, ENDS),
}


@pytest.mark.parametrize("name", CLOCKS)
def test_the_chain_is_the_time(name: str) -> None:
    found = beats_of_chain(RR, CLOCKS[name])
    np.testing.assert_allclose(found - found[0], BEATS, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in CLOCKS if "stalls" not in name])
def test_the_clock_finds_gaps(name: str) -> None:
    found = beats_of_chain(RR[KEPT], CLOCKS[name][KEPT])
    assert len(found) == pytest.approx(len(WITH_GAPS), abs=3)
    nearest = np.abs((found - found[0])[:, None] - WITH_GAPS).min(axis=1)
    assert np.median(nearest) < 0.05 and nearest.max() < (0.01 if name == "exact" else 0.45)
    assert np.diff(found).max() == pytest.approx(np.diff(WITH_GAPS).max(), abs=0.45)


def test_blank_intervals_are_gaps_and_unknown_times_are_bridged() -> None:
    blank, unknown = RR.copy(), ENDS.copy()
    blank[300] = np.nan
    unknown[500:510] = np.nan
    np.testing.assert_allclose(beats_of_chain(blank, unknown), BEATS, atol=1e-6)
    assert len(beats_of_chain(np.full(3, np.nan), np.arange(3.0))) == 0


def test_a_repeated_row_does_not_move_what_follows() -> None:
    twice = np.insert(np.arange(len(RR)), [400], [400])
    found = beats_of_chain(RR[twice], ENDS[twice])
    np.testing.assert_allclose(found[-500:], BEATS[-500:], atol=0.5)
