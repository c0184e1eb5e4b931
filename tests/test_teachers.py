"""Ensembles, assistants, the student's own average, and how far a teacher is trusted: in training, by real runs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from launch import run, tiny_night

import train_ddp
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import Batch, Segments
from sleepkd.settings import load_config
from sleepkd.distillation.setup import Run
from sleepkd.distillation.stage import STUDENT, Stage, build_stage
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.checkpoints.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from sleepkd.checkpoints.temperature import write_temperature

SELF = {"stage__teacher": "self", "train__ema_decay": 0.9, "train__epochs": 2}


def overrides(store: Path, runs_root: Path, **more: object) -> list[str]:
    return tiny_night(store, runs_root, **{"train__precision": "fp64"} | more)


def train(stage: str, settings: list[str]) -> Checkpoint:
    config = load_config([stage, "beats"], settings)
    assert train_ddp.train(config, Processes("cpu")) == 0
    return read_checkpoint(config.run_directory / "last.pt")


def logged(runs_root: Path, stage: str = "night_kd") -> list[dict]:
    lines = (runs_root / "3class" / stage / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def teachers(store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two networks of nights of EEG, and one of beats."""
    found = []
    for name, stage, seed in (("a", "night_eeg", 0), ("b", "night_eeg", 1), ("c", "night_ecg", 2)):
        root = tmp_path_factory.mktemp(name)
        train(stage, overrides(store, root, train__seed=seed))
        found.append(root / "3class" / stage / "best.pt")
    return found


def stage_and_batch(store: Path, settings: list[str]) -> tuple[Stage, Batch]:
    config = load_config(["night_kd", "beats"], settings)
    nights = open_nights(config.data.sources, "train")
    stage = build_stage(config, nights[0].rate_hz)
    stage.to(torch.device("cpu"), torch.float64)
    segments = Segments(nights, stage.readers, config.data)
    return stage, segments[np.arange(3)].to(torch.device("cpu"), torch.float64)


def said(teacher: Path, store: Path, runs_root: Path, more: dict) -> torch.Tensor:
    stage, batch = stage_and_batch(store, overrides(store, runs_root, stage__teacher=teacher, **more))
    return stage.teach(batch)["kd.logits"]


def names(paths: list[Path]) -> str:
    return f"[{', '.join(map(str, paths))}]"


def test_an_ensemble_is_the_mean_of_probabilities(store: Path, teachers: list[Path], tmp_path: Path) -> None:
    alone = torch.stack([said(path, store, tmp_path, {}).softmax(-1) for path in teachers])
    together = said(names(teachers), store, tmp_path, {})
    torch.testing.assert_close(together.softmax(-1), alone.mean(0))


def test_an_ensemble_weighed_by_validation_kappa(store: Path, teachers: list[Path], tmp_path: Path) -> None:
    paths = []
    for number, kappa in enumerate((0.6, 0.2)):
        checkpoint = read_checkpoint(teachers[number])
        checkpoint.scores["kappa"] = kappa
        paths.append(tmp_path / f"{number}.pt")
        save_checkpoint(paths[-1], checkpoint)
    alone = [said(path, store, tmp_path, {}).softmax(-1) for path in paths]
    together = said(names(paths), store, tmp_path, {"distill__ensemble": "kappa"})
    torch.testing.assert_close(together.softmax(-1), 0.75 * alone[0] + 0.25 * alone[1])
    checkpoint.scores["kappa"] = -0.1
    save_checkpoint(paths[1], checkpoint)
    with pytest.raises(UserError, match="has no validation kappa above 0 to weigh it by"):
        said(names(paths), store, tmp_path, {"distill__ensemble": "kappa"})


def test_networks_that_see_the_same_share_what_is_read(store: Path, teachers: list[Path], tmp_path: Path) -> None:
    stage, _ = stage_and_batch(store, overrides(store, tmp_path, stage__teacher=names(teachers)))
    assert set(stage.readers) == {STUDENT, "teacher", "teacher 2"}


