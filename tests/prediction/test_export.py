"""sleepkd export: ONNX and torch.export files that agree with PyTorch, with metadata and a model card."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import sleepkd
import train_ddp
from launch import REPOSITORY, tiny_night
from sleepkd import export
from sleepkd.checkpoints.temperature import write_temperature
from sleepkd.checkpoints.trained import load_trained
from sleepkd.cohorts.signals.edf import EdfFile
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.prediction import onnx_file
from sleepkd.settings import load_config

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = load_config(["night_ecg"], tiny_night(store, tmp_path_factory.mktemp("runs"), train__epochs=2))
    assert train_ddp.train(config, Processes("cpu")) == 0
    path = config.run_directory / "best.pt"
    write_temperature(path, {"temperature": 1.5})
    return path


def test_onnxruntime_gives_the_logits_of_pytorch_for_any_length(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "model.onnx"
    assert export.main(["--checkpoint", str(checkpoint), "--out", str(path)]) == 0
    onnx.checker.check_model(onnx.load(path))
    session, network = onnxruntime.InferenceSession(path), load_trained(checkpoint).network
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == ["W", "NREM", "REM"] and float(metadata["temperature"]) == 1.5
    specs = json.loads(metadata["inputs"])
    assert set(specs) == {"ecg", "beats"} and specs["ecg"]["samples_per_token"] == 640
    for tokens in (2, 90, 5000):
        inputs = {
            name: torch.randn(1, 1, *([3] if of["channels"] == 3 else []), of["samples_per_token"] * tokens)
            for name, of in specs.items()
        }
        with torch.no_grad():
            expected = network(inputs).numpy()
        (found,) = session.run(None, {name: x.numpy() for name, x in inputs.items()})
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert (found.argmax(-1) == expected.argmax(-1)).all()
    assert "Not a medical device." in path.with_suffix(".md").read_text()
    beside = json.loads(Path(f"{path}.json").read_text())
    assert beside["inputs"] == specs and beside["temperature"] == 1.5 and beside["token_seconds"] == 10


def test_the_exported_file_stages_a_night_without_sleepkd(checkpoint: Path, cohort: Path, tmp_path: Path) -> None:
    """examples/onnx_only.py runs where sleepkd cannot be imported."""
    model = tmp_path / "model.onnx"
    assert export.main(["--checkpoint", str(checkpoint), "--out", str(model)]) == 0
    script = tmp_path / "onnx_only.py"
    script.write_bytes((REPOSITORY / "examples" / "onnx_only.py").read_bytes())
    block = "import runpy, sys; sys.modules['sleepkd'] = None; del sys.argv[0]"
    command = [sys.executable, "-I", "-c", f"{block}; runpy.run_path(sys.argv[0], run_name='__main__')", script, model]

    def staged(source: Path) -> np.ndarray:
        done = subprocess.run([*command, source], cwd=tmp_path, capture_output=True, text=True, check=True)
        header, *lines = done.stdout.splitlines()
        assert header == "onset,stage,p_W,p_NREM,p_REM"
        return np.array([[float(x) for x in line.split(",")[2:]] for line in lines])

    beats = np.load(cohort / "truth" / "01-01-0001.npz")["beats"]
    np.savetxt(tmp_path / "beats.csv", beats)
    _, expected = sleepkd.load(checkpoint).predict_beats(beats - beats[0])
    np.testing.assert_allclose(staged(tmp_path / "beats.csv"), expected, atol=2e-3)
    (psg,) = cohort.glob("SS1_EDF/01-01-0001 PSG.edf")
    file = EdfFile(psg)
    index = next(i for i, label in enumerate(file.labels) if label.startswith("ECG"))
    _, expected = sleepkd.load(checkpoint).predict(file.channel(index).samples, file.rates[index])
    found = staged(psg)  # detects R peaks by another rule
    assert len(found) == len(expected) and np.abs(found - expected).mean() < 0.03


def test_int8_reports_its_kappa_beside_that_of_float32(
    checkpoint: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.onnx"
    arguments = ["--checkpoint", str(checkpoint), "--out", str(path), "--int8", "--store", str(store)]
    assert export.main(arguments) == 0
    assert re.search(r"MB \(float32: .*kappa \S+ \(\S+\) on 1 validation nights", capsys.readouterr().out)
    operations = {node.op_type for node in onnx.load(path).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operations


def test_a_torch_export_file_gives_the_logits_of_the_network(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    assert export.main(["--checkpoint", str(checkpoint), "--out", str(path), "--format", "torch"]) == 0
    inputs = {"ecg": torch.randn(1, 1, 640 * 77), "beats": torch.randn(1, 1, 3, 40 * 77)}
    with torch.no_grad():
        expected = load_trained(checkpoint).network(inputs)
        torch.testing.assert_close(torch.export.load(path).module()(inputs), expected, atol=1e-5, rtol=1e-4)


def test_a_file_that_differs_from_pytorch_is_deleted(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file.check_onnx, "__defaults__", (-1.0,))
    path = tmp_path / "model.onnx"
    with pytest.raises(UserError, match=r"differs from PyTorch by .*; the file is deleted"):
        export.main(["--checkpoint", str(checkpoint), "--out", str(path)])
    assert not path.exists() and not Path(f"{path}.json").exists()


def test_mistakes_are_one_line(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = ["--checkpoint", str(checkpoint), "--out", str(tmp_path / "m.onnx")]
    with pytest.raises(UserError, match="--int8: needs --format onnx and a --store"):
        export.main([*out, "--int8"])
    with pytest.raises(UserError, match=r"gone.json: no such file"):
        export.main([*out, "--metrics", str(tmp_path / "gone.json")])
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"onnxscript is not installed; pip install 'sleepkd\[export\]'"):
        export.main(out)
    assert not (tmp_path / "m.onnx").exists()
