"""The splits of the paper's table: one split of the store, or a cross-validation by subject."""

from sleepkd.data.splits import draw_folds, read_split, write_split
from sleepkd.data.store import Store

VALIDATION_SHARE = 0.1  # of the subjects that are not in the test fold

SplitParts = dict[str, tuple[str, ...]]
"""{train, validation, test: recordings}."""


def splits_of(store: Store, split: str, folds: int, seed: int) -> dict[str | None, SplitParts]:
    """{None: the split}, or the folds of a cross-validation by name, read from the store or drawn."""
    if not folds:
        return {None: read_split(store, split).parts}
    drawn = draw_folds(store, folds, VALIDATION_SHARE, seed)
    named = {f"{folds}fold-seed{seed}-{i}": parts for i, parts in enumerate(drawn)}
    return {name: read_split(store, name).parts if has_split(store, name) else named[name] for name in named}


def write_folds(store: Store, splits: dict[str | None, SplitParts], seed: int) -> None:
    """Write the folds that the store does not have yet."""
    for name, parts in splits.items():
        if name and not has_split(store, name):
            comment = f"cross-validation by subject, drawn by sleepkd reproduce with seed {seed}"
            write_split(store.path / "splits" / name, parts, comment)


def has_split(store: Store, name: str) -> bool:
    """Whether a store has a split of this name."""
    return (store.path / "splits" / name).is_dir()
