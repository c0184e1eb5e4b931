"""Runs that start from a checkpoint: settings taken from it, contradictions, and adaptation to a few own nights."""

import json
from pathlib import Path

import pytest
import torch

import train_ddp
from launch import tiny, tiny_night
from sleepkd.checkpoints.checkpoint import read_checkpoint, save_checkpoint
from sleepkd.checkpoints.run_config import load_run_config
from sleepkd.checkpoints.shipped import SHIPPED, find_shipped, shipped_checkpoint
from sleepkd.checkpoints.trained import checkpoint_of, load_trained, untrained
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import STUDENT, Segments
from sleepkd.data.splits import read_split, write_split
from sleepkd.data.store import Store
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.settings import Config, load_config
from sleepkd.teachers import TEACHER

OF_MODEL = ("model.", "data.classes", "loss.at", "loss.hint")


@pytest.fixture(scope="module")
def start(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network of ECG and heartbeats for 3 classes, whose settings are not the defaults."""
    root = tmp_path_factory.mktemp("start")
    more = {"data__augment__drop_input": 0.3, "stage__inputs": "{ecg: {clip: 5}, beats: {rate: 2}}"}
    config = load_config(["night_ecg"], tiny_night(store, root, **more))
    torch.manual_seed(3)
    checkpoint = untrained(config, 64)
    checkpoint.model = {name: value + 0.1 * torch.randn_like(value) for name, value in checkpoint.model.items()}
    save_checkpoint(root / "start.pt", checkpoint)
    return root / "start.pt"


def adapt(start: Path, store: Path, root: Path, **more: object) -> list[str]:
    """Overrides of configs/adapt.yaml for a short run; nothing of the network is set."""
    common = tiny_night(store, root, stage__start_from=start, stage__teacher=start, **more)
    return [setting for setting in common if not setting.startswith(OF_MODEL)]


def with_beats_alone(store: Path, path: Path) -> Path:
    """A copy of a store whose nights hold heartbeats only."""
    copied = Store(store)
    for name in ("store.json", *(f"splits/default/{part}.txt" for part in ("train", "validation", "test"))):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text((store / name).read_text())
    for recording in copied.recordings:
        folder = path / "recordings" / recording
        folder.mkdir(parents=True)
        for file in ("beats.npy", "beat_quality.npy", "hypnogram.tsv"):
            (folder / file).write_bytes((store / "recordings" / recording / file).read_bytes())
        about = json.loads((store / "recordings" / recording / "recording.json").read_text())
        (folder / "recording.json").write_text(json.dumps(about | {"signals": {}}))
    return path


def test_the_network_that_ships_is_a_start_and_a_teacher(store: Path, tmp_path: Path) -> None:
    config = load_run_config(["adapt"], [f"data.store={store}", f"runs_root={tmp_path}"])
    shipped = load_trained(shipped_checkpoint())
    assert checkpoint_of(config, "shipped", "x") == shipped.path == find_shipped(SHIPPED) == find_shipped("shipped")
    assert find_shipped("night_ecg") is None
    assert (config.model, config.data.classes) == (shipped.config.model, shipped.config.data.classes)
    assert config.data.view == "night"
    stage = train_ddp.build_stage(config, 64)
    assert stage.inputs == shipped.inputs
    for network in (stage.student, *stage.teacher_networks):
        for name, value in network.state_dict().items():
            assert torch.equal(value, shipped.checkpoint.model[name])
    with pytest.raises(UserError, match=r"stage\.name: shipped is the network that ships; choose another name"):
        load_run_config(["adapt"], ["stage.name=shipped", f"data.store={store}"])


def test_what_a_config_leaves_open_is_that_of_the_checkpoint(start: Path, store: Path, tmp_path: Path) -> None:
    config, trained = load_run_config(["adapt"], adapt(start, store, tmp_path)), load_trained(start)
    assert config.data.classes == 3 and config.data.augment.drop_input == 0.3
    assert (config.model.width, config.model.dilations) == (8, (1, 2))
    other = load_run_config(["adapt"], [*adapt(start, store, tmp_path), "model.dropout=0.4"])
    assert (other.model.width, other.model.dropout) == (8, 0.4)
    assert train_ddp.build_stage(config, 64).inputs == trained.inputs
    alone = load_run_config(["adapt"], adapt(start, store, tmp_path, stage__inputs="{ecg: false}"))
    assert list(alone.stage.inputs) == ["beats"] and alone.data.augment.drop_input == 0
    named = load_run_config(["adapt"], adapt(start, store, tmp_path, stage__inputs="{ecg: {}}"))
    assert named.stage.inputs["ecg"]["clip"] == 5


def test_inputs_that_the_nights_do_not_hold_are_left_out(start: Path, store: Path, tmp_path: Path) -> None:
    """The student then has the logits of the whole network without them, and so has its teacher."""
    beats = with_beats_alone(store, tmp_path / "beats")
    config = load_run_config(["adapt"], adapt(start, beats, tmp_path))
    assert list(config.stage.inputs) == ["beats"]
    stage = train_ddp.build_stage(config, 64)
    assert stage.teacher is not None and list(stage.teacher.readers[TEACHER]) == ["beats"]
    segments = Segments(open_nights(config.data.sources, "train"), stage.readers, config.data.whole_nights())
    inputs = segments[torch.arange(2).numpy()].inputs[STUDENT]
    whole = load_trained(start).network
    torch.testing.assert_close(stage.student.eval()(inputs), whole(inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.classes=4", r"data\.classes: is 4, .*start\.pt was trained with 3; leave it out to take that"),
        ("data.view=epochs", r"data\.view: is epochs, .*start\.pt was trained with night"),
        ("data.clip=7", r"data\.clip: is 7\.0, .*start\.pt was trained with 5\.0"),
        ("data.normalisation=physical", r"data\.normalisation: is physical, .*start\.pt was trained with robust_night"),
        ("model.name=utime", r"model\.name: is utime, .*start\.pt was trained with night"),
        ("model.dilations=[1, 4]", r"model\.dilations: is \(1, 4\), .*start\.pt was trained with \(1, 2\)"),
        ("model.causal=true", r"model\.causal: is True, .*start\.pt was trained with False"),
        ("stage.inputs={beats: {rate: 4}}", r"stage\.inputs\.beats\.rate: is 4\.0, .*start\.pt was trained with 2\.0"),
        ("stage.inputs={eeg: {}}", r"stage\.inputs\.eeg: .*start\.pt was trained on ecg, beats; leave it out"),
        ("stage.start_from=gone.pt", r"stage\.start_from: no checkpoint at gone\.pt; check the path"),
        ("model=3", r"model: expected a section of keys, got 3"),
    ],
)
def test_a_setting_that_contradicts_the_checkpoint_raises(
    start: Path, store: Path, tmp_path: Path, setting: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load_run_config(["adapt"], [*adapt(start, store, tmp_path), setting])


def test_a_run_that_starts_from_a_stage_or_from_nothing_is_unchanged(store: Path, tmp_path: Path) -> None:
    for stage, overrides in (("feat_temp", tiny(store, tmp_path)), ("night_ecg", tiny_night(store, tmp_path))):
        assert load_run_config([stage], overrides) == load_config([stage], overrides)


def test_adaptation_to_one_labelled_night(
    start: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a validation night, and with unlabelled ones: the average of the weights is the result."""
    parts = read_split(Store(store), "default").parts
    own, *others = parts["train"]
    write_split(tmp_path / "own", {"train": (own,), "validation": (), "test": parts["test"]}, "own")
    write_split(tmp_path / "others", {"train": tuple(others), "validation": parts["validation"], "test": ()}, "others")
    sources = (
        f"[{{store: {store}, split: {tmp_path}/own}}, {{store: {store}, split: {tmp_path}/others, labels: false}}]"
    )
    overrides = [x for x in adapt(start, store, tmp_path / "runs", data__nights=sources) if "data.store" not in x]
    config = load_run_config(["adapt"], overrides)
    for _ in range(2):  # the second finds a finished run
        assert train_ddp.train(config, Processes("cpu")) == 0
    printed = capsys.readouterr().out
    assert printed.count("no validation: ") == 2
    assert "lists no validation night; best.pt, the moving average, will be the result" in printed
    adapted, before = load_trained(config.run_directory / "best.pt"), read_checkpoint(start).model
    assert any(not torch.equal(value, before[name]) for name, value in adapted.checkpoint.model.items())
    assert set(adapted.trained_on) == {f"mass/{name}" for name in (own, *others)}


def test_validation_nights_choose_the_best_weights(start: Path, store: Path, tmp_path: Path) -> None:
    config = load_run_config(["adapt"], adapt(start, store, tmp_path))
    assert train_ddp.train(config, Processes("cpu")) == 0
    assert (config.run_directory / "best.pt").is_file()


def test_a_stage_of_an_unknown_name_is_no_checkpoint() -> None:
    with pytest.raises(UserError, match=r"stage\.teacher: no checkpoint at .*night/best\.pt; train night first"):
        checkpoint_of(Config(runs_root="nowhere"), "night", "stage.teacher")
