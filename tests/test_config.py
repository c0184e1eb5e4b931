import dataclasses
from pathlib import Path

import pytest
import yaml

from sleepkd.config import CONFIGS, Config, DataConfig, check, find_config, from_dict, load_config, to_dict
from sleepkd.errors import UserError

STAGES = {
    # stage: signal, teacher, start_from, (ce, kd, at), monitor; from method.md, "Recipes"
    "eeg_base": ("eeg", "", "", (1, 0, 0), "weighted_f1"),
    "ecg_base": ("ecg", "", "", (1, 0, 0), "weighted_f1"),
    "kd_temp": ("ecg", "eeg_base", "", (0.5, 0.5, 0), "weighted_f1"),
    "feat_train": ("ecg", "eeg_base", "", (0, 0, 1), "loss"),
    "feat_wce": ("ecg", "", "feat_train", (1, 0, 0), "weighted_f1"),
    "feat_temp": ("ecg", "eeg_base", "feat_train", (0.5, 0.5, 0), "weighted_f1"),
}


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", STAGES)
def test_the_six_stages_are_the_published_recipes(name):
    config = load_config([name], [])
    stage, loss = config.stage, config.loss
    assert stage.name == name
    assert (stage.signal, stage.teacher, stage.start_from, (loss.ce, loss.kd, loss.at), config.train.monitor) == STAGES[
        name
    ]


def test_the_defaults_are_the_correct_definitions_and_the_published_numbers():
    config = load_config(["ecg_base"], [])
    assert (config.loss.class_weights, config.distill.temperature) == ("balanced", 2)
    assert (config.distill.kd_mean, config.distill.at_normalisation) == ("sleep_epoch", "window")
    assert (config.data.normalisation, config.data.alignment) == ("robust_night", "exact")
    assert (config.model.filters, config.model.bottom_filters) == ((16, 32, 64, 128, 256), 512)
    assert (config.model.pools, config.model.kernel, config.model.dilation) == ((3, 2, 2, 2, 2), 5, 2)
    assert (config.train.epochs, config.train.batch_size, config.train.learning_rate) == (150, 256, 1e-3)
    assert (config.train.validate_every, config.data.window) == (2, 1)


def test_every_yaml_in_configs_loads_over_a_stage():
    files = sorted(CONFIGS.glob("*.yaml"))
    assert {path.stem for path in files} >= {*STAGES, "as_released", "demo"}
    for path in files:
        load_config(["feat_temp.yaml", str(path)], [])


AS_RELEASED = {
    "data.normalisation": "minmax_window",
    "data.ecg_polarity": "inverted",
    "data.alignment": "truncated",
    "loss.class_weights": "none",
    "distill.temperature": 1.0,
    "distill.kd_mean": "element",
    "distill.at_normalisation": "batch",
    "train.precision": "fp32",
}


def flat(values: dict, prefix: str = "") -> dict:
    out = {}
    for key, value in values.items():
        out |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return out


@pytest.mark.parametrize("name", STAGES)
def test_as_released_changes_what_the_release_does_otherwise_and_nothing_else(name):
    ours, theirs = (flat(to_dict(load_config(files, []))) for files in ([name], [name, "as_released"]))
    changed = {key: theirs[key] for key in ours if ours[key] != theirs[key]}
    expected = AS_RELEASED | {"runs_root": "runs/as_released"}
    if name == "feat_train":
        expected["train.monitor"] = "weighted_f1"
    assert changed == expected


def test_files_merge_left_to_right_and_set_wins(tmp_path):
    a = write(tmp_path / "a.yaml", "stage: {name: a}\ntrain: {epochs: 3, batch_size: 8, seed: 1}\n")
    b = write(tmp_path / "b.yaml", "train: {epochs: 4, batch_size: 16}\n")
    config = load_config(
        [a, b], ["train.epochs=5", "data.store=/some/where", "model.filters=[2, 4]", "model.pools=[3, 2]"]
    )
    assert (config.train.seed, config.train.batch_size, config.train.epochs) == (1, 16, 5)
    assert (config.stage.name, config.data.store) == ("a", "/some/where")
    assert (config.model.filters, config.model.pools) == ((2, 4), (3, 2))
    assert config.train.learning_rate == 1e-3  # a default among given keys
    assert load_config([b, a], []).train.epochs == 3
    assert load_config([a], ["train.epochs=5", "train.epochs=6"]).train.epochs == 6


