"""A tiny cohort in MASS's layout, raw and prepared, made once for all tests. Read them; do not write into them."""

from pathlib import Path

import pytest
import torch

from sleepkd import prepare
from sleepkd.simulation.cohort import write_cohort

# As in the processes that tests start: sums over other numbers of threads round differently, and two tests at a time
# would fight over the cores.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw cohort: six half-hour nights of all five subsets, both references, both ears, both ECG polarities."""
    raw = tmp_path_factory.mktemp("cohort") / "raw"
    write_cohort(raw, nights=6, hours=0.5, seed=13, channels="needed")
    return raw


@pytest.fixture(scope="session")
def store(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cohort prepared at 64 Hz, with a split of which no part is empty: 4 nights, 1 and 1."""
    out = tmp_path_factory.mktemp("store") / "store"
    shares = ("0.6", "0.2", "0.2")
    code = prepare.main(
        ["--dataset", "mass", "--raw", str(cohort), "--out", str(out), "--rate", "64", "--split", *shares]
    )
    assert code == 0
    return out
