"""A training stage: the student, the teacher if any term needs one, the taps on both, and the terms of the loss."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.data.inputs import InputSpec, resolve
from sleepkd.data.views import Places
from sleepkd.data.windows import Batch
from sleepkd.distillation.settings import Config
from sleepkd.distillation.taps import Taps
from sleepkd.distillation.teacher import STAGED, TEACHER, Teacher, certain, teacher_of
from sleepkd.distillation.terms import TERMS, Output, Shapes, Term
from sleepkd.distillation.trained import load_start
from sleepkd.errors import UserError
from sleepkd.models import build_network

STUDENT = "student"
TRUSTED = "trusted"
"""Which sleep epochs the teacher is sure enough of, among what is kept of its answers."""
PROBE_SECONDS = {"epochs": EPOCH_SECONDS, "night": 10 * EPOCH_SECONDS}


class Learner(nn.Module):
    """All that is trained: the student, and what the terms of the loss own. DDP wraps it; calling it is the student."""

    def __init__(self, student: nn.Module, terms: dict[str, Term]):
        super().__init__()
        self.student = student
        self.terms = nn.ModuleDict(terms)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """The student's logits (B, n, K), or (B, C, K) on the grid of a night."""
        return self.student(inputs)


@dataclass
class Stage:
    """What one stage trains on. `teacher` is no part of the learner's module tree, is frozen and in eval mode.

    inputs: what the student sees, with every choice made. frozen: paths of the student's modules that are not trained.
    epoch: of training, which weights may depend on.
    """

    config: Config
    inputs: InputSpec
    learner: Learner
    teacher: Teacher | None
    student_taps: Taps
    frozen: list[str]
    epoch: int = 0

    @property
    def student(self) -> nn.Module:
        """The network that is trained."""
        return self.learner.student

    @property
    def terms(self) -> dict[str, Term]:
        """The terms of the loss by name, in the order in which they are added up."""
        return dict(self.learner.terms.items())  # type: ignore[arg-type]

    @property
    def readers(self) -> dict[str, InputSpec]:
        """What student and teacher want to see of the same stretch of a night: each what it was made for."""
        return {STUDENT: self.inputs} | (self.teacher.readers if self.teacher else {})

    @property
    def uses_unlabelled(self) -> bool:
        """Whether a night without labels can teach anything."""
        return not all(term.needs_labels for term in self.terms.values())

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move what is trained, and the teacher."""
        self.learner.to(device, dtype)
        for network in self.teacher.networks if self.teacher else ():
            network.to(device, dtype)

    def train_mode(self) -> None:
        """The learner in training mode, but for what is frozen: its BatchNorm statistics must not move either."""
        self.learner.train()
        for name, module in self.student.named_modules():
            if any(name == path or name.startswith(f"{path}.") for path in self.frozen):
                module.eval()

    def counts(self, places: Places) -> dict[str, float]:
        """What the sum of each term over these rows is divided by: counted over a whole update, whoever computes it."""
        return {name: term.count(places) for name, term in self.terms.items()}

    def answer(self, logits: Tensor, batch: Batch) -> Output:
        """The student's output after its forward: logits per sleep epoch, and what its taps caught."""
        return Output(batch.per_sleep_epoch(logits), self.student_taps.pop())

    @torch.no_grad()  # not inference_mode: its tensors may not enter a loss
    def teach(self, batch: Batch) -> dict[str, Tensor]:
        """What the terms keep of the teacher's answer to a batch, as "term.name"; from its cache where it has one."""
        if not self.teacher:
            return {}
        if batch.taught and STAGED not in batch.taught:
            return {name: rows.flatten(0, 1) for name, rows in batch.taught.items()}
        said = self.teacher.answer(batch)
        taught = {f"{name}.{kept}": x for name, term in self.terms.items() for kept, x in term.keep(said).items()}
        if least := self.config.distill.trust.min_confidence:
            taught[TRUSTED] = certain(said.logits, least).to(said.logits.dtype)
        return taught

    def loss(
        self, student: Output, taught: dict[str, Tensor], batch: Batch, divisors: dict[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one micro-batch, its share of the update's, and its terms by name, unweighted."""
        terms = {}
        sure = batch._replace(present=batch.present & (taught[TRUSTED] > 0)) if TRUSTED in taught else batch
        for name, term in self.terms.items():
            own = {key.removeprefix(f"{name}."): x for key, x in taught.items() if key.startswith(f"{name}.")}
            terms[name] = term.sum(student, own, sure if term.needs_teacher else batch) / divisors[name]
        return sum(self.config.loss[name].weight_at(self.epoch) * value for name, value in terms.items()), terms


def build_stage(config: Config, rate_hz: float) -> Stage:
    """Student, teacher, taps and terms, on the CPU; seeded, so that every process starts from the same weights.

    rate_hz: of the signals that the student will read. Terms still have to see the training labels (`Term.fit`).
    Raises UserError: an earlier stage not trained yet, one of another number of classes, view or shape.
    """
    torch.manual_seed(config.train.seed)
    inputs = resolve(config.stage.inputs, config.data, rate_hz)
    student = build_network(config.model, config.data.classes, inputs, config.data.view)
    if config.stage.start_parts:
        load_start(config, student)
    teacher = teacher_of(config, student, inputs) if config.needs_teacher else None
    taps = {
        whose: tuple(
            dict.fromkeys(tap for settings in config.terms.values() for tap in getattr(settings, f"{whose}_taps"))
        )
        for whose in ("student", "teacher")
    }
    where = _said_of_taps(config)
    student_taps = Taps(student, taps["student"], where)
    teacher_taps = teacher.tap(taps["teacher"], where) if taps["teacher"] else None
    view = config.data.view
    shapes = Shapes(
        config.data.classes,
        _shapes(student, inputs, student_taps, view) if taps["student"] else {},
        _shapes(teacher.networks[0], teacher.readers[TEACHER], teacher_taps, view) if teacher_taps else {},
    )
    terms = {name: TERMS[name](settings, shapes) for name, settings in config.terms.items()}
    frozen = [] if config.tells_stages else _freeze_beyond_taps(student, inputs, student_taps, view)
    return Stage(config, inputs, Learner(student, terms), teacher, student_taps, frozen)


def by_device(config: Config, device: torch.device) -> Config:
    """The config with `train.precision: auto` settled for a device: what checkpoints remember and a resume holds to.

    Raises UserError for what the device cannot do.
    """
    if getattr(config.model, "norm", "") == "sync_batch" and device.type != "cuda":
        raise UserError("model.norm: sync_batch needs CUDA; use batch or group")
    if config.train.precision == "bf16" and device.type == "cpu" and not convolves_in_bf16():
        raise UserError("train.precision: bf16: this CPU's library gets convolutions in it wrong; use fp32")
    if config.train.precision != "auto":
        return config
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return replace(config, train=replace(config.train, precision="bf16" if has_bf16 else "fp32"))


def convolves_in_bf16() -> bool:
    """Whether the CPU's convolutions in bfloat16 are right: of 8 channels, kernel 8, stride 4.

    With torch 2.13 on a CPU with AMX this one, which a night's encoder can hold, is wrong by as much as its values.
    """
    drawn = torch.Generator().manual_seed(0)
    x, weight = torch.randn(1, 8, 80, generator=drawn), torch.randn(8, 8, 8, generator=drawn)
    exact = F.conv1d(x, weight, stride=4, padding=2)
    found = F.conv1d(x.bfloat16(), weight.bfloat16(), stride=4, padding=2).float()
    return float((found - exact).norm()) < 0.05 * float(exact.norm())


def autocast(config: Config, device: torch.device) -> torch.autocast:
    """The precision that the networks run in; the losses are computed outside it, in float32 at least."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(config.train.precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def _said_of_taps(config: Config) -> str:
    """The keys that a wrong tap is looked for in."""
    tapping = [name for name, settings in config.terms.items() if settings.student_taps or settings.teacher_taps]
    return " or ".join(f"loss.{name}.taps" for name in tapping)


def _probe(network: nn.Module, inputs: InputSpec, taps: Taps, view: str) -> dict[str, Tensor]:
    """What the taps of a network catch of one row of one cut of nothing."""
    was_training = network.training
    network.eval()  # the probe must not move BatchNorm's statistics
    network({name: torch.zeros(1, 1, *item.shape(PROBE_SECONDS[view])) for name, item in inputs.items()})
    network.train(was_training)
    return taps.pop()


@torch.no_grad()
def _shapes(network: nn.Module, inputs: InputSpec, taps: Taps, view: str) -> dict[str, tuple[int, ...]]:
    """The shapes of what the taps of a network catch, without their first dimension."""
    return {tap: tuple(feature.shape[1:]) for tap, feature in _probe(network, inputs, taps, view).items()}


def _freeze_beyond_taps(student: nn.Module, inputs: InputSpec, taps: Taps, view: str) -> list[str]:
    """Freeze what no tap depends on, found by a probe; returns the paths of modules frozen whole.

    Without a term that wants its logits, those parameters get no gradient, and DDP would wait for it.
    """
    sum(feature.sum() for feature in _probe(student, inputs, taps, view).values()).backward()
    for parameter in student.parameters():
        parameter.requires_grad_(parameter.grad is not None)
    student.zero_grad(set_to_none=True)
    return [
        name
        for name, module in student.named_modules()
        if name and any(True for _ in module.parameters()) and not any(p.requires_grad for p in module.parameters())
    ]
