"""Age and sex in the patient field of an EDF+ or BDF+ header: "MCH-0234567 F 02-MAY-1951 Haagse_Harry"."""

import re
from datetime import date

from sleepkd.cohorts.edf.header import written_date
from sleepkd.cohorts.sleeper import Sleeper, sleeper_of

_WITH_AGE = re.compile(r"(?:fe)?male_(\d{1,3})yr", re.IGNORECASE)
"""How Sleep-EDF writes the age, in place of the name: "X F X Female_33yr"."""
UNKNOWN = "X"


def patient_sleeper(patient: str, day: date | None, where: str) -> Sleeper:
    """Age and sex by a patient field; unknown for plain EDF's free text, and where the field has X.

    day: of the recording; the age is the number of completed years on it. An age of 0 is unknown: programs that remove
    dates write one day for both. where: the file, for remarks.
    """
    _, *rest = patient.split() or [""]
    if len(rest) < 2 or rest[0] not in ("F", "M", UNKNOWN):
        return Sleeper()
    born = written_date(rest[1])
    if born is None and rest[1] != UNKNOWN:
        return Sleeper()  # free text
    age = next((match[1] for word in rest[2:] if (match := _WITH_AGE.fullmatch(word))), "")
    if born and day and (years := completed_years(born, day)):
        age = str(years)
    return sleeper_of(age, rest[0], where)


def completed_years(born: date, day: date) -> int:
    """Completed years from a date of birth to a day."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))
