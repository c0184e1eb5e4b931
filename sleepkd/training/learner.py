"""The module that is trained: the student and the losses together, as DDP wraps them."""

from collections.abc import Sequence

from torch import Tensor, nn

from sleepkd.losses.objective import Objective


class Learner(nn.Module):
    """The student and the losses, which may own parameters. Calling it runs the student.

    frozen: paths of the student's modules that are not trained. They stay in evaluation mode, so that their BatchNorm
    statistics do not change either.
    """

    def __init__(self, student: nn.Module, objective: Objective, frozen: Sequence[str] = ()):
        super().__init__()
        self.student = student
        self.objective = objective
        self._frozen = tuple(frozen)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """The student's logits (B, n, K), or (B, tokens, K) in view `night`."""
        return self.student(inputs)

    def train(self, mode: bool = True) -> "Learner":
        """Set training mode, frozen modules excepted."""
        super().train(mode)
        for path in self._frozen:
            self.student.get_submodule(path).eval()
        return self
