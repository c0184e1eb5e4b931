"""The base class of a loss: its settings, the features it taps, its sum over a batch, and its normalizer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sleepkd.config import from_dict, require
from sleepkd.data.hypnogram import merged_classes
from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.errors import UserError


class NetworkOutput(NamedTuple):
    """What a network computed for a batch.

    Attributes
    ----------
    logits
        (B, n, K), per sleep epoch.
    features
        By tap, (sequences, C, L) from a convolution. Sequences are the B * n sleep epochs of view `epochs`, or the B
        segments of view `night`.
    known
        Bool (B, n), the sleep epochs that a teacher knows; None: all.
    """

    logits: Tensor
    features: dict[str, Tensor]
    known: Tensor | None = None


class FeatureShapes(NamedTuple):
    """Number of classes, and the shapes of the tapped features by tap, without their first dimension.

    Attributes
    ----------
    classes
        Of the student.
    student, teacher
        Shapes of the tapped features, by the path of the module.
    teacher_classes
        Of the teacher; None: as many as the student's.
    """

    classes: int
    student: dict[str, tuple[int, ...]]
    teacher: dict[str, tuple[int, ...]]
    teacher_classes: int | None = None


@dataclass(frozen=True)
class LinearSchedule:
    """A weight that is annealed linearly over the training epochs.

    start: in the first training epoch.
    end: after `epochs` training epochs, and from there on.
    epochs: length of the schedule.
    """

    start: float
    end: float
    epochs: int

    def check(self, key: str) -> None:
        """Raise UserError naming the key of an impossible value."""
        for name, value in (("start", self.start), ("end", self.end)):
            require(0 <= value < float("inf"), f"{key}.{name}", f"must be 0 or more, is {value}")
        require(self.epochs >= 1, f"{key}.epochs", f"must be at least 1, is {self.epochs}")


def weight_or_schedule(value: Any, key: str) -> float | LinearSchedule:
    """A number, or {start, end, epochs}. Raises UserError where `value` is neither."""
    if isinstance(value, Mapping):
        return from_dict(LinearSchedule, dict(value), f"{key}.")
    try:
        return float(value)  # YAML 1.1 reads 1e-3 as text
    except (TypeError, ValueError):
        raise UserError(f"{key}: expected a number or {{start, end, epochs}}, got {value!r}") from None


@dataclass(frozen=True)
class LossSettings:
    """Settings common to all losses.

    weight: in the objective, a number or {start, end, epochs}; a loss of weight 0 is not computed.
    """

    weight: Annotated[float | LinearSchedule, weight_or_schedule] = 0.0

    def weight_at(self, epoch: int) -> float:
        """The weight in a training epoch, counted from 0."""
        if not isinstance(self.weight, LinearSchedule):
            return self.weight
        share = min(1.0, epoch / self.weight.epochs)
        return (1 - share) * self.weight.start + share * self.weight.end

    @property
    def last_weight(self) -> float:
        """The final weight. Validation uses it, so that the validation losses of all training epochs are comparable."""
        return self.weight.end if isinstance(self.weight, LinearSchedule) else self.weight

    @property
    def is_active(self) -> bool:
        """Whether the weight is ever above 0."""
        return self.weight_at(0) > 0 or self.last_weight > 0

    @property
    def student_modules(self) -> tuple[str, ...]:
        """Paths of the student's modules whose outputs the loss reads."""
        return ()

    @property
    def teacher_modules(self) -> tuple[str, ...]:
        """Paths of the teacher's modules whose outputs the loss reads."""
        return ()

    def check(self, key: str) -> None:
        """Raise UserError naming the key of an impossible value. key: "loss.<name>"."""
        if isinstance(self.weight, LinearSchedule):
            self.weight.check(f"{key}.weight")
        else:
            require(0 <= self.weight < float("inf"), f"{key}.weight", f"must be 0 or more, is {self.weight}")


@dataclass(frozen=True)
class TemperatureSettings(LossSettings):
    """Settings of a loss on softened probabilities. temperature: divides the logits."""

    temperature: float = 2.0

    def check(self, key: str) -> None:
        """Raise UserError naming the key of an impossible value."""
        super().check(key)
        check_temperature(self.temperature, key)


@dataclass(frozen=True)
class TapSettings(LossSettings):
    """Settings of a loss on one feature.

    tap: path of the student's module. teacher_tap: path of the teacher's module, if it differs.
    """

    tap: str = "bottom"
    teacher_tap: str = ""

    @property
    def student_modules(self) -> tuple[str, ...]:
        """The student's tapped module."""
        return (self.tap,)

    @property
    def teacher_modules(self) -> tuple[str, ...]:
        """The teacher's tapped module."""
        return (self.teacher_tap or self.tap,)

    def widths(self, shapes: FeatureShapes) -> tuple[int, int]:
        """Channels of the student's feature and of the teacher's."""
        return shapes.student[self.student_modules[0]][-2], shapes.teacher[self.teacher_modules[0]][-2]

    def check_lengths(self, shapes: FeatureShapes, key: str) -> None:
        """Raise UserError where the two features differ in length."""
        (student,), (teacher,) = self.student_modules, self.teacher_modules
        length, other = shapes.student[student][-1], shapes.teacher[teacher][-1]
        require(length == other, f"{key}.tap", f"{student} has {length} positions, the teacher's {teacher} has {other}")


