"""The training runs of the sensor study: students of each sensor and of all, with and without an EEG teacher."""

from collections.abc import Iterable, Sequence

from sleepkd.config import require
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.data.store import Store
from sleepkd.study.paper_plan import PaperRow

TEACHER = "night_psg"
TEACHER_INPUTS = ("eeg", "eog", "emg")
BEATS, ALL_SENSORS, TAUGHT = "beats", "all", "taught"
ALONE_CONFIG, TAUGHT_CONFIG = "night_ecg", "night_kd"
DROP_INPUT = 0.3
"""`data.augment.drop_input` of networks of several inputs, so that each may be missing."""

Inputs = tuple[str, ...]


def held_kinds(store: Store, recordings: Iterable[str]) -> Inputs:
    """The kinds of signals that every one of these recordings holds, heartbeats included."""
    held = [set(store.info(name).kinds) for name in recordings]
    return tuple(kind for kind in SIGNAL_KINDS if held and all(kind in of_night for of_night in held))


def students_of(held: Inputs, wanted: Sequence[str] = ()) -> dict[str, Inputs]:
    """The students of the study: {name: its inputs}.

    wanted: kinds, several joined by "+", or "all"; () takes each kind that is no input of the teacher and no raw ECG,
    and all of them. Raises UserError for a kind that some recordings lack.
    """
    sensors = tuple(kind for kind in held if kind not in (*TEACHER_INPUTS, "ecg"))
    require(bool(sensors), "data.store", "holds no sensor besides EEG, EOG, EMG and ECG; prepare it with --signals")
    found = {}
    for name in wanted or (*sensors, *([ALL_SENSORS] if len(sensors) > 1 else [])):
        inputs = sensors if name == ALL_SENSORS else tuple(name.split("+"))
        for kind in inputs:
            require(kind in held, "--sensors", f"{kind} is not held by every recording; they hold {', '.join(held)}")
        found[name] = inputs
    return found


def taught(student: str) -> str:
    """The row of a student that the teacher taught; its row without a teacher has the student's own name."""
    return f"{student}-{TAUGHT}"


def sensor_rows(students: dict[str, Inputs], held: Inputs) -> list[PaperRow]:
    """The rows: the teacher, of those of EEG, EOG and EMG that are held, and each student without and with it.

    Raises UserError where no EEG is held.
    """
    require("eeg" in held, "data.store", "holds no EEG in every recording, which the teacher needs")
    of_teacher = tuple(kind for kind in TEACHER_INPUTS if kind in held)
    rows = [PaperRow(TEACHER, TEACHER, _inputs(of_teacher))]
    for name, inputs in students.items():
        rows.append(PaperRow(name, ALONE_CONFIG, _inputs(inputs)))
        overrides = (*_inputs(inputs), f"stage.teacher={TEACHER}")
        rows.append(PaperRow(taught(name), TAUGHT_CONFIG, overrides))
    return rows


def _inputs(inputs: Inputs) -> tuple[str, ...]:
    """The overrides that leave these inputs alone, whatever inputs the config or an overlay has."""
    others = [name for name in SIGNAL_KINDS if name not in inputs]
    drop = DROP_INPUT if len(inputs) > 1 else 0
    return (
        *(f"stage.inputs.{name}=false" for name in others),
        *(f"stage.inputs.{name}={{}}" for name in inputs),
        f"data.augment.drop_input={drop}",
    )
