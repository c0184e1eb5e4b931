"""One list of texts for every reader of heartbeats: sleepkd, examples/onnx_only.py and the page."""

import json
import re
import runpy
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from launch import REPOSITORY
from sleepkd.cohorts.beats import BEATS, beat_format
from sleepkd.errors import UserError

EXAMPLES = REPOSITORY / "examples"
CASES = {case["name"]: case for case in json.loads((EXAMPLES / "reader_cases.json").read_text())["cases"]}
SCRIPT = """
import { readFileSync } from "node:fs";
import { readBeatText } from "%s";
const texts = JSON.parse(readFileSync(0, "utf8"));
const read = (text) => readBeatText(new TextEncoder().encode(text)).then((found) => found.times, (why) => why.message);
console.log(JSON.stringify(await Promise.all(texts.map(read))));
"""


def check(case: dict, found: "np.ndarray | str", is_example: bool) -> None:
    """found: beats, or the message of a refusal."""
    refused = case.get("examples_refuse") if is_example else None
    refused = refused or case.get("refused")
    if isinstance(found, str):
        assert refused and re.search(refused, found), found
        assert "\n" not in found
        return
    assert "beats" in case and not (is_example and "examples_refuse" in case), f"read, {len(found)} beats"
    np.testing.assert_allclose(np.asarray(found) - found[0], case["beats"], atol=2e-3)


@pytest.mark.parametrize("name", CASES)
def test_sleepkd(name: str, tmp_path: Path) -> None:
    path = tmp_path / "night.csv"
    path.write_bytes(CASES[name]["text"].encode())
    form = beat_format(path, holds_beats=True)
    assert form is not None
    layout = BEATS[form].layout(files=(path.name,), format=form)
    try:
        found = BEATS[form].read(path, layout).times
    except UserError as error:
        found = str(error)
    check(CASES[name], found, is_example=False)


@cache
def onnx_only() -> dict:
    pytest.importorskip("onnxruntime")
    return runpy.run_path(str(EXAMPLES / "onnx_only.py"))


@pytest.mark.parametrize("name", CASES)
def test_onnx_only(name: str) -> None:
    try:
        found = onnx_only()["read_beats"](CASES[name]["text"].removeprefix("\ufeff"))
    except ValueError as error:
        found = str(error)
    check(CASES[name], found, is_example=True)


@cache
def read_in_node() -> dict:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    script = SCRIPT % (REPOSITORY / "sleepkd" / "web_page" / "readers" / "beat_text.js").as_uri()
    texts = json.dumps([case["text"] for case in CASES.values()])
    command = [node, "--input-type=module", "--eval", script]
    done = subprocess.run(command, input=texts, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_web(name: str) -> None:
    check(CASES[name], read_in_node()[name], is_example=False)