@pytest.mark.parametrize("text", ["1e-4", "1.0e-4", "0.0001"])
def test_yaml_takes_1e_4_for_text_and_a_number_is_meant(tmp_path, text):
    path = write(tmp_path / "a.yaml", f"train: {{learning_rate: {text}}}\n")
    assert load_config(["ecg_base", path], []).train.learning_rate == 1e-4
    assert load_config(["ecg_base"], [f"train.learning_rate={text}"]).train.learning_rate == 1e-4


def test_a_whole_number_is_a_float_where_one_is_asked_for():
    temperature = load_config(["ecg_base"], ["distill.temperature=4"]).distill.temperature
    assert (temperature, type(temperature)) == (4.0, float)


REFUSED = {
    "train.epoch=3": "train.epoch: unknown key; did you mean train.epochs?",
    "dta.store=x": "dta: unknown key; did you mean data?",
    "data.classes.store=x": "data.classes: must be one of 3, 4, 5",
    "distill.temprature=1": "distill.temprature: unknown key; did you mean distill.temperature?",
    "=3": ": unknown key; did you mean",
    "train.epochs=many": "train.epochs: expected int, got 'many'",
    "train.epochs=3.0": "train.epochs: expected int, got 3.0",
    "train.epochs=true": "train.epochs: expected int, got True",
    "train.epochs=": "train.epochs: expected int, got None",
    "train.learning_rate=fast": "train.learning_rate: expected float, got 'fast'",
    "train.learning_rate=true": "train.learning_rate: expected float, got True",
    "train.compile=1": "train.compile: expected bool, got 1",
    "data.store=3": "data.store: expected str, got 3",
    "train=3": "train: expected a section of keys, got 3",
    "model.filters=16": "model.filters: expected a list, got 16",
    "model.filters=[16, wide]": "model.filters[1]: expected int, got 'wide'",
    "distill.at_taps=[dense]": "distill.at_taps[0]: expected a list, got 'dense'",
    "train.precision=fp8": "train.precision: must be one of auto, fp32, bf16, fp16, fp64; is 'fp8'",
    "data.classes=2": "data.classes: must be one of 3, 4, 5; is 2",
    "data.classes=4.0": "data.classes: must be one of 3, 4, 5; is 4.0",
    "stage.signal=emg": "stage.signal: must be one of eeg, ecg; is 'emg'",
    "train.epochs": "--set train.epochs: expected key=value",
    "model.filters=[16": "--set model.filters=[16: not valid YAML",
    "data.window=0": "data.window: must be at least 1, is 0",
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
    "loss.kd=-0.5": "loss.kd: must be 0 or more",
    "data.clip=0": "data.clip: must be positive, is 0.0",
    "train.learning_rate=0": "train.learning_rate: must be positive",
    "train.learning_rate=.inf": "train.learning_rate: must be positive, is inf",
    "distill.temperature=0": "distill.temperature: must be positive",
    "loss.ce=0": "loss: ce, kd and at are all 0",
    "loss.kd=1": "stage.teacher: is missing, and loss.kd or loss.at needs one",
    "loss.at=1": "stage.teacher: is missing",
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
def test_refused_by_key_before_anything_is_loaded(override):
    with pytest.raises(UserError) as refused:
        load_config(["ecg_base"], [override])
    assert str(refused.value).startswith(REFUSED[override])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["loss.at=1", "stage.teacher=eeg_base", "distill.at_taps=[]"],
            "distill.at_taps: has no taps or an empty group",
        ),
        (["loss.at=1", "stage.teacher=eeg_base", "distill.at_taps=[[dense], []]"], "distill.at_taps: has no taps"),
        (["model.filters=[]", "model.pools=[]"], "model.pools: must have one value per model.filters"),
    ],
)
def test_values_impossible_together_are_refused(overrides, message):
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        load_config(["ecg_base"], overrides)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {epochs: 3", "not valid YAML"),
        ("train:\n\tepochs: 3\n", "not valid YAML"),
        ("train: {epochs: 3}\ntrain: {epochs: 4}\n", "train is given twice"),
        ("train:\n  epochs: 3\n  epochs: 4\n", "epochs is given twice"),
        ("!!python/object/apply:os.mkdir [litter]\n", "not valid YAML"),
        ("- train\n- data\n", "expected keys and values, found list"),
        ("train\n", "expected keys and values, found str"),
    ],
)
def test_a_bad_yaml_file_is_named(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"bad\.yaml: .*" + message):
        load_config(["ecg_base", write(tmp_path / "bad.yaml", text)], [])
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_a_yaml_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "bad.yaml").write_bytes(b"train: \xff\xfe")
    with pytest.raises(UserError, match=r"bad\.yaml: not valid YAML"):
        load_config([str(tmp_path / "bad.yaml")], [])


