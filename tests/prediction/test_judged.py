"""What a recording holds, the kappa measured on such input, warnings, and the choice between networks that ship."""

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sleepkd
from launch import REPOSITORY
from sleepkd import predict
from sleepkd.checkpoints import shipped as shipped_networks
from sleepkd.cohorts.recording import Recording
from sleepkd.cohorts.signals.derivation import DerivedSignal
from sleepkd.prediction import model
from sleepkd.prediction.card import AVERAGED, ECG, HEARTBEATS, CardScore, ModelCard, write_card
from sleepkd.prediction.judged import GivenInput, given_input, judged_input

ON_BEATS = CardScore("slpdb", HEARTBEATS, 4, 12, 0.36, None, 0.3, 0.42)
ON_5_S = CardScore("sleep_accel", AVERAGED, 4, 23, 0.46, 5.0)
ON_30_S = CardScore("sleep_accel", AVERAGED, 4, 23, 0.2, 30.0)
SIMULATED_ECG = CardScore("simulated", ECG, 4, 40, 0.5, real=False)
CARD = ModelCard(scores=(ON_BEATS, ON_5_S, ON_30_S, SIMULATED_ECG))
SHIPPED = shipped_networks.shipped_checkpoint()


def test_the_input_of_a_recording() -> None:
    ecg = DerivedSignal(np.zeros(500), 250.0, "ECG", "mV")
    assert given_input(Recording(Path("a"), 2.0, {"ecg": ecg})).text == "ECG at 250 Hz"
    assert given_input(Recording(Path("a"), 2.0, {"eeg": ecg})).text == "EEG at 250 Hz"
    beats = Recording(Path("a"), 9.0, beats=np.arange(10.0))
    assert given_input(beats) == GivenInput(HEARTBEATS) and given_input(beats).text == "heartbeats"
    averaged = given_input(replace(beats, cadence_s=4.99))
    assert averaged == GivenInput(AVERAGED, 4.99) and averaged.text == "heart rate averaged every 5 s"


@pytest.mark.parametrize(
    ("given", "scores", "warning"),
    [
        (GivenInput(HEARTBEATS), (ON_BEATS,), ""),
        (GivenInput(AVERAGED, 5.3), (ON_5_S,), ""),
        (
            GivenInput(AVERAGED, 29.8),
            (ON_30_S,),
            "kappa of the network on this input (heart rate averaged every 30 s) is",
        ),
        (GivenInput(AVERAGED, 300.0), (), "was never evaluated on this input (heart rate averaged every 300 s)"),
        (GivenInput(ECG, rate_hz=250.0), (SIMULATED_ECG,), "of simulated nights only: kappa 0.50"),
    ],
)
def test_a_low_or_unknown_kappa_is_warned_of(given: GivenInput, scores: tuple[CardScore, ...], warning: str) -> None:
    judged = judged_input(CARD, given)
    assert judged.scores == scores
    assert warning in judged.warning and bool(judged.warning) == bool(warning)
    assert judged.facts["warning"] == (judged.warning or None) and judged.facts["input"] == given.text


def test_the_threshold_is_0_3() -> None:
    for kappa, is_poor in ((0.3, False), (0.299, True)):
        assert (
            bool(judged_input(ModelCard(scores=(replace(ON_BEATS, kappa=kappa),)), GivenInput(HEARTBEATS)).warning)
            == is_poor
        )


def test_a_network_without_a_card_gives_no_warning() -> None:
    judged = judged_input(ModelCard(), GivenInput(HEARTBEATS))
    assert (judged.warning, judged.measured, judged.scores) == ("", "", ())


def test_an_ecg_is_heartbeats_to_a_network_of_heartbeats() -> None:
    judged = judged_input(CARD, GivenInput(ECG, rate_hz=250.0), reads_ecg=False)
    assert judged.scores == (ON_BEATS,) and judged.given.text == "ECG at 250 Hz"


def with_card(*scores: CardScore, others: tuple[model.Model, ...] = ()) -> model.Model:
    return replace(sleepkd.load("night"), card=ModelCard(scores=scores), others=others)


