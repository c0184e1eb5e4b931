"""Stagers of other libraries as teachers: what they say of a night's EEG is computed once and kept in its store.

STORE/recordings/<recording>/stagers/<stager>.npy: float32 (N, 5), probabilities of W, N1, N2, N3, REM for every line of
the hypnogram. A training node needs no library where they are there.
"""

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np

from sleepkd.data.hypnogram import EPOCH_SECONDS, SLEEP_STAGES, merge_labels
from sleepkd.data.store import Night
from sleepkd.data.windows import Windows
from sleepkd.distillation.settings import STAGER_NAMES
from sleepkd.distributed import Processes
from sleepkd.errors import UserError

LEAST_HZ = 80.0
"""YASA refuses less; it looks at 0.4 to 30 Hz, at 100 samples per second."""
LEAST_SECONDS = 300.0
"""YASA refuses shorter recordings."""
_SMALLEST = 1e-6


@dataclass(frozen=True)
class Stager:
    """stage: a night to probabilities (N, 5); module: what it needs to be installed."""

    stage: Callable[[Night], np.ndarray]
    module: str


def by_yasa(night: Night) -> np.ndarray:
    """YASA's pretrained stager (Vallat & Walker 2021, eLife 10:e70092) on the EEG, and on EOG and EMG where there are.

    It stages 30 s at a time from the first line of the hypnogram on; a line gets the mean over what it overlaps.
    Raises UserError where the EEG is too slow, too short or has no unit.
    """
    import mne
    import yasa
    from sklearn.exceptions import InconsistentVersionWarning

    infos = {name: night.info.signals[name] for name in ("eeg", "eog", "emg") if name in night.info.signals}
    eeg = infos.get("eeg")
    require_eeg(eeg is not None, night, "holds no EEG")
    require_eeg(eeg.rate_hz > LEAST_HZ, night, f"its EEG has {eeg.rate_hz:g} samples per second, too few for YASA")
    require_eeg(eeg.unit == "uV", night, f"its EEG is in {eeg.unit}; YASA was trained on uV")
    infos = {name: info for name, info in infos.items() if info.rate_hz == eeg.rate_hz}
    onset = float(night.hypnogram.onset_s[0]) if len(night.hypnogram) else 0.0
    first = max(0, round(onset * eeg.rate_hz))
    length = min(info.samples for info in infos.values()) - first
    require_eeg(length >= LEAST_SECONDS * eeg.rate_hz, night, "less than five minutes of its EEG were scored")
    micro = [
        1e-6 * (info.scale * night.signal(name)[first : first + length] + info.offset) for name, info in infos.items()
    ]
    raw = mne.io.RawArray(np.array(micro), mne.create_info(list(infos), eeg.rate_hz, "eeg"), verbose="ERROR")
    names = {f"{name}_name": name for name in infos}
    with warnings.catch_warnings():  # YASA's classifier was saved by an older scikit-learn, as it says at every night
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        found = yasa.SleepStaging(raw, **names).predict().proba
    return _by_line(found[["WAKE", "N1", "N2", "N3", "REM"]].to_numpy(), first / eeg.rate_hz, night)


STAGERS = dict(zip(STAGER_NAMES, [Stager(by_yasa, "yasa")], strict=True))


def require_eeg(holds: bool, night: Night, problem: str) -> None:
    """UserError naming the night."""
    if not holds:
        raise UserError(f"{night.folder}: {problem}; leave it out, or prepare it again with another EEG or --rate")


def _by_line(probabilities_E5: np.ndarray, start_s: float, night: Night) -> np.ndarray:
    """Means over the 30 s that lines overlap, weighted by how long; even where nothing was staged."""
    edges = start_s + EPOCH_SECONDS * np.arange(len(probabilities_E5) + 1)
    onset, end = night.hypnogram.onset_s, night.hypnogram.onset_s + night.hypnogram.duration_s
    overlap = np.minimum(end[:, None], edges[1:]) - np.maximum(onset[:, None], edges[:-1])
    overlap = np.clip(overlap, 0, None)
    total = overlap.sum(axis=1, keepdims=True)
    staged = overlap @ probabilities_E5 / np.maximum(total, 1e-9)
    return np.where(total > 0, staged, 1 / len(SLEEP_STAGES)).astype(np.float32)


def path_of(stager: str, night: Night) -> Path:
    """Where a stager's answers to a night are kept."""
    return night.folder / "stagers" / f"{stager}.npy"


def answers(stager: str, night: Night) -> np.ndarray:
    """(N, 5) float32 probabilities. Raises UserError where they do not fit the night, or cannot be read."""
    path = path_of(stager, night)
    try:
        found = np.load(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read; delete it, to be computed again: {error}") from None
    if found.shape != (len(night.hypnogram), len(SLEEP_STAGES)):
        raise UserError(f"{path}: belongs to another hypnogram; delete it, to be computed again")
    return found


def keep_answers(stager: str, night: Night, probabilities_N5: np.ndarray) -> None:
    """Write a stager's answers to a night into its store, whole or not at all."""
    path = path_of(stager, night)
    path.parent.mkdir(exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        np.save(file, probabilities_N5)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def compute_answers(
    stager: str, nights: Sequence[Night], processes: Processes, done: Callable[[], object] = lambda: None
) -> None:
    """Let a stager stage the nights that it has not staged yet; processes share them out. done: called after each.

    Raises UserError where nights are left and its library is not here.
    """
    known = STAGERS[stager]
    missing = [night for night in nights if not path_of(stager, night).is_file()]
    processes.wait()  # all have looked before one writes
    if missing and importlib.util.find_spec(known.module) is None:
        raise UserError(
            f"{missing[0].folder}: {stager} has not staged it, and {known.module} is not installed here; run python -m "
            "sleepkd.stager on this store where it is"
        )
    for night in missing[processes.rank :: processes.world]:
        keep_answers(stager, night, known.stage(night))
        done()
    processes.wait()


def classes_of(probabilities_N5: np.ndarray, classes: int) -> np.ndarray:
    """(N, K): of 3, 4 or 5 classes, those that make up one added."""
    joined = np.zeros((len(probabilities_N5), classes), dtype=np.float32)
    for stage, merged in enumerate(merge_labels(np.arange(len(SLEEP_STAGES), dtype=np.int8), classes)):
        joined[:, merged] += probabilities_N5[:, stage]
    return joined


def logits_of_rows(stager: str, windows: Windows) -> np.ndarray:
    """(W, n, K) float32 for every row of the windows: logarithms of probabilities; 0 where a row is padded."""
    places = windows.places
    logits = np.zeros((*places.sleep_epoch.shape, windows.data.classes), dtype=np.float32)
    for index, night in enumerate(windows.nights):
        rows = places.night == index
        if not rows.any():
            continue
        of_night = np.log(np.maximum(classes_of(answers(stager, night), windows.data.classes), _SMALLEST))
        logits[rows] = np.where(places.present[rows][..., None], of_night[places.sleep_epoch[rows]], 0)
    return logits
