"""Split a store into train, validation and test by subject; splits are text files that a person can read and edit."""

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
    """The recordings of each part. source: the folder that the split was read from."""

    source: Path
    parts: dict[str, tuple[str, ...]]

    def where(self, part: str) -> Path:
        """The file that lists the recordings of a part."""
        return self.source / f"{part}.txt"


@dataclass(frozen=True)
class _Subjects:
    """The recordings of each subject; the labelled subjects of each subset; the subjects without any labels."""

    recordings: dict[str, list[str]]
    of_subset: dict[str, set[str]]
    unlabelled: list[str]


def draw_split(store: Store, shares: tuple[float, float, float], seed: int) -> dict[str, tuple[str, ...]]:
    """Draw train, validation and test at random, stratified by subset; all recordings of a subject are in one part.

    shares: of train, validation and test. Counts follow the shares cumulated over subsets: the total is right, and no
    subset is off by more than one subject. A part with a share gets at least one subject if there are enough. Subjects
    without any labels are in train, since neither validation nor test can use them.
    """
    subjects = _subjects_of(store)
    return _allocate(subjects, subjects.of_subset, shares, np.random.default_rng(seed))


def draw_folds(store: Store, folds: int, validation: float, seed: int) -> list[dict[str, tuple[str, ...]]]:
    """Draw a cross-validation by subject: `folds` splits, in which each labelled subject is tested exactly once.

    Folds differ by at most one subject, in total and in each subset. validation: the share of the other subjects of a
    fold that validate, drawn as in `draw_split`.
    Raises UserError where there are fewer labelled subjects than folds.
    """
    subjects = _subjects_of(store)
    rng = np.random.default_rng(seed)
    by_subset = subjects.of_subset
    dealt = [name for subset in sorted(by_subset) for name in rng.permutation(sorted(by_subset[subset])).tolist()]
    if not 2 <= folds <= len(dealt):
        raise UserError(f"{folds} folds of {len(dealt)} subjects with labels: choose 2 to {len(dealt)} folds")
    splits = []
    for fold in range(folds):
        testing = set(dealt[fold::folds])
        others = {subset: names - testing for subset, names in by_subset.items()}
        share = max(validation, 1 / (len(dealt) - len(testing)))
        parts = _allocate(subjects, others, (1 - share, share, 0.0), np.random.default_rng((seed, fold)))
        tested = sorted(recording for subject in testing for recording in subjects.recordings[subject])
        splits.append(parts | {"test": tuple(tested)})
    return splits


def _subjects_of(store: Store) -> _Subjects:
    recordings: dict[str, list[str]] = defaultdict(list)
    subset_of: dict[str, str] = {}
    labelled = set()
    infos = [store.info(recording) for recording in store.recordings]
    owner: dict[str, str] = {}  # {digest: the first subject with such a night}
    same: dict[str, str] = {}  # {subject: the first subject that shares a night}
    for info in infos:
        for digest in info.digests:
            same[info.subject] = same.get(owner.setdefault(digest, info.subject), owner[digest])
    for info in infos:
        subject = same.get(info.subject, info.subject)
        subset_of.setdefault(subject, info.subset)  # a subject recorded in two subsets counts in the first
        recordings[subject].append(info.recording)
        if info.scoring:
            labelled.add(subject)
    of_subset: dict[str, set[str]] = defaultdict(set)
    for subject in labelled:
        of_subset[subset_of[subject]].add(subject)
    return _Subjects(recordings, of_subset, [subject for subject in recordings if subject not in labelled])


def _allocate(
    subjects: _Subjects, of_subset: dict[str, set[str]], shares: tuple[float, float, float], rng: np.random.Generator
) -> dict[str, tuple[str, ...]]:
    """The recordings of each part, by shares of the subjects of each subset."""
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    seen = 0
    for subset in sorted(of_subset):
        shuffled = rng.permutation(sorted(of_subset[subset])).tolist()
        seen += len(shuffled)
        for part, share in zip(("test", "validation"), (shares[2], shares[1]), strict=True):
            count = max(0, min(round(share * seen) - len(parts[part]), len(shuffled)))
            parts[part] += [shuffled.pop() for _ in range(count)]
        parts["train"] += shuffled
    _fill_empty_parts(parts, [part for part, share in zip(PARTS, shares, strict=True) if share > 0], rng)
    parts["train"] += subjects.unlabelled
    return {
        part: tuple(sorted(recording for subject in chosen for recording in subjects.recordings[subject]))
        for part, chosen in parts.items()
    }


def _fill_empty_parts(parts: dict[str, list[str]], with_share: list[str], rng: np.random.Generator) -> None:
    """Move a subject of the largest part to each empty part with a share, if there are enough subjects."""
    if sum(map(len, parts.values())) < len(with_share):
        return
    for part in with_share:
        if not parts[part]:
            largest = max(parts.values(), key=len)
            parts[part].append(largest.pop(int(rng.integers(len(largest)))))


def write_split(folder: Path, parts: dict[str, tuple[str, ...]], comment: str) -> None:
    """Write train.txt, validation.txt and test.txt: one recording per line, comments after '#'."""
    for part in PARTS:
        write_text_atomically(folder / f"{part}.txt", "\n".join((f"# {comment}", *parts[part])) + "\n")


def read_split(store: Store, name: str) -> Split:
    """Read a split by name (a folder of STORE/splits) or by folder.

    Raises UserError: a missing file, a recording that is not in the store or is listed twice, a subject or a night in
    two parts.
    """
    folder = store.path / "splits" / name
    if not folder.is_dir():
        folder = Path(name)
    if not folder.is_dir():
        raise UserError(f"data.split: {name} is neither a folder nor a split of {store.path}")
    parts: dict[str, tuple[str, ...]] = {}
    part_of: dict[str, str] = {}
    night_of: dict[str, tuple[str, str]] = {}
    known = set(store.recordings)
    for part in PARTS:
        path = folder / f"{part}.txt"
        if not path.is_file():
            raise UserError(f"{path}: is missing; a split is three files: {', '.join(f'{p}.txt' for p in PARTS)}")
        text = path.read_text(encoding="utf-8-sig", errors="replace")  # comments may be in any editor's encoding
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        parts[part] = tuple(line for line in lines if line)
        if len(set(parts[part])) < len(parts[part]):
            raise UserError(f"{path}: lists a recording twice; remove one of the lines")
        for recording in parts[part]:
            if recording not in known:
                raise UserError(f"{path}: {recording} is not in the store {store.path}")
            info = store.info(recording)
            if part_of.setdefault(info.subject, part) != part:
                raise UserError(
                    f"{path}: subject {info.subject} is in {part_of[info.subject]} too; list it in one part only"
                )
            for digest in info.digests:
                other, where = night_of.setdefault(digest, (recording, part))
                if where != part:
                    raise UserError(f"{path}: {recording} is the same night as {other} of {where}; remove one of them")
    return Split(folder, parts)
