"""The training runs of the label-efficiency study: students with and without teachers, by number of labelled nights.

All rows get about the same number of updates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

from sleepkd.config import require
from sleepkd.data.store import Store
from sleepkd.settings import Config, load_config
from sleepkd.study.jobs import RunGroup, TrainingJob, build_job, overlays_for, updates_per_epoch
from sleepkd.study.label_splits import (
    LabelledDraw,
    PartsOfStores,
    draw_labelled,
    draw_test_sets,
    nights_outside,
    split_names,
    write_labelled,
)

VALIDATIONS = 8
"""Validations per run."""
TEACHER_SHARE = 0.25
"""EEG teachers get this share of the updates: they need fewer than students of heartbeats."""
MIDDLE, LAST = "context.middle", "context.last"
"""Placeholders for context layers of the night network, whose number follows from `model`."""
KD = ("loss.ce.weight=0.5", "loss.kd.weight=0.5")


@dataclass(frozen=True)
class LabelRow:
    """One row: a stage's config with overrides.

    all_nights: whether it trains on the unlabelled nights too. seed_offset: added to the training seed. share: of the
    study's updates.
    """

    config: str
    overrides: tuple[str, ...] = ()
    all_nights: bool = True
    seed_offset: int = 0
    share: float = 1.0


def _beside_kd(loss: str, weight: float, *more: str) -> tuple[str, ...]:
    return (*KD, f"loss.{loss}.weight={weight}", *(f"loss.{loss}.{setting}" for setting in more))


def _instead_of_kd(loss: str, weight: float, *more: str) -> tuple[str, ...]:
    return ("loss.kd.weight=0", *(x for x in _beside_kd(loss, weight, *more) if not x.startswith("loss.kd")))


LABEL_ROWS = {
    "night_eeg": LabelRow("night_eeg", all_nights=False, share=TEACHER_SHARE),
    "night_eeg_b": LabelRow("night_eeg", all_nights=False, seed_offset=100, share=TEACHER_SHARE),
    "night_eeg_c": LabelRow("night_eeg", all_nights=False, seed_offset=200, share=TEACHER_SHARE),
    "student": LabelRow("night_ecg", all_nights=False),
    "kd_scored": LabelRow("night_kd", all_nights=False),
    "kd": LabelRow("night_kd"),
    "lskd": LabelRow("night_kd", _instead_of_kd("lskd", 0.5)),
    "dkd": LabelRow("night_kd", _instead_of_kd("dkd", 0.25, "others=2", "temperature=2")),
    "dist": LabelRow("night_kd", _instead_of_kd("dist", 1.0)),
    "wttm": LabelRow("night_kd", _instead_of_kd("wttm", 0.5)),
    "transition": LabelRow("night_kd", _beside_kd("transition", 0.25)),
    "at": LabelRow("night_kd", _beside_kd("at", 10.0, f"taps=[[fuse],[{MIDDLE}],[{LAST}]]")),
    "hint": LabelRow("night_kd", _beside_kd("hint", 0.25, f"tap={LAST}")),
    "vid": LabelRow("night_kd", _beside_kd("vid", 0.1, f"tap={LAST}")),
    "sp": LabelRow("night_kd", _beside_kd("sp", 100.0, f"tap={LAST}")),
    "rkd": LabelRow("night_kd", _beside_kd("rkd", 0.5, f"tap={LAST}")),
    "crd": LabelRow("night_kd", _beside_kd("crd", 0.05, f"tap={LAST}")),
    "ensemble": LabelRow("night_kd", ("stage.teacher=[night_eeg, night_eeg_b, night_eeg_c]",)),
    "assistant": LabelRow("night_kd", ("stage.teacher=kd",)),
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
    "yasa": LabelRow("night_kd", ("stage.teacher=yasa",)),
    "sleepecg": LabelRow("night_pseudo"),
}
ALONE, PLAIN = "student", "kd"
"""The references of every row: the student without a teacher, and plain softmax distillation."""
WITHOUT_LABELS = ("yasa",)
"""Rows that need no labelled night."""
ALL_NIGHTS = "all"
"""In place of a number: every night outside the test set."""


@dataclass
class LabelStudy:
    """The study. numbers: of labelled nights, or ALL_NIGHTS. folds: of a cross-validation by subject, 0 for the split.

    settings: with data.store, and data.split unless it is "default"; or with data.nights. Each seed deals other folds.
    validates: whether one in five labelled nights chooses the training epoch; otherwise all train, up to the last one.
    """

    rows: tuple[str, ...]
    numbers: tuple[int | str, ...]
    seeds: tuple[int, ...]
    classes: int
    overlays: tuple[str, ...]
    settings: tuple[str, ...]
    updates: int
    out: Path
    folds: int = 0
    validates: bool = True
    stores: dict[str, Store] = field(init=False)
    sets: dict[int, dict[str, PartsOfStores]] = field(init=False)
    """{seed: {fold: which nights are tested}}."""
    counts: tuple[int, ...] = field(init=False)
    """The numbers of labelled nights, ALL_NIGHTS resolved."""

    def __post_init__(self) -> None:
        for row in self.rows:
            require(
                row in LABEL_ROWS, "--rows", f"{row} is not a row of this study; choose from {', '.join(LABEL_ROWS)}"
            )
        sources = load_config(["night_ecg"], [*self.settings]).data.sources
        self.stores = {source.store: Store(source.store) for source in sources}
        require(len(self.stores) == len(sources), "data.nights", "names a store twice")
        self.sets = {seed: draw_test_sets(sources, self.folds, seed) for seed in self.seeds}
        tested = [of_fold for of_seed in self.sets.values() for of_fold in of_seed.values()]
        most = max(sum(map(len, nights_outside(of_fold).values())) for of_fold in tested)
        self.counts = tuple(dict.fromkeys(most if n == ALL_NIGHTS else int(n) for n in self.numbers))
        for number in self.counts:
            require(number <= most, "--labelled", f"asks for {number} of {most} nights outside the test set")

    def write_splits(self) -> None:
        """Write the splits of all runs that the stores do not have yet."""
        for seed, of_seed in self.sets.items():
            for fold, tested in of_seed.items():
                write_labelled(self._draws(tested, seed), seed, fold, self.validates)

    def plan(self) -> list[TrainingJob]:
        """The runs, by seed, fold and number of labelled nights, each after those that it needs."""
        jobs: list[TrainingJob] = []
        for seed, of_seed in self.sets.items():
            for fold, tested in of_seed.items():
                for number, drawn in self._draws(tested, seed).items():
                    names = split_names(number, seed, fold, self.validates)
                    group = RunGroup(self.classes, seed, names[0])
                    of_group: dict[str, TrainingJob] = {}
                    for row in (row for row in self.rows if number or row in WITHOUT_LABELS):
                        self._add(row, of_group, group, names, drawn)
                    jobs += of_group.values()
        return jobs

    def _draws(self, tested: PartsOfStores, seed: int) -> dict[int, LabelledDraw]:
        return draw_labelled(tested, self.counts, seed, self.validates)

    def _add(
        self, name: str, jobs: dict[str, TrainingJob], group: RunGroup, splits: tuple[str, str], drawn: LabelledDraw
    ) -> None:
        """Plan a row, after the rows that it needs. splits: the names of the labelled and of the unlabelled nights."""
        if name in jobs:
            return
        row = LABEL_ROWS[name]
        labelled, unlabelled = drawn.nights("train", labelled=True), drawn.nights("train", labelled=False)
        nights = [*labelled, *(unlabelled if row.all_nights else ())]
        sources = [(store, splits[0], True) for store in drawn.labelled]
        if row.all_nights:
            sources += [(store, splits[1], False) for store, parts in drawn.unlabelled.items() if parts["train"]]
        files = [row.config, *overlays_for(row.config, self.overlays)]
        overrides = self._overrides(name, group, sources)
        if not labelled:
            overrides.append("loss.ce.weight=0")
        validates = bool(drawn.nights("validation", labelled=True))
        overrides += self._lengths(load_config(files, overrides), nights, validates, row.share)
        job = build_job(name, group, files, overrides)
        for earlier in job.needs:
            self._add(earlier, jobs, group, splits, drawn)
        jobs[name] = job

    def _overrides(self, name: str, group: RunGroup, sources: Sequence[tuple[str, str, bool]]) -> list[str]:
        row = LABEL_ROWS[name]
        nights = ", ".join(
            f"{{store: {store}, split: {split}{'' if labels else ', labels: false'}}}"
            for store, split, labels in sources
        )
        of_data = ("data.store=", "data.split=", "data.nights=")
        return [
            *(setting for setting in self.settings if not setting.startswith(of_data)),
            *self._of_network(row),
            f"stage.name={name}",
            f"runs_root={group.runs_root(self.out)}",
            f"distill.shared_cache={self.out / 'teacher_logits'}",  # of use with distill.cache_teacher
            f"data.classes={group.classes}",
            f"data.nights=[{nights}]",
            f"train.seed={group.seed + row.seed_offset}",
        ]

    def _of_network(self, row: LabelRow) -> list[str]:
        """A row's overrides, with the placeholders of modules replaced by those of this study's network."""
        model = load_config([row.config], [x for x in self.settings if x.startswith("model.")]).model
        layers = model.repeats * len(model.dilations)
        names = {MIDDLE: f"context.{layers // 2 - 1}", LAST: f"context.{layers - 1}"}
        return [reduce(lambda text, name: text.replace(name, names[name]), names, x) for x in row.overrides]

    def _lengths(self, config: Config, nights: Sequence[tuple[str, str]], validates: bool, share: float) -> list[str]:
        """The training epochs that come to about the study's number of updates, and how often to validate."""
        seconds = (self.stores[store].info(recording).seconds for store, recording in nights)
        epochs = max(1, round(share * self.updates / updates_per_epoch(config, seconds)))
        every = max(1, epochs // VALIDATIONS) if validates else 0
        return [f"train.epochs={epochs}", f"train.validate_every={every}"]

    def of_number(self, jobs: Sequence[TrainingJob], number: int) -> list[TrainingJob]:
        """The runs with so many labelled nights, of all seeds and folds."""
        folds = [(seed, fold) for seed, of_seed in self.sets.items() for fold in of_seed]
        splits = {split_names(number, seed, fold, self.validates)[0] for seed, fold in folds}
        return [job for job in jobs if job.group.split in splits]


def jobs_for_store(jobs: Sequence[TrainingJob], store: str) -> list[TrainingJob]:
    """The jobs whose networks can read another store; "" is the store that they are trained on."""
    if not store:
        return list(jobs)
    opened = Store(store)
    info = opened.info(opened.recordings[0])
    return [job for job in jobs if set(job.config.stage.inputs) <= set(info.kinds)]
