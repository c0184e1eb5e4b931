"""Settings of a run: the published recipes, impossible values by key, keys of earlier versions."""

import dataclasses
import json
from pathlib import Path

import pytest
import yaml

from sleepkd import config
from sleepkd.config import CONFIGS, to_dict
from sleepkd.data.data_settings import DataConfig, Source
from sleepkd.errors import UserError
from sleepkd.losses import LOSSES
from sleepkd.settings import RENAMED_KEYS, RENAMED_VALUES, check, config_of, load_config, result_settings

STAGES = {
    # stage: (input, teacher, start_from, weights of losses, monitor), as published
    "eeg_base": ("eeg", "", "", {"ce": 1}, "weighted_f1"),
    "ecg_base": ("ecg", "", "", {"ce": 1}, "weighted_f1"),
    "kd_temp": ("ecg", "eeg_base", "", {"ce": 0.5, "kd": 0.5}, "weighted_f1"),
    "feat_train": ("ecg", "eeg_base", "", {"at": 1}, "loss"),
    "feat_wce": ("ecg", "", "feat_train", {"ce": 1}, "weighted_f1"),
    "feat_temp": ("ecg", "eeg_base", "feat_train", {"ce": 0.5, "kd": 0.5}, "weighted_f1"),
}

NIGHT_STAGES = {
    # stage: (inputs, teacher, start_from, weights of losses)
    "night_eeg": ({"eeg"}, "", "", {"ce": 1}),
    "night_psg": ({"eeg", "eog", "emg"}, "", "", {"ce": 1}),
    "night_ecg": ({"ecg", "beats"}, "", "", {"ce": 1}),
    "night_kd": ({"ecg", "beats"}, "night_eeg", "", {"ce": 0.5, "kd": 0.5}),
    "night_pseudo": ({"ecg", "beats"}, "", "", {"ce": 0.5, "pseudo": 0.5}),
    "night_at": ({"ecg", "beats"}, "night_eeg", "", {"at": 1, "hint": 1}),
    "night_feat": ({"ecg", "beats"}, "night_eeg", "night_at", {"ce": 0.5, "kd": 0.5}),
}


def test_the_six_stages_are_the_published_recipes():
    for name, expected in STAGES.items():
        config = load_config([name], [])
        stage = config.stage
        weights = {loss: settings.weight for loss, settings in config.active_losses.items()}
        assert stage.name == name
        (signal,) = stage.inputs
        assert (signal, stage.teacher, stage.start_from, weights, config.train.monitor) == expected
        assert stage.inputs[signal] == {}  # the defaults of `data`
        assert config.needs_teacher == bool(stage.teacher)
        assert config.trains_logits == (name != "feat_train")


def test_defaults_are_the_published_ones():
    config = load_config(["ecg_base"], [])
    ce, kd, at = (LOSSES[name].Settings() for name in ("ce", "kd", "at"))
    assert (ce.class_weights, kd.temperature) == ("balanced", 2)
    assert (kd.mean, at.normalisation) == ("sleep_epoch", "sample")
    assert (config.loss["ce"].class_weights, config.loss["ce"].weight) == ("balanced", 1)
    assert (config.data.view, config.data.normalisation, config.data.alignment) == ("epochs", "robust_night", "exact")
    assert (config.model.name, config.model.filters) == ("utime", (16, 32, 64, 128, 256))
    assert config.model.bottom_filters == 512
    assert (config.model.pools, config.model.kernel, config.model.dilation) == ((3, 2, 2, 2, 2), 5, 2)
    assert (config.train.optimizer, config.train.weight_decay) == ("adam", 0)
    assert (config.train.epochs, config.train.batch_size, config.train.learning_rate) == (150, 256, 1e-3)
    assert (config.train.validate_every, config.data.sleep_epochs) == (2, 1)


def test_every_yaml_in_configs_is_a_stage_or_an_overlay_of_one():
    files = {path.stem: path for path in CONFIGS.glob("*.yaml")}
    of_nights = {"adapt", "beats", "beats_2hz", "demo_night", "few_labels", *NIGHT_STAGES}
    of_sleep_epochs = {"as_released", "demo", *STAGES}
    assert set(files) == of_nights | of_sleep_epochs
    for name, path in files.items():
        load_config(["night_feat" if name in of_nights else "feat_temp", str(path)], [])


def test_the_night_stages_are_the_published_ones_along_the_night():
    for name, (inputs, teacher, start, weights) in NIGHT_STAGES.items():
        config = load_config([name], [])
        assert (set(config.stage.inputs), config.stage.teacher, config.stage.start_from) == (inputs, teacher, start)
        assert {loss: settings.weight for loss, settings in config.active_losses.items()} == weights
        assert (config.data.view, config.model.name) == ("night", "night")
        beats = load_config([name, "beats"], [])
        assert set(beats.stage.inputs) == inputs - {"ecg"} and not beats.data.augment.is_on


