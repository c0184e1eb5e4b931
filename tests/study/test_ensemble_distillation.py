"""Nested distillation from an ensemble: no network sees a fold that it excludes, pseudo-labels are of unseen nights."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from launch import tiny_night
from runs import other_nights
from sleepkd.checkpoints.trained import best_or_last, load_trained
from sleepkd.data.pseudo_labels import read_pseudo_labels
from sleepkd.data.splits import read_split
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.study import ensemble_distillation
from sleepkd.study.ensemble_distillation import (
    EnsembleDistillation,
    Row,
    distinct,
    ensemble_predictions,
    logits_of,
    network_predictions,
    pseudo_label_name,
    split_of,
)
from sleepkd.study.runner import Runner

FOLDS = 3


def plan(store: Path, folder: Path) -> EnsembleDistillation:
    common = tuple(
        s for s in tiny_night(store, "unused", train__batch_size=4) if s.startswith(("model", "train.batch"))
    )
    member = Row(("night_ecg", "beats"), common, updates=3)
    student = Row(("night_pseudo", "beats"), (*common, "loss.pseudo.model={ENSEMBLE: 1}"), updates=4, unlabelled=True)
    labelled, unlabelled = other_nights(store, folder / "mine", "mine"), other_nights(store, folder / "other")
    return EnsembleDistillation([labelled], [unlabelled], {"member": member}, student, 3, FOLDS, 0, folder / "out")


def test_no_network_trains_on_a_fold_that_it_excludes(store: Path, tmp_path: Path) -> None:
    study = plan(store, tmp_path)
    study.write_splits()
    (mine,) = study.labelled
    fold_of = {name: fold for (_, name), fold in study.fold_of.items()}
    assert sorted(set(fold_of.values())) == [0, 1, 2] and set(fold_of) == set(mine.recordings)
    for count in range(3):
        for excluded in combinations(range(FOLDS), count):
            parts = read_split(mine, split_of(excluded)).parts
            assert {fold_of[name] for name in parts["train"]} == set(range(FOLDS)) - set(excluded)
            assert {fold_of[name] for name in parts["test"]} == set(excluded) and not parts["validation"]
    for fold, jobs in study.teachers((1,), seed=0).items():
        assert fold != 1
        (job,) = jobs
        (source,) = job.config.data.nights
        assert source.split == split_of(tuple(sorted((1, fold))))
    assert [source.split for source in study.student_job((1,), 0, [0]).config.data.nights] == [
        "without-1",
        "everything",
    ]


def test_runs_that_two_ensembles_share_are_trained_once(store: Path, tmp_path: Path) -> None:
    study = plan(store, tmp_path)
    jobs = [job for excluded in ((0,), (1,), (2,)) for jobs in study.teachers(excluded, 0).values() for job in jobs]
    assert (len(jobs), len(distinct(jobs))) == (6, 3)


def test_a_student_learns_calibrated_predictions_of_networks_that_never_saw_the_night(
    store: Path, tmp_path: Path, started: list[str]
) -> None:
    study = plan(store, tmp_path)
    study.write_splits()
    runner = Runner(study.out, 1)
    teachers = study.teachers((), seed=0)
    runner.train(distinct(job for jobs in teachers.values() for job in jobs))
    networks = {
        fold: [load_trained(best_or_last(job.config.run_directory)) for job in jobs] for fold, jobs in teachers.items()
    }
    calibration = study.write_ensemble_labels((), networks, [0])
    name = pseudo_label_name((), [0])
    for fold in range(FOLDS):
        for night in study.test_nights((fold,)):
            (alone,) = network_predictions(networks[fold][0], [night])
            logits = logits_of(alone) / calibration.temperature + calibration.bias
            expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            found = read_pseudo_labels(name, night)
            np.testing.assert_allclose(found[: len(expected)], expected, atol=1e-5)
            assert np.isnan(found[len(expected) :]).all()  # cut off by the end of the signal
    student = study.student_job((), 0, [0])
    runner.train([student])
    assert not runner.failed and "student" in started[-1]
    seen = load_trained(best_or_last(student.config.run_directory)).trained_on
    assert {key.split("/")[0] for key in seen} == {"mine", "other"}


def test_an_ensemble_is_the_geometric_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities = {"a": [[0.8, 0.2], [0.5, 0.5]], "b": [[0.2, 0.8], [0.9, 0.1]]}

    def fake(network: str, nights: list[object]) -> list[NightPredictions]:
        p = np.array(probabilities[network], dtype=np.float32)
        return [NightPredictions("n", "s", "", "aasm", np.arange(2.0), np.ones(2), np.zeros(2, np.int8), p)]

    monkeypatch.setattr(ensemble_distillation, "network_predictions", fake)
    (found,) = ensemble_predictions(["a", "b"], ["night"])  # type: ignore[list-item]
    np.testing.assert_allclose(found.probabilities, [[0.5, 0.5], [0.75, 0.25]], atol=1e-6)  # sqrt(.45), sqrt(.05)