def test_an_empty_overlay_changes_nothing(tmp_path):
    assert load_config(["ecg_base", write(tmp_path / "e.yaml", "# nothing\n")], []) == load_config(["ecg_base"], [])


def test_yaml_may_share_values_by_anchor(tmp_path):
    text = "data: &d {store: s, clip: 3}\ntrain: {epochs: 2}\n"
    assert load_config(["ecg_base", write(tmp_path / "a.yaml", text)], []).data.clip == 3


def test_a_config_is_found_by_path_then_by_bare_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("kd_temp") == find_config("kd_temp.yaml") == CONFIGS / "kd_temp.yaml"
    write(tmp_path / "kd_temp.yaml", "")
    assert find_config("kd_temp.yaml") == Path("kd_temp.yaml")
    with pytest.raises(
        UserError, match=r"^nope: no such config, here or in configs/ \(which has: .*ecg_base, eeg_base"
    ):
        load_config(["nope"], [])


def test_no_stage_is_refused():
    with pytest.raises(UserError, match=r"stage\.name: is missing: give a stage's config"):
        load_config(["demo"], [])


@pytest.mark.parametrize("files", [["feat_train"], ["feat_temp", "as_released"], ["eeg_base", "demo"]])
def test_a_config_survives_yaml(files):
    config = load_config(files, ["distill.at_taps=[[dense], [bottom, decoder.0]]"])
    plain = yaml.safe_load(yaml.safe_dump(to_dict(config)))
    again = from_dict(Config, plain)
    assert again == config
    assert again.distill.at_taps == (("dense",), ("bottom", "decoder.0"))
    check(again)


def test_a_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DataConfig().classes = 3


def test_where_a_run_lives():
    config = load_config(["kd_temp"], ["runs_root=/r", "data.classes=3"])
    assert config.run_directory == Path("/r/3class/kd_temp")
    assert config.stage_directory("eeg_base") == Path("/r/3class/eeg_base")


def test_a_key_without_a_default_must_be_given():
    @dataclasses.dataclass(frozen=True)
    class Needs:
        name: str
        size: int | None = None
        ratios: dict[str, float] = dataclasses.field(default_factory=dict)

    assert from_dict(Needs, {"name": "a", "size": None, "ratios": {1: "2e-1"}}) == Needs("a", None, {"1": 0.2})
    for values, message in (
        ({}, "name: is missing"),
        ({"name": "a", "size": "b"}, "size: expected int, got 'b'"),
        ({"name": "a", "ratios": {"x": []}}, r"ratios\.x: expected float, got \[\]"),
        ({"name": "a", "ratios": 3}, "ratios: expected keys and values, got 3"),
    ):
        with pytest.raises(UserError, match=f"^{message}$"):
            from_dict(Needs, values)