AS_RELEASED = {
    "data.normalisation": "minmax_window",
    "data.ecg_polarity": "inverted",
    "data.alignment": "truncated",
    "loss.ce.class_weights": "none",
    "loss.kd.temperature": 1.0,
    "loss.kd.mean": "element",
    "loss.at.normalisation": "batch",
    "train.precision": "fp32",
}


def test_as_released_changes_only_what_differs_in_the_release():
    """Losses that a stage does not name have their default settings, and weight 0, in both."""
    settings = {name: to_dict(loss.Settings()) for name, loss in LOSSES.items()}
    defaults = {f"loss.{name}.{key}": value for name in LOSSES for key, value in settings[name].items()}
    for name in STAGES:
        ours, theirs = (load_config(files, []) for files in ([name], [name, "as_released"]))
        assert theirs.runs_root == "runs/as_released"
        assert list(ours.active_losses) == list(theirs.active_losses)
        before, after = (defaults | result_settings(config) for config in (ours, theirs))
        assert before.keys() == after.keys()
        changed = {key: after[key] for key in before if before[key] != after[key]}
        assert changed == AS_RELEASED | ({"train.monitor": "weighted_f1"} if name == "feat_train" else {})


def test_files_merge_left_to_right_and_set_wins(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("stage: {name: a}\ntrain: {epochs: 3, seed: 1}\n")
    config = load_config(["ecg_base", str(path)], ["train.epochs=5", "model.filters=[2, 4]", "model.pools=[3, 2]"])
    assert (config.stage.name, config.train.seed, config.train.epochs) == ("a", 1, 5)
    assert (config.model.filters, config.model.pools) == ((2, 4), (3, 2))
    assert config.train.learning_rate == 1e-3  # the default


REFUSED = {
    "train.epoch=3": "train.epoch: unknown key; did you mean train.epochs?",
    "dta.store=x": "dta: unknown key; did you mean data?",
    "loss.kd.temprature=1": "loss.kd.temprature: unknown key; did you mean loss.kd.temperature?",
    "model.filter=[1]": "model.filter: unknown key; did you mean model.filters?",
    "stage.signal=ecg": "stage.signal: unknown key; did you mean stage.",
    "distill.temperature=2": "distill.temperature: unknown key; did you mean distill.trust?",
    "train.precision=fp8": "train.precision: must be one of auto, fp32, bf16, fp16, fp64; is 'fp8'",
    "data.classes=2": "data.classes: must be one of 3, 4, 5; is 2",
    "stage.inputs.eda={}": "stage.inputs.eda: is not a known signal; known are eeg, ecg, ",
    "stage.inputs=ecg": "stage.inputs: expected signals by name, got 'ecg'",
    "stage.inputs.ecg.rat=1": "stage.inputs.ecg.rat: unknown key; did you mean stage.inputs.ecg.rate?",
    "stage.inputs.ecg.rate=0": "stage.inputs.ecg.rate: must be positive, is 0",
    "stage.inputs.ecg.clip=-1": "stage.inputs.ecg.clip: must be positive, is -1",
    "stage.inputs.beats.rate=.inf": "stage.inputs.beats.rate: must be positive, is inf",
    "stage.inputs.beats.clip=1": "stage.inputs.beats.clip: unknown key; did you mean",
    "model.name=unet": "model.name: 'unet' is not a network; choose from utime, night",
    "model=utime": "model: expected a section of keys, got 'utime'",
    "loss.crd.weight=1": "loss.crd: compares the sleep epochs of a segment: set data.view: night, or data.sleep_epochs",
    "loss.l2.weight=1": "loss.l2: is not a loss; choose from ce, kd, ",
    "loss.ce=1": "loss.ce: expected keys, for example {weight: 1.0}, got 1",
    "loss=1": "loss: expected a section of keys, got 1",
    "loss.at.taps=[dense]": "loss.at.taps[0]: expected a list, got 'dense'",
    "data.sleep_epochs=0": "data.sleep_epochs: must be at least 1, is 0",
    "data.view=day": "data.view: must be one of epochs, night; is 'day'",
    "data.segment_minutes=5": "data.segment_minutes: goes with data.view: night",
    "data.segment_minutes=-1": "data.segment_minutes: must be 0 or more, is -1.0",
    "data.mix=1.5": "data.mix: must lie between 0 (by size) and 1 (uniform), is 1.5",
    "data.nights=[{stre: a}]": "data.nights[0].stre: unknown key; did you mean data.nights[0].store?",
    "data.nights=[{split: a}]": "data.nights[0].store: is missing",
    "data.nights=[a]": "data.nights[0]: expected a section of keys, got 'a'",
    "data.nights=[{store: a, weight: 0}]": "data.nights[0].weight: must be positive, is 0.0",
    "train.epochs=0": "train.epochs: must be at least 1",
    "train.batch_size=-1": "train.batch_size: must be at least 1",
    "train.accumulate=0": "train.accumulate: must be at least 1",
    "train.log_every=0": "train.log_every: must be at least 1",
    "data.workers=-2": "data.workers: must be -1 (by device) or more, is -2",
    "data.prefetch=0": "data.prefetch: must be at least 1",
    "train.warmup_updates=-1": "train.warmup_updates: must be 0 or more",
    "train.stop_patience=-1": "train.stop_patience: must be 0 or more",
    "train.plateau_patience=0": "train.plateau_patience: must be at least 1",
    "train.plateau_factor=1": "train.plateau_factor: must lie between 0 and 1, is 1.0",
    "train.ema_decay=1": "train.ema_decay: must be below 1, is 1.0",
    "train.schedule=step": "train.schedule: must be one of constant, cosine, plateau; is 'step'",
    "train.validate_every=-1": "train.validate_every: must be 0 or more",
    "train.clip_norm=-0.1": "train.clip_norm: must be 0 or more",
    "train.clip_norm=.nan": "train.clip_norm: must be 0 or more, is nan",
    "train.seed=-1": "train.seed: must be 0 or more",
    "loss.kd.weight=-0.5": "loss.kd.weight: must be 0 or more",
    "loss.ce.weight=.inf": "loss.ce.weight: must be 0 or more, is inf",
    "data.clip=0": "data.clip: must be positive, is 0.0",
    "train.learning_rate=0": "train.learning_rate: must be positive",
    "train.learning_rate=.inf": "train.learning_rate: must be positive, is inf",
    "train.timeout_minutes=0": "train.timeout_minutes: must be positive, is 0.0",
    "loss.kd.temperature=0": "loss.kd.temperature: must be positive",
    "loss.ce.weight=0": "loss: no loss has a weight above 0: nothing to train on",
    "loss.kd.weight=1": "stage.teacher: is missing, and loss.kd needs one",
    "loss.at.weight=1": "stage.teacher: is missing, and loss.at needs one",
    "model.pools=[2, 2]": "model.pools: must have one value per model.filters",
    "model.filters=[0, 1, 1, 1, 1]": "model.filters: must all be at least 1",
    "model.pools=[0, 1, 1, 1, 1]": "model.pools: must all be at least 1",
    "model.kernel=4": "model.kernel: must be odd, is 4",
    "stage.name=": "stage.name: expected str, got None",
    "stage.name=''": "stage.name: is missing",
    "stage.name=../mine": "stage.name: '../mine' cannot name a folder",
    "stage.name=..": "stage.name: '..' cannot name a folder",
}


@pytest.mark.parametrize("override", REFUSED)
def test_impossible_values_raise_by_key(override):
    with pytest.raises(UserError) as refused:
        load_config(["ecg_base"], [override])
    assert str(refused.value).startswith(REFUSED[override])


WITH_TEACHER = ["loss.at.weight=1", "stage.teacher=eeg_base"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([*WITH_TEACHER, "loss.at.taps=[]"], "loss.at.taps: has no taps or an empty group"),
        ([*WITH_TEACHER, "loss.at.taps=[[dense], []]"], "loss.at.taps: has no taps"),
        (
            [*WITH_TEACHER, "loss.at.teacher_taps=[[dense]]"],
            "loss.at.teacher_taps: must have as many groups and taps as loss.at.taps",
        ),
        (["loss.at.weight=1", "loss.kd.weight=1"], "stage.teacher: is missing, and loss.kd or loss.at needs one"),
        (["model.filters=[]", "model.pools=[]"], "model.pools: must have one value per model.filters"),
        (
            ["data.nights=[{store: a}]", "data.store=b"],
            "data.nights: is given beside data.store or data.split; give one of the two",
        ),
        (["data.view=night", "data.sleep_epochs=2"], "data.sleep_epochs: goes with data.view: epochs"),
        (["data.view=night", "data.alignment=truncated"], "data.alignment: truncated goes with data.view: epochs"),
    ],
)
def test_values_impossible_together_raise_by_key(overrides, message):
    with pytest.raises(UserError) as refused:
        load_config(["ecg_base"], overrides)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("choice", ["auto", "yes", "no"])
