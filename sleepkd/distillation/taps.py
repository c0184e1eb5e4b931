"""Forward hooks that hand over what named modules put out."""

import difflib

from torch import Tensor, nn

from sleepkd.errors import UserError


class Taps:
    """The outputs of modules named by path ("bottom", "encoder.0.pool"), kept from one forward until `pop`.

    Register before torch.compile and before DDP: hooks added to a module already compiled never fire.
    Raises UserError naming a path that the network does not have.
    """

    def __init__(self, network: nn.Module, paths: tuple[str, ...], key: str = "taps"):
        modules = dict(network.named_modules())
        self._features: dict[str, Tensor] = {}
        self._paths = paths
        for path in paths:
            if path not in modules:
                nearest = difflib.get_close_matches(path, filter(None, modules), n=1, cutoff=0.0)
                raise UserError(f"{key}: the network has no module {path}; did you mean {nearest[0]}?")
            modules[path].register_forward_hook(self._keep(path))

    def pop(self) -> dict[str, Tensor]:
        """The features (B, C, L) of the last forward by path, once; holding on to them would hold on to the graph.

        Raises RuntimeError where a tap has not fired: a missing feature must never read as a loss of zero.
        """
        silent = [path for path in self._paths if path not in self._features]
        if silent:
            raise RuntimeError(f"taps that did not fire in this forward: {', '.join(silent)}")
        features, self._features = self._features, {}
        return features

    def _keep(self, path: str):  # noqa: ANN202 (torch's hook type)
        def hook(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
            self._features[path] = output

        return hook
