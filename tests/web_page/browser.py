"""Headless Chromium by chromedriver, and the page served to it."""

import base64
import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sleepkd.web import PAGE, PageHandler, page_server

AXE = PAGE.parents[1] / "examples" / "web" / "node_modules" / "axe-core" / "axe.min.js"
DRIVER = shutil.which("chromedriver")
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key of an element in WebDriver's answers."""


class Browser:
    """A session of chromedriver, by the WebDriver protocol (W3C)."""

    def __init__(self, port: int, folder: Path, width: int = 1280, height: int = 900):
        self.downloads = folder / "downloads"
        self.downloads.mkdir()
        chrome = {
            "args": [
                *QUIET, "--disable-background-networking", NO_NETWORK, f"--user-data-dir={folder / 'profile'}",
                f"--window-size={width},{height}",
            ],
            "prefs": {"download.default_directory": str(self.downloads)},
        }  # fmt: skip
        options = {"browserName": "chrome", "goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL"}}
        self._root = f"http://127.0.0.1:{port}"
        self._root += "/session/" + self.ask("/session", {"capabilities": {"alwaysMatch": options}})["sessionId"]

    def ask(self, path: str, content: dict | None = None, method: str = "POST") -> Any:
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(self._root + path, body, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def run(self, script: str, *arguments: Any) -> Any:
        return self.ask("/execute/sync", {"script": script, "args": list(arguments)})

    def element(self, selector: str) -> str:
        return self.ask("/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector: str) -> None:
        self.ask(f"/element/{self.element(selector)}/click", {})

    def choose(self, *paths: Path) -> None:
        """Choose files as a person does, in the dialog of the input."""
        self.ask(f"/element/{self.element('#file')}/value", {"text": "\n".join(map(str, paths))})

    def press(self, *keys: str) -> None:
        """Press and release each key."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def status(self, text: str) -> str:
        """The status line of the page, once it contains a text."""
        for _ in range(1200):
            line = self.run("return document.getElementById('status').textContent")
            if text in line:
                return line
            time.sleep(0.1)
        raise AssertionError(line)

    def drop(self, name: str, text: str) -> None:
        self.run(
            "const dropped = new DataTransfer(); dropped.items.add(new File([arguments[1]], arguments[0]));"
            "document.getElementById('drop').dispatchEvent("
            "new DragEvent('drop', {dataTransfer: dropped, bubbles: true}));",
            name,
            text,
        )

    def downloaded(self, ending: str) -> Path:
        """The file that was downloaded, whose name ends so."""
        for _ in range(200):
            found = [path for path in self.downloads.iterdir() if path.name.endswith(ending)]
            if found:
                return found[0]
            time.sleep(0.1)
        raise AssertionError(list(self.downloads.iterdir()))

    def errors(self) -> list[str]:
        """What the console of the page holds, of errors and warnings."""
        return [entry["message"] for entry in self.ask("/se/log", {"type": "browser"})]

    def size(self, width: int, height: int = 900) -> None:
        """Set the size of the screen, which may be narrower than a window can be."""
        self.ask(
            "/goog/cdp/execute",
            {
                "cmd": "Emulation.setDeviceMetricsOverride",
                "params": {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
            },
        )

    def faults(self) -> list[dict[str, Any]]:
        """What axe-core finds wrong with the page, at the widths of a desk and of a phone."""
        if not AXE.is_file():
            pytest.skip("needs axe-core: npm install in examples/web")
        found = []
        self.run(AXE.read_text() + "; window.axe = axe;")
        for width in (1280, 390):
            self.size(width)
            script = "const done = arguments[0]; axe.run().then(({ violations }) => done(JSON.stringify(violations)));"
            found += json.loads(self.ask("/execute/async", {"script": script, "args": []}))
        return found

    def picture(self, path: Path) -> None:
        """Write a picture of the whole page."""
        params = {"captureBeyondViewport": True, "format": "png"}
        answer = self.ask("/goog/cdp/execute", {"cmd": "Page.captureScreenshot", "params": params})
        path.write_bytes(base64.b64decode(answer["data"]))


@contextmanager
def opened_page(site: Path, folder: Path) -> Iterator[tuple[Browser, list[str]]]:
    """The page of a folder in a browser, and the paths that it asked the server for."""
    if DRIVER is None:
        pytest.skip("needs chromedriver")
    asked: list[str] = []

    class Handler(PageHandler):
        def log_request(self, code: Any = "-", size: Any = "-") -> None:
            asked.append(self.path)

    server = page_server(0)
    server.RequestHandlerClass = partial(Handler, directory=site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    started = next(line for line in driver.stdout if "was started successfully on port" in line)
    try:
        browser = Browser(int(started.rstrip(".\n").split()[-1]), folder)
        browser.ask("/url", {"url": f"http://127.0.0.1:{server.server_port}/"})
        yield browser, asked
        browser.ask("", method="DELETE")
    finally:
        driver.terminate()
        server.shutdown()
