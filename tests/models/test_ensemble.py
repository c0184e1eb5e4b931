"""The ensemble: mean of its members' logits, absent inputs, settings, export, calibration."""

from dataclasses import replace

import pytest
import torch

from sleepkd.config import to_dict
from sleepkd.data.inputs import BeatsInput, InputSpec, SignalInput
from sleepkd.errors import UserError
from sleepkd.models import build_network, network_settings
from sleepkd.models.ensemble import Ensemble, EnsembleSettings
from sleepkd.models.night_network import NightNetwork, NightSettings

SMALL = NightSettings(width=8, filters=4, dilations=(1, 2), repeats=1)
SETTINGS = EnsembleSettings(members=(SMALL, replace(SMALL, width=6, night_ranks=True)))
INPUTS: InputSpec = {"ecg": SignalInput(rate=64), "beats": BeatsInput(rate=2)}


def ensemble() -> Ensemble:
    torch.manual_seed(0)
    built = build_network(SETTINGS, 4, INPUTS, "night").eval().requires_grad_(False)
    assert isinstance(built, Ensemble)
    return built


def signals(tokens: int = 20) -> dict[str, torch.Tensor]:
    return {name: torch.randn(2, 1, *item.shape(10 * tokens)) for name, item in INPUTS.items()}


def test_its_logits_are_the_mean_of_the_members_and_its_probabilities_their_geometric_mean() -> None:
    made, given = ensemble(), signals()
    members = []
    for k, settings in enumerate(SETTINGS.members):
        member = NightNetwork(settings, 4, INPUTS, 10.0).eval()
        member.load_state_dict(made.members[k].state_dict())
        members.append(member(given).detach())
    torch.testing.assert_close(made(given), (members[0] + members[1]) / 2)
    product = (members[0].softmax(-1) * members[1].softmax(-1)).sqrt()
    torch.testing.assert_close(made(given).softmax(-1), product / product.sum(-1, keepdim=True))


def test_members_lose_inputs_together() -> None:
    made, given = ensemble(), signals()
    alone = made({"beats": given["beats"]})
    made.drop_inputs(["ecg"])
    torch.testing.assert_close(made({"beats": given["beats"]}), alone)
    assert not any("ecg" in name for name in made.state_dict())


def test_settings_survive_a_checkpoint_and_name_wrong_keys() -> None:
    assert network_settings(to_dict(SETTINGS)) == SETTINGS
    with pytest.raises(UserError, match=r"model\.members: is empty"):
        network_settings({"name": "ensemble"}).check()
    with pytest.raises(UserError, match=r"model\.members.*widht"):
        network_settings({"name": "ensemble", "members": [{"widht": 8}]})
    with pytest.raises(UserError, match=r"model\.width: must be at least 1"):
        EnsembleSettings(members=(replace(SMALL, width=0),)).check()


def test_the_bottleneck_is_a_module_of_the_first_member() -> None:
    made = ensemble()
    assert made.get_submodule(made.bottleneck) is made.members[0].context[-1]
