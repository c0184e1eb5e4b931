"""The documentation site: it builds without a warning, loads nothing from the network, and messages name its pages."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from launch import REPOSITORY

PAGE_NAME = re.compile(r"docs/[\w/]+\.md")


class Loaded(HTMLParser):
    """Collects what a page loads by itself; links that a reader may follow are not."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for key, value in attributes:
            if value and (key in ("src", "srcset") or (tag == "link" and key == "href")):
                self.addresses.append(value)


def pages_of(nav: list | str | dict) -> list[str]:
    """The pages of a navigation, at all of its levels."""
    if isinstance(nav, str):
        return [nav]
    entries = nav.values() if isinstance(nav, dict) else nav
    return [page for entry in entries for page in pages_of(entry)]


def test_the_navigation_holds_every_page_and_notebook_once() -> None:
    pages = pages_of(yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    docs = REPOSITORY / "docs"
    expected = [path.relative_to(docs).as_posix() for path in docs.rglob("*.md")]
    expected += [f"notebooks/{path.stem}.md" for path in (REPOSITORY / "notebooks").glob("*.ipynb")]
    assert sorted(pages) == sorted(expected)


def test_pages_that_the_code_names_exist() -> None:
    named = {
        (path.relative_to(REPOSITORY).as_posix(), name)
        for folder in ("sleepkd", "configs", "benchmarks", "scripts", "examples", ".github")
        for path in (REPOSITORY / folder).rglob("*")
        if path.suffix in (".py", ".yaml", ".yml") and "node_modules" not in path.parts
        for name in PAGE_NAME.findall(path.read_text(encoding="utf-8"))
    }
    assert named
    missing = [(path, name) for path, name in named if not (REPOSITORY / name).is_file()]
    assert not missing


@pytest.mark.slow
def test_the_site_builds_and_loads_nothing_from_the_network(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    config = load_config(str(REPOSITORY / "mkdocs.yml"), strict=True, site_dir=str(tmp_path / "site"))
    build(config)  # raises Abort for a warning, such as a broken link
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        reader = Loaded()
        reader.feed(page.read_text(encoding="utf-8"))
        assert reader.addresses
        assert not [address for address in reader.addresses if re.match(r"(https?:)?//", address)], page
    for style in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"@import|url\(['\"]?(https?:)?//", style.read_text(encoding="utf-8")), style
