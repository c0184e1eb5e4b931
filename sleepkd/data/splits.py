"""Which recordings train, validate and test: by subject, in text files that a person can read, edit and commit."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepkd.data.store import Store
from sleepkd.errors import UserError
from sleepkd.files import write_text_atomically

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """The recordings of each part, and where they were read from."""

    source: Path
    parts: dict[str, tuple[str, ...]]

    def where(self, part: str) -> Path:
        """The file that lists a part."""
        return self.source / f"{part}.txt"


def draw_split(store: Store, shares: tuple[float, float, float], seed: int) -> dict[str, tuple[str, ...]]:
    """Share the subjects of each subset out to train, validation and test, at random.

    Counts follow the shares over all subsets so far, so that the whole comes out right and no subset is off by more
    than one subject. All recordings of a subject go the same way.
    """
    recordings, subjects = _subjects_of(store)
    return _share_out(recordings, subjects, shares, np.random.default_rng(seed))


def draw_folds(store: Store, folds: int, validation: float, seed: int) -> list[dict[str, tuple[str, ...]]]:
    """Cross-validation by subject: `folds` splits, each subject tests in exactly one of them.

    The subjects of each subset are dealt out in turn, so that folds differ by one subject at most, over all and in each
    subset. validation: the share of a fold's other subjects that validate, drawn as `draw_split` does.
    Raises UserError where there are fewer subjects than folds.
    """
    recordings, subjects = _subjects_of(store)
    rng = np.random.default_rng(seed)
    dealt = [name for subset in sorted(subjects) for name in rng.permutation(sorted(subjects[subset])).tolist()]
    if not 2 <= folds <= len(dealt):
        raise UserError(f"{folds} folds of {len(dealt)} subjects: there must be at least 2, and a subject for each")
    splits = []
    for fold in range(folds):
        testing = set(dealt[fold::folds])
        others = {subset: names - testing for subset, names in subjects.items()}
        share = max(validation, 1 / (len(dealt) - len(testing)))
        parts = _share_out(recordings, others, (1 - share, share, 0.0), np.random.default_rng((seed, fold)))
        tested = sorted(recording for subject in testing for recording in recordings[subject])
        splits.append(parts | {"test": tuple(tested)})
    return splits


def _subjects_of(store: Store) -> tuple[dict[str, list[str]], dict[str, set[str]]]:
    """The recordings of each subject, and the subjects of each subset."""
    recordings: dict[str, list[str]] = defaultdict(list)
    subjects: dict[str, set[str]] = defaultdict(set)
    for recording in store.recordings:
        info = store.info(recording)
        if info.subject not in recordings:  # one who was recorded in two subsets counts in the first
            subjects[info.subset].add(info.subject)
        recordings[info.subject].append(recording)
    return recordings, subjects


def _share_out(
    recordings: dict[str, list[str]],
    subjects: dict[str, set[str]],
    shares: tuple[float, float, float],
    rng: np.random.Generator,
) -> dict[str, tuple[str, ...]]:
    """The recordings of each part, by shares of the subjects of each subset."""
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    taken = dict.fromkeys(PARTS, 0)
    seen = 0
    for subset in sorted(subjects):
        shuffled = rng.permutation(sorted(subjects[subset])).tolist()
        seen += len(shuffled)
        for part, share in zip(("test", "validation"), (shares[2], shares[1]), strict=True):
            count = max(0, min(round(share * seen) - taken[part], len(shuffled)))
            taken[part] += count
            parts[part] += [recording for _ in range(count) for recording in recordings[shuffled.pop()]]
        parts["train"] += [recording for subject in shuffled for recording in recordings[subject]]
    return {part: tuple(sorted(chosen)) for part, chosen in parts.items()}


def write_split(folder: Path, parts: dict[str, tuple[str, ...]], comment: str) -> None:
    """Write train.txt, validation.txt and test.txt: one recording a line, '#' begins a comment."""
    for part in PARTS:
        write_text_atomically(folder / f"{part}.txt", "\n".join((f"# {comment}", *parts[part])) + "\n")


def read_split(store: Store, name: str) -> Split:
    """A split by name (under STORE/splits) or by folder.

    Raises UserError: a file missing, a recording that the store lacks or that is listed twice, a subject in two parts.
    """
    folder = store.path / "splits" / name
    if not folder.is_dir():
        folder = Path(name)
    if not folder.is_dir():
        raise UserError(f"data.split: {name} is no folder and no split of {store.path}")
    parts: dict[str, tuple[str, ...]] = {}
    part_of: dict[str, str] = {}
    for part in PARTS:
        path = folder / f"{part}.txt"
        if not path.is_file():
            raise UserError(f"{path}: is missing; a split is three files: {', '.join(f'{p}.txt' for p in PARTS)}")
        text = path.read_text(encoding="utf-8-sig", errors="replace")  # accents in comments, as any editor saves them
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        parts[part] = tuple(line for line in lines if line)
        if len(set(parts[part])) < len(parts[part]):
            raise UserError(f"{path}: lists a recording twice")
        for recording in parts[part]:
            if recording not in store.recordings:
                raise UserError(f"{path}: {recording} is not in the store {store.path}")
            subject = store.info(recording).subject
            if part_of.setdefault(subject, part) != part:
                raise UserError(f"{path}: subject {subject} is in {part_of[subject]} too; give it to one part")
    return Split(folder, parts)
