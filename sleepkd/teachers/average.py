"""A teacher that is the moving average of the student's own weights (mean teacher)."""

import copy

from torch import nn

from sleepkd.config import require
from sleepkd.data.inputs import InputSpec
from sleepkd.data.segments import Batch
from sleepkd.losses.loss import NetworkOutput
from sleepkd.settings import Config
from sleepkd.teachers.base import TEACHER, Teacher


class AverageTeacher(Teacher):
    """The moving average of the student's weights (Tarvainen & Valpola, arXiv 1703.01780). It sees no augmentation."""

    def __init__(self, student: nn.Module, inputs: InputSpec):
        self.networks: list[nn.Module] = [copy.deepcopy(student).eval().requires_grad_(False)]
        self.readers = {TEACHER: inputs}
        self.may_lack = frozenset({TEACHER} if getattr(student, "may_lack_inputs", False) else ())

    @classmethod
    def check(cls, config: Config) -> None:
        """Raise UserError naming a setting that a changing teacher cannot satisfy."""
        require(config.train.ema_decay > 0, "train.ema_decay", "must be above 0 for stage.teacher: self")
        require(
            not config.distill.cache_teacher,
            "distill.cache_teacher",
            "must be false for stage.teacher: self",
        )
        temperature = config.distill.trust.temperature
        require(temperature == 1, "distill.trust.temperature", "must be 1 for stage.teacher: self")

    @classmethod
    def build(cls, config: Config, student: nn.Module, inputs: InputSpec) -> "AverageTeacher":
        """A teacher that starts as a copy of the student."""
        return cls(student, inputs)

    def __str__(self) -> str:
        return "the moving average of the student's weights"

    def follow(self, average: nn.Module) -> None:
        """Use this module, which the training loop updates."""
        self.networks = [average.eval().requires_grad_(False)]

    def output(self, batch: Batch) -> NetworkOutput:
        """The average's logits."""
        return NetworkOutput(batch.per_sleep_epoch(self.networks[0](batch.inputs[TEACHER])), {})
