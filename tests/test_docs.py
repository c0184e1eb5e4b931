"""README and docs: every command, YAML example, link and default in them is checked against the code."""

import argparse
import importlib
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml

from launch import REPOSITORY
from scripts import settings_table
from sleepkd import cli
from sleepkd.cohorts.layout import load_cohort
from sleepkd.config import find_config
from sleepkd.errors import UserError
from sleepkd.settings import config_of, load_config
from website import score_table

PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("examples/*/*.md")])
NAMED_FILE = r"`((?:sleepkd|tests|benchmarks|scripts|configs|examples)/[\w./-]+\.(?:py|yaml|sh))`"
NEEDS_FILES = re.compile(r"no such file|no such store|no checkpoint")


def commands(text: str) -> list[list[str]]:
    """The commands of the code blocks of a page as words, comments and continuation lines resolved."""
    text = text.replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    lines = [line.removeprefix("OMP_NUM_THREADS=1 ").partition(" > ")[0] for line in lines]
    starts = ("sleepkd ", "python ", "torchrun ", "make ")
    return [shlex.split(line, comments=True) for line in lines if line.startswith(starts)]


COMMANDS = [(page, words) for page in PAGES for words in commands(page.read_text(encoding="utf-8"))]
YAMLS = [
    (page, block)
    for page in PAGES
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
]


def check_training(words: list[str]) -> None:
    """The configs exist and the settings are known."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", nargs="+", required=True)
    parser.add_argument("--set", nargs="+", action="extend", default=[])
    args = parser.parse_args(words)
    created = {"mine.yaml", "direction.yaml", "night_eda.yaml", "…"}  # the page tells the reader to write them
    files = [name for name in args.config if name != "mine.yaml" or len(args.config) == 1]
    overrides = [setting for setting in args.set if setting != "…"]
    if "adapt.yaml" in files:  # its inputs and model are those of the checkpoint that it starts from
        overrides += ["stage.inputs={beats: {}}", "model.name=night", "data.view=night"]
    in_a_loop = any("$" in word for word in words)  # of the shell, over stages
    if not created.intersection(files) and not in_a_loop:
        for name in files:
            find_config(name)
        load_config(files, overrides)


def check(words: list[str]) -> None:
    """Parse a command as the script or verb does; fails where an option, config or setting does not exist."""
    program, *rest = words
    if program == "torchrun":
        rest = rest[next(i for i, word in enumerate(rest) if word.endswith(".py") or word == "-m") :]
        return check(["python", *rest])
    if program == "make":
        makefile = (REPOSITORY / "Makefile").read_text()
        assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in rest if not target.startswith("PY"))
        return None
    if program == "sleepkd":
        verb, *arguments = rest
        if verb.startswith("-"):
            return None
        assert verb in cli.VERBS, verb
        if arguments[:2] == ["--study", "sensors"]:
            return parse("sleepkd.study.sensor_study", arguments[2:])
        return parse(f"sleepkd.{verb.replace('-', '_')}", arguments)
    if rest[0] == "-m":
        return parse(rest[1], rest[2:])
    assert (REPOSITORY / rest[0]).is_file(), rest[0]
    if rest[0] == "train_ddp.py":
        return check_training(rest[1:])
    return parse(rest[0].removesuffix(".py").replace("/", "."), rest[1:])


def parse(module: str, arguments: list[str]) -> None:
    """Parse arguments with a module's own parser."""
    if "…" in " ".join(arguments):
        return
    loaded = importlib.import_module(module)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    try:
        if hasattr(loaded, "_parse"):
            loaded._parse(arguments)
        elif hasattr(loaded, "parse"):  # a script, which reads sys.argv
            loaded.parse()
    except SystemExit as error:
        assert error.code == 0, f"{module} {' '.join(arguments)}"
    except UserError as error:
        assert NEEDS_FILES.search(str(error)), error
    finally:
        monkeypatch.undo()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_commands_parse(page: Path) -> None:
    for where, words in COMMANDS:
        if where == page:
            try:
                check(words)
            except (UserError, AssertionError) as error:
                pytest.fail(f"{page.name}: {shlex.join(words)}: {error}")


def test_yaml_examples_are_valid(tmp_path: Path) -> None:
    """Each example is a config or a dataset YAML of this version."""
    example = tmp_path / "example.yaml"
    assert len(YAMLS) > 5
    for page, block in YAMLS:
        if page.name in ("extending.md", "simulation.md"):  # tested by test_extending.py and test_population.py
            continue
        content = yaml.safe_load(block)
        try:
            example.write_text(block, encoding="utf-8")
            load_cohort(str(example)) if "name" in content else config_of(content)
        except UserError as error:
            pytest.fail(f"{page.name}: {error}\n{block}")


def test_links_lead_to_files() -> None:
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
            if not target.startswith(("http", "mailto")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_files_named_in_backticks_exist() -> None:
    for page in PAGES:
        if page.name == "CHANGELOG.md":
            continue
        text = page.read_text(encoding="utf-8")
        for name in re.findall(
            r"`((?:sleepkd|tests|benchmarks|scripts|configs|examples)/[\w./-]+\.(?:py|yaml|sh))`", text
        ):
            to_write = page.name == "extending.md" or "NAME" in name or "VERB" in name
            assert to_write or (REPOSITORY / name).is_file(), f"{page.name}: {name}"


def test_the_table_of_settings_is_made_from_the_code() -> None:
    assert settings_table.PAGE.read_text(encoding="utf-8") == settings_table.page(), "python -m scripts.settings_table"


@pytest.mark.parametrize("page", [score_table.README, score_table.NETWORK_PAGE], ids=lambda page: page.name)
def test_the_tables_of_scores_are_those_of_the_model_card(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == score_table.with_scores(page), "python -m website.score_table"


def test_readme_is_short_and_has_the_picture_with_its_attribution() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    assert "docs/figures/real_night.png" in text and "ODC-By 1.0" in text and "Walch" in text


def test_every_setting_has_a_meaning() -> None:
    rows = [line for line in settings_table.page().splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    bare = [row.split("|")[1].strip() for row in rows if not row.split("|")[4].strip()]
    assert not bare, bare
