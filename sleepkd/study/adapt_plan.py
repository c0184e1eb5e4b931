"""The runs of the adaptation study: a network adapted to n labelled nights of a cohort, tested on nights of others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepkd.checkpoints.trained import TrainedNetwork, load_trained
from sleepkd.config import require
from sleepkd.data.splits import write_split
from sleepkd.data.store import Store
from sleepkd.evaluation.scores.comparison import compare
from sleepkd.evaluation.scores.metrics import batch_scores
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.summary import confusions_of
from sleepkd.study.cross_validation import SplitParts
from sleepkd.study.jobs import RunGroup, TrainingJob, build_job

ROW = "adapt"
"""The config of every run, and the name of its row."""

NightsBySeed = Mapping[int, Sequence[NightPredictions]]


@dataclass(frozen=True)
class AdaptStudy:
    """The study. numbers: of own nights. seeds: of the draws of own nights and of training.

    overlays, settings: of every run. out: folder of splits, runs and results.
    """

    checkpoint: Path
    store: Store
    numbers: tuple[int, ...]
    seeds: tuple[int, ...]
    overlays: tuple[str, ...]
    settings: tuple[str, ...]
    out: Path

    def plan(self) -> dict[int, list[TrainingJob]]:
        """The runs by number of own nights; writes their splits to OUT/splits. Raises UserError: too few nights."""
        classes = load_trained(self.checkpoint).config.data.classes
        jobs: dict[int, list[TrainingJob]] = {number: [] for number in self.numbers}
        for seed in self.seeds:
            for number, parts in draw_own(self.store, self.numbers, seed).items():
                group = RunGroup(classes, seed, f"own{number}of{max(self.numbers)}-draw{seed}")
                split = self.out / "splits" / str(group.split)
                write_split(split, parts, f"{number} own nights, drawn with seed {seed}")
                jobs[number].append(build_job(ROW, group, [ROW, *self.overlays], self._overrides(group, split)))
        return jobs

    def _overrides(self, group: RunGroup, split: Path) -> list[str]:
        return [
            *self.settings,
            "train.validate_every=0",  # all own nights train
            f"stage.start_from={self.checkpoint}",
            f"stage.teacher={self.checkpoint}",
            f"data.store={self.store.path}",
            f"data.split={split}",
            f"runs_root={group.runs_root(self.out)}",
            f"train.seed={group.seed}",
        ]

    def unadapted(self, jobs: Sequence[TrainingJob]) -> TrainedNetwork:
        """The network before adaptation, with the inputs that the runs read."""
        trained = load_trained(self.checkpoint)
        return trained.with_inputs([name for name in trained.inputs if name in jobs[0].config.stage.inputs])


def draw_own(store: Store, numbers: Sequence[int], seed: int) -> dict[int, SplitParts]:
    """{number of own nights: split}, with the labelled nights of subjects that are drawn whole, in random order.

    A larger number contains the smaller ones. The test nights are those of the subjects that none of them contains.
    All own nights train. Raises UserError where no test night is left.
    """
    nights: dict[str, list[str]] = {}
    for recording in store.recordings:
        info = store.info(recording)
        if info.scoring:
            nights.setdefault(info.subject, []).append(recording)
    order = np.random.default_rng(seed).permutation(sorted(nights)).tolist()
    ends = np.cumsum([len(nights[subject]) for subject in order])
    taken = {number: int(np.searchsorted(ends, number)) + 1 for number in numbers}
    test = [recording for subject in order[max(taken.values()) :] for recording in nights[subject]]
    require(bool(test), "--numbers", f"{max(numbers)} of {sum(map(len, nights.values()))} nights leave none to test on")
    drawn: dict[int, SplitParts] = {}
    for number in numbers:
        own = tuple(recording for subject in order[: taken[number]] for recording in nights[subject])
        drawn[number] = {"train": own, "validation": (), "test": tuple(test)}
    return drawn


def adaptation_gain(before: NightsBySeed, after: NightsBySeed, class_names: Sequence[str], draws: int) -> dict:
    """Kappa by night before and after adaptation, and the paired gain of every score (`comparison.compare`).

    before, after: the nights of each draw of own nights. Returns before and after (kappa, mean over nights, then over
    draws), gain ({score: {value, low, high}}, of means over nights, 95 % over subjects and draws), better and worse
    (nights by kappa), and the number of nights and draws.
    """
    compared = compare(before, after, class_names, draws=draws)
    tested = {seed: {night.recording for night in nights} for seed, nights in after.items()}
    same = {seed: [night for night in before[seed] if night.recording in tested[seed]] for seed in after}
    tests = compared["tests"]["kappa"]
    return {
        "before": _mean_kappa(same),
        "after": _mean_kappa(after),
        "gain": compared["difference"]["mean"],
        "better": tests["better"],
        "worse": tests["worse"],
        "nights": compared["recordings"],
        "draws": len(after),
    }


def _mean_kappa(nights: NightsBySeed) -> float:
    """Kappa, mean over the nights of each draw, then over draws."""
    kappas = [batch_scores(confusions_of(of_seed, of_seed[0].n_classes))["kappa"] for of_seed in nights.values()]
    return float(np.mean([np.nanmean(of_seed) for of_seed in kappas]))
