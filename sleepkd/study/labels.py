"""How many scored nights a student needs, with and without a teacher: the runs of `reproduce --study labels`.

Of the nights that do not test, so many are scored, one in five of these to choose by; the others are there without
labels. A larger number of scored nights holds the smaller ones; every seed draws others. All rows get about the same
number of updates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

import numpy as np

from sleepkd.config import require
from sleepkd.data.splits import read_split, write_split
from sleepkd.data.store import Store
from sleepkd.settings import Config, load_config
from sleepkd.study.folds import Parts
from sleepkd.study.plan import Group, Job, for_row

VALIDATION_OF_SCORED = 5
"""One in so many scored nights chooses the checkpoint."""
VALIDATIONS = 8
"""How often, over a run."""
TEACHER = 0.25
MIDDLE, CONTEXT = "context.middle", "context.last"
"""Stand for modules of the night network, which has as many as `model` says."""
KD = ("loss.ce.weight=0.5", "loss.kd.weight=0.5")


@dataclass(frozen=True)
class LabelRow:
    """One row: a stage's config and what is set differently. all_nights: it sees the unscored nights, too.

    shift: added to the training seed. share: of the updates, for networks that
    need fewer: a teacher learns of EEG in a fraction of what a heart takes.
    """

    config: str
    overrides: tuple[str, ...] = ()
    all_nights: bool = True
    shift: int = 0
    share: float = 1.0


def _beside_kd(term: str, weight: float, *more: str) -> tuple[str, ...]:
    return (*KD, f"loss.{term}.weight={weight}", *(f"loss.{term}.{setting}" for setting in more))


def _instead_of_kd(term: str, weight: float, *more: str) -> tuple[str, ...]:
    return ("loss.kd.weight=0", *(x for x in _beside_kd(term, weight, *more) if not x.startswith("loss.kd")))


ROWS = {
    "night_eeg": LabelRow("night_eeg", all_nights=False, share=TEACHER),
    "night_eeg_b": LabelRow("night_eeg", all_nights=False, shift=100, share=TEACHER),
    "night_eeg_c": LabelRow("night_eeg", all_nights=False, shift=200, share=TEACHER),
    "student": LabelRow("night_ecg", all_nights=False),
    "kd_scored": LabelRow("night_kd", KD, all_nights=False),
    "kd": LabelRow("night_kd", KD),
    "lskd": LabelRow("night_kd", _instead_of_kd("lskd", 0.5)),
    "dkd": LabelRow("night_kd", _instead_of_kd("dkd", 0.25, "others=2", "temperature=2")),
    "dist": LabelRow("night_kd", _instead_of_kd("dist", 1.0)),
    "wttm": LabelRow("night_kd", _instead_of_kd("wttm", 0.5)),
    "transition": LabelRow("night_kd", _beside_kd("transition", 0.25)),
    "at": LabelRow("night_kd", _beside_kd("at", 10.0, f"taps=[[fuse],[{MIDDLE}],[{CONTEXT}]]")),
    "hint": LabelRow("night_kd", _beside_kd("hint", 0.25, f"tap={CONTEXT}")),
    "vid": LabelRow("night_kd", _beside_kd("vid", 0.1, f"tap={CONTEXT}")),
    "sp": LabelRow("night_kd", _beside_kd("sp", 100.0, f"tap={CONTEXT}")),
    "rkd": LabelRow("night_kd", _beside_kd("rkd", 0.5, f"tap={CONTEXT}")),
    "crd": LabelRow("night_kd", _beside_kd("crd", 0.05, f"tap={CONTEXT}")),
    "ensemble": LabelRow("night_kd", (*KD, "stage.teacher=[night_eeg, night_eeg_b, night_eeg_c]")),
    "assistant": LabelRow("night_kd", (*KD, "stage.teacher=kd")),
    "self": LabelRow(
        "night_kd",
        (
            "loss.ce.weight=0.5",
            "loss.kd.weight={start: 0, end: 0.5, epochs: 2}",
            "stage.teacher=self",
            "train.ema_decay=0.98",
            "distill.cache_teacher=false",
        ),
    ),
    "yasa": LabelRow("night_kd", (*KD, "stage.teacher=yasa")),
}
ALONE, PLAIN = "student", "kd"
"""What every row is held against: the student without a teacher, and plain softmax distillation."""
WITHOUT_SCORES = ("yasa",)
"""Rows that need no scored night."""
ALL_SCORED = ("student",)
"""Rows of the group in which all nights are scored: what labels can give."""


def draw_scored(store: Store, split: str, numbers: Sequence[int], seed: int) -> dict[int, tuple[Parts, Parts]]:
    """{number of scored nights: (their split, that of the unscored rest)}; whole subjects, in an order of the seed.

    Raises UserError where there are not as many nights.
    """
    parts = read_split(store, split).parts
    pool = [*parts["train"], *parts["validation"]]
    nights: dict[str, list[str]] = {}
    for recording in pool:
        nights.setdefault(store.info(recording).subject, []).append(recording)
    order = np.random.default_rng(seed).permutation(sorted(nights)).tolist()
    found = {}
    for number in numbers:
        require(number <= len(pool), "--scored", f"{number} nights of {len(pool)} that do not test")
        scored: list[str] = []
        taken = 0
        while len(scored) < number:
            scored += nights[order[taken]]
            taken += 1
        choosing = order[:taken][::VALIDATION_OF_SCORED] if number else []
        validation = tuple(name for subject in choosing for name in nights[subject])
        train = tuple(name for name in scored if name not in validation)
        require(not number or bool(train), "--scored", f"{number} nights leave none to train on")
        rest = tuple(name for subject in order[taken:] for name in nights[subject])
        of_scored = {"train": train, "validation": validation, "test": parts["test"]}
        found[number] = of_scored, {"train": rest, "validation": (), "test": ()}
    return found


def split_names(number: int, seed: int) -> tuple[str, str]:
    """What the two splits of a number of scored nights are called in the store."""
    return f"scored{number}-seed{seed}", f"unscored{number}-seed{seed}"


def write_scored(store: Store, split: str, numbers: Sequence[int], seeds: Sequence[int]) -> None:
    """Write the splits into the store, where they are not there yet."""
    for seed in seeds:
        for number, both in draw_scored(store, split, numbers, seed).items():
            for name, parts in zip(split_names(number, seed), both, strict=True):
                folder = store.path / "splits" / name
                if not folder.is_dir():
                    write_split(folder, parts, f"of {number} scored nights, drawn with seed {seed}")


@dataclass
class LabelStudy:
    """The whole study. settings: with data.store, and data.split for another than the default split."""

    rows: tuple[str, ...]
    numbers: tuple[int, ...]
    seeds: tuple[int, ...]
    classes: int
    overlays: tuple[str, ...]
    settings: tuple[str, ...]
    updates: int
    out: Path
    store: Store = field(init=False)
    split: str = field(init=False)

    def __post_init__(self) -> None:
        for row in self.rows:
            require(row in ROWS, "--rows", f"{row} is no row of this study; there are {', '.join(ROWS)}")
        data = load_config(["night_ecg"], [*self.settings]).data
        self.store, self.split = Store(data.store), data.split

    def plan(self) -> list[Job]:
        """The runs, by seed and number of scored nights, each after those that it needs."""
        jobs = []
        for seed in self.seeds:
            for number, drawn in draw_scored(self.store, self.split, self.numbers, seed).items():
                group = Group(self.classes, seed, split_names(number, seed)[0])
                chosen = ALL_SCORED if not drawn[1]["train"] else self.rows if number else WITHOUT_SCORES
                of_group: dict[str, Job] = {}
                for row in (row for row in self.rows if row in chosen):
                    self._add(row, of_group, group, number, drawn)
                jobs += of_group.values()
        return jobs

    def _add(self, name: str, jobs: dict[str, Job], group: Group, number: int, drawn: tuple[Parts, Parts]) -> None:
        """Plan a row, after those that it needs."""
        if name in jobs:
            return
        row, (scored, unscored) = ROWS[name], drawn
        nights = [*scored["train"], *(unscored["train"] if row.all_nights else ())]
        files = [row.config, *for_row(row.config, self.overlays)]
        overrides = self._overrides(name, group, number, with_unscored=len(nights) > len(scored["train"]))
        if not scored["train"]:
            overrides.append("loss.ce.weight=0")
        overrides += self._lengths(load_config(files, overrides), nights, bool(scored["validation"]), row.share)
        config = load_config(files, overrides)
        needs = tuple(earlier for earlier in config.stage.earlier if not earlier.endswith(".pt"))
        for earlier in needs:
            self._add(earlier, jobs, group, number, drawn)
        jobs[name] = Job(name, group, config, ("--config", *files, "--set", *overrides), needs)

    def _overrides(self, name: str, group: Group, number: int, with_unscored: bool) -> list[str]:
        row = ROWS[name]
        scored, unscored = split_names(number, group.seed)
        sources = [f"{{store: {self.store.path}, split: {scored}}}"]
        if with_unscored:
            sources.append(f"{{store: {self.store.path}, split: {unscored}, labels: false}}")
        return [
            *(setting for setting in self.settings if not setting.startswith(("data.store=", "data.split="))),
            *self._of_network(row),
            f"stage.name={name}",
            f"runs_root={group.runs_root(self.out)}",
            f"data.classes={group.classes}",
            f"data.nights=[{', '.join(sources)}]",
            f"train.seed={group.seed + row.shift}",
        ]

    def _of_network(self, row: LabelRow) -> list[str]:
        """A row's own settings, its modules called as they are in the network of this study."""
        model = load_config([row.config], [x for x in self.settings if x.startswith("model.")]).model
        layers = model.repeats * len(model.dilations)
        names = {MIDDLE: f"context.{layers // 2 - 1}", CONTEXT: f"context.{layers - 1}"}
        return [reduce(lambda text, name: text.replace(name, names[name]), names, x) for x in row.overrides]

    def _lengths(self, config: Config, nights: Sequence[str], validates: bool, share: float) -> list[str]:
        """Epochs, and how often to validate, that come to about so many updates."""
        minutes = config.data.shown_minutes
        seconds = [self.store.info(name).seconds for name in nights]
        # A night's rows begin up to a minute before its first sample.
        rows = sum(math.ceil((length + 60) / (60 * minutes)) if minutes else 1 for length in seconds)
        epochs = max(1, round(share * self.updates / math.ceil(rows / config.train.batch_size)))
        every = max(1, epochs // VALIDATIONS) if validates else 0
        return [f"train.epochs={epochs}", f"train.validate_every={every}"]

    def of_number(self, jobs: Sequence[Job], number: int) -> list[Job]:
        """The runs with so many scored nights, of all seeds."""
        folds = {split_names(number, seed)[0] for seed in self.seeds}
        return [job for job in jobs if job.group.fold in folds]


def readable(jobs: Sequence[Job], store: str) -> list[Job]:
    """Those whose networks see what another store holds; "" is the one that they were trained on."""
    if not store:
        return list(jobs)
    opened = Store(store)
    info = opened.info(opened.recordings[0])
    held = {*info.signals, *(["beats"] if info.beats else [])}
    return [job for job in jobs if set(job.config.stage.inputs) <= held]
