"""Nested cross-validation of a student that is distilled from an ensemble of networks of the same input.

The labelled subjects are dealt into folds. `Excluded` is a set of folds that a network never sees.
- The ensemble for `excluded` holds, for every other fold, networks trained without `excluded` and without that fold. It
  predicts each night of that fold by the networks that never saw it, and each unlabelled night by all of them.
- The student for `excluded` learns these predictions, calibrated, on the labelled nights outside `excluded` and on the
  unlabelled ones, besides the labels.
Students that exclude one fold are evaluated on it: neither they nor their teachers saw it. The student that excludes
none is the network for use.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.special import softmax

from sleepkd.checkpoints.calibrated import Calibration, fit_calibration
from sleepkd.checkpoints.trained import TrainedNetwork
from sleepkd.data.data_settings import Source
from sleepkd.data.nights import open_nights
from sleepkd.data.pseudo_labels import write_pseudo_labels
from sleepkd.data.segments import Segments
from sleepkd.data.splits import draw_folds, write_split
from sleepkd.data.store import Night, Store
from sleepkd.distributed import Processes
from sleepkd.evaluation.inference import predict_nights
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.study.cross_validation import has_split
from sleepkd.study.jobs import RunGroup, TrainingJob, build_job, updates_per_epoch

Excluded = tuple[int, ...]
"""Numbers of folds, ascending."""
NO_VALIDATION = "train.validate_every=0"
"""The last weights are kept: no night is set aside to choose others."""
NIGHTS_AT_A_TIME = 8
SMALLEST = 1e-6


@dataclass(frozen=True)
class Row:
    """One kind of network: the configs and overrides of its training runs.

    unlabelled: whether it trains on unlabelled nights too. updates: of a run.
    """

    files: tuple[str, ...]
    overrides: tuple[str, ...]
    updates: int
    unlabelled: bool = False


@dataclass
class EnsembleDistillation:
    """The training runs of ensembles and students.

    labelled, unlabelled: stores; splits and pseudo-labels are written into them. members: the networks of an ensemble,
    by name. folds: number of folds. fold_seed: deals the subjects.
    """

    labelled: Sequence[Store]
    unlabelled: Sequence[Store]
    members: Mapping[str, Row]
    student: Row
    classes: int
    folds: int
    fold_seed: int
    out: Path
    fold_of: dict[tuple[str, str], int] = field(init=False)  # {(store, recording): fold}

    def __post_init__(self) -> None:
        """Raises UserError where a store has fewer labelled subjects than folds."""
        self.fold_of = {
            (str(store.path), recording): fold
            for store in self.labelled
            for fold, parts in enumerate(draw_folds(store, self.folds, 0.1, self.fold_seed))
            for recording in parts["test"]
        }

    def excluded_sets(self) -> list[Excluded]:
        """What students exclude: nothing, and each fold."""
        return [(), *((fold,) for fold in range(self.folds))]

    def write_splits(self) -> None:
        """Write the splits of all ensembles and students that the stores do not have yet."""
        for count in range(3):
            for excluded in combinations(range(self.folds), count):
                for store in self.labelled:
                    if not has_split(store, split_of(excluded)):
                        comment = f"without folds {excluded} of {self.folds} by subject, drawn with {self.fold_seed}"
                        write_split(store.path / "splits" / split_of(excluded), self._parts(store, excluded), comment)
        for store in self.unlabelled:
            if not has_split(store, split_of(())):
                everything = {"train": tuple(store.recordings), "validation": (), "test": ()}
                write_split(store.path / "splits" / split_of(()), everything, "all recordings")

    def _parts(self, store: Store, excluded: Excluded) -> dict[str, tuple[str, ...]]:
        tested = tuple(name for name in store.recordings if self.fold_of.get((str(store.path), name)) in excluded)
        return {
            "train": tuple(name for name in store.recordings if name not in tested),
            "validation": (),
            "test": tested,
        }

    def teachers(self, excluded: Excluded, seed: int) -> dict[int, list[TrainingJob]]:
        """The ensemble for `excluded`: the training runs without each other fold, by fold."""
        others = [fold for fold in range(self.folds) if fold not in excluded]
        return {fold: self.members_without(tuple(sorted((*excluded, fold))), seed) for fold in others}

    def members_without(self, excluded: Excluded, seed: int) -> list[TrainingJob]:
        """The training runs of all members on the nights outside `excluded`."""
        return [self._job(name, row, excluded, seed) for name, row in self.members.items()]

    def student_job(self, excluded: Excluded, seed: int, teacher_seeds: Sequence[int]) -> TrainingJob:
        """The training run of the student; the pseudo-labels of its ensemble must be in the stores when it runs."""
        name = pseudo_label_name(excluded, teacher_seeds)
        overrides = tuple(text.replace("ENSEMBLE", name) for text in self.student.overrides)
        row = Row(self.student.files, overrides, self.student.updates, self.student.unlabelled)
        return self._job("student", row, excluded, seed)

    def _job(self, name: str, row: Row, excluded: Excluded, seed: int) -> TrainingJob:
        group = RunGroup(self.classes, seed, split_of(excluded))
        sources = [f"{{store: {store.path}, split: {group.split}}}" for store in self.labelled]
        if row.unlabelled:
            sources += [f"{{store: {store.path}, split: {split_of(())}}}" for store in self.unlabelled]
        overrides = [
            *row.overrides,
            f"stage.name={name}",
            f"runs_root={group.runs_root(self.out)}",
            f"data.classes={self.classes}",
            f"data.nights=[{', '.join(sources)}]",
            f"train.seed={seed}",
            NO_VALIDATION,
        ]
        first = build_job(name, group, row.files, overrides)
        nights = [(store, name) for store in self.labelled for name in self._parts(store, excluded)["train"]]
        nights += [(store, name) for store in self.unlabelled for name in store.recordings] if row.unlabelled else []
        per_epoch = updates_per_epoch(first.config, (store.info(recording).seconds for store, recording in nights))
        epochs = max(1, round(row.updates / per_epoch))
        return build_job(name, group, row.files, [*overrides, f"train.epochs={epochs}"])

    def test_nights(self, excluded: Excluded) -> list[Night]:
        """The labelled nights of the excluded folds."""
        return list(open_nights([Source(str(store.path), split_of(excluded)) for store in self.labelled], "test"))

    def write_ensemble_labels(
        self, excluded: Excluded, networks: Mapping[int, Sequence[TrainedNetwork]], teacher_seeds: Sequence[int]
    ) -> Calibration:
        """Write the calibrated predictions of an ensemble into the stores as pseudo-labels for its student.

        networks: by the fold that they never saw. Returns the calibration, fitted on the nights of these folds.
        """
        unseen = {fold: self.test_nights((fold,)) for fold in networks}
        predicted = {fold: ensemble_predictions(networks[fold], nights) for fold, nights in unseen.items()}
        of_all = [night for nights in predicted.values() for night in nights]
        calibration = fit_calibration([logits_of(night) for night in of_all], [night.labels for night in of_all])
        unlabelled = open_nights([Source(str(store.path), split_of(())) for store in self.unlabelled], "train")
        everyone = [network for fold in sorted(networks) for network in networks[fold]]
        opened = [*unlabelled, *(night for nights in unseen.values() for night in nights)]
        staged = [*ensemble_predictions(everyone, unlabelled), *of_all]
        name = pseudo_label_name(excluded, teacher_seeds)
        for night, found in zip(opened, staged, strict=True):
            probabilities = np.full((len(night.hypnogram), self.classes), np.nan, dtype=np.float32)
            rows = np.searchsorted(night.hypnogram.onset_s, found.onset_s)
            probabilities[rows] = calibrated(found, calibration).probabilities
            write_pseudo_labels(name, night, probabilities)
        return calibration


def split_of(excluded: Excluded) -> str:
    """The name of the split whose test part is the excluded folds."""
    return "-".join(["without", *map(str, excluded)]) if excluded else "everything"


def pseudo_label_name(excluded: Excluded, seeds: Sequence[int]) -> str:
    """The name of the pseudo-labels of the ensemble for `excluded`."""
    return f"ensemble-{split_of(excluded)}-seeds{'-'.join(map(str, seeds))}"


def ensemble_predictions(networks: Sequence[TrainedNetwork], nights: Sequence[Night]) -> list[NightPredictions]:
    """The nights as the geometric mean of the networks' probabilities stages them, see `geometric_mean`."""
    return geometric_mean([network_predictions(network, nights) for network in networks]) if nights else []


