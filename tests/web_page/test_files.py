"""Statistics, regularity, CSV and EDF+ of the page against those of Python, for the same stages."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pytest

from sleepkd.cohorts.clock import Start, moment_of, start_of
from sleepkd.errors import UserError
from sleepkd.prediction.hypnogram_files import hypnogram_csv, hypnogram_edf
from sleepkd.prediction.many.night_rows import STATISTICS
from sleepkd.prediction.predicted_night import PredictedNight
from sleepkd.prediction.regularity import sleep_regularity
from tests.prediction.nights import night_of
from tests.web_page.javascript import run_in_node, url

IMPORTS = f"""
import {{ sleepStatistics, sleepRegularity, stageShares }} from "{url("statistics.js")}";
import {{ hypnogramCsv, hypnogramEdf, nightsCsv }} from "{url("hypnogram_files.js")}";
"""
LETTERS = [
    "WWLLDDDDLLRRWLLLLLLLLLLLRRRRWW",
    "??WW" + "L" * 31 + "?" + "R" * 9 + "WWD??",
    "W" * 20,
    "?" * 12,
    "R" * 10,
    "LW" * 12,
]


def given(night: PredictedNight) -> dict:
    start = night.recording.start
    moment = moment_of(start)
    seconds = None if moment is None else moment.replace(tzinfo=dt.UTC).timestamp()
    table = night.table
    counts = night.staged.beat_counts(night.beats)
    columns = (table.onset_s, table.duration_s, table.stages, table.probabilities, table.quality, counts)
    names = ("onset", "duration", "stage", "probabilities", "quality", "beats")
    rows = [dict(zip(names, (np.asarray(x).tolist() for x in row), strict=True)) for row in zip(*columns, strict=True)]
    known = seconds is not None and {"seconds": seconds, "dated": True, "zone": start.zone}
    return {"epochs": rows, "stages": table.stages, "start": known or None, "classes": list(night.class_names)}


@pytest.fixture(scope="module")
def nights() -> list[PredictedNight]:
    rng = np.random.default_rng(0)
    drawn = ["".join(rng.choice(list("WLDR?"), 200, p=[0.2, 0.4, 0.2, 0.15, 0.05])) for _ in range(6)]
    found = [night_of(letters) for letters in [*LETTERS, *drawn]]
    return [*found, night_of("WLDR", None), night_of("WLDR", Start(dt.date(1970, 1, 2), dt.time(3, 4, 5)))]


def test_statistics_are_those_of_yasa(nights: Sequence[PredictedNight]) -> None:
    code = """
return input.map(({ stages, classes }) => [sleepStatistics(stages, classes), stageShares(stages, classes)]);
"""
    answers = run_in_node(IMPORTS + code, [given(night) for night in nights])
    for night, (found, shares) in zip(nights, answers, strict=True):
        expected = night.statistics()
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert (found[name] is None) == bool(np.isnan(value)), name
            assert found[name] is None or found[name] == pytest.approx(value, abs=1e-4), name
        assert {name: share for name, share in shares.items() if share is not None} == pytest.approx(
            night.stage_shares()
        )


def test_files_are_those_of_python(nights: Sequence[PredictedNight]) -> None:
    code = """
return input.map(({ epochs, classes, start }) => [hypnogramCsv(epochs, classes), [...hypnogramEdf(epochs, start)]]);
"""
    answers = run_in_node(IMPORTS + code, [given(night) for night in nights])
    for night, (text, edf) in zip(nights, answers, strict=True):
        assert text == hypnogram_csv(night.staged, night.beats)
        assert bytes(edf) == hypnogram_edf(night.staged, night.recording.start)


def test_regularity_is_that_of_python() -> None:
    rng = np.random.default_rng(1)

    def week(days: Sequence[int], letters: str = "WLDR?") -> list[PredictedNight]:
        drawn = ["".join(rng.choice(list(letters), 600)) for _ in days]
        times = [dt.datetime(2024, 1, day, 22, int(rng.integers(60))) for day in days]
        return [night_of(text, start_of(time)) for text, time in zip(drawn, times, strict=True)]

    cohorts = [
        week([3, 1, 2]),
        week([1, 2, 4, 5, 6]),
        week([1, 4]),
        week([1]),
        week([1, 1]),
        [night_of("WL", None)] * 2,
    ]
    code = """
const night = ({ start, stages }) => ({ stages, start: start?.seconds ?? null });
return input.map((nights) => sleepRegularity(nights.map(night)));
"""
    for cohort, found in zip(
        cohorts, run_in_node(IMPORTS + code, [[given(x) for x in nights] for nights in cohorts]), strict=True
    ):
        try:
            sri, count, hours = sleep_regularity(cohort)
        except UserError:
            assert found is None
            continue
        assert found == {"sri": pytest.approx(sri), "nights": count, "hours": pytest.approx(hours)}


def test_the_table_of_nights_has_the_columns_of_predict(nights: Sequence[PredictedNight]) -> None:
    code = """
const rows = input.map(({ epochs, stages, start, classes }) => ({
  epochs, start, cadence: 5, name: 'a, "b".csv', number: 1, of: 2, device: "",
  statistics: sleepStatistics(stages, classes),
}));
return nightsCsv(rows, input[0].classes);
"""
    header, row, *_ = run_in_node(IMPORTS + code, [given(night) for night in nights[:2]]).splitlines()
    assert header.split(",")[8:-5] == ["mean_confidence", "mean_quality", *STATISTICS]
    assert row.startswith('"a, ""b"".csv",1,2,2024-01-31T23:00:00,heart rate averaged every 5 s,,30,30,0.7000,')
    assert row.endswith(",5,4,2.5,7.5,2,3")
