"""Model.predict of pandas frames and series: RR intervals, heart rate, samples, by the column and the index."""

import numpy as np
import pandas as pd
import pytest

import sleepkd
from sleepkd.errors import UserError
from sleepkd.prediction.memory.frames import as_frame, beats_of_frame, frame_holds_beats, signals_of_frame
from sleepkd.prediction.model import Model

RNG = np.random.default_rng(0)
RR = 0.9 + 0.05 * np.sin(np.arange(2500) / 50) + 0.02 * RNG.standard_normal(2500)
ENDS = np.cumsum(RR)
CLOCK = pd.Timestamp("2024-01-31 23:40") + pd.to_timedelta(ENDS, unit="s")


@pytest.fixture(scope="module")
def model() -> Model:
    return sleepkd.load()


@pytest.mark.parametrize(
    "given",
    [
        pd.Series(RR, CLOCK, name="rr"),
        pd.Series(1000 * RR, CLOCK.tz_localize("Europe/Paris"), name="RR [ms]"),
        pd.Series(RR, pd.to_timedelta(ENDS, unit="s"), name="ibi"),
        pd.Series(RR, ENDS, name="nn"),
        pd.Series(1000 * RR, name="rr"),
        pd.DataFrame({"RR": RR, "temperature": 36.5}, CLOCK),
    ],
    ids=["dates", "zone and ms", "durations", "seconds", "without times", "of several columns"],
)
def test_rr_intervals_are_the_same_beats_with_every_index(given: pd.DataFrame | pd.Series) -> None:
    frame = as_frame(given)
    assert frame_holds_beats(frame, None)
    found = beats_of_frame(frame, None)
    assert found.cadence_s == 0
    np.testing.assert_allclose(np.diff(found.beats), RR, atol=2e-3)


def test_the_clock_of_an_index_is_the_start_of_the_night(model: Model) -> None:
    paris = model.predict(pd.Series(RR, CLOCK.tz_localize("Europe/Paris"), name="rr"))
    assert abs(paris.start - CLOCK[0].to_pydatetime(warn=False)).total_seconds() < 1.5 and paris.start.tzinfo is None
    utc = model.predict(pd.Series(RR, CLOCK.tz_localize("UTC"), name="rr"))
    assert utc.start.utcoffset().total_seconds() == 0
    assert str(utc.hypnogram.hypno.index.tz) == "UTC"


def test_a_heart_rate_is_averaged_with_its_cadence(model: Model) -> None:
    times = pd.date_range("2024-01-31 23:00", periods=400, freq="5s")
    night = model.predict(pd.Series(np.round(60 + 5 * np.sin(np.arange(400) / 7)), times))
    assert night.judged.given.text == "heart rate averaged every 5 s"
    assert night.start == times[0]


def test_samples_are_read_at_the_times_of_the_index_and_jumps_are_missing() -> None:
    rate = 256
    ecg = RNG.standard_normal(60 * rate)
    times = pd.Timestamp("2024-01-31 23:00") + pd.to_timedelta(np.arange(len(ecg)) / rate, unit="s")
    frame = pd.DataFrame({"ECG": ecg, "device": "x"}, times.round("ms"))  # ms do not divide 1 s into 256
    frame = frame.drop(frame.index[20 * rate : 30 * rate])
    assert not frame_holds_beats(frame, None)
    signals = signals_of_frame(frame, None)
    assert list(signals.labels) == ["ECG"] and signals.rates[0] == pytest.approx(rate, rel=1e-4)
    read = signals.read(0)
    missing = np.flatnonzero(np.isnan(read))
    assert len(read) == pytest.approx(60 * rate, abs=2)
    assert (missing[0], missing[-1] + 1) == (pytest.approx(20 * rate, abs=2), pytest.approx(30 * rate, abs=2))
    np.testing.assert_array_equal(read[: 20 * rate], ecg[: 20 * rate])
    assert (signals.start().date.isoformat(), signals.start().time.hour) == ("2024-01-31", 23)


@pytest.mark.parametrize(
    ("given", "fs", "message"),
    [
        (pd.Series(RR, name="ecg"), None, "has no index of times; give fs"),
        (pd.DataFrame({"a": RR, "b": RR}), None, "none of its columns is one of beats: a, b"),
        (pd.DataFrame({"rr_chest": RR, "rr_wrist": 2 * RR}), None, "several columns of RR .*channel= names the one"),
        (
            pd.Series(RR, pd.date_range("2024", periods=2500, freq="4ms"), name="ecg"),
            100,
            "fs 100: its times are.* 250",
        ),
        (pd.Series([], dtype=float, name="rr"), None, "holds no rows"),
        (pd.Series(RR, CLOCK[:-1].append(pd.DatetimeIndex([pd.NaT])), name="rr"), None, "1 missing times"),
    ],
)
def test_frames_that_are_refused_in_a_line(model: Model, given: object, fs: float | None, message: str) -> None:
    with pytest.raises(UserError, match=f"^the frame: .*{message}"):
        model.predict(given, fs)


def test_a_named_column_is_read(model: Model) -> None:
    frame = pd.DataFrame({"rr_chest": RR, "rr_wrist": 2 * RR}, CLOCK)
    assert model.predict(frame, channel="rr_chest").stages == model.predict(frame["rr_chest"].rename("rr")).stages
