"""Sampling rates from times."""

import numpy as np
import pytest

from sleepkd.cohorts.signals.sample_times import sample_times


@pytest.mark.parametrize("rate", [125, 200, 256, 300, 512])
def test_times_rounded_to_ms_give_the_rate(rate: int) -> None:
    times = np.round(np.arange(600 * rate) / rate, 3)
    found = sample_times(times, (), "s")
    assert found.rate_hz == pytest.approx(rate, rel=1e-5) and found.length == len(times)


def test_samples_that_are_missing_do_not_lower_the_rate() -> None:
    times = np.delete(np.round(np.arange(60 * 256) / 256, 3), slice(2560, 5120))
    found = sample_times(times, (), "s")
    assert found.rate_hz == pytest.approx(256, rel=1e-3) and found.holes(1.0) == [pytest.approx((10, 20), abs=0.02)]
