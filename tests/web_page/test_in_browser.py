"""examples/web in headless Chromium: a CSV of RR intervals gets the stages of `Model.predict_beats`."""

import http.server
import json
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sleepkd
import train_ddp
from launch import REPOSITORY, tiny_night
from sleepkd import export
from sleepkd.distributed import Processes
from sleepkd.settings import load_config

pytestmark = pytest.mark.slow
WEB = REPOSITORY / "examples" / "web"
DRIVER, RUNTIME = shutil.which("chromedriver"), WEB / "node_modules" / "onnxruntime-web"
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")


class Browser:
    """A session of chromedriver, by the WebDriver protocol (W3C)."""

    def __init__(self, port: int, profile: Path):
        self._root = f"http://127.0.0.1:{port}"
        chrome = {"args": [*QUIET, "--disable-background-networking", NO_NETWORK, f"--user-data-dir={profile}"]}
        wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": chrome}}}
        self._root += "/session/" + self.ask("/session", wanted)["sessionId"]

    def ask(self, path: str, content: dict | None = None, method: str = "POST") -> Any:
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(self._root + path, body, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def run(self, script: str, *arguments: str) -> Any:
        return self.ask("/execute/sync", {"script": script, "args": arguments})

    def status(self, text: str) -> str:
        """The status line of the page, once it contains a text."""
        for _ in range(300):
            line = self.run("return document.getElementById('status').textContent")
            if text in line:
                return line
            time.sleep(0.1)
        raise AssertionError(line)

    def drop(self, name: str, text: str) -> None:
        self.run(
            "const dropped = new DataTransfer(); dropped.items.add(new File([arguments[1]], arguments[0]));"
            "document.getElementById('drop').dispatchEvent(new DragEvent('drop', {dataTransfer: dropped}));",
            name,
            text,
        )


@pytest.fixture(scope="module")
def checkpoint(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = load_config(["night_ecg"], tiny_night(store, tmp_path_factory.mktemp("runs"), train__epochs=2))
    assert train_ddp.train(config, Processes("cpu")) == 0
    return config.run_directory / "best.pt"


@pytest.fixture
def browser(checkpoint: Path, tmp_path: Path) -> Iterator[Browser]:
    if not DRIVER or not RUNTIME.is_dir():
        pytest.skip("needs chromedriver, and `npm install` in examples/web")
    site = tmp_path / "site"
    site.mkdir()
    for name in ("index.html", "stage.js"):
        shutil.copy(WEB / name, site)
    (site / "node_modules").symlink_to(RUNTIME.parent)
    assert export.main(["--checkpoint", str(checkpoint), "--inputs", "beats", "--out", str(site / "night.onnx")]) == 0
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=site)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    started = next(line for line in driver.stdout if "was started successfully on port" in line)
    try:
        browser = Browser(int(started.rstrip(".\n").split()[-1]), tmp_path / "profile")
        browser.ask("/url", {"url": f"http://127.0.0.1:{server.server_port}/index.html"})
        yield browser
        browser.ask("", method="DELETE")
    finally:
        driver.terminate()
        server.shutdown()


def test_a_dropped_csv_gets_the_stages_of_predict_beats(browser: Browser, checkpoint: Path, cohort: Path) -> None:
    beats = np.load(cohort / "truth" / "01-01-0001.npz")["beats"]
    beats = np.delete(beats, np.s_[400:520])  # a gap of two minutes
    intervals = np.rint(1000 * np.diff(beats)).astype(int)
    browser.status("Ready")
    browser.drop("rr.csv", "rr_ms\n" + "\n".join(map(str, intervals)) + "\n")
    assert "rr.csv:" in browser.status("sleep epochs")
    header, *lines = browser.run("return window.hypnogram").splitlines()
    assert header == "onset,stage,p_W,p_NREM,p_REM,quality"
    stages, expected = sleepkd.load(checkpoint).predict_beats(np.concatenate([[0], np.cumsum(intervals) / 1000]))
    found = [line.split(",") for line in lines]
    np.testing.assert_allclose([[float(x) for x in row[2:5]] for row in found], expected, atol=2e-3)
    assert [row[1] for row in found] == stages and "unscored" in stages and len(set(stages)) > 1


def test_a_file_that_cannot_be_staged_is_reported_with_the_reason(browser: Browser) -> None:
    browser.status("Ready")
    for text, reason in (
        ("rr\n800\nabc\n", "line 3: abc is not a number"),
        ("rr\n" + "800\n" * 50, "lasts 0.7 min, too short: staging needs 10 min"),
        ("name\nx\n", "no column is named rr or time"),
        ("", "the file is empty"),
    ):
        browser.drop("bad.csv", text)
        assert browser.status(reason).startswith("bad.csv: ")
