"""make demo: the whole method on a simulated cohort, on two CPU cores. Prints every command that it runs.

It simulates nights in the layout of MASS, prepares them, trains stages on two processes and evaluates them on the test
nights: networks of single 30-s sleep epochs, as published, and networks of whole nights. The same command resumes;
`make clean` deletes what it made.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from sleepkd.checkpoints.checkpoint import read_checkpoint
from sleepkd.errors import UserError, run_command
from sleepkd.files import write_text_atomically
from sleepkd.provenance import launch_command, shown
from sleepkd.settings import load_config

RUNS = Path("runs/demo")
# Training epochs of each stage, in the order of the table. Teachers learn fast. Students of 30 s get three each, which
# feat_train and feat_temp share, since one starts from the other; students of the night get ten.
EPOCHS = {
    "night_eeg": 8, "ecg_base": 3, "night_ecg": 10, "night_kd": 10,
    "eeg_base": 2, "kd_temp": 3, "feat_train": 1, "feat_temp": 2,
}  # fmt: skip
BEST = "night_kd"
SCORES = (("accuracy", "accuracy"), ("kappa", "kappa"), ("weighted F1", "weighted_f1"), ("macro F1", "macro_f1"))
NIGHTS, HOURS, SEED = 48, 2, 1
RECORDED_HZ, STORED_HZ = 128, 32
PROCESSES = 2


def main() -> None:
    """Run every step, then print the table."""
    started = time.monotonic()
    raw, store = RUNS / "raw", RUNS / "store"
    if not (raw / "participants.tsv").is_file():
        python("-m", "sleepkd.simulate", "--out", raw, "--nights", NIGHTS, "--hours", HOURS, "--seed", SEED,
               "--channels", "needed", "--rate", RECORDED_HZ, "--jobs", 2)  # fmt: skip
    python("-m", "sleepkd.prepare", "--dataset", "mass", "--raw", raw, "--out", store, "--jobs", 2, "--rate", STORED_HZ,
           "--split", 0.7, 0.1, 0.2)  # fmt: skip
    for stage, epochs in EPOCHS.items():
        arguments = ("--config", f"{stage}.yaml", f"{overlay(stage)}.yaml", "--set", f"train.epochs={epochs}")
        run(launch_command("train_ddp.py", PROCESSES, arguments))
    checkpoints = {stage: load_config([stage, overlay(stage)], []).run_directory / "best.pt" for stage in EPOCHS}
    evaluation = ("--checkpoint", *checkpoints.values(), "--out", RUNS / "results")
    run(launch_command("evaluate.py", PROCESSES, evaluation))
    rows = [row(stage, checkpoint) for stage, checkpoint in checkpoints.items()]
    write_text_atomically(RUNS / "table.json", json.dumps(rows, indent=1) + "\n")
    show(rows, (time.monotonic() - started) / 60)


def overlay(stage: str) -> str:
    """The overlay with the sizes of a stage in this demo."""
    return "demo_night" if stage.startswith("night_") else "demo"


def python(*arguments: object) -> None:
    """Run Python with these arguments. Raises UserError if it fails."""
    run([sys.executable, *map(str, arguments)])


def run(command: list[str]) -> None:
    """Print a command and run it. Raises UserError if it fails."""
    print(f"\n$ {shown(command)}", flush=True)
    # One thread per process, so that two processes on two cores do not compete for them.
    code = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False).returncode
    if code:
        raise UserError(f"the command above failed with exit code {code}")


def row(stage: str, checkpoint: Path) -> dict[str, float | str]:
    """One line of the table: scores on the test nights, and minutes of training."""
    overall = json.loads((RUNS / "results" / stage / "metrics.json").read_text(encoding="utf-8"))["overall"]
    minutes = read_checkpoint(checkpoint.with_name("last.pt")).position.seconds / 60
    return {"stage": stage, **{name: overall[key] for name, key in SCORES}, "minutes": minutes}


def show(rows: list[dict], minutes: float) -> None:
    """Print the table and the paths of the results."""
    columns = [name for name, _ in SCORES]
    print(f"\n{'stage':<11}" + "".join(f"{name:>13}" for name in (*columns, "minutes")))
    for line in rows:
        numbers = "".join(f"{line[name]:>13.3f}" for name in (*columns, "minutes"))
        print(f"{line['stage']:<11}{numbers}")
    print(f"\n{minutes:.1f} minutes. Results:")
    print(f"  {RUNS / 'results' / 'report.html'} in a browser")
    for path in sorted(RUNS.glob("results/*/confusion.png")):
        print(f"  {path}")
    print(f"  {next(RUNS.glob(f'results/{BEST}/hypnograms/*.png'))} and the other nights")
    print(f"  tensorboard --logdir {RUNS}")
    print("  docs/figures/real_night.png: a real night of a watch, staged by the network that ships (README)")
    print(f"  {RUNS / 'table.json'}")


if __name__ == "__main__":
    run_command(main)
