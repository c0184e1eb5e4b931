"""Teachers of other libraries: an external model stages each night once, as pseudo-labels in its store."""

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import nn

from sleepkd.config import require
from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.data.inputs import InputSpec
from sleepkd.data.pseudo_labels import pseudo_label_path, write_pseudo_labels
from sleepkd.data.segments import Batch, Segments
from sleepkd.data.store import Night
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.losses.loss import NetworkOutput
from sleepkd.losses.objective import Objective
from sleepkd.settings import Config
from sleepkd.teachers.base import Teacher


class ExternalTeacher(Teacher):
    """A model of another library. Its pseudo-labels are read from the stores. A subclass implements `stage_night`.

    model: its name in `stage.teacher` and of its files. libraries: the modules that must be installed to compute them.
    model_classes: the number of classes that it knows, a key of `CLASS_NAMES`.
    """

    libraries: ClassVar[tuple[str, ...]]
    model_classes: ClassVar[int] = 5

    def __init__(self, temperature: float, classes: int):
        self.temperature, self.classes = temperature, classes

    @classmethod
    def check(cls, config: Config) -> None:
        """Raise UserError for a fitted temperature: there is no checkpoint that one was fitted for."""
        fitted = config.distill.trust.temperature == "fitted"
        require(
            not fitted,
            "distill.trust.temperature",
            f"fitted needs a checkpoint; {cls.model} has none",
        )

    @classmethod
    def build(cls, config: Config, student: nn.Module, inputs: InputSpec) -> "ExternalTeacher":
        """The teacher with the temperature of `distill.trust`, in the fewer of its own classes and `data.classes`."""
        return cls(float(config.distill.trust.temperature), min(cls.model_classes, config.data.classes))

    @staticmethod
    def stage_night(night: Night) -> np.ndarray:
        """Probabilities (N, K) float32 of every sleep epoch in the model's classes. Raises UserError.

        NaN for a sleep epoch of which the model knows nothing, for example where the night lacks what it reads.
        """
        raise NotImplementedError

    def __str__(self) -> str:
        return self.model

    def prepare(
        self, segments: Segments, objective: Objective, folder: Path, processes: Processes, batch_size: int
    ) -> None:
        """Compute missing pseudo-labels, and let batches of these segments bring them."""
        compute_pseudo_labels(type(self), segments.nights, processes)
        classes = segments.read_pseudo_labels(self.model)
        if classes != self.classes:
            raise UserError(
                f"{segments.nights[0].folder}: pseudo-labels of {self.model} have {classes} classes, not "
                f"{self.classes}; delete those of all nights to have them computed again"
            )

    def output(self, batch: Batch) -> NetworkOutput:
        """The model's log-probabilities, divided by the temperature; 0 where it knows nothing of a sleep epoch."""
        logits_BNK = batch.pseudo_labels[self.model]
        known_BN = ~logits_BNK.isnan().any(dim=-1)
        return NetworkOutput(logits_BNK.nan_to_num() / self.temperature, {}, known_BN)


def compute_pseudo_labels(
    teacher: type[ExternalTeacher],
    nights: Sequence[Night],
    processes: Processes,
    on_night: Callable[[], object] = lambda: None,
) -> None:
    """Stage the nights that have no pseudo-labels of this model yet; processes share them out.

    on_night: called after each night. Raises UserError where nights are missing and a library is not installed.
    """
    missing = [night for night in nights if not pseudo_label_path(teacher.model, night).is_file()]
    processes.wait()  # all have looked before one writes
    absent = [name for name in teacher.libraries if importlib.util.find_spec(name) is None]
    if missing and absent:
        raise UserError(
            f"{missing[0].folder}: has no pseudo-labels of {teacher.model}, and {absent[0]} is not installed; "
            "install it, or run sleepkd pseudo-label on this store on another machine"
        )
    for night in missing[processes.rank :: processes.world]:
        write_pseudo_labels(teacher.model, night, teacher.stage_night(night))
        on_night()
    processes.wait()


