"""Delimiter, decimal commas, names, units, titles, second tables and footers of a text."""

import pytest

from sleepkd.cohorts.beats.sniff_table import find_delimiter, sniff_table
from sleepkd.errors import UserError


@pytest.mark.parametrize(
    ("lines", "delimiter"),
    [
        (["time,rr", "0.5,700"], ","),
        (["time;rr", "0,5;0,7"], ";"),
        (["time\trr", "0,5\t0,7"], "\t"),
        (["0.5 700", "1.2 690"], " "),
        (["700", "690"], "\0"),
        (["0,704", "0,691"], "\0"),  # decimal commas
        (["rr", "0,704", "0,691"], "\0"),
        (["10,64", "11,65", "12,66"], ","),  # seconds and heart rates
        (["time,rr", "0.5,700|690", "0.9,710|700"], ","),
        (["2024-01-31 23:50:00", "2024-01-31 23:50:01"], "\0"),  # one column of dates
    ],
)
def test_the_delimiter(lines: list[str], delimiter: str) -> None:
    assert find_delimiter(lines) == delimiter


def test_names_units_comments_and_quotes() -> None:
    table = sniff_table(["sep=;", "# strap", '"time";rr', "s;ms", "", '0,5;"700";', "1,2;690"])
    assert (table.names, table.units, table.header_line) == (["time", "rr"], ["s", "ms"], 3)
    assert table.rows == [(6, ["0,5", "700"]), (7, ["1,2", "690"])]
    assert table.numbers(0).tolist() == [0.5, 1.2] and table.column(1) == ["700", "690"]


def test_the_longest_table_is_read_and_a_short_one_is_named() -> None:
    lines = ["Name,Date,Average heart rate (bpm)", "Ann,31-01-2024,61", "Rate,Time,HR (bpm)"]
    table = sniff_table([*lines, *(f"1,00:00:{s:02d},60" for s in range(30))])
    assert table.names == ["Rate", "Time", "HR (bpm)"] and len(table.rows) == 30
    assert table.notes == ["the 1 rows below line 1 are another table, not read"]
    assert table.above[0].rows == [(2, ["Ann", "31-01-2024", "61"])]
    long = ["time,hr", *("1,60",) * 20, "time,rr", *("1,900",) * 30]
    with pytest.raises(UserError, match=r"two tables, from line 1 \(time, hr\) and from line 22 \(time, rr\)"):
        sniff_table(long)


def test_titles_above_repeated_names_and_lines_below() -> None:
    lines = ["Device: H10", "Start, 2024-01-31 23:50:00", "time,rr", "1,900", "time,rr", "2,910", "End of file"]
    table = sniff_table(lines)
    assert table.names == ["time", "rr"] and [row[0] for row in table.rows] == [4, 6]
    assert {"line 5 repeats the names", "line 7 is not a row: 'End of file'"} <= set(table.notes)


def test_the_start_of_empatica_stands_in_the_place_of_a_name() -> None:
    table = sniff_table(["1569337300.000000, IBI", "0.648,0.648"])
    assert table.start_unix == 1569337300 and table.names[1] == "IBI" and len(table.rows) == 1


def test_missing_values_and_lists_in_cells() -> None:
    table = sniff_table(["time,rr", "1,NA", "2,null", "3,", "4,-", "5,812|790", '6,"[800, 805, 810]"', '7,"812,790"'])
    assert table.column(1)[:4] == [""] * 4
    assert table.number_lists(1)[4:].tolist() == [[812, 790, pytest.approx(float("nan"), nan_ok=True)],
                                                  [800, 805, 810],
                                                  [812, 790, pytest.approx(float("nan"), nan_ok=True)]]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "is empty"),
        (["# nothing"], "is empty"),
        (["time,rr", "0,704,0,704", "1,404,0,700"], "line 2 has 4 cells for 2 names: with decimal commas"),
    ],
)
def test_texts_that_are_no_table(lines: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        sniff_table(lines)
