"""The same segments, weights and gradients on any number of processes and micro-batches."""

from pathlib import Path

import pytest
import torch

from launch import STAGES, run, tiny
from runs import distance
from sleepkd import prepare
from sleepkd.checkpoints.checkpoint import Checkpoint, read_checkpoint

SHALLOW_TAPS = "[[encoder.0.pool,encoder.1.pool],[bottom],[decoder.0,decoder.1],[dense]]"
LAYOUTS = {"one": (1, 1), "two_by_two": (2, 2), "three": (3, 1)}
"""(processes, micro-batches); 21 or 22 segments a batch are not all a multiple of 3."""
MANY = ("two_by_two", "three")


@pytest.fixture(scope="module")
def small(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cohort at 1 Hz, one training night: float32 sums over few samples round by less than 1e-6."""
    out = tmp_path_factory.mktemp("small") / "store"
    arguments = ["--dataset", "mass", "--raw", cohort, "--out", out, "--rate", "1", "--split", "0.2", "0.6", "0.2"]
    assert prepare.main([str(argument) for argument in arguments]) == 0
    return out


@pytest.fixture(scope="module")
def runs(store: Path, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every stage in every layout: five updates in float64, and one in float32.

    GroupNorm; segments of three sleep epochs, so that processes have unequal numbers of unscored labels; the same
    teacher and start in all layouts.
    """
    root = tmp_path_factory.mktemp("layouts")
    common = {"model__norm": "group", "data__sleep_epochs": 3, "train__validate_every": 0}
    shallow = common | {"model__filters": "[8,8]", "model__pools": "[3,2]", "loss__at__taps": SHALLOW_TAPS}
    run(
        "tests/all_stages.py", "published", "-", *tiny(store, root / "earlier_fp64", **common),
        "+", "published", "-", *tiny(small, root / "earlier_fp32", **shallow),
    )  # fmt: skip
    for name, (processes, micro_batches) in LAYOUTS.items():
        more = {"train__accumulate": micro_batches}
        five = tiny(store, root / f"{name}_fp64", train__batch_size=22, train__precision="fp64", **common, **more)
        first = tiny(small, root / f"{name}_fp32", train__batch_size=1000, **shallow, **more)
        run(
            "tests/all_stages.py", "published", root / "earlier_fp64" / "3class", *five,
            "+", "published", root / "earlier_fp32" / "3class", *first,
            processes=processes,
        )  # fmt: skip
    return root


def last(runs: Path, layout: str, precision: str, stage: str) -> Checkpoint:
    return read_checkpoint(runs / f"{layout}_{precision}" / "3class" / stage / "last.pt")


def updates(checkpoint: Checkpoint) -> int:
    return int(checkpoint.training["optimizer"]["state"][0]["step"])


@pytest.mark.parametrize("layout", MANY)
def test_five_updates_give_the_same_weights(runs: Path, layout: str) -> None:
    for stage in STAGES:
        one, other = (last(runs, name, "fp64", stage) for name in ("one", layout))
        assert updates(one) == updates(other) == 5
        assert distance(one.model, other.model) < 1e-9


@pytest.mark.parametrize("layout", MANY)
def test_the_first_gradients_are_the_same(runs: Path, layout: str) -> None:
    """Relative to the norm of the whole gradient: single small tensors round by a few times more."""

    def gradient(name: str, stage: str) -> torch.Tensor:
        checkpoint = last(runs, name, "fp32", stage)
        assert updates(checkpoint) == 1
        averages = [entry["exp_avg"].flatten() for entry in checkpoint.training["optimizer"]["state"].values()]
        return torch.cat(averages).double() / 0.1  # Adam's first average is a tenth of the gradient

    for stage in STAGES:
        one = gradient("one", stage)
        assert (gradient(layout, stage) - one).norm() < 1e-6 * one.norm()


def test_stages_differ(runs: Path) -> None:
    """The weights that the tests above compare are not equal to begin with."""
    models = [last(runs, "one", "fp64", stage).model["bottom.0.0.weight"] for stage in STAGES]
    assert all(not torch.equal(a, b) for i, a in enumerate(models) for b in models[:i])
