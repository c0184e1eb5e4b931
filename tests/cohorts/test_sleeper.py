"""Age and sex as files write them: what is known, what is unknown, and what is warned of."""

import pytest

from sleepkd.cohorts.sleeper import Sleeper, first_known, sleeper_of


@pytest.mark.parametrize(
    ("age", "sex", "expected"),
    [
        ("44", "M", (44, "M")),
        ("39.5", "female", (39.5, "F")),
        ("39,5", " Male ", (39.5, "M")),
        ("90+", "f", (90, "F")),
        (">89", "W", (89, None)),
        ("33 yrs", "man", (33, "M")),
        ("x", "x", (None, None)),
        ("", "n/a", (None, None)),
        ("NaN", "not reported", (None, None)),
        ("120", "Woman", (120, "F")),
    ],
)
def test_texts_of_age_and_sex(age: str, sex: str, expected: tuple[float | None, str | None]) -> None:
    found = sleeper_of(age, sex, "a.tsv")
    assert (found.age, found.sex) == expected
    assert bool(found.remarks) == (sex == "W")


@pytest.mark.parametrize("age", ["999", "121", "-9", "about 40", "44 M"])
def test_an_implausible_age_is_unknown_and_warned_of(age: str) -> None:
    found = sleeper_of(age, "F", "a.tsv")
    assert (found.age, found.sex) == (None, "F")
    assert found.remarks == (f"WARNING: a.tsv: '{age}' is no plausible age, so the age is unknown",)


def test_another_sex_is_unknown_and_warned_of() -> None:
    found = sleeper_of("30", "3", "a.tsv", {"1": "M", "2": "F"})
    assert (found.age, found.sex) == (30, None)
    assert found.remarks == ("WARNING: a.tsv: '3' is neither F nor M, so the sex is unknown",)


@pytest.mark.parametrize(("text", "sex"), [("2", "F"), ("02", "F"), ("1.0", "M"), ("male", "M")])
def test_numbers_that_stand_for_sexes(text: str, sex: str) -> None:
    assert sleeper_of("", text, "a.csv", {"1": "M", "2": "F"}) == Sleeper(None, sex)


def test_of_two_sources_the_first_counts_and_the_second_fills_in() -> None:
    names = ("the table", "a.edf")
    assert first_known(Sleeper(40, None), Sleeper(41, "F"), names) == Sleeper(40, "F")
    assert first_known(Sleeper(), Sleeper(70, "M"), names) == Sleeper(70, "M")
    found = first_known(Sleeper(40, "M"), Sleeper(62, "F"), names)
    assert (found.age, found.sex) == (40, "M")
    assert found.remarks == (
        "WARNING: age 40 by the table, 62 by a.edf: the first is taken",
        "WARNING: sex M by the table, F by a.edf: the first is taken",
    )


def test_a_sleeper_in_words() -> None:
    assert Sleeper(44.0, "M").text == "44 years, M"
    assert Sleeper(39.5).text == "39.5 years" and Sleeper(None, "F").text == "F" and Sleeper().text == ""
    assert Sleeper(None, "F") and not Sleeper(remarks=("odd",))
