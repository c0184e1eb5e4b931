import dataclasses
import os
import pickle
import resource

import pytest
import torch
from torch import nn

from sleepkd.checkpoints.checkpoint import Checkpoint, Position, load_weights, read_checkpoint, save_checkpoint
from sleepkd.errors import UserError


def some_checkpoint(**changes) -> Checkpoint:
    weights = {"conv.weight": torch.arange(6.0).reshape(2, 3), "norm.count": torch.tensor(7)}
    checkpoint = Checkpoint(
        config={"data": {"classes": 4}, "model": {"filters": [16, 32]}},
        inputs={"ecg": {"rate": 200.0, "normalisation": "robust_night"}},
        model=weights,
        position=Position(epoch=3, update=2, seconds=1.5, best_score=0.6, best_epoch=1),
        scores={"kappa": 0.5},
        training={"optimizer": {"state": {0: {"step": torch.tensor(4.0)}}}},
    )
    return dataclasses.replace(checkpoint, **changes)


def test_reads_back_what_was_written(tmp_path):
    written = some_checkpoint()
    save_checkpoint(tmp_path / "run" / "last.pt", written)  # the folder is made
    read = read_checkpoint(tmp_path / "run" / "last.pt")
    for name in ("config", "inputs", "position", "scores"):
        assert getattr(read, name) == getattr(written, name)
    assert read.model.keys() == written.model.keys()
    for name, weight in written.model.items():
        assert torch.equal(read.model[name], weight) and read.model[name].dtype == weight.dtype
    assert read.training["optimizer"]["state"][0]["step"] == 4
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["last.pt"]


@pytest.mark.parametrize("failing", ["torch.save", "os.fsync", "os.replace"])
def test_a_failed_write_keeps_the_old_file_and_leaves_no_temporary_file(tmp_path, monkeypatch, failing):
    path = tmp_path / "last.pt"
    save_checkpoint(path, some_checkpoint())
    before = path.read_bytes()
    real_save = torch.save

    def half_written(content, file):
        real_save(content, file)
        file.flush()
        raise OSError(28, "No space left on device")

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(failing, half_written if failing == "torch.save" else fails)
    with pytest.raises(UserError, match=r"last\.pt: cannot be written: No space left on device"):
        save_checkpoint(path, some_checkpoint(inputs={"eeg": {"rate": 64.0}}))
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"last\.pt: cannot be written"):
            save_checkpoint(tmp_path / "last.pt", some_checkpoint(model={"weight": torch.zeros(100_000)}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_no_temporary_file(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path / "last.pt", some_checkpoint())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("a file in the way")
    with pytest.raises(UserError, match=r"last\.pt: cannot be written"):
        save_checkpoint(tmp_path / "runs" / "last.pt", some_checkpoint())


def test_others_may_read_a_checkpoint(tmp_path):
    old = os.umask(0o022)
    try:
        save_checkpoint(tmp_path / "best.pt", some_checkpoint())
    finally:
        os.umask(old)
    assert (tmp_path / "best.pt").stat().st_mode & 0o777 == 0o644


class _RunsCode:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("as_zip", [True, False])
def test_code_in_a_checkpoint_is_not_run(tmp_path, as_zip):
    path, target = tmp_path / "best.pt", tmp_path / "executed"
    content = {"format": 2, "config": _RunsCode(target)}
    if as_zip:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(UserError, match=r"best\.pt: is damaged or not a checkpoint"):
        read_checkpoint(path)
    assert not target.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-1],
        lambda whole: b"data:\n  classes: 4\n",
        lambda whole: b"hello world",
        lambda whole: b"\x80\x02(].",
        lambda whole: bytes(range(256)),
    ],
    ids=["empty", "half", "a byte short", "yaml", "text", "broken pickle", "bytes"],
)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "best.pt"
    save_checkpoint(path, some_checkpoint())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"best\.pt: is damaged or not a checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [
        {"format": 3},
        {"format": 1, "config": {}, "rate_hz": 64.0, "model": {}, "position": {}, "scores": {}, "training": {}},
        {"epoch": 3, "state_dict": {}},
        {"format": 2, "config": {}},
        {"format": 2, "config": {}, "inputs": {}, "model": {}, "position": {"lap": 1}},
        [1, 2],
        torch.zeros(3),
    ],
    ids=["newer", "never released", "of another program", "incomplete", "unknown position", "list", "tensor"],
)
def test_a_file_of_another_format_is_named(tmp_path, content):
    torch.save(content, tmp_path / "best.pt")
    with pytest.raises(UserError, match=r"best\.pt: is not a checkpoint of this version"):
        read_checkpoint(tmp_path / "best.pt")


def test_no_such_checkpoint(tmp_path):
    for path in (tmp_path / "best.pt", tmp_path):
        with pytest.raises(UserError, match=f"{path.name}: no such checkpoint"):
            read_checkpoint(path)


def test_weights_are_loaded_strictly(tmp_path):
    path = tmp_path / "best.pt"
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    load_weights(target, source.state_dict(), path)
    assert torch.equal(target.weight, source.weight) and torch.equal(target.bias, source.bias)

    before = target.weight.clone()
    weights = {"bias": torch.zeros(4), "dense.bias": torch.zeros(2)}
    with pytest.raises(UserError) as refused:
        load_weights(target, weights, path)
    assert str(refused.value) == (
        f"{path}: its weights do not fit this network; missing: weight; unexpected: dense.bias; of another shape: bias"
    )
    assert torch.equal(target.weight, before)


def test_a_long_list_of_missing_weights_is_cut(tmp_path):
    network = nn.Sequential(*(nn.Linear(1, 1) for _ in range(3)))
    with pytest.raises(UserError, match=r"missing: 0\.bias, 0\.weight, 1\.bias, 1\.weight and 2 more$"):
        load_weights(network, {}, tmp_path / "best.pt")
