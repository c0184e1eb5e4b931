import contextlib
import dataclasses
import json
import re
import shutil
import subprocess
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest

from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.evaluation.analysis import analyse
from sleepkd.evaluation.input_subsets import subset_scores
from sleepkd.evaluation.model_figures import draw_comparison, draw_model, draw_models
from sleepkd.evaluation.pages.page import interval, number
from sleepkd.evaluation.pages.report import Provenance, write_report
from sleepkd.evaluation.scores.comparison import compare
from sleepkd.evaluation.scores.summary import json_safe, write_metrics
from tests.evaluation.nights import made_up_night

NAMES = CLASS_NAMES[4]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def cohort(skill):
    return [
        made_up_night(f"r{i}", n=300, seed=i, skill=skill + 0.1 * i, standard="rk" if i % 2 else "aasm")
        for i in range(5)
    ]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a comparison of two models, from predictions to the file."""
    folder = tmp_path_factory.mktemp("report")
    nights = {"ECG baseline": cohort(0.8), "distilled <& co>": cohort(1.6)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        analyses = [analyse(name, of, NAMES, draws=300) for name, of in nights.items()]
        subsets = {
            ("ecg", "beats"): nights["distilled <& co>"],
            ("ecg",): nights["ECG baseline"],
            ("beats",): cohort(1.0),
        }
        analyses[1].metrics["input_subsets"] = json_safe(subset_scores(subsets, NAMES, 300, 0))
        comparison = compare({0: nights["ECG baseline"]}, {0: nights["distilled <& co>"]}, NAMES, draws=300)
        names = tuple(nights)
        figures = {
            "Gain": draw_comparison(comparison, names, NAMES, folder / "figures"),
            "Together": draw_models(analyses, folder / "figures"),
            names[1]: draw_model(analyses[1], folder / "figures" / "b"),
        }
        provenance = Provenance(
            ["python evaluate.py --out results"], {"b": {"train": {"epochs": 3}}}, {"commit": "c0ffee"}
        )
        write_report(
            folder / "report.html", "Test nights", analyses, figures, provenance, comparison=comparison, compared=names
        )
    return folder / "report.html", analyses, comparison


class Reader(HTMLParser):
    """Collects the attributes that could load something, the headings, and unclosed tags."""

    def __init__(self):
        super().__init__()
        self.addresses, self.tags, self.headings, self.open = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for key, value in attributes if key in ("src", "href", "srcset", "action", "data")]
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)


def test_report_is_complete_and_self_contained(report):
    text = report[0].read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert all(address.startswith("data:") for address in reader.addresses)
    assert "script" not in reader.tags
    assert not re.search(r"@import|url\(", text)
    assert reader.tags.count("img") == len(re.findall("data:image/png;base64,", text)) >= 8
    order = [reader.headings.index(name) for name in ("Test nights", "Figures", "Tables", "How to reproduce")]
    assert order == sorted(order)
    for needed in ("python evaluate.py --out results", "train.epochs", "c0ffee", "distilled &lt;&amp; co&gt;", "rk"):
        assert needed in text


def test_report_starts_with_the_gain_and_its_interval(report):
    path, _, comparison = report
    text = path.read_text(encoding="utf-8")
    gain = comparison["difference"]["mean"]["kappa"]
    lead = text[text.index('class="headline"') : text.index("<h2>")]
    assert f"{number(gain['value'], 3, sign=True)} kappa" in lead
    assert f"{number(gain['low'], 3, sign=True)} to {number(gain['high'], 3, sign=True)}" in lead
    assert "is better than ECG baseline" in lead
    assert "5 better, 0 worse" in lead


def test_report_of_one_model_and_one_night(tmp_path):
    """Without intervals, agreement and groups."""
    analysis = analyse("alone", cohort(1.0)[:1], NAMES, draws=50)
    figures = {"alone": draw_model(analysis, tmp_path)}
    write_report(tmp_path / "report.html", "One night", [analysis], figures, Provenance())
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no interval: too few subjects" in text
    assert "nan" not in re.sub(r"base64,[^\"]*", "", text).lower()


def test_report_shows_scores_by_night(report):
    path, analyses, _ = report
    text, found = path.read_text(encoding="utf-8"), analyses[0].metrics["night_scores"]
    assert f"<td>{interval(found['ece_by_night'])}</td><td>{number(found['ece_by_night']['floor'])}</td>" in text
    share = {key: 100 * value for key, value in found["stage_share_difference"]["W"].items()}
    assert f"<td>{interval(share, 1, sign=True)}</td>" in text
    assert f"<td>{interval(found['rem_latency_error_min']['median'], 0)}</td>" in text


def test_report_shows_subsets_of_inputs(report):
    path, analyses, _ = report
    text, found = path.read_text(encoding="utf-8"), analyses[1].metrics["input_subsets"]
    for row in found["subsets"]:
        assert f"<td>{' + '.join(row['inputs'])}</td><td>5</td><td>{interval(row['kappa'], 2)}</td>" in text
    for name, of_input in found["adds"].items():
        assert f"<td>{name}</td><td>5</td><td>{interval(of_input['kappa'], sign=True)}</td>" in text


def test_a_night_without_sleep_statistics_keeps_its_scores(tmp_path):
    nights = cohort(1.0)
    nights[0] = dataclasses.replace(nights[0], duration_s=np.r_[np.full(150, 20.0), np.full(150, 30.0)])
    analysis = analyse("odd", nights, NAMES, draws=50)
    assert "r0" in analysis.metrics["sleep_medicine"]["missing"]
    assert analysis.metrics["overall"]["kappa"] > 0
    write_report(tmp_path / "r.html", "Odd", [analysis], {"odd": draw_model(analysis, tmp_path)}, Provenance())
    assert "different lengths" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_metrics_are_json(report, tmp_path):
    metrics = report[1][0].metrics
    write_metrics(tmp_path / "metrics.json", metrics)
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert set(metrics["groups"]) == {"standard"}
    assert metrics["intervals"]["subjects"] == 5


def test_number_and_interval_as_text():
    assert number(-0.1234, 2) == "−0.12"
    assert number(0.5, 1, sign=True) == "+0.5"
    assert number(None) == number(float("nan")) == "–"
    assert interval({"value": 0.5, "low": 0.25, "high": None}, 2) == "0.50"
    assert interval({"value": 0.5, "low": 0.25, "high": 0.75}, 2) == "0.50 [0.25, 0.75]"


QUIET_CHROMIUM = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no name resolves: nothing leaves this machine
    "--dump-dom",
)


def opened_in_chromium(path, profile):
    """Console output and requested addresses of a page in headless Chromium."""
    log = profile / "net.json"
    command = [CHROMIUM, *QUIET_CHROMIUM, f"--user-data-dir={profile}", f"--log-net-log={log}", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "</html>" in done.stdout
    requests = []
    for line in log.read_text(errors="replace").splitlines():  # one event per line
        with contextlib.suppress(ValueError):
            parameters = json.loads(line.rstrip(",")).get("params", {})
            # The browser's own requests have the initiator "not an origin".
            if parameters.get("initiator", "not an origin") != "not an origin":
                requests.append(parameters["url"])
    return re.findall(r"CONSOLE[^\n]*", done.stderr), requests


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium installed: the report is not opened in a browser")
def test_report_opens_in_a_browser_without_error_or_request(report, tmp_path):
    assert opened_in_chromium(report[0], tmp_path) == ([], [])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium installed: the browser check is not checked")
def test_the_browser_check_detects_errors_and_requests(tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        '<link rel="icon" href="data:,"><img src="http://example.org/a.png"><script>console.error("boom")</script>'
    )
    console, requests = opened_in_chromium(bad, tmp_path)
    assert any("boom" in line for line in console)
    assert requests == ["http://example.org/a.png"]
