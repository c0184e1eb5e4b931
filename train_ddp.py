"""Train one stage: teacher and student in the same step, on any number of processes.

    python train_ddp.py --config eeg_base.yaml
    torchrun --nproc_per_node=4 train_ddp.py --config feat_temp.yaml
    torchrun --nproc_per_node=4 train_ddp.py --config feat_temp.yaml as_released.yaml --set train.epochs=3 data.store=S

Configs merge left to right over the defaults of sleepkd/config.py. An interrupted run goes on from its last.pt by the
same command. Read `train` from top to bottom: one pass through its inner loop is one update.
"""

import argparse
import contextlib
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sleepkd.checkpoint import Checkpoint, Position, load_weights, save_checkpoint
from sleepkd.config import Config, load_config, to_dict
from sleepkd.data.batches import check_shares, load, plan_epoch, share
from sleepkd.data.hypnogram import CLASS_NAMES, UNSCORED
from sleepkd.data.splits import read_split
from sleepkd.data.store import Store
from sleepkd.data.windows import Batch, Windows
from sleepkd.distillation.losses import balanced_class_weights, normalisers
from sleepkd.distillation.stage import Output, Stage, build_stage, loss_sums
from sleepkd.distributed import Processes, StopFlag
from sleepkd.errors import UserError, run_command
from sleepkd.evaluation.confusion_image import confusion_image
from sleepkd.evaluation.metrics import confusion_matrix, scores
from sleepkd.evaluation.report import json_safe
from sleepkd.progress import LoggedSums, Progress
from sleepkd.run_directory import RunDirectory, resumable