class Loss(nn.Module):
    """One term of the training objective. Its parameters, such as a projector, are trained beside the student.

    The value is `sum` over the segments of one process, divided by `normalizer` over the whole update: it does not
    depend on how a batch is shared out over processes and micro-batches. Losses compute in float32 or float64.

    Parameters
    ----------
    settings
        The section `loss.NAME` of a config, an instance of `Settings`.
    shapes
        Number of classes, and the shapes of the features that the settings tap.

    Examples
    --------
    The Kullback-Leibler divergence of softened probabilities is 0 where student and teacher agree:

    >>> from sleepkd.losses import LOSSES
    >>> kd = LOSSES["kd"](LOSSES["kd"].Settings(weight=1.0), FeatureShapes(4, {}, {}))
    >>> teacher = NetworkOutput(torch.tensor([[[2.0, 0.0, 0.0, 0.0]]]), {})  # a segment of one sleep epoch
    >>> student = NetworkOutput(torch.zeros(1, 1, 4), {})
    >>> labels, spans = torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, 1, 0, dtype=torch.long)
    >>> batch = Batch({}, labels, torch.ones(1, 1, dtype=torch.bool), spans, torch.ones(1, 0, dtype=torch.bool), {})
    >>> float(kd.sum(teacher, kd.targets(teacher), batch))
    0.0
    >>> float(kd.sum(student, kd.targets(teacher), batch)) > 0
    True
    """

    Settings: ClassVar[type[LossSettings]]
    needs_labels: ClassVar[bool] = False
    needs_teacher: ClassVar[bool] = True
    needs_sequence: ClassVar[bool] = False
    """Whether a segment must hold more than one sleep epoch."""
    needs_logits: ClassVar[bool] = True
    """Whether it reads the student's logits. If no loss does, parameters behind the last tap are frozen."""

    def __init__(self, settings: Any, shapes: FeatureShapes):
        super().__init__()
        self.settings, self.shapes = settings, shapes

    @property
    def pseudo_labels(self) -> tuple[str, ...]:
        """Names of the models whose pseudo-labels the loss reads of a batch, besides the teacher's output."""
        return ()

    def fit(self, labels_SN: np.ndarray) -> None:
        """Compute statistics of the training labels, once before training. Optional.

        Parameters
        ----------
        labels_SN
            Class indices (S, n) of all training segments, -1 unscored.
        """

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """Choose what `sum` reads of the teacher's output, and what a cache keeps.

        Parameters
        ----------
        teacher
            What the teacher computed for a batch.

        Returns
        -------
        dict of Tensor
            First dimension: B, or sequences.
        """
        return {}

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Sum the loss over a batch.

        Parameters
        ----------
        student
            What the student computed for the batch.
        targets
            What `targets` returned for the batch.
        batch
            Inputs and labels.

        Returns
        -------
        Tensor
            A scalar, with a gradient.
        """
        raise NotImplementedError

    def normalizer(self, table: SegmentTable) -> float:
        """Compute what the sum over segments is divided by.

        Parameters
        ----------
        table
            The segments of an update.

        Returns
        -------
        float
            For example the number of sleep epochs.
        """
        raise NotImplementedError


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor in float32 where it is in half precision, else unchanged."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def merged_logits(logits_BNK: Tensor, classes: int, temperature: float = 1.0) -> Tensor:
    """Logits (B, n, K) in a scheme of fewer classes, (B, n, classes): the student's, for a teacher of fewer classes.

    Divided by the temperature, they are the logarithm of softmax(logits / temperature), summed over the classes that
    are merged. Logits of as many classes are returned as they are. Half precision becomes float32.
    """
    logits = at_least_float32(logits_BNK)
    if logits.shape[-1] == classes:
        return logits
    log_p = F.log_softmax(logits / temperature, dim=-1)
    merged = merged_classes(logits.shape[-1], classes)
    groups = [[label for label, among in enumerate(merged) if among == k] for k in range(classes)]
    return temperature * torch.stack([log_p[..., group].logsumexp(dim=-1) for group in groups], dim=-1)


def check_component_weights(settings: LossSettings, names: tuple[str, ...], key: str) -> None:
    """Raise UserError where one of these component weights is negative."""
    for name in names:
        value = getattr(settings, name)
        require(0 <= value < float("inf"), f"{key}.{name}", f"must be 0 or more, is {value}")


def check_temperature(temperature: float, key: str) -> None:
    """Raise UserError where the temperature is not positive."""
    require(0 < temperature < float("inf"), f"{key}.temperature", f"must be positive, is {temperature}")


def count_sequences(table: SegmentTable) -> float:
    """Number of sequences in these segments: sleep epochs in view `epochs`, segments in view `night`."""
    # Where a teacher is silent on all the sum is 0; dividing it by 1 keeps it 0.
    return float(table.sequences) or 1.0


def count_sleep_epochs(table: SegmentTable) -> float:
    """Number of sleep epochs in these segments, scored or not."""
    # Where a teacher knows none the sum is 0; dividing it by 1 keeps it 0.
    return float(table.present.sum()) or 1.0
