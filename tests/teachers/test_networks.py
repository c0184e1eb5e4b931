"""Trained networks as teachers: ensembles, temperature, minimum confidence, features, cached targets."""

from pathlib import Path

import numpy as np
import pytest
import torch

from launch import tiny_night
from runs import logged, train
from sleepkd.checkpoints.checkpoint import read_checkpoint, save_checkpoint
from sleepkd.checkpoints.temperature import write_temperature
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import STUDENT, Batch, Segments
from sleepkd.errors import UserError
from sleepkd.losses import NetworkOutput
from sleepkd.losses.objective import CONFIDENT
from sleepkd.settings import load_config
from sleepkd.teachers.networks import TrainedTeacher
from sleepkd.training.stage import Stage
from train_ddp import build_stage

CPU = torch.device("cpu")


def overrides(store: Path, runs_root: Path, **more: object) -> list[str]:
    return tiny_night(store, runs_root, **{"train__precision": "fp64"} | more)


@pytest.fixture(scope="module")
def teachers(store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The checkpoints of two night networks of EEG, and one of heartbeats."""
    found = []
    for stage, seed in (("night_eeg", 0), ("night_eeg", 1), ("night_ecg", 2)):
        root = tmp_path_factory.mktemp(stage)
        folder, _ = train(stage, overrides(store, root, train__seed=seed), "beats")
        found.append(folder / "best.pt")
    return found


def names(paths: list[Path]) -> str:
    return f"[{', '.join(map(str, paths))}]"


def stage_and_batch(store: Path, runs_root: Path, **more: object) -> tuple[Stage, Batch]:
    """The stage night_kd and three of its segments."""
    config = load_config(["night_kd", "beats"], overrides(store, runs_root, **more))
    nights = open_nights(config.data.sources, "train")
    stage = build_stage(config, nights[0].rate_hz)
    stage.to(CPU, torch.float64)
    return stage, Segments(nights, stage.readers, config.data)[np.arange(3)].to(CPU, torch.float64)


def teacher_logits(teacher: Path | str, store: Path, runs_root: Path, **more: object) -> torch.Tensor:
    stage, batch = stage_and_batch(store, runs_root, stage__teacher=teacher, **more)
    return stage.teacher.targets(batch, stage.objective)["kd.logits"]


def test_an_ensemble_is_the_mean_of_probabilities(store: Path, teachers: list[Path], tmp_path: Path) -> None:
    alone = torch.stack([teacher_logits(path, store, tmp_path).softmax(-1) for path in teachers])
    together = teacher_logits(names(teachers), store, tmp_path)
    torch.testing.assert_close(together.softmax(-1), alone.mean(0))


def test_an_ensemble_weighted_by_validation_kappa(store: Path, teachers: list[Path], tmp_path: Path) -> None:
    paths = []
    for number, kappa in enumerate((0.6, 0.2)):
        checkpoint = read_checkpoint(teachers[number])
        checkpoint.scores["kappa"] = kappa
        paths.append(tmp_path / f"{number}.pt")
        save_checkpoint(paths[-1], checkpoint)
    alone = [teacher_logits(path, store, tmp_path).softmax(-1) for path in paths]
    together = teacher_logits(names(paths), store, tmp_path, distill__ensemble="kappa")
    torch.testing.assert_close(together.softmax(-1), 0.75 * alone[0] + 0.25 * alone[1])
    checkpoint.scores["kappa"] = -0.1
    save_checkpoint(paths[1], checkpoint)
    with pytest.raises(UserError, match=r"no validation kappa above 0 for its weight; set distill\.ensemble: equal"):
        teacher_logits(names(paths), store, tmp_path, distill__ensemble="kappa")


def test_teachers_of_fewer_classes_teach_merged_probabilities(
    store: Path, teachers: list[Path], tmp_path: Path
) -> None:
    """An ensemble of a network of five classes and one of three has three; a teacher of more than the student none."""
    five = train("night_eeg", overrides(store, tmp_path, data__classes=5), "beats")[0] / "best.pt"
    more = {"data__classes": 5, "loss__transition__weight": 1}
    alone = [teacher_logits(path, store, tmp_path, **more).softmax(-1) for path in (five, teachers[2])]
    assert [p.shape[-1] for p in alone] == [5, 3]
    merged = torch.stack([alone[0][..., 0], alone[0][..., 1:4].sum(-1), alone[0][..., 4]], dim=-1)
    together = teacher_logits(names([five, teachers[2]]), store, tmp_path, **more)
    torch.testing.assert_close(together.softmax(-1), (merged + alone[1]) / 2)
    for cached in ("false", "true"):
        settings = more | {"stage__teacher": teachers[0], "distill__cache_teacher": cached}
        folder, _ = train("night_kd", overrides(store, tmp_path / cached, **settings), "beats")
        assert all(line["kd"] > 0 and line["transition"] > 0 for line in logged(folder))
    with pytest.raises(UserError, match=r"was trained for 5 classes, data\.classes is 4"):
        teacher_logits(five, store, tmp_path, data__classes=4)


def test_networks_with_the_same_inputs_share_a_reader(store: Path, teachers: list[Path], tmp_path: Path) -> None:
    stage, _ = stage_and_batch(store, tmp_path, stage__teacher=names(teachers))
    assert set(stage.readers) == {STUDENT, "teacher", "teacher 2"}


def test_features_of_an_ensemble_raise(store: Path, teachers: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"needs the features of one network; stage\.teacher names 3"):
        stage_and_batch(store, tmp_path, stage__teacher=names(teachers), loss__hint__weight=1)


def test_cached_targets_of_an_ensemble_give_the_same_losses(store: Path, teachers: list[Path], tmp_path: Path) -> None:
    losses = []
    for cached in ("false", "true"):
        more = {"distill__cache_teacher": cached, "distill__trust__min_confidence": 0.36}
        folder, _ = train(
            "night_kd", overrides(store, tmp_path / cached, stage__teacher=names(teachers), **more), "beats"
        )
        losses.append([line["kd"] for kind in ("train", "validation") for line in logged(folder, kind)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)  # the cache is float32
    assert (folder / "teacher" / "train" / f"{CONFIDENT}.npy").is_file()


def test_runs_share_the_logits_of_a_teacher(
    store: Path, teachers: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with another loss and seed reads what the first one computed, and ends with the same weights as alone."""
    calls = []
    output = TrainedTeacher.output

    def counted(self: TrainedTeacher, batch: Batch) -> NetworkOutput:
        calls.append(len(batch.labels))
        return output(self, batch)

    monkeypatch.setattr(TrainedTeacher, "output", counted)
    shared = tmp_path / "shared"

    def student(root: str, seed: int, **more: object) -> list[float]:
        calls.clear()
        settings = {"stage__teacher": teachers[0], "distill__cache_teacher": "true", "train__seed": seed} | more
        folder, _ = train("night_kd", overrides(store, tmp_path / root, **settings), "beats")
        return [line["loss"] for kind in ("train", "validation") for line in logged(folder, kind)]

    dist = {"loss__kd__weight": 0, "loss__dist__weight": 1}
    student("first", 0, distill__shared_cache=shared)
    files = {path: path.read_bytes() for path in shared.rglob("*.npz")}
    assert files and sum(calls) > 2
    second = student("second", 1, distill__shared_cache=shared, **dist)
    assert calls == [1, 1]  # one segment each of training and validation, for the shapes
    assert {path: path.read_bytes() for path in shared.rglob("*.npz")} == files
    assert second == student("alone", 1, **dist)
    path = max(files)  # damaged, as by a full disk: computed again
    path.write_bytes(files[path][:100])
    assert student("third", 1, distill__shared_cache=shared, **dist) == second
    assert path.read_bytes() == files[path]
    student("other", 1, distill__shared_cache=shared, **dist | {"stage__teacher": teachers[1]})
    assert len(list(shared.rglob("*.npz"))) == 2 * len(files)


def test_a_student_is_the_next_teacher(store: Path, teachers: list[Path], tmp_path: Path) -> None:
    train("night_kd", [*overrides(store, tmp_path, stage__teacher=teachers[0]), "stage.name=assistant"], "beats")
    folder, _ = train("night_kd", overrides(store, tmp_path, stage__teacher="assistant"), "beats")
    assert all(line["kd"] >= 0 for line in logged(folder))


def test_sleep_epochs_below_the_minimum_confidence_are_not_distilled(
    store: Path, teachers: list[Path], tmp_path: Path
) -> None:
    confidence = teacher_logits(teachers[0], store, tmp_path).softmax(-1).amax(-1)
    _, batch = stage_and_batch(store, tmp_path, stage__teacher=teachers[0])
    least = float(confidence[batch.present].median())
    stage, batch = stage_and_batch(store, tmp_path, stage__teacher=teachers[0], distill__trust__min_confidence=least)
    targets = stage.teacher.targets(batch, stage.objective)
    confident = (confidence >= least) & batch.present
    assert 0 < confident.sum() < batch.present.sum()
    logits = torch.randn(targets["kd.logits"].shape, dtype=torch.float64, requires_grad=True)
    normalizers = {"ce": 1.0, "kd": 1.0}
    _, losses = stage.objective.weighted_sum(NetworkOutput(logits, {}), targets, batch, normalizers, epoch=0)
    p, q = targets["kd.logits"].softmax(-1), logits.softmax(-1)
    softened = [(x**0.5) / (x**0.5).sum(-1, keepdim=True) for x in (p, q)]  # at the temperature of 2
    divergence = 4 * (softened[0] * (softened[0].log() - softened[1].log())).sum(-1)
    torch.testing.assert_close(losses["kd"], divergence[confident].sum())
    losses["ce"].backward()
    assert logits.grad[(batch.labels >= 0) & ~confident].any()  # cross-entropy uses all labels


def test_the_temperature_divides_the_teachers_logits(store: Path, teachers: list[Path], tmp_path: Path) -> None:
    unscaled = teacher_logits(teachers[0], store, tmp_path)
    hot = teacher_logits(teachers[0], store, tmp_path, distill__trust__temperature=4)
    torch.testing.assert_close(hot, unscaled / 4)
    own = tmp_path / "own" / "best.pt"
    save_checkpoint(own, read_checkpoint(teachers[0]))
    with pytest.raises(UserError, match=r"no stored temperature; fit one with evaluate.py --calibrate"):
        teacher_logits(own, store, tmp_path, distill__trust__temperature="fitted")
    write_temperature(own, {"temperature": 2.5})
    fitted = teacher_logits(own, store, tmp_path, distill__trust__temperature="fitted")
    torch.testing.assert_close(fitted, unscaled / 2.5)
