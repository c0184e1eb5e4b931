"""`benchmarks/simulation_judges.py`: kappa of a night by hand, and the rows of its table."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.simulation_judges import apneic_nights, kappa_of, kappas_of, row
from sleepkd import prepare
from sleepkd import simulate as command
from sleepkd.data.store import Night, Store


def test_kappa_of_a_night_by_hand() -> None:
    labels = np.array([0, 0, 2, 2, 4, -1])
    probabilities = np.eye(3)[[0, 1, 1, 1, 2, 0]]
    # Agreement 4 of 5; by chance (2 × 1 + 2 × 3 + 1 × 1) / 25.
    assert kappa_of(labels, probabilities, 3) == pytest.approx((0.8 - 0.36) / 0.64)
    unknown = probabilities.copy()
    unknown[1] = np.nan
    assert kappa_of(labels, unknown, 3) == 1.0
    assert kappa_of(labels, np.full((6, 3), np.nan), 3) is None
    four = np.eye(4)[[0, 0, 1, 2, 3]]
    assert kappa_of(np.array([0, 0, 1, 3, 4]), four, 4) == 1.0  # N1 and N2 are one class


def test_row_of_a_perfect_judge_and_of_one_that_stages_nothing(tmp_path: Path) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    options = ["--nights", "3", "--hours", "0.5", "--channels", "beats", "--apnea", "1"]
    assert command.main(["--out", str(raw), *options]) == 0
    assert prepare.main(["--dataset", "simulated_beats", "--raw", str(raw), "--out", str(store)]) == 0

    def perfect(night: Night) -> np.ndarray:
        return np.eye(4)[np.array([0, 1, 1, 2, 3])[night.hypnogram.labels]]

    assert set(kappas_of(Store(store), perfect, 4).values()) == {1.0}
    apneic = apneic_nights(store)
    assert 0 < len(apneic) <= 3 and set(apneic) <= set(Store(store).recordings)
    assert row("perfect", store, perfect, 4) == "| perfect | 3, store | 4 | 1.00 | 1.00 | 1.00 |"
    assert row("none", store, lambda night: np.full((len(night.hypnogram), 4), np.nan), 4) == ""
