"""Taps: features of one forward are popped once, and a hook that did not fire is an error."""

import pytest
import torch
from torch import nn

from sleepkd.errors import UserError
from sleepkd.models.taps import Taps


@pytest.fixture
def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))


def test_pop_returns_the_features_of_one_forward_once(network: nn.Sequential) -> None:
    taps = Taps(network, ("1",))
    x = torch.randn(4, 2)
    network(x)
    popped = taps.pop()["1"]
    with pytest.raises(RuntimeError, match="did not fire in this forward: 1"):
        taps.pop()
    torch.testing.assert_close(popped, network[1](network[0](x)))


def test_features_carry_the_gradient(network: nn.Sequential) -> None:
    taps = Taps(network, ("0",))
    network(torch.randn(4, 2))
    taps.pop()["0"].sum().backward()
    assert network[0].weight.grad is not None
    assert network[2].weight.grad is None


def test_a_hook_that_did_not_fire_raises(network: nn.Sequential) -> None:
    taps = Taps(network, ("0", "2"))
    network[0](torch.randn(4, 2))
    with pytest.raises(RuntimeError, match="did not fire in this forward: 2"):
        taps.pop()


def test_an_unknown_path_raises_with_the_nearest_one() -> None:
    network = nn.Sequential()
    network.add_module("bottom", nn.Linear(1, 1))
    with pytest.raises(UserError, match=r"^loss\.at\.taps: .* no module botom; did you mean bottom\?"):
        Taps(network, ("botom",), "loss.at.taps")
