"""The base class of a teacher: its inputs, its output for a batch, and the targets that losses read of that output."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from sleepkd.data.inputs import InputSpec
from sleepkd.data.segments import Batch, Segments
from sleepkd.distributed import Processes
from sleepkd.losses.loss import NetworkOutput
from sleepkd.losses.objective import Objective
from sleepkd.settings import Config

TEACHER = "teacher"
"""The reader name of a teacher in `Segments.readers`; further networks of an ensemble are numbered."""


class Teacher:
    """A teacher. A subclass implements `build` and `output`; `stage.teacher` names it by an entry of `TEACHERS`.

    networks: modules to move to the device and to compile; frozen, in evaluation mode, outside the student's tree.
    readers: the inputs that `Segments` reads for it, by reader name.
    may_lack: readers whose networks learnt to do without some of their inputs. The teacher is silent on a night that
    lacks an input of another reader, or all of one.
    """

    networks: Sequence[nn.Module] = ()
    readers: Mapping[str, InputSpec] = {}
    may_lack: frozenset[str] = frozenset()
    has_features: ClassVar[bool] = False
    """Whether losses can tap its features."""
    model: ClassVar[str] = ""
    """The name of an external model, whose pseudo-labels are the teacher's output; "" for other teachers."""
    classes: int | None = None
    """Its number of classes if it may have fewer than the student; None: as many."""

    @classmethod
    def check(cls, config: Config) -> None:
        """Raise UserError naming a setting that this kind of teacher cannot satisfy. Reads no file."""

    @classmethod
    def build(cls, config: Config, student: nn.Module, inputs: InputSpec) -> "Teacher":
        """The teacher of a stage. inputs: of the student. Raises UserError naming the setting or file that is wrong."""
        raise NotImplementedError

    def __str__(self) -> str:
        """Its name in the log."""
        return type(self).__name__

    @property
    def trained_on(self) -> dict[str, list[str]]:
        """{cohort/recording: digests} of the nights that its networks were trained on."""
        return {}

    def tap(self, paths: tuple[str, ...], key: str, view: str) -> dict[str, tuple[int, ...]]:
        """Register forward hooks on modules; returns the shapes of their features without the first dimension.

        view: `data.view`. Raises UserError naming `key` where a module does not exist.
        """
        return {}

    def follow(self, average: nn.Module) -> None:
        """Use this moving average of the student's weights. Ignored by default."""

    def prepare(
        self, segments: Segments, objective: Objective, folder: Path, processes: Processes, batch_size: int
    ) -> None:
        """Prepare for batches of these segments, before training. folder: for files. batch_size: of computations."""

    def output(self, batch: Batch) -> NetworkOutput:
        """Logits per sleep epoch (B, n, K), and the tapped features."""
        raise NotImplementedError

    @torch.no_grad()  # not inference_mode: its tensors may not enter a loss
    def targets(self, batch: Batch, objective: Objective) -> dict[str, Tensor]:
        """The targets that the losses read of the teacher's output for a batch, by "loss.name"."""
        return objective.targets(self.output(batch))
