"""Splits with a given number of labelled nights; the other training nights are used without their labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sleepkd.config import require
from sleepkd.data.data_settings import Source
from sleepkd.data.splits import draw_folds, read_split, write_split
from sleepkd.data.store import Store
from sleepkd.study.cross_validation import SplitParts, has_split

LABELLED_PER_VALIDATION = 5
"""One in so many labelled subjects validates."""
FOLD_VALIDATION_SHARE = 0.1
"""Of a drawn fold; the study draws other validation nights, among the labelled ones."""

PartsOfStores = Mapping[str, SplitParts]
"""{store: its train, validation and test recordings}."""


@dataclass(frozen=True)
class LabelledDraw:
    """The nights of one draw, by store: the labelled ones with the test nights, and the unlabelled rest."""

    labelled: PartsOfStores
    unlabelled: PartsOfStores

    def nights(self, part: str, labelled: bool) -> list[tuple[str, str]]:
        """(store, recording) of every labelled or unlabelled night of a part."""
        of_stores = self.labelled if labelled else self.unlabelled
        return [(store, recording) for store, parts in of_stores.items() for recording in parts[part]]


def draw_test_sets(sources: Sequence[Source], folds: int, seed: int) -> dict[str, PartsOfStores]:
    """{"": the split of each source}, or the folds of a cross-validation by subject of each store, by name."""
    if not folds:
        return {"": {source.store: read_split(Store(source.store), source.split).parts for source in sources}}
    dealt = {source.store: draw_folds(Store(source.store), folds, FOLD_VALIDATION_SHARE, seed) for source in sources}
    return {f"fold{k}of{folds}": {store: of_store[k] for store, of_store in dealt.items()} for k in range(folds)}


def nights_outside(tested: PartsOfStores) -> dict[tuple[str, str], list[str]]:
    """{(store, subject): recordings} outside the test nights."""
    nights: dict[tuple[str, str], list[str]] = {}
    for path, parts in tested.items():
        store = Store(path)
        for recording in (*parts["train"], *parts["validation"]):
            nights.setdefault((path, store.info(recording).subject), []).append(recording)
    return nights


def draw_labelled(
    tested: PartsOfStores, numbers: Sequence[int], seed: int, validates: bool = True
) -> dict[int, LabelledDraw]:
    """{number of labelled nights: the draw}. tested: of each store, the parts that say which nights are tested.

    Subjects are drawn whole, in an order that follows from the seed: a larger number contains the smaller ones. A
    number above that of the nights outside the test set takes them all. validates: whether some of the labelled nights
    validate; otherwise all of them train.
    """
    nights = nights_outside(tested)
    subjects = sorted(nights)
    order = [subjects[k] for k in np.random.default_rng(seed).permutation(len(subjects))]
    available = sum(map(len, nights.values()))
    drawn = {}
    for number in numbers:
        taken, count = 0, 0
        while count < min(number, available):
            count += len(nights[order[taken]])
            taken += 1
        validating = set(order[:taken][::LABELLED_PER_VALIDATION] if number and validates else ())

        def of(chosen: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
            return {store: tuple(name for key in chosen if key[0] == store for name in nights[key]) for store in tested}

        train, validation = of([key for key in order[:taken] if key not in validating]), of(sorted(validating))
        rest = of(order[taken:])
        require(not number or any(train.values()), "--labelled", f"{number} nights leave none to train on")
        drawn[number] = LabelledDraw(
            {
                store: {"train": train[store], "validation": validation[store], "test": parts["test"]}
                for store, parts in tested.items()
            },
            {store: {"train": rest[store], "validation": (), "test": ()} for store in tested},
        )
    return drawn


def split_names(number: int, seed: int, fold: str = "", validates: bool = True) -> tuple[str, str]:
    """The names of the two splits in each store: of the labelled and of the unlabelled nights."""
    drawn = f"{number}{'' if validates else '-no-validation'}-seed{seed}{f'-{fold}' if fold else ''}"
    return f"labelled{drawn}", f"unlabelled{drawn}"


def write_labelled(drawn: Mapping[int, LabelledDraw], seed: int, fold: str = "", validates: bool = True) -> None:
    """Write the splits that the stores do not have yet."""
    for number, draw in drawn.items():
        names = split_names(number, seed, fold, validates)
        for name, of_stores in zip(names, (draw.labelled, draw.unlabelled), strict=True):
            for path, parts in of_stores.items():
                if not has_split(Store(path), name):
                    comment = f"{number} labelled nights, drawn with seed {seed}"
                    write_split(Store(path).path / "splits" / name, parts, comment)
