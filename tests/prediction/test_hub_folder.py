"""sleepkd export --format hub: a README that YAML reads, and weights that give the same network."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import sleepkd
from sleepkd import export
from sleepkd.checkpoints.checkpoint import read_checkpoint
from sleepkd.errors import UserError
from sleepkd.prediction import hub_folder

BEATS = np.cumsum(np.random.default_rng(0).normal(0.9, 0.05, 1500))


def metadata(folder: Path) -> dict:
    start, front, body = (folder / "README.md").read_text().split("---\n", 2)
    assert start == "" and "# night" in body and "hf://OWNER/NAME" in body
    return yaml.safe_load(front)


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_the_folder_is_the_same_network(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if ending == "safetensors":
        pytest.importorskip("safetensors")
    else:
        monkeypatch.setattr(hub_folder, "find_spec", lambda name: None)
    assert export.main(["--format", "hub", "--out", str(tmp_path / "hub")]) == 0
    shipped, found = sleepkd.load("night"), sleepkd.load(tmp_path / "hub")
    assert found.trained.path.name == f"model.{ending}"
    np.testing.assert_array_equal(found.predict_beats(BEATS)[1], shipped.predict_beats(BEATS)[1])
    assert found.card == shipped.card and found.trained.trained_on == shipped.trained.trained_on
    found_metadata = metadata(tmp_path / "hub")
    assert found_metadata["library_name"] == "sleepkd" and "heart-rate" in found_metadata["tags"]
    (index,) = found_metadata["model-index"]
    kappas = {one["dataset"]["type"]: one["metrics"][0]["value"] for one in index["results"]}
    assert kappas == {score.cohort: score.kappa for score in shipped.card.main_scores} and len(kappas) == 2
    assert json.loads((tmp_path / "hub" / "config.json").read_text())["classes"] == ["W", "light", "deep", "REM"]


def test_safetensors_are_read_by_the_library_itself(tmp_path: Path) -> None:
    reader = pytest.importorskip("safetensors.torch")
    export.main(["--format", "hub", "--out", str(tmp_path)])
    weights = reader.load_file(tmp_path / "model.safetensors")
    expected = sleepkd.load("night").trained.network.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_a_damaged_file_of_safetensors_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(UserError, match=r"model\.safetensors: is damaged or not a checkpoint"):
        read_checkpoint(tmp_path / "model.safetensors")


def test_a_fitted_temperature_travels_with_the_weights(tmp_path: Path) -> None:
    model = replace(sleepkd.load("night"), temperature=1.5)
    hub_folder.write_hub_folder(model, tmp_path, "# night")
    assert sleepkd.load(tmp_path).temperature == 1.5


def test_folders_of_a_machine_are_not_published(tmp_path: Path) -> None:
    trained = sleepkd.load("night").trained
    config = {**trained.checkpoint.config, "runs_root": "/home/someone/runs"}
    config["data"] = {**config["data"], "nights": [{"store": "/home/someone/stores/mine"}, {"store": "theirs"}]}
    own = replace(trained, checkpoint=replace(trained.checkpoint, config=config))
    hub_folder.write_hub_folder(replace(sleepkd.load("night"), trained=own), tmp_path, "# night")
    assert not any(b"someone" in file.read_bytes() for file in tmp_path.iterdir())
    found = sleepkd.load(tmp_path).trained.config
    assert str(found.runs_root) == "runs" and [source.store for source in found.data.sources] == ["mine", "theirs"]


def test_inputs_cannot_be_left_out() -> None:
    with pytest.raises(UserError, match="--inputs: a folder for the hub holds the whole network"):
        export.main(["--format", "hub", "--out", "x", "--inputs", "beats"])
