"""Sensors of a simulated cohort: the files of `sleepkd simulate --sensors`, and `prepare`, which reads them."""

from pathlib import Path

import numpy as np
import pytest
from edfio import read_edf

from sleepkd import prepare
from sleepkd import simulate as command
from sleepkd.data.recording_info import MISSING
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.data.store import Store
from sleepkd.errors import UserError
from sleepkd.simulation.cohort import write_cohort
from sleepkd.simulation.sensor_channels import CHANNELS_OF_SENSORS, SENSOR_KINDS

SEED = "3"  # whose nights all move
OPTIONS = ["--nights", "2", "--hours", "0.25", "--rate", "128", "--channels", "needed", "--apnea", "1", "--seed", SEED]
LABELS = ["Resp Belt Thor", "Resp Belt Abdo", "Resp Cannula", "SaO2 SaO2", "Pleth"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sensors") / "raw"
    assert command.main(["--out", str(out), *OPTIONS, "--sensors", *SENSOR_KINDS]) == 0
    return out


def test_every_sensor_is_a_kind_of_signal_and_has_the_name_of_its_channel(raw: Path) -> None:
    assert set(SENSOR_KINDS) <= set(SIGNAL_KINDS)
    for path in raw.rglob("*PSG.edf"):
        signals = read_edf(path).signals
        assert [signal.label for signal in signals][-5:] == LABELS
        for signal, channel in zip(signals[-5:], CHANNELS_OF_SENSORS.values(), strict=True):
            assert (signal.sampling_frequency, signal.physical_dimension) == (channel.rate, channel.unit)
            assert len(signal.data) == 900 * channel.rate and signal.data.std() > 0


def test_sensors_change_no_other_file_and_no_other_signal(raw: Path, tmp_path: Path) -> None:
    assert command.main(["--out", str(tmp_path / "plain"), *OPTIONS]) == 0
    plain = {path.relative_to(tmp_path / "plain"): path for path in (tmp_path / "plain").rglob("*.*")}
    both = {path.relative_to(raw): path for path in raw.rglob("*.*")}
    assert {path.name[11:] for path in set(both) - set(plain)} == {"Activity.csv"}
    for name, path in plain.items():
        if path.suffix == ".npz":
            without, found = np.load(path), np.load(both[name])
            assert set(found) - set(without) == {"apneas", "central"}
            assert all((without[key] == found[key]).all() for key in without)
        elif path.name.endswith("PSG.edf"):
            without, found = read_edf(path).signals, read_edf(both[name]).signals
            assert all((a.digital == b.digital).all() for a, b in zip(without, found[:-5], strict=True))
        else:
            assert path.read_bytes() == both[name].read_bytes()


def test_one_sensor_has_the_same_samples_as_among_all(raw: Path, tmp_path: Path) -> None:
    assert command.main(["--out", str(tmp_path / "one"), *OPTIONS, "--sensors", "spo2", "thorax"]) == 0
    for path in (tmp_path / "one").rglob("*PSG.edf"):
        found, expected = (read_edf(p) for p in (path, raw / path.relative_to(tmp_path / "one")))
        assert [signal.label for signal in found.signals][-2:] == ["Resp Belt Thor", "SaO2 SaO2"]
        for label in ("Resp Belt Thor", "SaO2 SaO2"):
            assert (found.get_signal(label).digital == expected.get_signal(label).digital).all()


def test_prepare_reads_every_sensor_of_the_cohort(raw: Path, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "store"), "--signals", *SENSOR_KINDS]
    assert prepare.main(["--dataset", "mass", "--raw", str(raw), *out]) == 0
    for recording in (store := Store(tmp_path / "store")).recordings:
        info = store.info(recording)
        assert set(SENSOR_KINDS) <= set(info.signals)
        (path,) = raw.rglob(f"{recording} Activity.csv")
        counts = np.loadtxt(path, delimiter=",", skiprows=1)[:, 1]
        motion, spo2 = (physical(store, recording, kind) for kind in ("motion", "spo2"))
        # Every 5 s holds the count of the 30 s around it; the stored steps are finer than a thousandth of the largest.
        assert len(counts) == 30 and motion.reshape(30, -1).mean(axis=1) == pytest.approx(counts, abs=0.02)
        assert 85 < np.nanmedian(spo2) <= 100
        assert (info.signals["spo2"].unit, info.signals["thorax"].unit) == ("%", "uV")


def physical(store: Store, recording: str, kind: str) -> np.ndarray:
    """A stored signal in its unit, NaN for a missing sample."""
    signal, stored = store.info(recording).signals[kind], store.open(recording).signal(kind)
    return np.where(stored == MISSING, np.nan, signal.scale * stored + signal.offset)


def test_activity_beside_heartbeats_without_signals(tmp_path: Path) -> None:
    options = ["--nights", "2", "--hours", "0.5", "--channels", "beats", "--sensors", "motion", "--seed", SEED]
    assert command.main(["--out", str(tmp_path / "raw"), *options]) == 0
    out = ["--out", str(tmp_path / "store"), "--signals", "motion"]
    assert prepare.main(["--dataset", "simulated_beats", "--raw", str(tmp_path / "raw"), *out]) == 0
    for recording in (store := Store(tmp_path / "store")).recordings:
        assert store.info(recording).beats and set(store.info(recording).signals) == {"motion"}


def test_errors_name_the_option(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="sensors: ppg does not go with channels beats"):
        write_cohort(tmp_path / "raw", 1, 0.25, 0, channels="beats", sensors=["motion", "ppg"])
    with pytest.raises(UserError, match=r"sensors: must be of .*; is 'wind'"):
        write_cohort(tmp_path / "raw", 1, 0.25, 0, sensors=["wind"])
    with pytest.raises(UserError, match="--sensors: does not go with --cardiac"):
        command.main(["--out", str(tmp_path / "raw"), "--cardiac", str(tmp_path), "--sensors", "ppg"])
    assert not (tmp_path / "raw").exists()
