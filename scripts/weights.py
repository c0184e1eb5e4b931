"""Train, evaluate and store the network that ships with sleepkd (sleepkd/weights/night) on real nights.

    sleepkd prepare --dataset sleep_accel --raw sleep_accel --out stores/sleep_accel
    sleepkd prepare --dataset slpdb_beats --raw slpdb --out stores/slpdb
    sleepkd prepare --dataset apnea_ecg --raw apnea_ecg --out stores/apnea_ecg
    sleepkd simulate --out simulated --nights 80 --hours 8 --seed 22 --channels beats
    sleepkd prepare --dataset simulated_beats --raw simulated --out stores/simulated --split 0.9 0.1 0
    python -m scripts.weights --labelled stores/sleep_accel stores/slpdb --unlabelled stores/apnea_ecg \\
        --simulated stores/simulated --jobs 2

The network is trained on the labelled nights; cross-validation by subject evaluates it. With --network student it is
distilled on labelled and unlabelled nights from SleepECG and from an ensemble of networks trained on the labelled ones;
nested cross-validation by subject evaluates it. Splits and pseudo-labels are written into the stores. The same command
resumes.
"""

import argparse
from pathlib import Path

from scripts.weights_card import evaluate_students, store_network
from sleepkd.checkpoints.trained import TrainedNetwork, best_or_last, load_trained
from sleepkd.data.store import Store
from sleepkd.errors import UserError, run_command
from sleepkd.pseudo_label import main as pseudo_label
from sleepkd.study.ensemble_distillation import EnsembleDistillation, Excluded, Row, distinct
from sleepkd.study.jobs import RunGroup, TrainingJob, build_job
from sleepkd.study.runner import Runner

CLASSES, FOLDS, FOLD_SEED = 4, 5, 0
NETWORK = ("model.width=48", "train.precision=fp32", "data.augment.averaged=0.3")
MEMBER_FILES = ("night_ecg", "beats_2hz")
TEACHER_MODEL = "sleepecg"
"""The external model whose pseudo-labels the student learns too."""
SCRATCH, PRETRAINED, STUDENT_NAME = "scratch", "pretrained", "student"
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
MEMBER_UPDATES, SIMULATED_UPDATES = 550, 700


def main(arguments: list[str] | None = None) -> int:
    """Train the networks that are missing, evaluate them, and store the network and its model card."""
    args = _parse(arguments)
    simulated = simulated_job(args.simulated, args.out)
    plan = EnsembleDistillation(
        [Store(store) for store in args.labelled], [Store(store) for store in args.unlabelled], members(simulated),
        STUDENT, CLASSES, FOLDS, FOLD_SEED, args.out,
    )  # fmt: skip
    plan.write_splits()
    runner = Runner(args.out, 1, args.jobs)
    if args.network != SCRATCH:
        train(runner, [simulated])
    excluded_sets = plan.excluded_sets()
    if args.network == STUDENT_NAME:
        teach(plan, runner, args)
    jobs = {
        (excluded, seed): job_of(plan, args, excluded, seed)
        for seed in args.seeds
        for excluded in excluded_sets
        if excluded or seed == args.seeds[0]
    }
    train(runner, list(jobs.values()))
    results = evaluate_students(plan, {key: load([job])[0] for key, job in jobs.items()}, args.seeds)
    shipped = best_or_last(jobs[(), args.seeds[0]].config.run_directory)
    store_network(plan, shipped, results, args.seeds, command_of(args))
    return 0


def command_of(args: argparse.Namespace) -> str:
    """The command that made the network, with stores by their names."""
    labelled, unlabelled = (" ".join(f"stores/{x.name}" for x in stores) for stores in (args.labelled, args.unlabelled))
    return (
        f"python -m scripts.weights --labelled {labelled} --unlabelled {unlabelled} --simulated "
        f"stores/{args.simulated.name} --network {args.network} --seeds {' '.join(map(str, args.seeds))}"
    )


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


def job_of(plan: EnsembleDistillation, args: argparse.Namespace, excluded: Excluded, seed: int) -> TrainingJob:
    """The training run of the network that may ship, without the excluded folds."""
    if args.network == STUDENT_NAME:
        return plan.student_job(excluded, seed, args.teacher_seeds)
    return next(job for job in plan.members_without(excluded, seed) if job.row == args.network)


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


def members(simulated: TrainingJob) -> dict[str, Row]:
    """The networks of an ensemble: one from scratch, one that starts from the simulated nights."""
    started = simulated.config.run_directory / "last.pt"
    common = (*NETWORK, "model.repeats=1")
    return {
        SCRATCH: Row(MEMBER_FILES, common, MEMBER_UPDATES),
        PRETRAINED: Row(MEMBER_FILES, (*common, f"stage.start_from={started}"), MEMBER_UPDATES),
    }


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
        "--unlabelled", required=True, nargs="+", type=Path, metavar="FOLDER", help="stores of unlabelled nights"
    )
    parser.add_argument("--simulated", required=True, type=Path, metavar="FOLDER", help="store of simulated heartbeats")
    parser.add_argument(
        "--network",
        default=SCRATCH,
        choices=(SCRATCH, PRETRAINED, STUDENT_NAME),
        help="network to evaluate and to store: trained on the labelled nights alone (default), after the simulated "
        "ones, or distilled",
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
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
