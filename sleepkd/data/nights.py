"""Open the nights of a part of a split, from one store or several."""

from collections.abc import Sequence
from pathlib import Path

from sleepkd.data.data_settings import Source
from sleepkd.data.splits import read_split
from sleepkd.data.store import Night, Store
from sleepkd.errors import UserError

ALL = "all"


def open_nights(sources: Sequence[Source], part: str) -> tuple[Night, ...]:
    """Open the nights of one part of a split, from one store or several.

    Parameters
    ----------
    sources
        Stores with their splits: `Source(store="store", split="default")`.
    part
        "train", "validation" or "test" of the split of every source; "all" opens whole stores.

    Returns
    -------
    tuple of Night
        Their signals stay on disk.

    Raises
    ------
    UserError
        A missing store or split, a part without recordings in all sources, two nights of one cohort with the same name,
        a subject of one cohort in two parts, a night in two stores.

    Examples
    --------
    >>> nights = open_nights([Source(store=path)], "all")
    >>> nights[0].has_labels
    True
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
                _check_disjoint(store, split.parts, part_of, night_of)
            recordings = split.parts[part]
            if not recordings:
                empty.append(split.where(part))
        for recording in recordings:
            night = store.open(recording, number)
            night = night if source.labels else night.without_labels()
            if (other := nights.setdefault(night.key, night)) is not night:
                raise UserError(
                    f"{night.folder}: cohort {night.cohort} has a recording of this name in {other.folder} too; "
                    "use one of the two stores only, or prepare one under another cohort name"
                )
    if not nights:
        raise UserError(f"{' and '.join(map(str, empty))}: lists no recording; add some, or draw another split")
    return tuple(nights.values())


def lists_labelled(sources: Sequence[Source], part: str) -> bool:
    """Whether the split of any source that is read with its labels lists a recording in a part."""
    return any(read_split(Store(source.store), source.split).parts[part] for source in sources if source.labels)


def _check_disjoint(
    store: Store,
    parts: dict[str, tuple[str, ...]],
    part_of: dict[tuple[str, str], tuple[str, str]],
    night_of: dict[str, Path],
) -> None:
    """Raise UserError where a subject of a cohort is in two parts, or a night in two stores under two names.

    `read_split` checks both within a store. part_of, night_of: of the stores so far, updated in place.
    """
    for part, recordings in parts.items():
        for recording in recordings:
            info, here = store.info(recording), store.path / "recordings" / recording
            for digest in info.digests:
                copy = night_of.setdefault(digest, here)
                if copy.parents[1] != store.path:
                    raise UserError(f"{here}: is the same night as {copy}, under another name; remove one of them")
            subject = (store.settings.cohort, info.subject)
            other, where = part_of.setdefault(subject, (part, str(store.path)))
            if other != part:
                raise UserError(
                    f"{store.path}: subject {info.subject} of cohort {store.settings.cohort} is in {part} here, in "
                    f"{other} of {where}; put it in the same part of both splits"
                )
