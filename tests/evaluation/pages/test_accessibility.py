"""The parts of the pages of evaluate, inspect and predict in headless Chromium: axe-core finds no fault."""

from pathlib import Path

import pytest

from sleepkd.evaluation.pages import page
from sleepkd.evaluation.pictures.drawing import Picture
from tests.web_page.browser import opened_page

pytestmark = pytest.mark.slow


def test_axe_finds_no_fault_on_a_page_of_tables_and_pictures(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (2000, 300), "white").save(tmp_path / "night.png")
    wide = [[f"recording {k}", *["0.123"] * 30] for k in range(3)]
    body = [
        page.heading("Report", 1),
        page.paragraph("10 recordings", "quiet"),
        page.paragraph("a warning", "note"),
        page.headline("+0.05", "0.02 to 0.08", "kappa gained", "better"),
        page.headline("−0.05", "−0.08 to −0.02", "kappa lost", "worse"),
        page.heading("Recordings"),
        page.table(["recording", *["kappa"] * 30], wide),
        page.pictures([Picture(tmp_path / "night.png", "a night")]),
    ]
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text(page.page("Report", body))
    with opened_page(site, tmp_path) as (browser, _):
        browser.ask("/url", {"url": (site / "index.html").as_uri()})  # styles within the page, which the server forbids
        faults = browser.faults()
    assert not faults, [(fault["id"], fault["impact"], fault["nodes"][0]["html"]) for fault in faults]