EXIT_STOPPED = 143  # 128 + SIGTERM: stopped by request, last.pt is good, run the same command to go on
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def main() -> int:
    """Read the command line, join the other processes, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", nargs="+", required=True, help="a stage's YAML, then overlays")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="override keys")
    args = parser.parse_args()
    config = load_config(args.config, args.set)
    processes = Processes(config.train.device)
    with processes.group():
        return train(config, processes)


def train(config: Config, processes: Processes) -> int:
    """Train one stage to its end, or until asked to stop; returns the exit code."""
    # --- what is trained, on what, from where ---
    resumed = resumable(config)
    store = Store(config.data.store)
    split = read_split(store, config.data.split)
    stage = build_stage(config, store.rate_hz)
    windows = Windows(store, split.part("train"), config.data, stage.signals)
    check_shares(len(windows), config.train.batch_size, processes.world * config.train.accumulate)
    validation = None
    if config.train.validate_every:
        validation = Windows(store, split.part("validation"), config.data, stage.signals)
    weights = np.ones(config.data.classes)
    if config.loss.class_weights == "balanced":
        weights = balanced_class_weights(windows.table.labels, config.data.classes)

    device, dtype = processes.device, torch.float64 if config.train.precision == "fp64" else torch.float32
    stage.to(device, dtype)
    class_weights = torch.as_tensor(weights, dtype=dtype, device=device)
    trained = [parameter for parameter in stage.student.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=config.train.learning_rate)
    scaler = torch.amp.GradScaler(device.type, enabled=config.train.precision == "fp16")
    position = Position()
    if resumed:
        load_weights(stage.student, resumed.model, config.run_directory / "last.pt")
        optimizer.load_state_dict(resumed.training["optimizer"])
        scaler.load_state_dict(resumed.training["scaler"])
        position = resumed.position
    student = wrap(stage, processes)

    def save(path: Path, scores: dict, training: bool) -> None:
        state = {"optimizer": optimizer.state_dict(), "scaler": scaler.state_dict()} if training else {}
        weights = stage.student.state_dict()
        if processes.is_first:
            save_checkpoint(path, Checkpoint(to_dict(config), store.rate_hz, weights, position, scores, state))
        processes.wait()

    run = RunDirectory(config, writes=processes.is_first)
    updates = len(plan_epoch(len(windows), config.train.batch_size, config.train.seed, 0))
    done = position.epoch * updates + position.update
    if processes.is_first:
        print(describe(stage, windows, validation, done, processes), flush=True)
    progress = Progress(config.stage.name, config.train.epochs * updates, done, shown=processes.is_first)
    stop = StopFlag()

    # --- the loop ---
    for epoch in range(position.epoch, config.train.epochs):
        clock = time.monotonic()
        stage.train_mode()
        logged = LoggedSums(processes)
        plan = plan_epoch(len(windows), config.train.batch_size, config.train.seed, epoch)[position.update :]
        mine = [m for whole in plan for m in share(whole, processes.rank, processes.world, config.train.accumulate)]
        micro_batches = load(windows, mine, config.data.workers, pin_memory=device.type == "cuda")

        for update_windows in plan:
            # What the sums are divided by: counted over the whole update, whichever process computes which share of it.
            whole = windows.table.take(update_windows)
            divisors = normalisers(whole.labels, whole.present, weights)
            for micro in range(config.train.accumulate):
                batch = next(micro_batches).to(device, dtype)
                is_last = micro == config.train.accumulate - 1
                with contextlib.nullcontext() if is_last or not processes.distributed else student.no_sync():
                    _, sums = forward(stage, student, batch, class_weights)
                    terms = {name: value / divisors[name] for name, value in sums.items()}
                    loss = sum(getattr(config.loss, name) * term for name, term in terms.items())
                    scaler.scale(processes.world * loss).backward()  # DDP averages, the shares of a sum add up
                logged.add({"loss": loss, **terms})
            scaler.unscale_(optimizer)
            gradient_norm = torch.nn.utils.clip_grad_norm_(trained, config.train.clip_norm or math.inf)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)

            position.update += 1
            step = epoch * updates + position.update
            logged.count(int(whole.present.sum()))
            progress.advance()
            if step % config.train.log_every == 0 or position.update == updates:
                values = logged.flush()
                refuse_non_finite(values["loss"], step, run)
                values |= {"gradient_norm": gradient_norm.item(), "learning_rate": optimizer.param_groups[0]["lr"]}
                run.log("train", step, {"epoch": epoch, **values})
                progress.show(loss=f"{values['loss']:.4f}")
            if processes.any(stop.requested):
                position.seconds += time.monotonic() - clock
                save(run.last, {}, training=True)
                run.close()
                if processes.is_first:
                    print(f"stopped after update {step}; the same command goes on from {run.last}", flush=True)
                return EXIT_STOPPED

        # --- the end of an epoch: validate, keep the best, save ---
        position.epoch, position.update = epoch + 1, 0
        position.seconds += time.monotonic() - clock
        clock = time.monotonic()
        processes.broadcast_buffers(stage.student)  # BatchNorm's running statistics differ by process
        if validation and (position.epoch % config.train.validate_every == 0 or position.epoch == config.train.epochs):
            result = validate(stage, validation, class_weights, weights, processes)
            run.log("validation", step, {"epoch": position.epoch, **result})
            names = CLASS_NAMES[config.data.classes]
            run.image("validation/confusion", step, confusion_image(np.array(result["confusion"]), names))
            progress.show(validation_loss=f"{result['loss']:.4f}", weighted_f1=f"{result['weighted_f1']:.3f}")
            score = -result["loss"] if config.train.monitor == "loss" else result["weighted_f1"]
            if position.best_score is None or score > position.best_score:
                position.best_score, position.best_epoch = score, position.epoch
                save(run.best, result, training=False)
        position.seconds += time.monotonic() - clock
        save(run.last, {}, training=True)
    progress.close()
    run.close()
    if processes.is_first:
        print(f"{config.stage.name}: trained in {position.seconds / 60:.1f} min; {run.path}", flush=True)
    return 0


def wrap(stage: Stage, processes: Processes) -> nn.Module:
    """The student as the loop calls it: SyncBatchNorm, compiled, in DDP, where each applies. Taps are registered."""
    config = stage.config
    if config.model.norm == "sync_batch":
        if processes.device.type != "cuda":
            raise UserError("model.norm: sync_batch needs CUDA; use batch or group")
        stage.student = nn.SyncBatchNorm.convert_sync_batchnorm(stage.student)
    student = torch.compile(stage.student) if config.train.compile else stage.student
    if not processes.distributed:
        return student
    device_ids = [processes.device] if processes.device.type == "cuda" else None
    return DistributedDataParallel(student, device_ids=device_ids, gradient_as_bucket_view=True)


def forward(stage: Stage, student: nn.Module, batch: Batch, class_weights: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Student and teacher on the same windows: the student's logits (B, n, K), and the sums of the loss terms."""
    low_precision = AUTOCAST.get(stage.config.train.precision)
    with torch.autocast(class_weights.device.type, dtype=low_precision, enabled=low_precision is not None):
        logits = student(batch.signals[stage.config.stage.signal])
        teacher = None
        if stage.teacher:
            with torch.no_grad():  # not inference_mode: its tensors may not enter a loss
                teacher_logits = stage.teacher.network(batch.signals[stage.teacher.config.stage.signal])
            teacher = Output(teacher_logits, stage.teacher_taps.pop())
    return logits, loss_sums(stage.config.loss, Output(logits, stage.student_taps.pop()), teacher, batch, class_weights)


