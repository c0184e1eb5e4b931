"""Train, evaluate and store the network that ships with sleepkd (sleepkd/weights/night) on real nights.

    sleepkd prepare --dataset sleep_accel --raw sleep_accel --out stores/sleep_accel
    sleepkd prepare --dataset slpdb_beats --raw slpdb --out stores/slpdb
    python -m scripts.weights --labelled stores/sleep_accel stores/slpdb --jobs 2

What ships is an ensemble: networks trained on the labelled nights, from scratch and with the ranks of the night, of two
seeds each. Cross-validation by subject evaluates it. With --simulated, networks that start from one of simulated nights
are members too. With --network student, one network is distilled on labelled and unlabelled nights from SleepECG and
from an ensemble; nested cross-validation by subject evaluates it. OUT/COHORT.png is the held-out night of median kappa.
Splits and pseudo-labels are written into the stores. The same command resumes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from scripts.weights_card import cohort_of, evaluate_students, store_network, typical_night
from sleepkd.checkpoints.trained import TrainedNetwork, best_or_last, load_trained
from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.data.store import Store
from sleepkd.errors import UserError, run_command
from sleepkd.evaluation.pictures.hypnogram_figure import hypnogram_figure
from sleepkd.pseudo_label import main as pseudo_label
from sleepkd.study.ensemble_distillation import EnsembleDistillation, Excluded, Row, distinct
from sleepkd.study.jobs import RunGroup, TrainingJob, build_job
from sleepkd.study.runner import Runner

CLASSES, FOLDS, FOLD_SEED = 4, 5, 0
NETWORK = ("model.width=48", "train.precision=fp32", "data.augment.averaged=0.3", "data.augment.sinus_arrhythmia=0.5")
WHOLE_NIGHT = (
    "model.night_ranks=true", "data.segment_minutes=0", "train.batch_size=3", "data.augment.averaged=0.5",
)  # fmt: skip
MEMBER_FILES = ("night_ecg", "beats_2hz")
TEACHER_MODEL = "sleepecg"
"""The external model whose pseudo-labels the student learns too."""
SCRATCH, RANKS, PRETRAINED, STUDENT_NAME, ENSEMBLE = "scratch", "ranks", "pretrained", "student", "ensemble"
ENSEMBLE_SEEDS = 2
"""The ensemble of a seed has each member of so many seeds: that one and the next ones."""
STUDENT = Row(
    ("night_pseudo", "beats_2hz"),
    (
        *NETWORK,
        "model.repeats=2",
        "loss.ce.weight=0.3",
        "loss.ce.class_weights=none",
        "loss.pseudo.weight=0.7",
        f"loss.pseudo.model={{ENSEMBLE: 1, {TEACHER_MODEL}: 0.3}}",
    ),
    updates=600,
    unlabelled=True,
)
MEMBER_UPDATES, WHOLE_NIGHT_UPDATES, SIMULATED_UPDATES = 550, 450, 700


def main(arguments: list[str] | None = None) -> int:
    """Train the networks that are missing, evaluate them, and store the network and its model card."""
    args = _parse(arguments)
    simulated = [simulated_job(store, args.out) for store in args.simulated]
    plan = EnsembleDistillation(
        [Store(store) for store in args.labelled], [Store(store) for store in args.unlabelled], members(simulated),
        STUDENT, CLASSES, FOLDS, FOLD_SEED, args.out,
    )  # fmt: skip
    plan.write_splits()
    runner = Runner(args.out, 1, args.jobs)
    if args.network not in (SCRATCH, RANKS):
        train(runner, simulated)
    excluded_sets = plan.excluded_sets()
    if args.network == STUDENT_NAME:
        teach(plan, runner, args)
    jobs = {
        (excluded, seed): jobs_of(plan, args, excluded, seed)
        for seed in args.seeds
        for excluded in excluded_sets
        if excluded or seed == args.seeds[0]
    }
    train(runner, [job for of_network in jobs.values() for job in of_network])
    results = evaluate_students(plan, {key: load(of_network) for key, of_network in jobs.items()}, args.seeds)
    shipped = [best_or_last(job.config.run_directory) for job in jobs[(), args.seeds[0]]]
    store_network(plan, shipped, results, args.seeds, command_of(args))
    for store in plan.labelled:
        cohort = cohort_of(store)
        hypnogram_figure(typical_night(results, cohort), CLASS_NAMES[CLASSES], args.out / f"{cohort}.png")
    return 0


def command_of(args: argparse.Namespace) -> str:
    """The command that made the network, with stores by their names."""
    stores = "".join(
        f" --{option} {' '.join(f'stores/{store.name}' for store in given)}"
        for option, given in (
            ("labelled", args.labelled),
            ("unlabelled", args.unlabelled),
            ("simulated", args.simulated),
        )
        if given
    )
    seeds = " ".join(map(str, args.seeds))
    return f"python -m scripts.weights{stores} --network {args.network} --seeds {seeds}"


def teach(plan: EnsembleDistillation, runner: Runner, args: argparse.Namespace) -> None:
    """Train the ensembles, and write their pseudo-labels and SleepECG's into the stores."""
    teachers = {
        excluded: [plan.teachers(excluded, seed) for seed in args.teacher_seeds] for excluded in plan.excluded_sets()
    }
    train(
        runner, [job for of_seeds in teachers.values() for folds in of_seeds for jobs in folds.values() for job in jobs]
    )
    for store in (*args.labelled, *args.unlabelled):
        pseudo_label([str(store), "--model", TEACHER_MODEL])
    for excluded, of_seeds in teachers.items():
        networks = {fold: load([job for folds in of_seeds for job in folds[fold]]) for fold in of_seeds[0]}
        plan.write_ensemble_labels(excluded, networks, args.teacher_seeds)


