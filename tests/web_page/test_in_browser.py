"""The page in headless Chromium: files of every device, downloads, keys, a phone's width, no request to elsewhere."""

import csv
import datetime
import zipfile
from collections.abc import Iterator
from pathlib import Path

import edfio
import numpy as np
import pytest

import sleepkd
import train_ddp
from launch import tiny_night
from sleepkd import web
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.prediction.many.night_rows import STATISTICS
from sleepkd.prediction.predicted_night import PredictedNight
from sleepkd.settings import load_config
from tests.cohorts.beats.given import rows, stamps
from tests.cohorts.beats.test_apple_health import NINTH, export, records
from tests.cohorts.beats.test_fit_file import RECORD, START, fit
from tests.web_page.browser import Browser, opened_page

pytestmark = pytest.mark.slow
TAB, ENTER, RIGHT, PAGE_UP = "\ue004", "\ue007", "\ue014", "\ue00e"
EVENING = datetime.datetime(2024, 1, 31, 23, 10)


@pytest.fixture(scope="module")
def checkpoint(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = load_config(["night_ecg"], tiny_night(store, tmp_path_factory.mktemp("runs"), train__epochs=2))
    assert train_ddp.train(config, Processes("cpu")) == 0
    return config.run_directory / "best.pt"


@pytest.fixture(scope="module")
def site(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        web.find_runtime(None)
    except UserError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("site")
    assert web.main(["--checkpoint", str(checkpoint), "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def opened(site: Path, tmp_path: Path) -> Iterator[tuple[Browser, list[str]]]:
    with opened_page(site, tmp_path) as (browser, asked):
        browser.status("Ready")
        yield browser, asked


@pytest.fixture
def browser(opened: tuple[Browser, list[str]]) -> Browser:
    return opened[0]


@pytest.fixture(scope="module")
def intervals(cohort: Path) -> np.ndarray:
    """RR intervals, ms, of a simulated night with a gap of two minutes."""
    beats = np.load(cohort / "truth" / "01-01-0001.npz")["beats"]
    return np.rint(1000 * np.diff(np.delete(beats, np.s_[400:520]))).astype(int)


def heart_rate(path: Path, start: datetime.datetime, hours: float = 1.5, low: float = 55) -> Path:
    seconds = np.arange(0, 3600 * hours, 5)
    rate = np.rint(low + 6 * np.sin(seconds / 700) + 3 * np.sin(seconds / 60)).astype(int)
    path.write_text(rows("Time,HR (bpm)", stamps(seconds, "%Y-%m-%d %H:%M:%S", start), rate))
    return path


def of_python(path: Path, checkpoint: Path) -> list[PredictedNight]:
    return sleepkd.load(checkpoint).predict_nights(path)


@pytest.mark.filterwarnings("ignore")
def test_the_stages_and_downloads_of_a_csv_are_those_of_python(
    browser: Browser, checkpoint: Path, intervals: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "polar_rr.txt"
    path.write_text("\n".join(map(str, intervals)) + "\n")
    browser.choose(path)
    browser.status("Done: 1 night")
    expected = sleepkd.load(checkpoint).predict_beats(np.concatenate([[0], np.cumsum(intervals) / 1000]))
    browser.click("a[download$='.csv']")
    browser.click("a[download$='.edf']")
    with browser.downloaded("polar_rr-hypnogram.csv").open() as file:
        found = list(csv.DictReader(file))
    with expected.to_csv(tmp_path / "expected.csv").open() as file:
        wanted = list(csv.DictReader(file))
    assert found[0].keys() == wanted[0].keys() and len(found) == len(wanted)
    probabilities = [f"p_{name}" for name in expected.class_names]
    for row, other in zip(found, wanted, strict=True):
        exact = ("onset", "duration", "stage", "beats", "flat", "clipped")
        assert [row[key] for key in exact] == [other[key] for key in exact]
        assert [float(row[key]) for key in probabilities] == pytest.approx(
            [float(other[key]) for key in probabilities], abs=2e-3
        )
        assert float(row["quality"]) == pytest.approx(float(other["quality"]), abs=1.1e-3)
    assert "unscored" in expected.stages and len(set(expected.stages)) > 2
    content = browser.downloaded("polar_rr-hypnogram.edf").read_bytes()
    assert content == expected.to_edf(tmp_path / "expected.edf").read_bytes()
    assert len(edfio.read_edf(content).annotations) == len(expected.stages)
    shown = browser.run(
        "return Object.fromEntries([...document.querySelectorAll('.statistics tr')].map("
        "(row) => [...row.children].slice(0, 2).map((cell) => cell.textContent)))"
    )
    for name, value in expected.statistics().items():
        assert shown[name] == "–" if np.isnan(value) else float(shown[name]) == pytest.approx(value, abs=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_files_of_every_device_and_a_table_of_all_nights(
    opened: tuple[Browser, list[str]], checkpoint: Path, tmp_path: Path
) -> None:
    pytest.importorskip("fitdecode")
    browser, asked = opened
    day = datetime.timedelta(days=1)
    polar = heart_rate(tmp_path / "polar.csv", EVENING)
    garmin = fit(tmp_path / "garmin.fit", [(RECORD, [START + 5 * k, 50 + k // 40 % 9]) for k in range(1500)])
    xml = export(tmp_path / "export.xml", [line for k in range(3) for line in records(NINTH + k * day, 50 + k, 5)])
    apple = tmp_path / "export.zip"
    with zipfile.ZipFile(apple, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(xml, "apple_health_export/export.xml")
    before = len(asked)
    browser.choose(polar, garmin, apple)
    browser.status("Done: 5 nights")
    assert asked[before:] == [] and browser.errors() == []
    browser.click("#save-all")
    with browser.downloaded("nights.csv").open() as file:
        found = {(row["recording"], int(row["night"])): row for row in csv.DictReader(file)}
    for path in (polar, garmin, apple):
        for number, night in enumerate(of_python(path, checkpoint), 1):
            row, statistics = found.pop((path.name, number)), night.statistics()
            assert (row["input"], row["start"]) == (night.judged.given.text, f"{night.start:%Y-%m-%dT%H:%M:%S}")
            for name in (*STATISTICS, "REM latency"):
                value = np.nan if row[name] == "" else float(row[name])
                assert value == pytest.approx(statistics[name], abs=1e-3, nan_ok=True), (path.name, name)
    assert not found
    assert browser.run("return document.querySelectorAll('#overview tbody tr').length") == 5


def test_nothing_is_asked_of_the_network_and_the_policy_forbids_it(opened: tuple[Browser, list[str]]) -> None:
    browser, asked = opened
    own = {f"/{path.relative_to(web.PAGE).as_posix()}" for path in web.PAGE.rglob("*") if path.is_file()}
    own |= {f"/onnxruntime-web/{name}" for name in web.RUNTIME_FILES} | {"/", "/night.onnx", "/night.onnx.json"}
    assert set(asked) <= own
    for request in (
        "await fetch('https://example.org/')",
        "await fetch('http://127.0.0.1:9/')",
        "await new Promise((_, no) => { const x = new Image(); x.onerror = no; x.src = 'http://127.0.0.1:9/a.png'; })",
    ):
        script = f"const done = arguments[0]; (async () => {{ {request} }})().catch(() => done('blocked'))"
        blocked = browser.ask("/execute/async", {"script": script, "args": []})
        assert blocked == "blocked"
    policy = [message for message in browser.errors() if "Content Security Policy" in message]
    assert len(policy) >= 3


def test_a_file_that_cannot_be_staged_is_reported_with_the_reason(browser: Browser) -> None:
    for text, reason in (
        ("rr\n800\nabc\n", "line 3: 'abc' is not a number"),
        ("rr\n" + "800\n" * 50, "lasts 0.7 min, too short: staging needs 10 min"),
        ("name\nx\n", "none of its columns is one of beats"),
        ("", "is empty"),
    ):
        browser.drop("bad.csv", text)
        browser.status("No night was staged")
        shown = browser.run("return document.getElementById('problems').textContent")
        assert shown.startswith("bad.csv: ") and reason in shown
        browser.run("document.getElementById('clear').click()")
        browser.status("Ready")
    browser.drop("<img src=x>.csv", "a,b\n1,2\n")
    browser.status("No night was staged")
    assert browser.run("return document.querySelectorAll('img').length") == 0


def test_keys_a_phone_and_axe(browser: Browser, tmp_path: Path) -> None:
    day = datetime.timedelta(days=1)
    paths = [heart_rate(tmp_path / f"night {k}.csv", EVENING + k * day, low=50 + 3 * k) for k in range(3)]
    bad = tmp_path / "a_very_long_name_of_a_file_that_no_phone_can_show_in_one_line.csv"
    bad.write_text("colour\nred\n")
    browser.choose(*paths, bad)
    browser.status("Done: 3 nights")
    assert "Sleep Regularity Index" in browser.run("return document.getElementById('regularity').textContent")
    for width in (1280, 390, 320):
        browser.size(width)
        assert browser.run("return document.documentElement.scrollWidth") <= width
    reached = set()
    browser.run("document.activeElement.blur()")
    for _ in range(40):
        browser.press(TAB)
        reached.add(browser.run("const one = document.activeElement; return one.id || one.textContent"))
    assert {"file", "most", "save-all", "clear", "night-1-time", "Hypnogram (CSV)", "All sleep statistics"} <= reached
    browser.run("document.getElementById('night-1-time').focus()")
    browser.press(RIGHT, PAGE_UP)
    text = browser.run("return document.getElementById('night-1-time').getAttribute('aria-valuetext')")
    assert text.startswith("23:40 ") and "beats per minute" in text
    browser.run("document.getElementById('clear').focus()")
    browser.press(ENTER)
    assert browser.run("return document.activeElement.id + document.querySelectorAll('article').length") == "file0"


def test_axe_finds_no_fault(browser: Browser, tmp_path: Path) -> None:
    browser.choose(heart_rate(tmp_path / "a.csv", EVENING), heart_rate(tmp_path / "b.csv", EVENING))
    browser.drop("bad.csv", "a\nb\n")
    browser.status("Done: 2 nights")
    faults = browser.faults()
    assert not faults, [(fault["id"], fault["impact"], fault["nodes"][0]["html"]) for fault in faults]
