"""sleepkd predict on recordings of days: which night is staged, and its date in every output."""

import datetime
import gzip
import json
import re
from pathlib import Path

import edfio
import numpy as np
import pytest

from launch import REPOSITORY
from sleepkd import predict
from sleepkd.cohorts.beats.which_night import NightSpan
from sleepkd.cohorts.clock import Start, moment_of
from sleepkd.cohorts.recording import Recording
from sleepkd.cohorts.signals.derivation import DerivedSignal
from sleepkd.data.store import Night
from sleepkd.errors import UserError
from sleepkd.prediction.chosen_nights import nights_of, part_of
from sleepkd.prediction.model import Model
from sleepkd.prediction.staged import StagedNight

DATA = REPOSITORY.parent / "shared" / "data"
EVENING = datetime.datetime(2024, 3, 8, 22, 58, 30)
RECORD = '<Record type="HKQuantityTypeIdentifierHeartRate" sourceName="{}" startDate="{} +0100" value="{:.0f}"/>'


@pytest.fixture(scope="module")
def watch() -> tuple[np.ndarray, np.ndarray]:
    """Seconds and heart rate of a real night of a watch."""
    path = DATA / "sleep_accel" / "heart_rate" / "1066528_heartrate.txt"
    if not path.is_file():
        pytest.skip(f"no {path}")
    at, rate = np.loadtxt(path, delimiter=",").T
    return np.floor(at[at >= 0] - at[at >= 0][0]), rate[at >= 0]


def records(start: datetime.datetime, at: np.ndarray, rate: np.ndarray, source: str = "Watch") -> list[str]:
    moments = (start + datetime.timedelta(seconds=float(s)) for s in at)
    return [RECORD.format(source, f"{t:%Y-%m-%d %H:%M:%S}", x) for t, x in zip(moments, rate, strict=True)]


def export(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(["<HealthData>", *lines, "</HealthData>"]))
    return path


@pytest.fixture
def days(tmp_path: Path, watch: tuple[np.ndarray, np.ndarray]) -> Path:
    """Two nights of a watch, a workout and an hour of a phone, as Apple Health exports them."""
    at, rate = watch
    noon = EVENING.replace(hour=12, minute=0) + datetime.timedelta(days=1)
    workout = records(noon, np.arange(0, 3600, 5), np.full(720, 150.0))
    phone = records(EVENING, np.arange(0, 3600, 60), np.full(60, 90.0), "Phone")
    return export(
        tmp_path / "days.xml",
        [*records(EVENING, at, rate + 3), *phone, *workout, *records(EVENING + datetime.timedelta(days=1), at, rate)],
    )


def stages(folder: Path) -> list[str]:
    return [line.split(",")[2] for line in (folder / "hypnogram.csv").read_text().splitlines()]


