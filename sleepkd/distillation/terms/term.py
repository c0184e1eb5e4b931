"""What a term of the loss is: one file with its settings, its taps, a sum, and what the sum is divided by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sleepkd.config import from_dict, require
from sleepkd.data.views import Places
from sleepkd.data.windows import Batch
from sleepkd.errors import UserError


class Output(NamedTuple):
    """What a network makes of a batch: logits (B, n, K), and the features of its taps as they are.

    features: by tap, each with a first dimension of stretches, which are the B * n cuts of view `epochs` or the B rows
    of view `night`; (stretches, C, L) from a convolution.
    """

    logits: Tensor
    features: dict[str, Tensor]


class Shapes(NamedTuple):
    """The shapes of the tapped features of student and teacher, by tap, without their first dimension."""

    classes: int
    student: dict[str, tuple[int, ...]]
    teacher: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Ramp:
    """A weight that goes in a straight line from `start` in the first epoch to `end` after so many, and stays there."""

    start: float
    end: float
    epochs: int

    def check(self, key: str) -> None:
        """Refuse impossible values by key."""
        require(self.epochs >= 1, f"{key}.epochs", f"must be at least 1, is {self.epochs}")


def weight_or_ramp(value: Any, key: str) -> float | Ramp:
    """A number, or {start, end, epochs}; UserError where it is neither."""
    if isinstance(value, Mapping):
        return from_dict(Ramp, dict(value), f"{key}.")
    try:
        return float(value)  # YAML 1.1 reads 1e-3 as text
    except (TypeError, ValueError):
        raise UserError(f"{key}: expected a number or {{start, end, epochs}}, got {value!r}") from None


@dataclass(frozen=True)
class TermSettings:
    """Every term has a weight; one of weight 0 is not computed. The taps are module paths, none by default."""

    weight: Annotated[float | Ramp, weight_or_ramp] = 0.0

    def weight_at(self, epoch: int) -> float:
        """The weight in an epoch of training, counted from 0."""
        if not isinstance(self.weight, Ramp):
            return self.weight
        share = min(1.0, epoch / self.weight.epochs)
        return (1 - share) * self.weight.start + share * self.weight.end

    @property
    def last_weight(self) -> float:
        """The weight that it ends with: validation weighs by it, so that epochs compare."""
        return self.weight.end if isinstance(self.weight, Ramp) else self.weight

    @property
    def is_active(self) -> bool:
        """Whether it ever has a weight."""
        return self.weight_at(0) > 0 or self.last_weight > 0

    @property
    def student_taps(self) -> tuple[str, ...]:
        """Modules of the student whose outputs the term wants."""
        return ()

    @property
    def teacher_taps(self) -> tuple[str, ...]:
        """Modules of the teacher whose outputs the term wants."""
        return ()

    def check(self, key: str) -> None:
        """Refuse impossible values by key, `key` being "loss.<name>"."""
        ramp, where = isinstance(self.weight, Ramp), f"{key}.weight"
        ends = {".start": self.weight.start, ".end": self.weight.end} if ramp else {"": self.weight}
        for name, value in ends.items():
            require(0 <= value < float("inf"), f"{where}{name}", f"must be 0 or more, is {value}")
        if ramp:
            self.weight.check(where)


@dataclass(frozen=True)
class TemperedSettings(TermSettings):
    """Of a term that softens answers. temperature: what logits are divided by."""

    temperature: float = 2.0

    def check(self, key: str) -> None:
        """Refuse impossible values by key."""
        super().check(key)
        check_temperature(self.temperature, key)


@dataclass(frozen=True)
class TapSettings(TermSettings):
    """Of a term about one feature. tap: the student's module; of_teacher: the teacher's, if called otherwise."""

    tap: str = "bottom"
    of_teacher: str = ""

    @property
    def student_taps(self) -> tuple[str, ...]:
        """The one."""
        return (self.tap,)

    @property
    def teacher_taps(self) -> tuple[str, ...]:
        """The other."""
        return (self.of_teacher or self.tap,)

    def widths(self, shapes: Shapes) -> tuple[int, int]:
        """Channels of the student's feature and of the teacher's."""
        return shapes.student[self.student_taps[0]][-2], shapes.teacher[self.teacher_taps[0]][-2]

    def check_lengths(self, shapes: Shapes, key: str) -> None:
        """UserError where the two have different numbers of positions."""
        (student,), (teacher,) = self.student_taps, self.teacher_taps
        length, other = shapes.student[student][-1], shapes.teacher[teacher][-1]
        require(length == other, f"{key}.tap", f"{student} has {length} positions, the teacher's {teacher} {other}")


class Term(nn.Module):
    """One term of the loss. It is an nn.Module: parameters that it owns (a projector) are trained beside the student.

    Its value is `sum` over what one process holds, divided by `count` over the whole update, so that it does not depend
    on how a batch is shared out over processes and micro-batches. Terms compute in float32 at least (`precise`).
    """

    Settings: ClassVar[type[TermSettings]]
    needs_labels: ClassVar[bool] = False
    needs_teacher: ClassVar[bool] = True
    needs_sequence: ClassVar[bool] = False  # rows of more than one sleep epoch
    needs_logits: ClassVar[bool] = True  # of the student; without any such term, what no tap depends on is frozen

    def __init__(self, settings: Any, shapes: Shapes):
        super().__init__()
        self.settings, self.shapes = settings, shapes

    def fit(self, labels_WN: np.ndarray) -> None:
        """Take from the training labels (W, n), -1 unscored, what the term needs to know; called once, before all."""

    def keep(self, teacher: Output) -> dict[str, Tensor]:
        """What `sum` needs of the teacher's output, and so what its cache holds; first dimension B or stretches."""
        return {}

    def sum(self, student: Output, taught: dict[str, Tensor], batch: Batch) -> Tensor:
        """The term summed over a batch, a scalar. taught: what `keep` returned for it."""
        raise NotImplementedError

    def count(self, places: Places) -> float:
        """What the sum over these rows is divided by."""
        raise NotImplementedError


def precise(x: Tensor) -> Tensor:
    """In float32 at least."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def check_parts(settings: TermSettings, names: tuple[str, ...], key: str) -> None:
    """UserError where one of the weights of a term's parts is negative."""
    for name in names:
        value = getattr(settings, name)
        require(0 <= value < float("inf"), f"{key}.{name}", f"must be 0 or more, is {value}")


def check_temperature(temperature: float, key: str) -> None:
    """UserError where it is not positive."""
    require(0 < temperature < float("inf"), f"{key}.temperature", f"must be positive, is {temperature}")


def sleep_epochs(places: Places) -> float:
    """How many sleep epochs rows hold, scored or not."""
    return float(places.present.sum())