def test_choices_of_pinned_memory(choice):
    assert load_config(["ecg_base"], [f"data.pin_memory={choice}"]).data.pin_memory == choice


def test_every_input_has_its_own_settings():
    config = load_config(
        ["ecg_base"], ["stage.inputs={ecg: {normalisation: robust_scored, clip: 5}, beats: {rate: 8}}"]
    )
    assert config.stage.inputs == {
        "ecg": {"normalisation": "robust_scored", "clip": 5.0},
        "beats": {"rate": 8.0},
    }


def test_store_and_split_are_a_list_of_one_source():
    assert load_config(["ecg_base"], ["data.store=a", "data.split=b"]).data.sources == (Source("a", "b", 1.0),)
    several = load_config(["ecg_base"], ["data.nights=[{store: a}, {store: b, split: mine, weight: 2}]"])
    assert several.data.sources == (Source("a", "default", 1.0), Source("b", "mine", 2.0))


def test_a_missing_stage_or_input_raises_by_key():
    with pytest.raises(UserError, match=r"stage\.name: is missing: give a stage's config"):
        load_config(["demo"], [])
    with pytest.raises(UserError, match=r"stage\.inputs: is missing: name the signals that the student sees"):
        load_config(["demo"], ["stage.name=mine"])


@pytest.mark.parametrize("files", [["feat_train"], ["feat_temp", "as_released"], ["eeg_base", "demo"]])
def test_a_config_survives_yaml(files):
    overrides = ["loss.at.taps=[[dense], [bottom, decoder.0]]", "data.nights=[{store: a}, {store: b, weight: 2}]"]
    if "demo" in files:
        overrides.append("data.store=store")
    config = load_config(files, overrides)
    plain = yaml.safe_load(yaml.safe_dump(to_dict(config)))
    again = config_of(plain)
    assert again == config
    assert again.loss["at"].taps == (("dense",), ("bottom", "decoder.0"))
    check(again)