def test_the_last_night_is_staged_and_its_date_stands_in_every_output(
    days: Path, watch: tuple[np.ndarray, np.ndarray], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    alone = export(tmp_path / "alone.xml", records(EVENING + datetime.timedelta(days=1), *watch))
    assert predict.main([str(days), str(alone), "--out", str(tmp_path / "out")]) == 0
    folder = tmp_path / "out" / "days"
    assert stages(folder) == stages(tmp_path / "out" / "alone")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["start"] == "2024-03-09T22:58:30" and (summary["night"], summary["nights"]) == (2, 2)
    assert summary["device"] == "Watch"
    printed = capfd.readouterr().err
    assert f"{days}: 2024-03-09 22:58 to 2024-03-10" in printed and "night 2 of 2" in printed
    page = (tmp_path / "out" / "index.html").read_text()
    assert "2024-03-09T22:58:30" in page and "night 2 of 2" in page
    header = edfio.read_edf(folder / "hypnogram.edf")
    assert datetime.datetime.combine(header.startdate, header.starttime) == EVENING + datetime.timedelta(days=1)


def test_all_nights_get_folders_of_their_own(days: Path, tmp_path: Path) -> None:
    assert predict.main([str(days), "--out", str(tmp_path / "out"), "--nights", "all"]) == 0
    folders = sorted(folder.name for folder in (tmp_path / "out").iterdir() if folder.is_dir())
    assert folders == ["days-2024-03-08T2258", "days-2024-03-09T2258"]
    first = json.loads((tmp_path / "out" / folders[0] / "summary.json").read_text())
    assert first["devices_left_out"] == ["Phone"] and first["onset_in_recording_s"] == 0


def test_a_night_of_several_that_cannot_be_staged_is_named_and_the_others_are_staged(
    days: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Model.stage

    problems = iter([UserError(f"{days}: has a loose electrode"), None])

    def stage_or_fail(model: Model, night: Night, abstain_below: float) -> StagedNight:
        if problem := next(problems):
            raise problem
        return stage(model, night, abstain_below)

    monkeypatch.setattr(Model, "stage", stage_or_fail)
    assert predict.main([str(days), "--out", str(tmp_path / "out"), "--nights", "all"]) == 1
    printed = capfd.readouterr()
    assert "1 of 2 staged" in printed.out
    assert re.search(r"error: .*days\.xml: 2024-03-08 22:58 to .*, night 1 of 2.*: has a loose electrode", printed.err)


def test_of_a_day_of_beats_the_night_is_staged_and_the_whole_on_request(tmp_path: Path) -> None:
    path = DATA / "nsr2db" / "nsr001_rr_secs.txt.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    with gzip.open(path) as file:
        intervals = np.loadtxt(file)[1:]
    np.savetxt(tmp_path / "day.csv", intervals, fmt="%.5f", header="rr", comments="")
    assert predict.main([str(tmp_path / "day.csv"), "--out", str(tmp_path / "out")]) == 0
    summary = json.loads((tmp_path / "out" / "day" / "summary.json").read_text())
    assert 7 * 120 < summary["sleep_epochs"] < 12 * 120 and summary["start"] is None
    assert 8 < summary["onset_in_recording_s"] / 3600 < 12
    whole = ["--nights", "whole", "--out", str(tmp_path / "whole")]
    assert predict.main([str(tmp_path / "day.csv"), *whole]) == 0
    summary = json.loads((tmp_path / "whole" / "day" / "summary.json").read_text())
    assert summary["sleep_epochs"] == int(intervals.sum() / 30)


def test_a_part_of_a_recording_keeps_its_samples_beats_gaps_and_clock() -> None:
    signal = DerivedSignal(np.arange(1000.0), 2.0, "ECG", "mV")
    start = Start(datetime.date(2024, 1, 31), datetime.time(23, 59, 0), 0.25)
    whole = Recording(
        Path("a"),
        500.0,
        {"ecg": signal},
        beats=np.arange(0.0, 500, 10),
        start=start,
        gaps=((50, 150), (180, 190), (400, 450)),
    )
    part = part_of(whole, NightSpan(100.7, 300.0))
    assert part.seconds == 200 and moment_of(part.start) == datetime.datetime(2024, 2, 1, 0, 0, 40, 250000)
    np.testing.assert_array_equal(part.signals["ecg"].samples, np.arange(200, 600))
    np.testing.assert_array_equal(part.beats, np.arange(0, 201, 10))
    assert part.gaps == ((0, 50), (80, 90))
    assert part_of(Recording(Path("a"), 500.0), NightSpan(0, 10)).start is None


def test_a_recording_of_up_to_16_h_is_not_searched_and_a_longer_one_without_a_night_is_refused() -> None:
    beats = np.arange(0, 16 * 3600.0, 0.5)
    assert nights_of(Recording(Path("a"), beats[-1], beats=beats)) is None
    assert nights_of(Recording(Path("a"), 1e5)) is None  # no heartbeats, such as an EEG
    beats = np.concatenate([beats[:7000], beats[:7000] + 40 * 3600])
    with pytest.raises(UserError, match=r"a: lasts 41 h but holds no night: .*--nights whole"):
        nights_of(Recording(Path("a"), beats[-1], beats=beats))
