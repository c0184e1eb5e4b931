"""Arrays that a program hands over: taken, or refused by name."""

import numpy as np
import pytest

from sleepkd.errors import UserError
from sleepkd.prediction.memory.arrays import checked_beats, checked_rate, checked_samples, numbers_of

X = np.random.default_rng(0).standard_normal(1000)
BEATS = np.cumsum(np.full(800, 0.9))


@pytest.mark.parametrize("given", [X, list(X), X[:, None], X[None], X.astype(">f4"), X.astype(object)])
def test_samples_in_any_shape_and_dtype_that_is_one_signal(given: object) -> None:
    np.testing.assert_allclose(numbers_of(given, "the signal"), X, rtol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((500, 2)), r"shape \(n,\), not \(500, 2\); take one lead"),
        (np.float64(3), r"shape \(n,\), not \(\)"),
        ([[1.0], [1.0, 2.0]], r"rows differ in their length|shape"),
        (X.astype(complex), "real numbers, not of dtype complex128"),
        (np.array(["a"] * 9), "real numbers"),
        (X > 0, "real numbers, not of dtype bool"),
        (np.full(1000, np.nan), "all samples are NaN"),
        ([], "holds no samples"),
    ],
)
def test_samples_that_are_refused(given: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        checked_samples(given, 100)  # type: ignore[arg-type]


def test_nan_is_filled_and_a_second_of_it_is_a_gap() -> None:
    x = X.copy()
    x[[10, 11]], x[300:450] = np.nan, np.inf
    samples, gaps = checked_samples(x, 100)
    assert gaps == ((3.0, 4.5),) and np.isfinite(samples).all()
    assert samples[10] == pytest.approx(X[9] + (X[12] - X[9]) / 3)
    assert np.isnan(x[10])


@pytest.mark.parametrize("fs", [0, -1, np.nan, np.inf, True, "fast", None, 1e9])
def test_a_rate_that_is_refused(fs: object) -> None:
    with pytest.raises(UserError, match="fs: must be"):
        checked_rate(fs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (BEATS + 1_706_742_300, "lasts 4.741e\\+05 hours from its start.*from 1970"),
        (1000 * BEATS, "are 900 s apart .*in ms"),
        (np.random.default_rng(0).normal(0.9, 0.05, 800), "are RR intervals in s"),
        (np.random.default_rng(0).normal(900, 50, 800), "are RR intervals in ms"),
        (BEATS - 5, "the first is at -4.1 s, before the start"),
        (np.append(BEATS, np.nan), "1 times are NaN"),
    ],
)
def test_beats_that_are_refused(given: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=f"the beats: .*{message}"):
        checked_beats(given)


def test_beats_in_any_order_count_once() -> None:
    np.testing.assert_array_equal(checked_beats(np.append(BEATS[::-1], BEATS[:5])), BEATS)
    np.testing.assert_array_equal(checked_beats(BEATS + 3000), BEATS + 3000)