def test_a_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DataConfig().classes = 3


def test_run_directories():
    config = load_config(["kd_temp"], ["runs_root=/r", "data.classes=3"])
    assert config.run_directory == Path("/r/3class/kd_temp")
    assert config.stage_directory("eeg_base") == Path("/r/3class/eeg_base")


# --- Keys and values of earlier versions


@pytest.fixture
def notes(capsys):
    """The notes printed since the last call."""
    config._note.cache_clear()

    def printed():
        return [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]

    return printed


def value_at(settings, key):
    for part in key.split("."):
        settings = settings[part]
    return settings


@pytest.mark.parametrize("source", ["yaml", "set"])
def test_renamed_keys_are_read_and_noted_once(tmp_path, notes, source):
    overlay = tmp_path / "old.yaml"
    for old, new in RENAMED_KEYS.items():
        stage = ["night_kd", *([f"loss.{new.split('.')[1]}.weight=0"] if new.startswith("loss.") else [])]
        default = value_at(to_dict(load_config(stage[:1], stage[1:])), new)
        overlay.write_text(json.dumps(nested(old, default)))
        for expected in ([f"note: {old} is now {new}"], []):
            if source == "yaml":
                config = load_config([stage[0], str(overlay)], stage[1:])
            else:
                config = load_config(stage[:1], [*stage[1:], f"{old}={json.dumps(default)}"])
            assert value_at(to_dict(config), new) == default
            assert notes() == expected


def nested(key, value):
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def test_renamed_values_are_read_and_noted_once(notes):
    for key, values in RENAMED_VALUES.items():
        for old, new in values.items():
            for expected in ([f"note: {key}: {old} is now {new}"], []):
                config = load_config(["feat_train"], [f"{key}={old}"])
                assert value_at(to_dict(config), key) == new
                assert notes() == expected


def test_renamed_keys_of_a_checkpoint_are_read_without_a_note(notes):
    old = {"data": {"view": "night", "crop_minutes": 5}, "loss": {"at": {"weight": 1, "normalisation": "window"}}}
    config = config_of(old)
    assert (config.data.segment_minutes, config.loss["at"].normalisation) == (5, "sample")
    assert notes() == []
    assert old["data"]["crop_minutes"] == 5  # the checkpoint is not changed


def test_only_keys_of_earlier_versions_are_renamed():
    for override in ("data.crop_minute=5", "loss.at.of_teachers=[[dense]]", "loss.at.normalisation=windows"):
        with pytest.raises(UserError, match=override.partition("=")[0]):
            load_config(["feat_train"], [override])


def test_runtime_settings_are_left_out_of_result_settings():
    ours = result_settings(load_config(["ecg_base"], []))
    runtime = ["runs_root=elsewhere", "data.store=moved", "data.workers=3", "train.device=cpu", "train.accumulate=2"]
    assert result_settings(load_config(["ecg_base"], runtime)) == ours
    assert result_settings(load_config(["ecg_base"], ["train.seed=1"])) == ours | {"train.seed": 1}
    several = [f"data.nights=[{{store: {name}, split: mine}}]" for name in "ab"]
    a, b = (result_settings(load_config(["ecg_base"], [nights])) for nights in several)
    assert a == b and a["data.nights"][0]["split"] == "mine"
