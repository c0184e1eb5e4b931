"""An ensemble of night networks: the mean of their logits, which is the geometric mean of their probabilities."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sleepkd.config import require
from sleepkd.data.inputs import InputSpec
from sleepkd.models.night_network import NightNetwork, NightSettings


@dataclass(frozen=True)
class EnsembleSettings:
    """Settings of an ensemble.

    name: selects the network.
    members: the settings of each night network; all read the same inputs.
    """

    name: str = "ensemble"
    members: tuple[NightSettings, ...] = ()

    @property
    def norm(self) -> str:
        """The normalisation of the members that have U-Time's encoder; "" without such a member."""
        return next((member.norm for member in self.members if member.norm), "")

    def check(self) -> None:
        """Raise UserError naming the key of an impossible value."""
        require(bool(self.members), "model.members", "is empty: an ensemble has one or more night networks")
        for member in self.members:
            member.check()


class Ensemble(nn.Module):
    """Signals as a night network takes them → the mean of the members' logits (B, tokens, classes).

    Modules to tap: members.0.fuse, members.0.context.0 and so on.
    """

    may_lack_inputs = True

    def __init__(self, settings: EnsembleSettings, classes: int, inputs: InputSpec, output_seconds: float):
        super().__init__()
        self.members = nn.ModuleList(
            NightNetwork(member, classes, inputs, output_seconds) for member in settings.members
        )
        self.bottleneck = f"members.0.{self.members[0].bottleneck}"

    def drop_inputs(self, names: Collection[str]) -> None:
        """Remove encoders of all members, in place; see `NightNetwork.drop_inputs`."""
        for member in self.members:
            assert isinstance(member, NightNetwork)
            member.drop_inputs(names)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Logits (B, tokens, classes) of the inputs present."""
        return torch.stack([member(inputs) for member in self.members]).mean(dim=0)