def jobs_of(plan: EnsembleDistillation, args: argparse.Namespace, excluded: Excluded, seed: int) -> list[TrainingJob]:
    """The training runs of the network that may ship, without the excluded folds: those of its members."""
    if args.network == STUDENT_NAME:
        return [plan.student_job(excluded, seed, args.teacher_seeds)]
    if args.network != ENSEMBLE:
        return [job for job in plan.members_without(excluded, seed) if job.row == args.network]
    first = args.seeds.index(seed)
    seeds = [args.seeds[(first + k) % len(args.seeds)] for k in range(min(ENSEMBLE_SEEDS, len(args.seeds)))]
    return [job for each in seeds for job in plan.members_without(excluded, each)]


def simulated_job(store: Path, out: Path) -> TrainingJob:
    """The training run on simulated nights, half of their segments as an averaged heart rate."""
    group = RunGroup(CLASSES, 0, "simulated")
    opened = Store(store)
    segments = sum(round(opened.info(name).seconds / 7200) for name in opened.recordings)
    epochs = max(1, round(SIMULATED_UPDATES * 8 / segments))
    overrides = [
        *NETWORK, "model.repeats=1", "stage.name=simulated", f"runs_root={group.runs_root(out)}", f"data.store={store}",
        f"data.classes={CLASSES}", "data.augment.averaged=0.5", "train.validate_every=0", f"train.epochs={epochs}",
    ]  # fmt: skip
    return build_job("simulated", group, MEMBER_FILES, overrides)


def members(simulated: Sequence[TrainingJob]) -> dict[str, Row]:
    """The networks of an ensemble: from scratch, with the ranks of the night, from one of simulated nights."""
    common = (*NETWORK, "model.repeats=1")
    rows = {
        SCRATCH: Row(MEMBER_FILES, common, MEMBER_UPDATES),
        RANKS: Row(MEMBER_FILES, (*common, *WHOLE_NIGHT), WHOLE_NIGHT_UPDATES),
    }
    for job in simulated:
        start = f"stage.start_from={job.config.run_directory / 'last.pt'}"
        rows[PRETRAINED] = Row(MEMBER_FILES, (*common, start), MEMBER_UPDATES)
    return rows


def train(runner: Runner, jobs: list[TrainingJob]) -> None:
    """Train the jobs that are not finished, those of a group one after the other. Raises UserError if one fails."""
    groups: dict[RunGroup, list[TrainingJob]] = {}
    for job in distinct(jobs):
        groups.setdefault(job.group, []).append(job)
    runner.each(list(groups), lambda group: runner.train(groups[group]))
    if failures := runner.report_failures():
        raise UserError(failures[0])


def load(jobs: list[TrainingJob]) -> list[TrainedNetwork]:
    """The trained networks of these jobs."""
    return [load_trained(best_or_last(job.config.run_directory)) for job in jobs]


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.weights", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--labelled", required=True, nargs="+", type=Path, metavar="FOLDER", help="stores of labelled nights"
    )
    parser.add_argument(
        "--unlabelled",
        default=[],
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="stores of unlabelled nights, for --network student",
    )
    parser.add_argument(
        "--simulated", default=[], nargs=1, type=Path, metavar="FOLDER", help="store of simulated heartbeats"
    )
    parser.add_argument(
        "--network",
        default=ENSEMBLE,
        choices=(ENSEMBLE, SCRATCH, RANKS, PRETRAINED, STUDENT_NAME),
        help="network to evaluate and to store: the ensemble (default), one of its members, or a distilled one",
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="of the networks; default: 0 1 2"
    )
    parser.add_argument(
        "--teacher-seeds", type=int, nargs="+", default=[0], metavar="N", help="of ensembles; default: 0"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="RUNS", help="training runs side by side; default: 1")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/weights"),
        metavar="FOLDER",
        help="training runs and results; default: runs/weights",
    )
    args = parser.parse_args(arguments)
    if args.network == PRETRAINED and not args.simulated:
        parser.error("--network pretrained needs --simulated FOLDER, a store of simulated heartbeats")
    return args


if __name__ == "__main__":
    run_command(main)
