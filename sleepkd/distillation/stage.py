"""A training stage as data: the student, the teacher if any term needs one, the taps on both, and the loss."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sleepkd.checkpoint import load_weights, read_checkpoint
from sleepkd.config import Config, from_dict
from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.data.windows import Batch
from sleepkd.distillation.losses import (
    attention_energy,
    attention_sum,
    cross_entropy_sum,
    distillation_sum,
    unique_taps,
)
from sleepkd.distillation.taps import Taps
from sleepkd.errors import UserError
from sleepkd.models.build import TrainedNetwork, build_network, load_trained


class Output(NamedTuple):
    """What a network says of a batch: logits (B, n, K), and the energies (B, L) of its taps' features."""

    logits: Tensor
    energies: dict[str, Tensor]


@dataclass
class Stage:
    """What one stage trains on. `teacher` is no part of the student's module tree, is frozen and in eval mode."""

    config: Config
    student: nn.Module
    teacher: TrainedNetwork | None
    student_taps: Taps
    teacher_taps: Taps | None
    frozen: list[str]

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals a batch must hold: the student's, and the teacher's where there is one."""
        wanted = [self.config.stage.signal] + ([self.teacher.config.stage.signal] if self.teacher else [])
        return tuple(dict.fromkeys(wanted))

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move student and teacher."""
        self.student.to(device, dtype)
        if self.teacher:
            self.teacher.network.to(device, dtype)

    def train_mode(self) -> None:
        """Student in training mode, but for what is frozen: its BatchNorm statistics must not move either."""
        self.student.train()
        for name, module in self.student.named_modules():
            if any(name == path or name.startswith(f"{path}.") for path in self.frozen):
                module.eval()

    @torch.no_grad()  # not inference_mode: its tensors may not enter a loss
    def teach(self, batch: Batch) -> Output | None:
        """What the teacher says of a batch, from its cache where the batch brings it; None without a teacher."""
        if not self.teacher:
            return None
        if batch.extras:
            return Output(batch.extras["logits"], {tap: batch.extras[tap] for tap in batch.extras if tap != "logits"})
        logits = self.teacher.network(batch.signals[self.teacher.config.stage.signal])
        return Output(logits, energies(self.teacher_taps))


def energies(taps: Taps) -> dict[str, Tensor]:
    """The energies (B, L) of the features of the last forward."""
    return {tap: attention_energy(feature) for tap, feature in taps.pop().items()}


def by_device(config: Config, device: torch.device) -> Config:
    """The config with `train.precision: auto` settled for a device: what checkpoints remember and a resume holds to."""
    if config.train.precision != "auto":
        return config
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return replace(config, train=replace(config.train, precision="bf16" if has_bf16 else "fp32"))


def autocast(config: Config, device: torch.device) -> torch.autocast:
    """The precision that the networks run in; the losses are computed outside it, in float32 at least."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(config.train.precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def build_stage(config: Config, rate_hz: float) -> Stage:
    """Student, teacher and taps of a stage, on the CPU; seeded, so that every process starts from the same weights.

    Raises UserError: an earlier stage not trained yet, one of another number of classes, rate or shape.
    """
    torch.manual_seed(config.train.seed)
    student = build_network(config, rate_hz)
    if config.stage.start_from:
        path = checkpoint_of(config, config.stage.start_from, "stage.start_from")
        start = read_checkpoint(path)
        _check_classes(config, from_dict(Config, start.config), path)
        load_weights(student, start.model, path)
    teacher = None
    if config.loss.kd > 0 or config.loss.at > 0:
        teacher = load_trained(checkpoint_of(config, config.stage.teacher, "stage.teacher"))
        teacher.check_rate(rate_hz)
        _check_classes(config, teacher.config, teacher.path)
    paths = unique_taps(config.distill.at_taps) if config.loss.at > 0 else ()
    stage = Stage(
        config=config,
        student=student,
        teacher=teacher,
        student_taps=Taps(student, paths),
        teacher_taps=Taps(teacher.network, paths) if teacher else None,
        frozen=[],
    )
    if config.loss.ce == 0 and config.loss.kd == 0:
        stage.frozen = _freeze_beyond_taps(student, stage.student_taps, rate_hz)
    return stage


def checkpoint_of(config: Config, name: str, key: str) -> Path:
    """The checkpoint a config means by a path (it ends in .pt) or by the name of an earlier stage."""
    if name.endswith(".pt"):
        path, advice = Path(name), "check the path"
    else:
        folder = config.stage_directory(name)
        path = next((folder / file for file in ("best.pt", "last.pt") if (folder / file).is_file()), folder / "best.pt")
        advice = f"train {name} first, or name a checkpoint (….pt)"
    if not path.is_file():
        raise UserError(f"{key}: no checkpoint at {path}; {advice}")
    return path


def loss_sums(
    config: Config, student: Output, teacher: Output | None, batch: Batch, class_weights: Tensor
) -> dict[str, Tensor]:
    """Each loss term of one micro-batch as a sum, by the name of its weight; a term of weight 0 is not computed."""
    loss, distill = config.loss, config.distill
    sums = {}
    if loss.ce:
        sums["ce"] = cross_entropy_sum(student.logits, batch.labels, class_weights)
    if loss.kd:
        sums["kd"] = distillation_sum(
            student.logits, teacher.logits, batch.present, distill.temperature, distill.kd_mean
        )
    if loss.at:
        sums["at"] = attention_sum(student.energies, teacher.energies, distill.at_taps, distill.at_normalisation)
    return sums


def _check_classes(config: Config, other: Config, path: Path) -> None:
    if config.data.classes != other.data.classes:
        raise UserError(
            f"{path}: was trained for {other.data.classes} classes, data.classes is {config.data.classes}; "
            f"set data.classes={other.data.classes} or train the earlier stage for {config.data.classes}"
        )


def _freeze_beyond_taps(student: nn.Module, taps: Taps, rate_hz: float) -> list[str]:
    """Freeze what no tap depends on, found by a probe; returns the paths of modules frozen whole.

    Attention transfer alone gives those parameters no gradient, and DDP would wait for it.
    """
    was_training = student.training
    student.eval()  # the probe must not move BatchNorm's statistics
    samples = round(EPOCH_SECONDS * rate_hz)
    student(torch.zeros(1, 1, samples))
    sum(feature.sum() for feature in taps.pop().values()).backward()
    for parameter in student.parameters():
        parameter.requires_grad_(parameter.grad is not None)
    student.zero_grad(set_to_none=True)
    student.train(was_training)
    return [
        name
        for name, module in student.named_modules()
        if name and any(True for _ in module.parameters()) and not any(p.requires_grad for p in module.parameters())
    ]
