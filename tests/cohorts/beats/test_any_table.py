"""Property tests: a night in any spelling is read to the same beats, and any bytes end in a night or a `UserError`."""

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sleepkd.cohorts.beats import beat_format
from sleepkd.errors import UserError
from tests.cohorts.beats.given import CLOCKS, ENDS, MS, read, rows, same_beats, stamps

QUIET = settings(
    deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
COUNT = 300


@QUIET
@given(
    clock=st.sampled_from([None, *CLOCKS]),
    name=st.sampled_from(["rr", "RR-interval [ms]", "IBI", "PP interval", "nn_ms"]),
    sep=st.sampled_from([",", ";", "\t", "|"]),
    in_seconds=st.booleans(),
    comma=st.booleans(),
    quoted=st.booleans(),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    newest_first=st.booleans(),
    more=st.booleans(),
    first=st.integers(0, 500),
)
def test_any_spelling_of_a_night(
    tmp_path: Path, clock: str | None, name: str, sep: str, in_seconds: bool, comma: bool, quoted: bool, end: str,
    encoding: str, newest_first: bool, more: bool, first: int,
) -> None:  # fmt: skip
    kept = slice(first, first + COUNT)
    ends, ms = ENDS[kept] - ENDS[first], MS[kept]
    values = [f"{x / 1000:.3f}" for x in ms] if in_seconds else [str(x) for x in ms]
    columns = [values] if clock is None else [CLOCKS[clock](ends), values]
    names = [name] if clock is None else [clock, name]
    if more:
        columns, names = [*columns, ["ok"] * COUNT], [*names, "note"]
    if newest_first and clock is not None:
        columns = [column[::-1] for column in columns]
    if comma and sep != ",":
        numeric = len(columns) - more
        columns = [
            [x.replace(".", ",") if x.count(".") == 1 else x for x in c] if k < numeric else c
            for k, c in enumerate(columns)
        ]
    if quoted:
        columns = [[f'"{x}"' for x in column] for column in columns]
    text = rows(sep.join(names), *columns, sep=sep).replace("\n", end)
    found = read(tmp_path, text.encode(encoding))
    beats = np.concatenate([[0.0], np.cumsum(ms)]) / 1000
    same_beats(found, beats)


def ends_well(folder: Path, content: bytes) -> None:
    path = folder / "night.csv"
    path.write_bytes(content)
    began = time.process_time()
    tracemalloc.start()
    try:
        beat_format(path)
        found = read(folder, content)
        assert np.isfinite(found.times).all() and (np.diff(found.times) > 0).all()
        assert all("\n" not in line for line in found.report.lines())
    except UserError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert time.process_time() - began < 1 and most < 500e6


@QUIET
@given(content=st.binary(max_size=3000))
@example(b"\x1f\x8b")
@example(b"time,hr\n0,60\n1e300,60\n")
@example(b"time,hr\n0,1e12\n1,1e12\n2,1e12\n")
@example(b"rr\n1e300\n0.9\n0.8\n0.9\n")
@example(b"time_s,hr\n1706745000000,60\n1706745060000,61\n1706773800000,60\n")
@example(b'a"b,"c\n"1,2\n')
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    ends_well(tmp_path, content)


PIECES = ["time", "rr", "hr", "date", ",", ";", "\t", "\n", " ", '"', "-", ".", "1", "60", "900", "0.9", "1e308", "nan",
          "NA", "2024-01-31", "T", "23:50:00", "+01:00", "PM", "\0", "#", "65535", "1706745000", "9" * 25]  # fmt: skip


@QUIET
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=300))
def test_any_cells(tmp_path: Path, pieces: list[str]) -> None:
    ends_well(tmp_path, "".join(pieces).encode())


@QUIET
@given(data=st.data())
def test_any_damage_of_a_night(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(rows("timestamp;rr", stamps(ENDS[:200]), MS[:200], sep=";").encode())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))
    ends_well(tmp_path, bytes(content))


@pytest.mark.parametrize("rate", [60, 250])
def test_memory_follows_the_file_and_not_its_span(tmp_path: Path, rate: int) -> None:
    for step in (1, 60, 900, 10**4, 10**9):
        ends_well(tmp_path, rows("time_s,hr", np.arange(900) * step, [rate] * 900).encode())
