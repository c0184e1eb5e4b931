"""Quantiles of long signals are those of numpy."""

import numpy as np
import pytest

from sleepkd.data.quantiles import SAMPLED, quantiles

SHARES = (0.0, 0.01, 0.25, 0.5, 0.75, 1.0)


def signals() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    count = 11 * SAMPLED + 7
    return {
        "short": rng.normal(size=1000),
        "heavy tails": rng.standard_cauchy(count),
        "few values": rng.integers(0, 3, count).astype(float),
        "constant": np.ones(count),
        "rising": np.arange(count, dtype=float),
        "in step with the values taken": np.where(
            np.arange(count) % (count // SAMPLED) == 0, 5.0, rng.normal(size=count)
        ),
        "infinite": np.concatenate([rng.normal(size=count), [np.inf, -np.inf]]),
        "single precision": rng.normal(size=count).astype(np.float32),
    }


@pytest.mark.parametrize("name", signals())
def test_quantiles_are_those_of_numpy(name: str) -> None:
    samples = signals()[name]
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(
            quantiles(samples, SHARES), np.quantile(samples, SHARES), rtol=1e-6 if name == "single precision" else 1e-14
        )