def geometric_mean(by_network: Sequence[Sequence[NightPredictions]]) -> list[NightPredictions]:
    """The same nights, predicted by several networks, with the geometric mean of their probabilities, normalised."""
    mean = []
    for found in zip(*by_network, strict=True):
        logits_NK = np.mean([logits_of(night) for night in found], axis=0)
        mean.append(replace(found[0], probabilities=probabilities_of_logits(logits_NK)))
    return mean


def network_predictions(network: TrainedNetwork, nights: Sequence[Night]) -> list[NightPredictions]:
    """Every sleep epoch of the nights, scored or not, staged by a network."""
    data = network.config.data.whole_nights()
    segments = Segments(list(nights), network.readers, data, scored_only=False, unlabelled=True, absent=network.absent)
    return predict_nights(network, segments, Processes("cpu"), NIGHTS_AT_A_TIME)


def calibrated(night: NightPredictions, calibration: Calibration) -> NightPredictions:
    """A night with its probabilities calibrated."""
    logits_NK = logits_of(night) / calibration.temperature + calibration.bias
    return replace(night, probabilities=probabilities_of_logits(logits_NK))


def logits_of(night: NightPredictions) -> np.ndarray:
    """The logarithm (N, K) of the probabilities."""
    return np.log(np.maximum(night.probabilities.astype(np.float64), SMALLEST))


def probabilities_of_logits(logits_NK: np.ndarray) -> np.ndarray:
    """Probabilities (N, K) float32."""
    return np.asarray(softmax(logits_NK, axis=1), dtype=np.float32)


def distinct(jobs: Iterable[TrainingJob]) -> list[TrainingJob]:
    """The jobs without repetitions: one for each run directory."""
    return list({job.config.run_directory: job for job in jobs}.values())
