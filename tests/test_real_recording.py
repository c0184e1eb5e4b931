"""A real excerpt of a night (DREAMS): prepare, evaluate, fine-tune. Skipped if the file is absent."""

import json
from pathlib import Path

import pytest

import train_ddp
from launch import REPOSITORY, tiny
from sleepkd import prepare
from sleepkd.checkpoints.checkpoint import read_checkpoint
from sleepkd.checkpoints.trained import load_trained
from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.distributed import Processes
from sleepkd.evaluation.held_out import evaluation_nights
from sleepkd.evaluation.inference import evaluate_network
from sleepkd.evaluation.report_files import draw_run
from sleepkd.evaluation.results import write_run
from sleepkd.evaluation.runs import EvaluatedRun, EvaluationProtocol
from sleepkd.settings import load_config

DREAMS = REPOSITORY.parent / "shared" / "data" / "dreams_excerpt3"
pytestmark = pytest.mark.skipif(not DREAMS.is_dir(), reason=f"the DREAMS excerpt is not at {DREAMS}")


@pytest.fixture(scope="module")
def dreams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dreams") / "store"
    assert prepare.main(["--dataset", "dreams", "--raw", str(DREAMS), "--out", str(out), "--rate", "64"]) == 0
    return out


@pytest.mark.parametrize("stage", ["eeg_base", "ecg_base"])
def test_a_network_of_simulated_nights_is_evaluated_and_fine_tuned_on_it(
    stage: str, store: Path, dreams: Path, tmp_path: Path
) -> None:
    config = load_config([stage], tiny(store, tmp_path, data__classes=4))
    train_ddp.train(config, Processes("cpu"))
    trained = load_trained(config.run_directory / "best.pt")

    network = evaluate_network(trained, evaluation_nights(trained, [str(dreams)], "all"), Processes("cpu"))
    run = EvaluatedRun(stage, stage, tmp_path / "results", trained)
    draw_run(write_run(run, network, EvaluationProtocol("all")))
    metrics = json.loads((tmp_path / "results" / "metrics.json").read_text())
    # 90 sleep epochs of 20 s: W 8, S1 22, S2 56, S3 4; the first (S1) and the last (S2) are dropped
    support = {name: metrics["overall"]["per_class"][name]["support"] for name in CLASS_NAMES[4]}
    assert support == {"W": 8, "light": 76, "deep": 4, "REM": 0}
    assert metrics["by_standard"].keys() == {"rk"}
    assert (tmp_path / "results" / "hypnograms" / "excerpt3.png").is_file()

    overrides = tiny(dreams, tmp_path, data__classes=4, train__batch_size=32, train__validate_every=0)
    tuned = load_config([stage], [*overrides, "stage.name=tuned", f"stage.start_from={trained.path}"])
    assert train_ddp.train(tuned, Processes("cpu")) == 0
    before, after = trained.checkpoint.model, read_checkpoint(tuned.run_directory / "last.pt").model
    assert any(not before[name].equal(after[name]) for name in before)
