"""Teacher and student read the same segment, each with its own normalisation."""

from pathlib import Path

import numpy as np
import pytest
import torch

import train_ddp
from launch import tiny
from sleepkd.checkpoints.trained import load_trained
from sleepkd.data.batches import load_batches
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import STUDENT, Segments
from sleepkd.distributed import Processes
from sleepkd.settings import load_config
from sleepkd.teachers.base import TEACHER
from train_ddp import build_stage

DIFFERENT = {
    "normalisation": ("data.normalisation=minmax_window", "data.normalisation=robust_night"),
    "clip": ("data.clip=1.5", "data.clip=20"),
    "polarity": ("data.ecg_polarity=inverted", "data.ecg_polarity=corrected"),
    "alignment": ("data.alignment=truncated", "data.alignment=exact"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_a_teacher_reads_what_it_was_trained_on(store: Path, tmp_path: Path, what: str) -> None:
    of_teacher, of_student = DIFFERENT[what]
    # of the ECG, so that polarity matters
    teacher = load_config(["ecg_base"], [*tiny(store, tmp_path), "stage.name=own", of_teacher])
    assert train_ddp.train(teacher, Processes("cpu")) == 0
    config = load_config(["kd_temp"], [*tiny(store, tmp_path), "stage.teacher=own", of_student])
    stage = build_stage(config, 64.0)
    nights = open_nights(config.data.sources, "train")
    segments = Segments(nights, stage.readers, config.data)
    chosen = np.arange(60)
    batch = next(load_batches(segments, [chosen], torch.device("cpu")))

    trained = load_trained(teacher.run_directory / "best.pt")
    own = Segments(nights, {"alone": trained.inputs}, trained.config.data)
    alone = own[matching(own, segments, chosen)].inputs["alone"]["ecg"]
    assert torch.equal(batch.inputs[TEACHER]["ecg"], alone)
    assert not torch.equal(batch.inputs[STUDENT]["ecg"], alone)
    with torch.no_grad():
        expected = trained.network({"ecg": alone})
    torch.testing.assert_close(stage.teacher.targets(batch, stage.objective)["kd.logits"], expected)


def matching(own: Segments, segments: Segments, chosen: np.ndarray) -> np.ndarray:
    """The segments of `own` that hold the same sleep epochs."""
    index = {
        (int(n), int(e)): i for i, (n, e) in enumerate(zip(own.table.night, own.table.sleep_epoch[:, 0], strict=True))
    }
    table = segments.table.take(chosen)
    return np.array([index[int(n), int(e)] for n, e in zip(table.night, table.sleep_epoch[:, 0], strict=True)])


def test_equal_inputs_are_read_once(store: Path, tmp_path: Path) -> None:
    config = load_config(["ecg_base"], tiny(store, tmp_path))
    spec = build_stage(config, 64.0).inputs
    segments = Segments(open_nights(config.data.sources, "train"), {STUDENT: spec, TEACHER: spec}, config.data)
    inputs = segments[np.arange(4)].inputs
    assert inputs[STUDENT]["ecg"] is inputs[TEACHER]["ecg"]