@torch.no_grad()
def validate(
    stage: Stage, windows: Windows, class_weights: Tensor, weights: np.ndarray, processes: Processes
) -> dict[str, Any]:
    """The stage's own losses and the scores on the validation windows; each process does its part, unpadded."""
    config, classes = stage.config, stage.config.data.classes
    stage.student.eval()
    mine = np.arange(processes.rank, len(windows), processes.world)
    batches = [mine[i : i + config.train.batch_size] for i in range(0, len(mine), config.train.batch_size)]
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    divisors = normalisers(windows.table.labels, windows.table.present, weights)
    terms = {name: torch.zeros((), dtype=torch.float64) for name in divisors if getattr(config.loss, name)}
    for batch in load(windows, batches, config.data.workers, pin_memory=processes.device.type == "cuda"):
        logits, sums = forward(stage, stage.student, batch.to(processes.device, class_weights.dtype), class_weights)
        for name, value in sums.items():
            terms[name] += value.double().cpu() / divisors[name]
        confusion += torch.from_numpy(confusion_matrix(batch.labels.numpy(), logits.argmax(-1).cpu().numpy(), classes))
    processes.sum(confusion)
    scored = int((windows.table.labels != UNSCORED).sum())
    if int(confusion.sum()) != scored:
        raise RuntimeError(f"validation counted {int(confusion.sum())} of {scored} scored sleep epochs")
    losses = {name: float(processes.sum(value)) for name, value in terms.items()}
    loss = sum(getattr(config.loss, name) * value for name, value in losses.items())
    return json_safe({"loss": loss, **losses, **scores(confusion.numpy(), CLASS_NAMES[classes])})


def refuse_non_finite(loss: float, step: int, run: RunDirectory) -> None:
    """Stop all processes together (all hold the same reduced loss) before a broken network is saved."""
    if not math.isfinite(loss):
        raise UserError(
            f"the loss became {loss} by update {step}; {run.last} holds the state before that, if there is one; "
            "lower train.learning_rate, set train.clip_norm or train.precision=fp32"
        )


def describe(stage: Stage, windows: Windows, validation: Windows | None, done: int, processes: Processes) -> str:
    """What is about to be trained, in a few lines."""
    config, count = stage.config, sum(parameter.numel() for parameter in stage.student.parameters())
    teacher = f", taught by {stage.teacher.path}" if stage.teacher else ""
    start = f", from {config.stage.start_from}" if config.stage.start_from else ""
    held_out = (
        f"validation {len(validation)} windows of {len(validation.nights)} nights" if validation else "none held out"
    )
    return (
        f"{config.stage.name}: {config.data.classes} classes from {config.stage.signal.upper()}{start}{teacher}\n"
        f"  {count:,} parameters on {processes.world} x {processes.device.type}, {config.train.precision}; "
        f"train {len(windows)} windows of {len(windows.nights)} nights, {held_out}\n"
        f"  {config.run_directory}" + (f": going on after update {done}" if done else "")
    )


if __name__ == "__main__":
    run_command(main)
