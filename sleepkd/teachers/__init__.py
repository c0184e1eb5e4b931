"""Teachers: trained networks, the moving average of the student's weights, models of other libraries.

A teacher is a file in this folder. `TEACHERS` names those that need no checkpoint; any other name in `stage.teacher` is
an earlier stage or the path of a checkpoint.
"""

from torch import nn

from sleepkd.config import require
from sleepkd.data.inputs import InputSpec
from sleepkd.settings import Config
from sleepkd.teachers.average import AverageTeacher
from sleepkd.teachers.base import TEACHER, Teacher
from sleepkd.teachers.cache import CachedTeacher
from sleepkd.teachers.external import ExternalTeacher, YasaTeacher
from sleepkd.teachers.networks import TrainedTeacher
from sleepkd.teachers.sleepecg import SleepEcgTeacher

__all__ = ["EXTERNAL", "TEACHER", "TEACHERS", "Teacher", "build_teacher", "check_teacher", "earlier_stages"]

EXTERNAL: dict[str, type[ExternalTeacher]] = {
    "yasa": YasaTeacher,
    "sleepecg": SleepEcgTeacher,
}
TEACHERS: dict[str, type[Teacher]] = {
    "self": AverageTeacher,
    **EXTERNAL,
}


def build_teacher(config: Config, student: nn.Module, inputs: InputSpec) -> Teacher | None:
    """The teacher that `stage.teacher` names, None where no loss needs one.

    inputs: of the student. Raises UserError: no such checkpoint, other classes or view, impossible settings.
    """
    if not config.needs_teacher:
        return None
    check_teacher(config)
    name = config.stage.teachers[0]
    if name in TEACHERS:
        return TEACHERS[name].build(config, student, inputs)
    teacher = TrainedTeacher.build(config, student, inputs)
    return CachedTeacher(teacher, config) if config.distill.cache_teacher else teacher


def check_teacher(config: Config) -> None:
    """Raise UserError naming a setting that the teacher cannot satisfy. Reads no file."""
    if not config.needs_teacher:
        return
    registered = [name for name in config.stage.teachers if name in TEACHERS]
    alone = not registered or len(config.stage.teachers) == 1
    require(alone, "stage.teacher", f"{', '.join(registered)} cannot be part of an ensemble")
    kind = TEACHERS[registered[0]] if registered else TrainedTeacher
    for name, settings in config.active_losses.items():
        if settings.teacher_modules and not kind.has_features:
            require(False, f"loss.{name}", f"needs the features of a network; stage.teacher is {registered[0]}")
    kind.check(config)


def earlier_stages(config: Config) -> tuple[str, ...]:
    """The stages or checkpoints that a stage learns from or starts from, each once."""
    trained = [name for name in config.stage.teachers if name not in TEACHERS]
    return tuple(dict.fromkeys((*trained, *config.stage.starts)))
