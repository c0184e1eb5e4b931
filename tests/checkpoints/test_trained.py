"""Trained networks: inputs, modules that start from them, the recordings behind their weights, earlier versions."""

import json
from pathlib import Path

import pytest
import torch

import train_ddp
from launch import tiny, tiny_night
from runs import logged, same_weights, stop_in_update, train
from sleepkd.checkpoints.checkpoint import Checkpoint, Position, read_checkpoint, save_checkpoint
from sleepkd.checkpoints.trained import best_or_last, checkpoint_of, load_trained, untrained
from sleepkd.data.nights import open_nights
from sleepkd.errors import UserError
from sleepkd.settings import RENAMED_KEYS, RENAMED_VALUES, load_config


def saved(stage: str, overrides: list[str]) -> Path:
    """best.pt of a stage with its initial weights."""
    config = load_config([stage], overrides)
    path = config.run_directory / "best.pt"
    save_checkpoint(path, untrained(config, 64))
    return path


@pytest.fixture(scope="module")
def root(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs_root of night_eeg and night_ecg, with other initial weights than those of other tests."""
    root = tmp_path_factory.mktemp("runs")
    for seed, stage in enumerate(("night_eeg", "night_ecg"), 1):
        saved(stage, tiny_night(store, root, train__seed=seed))
    return root


def test_a_network_with_some_of_its_inputs(root: Path, store: Path, tmp_path: Path) -> None:
    night = load_trained(root / "3class" / "night_ecg" / "best.pt")
    assert not night.network.training and not any(p.requires_grad for p in night.network.parameters())
    assert night.input_names == "ECG + heartbeats"
    assert list(night.with_inputs(["beats"]).readers["network"]) == ["beats"]
    with pytest.raises(UserError, match=r"--inputs: .*night_ecg/best.pt was trained on ecg, beats, not on eeg"):
        night.with_inputs(["eeg"])
    utime = load_trained(saved("ecg_base", tiny(store, tmp_path)))
    assert utime.with_inputs(["ecg"]).inputs == utime.inputs
    with pytest.raises(UserError, match=r"--inputs: .* was trained on ecg, not on beats"):
        utime.with_inputs(["beats"])


def test_checkpoints_by_path_and_by_stage(root: Path, store: Path) -> None:
    config = load_config(["night_kd"], tiny_night(store, root))
    path = root / "3class" / "night_eeg" / "best.pt"
    assert checkpoint_of(config, "night_eeg", "stage.teacher") == checkpoint_of(config, str(path), "x") == path
    assert best_or_last(root / "nowhere") == root / "nowhere" / "best.pt"
    with pytest.raises(UserError, match=r"stage\.teacher: no checkpoint at .*gone.pt; check the path"):
        checkpoint_of(config, "gone.pt", "stage.teacher")


def test_modules_start_from_different_stages(root: Path, store: Path) -> None:
    eeg, ecg = (read_checkpoint(root / "3class" / stage / "best.pt").model for stage in ("night_eeg", "night_ecg"))
    starts = {"encoders.ecg": "night_ecg", "context.0": f"{root / '3class' / 'night_eeg' / 'best.pt'}:context.1"}
    config = load_config(["night_kd"], tiny_night(store, root, stage__start_from=json.dumps(starts)))
    assert config.stage.starts == ("night_ecg", str(root / "3class" / "night_eeg" / "best.pt"))
    started = train_ddp.build_stage(config, 64).student.state_dict()
    fresh = train_ddp.build_stage(load_config(["night_kd"], tiny_night(store, root)), 64).student.state_dict()
    for name, value in started.items():
        if name.startswith("encoders.ecg."):
            assert torch.equal(value, ecg[name])
        elif name.startswith("context.0."):
            assert torch.equal(value, eeg[name.replace("context.0", "context.1")])
        else:
            assert torch.equal(value, fresh[name])


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        ("{encoders.emg: night_ecg}", r"stage.start_from.encoders.emg: the network has no such module"),
        ("{encoders.ecg: night_eeg}", r"stage.start_from.encoders.ecg: .*night_eeg/best.pt has no module encoders.ecg"),
        ("{context.0: 'night_ecg:context'}", r"night_ecg/best.pt: its weights do not fit this network; missing: "),
        ("{context.0: nowhere}", r"stage.start_from: no checkpoint at .*nowhere/best.pt; train nowhere first"),
        ("{context.0: {}}", r"stage.start_from.context.0: expected a stage, got \{\}"),
        ("[night_ecg]", r"stage.start_from: expected a stage, or stages by module path"),
    ],
)
def test_modules_that_do_not_fit_raise_by_key(root: Path, store: Path, starts: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        config = load_config(["night_ecg"], tiny_night(store, root, stage__start_from=starts))
        train_ddp.build_stage(config, 64)


def test_a_checkpoint_records_the_recordings_behind_its_weights(store: Path, tmp_path: Path) -> None:
    """Those of its own stage, of its teacher, and of the networks that it starts from; of theirs as well."""
    splits = {}
    lines = (store / "splits" / "default" / "train.txt").read_text().splitlines()
    names = [line for line in lines if not line.startswith("#")]
    for stage, name in zip(("eeg_base", "feat_train", "feat_temp"), names, strict=False):
        splits[stage] = tmp_path / "splits" / stage
        splits[stage].mkdir(parents=True)
        (splits[stage] / "train.txt").write_text(f"{name}\n")
        for part in ("validation", "test"):
            (splits[stage] / f"{part}.txt").write_text((store / "splits" / "default" / f"{part}.txt").read_text())
    used = {}
    for stage, split in splits.items():
        folder, last = train(stage, tiny(store, tmp_path, data__split=split))
        assert last.trained_on == read_checkpoint(folder / "best.pt").trained_on
        used[stage] = last.trained_on
    config = load_config(["eeg_base"], tiny(store, tmp_path))
    nights = {night.info.recording: night for night in open_nights(config.data.sources, "train")}
    own = {
        stage: {nights[name].key: sorted(nights[name].info.digests)} for stage, name in zip(splits, names, strict=False)
    }
    assert used["eeg_base"] == own["eeg_base"]
    assert used["feat_train"] == own["feat_train"] | own["eeg_base"]
    assert used["feat_temp"] == own["feat_temp"] | own["feat_train"] | own["eeg_base"]
    assert all(digests for digests in used["feat_temp"].values())


# --- Checkpoints of version 0.1


def as_version_0_1(checkpoint: Checkpoint) -> dict:
    """A checkpoint as version 0.1 wrote it: earlier keys and values, and neither optimizer nor `trained_on`."""
    content = {"format": 2, **vars(checkpoint), "position": vars(checkpoint.position)}
    del content["trained_on"]
    config = content["config"] = json.loads(json.dumps(checkpoint.config))
    for key, values in RENAMED_VALUES.items():
        section, last = parent(config, key)
        for old, new in values.items() if section else ():
            section[last] = old if section.get(last) == new else section.get(last)
    for old, new in RENAMED_KEYS.items():
        section, last = parent(config, new)
        if section and last in section:
            section[old.rpartition(".")[2]] = section.pop(last)
    for key in ("optimizer", "weight_decay"):
        del config["train"][key]
    for name, fields in content["inputs"].items():
        fields.pop("scale", None)
        config["stage"]["inputs"][name] = dict.fromkeys(fields) if name != "beats" else dict(fields)
    if content["training"]:
        content["training"]["terms"] = content["training"].pop("losses")
    return content


def parent(config: dict, key: str) -> tuple[dict | None, str]:
    """The section that a dotted key lies in, and its last part."""
    *parts, last = key.split(".")
    section = config
    for part in parts:
        section = section.get(part) if section else None
    return section, last


def test_a_run_of_version_0_1_resumes_to_the_same_weights(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = saved("night_eeg", tiny_night(store, tmp_path))
    losses = ["loss.at.weight=0.2", "loss.hint.weight=0.2", "data.augment.inversion=0.5", "data.augment.rr_scale=0.1"]
    options = {"stage__teacher": teacher, "train__batch_size": 5, "train__ema_decay": 0.9}
    whole_folder, whole = train("night_kd", [*tiny_night(store, tmp_path / "whole", **options), *losses])
    overrides = [*tiny_night(store, tmp_path / "resumed", **options), *losses]
    with monkeypatch.context() as patched:
        patched.setattr(train_ddp, "update", stop_in_update(3))
        folder, stopped = train("night_kd", overrides, code=train_ddp.EXIT_STOPPED)
    old = as_version_0_1(stopped)
    assert {"crop_minutes", "window"} <= old["config"]["data"].keys()
    assert {"polarity", "lead_off", "stretch"} <= old["config"]["data"]["augment"].keys()
    assert (old["config"]["distill"]["ensemble"], old["config"]["loss"]["at"]["normalisation"]) == ("alike", "window")
    torch.save(old, folder / "last.pt")
    assert read_checkpoint(folder / "last.pt").trained_on is None
    _, resumed = train("night_kd", overrides)
    assert same_weights(whole, resumed)
    assert [line["loss"] for line in logged(folder)] == [line["loss"] for line in logged(whole_folder)]
    with pytest.raises(UserError, match=r"holds a run with stage\.inputs\.beats\.rate = 4\.0, this one asks for 8\.0"):
        train("night_kd", [*overrides, "stage.inputs.beats.rate=8"])
    with pytest.raises(UserError, match=r"holds a run with stage\.inputs\.ecg\.clip = 20\.0, this one asks for 5\.0"):
        train("night_kd", [*overrides, "stage.inputs.ecg.clip=5"])


def test_a_network_of_version_0_1_is_a_teacher_a_start_and_loads(store: Path, tmp_path: Path) -> None:
    config = load_config(["night_ecg"], tiny_night(store, tmp_path))
    path = tmp_path / "old.pt"
    checkpoint = untrained(config, 64)
    torch.save(as_version_0_1(checkpoint), path)
    trained = load_trained(path)
    assert trained.trained_on == {} and trained.checkpoint.position == Position()
    assert trained.config.data.segment_minutes == 5
    overrides = tiny_night(store, tmp_path, stage__teacher=path, stage__start_from=path)
    stage = train_ddp.build_stage(load_config(["night_kd"], overrides), 64)
    for network in (stage.student, *stage.teacher_networks):
        assert all(torch.equal(value, checkpoint.model[name]) for name, value in network.state_dict().items())