def test_an_ensemble_and_trust_train_from_the_cache_as_without(
    store: Path, teachers: list[Path], tmp_path: Path
) -> None:
    losses = []
    for cached in ("false", "true"):
        more = {"distill__cache_teacher": cached, "distill__trust__min_confidence": 0.36}
        train("night_kd", overrides(store, tmp_path / cached, stage__teacher=names(teachers), **more))
        losses.append([line["kd"] for line in logged(tmp_path / cached)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)  # the cache is float32
    assert (tmp_path / "true/3class/night_kd/teacher/train/trusted.npy").is_file()


def test_features_of_several_networks_are_refused(store: Path, teachers: list[Path], tmp_path: Path) -> None:
    settings = overrides(store, tmp_path, stage__teacher=names(teachers), loss__hint__weight=1)
    with pytest.raises(UserError, match=r"needs the features of one network; stage\.teacher names 3"):
        stage_and_batch(store, settings)


def test_a_student_teaches_the_next_one(store: Path, teachers: list[Path], tmp_path: Path) -> None:
    train("night_kd", [*overrides(store, tmp_path, stage__teacher=teachers[0]), "stage.name=assistant"])
    train("night_kd", overrides(store, tmp_path, stage__teacher="assistant"))
    assert all(line["kd"] >= 0 for line in logged(tmp_path))


def test_what_the_teacher_is_not_sure_of_is_not_taught(store: Path, teachers: list[Path], tmp_path: Path) -> None:
    stage, batch = stage_and_batch(store, overrides(store, tmp_path, stage__teacher=teachers[0]))
    confidence = stage.teach(batch)["kd.logits"].softmax(-1).amax(-1)
    least = float(confidence[batch.present].median())
    more = {"stage__teacher": teachers[0], "distill__trust__min_confidence": least}
    stage, batch = stage_and_batch(store, overrides(store, tmp_path, **more))
    targets = stage.teach(batch)
    sure = (confidence >= least) & batch.present
    assert 0 < sure.sum() < batch.present.sum()
    logits = torch.randn(targets["kd.logits"].shape, dtype=torch.float64, requires_grad=True)
    student = stage.answer(stage.learner(batch.inputs[STUDENT]), batch)._replace(logits=logits)
    _, terms = stage.loss(student, targets, batch, {"ce": 1.0, "kd": 1.0})
    p, q = targets["kd.logits"].softmax(-1), logits.softmax(-1)
    softened = [(x**0.5) / (x**0.5).sum(-1, keepdim=True) for x in (p, q)]  # the term's temperature of 2
    divergence = 4 * (softened[0] * (softened[0].log() - softened[1].log())).sum(-1)
    torch.testing.assert_close(terms["kd"], divergence[sure].sum())
    terms["ce"].backward()
    scored = batch.labels >= 0
    assert logits.grad[scored & ~sure].any()  # labels teach everywhere


def test_a_teacher_s_temperature(store: Path, teachers: list[Path], tmp_path: Path) -> None:
    hot = said(teachers[0], store, tmp_path, {"distill__trust__temperature": 4})
    torch.testing.assert_close(hot, said(teachers[0], store, tmp_path, {}) / 4)
    own = tmp_path / "own" / "best.pt"
    save_checkpoint(own, read_checkpoint(teachers[0]))
    with pytest.raises(UserError, match=r"no stored temperature; fit one with evaluate.py --calibrate"):
        said(own, store, tmp_path, {"distill__trust__temperature": "fitted"})
    write_temperature(own, {"temperature": 2.5})
    fitted = said(own, store, tmp_path, {"distill__trust__temperature": "fitted"})
    torch.testing.assert_close(fitted, said(own, store, tmp_path, {}) / 2.5)


def test_the_student_s_own_average_teaches(store: Path, tmp_path: Path) -> None:
    last = train("night_kd", overrides(store, tmp_path, **SELF))
    lines = [line for line in logged(tmp_path) if line["kind"] == "train"]
    assert lines[0]["kd"] == pytest.approx(0, abs=0.1) and lines[-1]["kd"] > 0  # dropout aside, they begin as one
    average = {k.removeprefix("module."): v for k, v in last.training["average"].items() if k != "n_averaged"}
    assert any(not torch.equal(value, last.model[name]) for name, value in average.items())


def test_the_same_on_one_and_two_processes(store: Path, tmp_path: Path) -> None:
    one = train("night_kd", overrides(store, tmp_path / "one", **SELF, model__dropout=0))
    two = overrides(store, tmp_path / "two", **SELF, model__dropout=0)
    run("train_ddp.py", "--config", "night_kd", "beats", "--set", *two, processes=2)
    other = read_checkpoint(tmp_path / "two" / "3class" / "night_kd" / "last.pt")
    for name, value in one.model.items():
        assert (other.model[name] - value).norm() <= 1e-9 * value.norm()


def test_stopped_and_gone_on_it_ends_on_the_same_bits(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train("night_kd", overrides(store, tmp_path / "whole", **SELF))
    settings, update, done = overrides(store, tmp_path / "cut", **SELF), train_ddp.update, []

    def counted(run: Run, *rest: object) -> torch.Tensor:
        done.append(update(run, *rest))
        run.stop.requested |= len(done) == 3
        return done[-1]

    monkeypatch.setattr(train_ddp, "update", counted)
    config = load_config(["night_kd", "beats"], settings)
    assert train_ddp.train(config, Processes("cpu")) == train_ddp.EXIT_STOPPED
    cut = train("night_kd", settings)
    assert all(torch.equal(value, cut.model[name]) for name, value in whole.model.items())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["stage.teacher=[night_eeg, yasa]"], "stage.teacher: yasa teaches alone, not in an ensemble"),
        (["stage.teacher=[]"], "stage.teacher: expected a stage, or a list of stages"),
        (["stage.teacher=self"], "train.ema_decay: must be above 0 for stage.teacher: self"),
        (
            ["stage.teacher=self", "train.ema_decay=0.9", "distill.cache_teacher=true"],
            "distill.cache_teacher: cannot keep a teacher that changes: self",
        ),
        (["stage.teacher=yasa", "loss.hint.weight=1"], "loss.hint: needs the features of a network"),
        (["stage.teacher=yasa", "distill.trust.temperature=fitted"], "distill.trust.temperature: fitted goes with"),
        (["distill.trust.min_confidence=1"], "distill.trust.min_confidence: must be at least 0 and below 1"),
        (["distill.trust.temperature=warm"], "distill.trust.temperature: expected fitted or a number"),
        (["distill.trust.temperature=0"], "distill.trust.temperature: must be fitted or positive"),
    ],
)
def test_what_a_teacher_cannot_do_is_refused_by_key(settings: list[str], said: str) -> None:
    with pytest.raises(UserError) as refused:
        load_config(["night_kd"], settings)
    assert str(refused.value).startswith(said)
