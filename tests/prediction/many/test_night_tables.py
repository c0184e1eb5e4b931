"""Tables of nights: parts that survive a kill, rows that replace earlier ones, the same rows as CSV and as Parquet."""

from pathlib import Path

import pytest

from sleepkd.errors import UserError
from sleepkd.prediction.many.file_state import FileState
from sleepkd.prediction.many.night_rows import NightRows, StagedWith, failed_row, origin_row
from sleepkd.prediction.many.night_tables import EPOCHS, NIGHTS, NightTables
from sleepkd.prediction.many.table_files import FORMATS, TableFiles

CLASSES = ("W", "NREM", "REM")


@pytest.fixture(params=["csv", "parquet"])
def form(request: pytest.FixtureRequest) -> str:
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return request.param


def rows(name: str, stage: str, failed: bool = False, checksum: str = "c") -> NightRows:
    """A recording of one night of two sleep epochs of a stage, or a failed one."""
    origin = origin_row(name, 1, f"{name}.edf", StagedWith("w", "nights=last", FileState(5, 7), checksum))
    if failed:
        return NightRows([failed_row(origin, 'is "no", ECG')])
    epochs = {"recording": [name] * 2, "night": [1] * 2, "onset": [0.0, 30.0], "stage": [stage] * 2}
    return NightRows([{**origin, "status": "staged", "TST": 1.5}], [epochs])


def stages(files: TableFiles, path: Path) -> list[tuple[str, str]]:
    return [(row["recording"], row["stage"]) for row in files.rows(path, {"recording": str, "stage": str})]


def test_an_interrupted_run_resumes_and_later_rows_replace_earlier_ones(tmp_path: Path, form: str) -> None:
    first = NightTables(tmp_path, None, form, CLASSES)
    first.add(rows("a", "W"))
    first.add(rows("b", "", failed=True))
    first.flush()
    first.add(rows("lost", "W"))  # killed before it is on disk
    first.release()
    second = NightTables(tmp_path, None, None, CLASSES)
    known = second.known()
    assert set(known) == {"a", "b"} and known["b"].failed and not known["a"].failed
    assert known["a"].state == FileState(5, 7) and known["a"].weights == "w" and known["a"].path == "a.edf"
    second.add(rows("b", "REM"))
    second.close()
    third = NightTables(tmp_path, None, None, CLASSES)
    third.add(rows("a", "NREM"))
    third.close()
    files = FORMATS[form]()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"epochs.{form}", f"nights.{form}"]
    assert stages(files, third.table(EPOCHS)) == [("b", "REM")] * 2 + [("a", "NREM")] * 2
    nights = list(third.rows())
    assert [(row["recording"], row["status"], row["TST"], row["reason"]) for row in nights] == [
        ("b", "staged", 1.5, None),
        ("a", "staged", 1.5, None),
    ]


def test_a_run_that_is_killed_while_it_joins_ends_with_the_same_tables(tmp_path: Path) -> None:
    """The table of sleep epochs is new, that of nights is not, and the parts are there."""
    tables = NightTables(tmp_path, (2, 4), "csv", CLASSES)
    tables.add(rows("a", "W"))
    tables.close()
    tables = NightTables(tmp_path, (2, 4), "csv", CLASSES)
    tables.add(rows("b", "REM"))
    tables.flush()
    (part,) = (tmp_path / "parts-2-of-4").glob("*.epochs.csv")
    table = tables.table(EPOCHS)
    table.write_text(table.read_text() + part.read_text().partition("\n")[2])
    tables.release()
    tables = NightTables(tmp_path, (2, 4), "csv", CLASSES)
    tables.close()
    assert stages(FORMATS["csv"](), table) == [("a", "W")] * 2 + [("b", "REM")] * 2
    assert [row["recording"] for row in tables.rows()] == ["a", "b"]
    assert tables.table(NIGHTS).name == "nights-2-of-4.csv"


def test_tables_of_other_stages_of_another_format_or_in_use_are_refused(tmp_path: Path) -> None:
    tables = NightTables(tmp_path, None, "csv", CLASSES)
    with pytest.raises(UserError, match="another run is writing here"):
        NightTables(tmp_path, None, "csv", CLASSES)
    tables.close()
    with pytest.raises(UserError, match=r"other columns .*choose another --out"):
        NightTables(tmp_path, None, "csv", ("W", "light", "deep", "REM"))
    pytest.importorskip("pyarrow")
    with pytest.raises(UserError, match="holds tables as csv; take --format csv"):
        NightTables(tmp_path, None, "parquet", CLASSES)