def test_the_network_with_the_highest_kappa_on_such_input_is_chosen() -> None:
    beats = with_card(ON_BEATS, replace(ON_5_S, kappa=0.1))
    unknown, simulated = with_card(), with_card(SIMULATED_ECG)
    default = with_card(replace(ON_BEATS, kappa=0.2), ON_5_S, others=(beats, unknown, simulated))
    assert default.best_for(GivenInput(HEARTBEATS)) is beats
    assert default.best_for(GivenInput(AVERAGED, 5.0)) is default
    assert default.best_for(GivenInput(ECG)) is beats  # these networks read the heartbeats of an ECG
    assert default.best_for(GivenInput(AVERAGED, 60.0)) is default  # none was evaluated on it
    poor = with_card(replace(ON_BEATS, kappa=-0.1), others=(with_card(replace(SIMULATED_ECG, input=HEARTBEATS)),))
    assert poor.best_for(GivenInput(HEARTBEATS)) is poor  # real nights count before simulated ones


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two networks that ship: `night` is better on heartbeats, `watch` on averaged heart rate."""
    scores = {
        "night": (ON_BEATS, replace(ON_5_S, kappa=0.2)),
        "watch": (replace(ON_BEATS, kappa=0.2), ON_5_S),
    }
    for name, found in scores.items():
        folder = tmp_path / "weights" / name
        folder.mkdir(parents=True)
        shutil.copyfile(SHIPPED, folder / f"{name}.pt")
        write_card(ModelCard(name, trained_on=f"Trained for {name}.", scores=found), folder)
    monkeypatch.setattr(shipped_networks, "WEIGHTS", tmp_path / "weights")
    return tmp_path


def beats_of(rng: np.random.Generator) -> np.ndarray:
    return np.cumsum(rng.normal(0.95, 0.03, 2000))


def test_predict_states_the_input_and_chooses_the_network(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    np.savetxt(shipped / "rr.csv", np.diff(beats_of(rng)), fmt="%.3f", header="rr", comments="")
    for name, row_s in (("watch", 5), ("slow", 60)):
        table = np.stack([row_s * np.arange(2400 // row_s), rng.normal(60, 4, 2400 // row_s).round()], axis=1)
        np.savetxt(shipped / f"{name}.csv", table, fmt="%g", delimiter=",", header="time,hr", comments="")
    files = [str(shipped / name) for name in ("rr.csv", "watch.csv", "slow.csv")]
    out = shipped / "out"
    assert predict.main([*files, "--out", str(out)]) == 0
    summaries = {name: json.loads((out / name / "summary.json").read_text()) for name in ("rr", "watch", "slow")}
    assert {name: (summary["model"], summary["input"]) for name, summary in summaries.items()} == {
        "rr": ("night.pt", "heartbeats"),
        "watch": ("watch.pt", "heart rate averaged every 5 s"),
        "slow": ("night.pt", "heart rate averaged every 60 s"),
    }
    assert [entry["kappa"] for entry in summaries["rr"]["measured_on_such_input"]] == [0.36]
    assert summaries["slow"]["measured_on_such_input"] == [] and summaries["rr"]["warning"] is None
    printed = capsys.readouterr().err
    assert (
        f"{files[0]}: input: heartbeats; kappa on such input: 0.36 (0.30 to 0.42; slpdb, 12 nights, 4 classes)"
        in printed
    )
    (warned,) = [line for line in printed.splitlines() if "WARNING" in line]
    assert warned == f"WARNING: {files[2]}: {summaries['slow']['warning']}" and "never evaluated" in warned
    page = (out / "index.html").read_text()
    assert page.count("Trained for night.") == page.count("Trained for watch.") == 1
    assert "heart rate averaged every 5 s" in page and page.count("WARNING: the network was never evaluated") == 1
    assert predict.main([*files, "--out", str(shipped / "named"), "--checkpoint", "watch"]) == 0
    named = [json.loads(path.read_text())["model"] for path in (shipped / "named").glob("*/summary.json")]
    assert named == ["watch.pt"] * 3


def test_predict_beats_recognises_an_averaged_rate_and_warns(shipped: Path) -> None:
    rng = np.random.default_rng(1)
    loaded = sleepkd.load()
    assert [one.trained.path.stem for one in (loaded, *loaded.others)] == ["night", "watch"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded.predict_beats(beats_of(rng))
    every_minute = np.cumsum(np.repeat(rng.uniform(0.8, 1.1, 40), 60))
    with pytest.warns(UserWarning, match=r"never evaluated on this input \(heart rate averaged every 5\d s\)"):
        loaded.predict_beats(every_minute)


def test_the_rate_of_a_real_watch_is_recognised(tmp_path: Path) -> None:
    path = REPOSITORY.parent / "shared" / "data" / "sleep_accel" / "heart_rate" / "8692923_heartrate.txt"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    assert predict.main([str(path), "--beats", "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / path.stem / "summary.json").read_text())
    assert summary["input"] == "heart rate averaged every 5 s"