MIN_YASA_HZ = 80.0
"""YASA refuses slower signals; it uses 0.4 to 30 Hz at 100 samples per second."""
MIN_YASA_SECONDS = 300.0
"""YASA refuses shorter recordings."""


class YasaTeacher(ExternalTeacher):
    """YASA's pretrained classifier (Vallat & Walker 2021, eLife 10:e70092) on EEG, with EOG and EMG if available."""

    model, libraries = "yasa", ("yasa",)

    @staticmethod
    def stage_night(night: Night) -> np.ndarray:
        """Probabilities (N, 5) of every sleep epoch.

        YASA stages 30 s at a time from the first onset. A sleep epoch gets the mean over the 30-s epochs that it
        overlaps, NaN if there are none. All NaN for a night without EEG.
        Raises UserError where the EEG is too slow, too short, or has no unit.
        """
        if "eeg" not in night.info.signals:
            return np.full((len(night.hypnogram), 5), np.nan, dtype=np.float32)
        import mne
        import yasa
        from sklearn.exceptions import InconsistentVersionWarning

        infos = {name: night.info.signals[name] for name in ("eeg", "eog", "emg") if name in night.info.signals}
        eeg = infos["eeg"]
        _require_eeg(
            eeg.rate_hz > MIN_YASA_HZ, night, f"its EEG has {eeg.rate_hz:g} samples per second, too few for YASA"
        )
        _require_eeg(eeg.unit == "uV", night, f"its EEG is in {eeg.unit}; YASA was trained on uV")
        infos = {name: info for name, info in infos.items() if info.rate_hz == eeg.rate_hz}
        onset = float(night.hypnogram.onset_s[0]) if len(night.hypnogram) else 0.0
        first = max(0, round(onset * eeg.rate_hz))
        length = min(info.samples for info in infos.values()) - first
        _require_eeg(length >= MIN_YASA_SECONDS * eeg.rate_hz, night, "less than five minutes of its EEG were scored")
        volts = [
            1e-6 * (info.scale * night.signal(name)[first : first + length] + info.offset)
            for name, info in infos.items()
        ]
        raw = mne.io.RawArray(np.array(volts), mne.create_info(list(infos), eeg.rate_hz, "eeg"), verbose="ERROR")
        names = {f"{name}_name": name for name in infos}
        with warnings.catch_warnings():  # YASA's classifier was saved by an older scikit-learn
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            found = yasa.SleepStaging(raw, **names).predict().proba
        return overlap_mean(found[["WAKE", "N1", "N2", "N3", "REM"]].to_numpy(), first / eeg.rate_hz, night)


def _require_eeg(holds: bool, night: Night, problem: str) -> None:
    """Raise UserError naming the night unless the condition holds."""
    if not holds:
        raise UserError(f"{night.folder}: {problem}; leave it out, or prepare it again with another EEG or --rate")


def overlap_mean(probabilities_EK: np.ndarray, start_s: float, night: Night) -> np.ndarray:
    """Mean probabilities (N, K) float32 of the 30-s epochs (E, K) that a sleep epoch overlaps, weighted by overlap.

    start_s: of the first 30-s epoch. NaN for a sleep epoch that overlaps none.
    """
    edges = start_s + EPOCH_SECONDS * np.arange(len(probabilities_EK) + 1)
    onset, end = night.hypnogram.onset_s, night.hypnogram.onset_s + night.hypnogram.duration_s
    overlap = np.minimum(end[:, None], edges[1:]) - np.maximum(onset[:, None], edges[:-1])
    overlap = np.clip(overlap, 0, None)
    total = overlap.sum(axis=1, keepdims=True)
    staged = overlap @ probabilities_EK / np.maximum(total, 1e-9)
    return np.where(total > 0, staged, np.nan).astype(np.float32)
