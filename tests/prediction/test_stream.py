"""A night staged as it goes on is the night staged at once."""

from pathlib import Path

import numpy as np
import pytest
from launch import tiny_night

import sleepkd
import train_ddp
from sleepkd.cohorts.signals.edf import EdfFile
from sleepkd.settings import load_config
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.prediction.model import Model
from sleepkd.prediction.stream import BeatStream, EcgStream

drawn = np.random.default_rng(2)
BEATS = np.cumsum(drawn.normal(0.95, 0.03, 6000))
BEATS = BEATS[(BEATS < 900) | (BEATS > 1150)]  # a strap that came off for four minutes
CAUSAL = ("model.causal=true", "data.normalisation=physical", "stage.inputs.beats={causal: true}")


def trained(store: Path, root: Path, *more: str) -> Path:
    config = load_config(["night_ecg", "beats"], [*tiny_night(store, root, train__epochs=2), *more])
    assert train_ddp.train(config, Processes("cpu")) == 0
    return config.run_directory / "best.pt"


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["at once", "a minute later"])
def model(request: pytest.FixtureRequest, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    ahead = f"model.lookahead_minutes={request.param}"
    return sleepkd.load(trained(store, tmp_path_factory.mktemp("runs"), *CAUSAL, ahead))


@pytest.mark.parametrize("size", [1, 37, 6000])
def test_chunks_of_any_size_give_the_night_s_answers(model: Model, size: int) -> None:
    stream, found = BeatStream(model), []
    kept = []
    for first in range(0, len(BEATS), size):
        found += stream.feed(BEATS[first : first + size])
        kept.append(len(stream._beats))
    labels, probabilities = model.predict_beats(BEATS)
    ahead = round(2 * model.trained.config.model.lookahead_minutes)
    assert len(found) == len(labels) - ahead
    assert [stage.onset_s for stage in found] == [30.0 * k for k in range(len(found))]
    np.testing.assert_allclose([stage.probabilities for stage in found], probabilities[: len(found)], atol=1e-5)
    assert [stage.stage for stage in found] == labels[: len(found)]
    assert "unscored" in labels
    if size == 1:
        assert max(kept) < 600  # what the network sees behind it, not the night


def test_an_ecg_too_slow_for_r_peaks_is_refused(model: Model) -> None:
    with pytest.raises(UserError, match="fs: an ECG of 25 Hz is too slow for R peaks"):
        EcgStream(model, 25)


def test_an_answer_comes_when_its_sleep_epoch_ends(model: Model) -> None:
    stream = BeatStream(model)
    ahead = 60 * model.trained.config.model.lookahead_minutes
    early = BEATS[29 + ahead > BEATS]
    assert not stream.feed(early) and not stream.feed([], until_s=29.9 + ahead)
    assert [stage.onset_s for stage in stream.feed([], until_s=30 + ahead)] == [0.0]
    with pytest.raises(UserError, match="a beat at 1 s comes after one at"):
        stream.feed([1.0])


def test_a_network_that_looks_ahead_is_refused(store: Path, tmp_path: Path) -> None:
    model = sleepkd.load(trained(store, tmp_path))
    with pytest.raises(UserError, match="is not causal"):
        BeatStream(model)


@pytest.mark.parametrize("size", [777, 90_000])
def test_an_ecg_in_chunks_gives_the_stages_of_the_whole(model: Model, cohort: Path, size: int) -> None:
    (path,) = cohort.glob("SS1_EDF/01-01-0001 PSG.edf")
    file = EdfFile(path)
    index = next(i for i, label in enumerate(file.labels) if label.startswith("ECG"))
    ecg, fs = file.channel(index).samples, file.rates[index]
    stream, found, kept = EcgStream(model, fs, polarity=-1), [], []
    for first in range(0, len(ecg), size):
        found += stream.feed(-ecg[first : first + size])
        kept.append(len(stream._kept) / fs)
    found += stream.end()
    labels, probabilities = model.predict(ecg, fs)
    ahead = round(2 * model.trained.config.model.lookahead_minutes)
    assert len(found) == len(labels) - ahead > 50
    np.testing.assert_allclose([stage.probabilities for stage in found], probabilities[: len(found)], atol=1e-5)
    assert [stage.stage for stage in found] == labels[: len(found)]
    if size == 777:
        assert max(kept) < 330
