"""From a config or a checkpoint to a network."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sleepkd.checkpoint import Checkpoint, load_weights, read_checkpoint
from sleepkd.config import Config, from_dict
from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.errors import UserError
from sleepkd.models.utime import UTime


def build_network(config: Config, rate_hz: float) -> nn.Module:
    """A fresh network mapping windows (B, n, 30 * rate_hz) to logits (B, n, classes)."""
    return UTime(config.data.classes, round(EPOCH_SECONDS * rate_hz), config.model)


@dataclass(frozen=True)
class TrainedNetwork:
    """A network in evaluation mode, and the checkpoint it came from."""

    network: nn.Module
    config: Config
    checkpoint: Checkpoint
    path: Path

    def check_rate(self, rate_hz: float) -> None:
        """UserError where signals of another sampling rate are about to be fed to it."""
        if rate_hz != self.checkpoint.rate_hz:
            raise UserError(
                f"{self.path}: was trained on signals at {self.checkpoint.rate_hz:g} Hz, the store holds "
                f"{rate_hz:g} Hz; prepare the recordings with --rate {self.checkpoint.rate_hz:g}"
            )


def load_trained(path: Path) -> TrainedNetwork:
    """The network of a checkpoint, frozen and in evaluation mode, on the CPU; built from its own config."""
    checkpoint = read_checkpoint(path)
    config = from_dict(Config, checkpoint.config)
    network = build_network(config, checkpoint.rate_hz)
    load_weights(network, checkpoint.model, path)
    return TrainedNetwork(network.eval().requires_grad_(False), config, checkpoint, path)
