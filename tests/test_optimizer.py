"""The optimizer: every parameter group gets the learning rate, is clipped and logged; weight decay spares vectors."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from launch import tiny, tiny_night
from runs import logged, train
from sleepkd.models.utime import ConvBlock
from sleepkd.settings import TrainConfig
from train_ddp import build_optimizer

ADAMW = {"train__optimizer": "adamw", "train__weight_decay": 0.1}


def test_adam_without_weight_decay_has_one_group() -> None:
    network = nn.Linear(3, 2)
    optimizer = build_optimizer(network, TrainConfig(learning_rate=0.5))
    assert type(optimizer) is torch.optim.Adam
    (group,) = optimizer.param_groups
    assert group["params"] == [network.weight, network.bias]
    assert (group["lr"], group["weight_decay"]) == (0.5, 0)


def test_weight_decay_spares_biases_and_normalisation() -> None:
    """ConvBlock has a BatchNorm. The gain of the night network's norm is (width, 1)."""
    network = nn.ModuleDict({"block": ConvBlock(2, 3, 5, 1, "batch"), "frozen": nn.Linear(2, 2)})
    network["frozen"].requires_grad_(False)
    network.register_parameter("gain", nn.Parameter(torch.ones(4, 1)))
    optimizer = build_optimizer(network, TrainConfig(optimizer="adamw", weight_decay=0.1))
    assert type(optimizer) is torch.optim.AdamW
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decayed, spared = ({names[id(p)] for p in group["params"]} for group in optimizer.param_groups)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0]
    assert decayed == {"block.0.weight"}
    assert spared == {"gain", "block.0.bias", "block.2.weight", "block.2.bias"}


@pytest.fixture
def steps():
    """The groups' learning rates and the norm of all gradients at every step of any optimizer."""
    found: list[tuple[list[float], float]] = []

    def record(optimizer: torch.optim.Optimizer, *_: object) -> None:
        gradients: list[Tensor] = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norm = nn.utils.get_total_norm([gradient for gradient in gradients if gradient is not None])
        found.append(([group["lr"] for group in optimizer.param_groups], float(norm)))

    handle = register_optimizer_step_pre_hook(record)
    yield found
    handle.remove()


def test_every_group_gets_the_learning_rate_is_clipped_and_logged(store: Path, tmp_path: Path, steps: list) -> None:
    options = ADAMW | {"train__warmup_updates": 4, "train__schedule": "constant", "train__clip_norm": 1e-3}
    folder, _ = train("night_ecg", tiny_night(store, tmp_path, **options, train__batch_size=5))
    lines = logged(folder)
    assert len(lines) == len(steps) > 4
    for number, (line, (rates, norm)) in enumerate(zip(lines, steps, strict=True)):
        expected = pytest.approx(2e-3 * min(1, (number + 1) / 4))
        assert rates == [expected, expected]
        assert (line["learning_rate"], line["learning_rate_1"]) == (expected, expected)
        assert norm == pytest.approx(1e-3, rel=1e-3)
        assert line["gradient_norm"] > 1e-3  # before clipping


def test_weight_decay_shrinks_weights_and_resumes(store: Path, tmp_path: Path) -> None:
    """With a learning rate so small that gradients hardly matter; AdamW decays by learning rate times decay."""
    options = {"train__optimizer": "adamw", "train__learning_rate": 1e-6, "train__precision": "fp64"}
    norms = []
    for decay in (0.0, 1e5):
        _, last = train("ecg_base", tiny(store, tmp_path / str(decay), **options, train__weight_decay=decay))
        norms.append({name: float(value.double().norm()) for name, value in last.model.items()})
    ratio = {name: norms[1][name] / norms[0][name] for name in norms[0] if norms[0][name] > 0.1}
    assert ratio["bottom.0.0.weight"] == pytest.approx(0.9**2, abs=0.01)
    assert ratio["bottom.0.2.weight"] == pytest.approx(1, abs=1e-3)
    more = options | {"train__weight_decay": 1e5, "train__epochs": 2}
    _, resumed = train("ecg_base", tiny(store, tmp_path / "100000.0", **more))
    assert len(resumed.training["optimizer"]["param_groups"]) == 2
