"""Forward hooks that capture features: the outputs of modules named by path."""

import difflib
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.data.inputs import InputSpec
from sleepkd.errors import UserError

PROBE_SECONDS = {"epochs": EPOCH_SECONDS, "night": 10 * EPOCH_SECONDS}
"""Length of the all-zero input that feature shapes are read from, by `data.view`."""


class Taps:
    """Forward hooks on modules named by path ("bottom", "encoder.0.pool"). Outputs are kept from one forward to `pop`.

    Register before torch.compile and before DDP: hooks added to a compiled module never fire.
    Raises UserError naming `key` and a path that the network does not have.
    """

    def __init__(self, network: nn.Module, paths: tuple[str, ...], key: str = "taps"):
        modules = dict(network.named_modules())
        self._network = network
        self._features: dict[str, Tensor] = {}
        self._paths = paths
        for path in paths:
            if path not in modules:
                nearest = difflib.get_close_matches(path, filter(None, modules), n=1, cutoff=0.0)
                raise UserError(f"{key}: the network has no module {path}; did you mean {nearest[0]}?")
            modules[path].register_forward_hook(self._keep(path))

    def pop(self) -> dict[str, Tensor]:
        """The features (B, C, L) of the last forward, by path. Clears them, so that they do not keep the graph alive.

        Raises RuntimeError where a hook did not fire: a missing feature must never read as a loss of zero.
        """
        silent = [path for path in self._paths if path not in self._features]
        if silent:
            raise RuntimeError(f"taps that did not fire in this forward: {', '.join(silent)}")
        features, self._features = self._features, {}
        return features

    @torch.no_grad()
    def shapes(self, inputs: InputSpec, view: str) -> dict[str, tuple[int, ...]]:
        """The shapes of the features without their first dimension, by path; {} without taps."""
        return {path: tuple(x.shape[1:]) for path, x in self.probe(inputs, view).items()} if self._paths else {}

    def probe(self, inputs: InputSpec, view: str) -> dict[str, Tensor]:
        """The features of one all-zero segment, by path."""
        was_training = self._network.training
        self._network.eval()  # the probe must not update BatchNorm's running statistics
        zeros = {name: torch.zeros(1, 1, *item.shape(PROBE_SECONDS[view])) for name, item in inputs.items()}
        self._network(zeros)
        self._network.train(was_training)
        return self.pop()

    def _keep(self, path: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._features[path] = output

        return hook


def freeze_untapped(network: nn.Module, taps: Taps, inputs: InputSpec, view: str) -> list[str]:
    """Freeze the parameters that no tapped feature depends on; returns the paths of wholly frozen modules.

    If no loss reads the logits, these parameters get no gradient, and DDP would wait for one forever.
    """
    torch.stack([feature.sum() for feature in taps.probe(inputs, view).values()]).sum().backward()
    for parameter in network.parameters():
        parameter.requires_grad_(parameter.grad is not None)
    network.zero_grad(set_to_none=True)
    return [
        name
        for name, module in network.named_modules()
        if name and any(True for _ in module.parameters()) and not any(p.requires_grad for p in module.parameters())
    ]
