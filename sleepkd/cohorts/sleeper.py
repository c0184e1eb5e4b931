"""Age and sex of a sleeper, as headers and subject tables write them."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from sleepkd.cohorts.remarks import WARNING
from sleepkd.data.recording_info import Sex

OLDEST = 120.0
"""Years. A higher or a negative age is taken for a code of a missing value, or a mistake."""
SEXES: dict[str, Sex] = {"f": "F", "female": "F", "woman": "F", "m": "M", "male": "M", "man": "M"}
MISSING_TEXTS = frozenset(
    ("", "x", ".", "-", "?", "n/a", "na", "nan", "none", "null", "unknown", "missing", "not reported")
)
_AGE = re.compile(r"[<>≥≤]?=?\s*(\d+(?:[.,]\d+)?)\s*\+?\s*(?:y|yr|yrs|year|years)?", re.IGNORECASE)


class Sleeper(NamedTuple):
    """age: years; sex: F or M; None: unknown. remarks: on values that are none, and so unknown."""

    age: float | None = None
    sex: Sex | None = None
    remarks: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return self.age is not None or self.sex is not None

    @property
    def text(self) -> str:
        """For example "44 years, M"; "" if nothing is known."""
        age = "" if self.age is None else f"{self.age:g} years"
        return ", ".join(filter(None, (age, self.sex)))


def sleeper_of(age: str, sex: str, where: str, sexes: Mapping[str, Sex] | None = None) -> Sleeper:
    """A sleeper by the texts of a file: "44", "90+", "44 y"; "M", "female". A blank or a "n/a" is unknown.

    where: the file, for remarks on implausible values, which are unknown, too. sexes: texts for F and M besides the
    words, as some tables write numbers.
    """
    years, remarks = _age(age), []
    if years is None and not _is_missing(age):
        remarks.append(f"{WARNING}{where}: {age.strip()!r} is no plausible age, so the age is unknown")
    words = SEXES | {plain_text(text): meaning for text, meaning in (sexes or {}).items()}
    meaning = words.get(plain_text(sex))
    if meaning is None and not _is_missing(sex):
        remarks.append(f"{WARNING}{where}: {sex.strip()!r} is neither F nor M, so the sex is unknown")
    return Sleeper(years, meaning, tuple(remarks))


def first_known(first: Sleeper, second: Sleeper, names: tuple[str, str]) -> Sleeper:
    """Age and sex of two sources, the first before the second; a warning where they differ.

    names: of the sources. Ages of 1 year apart agree: one may be of the day of an earlier visit.
    """
    remarks = [*first.remarks, *second.remarks]
    if first.age is not None and second.age is not None and abs(first.age - second.age) > 1:
        remarks.append(f"{WARNING}age {first.age:g} by {names[0]}, {second.age:g} by {names[1]}: the first is taken")
    if first.sex and second.sex and first.sex != second.sex:
        remarks.append(f"{WARNING}sex {first.sex} by {names[0]}, {second.sex} by {names[1]}: the first is taken")
    age = second.age if first.age is None else first.age
    return Sleeper(age, first.sex or second.sex, tuple(remarks))


def _age(text: str) -> float | None:
    match = _AGE.fullmatch(text.strip())
    years = float(match[1].replace(",", ".")) if match else None
    return years if years is not None and years <= OLDEST else None


def plain_text(text: str) -> str:
    """A text in small letters; whole numbers without zeros before or after: 01 and 1.0 are 1."""
    text = text.strip().lower()
    match = re.fullmatch(r"0*(\d+)(?:\.0*)?", text)
    return match[1] if match else text


def _is_missing(text: str) -> bool:
    return text.strip().lower() in MISSING_TEXTS
