"""Splits by subject: shares, folds, files, and mistakes in them."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from sleepkd.data.splits import PARTS, draw_folds, draw_split, read_split, write_split
from sleepkd.errors import UserError

MASS = {"SS1": 53, "SS2": 19, "SS3": 62, "SS4": 40, "SS5": 26}
SHARES = (0.8, 0.1, 0.1)


class FakeStore:
    """As much of `Store` as a split needs: subject, subset and scoring of each recording."""

    def __init__(
        self, nights: dict[str, tuple[str, str]], path: Path = Path("store"), unlabelled: set[str] = frozenset()
    ):
        self.path = path
        self.recordings = sorted(nights)
        self._nights = nights
        self._unlabelled = unlabelled
        self.digests: dict[str, frozenset[str]] = {}

    def info(self, recording: str) -> SimpleNamespace:
        subject, subset = self._nights[recording]
        scoring = "" if recording in self._unlabelled else "it.tsv"
        digests = self.digests.get(recording, frozenset())
        return SimpleNamespace(recording=recording, subject=subject, subset=subset, scoring=scoring, digests=digests)


def mass(counts: dict[str, int] = MASS) -> FakeStore:
    names = {f"{subset}-{i:04d}": subset for subset, n in counts.items() for i in range(n)}
    return FakeStore({name: (name, subset) for name, subset in names.items()})


def sizes(parts: dict[str, tuple[str, ...]]) -> list[int]:
    return [len(parts[part]) for part in PARTS]


def assert_partition(store: FakeStore, parts: dict[str, tuple[str, ...]]) -> None:
    assert sorted(sum(parts.values(), ())) == store.recordings


@pytest.mark.parametrize("seed", range(5))
def test_mass_is_split_160_20_20_and_each_subset_to_within_one(seed):
    store = mass()
    parts = draw_split(store, SHARES, seed)
    assert_partition(store, parts)
    assert sizes(parts) == [160, 20, 20]
    for part, share in zip(PARTS, SHARES, strict=True):
        counts = Counter(recording[:3] for recording in parts[part])
        for subset, n in MASS.items():
            assert abs(counts[subset] - share * n) <= 1 + 1e-9, (part, subset)


@pytest.mark.parametrize("shares", [(0.6, 0.2, 0.2), (0.7, 0.0, 0.3), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)])
def test_other_shares(shares):
    store = mass({"a": 20, "b": 30})
    parts = draw_split(store, shares, 3)
    assert_partition(store, parts)
    assert sizes(parts) == [round(50 * share) for share in shares]


def test_a_split_depends_on_its_seed_alone():
    assert draw_split(mass(), SHARES, 7) == draw_split(mass(), SHARES, 7)
    assert draw_split(mass(), SHARES, 7) != draw_split(mass(), SHARES, 8)


def test_all_nights_of_a_subject_are_in_one_part():
    nights = {f"s{i:02d}n{k}": (f"s{i:02d}", "ab"[i % 2]) for i in range(40) for k in range(1 + i % 3)}
    for seed in range(5):
        parts = draw_split(FakeStore(nights), SHARES, seed)
        assert_partition(FakeStore(nights), parts)
        homes = {
            subject: {p for p in PARTS for r in parts[p] if nights[r][0] == subject} for subject, _ in nights.values()
        }
        assert all(len(home) == 1 for home in homes.values())
        assert [sum(home == {part} for home in homes.values()) for part in PARTS] == [32, 4, 4]


def test_a_subject_recorded_in_two_subsets_is_in_one_part():
    nights = {f"s{i:02d}{subset}": (f"s{i:02d}", subset) for i in range(20) for subset in "ab"}
    for seed in range(10):
        parts = draw_split(FakeStore(nights), SHARES, seed)
        assert_partition(FakeStore(nights), parts)
        assert all(f"{recording[:3]}{other}" in part for part in parts.values() for recording in part for other in "ab")


@pytest.fixture
def written(tmp_path) -> tuple[FakeStore, Path]:
    nights = {f"r{i}": (f"s{i // 2}", "all") for i in range(8)}  # two nights a subject
    store = FakeStore(nights, tmp_path / "store")
    folder = store.path / "splits" / "default"
    write_split(folder, {"train": ("r0", "r1", "r2", "r3"), "validation": ("r4", "r5"), "test": ("r6", "r7")}, "drawn")
    return store, folder


def test_a_split_is_read_by_name_or_by_folder(written):
    store, folder = written
    for name in ("default", str(folder)):
        split = read_split(store, name)
        assert split.source == folder
        assert split.parts["train"] == ("r0", "r1", "r2", "r3")
        assert split.parts["test"] == ("r6", "r7")
    assert (folder / "test.txt").read_text() == "# drawn\nr6\nr7\n"


def test_a_person_may_edit_it(written):
    store, folder = written
    text = "# à moi\r\n\r\n  r2  \r\nr3 # noisy ECG\r\n#r1\r\n"
    for encoding in ("utf-8", "utf-8-sig", "latin1"):  # of common editors
        (folder / "train.txt").write_bytes(text.encode(encoding))
        assert read_split(store, "default").parts["train"] == ("r2", "r3")


@pytest.mark.parametrize(
    ("part", "text", "message"),
    [
        ("test", "r6\nr3\n", r"test\.txt: subject s1 is in train too; list it in one part only"),
        ("test", "r6\nr7\nr6\n", r"test\.txt: lists a recording twice"),
        ("validation", "r4\nr9\n", r"validation\.txt: r9 is not in the store .*store"),
        ("validation", None, r"validation\.txt: is missing; a split is three files"),
        ("test", b"r6\n\xff\xfe", r"test\.txt: \S+ is not in the store"),
    ],
    ids=["overlap", "twice", "unknown", "missing", "not text"],
)
def test_a_mistake_in_a_split_is_named(written, part, text, message):
    store, folder = written
    path = folder / f"{part}.txt"
    if text is None:
        path.unlink()
    else:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message):
        read_split(store, "default")


def test_a_part_may_be_empty(written):
    store, folder = written
    (folder / "test.txt").write_text("# none yet\n")
    split = read_split(store, "default")
    assert split.parts["test"] == ()
    assert split.where("test") == folder / "test.txt"


def test_no_such_split(written):
    with pytest.raises(UserError, match=r"data\.split: mine is neither a folder nor a split of .*store"):
        read_split(written[0], "mine")


@pytest.mark.parametrize("folds", [2, 5, 7])
def test_folds_test_every_subject_once_and_each_subset_alike(folds):
    store = mass()
    splits = draw_folds(store, folds, 0.1, seed=4)
    assert sorted(recording for parts in splits for recording in parts["test"]) == store.recordings
    for parts in splits:
        assert_partition(store, parts)
        assert abs(len(parts["test"]) - 200 / folds) < 1
        assert len(parts["validation"]) == round(0.1 * (200 - len(parts["test"])))
        counts = Counter(recording[:3] for recording in parts["test"])
        for subset, n in MASS.items():
            assert abs(counts[subset] - n / folds) < 1
    assert splits == draw_folds(store, folds, 0.1, seed=4) != draw_folds(store, folds, 0.1, seed=5)


def test_folds_keep_the_nights_of_a_subject_together_and_always_validate():
    store = FakeStore({f"{name}{night}": (name, "all") for name in "abcd" for night in (1, 2)})
    for parts in draw_folds(store, 4, 0.1, seed=0):
        assert_partition(store, parts)
        assert [len(parts[part]) for part in PARTS] == [4, 2, 2]
        assert all(len({recording[0] for recording in parts[part]}) == len(parts[part]) / 2 for part in PARTS)


@pytest.mark.parametrize("folds", [1, 5])
def test_an_impossible_number_of_folds_is_refused(folds):
    store = FakeStore({name: (name, "all") for name in "abcd"})
    with pytest.raises(UserError, match=f"{folds} folds of 4 subjects with labels"):
        draw_folds(store, folds, 0.1, seed=0)


# --- few subjects, and subjects without labels ---


@pytest.mark.parametrize("n", range(3, 12))
@pytest.mark.parametrize("seed", range(4))
def test_no_part_is_empty_with_three_subjects_or_more(n, seed):
    store = FakeStore({f"s{i}n{night}": (f"s{i}", "ab"[i % 2]) for i in range(n) for night in (1, 2)})
    parts = draw_split(store, SHARES, seed)
    assert_partition(store, parts)
    assert min(sizes(parts)) >= 2
    assert sizes(parts) == [2 * (n - 2), 2, 2]
    assert draw_split(store, SHARES, seed) == parts


@pytest.mark.parametrize("shares", [(0.05, 0.05, 0.9), (0.1, 0.45, 0.45), (0.5, 0.5, 0.0)])
def test_no_part_with_a_share_is_empty(shares):
    parts = draw_split(mass({"a": 3}), shares, 0)
    assert [len(parts[part]) > 0 for part in PARTS] == [share > 0 for share in shares]


@pytest.mark.parametrize(("n", "expected"), [(1, [1, 0, 0]), (2, [2, 0, 0])])
def test_too_few_subjects_train(n, expected):
    assert sizes(draw_split(mass({"a": n}), SHARES, 0)) == expected


def test_splits_drawn_by_earlier_versions_are_unchanged():
    """Filling empty parts changes no split without an empty part."""
    parts = draw_split(mass({"a": 9, "b": 11}), SHARES, 7)
    assert (parts["validation"], parts["test"]) == (("a-0004", "b-0000"), ("a-0005", "b-0007"))


def test_subjects_without_labels_train_and_do_not_change_the_draw():
    unlabelled = {f"z{i}": (f"z{i}", "ab"[i % 2]) for i in range(15)}
    scored = {f"s{i:02d}n{k}": (f"s{i:02d}", "ab"[i % 2]) for i in range(20) for k in (1, 2)}
    half = {f"s{i:02d}n2" for i in range(20)}  # one night of two has labels: the subject can be tested
    alone = draw_split(FakeStore(scored, unlabelled=half), SHARES, 1)
    store = FakeStore(scored | unlabelled, unlabelled={*unlabelled, *half})
    parts = draw_split(store, SHARES, 1)
    assert_partition(store, parts)
    assert {part: parts[part] for part in ("validation", "test")} == {p: alone[p] for p in ("validation", "test")}
    assert set(parts["train"]) == {*alone["train"], *unlabelled}
    for fold, before in zip(draw_folds(store, 4, 0.1, 2), draw_folds(FakeStore(scored), 4, 0.1, 2), strict=True):
        assert_partition(store, fold)
        assert (fold["test"], fold["validation"]) == (before["test"], before["validation"])


def test_a_cohort_without_labels_trains_as_a_whole():
    store = mass({"a": 5})
    store._unlabelled = set(store.recordings)
    assert sizes(draw_split(store, SHARES, 0)) == [5, 0, 0]
    with pytest.raises(UserError, match="2 folds of 0 subjects with labels"):
        draw_folds(store, 2, 0.1, 0)


@pytest.mark.parametrize("seed", range(5))
def test_one_night_under_two_names_is_in_one_part(seed):
    """The two subjects that share the night are one person: all their nights are in that part."""
    store = FakeStore({f"s{i}n{k}": (f"s{i}", "a") for i in range(10) for k in (1, 2)})
    store.digests = {"s3n1": frozenset({"x", "y"}), "s8n2": frozenset({"y"})}
    parts = draw_split(store, (0.4, 0.3, 0.3), seed)
    assert_partition(store, parts)
    part_of = {recording: part for part in PARTS for recording in parts[part]}
    assert len({part_of[name] for name in ("s3n1", "s3n2", "s8n1", "s8n2")}) == 1


def test_one_night_under_two_names_in_two_parts_is_refused(written):
    store, _ = written
    train, test = (read_split(store, "default").parts[part] for part in ("train", "test"))
    store.digests = {train[0]: frozenset({"x"}), test[0]: frozenset({"x"})}
    with pytest.raises(UserError, match=rf"{test[0]} is the same night as {train[0]} of train; remove one of them"):
        read_split(store, "default")
