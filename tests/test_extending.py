"""docs/extending.md does what it says: its code is run and registered as it tells, its YAML is read."""

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

from sleepkd import prepare
from sleepkd.cohorts.labels import LABELS, LabelFormat
from sleepkd.cohorts.signals import SIGNALS
from sleepkd.config import from_dict
from sleepkd.data.inputs import BeatsInput, SignalInput
from sleepkd.data.store import Store
from sleepkd.data.segments import Batch
from sleepkd.settings import config_of
from sleepkd.losses import LOSSES, NetworkOutput, FeatureShapes
from sleepkd.models import NETWORKS, Network, build_network, network_settings
from tests.cohorts.raw import heartbeats

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
CODE = dict(re.findall(r"`(sleepkd/[\w/]+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL))
YAMLS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


@pytest.fixture
def module(request, monkeypatch) -> ModuleType:
    """The file of the page whose name the test's parameter is, imported without being written."""
    (path,) = (path for path in CODE if path.endswith(f"/{request.param}.py"))
    name = path.removesuffix(".py").replace("/", ".")
    made = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, made)
    importlib.import_module(name.rpartition(".")[0])
    exec(compile(CODE[path], path, "exec"), made.__dict__)
    return made


def test_the_page_has_four_files_and_four_yamls():
    assert len(CODE) == 4 and len(YAMLS) == 4


@pytest.mark.parametrize("module", ["direction"], indirect=True)
def test_the_loss(module, monkeypatch):
    monkeypatch.setitem(LOSSES, "direction", module.Direction)
    assert '"direction": Direction,' in PAGE
    settings = config_of(YAMLS[0]).terms["direction"]
    term = LOSSES["direction"](settings, FeatureShapes(4, {"bottom": (3, 10)}, {"bottom": (5, 10)}))
    student, teacher = torch.randn(6, 3, 10), torch.randn(6, 5, 10)
    present = torch.tensor([[True, True], [True, False], [True, True]])
    nothing = torch.zeros(3, 0, dtype=torch.bool)
    batch = Batch({}, torch.zeros(3, 2), present, torch.zeros(3, 2, 0), nothing, {})
    targets = term.targets(NetworkOutput(torch.zeros(3, 2, 4), {"bottom": teacher}))
    found = term.sum(NetworkOutput(torch.zeros(3, 2, 4), {"bottom": student}), targets, batch)
    weight, bias = term.project.weight[:, :, 0], term.project.bias
    there = present.flatten()
    projected = torch.einsum("dc,bcl->bdl", weight, student[there]) + bias[:, None]
    length = (projected.square().sum(1) * teacher[there].square().sum(1)).sqrt()
    torch.testing.assert_close(found, (1 - (projected * teacher[there]).sum(1) / length).mean(dim=1).sum())


@pytest.mark.parametrize("module", ["pair"], indirect=True)
def test_the_network(module, monkeypatch):
    monkeypatch.setitem(NETWORKS, "pair", Network(module.Pair, module.PairSettings))
    assert '"pair": Network(Pair, PairSettings),' in PAGE
    settings = network_settings(YAMLS[1]["model"])
    inputs = {"ecg": SignalInput(rate=32.0), "beats": BeatsInput()}
    network = build_network(settings, 4, inputs, "night")
    seen = {name: torch.randn(2, 1, *item.shape(600)) for name, item in inputs.items()}
    assert network(seen).shape == (2, 60, 4)
    network.get_submodule(network.bottleneck)


def test_the_cohort_of_both_formats(tmp_path, monkeypatch):
    spaces = {}
    for path in CODE:
        if path.startswith("sleepkd/cohorts"):
            spaces[path] = {"__name__": path}
            exec(compile(CODE[path], path, "exec"), spaces[path])
    readers = {name: value for space in spaces.values() for name, value in space.items()}
    monkeypatch.setitem(LABELS, "json", LabelFormat(readers["read_json"]))
    monkeypatch.setitem(SIGNALS, "npz", readers["NpzFile"])
    assert '"json": LabelFormat(read_json),' in PAGE and '"npz": NpzFile,' in PAGE
    raw = tmp_path / "raw"
    raw.mkdir()
    eeg, ecg = np.random.default_rng(0).normal(scale=20, size=300 * 64), 1000 * heartbeats(300, 128, 0)
    np.savez(raw / "s1.npz", c3=eeg, c3_hz=64, ecg=ecg, ecg_hz=128)
    entries = [{"onset": 30 * k, "duration": 30, "stage": ["wake", "deep"][k % 2]} for k in range(10)]
    (raw / "s1.json").write_text(json.dumps(entries))
    (tmp_path / "npz.yaml").write_text(yaml.safe_dump(YAMLS[2]))
    arguments = ["--dataset", tmp_path / "npz.yaml", "--raw", raw, "--out", tmp_path / "store", "--rate", 64]
    assert prepare.main([str(argument) for argument in arguments]) == 0
    night = Store(tmp_path / "store").open("s1")
    assert night.hypnogram.labels.tolist() == [0, 3] * 5
    info = night.info.signals["eeg"]
    np.testing.assert_allclose(night.signal("eeg") * info.scale + info.offset, eeg, atol=info.scale)
    assert night.info.signals["ecg"].recorded_hz == 128


def test_two_cohorts_by_yaml():
    (data,) = (page["data"] for page in YAMLS if "nights" in page.get("data", {}))
    config = config_of({"data": data})
    assert [(source.store, source.weight) for source in config.data.sources] == [("store_a", 1), ("store_b", 2)]
    assert from_dict(type(config.data), {**data, "mix": 0.5}).mix == 0.5
