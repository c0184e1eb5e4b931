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
from sleepkd.study.cross_validation import SplitParts
from sleepkd.study.jobs import RunGroup, TrainingJob, build_job, overlays_for, updates_per_epoch
from sleepkd.study.label_splits import draw_labelled, split_names

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
    "kd_scored": LabelRow("night_kd", KD, all_nights=False),
    "kd": LabelRow("night_kd", KD),
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
"""The references of every row: the student without a teacher, and plain softmax distillation."""
WITHOUT_LABELS = ("yasa",)
"""Rows that need no labelled night."""
ALL_LABELLED = ("student",)
"""Rows of the group in which all nights are labelled: the upper bound of labels alone."""


@dataclass
class LabelStudy:
    """The study. numbers: of labelled nights. settings: with data.store, and data.split unless it is "default"."""

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
            require(
                row in LABEL_ROWS, "--rows", f"{row} is not a row of this study; choose from {', '.join(LABEL_ROWS)}"
            )
        data = load_config(["night_ecg"], [*self.settings]).data
        self.store, self.split = Store(data.store), data.split

    def plan(self) -> list[TrainingJob]:
        """The runs, by seed and number of labelled nights, each after those that it needs."""
        jobs: list[TrainingJob] = []
        for seed in self.seeds:
            for number, drawn in draw_labelled(self.store, self.split, self.numbers, seed).items():
                group = RunGroup(self.classes, seed, split_names(number, seed)[0])
                chosen = ALL_LABELLED if not drawn[1]["train"] else self.rows if number else WITHOUT_LABELS
                of_group: dict[str, TrainingJob] = {}
                for row in (row for row in self.rows if row in chosen):
                    self._add(row, of_group, group, number, drawn)
                jobs += of_group.values()
        return jobs

    def _add(
        self,
        name: str,
        jobs: dict[str, TrainingJob],
        group: RunGroup,
        number: int,
        drawn: tuple[SplitParts, SplitParts],
    ) -> None:
        """Plan a row, after the rows that it needs."""
        if name in jobs:
            return
        row, (labelled, unlabelled) = LABEL_ROWS[name], drawn
        nights = [*labelled["train"], *(unlabelled["train"] if row.all_nights else ())]
        files = [row.config, *overlays_for(row.config, self.overlays)]
        overrides = self._overrides(name, group, number, with_unlabelled=len(nights) > len(labelled["train"]))
        if not labelled["train"]:
            overrides.append("loss.ce.weight=0")
        overrides += self._lengths(load_config(files, overrides), nights, bool(labelled["validation"]), row.share)
        job = build_job(name, group, files, overrides)
        for earlier in job.needs:
            self._add(earlier, jobs, group, number, drawn)
        jobs[name] = job

    def _overrides(self, name: str, group: RunGroup, number: int, with_unlabelled: bool) -> list[str]:
        row = LABEL_ROWS[name]
        labelled, unlabelled = split_names(number, group.seed)
        sources = [f"{{store: {self.store.path}, split: {labelled}}}"]
        if with_unlabelled:
            sources.append(f"{{store: {self.store.path}, split: {unlabelled}, labels: false}}")
        return [
            *(setting for setting in self.settings if not setting.startswith(("data.store=", "data.split="))),
            *self._of_network(row),
            f"stage.name={name}",
            f"runs_root={group.runs_root(self.out)}",
            f"data.classes={group.classes}",
            f"data.nights=[{', '.join(sources)}]",
            f"train.seed={group.seed + row.seed_offset}",
        ]

    def _of_network(self, row: LabelRow) -> list[str]:
        """A row's overrides, with the placeholders of modules replaced by those of this study's network."""
        model = load_config([row.config], [x for x in self.settings if x.startswith("model.")]).model
        layers = model.repeats * len(model.dilations)
        names = {MIDDLE: f"context.{layers // 2 - 1}", LAST: f"context.{layers - 1}"}
        return [reduce(lambda text, name: text.replace(name, names[name]), names, x) for x in row.overrides]

    def _lengths(self, config: Config, nights: Sequence[str], validates: bool, share: float) -> list[str]:
        """The training epochs that come to about the study's number of updates, and how often to validate."""
        per_epoch = updates_per_epoch(config, (self.store.info(name).seconds for name in nights))
        epochs = max(1, round(share * self.updates / per_epoch))
        every = max(1, epochs // VALIDATIONS) if validates else 0
        return [f"train.epochs={epochs}", f"train.validate_every={every}"]

    def of_number(self, jobs: Sequence[TrainingJob], number: int) -> list[TrainingJob]:
        """The runs with so many labelled nights, of all seeds."""
        splits = {split_names(number, seed)[0] for seed in self.seeds}
        return [job for job in jobs if job.group.split in splits]


def jobs_for_store(jobs: Sequence[TrainingJob], store: str) -> list[TrainingJob]:
    """The jobs whose networks can read another store; "" is the store that they are trained on."""
    if not store:
        return list(jobs)
    opened = Store(store)
    info = opened.info(opened.recordings[0])
    return [job for job in jobs if set(job.config.stage.inputs) <= set(info.kinds)]
