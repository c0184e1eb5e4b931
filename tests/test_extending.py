"""The recipes of docs/extending.md: their code runs, registered as the page says, and their YAML is read."""

import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import yaml

import train_ddp
from launch import tiny, tiny_night
from sleepkd import prepare
from sleepkd.checkpoints.trained import load_trained
from sleepkd.cohorts.labels import LABELS, LabelFormat
from sleepkd.cohorts.signals import SIGNALS, SignalFormat, signal_format
from sleepkd.config import from_dict
from sleepkd.data.inputs import BeatsInput, SignalInput
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import STUDENT, Batch, Segments
from sleepkd.data.signal_kinds import SIGNAL_KINDS, SignalKind
from sleepkd.data.stage_inputs import resolve
from sleepkd.data.store import Store
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.losses import LOSSES, FeatureShapes, NetworkOutput
from sleepkd.models import NETWORKS, Network, build_network, network_settings
from sleepkd.settings import config_of, load_config
from sleepkd.teachers import TEACHERS, check_teacher, earlier_stages
from tests.cohorts.raw import heartbeats

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
CODE = dict(re.findall(r"`(sleepkd/[\w/]+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL))
YAMLS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


def stage_yaml(name: str) -> dict:
    """The page's YAML of a stage."""
    (found,) = (values for values in YAMLS if values.get("stage", {}).get("name") == name)
    return found


@pytest.fixture
def module(request, monkeypatch) -> ModuleType:
    """The module that the test's parameter names, from the code on the page."""
    (path,) = (path for path in CODE if path.endswith(f"/{request.param}.py"))
    name = path.removesuffix(".py").replace("/", ".")
    made = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, made)
    importlib.import_module(name.rpartition(".")[0])
    exec(compile(CODE[path], path, "exec"), made.__dict__)
    return made


def test_the_page_has_a_file_per_recipe():
    names = {Path(path).stem for path in CODE}
    assert {"direction", "virtual", "pair"} <= names and len(YAMLS) >= 6


@pytest.mark.parametrize("module", ["direction"], indirect=True)
def test_a_loss(module, monkeypatch):
    monkeypatch.setitem(LOSSES, "direction", module.Direction)
    assert '"direction": Direction,' in PAGE
    settings = config_of(stage_yaml("direction")).active_losses["direction"]
    loss = LOSSES["direction"](settings, FeatureShapes(4, {"bottom": (3, 10)}, {"bottom": (5, 10)}))
    student, teacher = torch.randn(6, 3, 10), torch.randn(6, 5, 10)
    present = torch.tensor([[True, True], [True, False], [True, True]])
    batch = Batch({}, torch.zeros(3, 2), present, torch.zeros(3, 2, 0), torch.zeros(3, 0, dtype=torch.bool), {})
    targets = loss.targets(NetworkOutput(torch.zeros(3, 2, 4), {"bottom": teacher}))
    found = loss.sum(NetworkOutput(torch.zeros(3, 2, 4), {"bottom": student}), targets, batch)
    weight, bias, mask = loss.project.weight[:, :, 0], loss.project.bias, present.flatten()
    projected = torch.einsum("dc,bcl->bdl", weight, student[mask]) + bias[:, None]
    norms = (projected.square().sum(1) * teacher[mask].square().sum(1)).sqrt()
    torch.testing.assert_close(found, (1 - (projected * teacher[mask]).sum(1) / norms).mean(dim=1).sum())


@pytest.mark.parametrize("module", ["virtual"], indirect=True)
def test_a_teacher(module, monkeypatch, store, tmp_path):
    monkeypatch.setitem(TEACHERS, "virtual", module.VirtualTeacher)
    assert '"virtual": VirtualTeacher,' in PAGE
    (tmp_path / "virtual.yaml").write_text(yaml.safe_dump(stage_yaml("virtual")))
    config = load_config([str(tmp_path / "virtual.yaml")], tiny(store, tmp_path))
    assert earlier_stages(config) == ()
    labels = torch.tensor([[0, 2, -1]])
    batch = Batch({}, labels, labels >= -1, torch.zeros(1, 3, 0), torch.zeros(1, 0, dtype=torch.bool), {})
    teacher = TEACHERS["virtual"].build(config, torch.nn.Identity(), {})
    expected = torch.tensor([[[0.9, 0.05, 0.05], [0.05, 0.05, 0.9], [1 / 3, 1 / 3, 1 / 3]]])
    torch.testing.assert_close(teacher.output(batch).logits.softmax(-1), expected)
    assert train_ddp.train(config, Processes("cpu")) == 0
    lines = [json.loads(line) for line in (config.run_directory / "metrics.jsonl").read_text().splitlines()]
    assert all(line["kd"] > 0 for line in lines)
    with pytest.raises(UserError, match=r"loss\.hint: needs the features of a network; stage\.teacher is virtual"):
        check_teacher(load_config([str(tmp_path / "virtual.yaml")], ["loss.hint.weight=1"]))


@pytest.mark.parametrize("module", ["pair"], indirect=True)
def test_a_network(module, monkeypatch):
    monkeypatch.setitem(NETWORKS, "pair", Network(module.Pair, module.PairSettings))
    assert '"pair": Network(Pair, PairSettings),' in PAGE
    settings = network_settings(stage_yaml("pair")["model"])
    inputs = {"ecg": SignalInput(rate=32.0), "beats": BeatsInput()}
    network = build_network(settings, 4, inputs, "night")
    signals = {name: torch.randn(2, 1, *item.shape(600)) for name, item in inputs.items()}
    assert network(signals).shape == (2, 60, 4)
    network.get_submodule(network.bottleneck)


def test_a_sensor(tmp_path, monkeypatch):
    """EDA of 64 Hz in a table with a gap: stored at 4 Hz, read beside the ECG, and trained on for one update."""
    ((name, entry),) = re.findall(r"`SIGNAL_KINDS`:\n\n```python\n\"(\w+)\": (.*?),\n```", PAGE, re.DOTALL)
    monkeypatch.setitem(SIGNAL_KINDS, name, eval(entry, {"SignalKind": SignalKind}))
    raw, t = tmp_path / "raw", np.arange(300 * 64) / 64
    raw.mkdir()
    for k in range(3):
        eda = 5 + np.sin(2 * np.pi * t / 10 + k)
        eda[(t >= 200) & (t < 230)] = 0  # off the skin
        columns = np.stack([t, heartbeats(300, 64, k), eda], axis=1)
        np.savetxt(raw / f"s{k}.csv", columns, fmt="%.6f", delimiter=",", header="time,ecg,eda", comments="")
        (raw / f"s{k}.txt").write_text("W\nN2\nN3\nR\nR\n" * 2)
    (cohort,) = (values for values in YAMLS if values.get("name") == "wrist")
    (tmp_path / "wrist.yaml").write_text(yaml.safe_dump(cohort))
    arguments = ["--dataset", tmp_path / "wrist.yaml", "--raw", raw, "--out", tmp_path / "store", "--rate", 64]
    assert prepare.main([*map(str, arguments), "--no-beats", "--signals", "eda"]) == 0
    info = Store(tmp_path / "store").info("s0").signals
    assert (info["ecg"].rate_hz, info["eda"].rate_hz, info["eda"].recorded_hz) == (64, 4, 64)

    (tmp_path / "night_eda.yaml").write_text(yaml.safe_dump(stage_yaml("night_eda")))
    config = load_config([str(tmp_path / "night_eda.yaml")], tiny_night(tmp_path / "store", tmp_path))
    inputs = resolve(config.stage.inputs, config.data, 64)
    nights = open_nights(config.data.sources, "train")
    read = Segments(nights, {STUDENT: inputs}, config.data)[np.array([0])].inputs[STUDENT]
    assert (read["ecg"].shape, read["eda"].shape) == ((1, 1, 300 * 64), (1, 1, 1200))
    phase = int(nights[0].info.recording[1:])
    expected = np.sin(2 * np.pi * np.arange(1200) / 40 + phase) / np.sqrt(2)  # the interquartile range of a sine
    np.testing.assert_allclose(read["eda"][0, 0, 50:780], expected[50:780], atol=0.06)
    assert not read["eda"][0, 0, 801:919].any()
    assert train_ddp.train(config, Processes("cpu")) == 0
    trained = load_trained(config.run_directory / "last.pt")
    assert trained.inputs == inputs and trained.checkpoint.position.epoch == 1


def test_the_cohort_of_both_formats(tmp_path, monkeypatch):
    spaces = {}
    for path in CODE:
        if path.startswith("sleepkd/cohorts"):
            spaces[path] = {"__name__": path}
            exec(compile(CODE[path], path, "exec"), spaces[path])
    readers = {name: value for space in spaces.values() for name, value in space.items()}
    monkeypatch.setitem(LABELS, "json", LabelFormat(readers["read_json"]))
    monkeypatch.setitem(SIGNALS, "npz", SignalFormat(readers["NpzFile"], (".rates.npz",)))
    assert '"json": LabelFormat(read_json),' in PAGE and '"npz": SignalFormat(NpzFile, (".rates.npz",)),' in PAGE
    raw = tmp_path / "raw"
    raw.mkdir()
    eeg, ecg = np.random.default_rng(0).normal(scale=20, size=300 * 64), 1000 * heartbeats(300, 128, 0)
    np.savez(raw / "s1.rates.npz", c3=eeg, c3_hz=64, ecg=ecg, ecg_hz=128)
    entries = [{"onset": 30 * k, "duration": 30, "stage": ["wake", "deep"][k % 2]} for k in range(10)]
    (raw / "s1.json").write_text(json.dumps(entries))
    (cohort_yaml,) = (values for values in YAMLS if values.get("name") == "npzs")
    (tmp_path / "npz.yaml").write_text(yaml.safe_dump(cohort_yaml))
    arguments = ["--dataset", tmp_path / "npz.yaml", "--raw", raw, "--out", tmp_path / "store", "--rate", 64]
    assert prepare.main([str(argument) for argument in arguments]) == 0
    night = Store(tmp_path / "store").open("s1")
    assert night.hypnogram.labels.tolist() == [0, 3] * 5
    info = night.info.signals["eeg"]
    np.testing.assert_allclose(night.signal("eeg") * info.scale + info.offset, eeg, atol=info.scale)
    assert night.info.signals["ecg"].recorded_hz == 128
    assert signal_format(raw / "s1.rates.npz") == "npz" and signal_format(raw / "s1.npz") == "table"


def test_two_cohorts_by_yaml():
    (data,) = (page["data"] for page in YAMLS if "nights" in page.get("data", {}))
    config = config_of({"data": data})
    assert [(source.store, source.weight) for source in config.data.sources] == [("store_a", 1), ("store_b", 2)]
    assert from_dict(type(config.data), {**data, "mix": 0.5}).mix == 0.5
