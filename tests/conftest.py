"""A tiny cohort in the layout of MASS, raw and prepared, made once per test process. Tests must not write into it."""

from pathlib import Path

import pytest
import torch

from sleepkd import prepare
from sleepkd.simulation.cohort import write_cohort

# One thread, as in the processes that tests start: sums over another number of threads round differently.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw cohort: six half-hour nights of all five subsets, both references, both mastoids, both ECG polarities."""
    raw = tmp_path_factory.mktemp("cohort") / "raw"
    write_cohort(raw, nights=6, hours=0.5, seed=13, channels="needed")
    return raw


@pytest.fixture(scope="session")
def store(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cohort prepared at 64 Hz, split into 4 training, 1 validation and 1 test nights."""
    out = tmp_path_factory.mktemp("store") / "store"
    shares = ("0.6", "0.2", "0.2")
    code = prepare.main(
        ["--dataset", "mass", "--raw", str(cohort), "--out", str(out), "--rate", "64", "--split", *shares]
    )
    assert code == 0
    return out
