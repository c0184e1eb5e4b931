"""`sleepkd simulate`: the cohort it writes, its options and its errors."""

import subprocess
import sys

import numpy as np
import pytest

from launch import REPOSITORY
from sleepkd import prepare
from sleepkd import simulate as command
from sleepkd.data.averaged_rate import DEVICES, RateDevice, averaged_rate, beats_of_rate
from sleepkd.data.inputs import BeatsInput
from sleepkd.data.store import Store
from sleepkd.errors import UserError
from sleepkd.prediction.recorded import ReadingOptions, open_recording


def run_simulate(*arguments):
    line = [sys.executable, "-m", "sleepkd.simulate", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, cwd=REPOSITORY, check=False)


def test_writes_a_cohort_and_prints_its_folder(tmp_path):
    result = run_simulate(
        "--out", tmp_path / "raw", "--nights", 1, "--hours", 0.25, "--rate", 128, "--channels", "needed"
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert str(tmp_path / "raw") in result.stdout and "1 recordings of 0.25 h" in result.stdout
    assert (tmp_path / "raw" / "SS1_EDF" / "01-01-0001 PSG.edf").is_file()


@pytest.mark.parametrize(
    ("arguments", "word"), [(("--nights", 0), "nights"), (("--hours", 0.01), "hours"), (("--jobs", -2), "jobs")]
)
def test_error_is_one_line_with_exit_code_2(tmp_path, arguments, word):
    result = run_simulate("--out", tmp_path / "raw", *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1 and word in result.stderr
    assert not (tmp_path / "raw").exists()


def test_help_works_without_edfio_and_a_run_names_the_extra(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "edfio", None)
    with pytest.raises(SystemExit) as stop:
        command.main(["--help"])
    assert stop.value.code == 0 and "sleepkd simulate" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"edfio is not installed; pip install 'sleepkd\[evaluate\]'"):
        command.main(["--out", str(tmp_path / "raw")])


def test_heartbeats_and_scorings_without_signals_can_be_prepared(tmp_path):
    arguments = ["--nights", "3", "--hours", "4", "--channels", "beats", "--scorers", "3", "--apnea", "1"]
    assert command.main(["--out", str(tmp_path / "raw"), *arguments]) == 0
    assert not list(tmp_path.rglob("*PSG.edf"))
    out = ["--out", str(tmp_path / "store")]
    assert prepare.main(["--dataset", "simulated_beats", "--raw", str(tmp_path / "raw"), *out]) == 0
    for recording in (store := Store(tmp_path / "store")).recordings:
        night = store.open(recording)
        truth = np.load(tmp_path / "raw" / "truth" / f"{recording}.npz")
        np.testing.assert_allclose(night.beats(), truth["beats"], atol=1e-4)
        others = night.other_scorings()
        assert others.shape == (2, len(night.hypnogram)) and not night.info.signals
        scored = night.hypnogram.labels >= 0
        for labels in others:
            assert ((labels >= 0) == scored).all()
            assert 0.5 < (labels == night.hypnogram.labels)[scored].mean() < 1


@pytest.mark.parametrize("name", DEVICES)
def test_the_rate_of_a_device_can_be_prepared_and_opened_by_predict(tmp_path, name):
    raw, device = tmp_path / "raw", DEVICES[name]
    arguments = ["--nights", "2", "--hours", "1", "--channels", "beats", "--device", name]
    assert command.main(["--out", str(raw), *arguments]) == 0
    assert not list(raw.rglob("*Beats.csv")) and len(list(raw.rglob("*Rate.csv"))) == 2
    assert prepare.main(["--dataset", "simulated_rate", "--raw", str(raw), "--out", str(tmp_path / "store")]) == 0
    for recording in (store := Store(tmp_path / "store")).recordings:
        (path,) = raw.rglob(f"{recording} Rate.csv")
        times, per_minute = np.loadtxt(path, delimiter=",", skiprows=1).T
        assert np.median(np.diff(times)) == device.cadence_s and (per_minute == per_minute.round()).all()
        truth = np.load(raw / "truth" / f"{recording}.npz")["beats"]
        expected, exact = averaged_rate(truth, RateDevice(device.window_s, device.cadence_s, 0, device.lag_s))
        known = dict(zip(expected, exact, strict=True))
        near = np.abs(per_minute - [known[time] for time in times])
        assert np.median(near) <= 0.5 and (near <= 0.501).mean() > 0.9  # but for repeated values
        night = store.open(recording)
        np.testing.assert_allclose(night.beats(), beats_of_rate(times, per_minute), atol=1e-4)
        assert (night.hypnogram.labels >= 0).any() and not night.info.signals
        opened = open_recording(path, {"beats": BeatsInput()}, ReadingOptions()).night
        np.testing.assert_allclose(np.diff(opened.beats()), np.diff(night.beats()), atol=1e-3)


def test_the_rate_of_a_device_beside_signals(tmp_path):
    arguments = ["--nights", "1", "--hours", "0.25", "--rate", "128", "--channels", "needed"]
    assert command.main(["--out", str(tmp_path / "plain"), *arguments]) == 0
    assert command.main(["--out", str(tmp_path / "both"), *arguments, "--device", "watch"]) == 0
    plain, both = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("plain", "both")
    )
    assert {path.name for path in set(both) - set(plain)} == {"01-01-0001 Rate.csv"}
    assert all(both[path] == content for path, content in plain.items() if path.suffix != ".npz")


def test_population_options_and_their_errors(tmp_path):
    path = tmp_path / "population.yaml"
    path.write_text("apnea_share: 0\nfibrillation_share: 1\n")
    arguments = ["--nights", "5", "--hours", "0.5", "--channels", "beats", "--population", str(path)]
    assert command.main(["--out", str(tmp_path / "raw"), *arguments, "--difficulty", "0.5"]) == 0
    rows = [line.split("\t") for line in (tmp_path / "raw" / "participants.tsv").read_text().splitlines()]
    index = rows[0].index("apnea_index")
    assert all(float(row[index]) < 5 for row in rows[1:])
    for more, message in (
        (["--apnea", "2"], "apnea_share: must be from 0 to 1"),
        (["--scorers", "0"], "scorers: must be"),
    ):
        with pytest.raises(UserError, match=message):
            command.main(["--out", str(tmp_path / "other"), "--nights", "1", "--channels", "beats", *more])
