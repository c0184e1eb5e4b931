"""A training stage: the student, its teacher, and the losses, as `train_ddp.build_stage` puts them together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from sleepkd.checkpoints.checkpoint import read_checkpoint
from sleepkd.checkpoints.trained import checkpoint_of
from sleepkd.data.held_inputs import AbsentInputs
from sleepkd.data.inputs import InputSpec
from sleepkd.data.nights import lists_labelled
from sleepkd.data.segments import STUDENT, Segments
from sleepkd.data.stage_inputs import describe_inputs
from sleepkd.data.store import Night
from sleepkd.distributed import Processes
from sleepkd.losses.objective import Objective
from sleepkd.models.taps import Taps
from sleepkd.settings import Config
from sleepkd.teachers import Teacher
from sleepkd.training.learner import Learner


@dataclass
class Stage:
    """What one stage trains. The teacher is frozen, in evaluation mode, and outside the learner's module tree.

    inputs: the student's, resolved. taps: hooks on the student. epoch: the training epoch, for scheduled weights.
    """

    config: Config
    inputs: InputSpec
    learner: Learner
    teacher: Teacher | None
    taps: Taps
    epoch: int = 0

    @property
    def student(self) -> nn.Module:
        """The network that is trained."""
        return self.learner.student

    @property
    def objective(self) -> Objective:
        """The losses."""
        return self.learner.objective

    @property
    def teacher_networks(self) -> Sequence[nn.Module]:
        """The teacher's networks, none without a teacher."""
        return self.teacher.networks if self.teacher else ()

    @property
    def readers(self) -> dict[str, InputSpec]:
        """The inputs of student and teacher by reader name: each reads the same segment in its own way."""
        return {STUDENT: self.inputs} | dict(self.teacher.readers if self.teacher else {})

    @property
    def absent(self) -> AbsentInputs:
        """Which readers take nights that lack some of their inputs."""
        student = {STUDENT} if getattr(self.student, "may_lack_inputs", False) else set()
        teacher = self.teacher.may_lack if self.teacher else frozenset()
        return AbsentInputs(teacher | student, frozenset(self.readers.keys() - {STUDENT}))

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move the learner and the teacher."""
        for module in (self.learner, *self.teacher_networks):
            module.to(device, dtype)

    def trained_on(self, nights: Sequence[Night]) -> dict[str, list[str]]:
        """{cohort/recording: digests} of the nights behind the student's weights.

        These are the stage's training nights, and those of its teacher and of the networks it starts from.
        """
        found = {night.key: sorted(night.info.digests) for night in nights}
        starts = (checkpoint_of(self.config, name, "stage.start_from") for name in self.config.stage.starts)
        for start in starts:
            found |= read_checkpoint(start).trained_on or {}
        return found | (self.teacher.trained_on if self.teacher else {})


def without_empty_validation(config: Config, processes: Processes) -> Config:
    """A config that validates only if a split lists a validation night; prints a line where none does."""
    if not config.train.validate_every or lists_labelled(config.data.sources, "validation"):
        return config
    if processes.is_first:
        splits = " and ".join(f"{source.split} of {source.store}" for source in config.data.sources)
        result = "best.pt, the moving average," if config.train.ema_decay else "last.pt"
        print(f"no validation: split {splits} lists no validation night; {result} will be the result", flush=True)
    return replace(config, train=replace(config.train, validate_every=0))


def describe_stage(
    stage: Stage, segments: Segments, validation: Segments | None, done: int, processes: Processes
) -> str:
    """A summary of what is about to be trained: classes, inputs, teacher, parameters, segments, run directory.

    Of each input of the student, how many training nights have it; of the teacher, on how many it is silent.
    """
    config, count = stage.config, sum(parameter.numel() for parameter in stage.learner.parameters())
    teacher = f", teacher {stage.teacher}" if stage.teacher else ""
    start = f", from {' and '.join(config.stage.starts)}" if config.stage.starts else ""
    unlabelled = sum(not night.has_labels for night in segments.nights) if stage.objective.uses_unlabelled else 0
    without = f" ({unlabelled} without labels)" if unlabelled else ""
    pseudo_labels = "".join(
        f"\n  pseudo-labels of {model} for {len(np.unique(segments.table.night[known_SN.any(axis=1)]))} training nights"
        for model, known_SN in segments.table.known.items()
    )
    inputs = "".join(f"\n  {line}" for line in _input_lines(segments))
    held_out = f"validation {len(validation)} of {len(validation.nights)} nights" if validation else "no validation"
    return (
        f"{config.stage.name}: {config.data.classes} classes from {describe_inputs(stage.inputs)}{start}{teacher}\n"
        f"  {count:,} parameters on {processes.world} x {processes.device.type}, {config.train.precision}; "
        f"train {len(segments)} segments of {len(segments.nights)} nights{without}, {held_out}{inputs}{pseudo_labels}\n"
        f"  {config.run_directory}" + (f": resumes after update {done}" if done else "")
    )


def _input_lines(segments: Segments) -> list[str]:
    """On how many training nights each input of the student is there, and on how many the teacher is silent."""
    table = segments.table
    nights = len(np.unique(table.night))
    lines = [
        f"input {name}: {count} of {nights} training nights" for name, count in segments.nights_with(STUDENT).items()
    ]
    if table.silent is not None:
        silent = len(np.unique(table.night[table.silent]))
        lines.append(f"the teacher is silent on {silent} of {nights} training nights, which lack its inputs")
    return lines
