"""Run the modules of the page in Node."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sleepkd
from sleepkd.cohorts.clock import moment_of
from sleepkd.data.inputs import InputSpec
from sleepkd.errors import UserError
from sleepkd.prediction.chosen_nights import chosen_nights
from sleepkd.prediction.recorded import ReadingOptions

PAGE = Path(sleepkd.__file__).parent / "web_page"
READ = """
import { readFileSync } from "node:fs";
import { readNights } from "%s";
const found = [];
for (const path of input) {
  const file = new Blob([readFileSync(path)]);
  file.name = path.split("/").at(-1);
  try {
    found.push(await readNights(file));
  } catch (error) {
    found.push({ error: error.message, stack: error.constructor.name === "UserError" ? "" : error.stack });
  }
}
return found;
"""


def run_in_node(code: str, given: Any) -> Any:
    """What the body of an async function returns, in JSON; `input` is what it is given. Imports come first."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    imports = [line for line in code.splitlines() if line.startswith("import ")]
    body = "\n".join(line for line in code.splitlines() if not line.startswith("import "))
    script = "\n".join(
        [
            'import { readFileSync as readInput } from "node:fs";',
            *imports,
            'const input = JSON.parse(readInput(0, "utf8"));',
            f"const main = async () => {{ {body} }};",
            "console.log(JSON.stringify(await main()));",
        ]
    )
    command = [node, "--input-type=module", "--eval", script]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def url(name: str) -> str:
    """The address of a module of the page, for an import."""
    return (PAGE / name).as_uri()


def read_in_node(paths: list[Path]) -> list[Any]:
    """The nights of each file as the page reads them, or {error, stack}."""
    return run_in_node(READ % url("readers/read_nights.js"), [str(path) for path in paths])


@cache
def inputs_of_network() -> InputSpec:
    return sleepkd.load().trained.inputs


def read_in_python(path: Path) -> "list[dict] | str":
    """The nights of a file as `sleepkd predict --nights all --beats` reads them, or the message of a refusal."""
    try:
        nights = list(chosen_nights(path, inputs_of_network(), ReadingOptions(beats=True), "all"))
    except UserError as error:
        return str(error)
    return [
        {
            "times": night.recording.beats,
            "seconds": night.recording.seconds,
            "cadence": night.recording.cadence_s,
            "start": moment_of(night.recording.start),
            "device": night.device,
            "leftOut": list(night.left_out),
        }
        for night in nights
    ]


def assert_same_nights(found: Any, expected: "list[dict] | str", name: str = "") -> None:
    """The page and Python read the same nights of a file, or both refuse it."""
    if isinstance(expected, str):
        assert isinstance(found, dict), f"{name}: the page reads it, Python: {expected}"
        assert not found["stack"] and "\n" not in found["error"], found
        return
    assert isinstance(found, list), f"{name}: Python reads it, the page: {found}"
    assert len(found) == len(expected), name
    for night, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(night["times"], wanted["times"], atol=2e-3, err_msg=name)
        np.testing.assert_allclose(night["seconds"], wanted["seconds"], atol=2e-3, err_msg=name)
        np.testing.assert_allclose(night["cadence"], wanted["cadence"], atol=1e-3, err_msg=name)
        start, moment = night["start"], wanted["start"]
        assert (moment is not None) == bool(start and start["dated"]), name
        if moment is not None:
            since_1970 = np.datetime64(moment).astype("datetime64[ms]").astype(int) / 1000
            np.testing.assert_allclose(start["seconds"], since_1970, atol=2e-3, err_msg=name)
        assert (night["device"], night["leftOut"]) == (wanted["device"], wanted["leftOut"]), name
