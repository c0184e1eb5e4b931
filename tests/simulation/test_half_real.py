"""`sleepkd simulate --cardiac`: what half-real nights keep of real ones, and what `sleepkd prepare` reads of them."""

from pathlib import Path

import numpy as np
import pytest

from sleepkd import prepare
from sleepkd import simulate as command
from sleepkd.data.averaged_rate import RateDevice, averaged_rate
from sleepkd.data.hypnogram import Hypnogram
from sleepkd.data.store import Store
from sleepkd.errors import UserError
from sleepkd.simulation.half_real import states_of_hypnogram
from sleepkd.simulation.sleep_architecture import N2, REM, S3, S4, W


def prepared(folder: Path, dataset: str, *arguments: str) -> Path:
    """A store of two short simulated nights, which stand for real ones."""
    raw, store = folder / "raw", folder / "store"
    options = ["--nights", "2", "--hours", "0.5", "--channels", "beats", *arguments]
    assert command.main(["--out", str(raw), *options]) == 0
    assert prepare.main(["--dataset", dataset, "--raw", str(raw), "--out", str(store)]) == 0
    return store


def half_real(store: Path, dataset: str) -> Store:
    """The store prepared from the half-real nights of a store."""
    raw, out = store.parent / "half", store.parent / "half_store"
    options = ["--channels", "full", "--rate", "128", "--seed", "3"]
    assert command.main(["--cardiac", str(store), "--out", str(raw), *options]) == 0
    assert prepare.main(["--dataset", dataset, "--raw", str(raw), "--out", str(out), "--signals", "eog", "emg"]) == 0
    return Store(out)


def test_heartbeats_labels_and_subject_are_those_of_the_store_with_an_ecg_around_the_beats(tmp_path: Path) -> None:
    store = Store(prepared(tmp_path, "simulated_beats"))
    found = half_real(store.path, "simulated_on_beats")
    assert found.recordings == store.recordings
    for name in store.recordings:
        real, night = store.open(name), found.open(name)
        np.testing.assert_allclose(night.beats(), real.beats(), atol=1e-4)
        np.testing.assert_array_equal(night.hypnogram.labels, real.hypnogram.labels)
        np.testing.assert_allclose(night.hypnogram.onset_s, real.hypnogram.onset_s, atol=1e-3)
        assert night.info.subject == real.info.subject and night.info.standard == real.info.standard
        assert night.cadence_s() == 0
        assert set(night.info.signals) == {"eeg", "ecg", "eog", "emg"}
        signal = np.abs(night.signal("ecg").astype(float))
        peaks = np.round(np.asarray(real.beats()) * night.rate_hz).astype(int)
        peaks = peaks[(peaks > 5) & (peaks < len(signal) - 5)]
        at_beats = [signal[peak - 3 : peak + 4].max() for peak in peaks]
        assert np.median(at_beats) > 4 * np.median(signal)


def test_an_averaged_heart_rate_stays_one_and_has_no_ecg(tmp_path: Path) -> None:
    store = Store(prepared(tmp_path, "simulated_rate", "--device", "watch"))
    found = half_real(store.path, "simulated_on_rate")
    for name in store.recordings:
        real, night = store.open(name), found.open(name)
        assert set(night.info.signals) == {"eeg", "eog", "emg"}
        assert night.cadence_s() == pytest.approx(5, abs=0.5)
        device = RateDevice(30, 30, rounding=0)
        times, rate = averaged_rate(np.asarray(real.beats()), device)
        others, again = averaged_rate(np.asarray(night.beats()), device)
        _, a, b = np.intersect1d(times, others, return_indices=True)
        assert len(a) > 40 and np.median(np.abs(rate[a] - again[b])) < 0.5


def test_states_follow_the_labels_and_are_wake_outside_of_them() -> None:
    hypnogram = Hypnogram(np.array([20.0, 50, 80, 110]), np.full(4, 30.0), np.array([2, -1, 3, 4], dtype=np.int8))
    states = states_of_hypnogram(np.random.default_rng(0), hypnogram, 165.0)
    assert list(states[:8]) == [W, W, N2, N2, N2, N2, N2, N2]  # the unscored sleep epoch goes on with N2
    assert set(states[8:11]) <= {S3, S4} and list(states[11:]) == [REM, REM, REM, W, W, W]


@pytest.mark.parametrize("option", [("--nights", "3"), ("--hours", "7"), ("--device", "watch"), ("--apnea", "1")])
def test_an_option_of_simulated_sleepers_is_refused(tmp_path: Path, option: tuple[str, str]) -> None:
    with pytest.raises(UserError, match=f"{option[0]}.*--cardiac"):
        command.main(["--cardiac", str(tmp_path), "--out", str(tmp_path / "out"), *option])


def test_channels_without_signals_are_refused(tmp_path: Path) -> None:
    store = prepared(tmp_path, "simulated_beats")
    with pytest.raises(UserError, match="channels: must be one of needed, full"):
        command.main(["--cardiac", str(store), "--out", str(tmp_path / "out"), "--channels", "beats"])
