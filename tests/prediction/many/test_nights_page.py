"""index.html of many nights: its data are those of the rows, and in a browser it filters, sorts and draws a night."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sleepkd.prediction.many import nights_page

CLASSES = ("W", "light", "deep", "REM")
PROBE = """<script>
const shown = i => [...document.querySelectorAll("#nights tbody tr")].map(row => row.children[i].textContent).join(" ");
const filter = document.getElementById("filter"), said = [];
filter.value = "SE<85 s"; filter.oninput();
said.push(document.getElementById("count").textContent, shown(0));
const head = document.querySelector("th[data-key=SE]");
filter.value = ""; filter.oninput(); head.onclick(); said.push(shown(0)); head.onclick(); said.push(shown(0));
document.querySelector("#nights tbody tr").onclick();
said.push([...document.querySelectorAll("svg.night rect")].map(bar => bar.getAttribute("width")).join(" "));
const element = document.createElement("pre");
element.id = "said"; element.textContent = JSON.stringify(said); document.body.append(element);
</script></body>"""


def row(name: str, efficiency: float | None, hypnogram: str | None = None, reason: str | None = None) -> dict:
    status = "failed" if reason else "staged"
    return {
        "recording": name,
        "status": status,
        "SE": efficiency,
        "reason": reason,
        "hypnogram": hypnogram,
    }


ROWS = [
    row("s1", 80.5, "W 20, light 30, ? 4, REM 7"),
    row("s2", 91.0, "W 1, deep 60"),
    row("s3", None, reason="is <no> ECG"),
    row("s4", 70.0, "REM 5"),
]


def data(page: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_the_page_holds_the_rows_and_states_how_many_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    page = nights_page.nights_page([{**row, "checksum": "x"} for row in ROWS], CLASSES, ["Not a medical device."])
    found = data(page)
    assert found["keys"] == ["recording", "status", "SE", "reason", "hypnogram"]
    assert found["nights"][2] == ["s3", "failed", None, "is <no> ECG", None]
    assert [name for name, _ in found["stages"]] == ["W", "REM", "light", "deep"]
    assert "Not a medical device." in page and "<no>" not in page and "src=" not in page
    monkeypatch.setattr(nights_page, "MOST_NIGHTS", 3)
    page = nights_page.nights_page(iter(ROWS), CLASSES, [])
    assert len(data(page)["nights"]) == 3 and "The first 3 of 4 nights" in page


@pytest.mark.slow
def test_in_a_browser_it_filters_sorts_and_draws_a_night(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium")
    path = tmp_path / "index.html"
    path.write_text(nights_page.nights_page(ROWS, CLASSES, []).replace("</body>", PROBE), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run([browser, *options, path.as_uri()], capture_output=True, text=True, check=True, timeout=120)
    (text,) = re.findall(r'<pre id="said">(.*?)</pre>', done.stdout)
    assert json.loads(text) == ["2 of 4", "s1 s4", "s4 s1 s2 s3", "s2 s1 s4 s3", "1 60"]
