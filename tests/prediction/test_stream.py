"""Online staging gives the stages of the whole night, for chunks of any size."""

from pathlib import Path

import numpy as np
import pytest

import sleepkd
import train_ddp
from launch import tiny_night
from sleepkd.cohorts.signals.edf import EdfFile
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.prediction.model import Model
from sleepkd.prediction.stream import BeatStream, EcgStream
from sleepkd.settings import load_config

drawn = np.random.default_rng(2)
BEATS = np.cumsum(drawn.normal(0.95, 0.03, 6000))
BEATS = BEATS[(BEATS < 900) | (BEATS > 1150)]  # without heartbeats for four minutes
CAUSAL = ("model.causal=true", "data.normalisation=physical", "stage.inputs.beats={causal: true}")


def trained_checkpoint(store: Path, root: Path, *more: str) -> Path:
    config = load_config(["night_ecg", "beats"], [*tiny_night(store, root, train__epochs=2), *more])
    assert train_ddp.train(config, Processes("cpu")) == 0
    return config.run_directory / "best.pt"


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["no lookahead", "lookahead of a minute"])
def model(request: pytest.FixtureRequest, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    lookahead = f"model.lookahead_minutes={request.param}"
    return sleepkd.load(trained_checkpoint(store, tmp_path_factory.mktemp("runs"), *CAUSAL, lookahead))


@pytest.mark.parametrize("size", [1, 37, 6000])
def test_heartbeats_in_chunks_of_any_size_give_the_stages_of_the_night(model: Model, size: int) -> None:
    stream, found = BeatStream(model), []
    kept = []
    for first in range(0, len(BEATS), size):
        found += stream.feed(BEATS[first : first + size])
        kept.append(len(stream._beats))
    labels, probabilities = model.predict_beats(BEATS)
    lookahead_epochs = round(2 * model.trained.config.model.lookahead_minutes)
    assert len(found) == len(labels) - lookahead_epochs
    assert [stage.onset_s for stage in found] == [30.0 * k for k in range(len(found))]
    np.testing.assert_allclose([stage.probabilities for stage in found], probabilities[: len(found)], atol=1e-5)
    assert [stage.stage for stage in found] == labels[: len(found)]
    assert "unscored" in labels
    if size == 1:
        assert max(kept) < 600  # heartbeats of the receptive field, not of the night


def test_an_ecg_too_slow_for_r_peaks_is_rejected(model: Model) -> None:
    with pytest.raises(UserError, match="fs: an ECG of 25 Hz is too slow for R peaks"):
        EcgStream(model, 25)


def test_a_stage_arrives_when_its_sleep_epoch_ends(model: Model) -> None:
    stream = BeatStream(model)
    lookahead_s = 60 * model.trained.config.model.lookahead_minutes
    early = BEATS[29 + lookahead_s > BEATS]
    assert not stream.feed(early) and not stream.feed([], until_s=29.9 + lookahead_s)
    assert [stage.onset_s for stage in stream.feed([], until_s=30 + lookahead_s)] == [0.0]
    with pytest.raises(UserError, match="a beat at 1 s comes after one at"):
        stream.feed([1.0])


def test_a_network_that_is_not_causal_is_rejected(store: Path, tmp_path: Path) -> None:
    model = sleepkd.load(trained_checkpoint(store, tmp_path))
    with pytest.raises(UserError, match="needs a causal network"):
        BeatStream(model)


@pytest.mark.parametrize("size", [777, 90_000])
def test_an_ecg_in_chunks_of_any_size_gives_the_stages_of_the_night(model: Model, cohort: Path, size: int) -> None:
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
    lookahead_epochs = round(2 * model.trained.config.model.lookahead_minutes)
    assert len(found) == len(labels) - lookahead_epochs > 50
    np.testing.assert_allclose([stage.probabilities for stage in found], probabilities[: len(found)], atol=1e-5)
    assert [stage.stage for stage in found] == labels[: len(found)]
    if size == 777:
        assert max(kept) < 330


def test_beats_in_any_order_and_repeated_are_those_in_order(model: Model) -> None:
    parts = np.array_split(BEATS, 60)
    stream, ordered = BeatStream(model), BeatStream(model)
    expected = [stage for part in parts for stage in ordered.feed(part)]
    mixed = [np.concatenate([part[::-1], part[-2:]]) for part in parts]
    found = [stage for part in mixed for stage in stream.feed(part)]
    assert [stage.stage for stage in found] == [stage.stage for stage in expected]
    np.testing.assert_array_equal([s.probabilities for s in found], [s.probabilities for s in expected])


@pytest.mark.parametrize(
    ("times", "message"),
    [([1.7e9], "longer than 14 days"), ([-1.0], "before the start"), ([np.nan], "NaN"), ([[1, 2], [3, 4]], "shape")],
)
def test_times_that_a_stream_refuses(model: Model, times: list, message: str) -> None:
    with pytest.raises(UserError, match=message):
        BeatStream(model).feed(times)


@pytest.mark.parametrize("kind", ["nan", "zero"])
def test_an_ecg_with_a_lost_electrode_gives_the_stages_of_the_night(model: Model, cohort: Path, kind: str) -> None:
    (path,) = cohort.glob("SS1_EDF/01-01-0001 PSG.edf")
    file = EdfFile(path)
    index = next(i for i, label in enumerate(file.labels) if label.startswith("ECG"))
    ecg, fs = file.channel(index).samples.copy(), file.rates[index]
    ecg[round(500 * fs) : round(610 * fs)] = np.nan if kind == "nan" else 0
    stream = EcgStream(model, fs)
    found = [stage for part in np.array_split(ecg, 50) for stage in stream.feed(part)] + stream.end()
    labels, _ = model.predict(ecg, fs)
    assert [stage.stage for stage in found] == labels[: len(found)] and "unscored" in labels
