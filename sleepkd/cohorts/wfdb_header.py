"""What the header (.hea) of a PhysioNet record (WFDB) states besides its signals: the start, age and sex."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.sleeper import Sleeper, sleeper_of

HEADER_ENDING = ".hea"
_NAMED = r"<?\b{}>?\s*[:=]\s*([^\s,;]+)"  # "<age>: 63 <sex>: M" of header(5), "Age: 63", "sex=F"
_AGE, _SEX = (re.compile(_NAMED.format(name), re.IGNORECASE) for name in ("age", "(?:sex|gender)"))
_IN_ORDER = re.compile(r"(\d{1,3}|x)\s+([MFx])(?:\s.*)?", re.IGNORECASE)
"""Age and sex begin the first comment of slpdb ("44 M 89 32-01-89") and of mitdb; x is unknown."""


class RecordFacts(NamedTuple):
    """start: None if the header states no time."""

    start: Start | None = None
    sleeper: Sleeper = Sleeper()


def read_record_facts(path: Path) -> RecordFacts:
    """The start, age and sex in a header without reading signals; nothing is known of one that cannot be read."""
    import wfdb  # here: it imports pandas, which no other format needs

    try:
        header = wfdb.rdheader(str(path.with_suffix("")))
    except Exception:  # wfdb defines no exception; readers of annotations report what they cannot do without
        return RecordFacts()
    return RecordFacts(base_start(header), comments_sleeper(header.comments, path.name))


def base_start(header: Any) -> Start | None:
    """The base date and time of a header that wfdb has read; None without a time."""
    if header.base_time is None:
        return None
    return Start(header.base_date, header.base_time.replace(microsecond=0), header.base_time.microsecond / 1e6)


def comments_sleeper(comments: Sequence[str], where: str) -> Sleeper:
    """Age and sex in the comments of a header: named, as "Age: 63", or in the order of slpdb.

    where: the file, for remarks.
    """
    if comments and (match := _IN_ORDER.fullmatch(comments[0].strip())):
        return sleeper_of(match[1], match[2], where)
    age, sex = (next((match[1] for text in comments if (match := form.search(text))), "") for form in (_AGE, _SEX))
    return sleeper_of(age, sex, where)
