"""Which nights a part of a split holds, over one store or several; everything behind this file takes nights."""

from collections.abc import Sequence
from pathlib import Path

from sleepkd.data.data_settings import Source
from sleepkd.data.splits import read_split
from sleepkd.data.store import Night, Store
from sleepkd.errors import UserError

ALL = "all"


def open_nights(sources: Sequence[Source], part: str) -> tuple[Night, ...]:
    """The nights of one part (train, validation, test) of every source's split, or of "all" of every store.

    Raises UserError: a store or split that is not there, a part without recordings in all sources, two nights of the
    same cohort and name, a subject of one cohort in two parts, one night in two stores.
    """
    nights: dict[str, Night] = {}
    part_of: dict[tuple[str, str], tuple[str, str]] = {}
    night_of: dict[str, Path] = {}
    empty = []
    for number, source in enumerate(sources):
        store = Store(source.store)
        if part == ALL:
            recordings: tuple[str, ...] = tuple(store.recordings)
        else:
            split = read_split(store, source.split)
            if len(sources) > 1:
                _check_apart(store, split.parts, part_of, night_of)
            recordings = split.parts[part]
            if not recordings:
                empty.append(split.where(part))
        for recording in recordings:
            night = store.open(recording, number)
            night = night if source.labels else night.without_labels()
            if (other := nights.setdefault(night.key, night)) is not night:
                raise UserError(
                    f"{night.folder}: cohort {night.cohort} has a recording of this name in {other.folder} too; "
                    "name one of the two stores only, or prepare one under another cohort's name"
                )
    if not nights:
        raise UserError(f"{' and '.join(map(str, empty))}: lists no recording; add some, or draw another split")
    return tuple(nights.values())


def _check_apart(
    store: Store,
    parts: dict[str, tuple[str, ...]],
    part_of: dict[tuple[str, str], tuple[str, str]],
    night_of: dict[str, Path],
) -> None:
    """No subject of a cohort that several stores hold may be in two parts, and no night in two stores under two names.

    Within a store `read_split` sees to it.
    """
    for part, recordings in parts.items():
        for recording in recordings:
            info, here = store.info(recording), store.path / "recordings" / recording
            for digest in info.digests:
                twin = night_of.setdefault(digest, here)
                if twin.parents[1] != store.path:
                    raise UserError(f"{here}: is the same night as {twin}, under another name; leave one out")
            who = (store.settings.cohort, info.subject)
            other, where = part_of.setdefault(who, (part, str(store.path)))
            if other != part:
                raise UserError(
                    f"{store.path}: subject {who[1]} of cohort {who[0]} is in {part} here, in {other} of {where}; "
                    "give both stores splits that agree"
                )
