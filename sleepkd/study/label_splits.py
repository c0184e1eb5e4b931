"""Splits with a given number of labelled nights; the other training nights are used without their labels."""

from collections.abc import Sequence

import numpy as np

from sleepkd.config import require
from sleepkd.data.splits import read_split, write_split
from sleepkd.data.store import Store
from sleepkd.study.cross_validation import SplitParts, has_split

LABELLED_PER_VALIDATION = 5
"""One in so many labelled subjects validates."""


def draw_labelled(
    store: Store, split: str, numbers: Sequence[int], seed: int
) -> dict[int, tuple[SplitParts, SplitParts]]:
    """{number of labelled nights: (split of the labelled nights, split of the unlabelled rest)}.

    Subjects are drawn whole, in an order that follows from the seed: a larger number contains the smaller ones. The
    test nights are those of `split`. Raises UserError where there are fewer nights.
    """
    parts = read_split(store, split).parts
    pool = [*parts["train"], *parts["validation"]]
    nights: dict[str, list[str]] = {}
    for recording in pool:
        nights.setdefault(store.info(recording).subject, []).append(recording)
    order = np.random.default_rng(seed).permutation(sorted(nights)).tolist()
    drawn = {}
    for number in numbers:
        require(number <= len(pool), "--labelled", f"asks for {number} of {len(pool)} nights outside the test set")
        labelled: list[str] = []
        taken = 0
        while len(labelled) < number:
            labelled += nights[order[taken]]
            taken += 1
        validating = order[:taken][::LABELLED_PER_VALIDATION] if number else []
        validation = tuple(name for subject in validating for name in nights[subject])
        train = tuple(name for name in labelled if name not in validation)
        require(not number or bool(train), "--labelled", f"{number} nights leave none to train on")
        rest = tuple(name for subject in order[taken:] for name in nights[subject])
        of_labelled = {"train": train, "validation": validation, "test": parts["test"]}
        drawn[number] = of_labelled, {"train": rest, "validation": (), "test": ()}
    return drawn


def split_names(number: int, seed: int) -> tuple[str, str]:
    """The names of the two splits in the store: of the labelled and of the unlabelled nights."""
    return f"labelled{number}-seed{seed}", f"unlabelled{number}-seed{seed}"


def write_labelled(store: Store, split: str, numbers: Sequence[int], seeds: Sequence[int]) -> None:
    """Write the splits that the store does not have yet."""
    for seed in seeds:
        for number, both in draw_labelled(store, split, numbers, seed).items():
            for name, parts in zip(split_names(number, seed), both, strict=True):
                if not has_split(store, name):
                    write_split(
                        store.path / "splits" / name, parts, f"{number} labelled nights, drawn with seed {seed}"
                    )
