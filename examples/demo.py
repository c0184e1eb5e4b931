"""make demo: the whole method on a simulated cohort, on two CPU cores; prints every command that it runs.

Simulate nights in MASS's layout, prepare them, train stages over two processes, evaluate on nights held out: networks
that see 30 s, as published, and networks that see the night.
Run again, it goes on where it was; `make clean` starts it anew.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from sleepkd.settings import load_config
from sleepkd.errors import UserError, run_command
from sleepkd.files import write_text_atomically
from sleepkd.provenance import launch_command, shown
from sleepkd.checkpoints.checkpoint import read_checkpoint

RUNS = Path("runs/demo")
# Training epochs of each stage, in the order of the table. The teachers' task is easy; the students of 30 s get five
# each, which feat_train and feat_temp, one going on from the other, share; those of the night ten.
EPOCHS = {
    "night_eeg": 8, "ecg_base": 5, "night_ecg": 10, "night_kd": 10,
    "eeg_base": 3, "kd_temp": 5, "feat_train": 2, "feat_temp": 3,
}  # fmt: skip
BEST = "night_kd"
SCORES = (("accuracy", "accuracy"), ("kappa", "kappa"), ("weighted F1", "weighted_f1"), ("macro F1", "macro_f1"))
NIGHTS, HOURS, SEED = 48, 2, 1
RECORDED_HZ, STORED_HZ = 128, 32
PROCESSES = 2


def main() -> None:
    """Run every step, then show the table."""
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
    arguments = ("--checkpoint", *checkpoints.values(), "--out", RUNS / "results")
    run(launch_command("evaluate.py", PROCESSES, arguments))
    rows = [row(stage, checkpoint) for stage, checkpoint in checkpoints.items()]
    write_text_atomically(RUNS / "table.json", json.dumps(rows, indent=1) + "\n")
    show(rows, (time.monotonic() - started) / 60)


def overlay(stage: str) -> str:
    """The sizes that a stage has here."""
    return "demo_night" if stage.startswith("night_") else "demo"


def python(*arguments: object) -> None:
    """Run Python with these arguments; UserError where it fails."""
    run([sys.executable, *map(str, arguments)])


def run(command: list[str]) -> None:
    """Print a command and run it; UserError where it fails."""
    print(f"\n$ {shown(command)}", flush=True)
    # One thread per process: two processes on two cores otherwise fight over them.
    code = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False).returncode
    if code:
        raise UserError(f"the command above ended with exit code {code}")


def row(stage: str, checkpoint: Path) -> dict[str, float | str]:
    """One line of the table: the scores on the held-out nights and the minutes that training took."""
    overall = json.loads((RUNS / "results" / stage / "metrics.json").read_text(encoding="utf-8"))["overall"]
    minutes = read_checkpoint(checkpoint.with_name("last.pt")).position.seconds / 60
    return {"stage": stage, **{name: overall[key] for name, key in SCORES}, "minutes": minutes}


def show(rows: list[dict], minutes: float) -> None:
    """Print the table and where to look next."""
    columns = [name for name, _ in SCORES]
    print(f"\n{'stage':<11}" + "".join(f"{name:>13}" for name in (*columns, "minutes")))
    for line in rows:
        numbers = "".join(f"{line[name]:>13.3f}" for name in (*columns, "minutes"))
        print(f"{line['stage']:<11}{numbers}")
    print(f"\n{minutes:.1f} minutes. Look at:")
    print(f"  {RUNS / 'results' / 'report.html'} in a browser")
    for path in sorted(RUNS.glob("results/*/confusion.png")):
        print(f"  {path}")
    print(f"  {next(RUNS.glob(f'results/{BEST}/hypnograms/*.png'))} and its neighbours")
    print(f"  tensorboard --logdir {RUNS}")
    print(f"  {RUNS / 'table.json'}")


if __name__ == "__main__":
    run_command(main)
