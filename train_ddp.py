"""Train one stage: teacher and student in the same step, on any number of processes.

    python train_ddp.py --config eeg_base.yaml
    torchrun --nproc_per_node=4 train_ddp.py --config feat_temp.yaml
    torchrun --nproc_per_node=4 train_ddp.py --config feat_temp.yaml as_released.yaml --set train.epochs=3 data.store=S

Configs merge left to right over the defaults of sleepkd/config.py. An interrupted run goes on from its last.pt by the
same command. Read `train` from top to bottom: one pass through its inner loop is one update.
"""

import argparse
import contextlib
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sleepkd.checkpoint import Checkpoint, Position, load_weights
from sleepkd.config import Config, load_config, to_dict
from sleepkd.data.batches import check_shares, load, plan_epoch, share
from sleepkd.data.hypnogram import CLASS_NAMES, UNSCORED
from sleepkd.data.splits import read_split
from sleepkd.data.store import Store
from sleepkd.data.windows import Batch, Windows
from sleepkd.distillation.losses import balanced_class_weights, normalisers
from sleepkd.distillation.stage import Output, Stage, autocast, build_stage, by_device, energies, loss_sums
from sleepkd.distillation.teacher_cache import use_cached_teacher
from sleepkd.distributed import Processes, StopFlag
from sleepkd.errors import UserError, run_command
from sleepkd.evaluation.pictures.confusion_image import confusion_image
from sleepkd.evaluation.scores.metrics import confusion_matrix, scores
from sleepkd.evaluation.scores.summary import json_safe
from sleepkd.progress import Progress, UpdateLog
from sleepkd.run_directory import RunDirectory, resumable
from sleepkd.schedule import is_finished, learning_rate, note_validation

EXIT_STOPPED = 143  # 128 + SIGTERM: stopped by request, last.pt is good, run the same command to go on


def main() -> int:
    """Read the command line, join the other processes, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", nargs="+", required=True, help="a stage's YAML, then overlays")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="override keys")
    args = parser.parse_args()
    config = load_config(args.config, args.set)
    processes = Processes(config.train.device, config.train.timeout_minutes)
    with processes.group():
        return train(config, processes)


def train(config: Config, processes: Processes) -> int:
    """Train one stage to its end, or until asked to stop; returns the exit code."""
    # --- what is trained, on what, from where ---
    config = by_device(config, processes.device)
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
    position = resumed.position if resumed else Position()
    if resumed:
        load_weights(stage.student, resumed.model, config.run_directory / "last.pt")
        optimizer.load_state_dict(resumed.training["optimizer"])
        scaler.load_state_dict(resumed.training["scaler"])
    average = moving_average(stage, config, resumed)
    student = wrap(stage, processes)

    updates = len(plan_epoch(len(windows), config.train.batch_size, config.train.seed, 0))
    total, done = config.train.epochs * updates, position.epoch * updates + position.update
    run = RunDirectory(config, processes.is_first, resumed_step=done)
    if processes.is_first:
        print(describe(stage, windows, validation, done, processes), flush=True)
    if config.distill.cache_teacher and stage.teacher:
        use_cached_teacher(stage, windows, run.path / "teacher" / "train", processes)
        if validation:
            use_cached_teacher(stage, validation, run.path / "teacher" / "validation", processes)
    progress = Progress(config.stage.name, total, done, shown=processes.is_first)
    stop = StopFlag()

    def checkpoint(model: nn.Module, scores: dict[str, Any], **training: dict[str, Any]) -> Checkpoint:
        return Checkpoint(to_dict(config), store.rate_hz, model.state_dict(), position, scores, training)

    def save_last() -> None:
        averaged = {"average": average.state_dict()} if average else {}
        state = {"optimizer": optimizer.state_dict(), "scaler": scaler.state_dict(), **averaged}
        run.save_last(checkpoint(stage.student, {}, **state))
        processes.wait()

    def report(step: int) -> None:
        values, broken = log.flush()
        if broken is not None:
            raise UserError(non_finite(windows, broken, step, run))
        values |= {"gradient_norm": gradient_norm.item(), "learning_rate": optimizer.param_groups[0]["lr"]}
        if scaler.is_enabled():  # updates that overflowed in fp16 and were skipped: no error, but to be seen
            taken = max((int(state["step"]) for state in optimizer.state.values()), default=0)
            values |= {"loss_scale": scaler.get_scale(), "skipped_updates": step - taken}
        run.log("train", step, {"epoch": epoch, **values})
        progress.show(loss=f"{values['loss']:.4f}")

    # --- the loop ---
    while not is_finished(config.train, position):
        clock, epoch = time.monotonic(), position.epoch
        stage.train_mode()
        log = UpdateLog(processes)
        plan = plan_epoch(len(windows), config.train.batch_size, config.train.seed, epoch)[position.update :]
        mine = [m for whole in plan for m in share(whole, processes.rank, processes.world, config.train.accumulate)]
        micro_batches = load(windows, mine, config.data, device)

        for update_windows in plan:
            step = epoch * updates + position.update
            optimizer.param_groups[0]["lr"] = learning_rate(config.train, step, total, position.reductions)
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
                log.add({"loss": loss, **terms})
            scaler.unscale_(optimizer)
            gradient_norm = nn.utils.get_total_norm([parameter.grad for parameter in trained])
            if config.train.clip_norm:
                nn.utils.clip_grads_with_norm_(trained, config.train.clip_norm, gradient_norm)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            if average:
                average.update_parameters(stage.student)

            position.update += 1
            log.end_update(update_windows, int(whole.present.sum()))
            progress.advance()
            if (step + 1) % config.train.log_every == 0 or position.update == updates:
                report(step + 1)
            if processes.any(stop.requested):
                if log.pending:
                    report(step + 1)
                position.seconds += time.monotonic() - clock
                save_last()
                run.close()
                if processes.is_first:
                    print(f"stopped after update {step + 1}; the same command goes on from {run.last}", flush=True)
                return EXIT_STOPPED

        # --- the end of an epoch: validate, keep the best, save ---
        position.epoch, position.update = epoch + 1, 0
        kept = average.module if average else stage.student
        processes.broadcast_buffers(kept)  # BatchNorm's running statistics differ by process
        due = position.epoch % config.train.validate_every == 0 if validation else False
        if validation and (due or position.epoch == config.train.epochs):
            result = validate(stage, kept, validation, class_weights, weights, processes)
            run.log("validation", step + 1, {"epoch": position.epoch, **result})
            names = CLASS_NAMES[config.data.classes]
            run.image("validation/confusion", step + 1, confusion_image(np.array(result["confusion"]), names))
            progress.show(validation_loss=f"{result['loss']:.4f}", weighted_f1=f"{result['weighted_f1']:.3f}")
            score = -result["loss"] if config.train.monitor == "loss" else result["weighted_f1"]
            if note_validation(config.train, position, score):
                run.save_best(checkpoint(kept, result))
        position.seconds += time.monotonic() - clock
        save_last()
    progress.close()
    run.close()
    if processes.is_first:
        print(f"{config.stage.name}: trained in {position.seconds / 60:.1f} min; {run.path}", flush=True)
    return 0


def moving_average(stage: Stage, config: Config, resumed: Checkpoint | None) -> AveragedModel | None:
    """The exponential moving average of the student, buffers included, if the config asks for one."""
    if not config.train.ema_decay:
        return None
    decay = get_ema_multi_avg_fn(config.train.ema_decay)
    average = AveragedModel(stage.student, multi_avg_fn=decay, use_buffers=True)
    if resumed:
        average.load_state_dict(resumed.training["average"])
    return average


def wrap(stage: Stage, processes: Processes) -> nn.Module:
    """The student as the loop calls it: SyncBatchNorm, compiled, in DDP, where each applies. Taps are registered."""
    config = stage.config
    if config.model.norm == "sync_batch":
        if processes.device.type != "cuda":
            raise UserError("model.norm: sync_batch needs CUDA; use batch or group")
        stage.student = nn.SyncBatchNorm.convert_sync_batchnorm(stage.student)
    student = stage.student
    if config.train.compile:
        student = torch.compile(student)
        if stage.teacher:
            stage.teacher.network.compile()
    if not processes.distributed:
        return student
    device_ids = [processes.device] if processes.device.type == "cuda" else None
    return DistributedDataParallel(student, device_ids=device_ids, gradient_as_bucket_view=True)


def forward(stage: Stage, student: nn.Module, batch: Batch, class_weights: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Student and teacher on the same windows: the student's logits (B, n, K), and the sums of the loss terms."""
    with autocast(stage.config, class_weights.device):
        logits = student(batch.signals[stage.config.stage.signal])
        taught = stage.teach(batch)
    learnt = Output(logits, energies(stage.student_taps))
    return logits, loss_sums(stage.config, learnt, taught, batch, class_weights)


@torch.no_grad()
def validate(
    stage: Stage,
    network: nn.Module,
    windows: Windows,
    class_weights: Tensor,
    weights: np.ndarray,
    processes: Processes,
) -> dict[str, Any]:
    """The stage's own losses and the scores on the validation windows; each process does its part, unpadded."""
    config, classes = stage.config, stage.config.data.classes
    network.eval()
    mine = np.arange(processes.rank, len(windows), processes.world)
    batches = [mine[i : i + config.train.batch_size] for i in range(0, len(mine), config.train.batch_size)]
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    divisors = normalisers(windows.table.labels, windows.table.present, weights)
    terms = {name: torch.zeros((), dtype=torch.float64) for name in divisors if getattr(config.loss, name)}
    for batch in load(windows, batches, config.data, processes.device):
        logits, sums = forward(stage, network, batch.to(processes.device, class_weights.dtype), class_weights)
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


def non_finite(windows: Windows, broken: np.ndarray, step: int, run: RunDirectory) -> str:
    """What to say when a loss is no number: whose nights the update held, and what is left to go on from."""
    nights = sorted({windows.nights[i].info.recording for i in windows.table.recording[broken]})
    named = ", ".join(nights[:8]) + (f" and {len(nights) - 8} more" if len(nights) > 8 else "")
    left = f"{run.last} holds the state before" if run.last.is_file() else "nothing was saved yet"
    return (
        f"the loss is not finite by update {step}, in a batch of recordings {named}; {left}; look at those recordings, "
        "lower train.learning_rate, set train.clip_norm or train.precision=fp32"
    )


def describe(stage: Stage, windows: Windows, validation: Windows | None, done: int, processes: Processes) -> str:
    """What is about to be trained, in a few lines."""
    config, count = stage.config, sum(parameter.numel() for parameter in stage.student.parameters())
    teacher = f", taught by {stage.teacher.path}" if stage.teacher else ""
    start = f", from {config.stage.start_from}" if config.stage.start_from else ""
    held_out = f"validation {len(validation)} of {len(validation.nights)}" if validation else "no validation"
    return (
        f"{config.stage.name}: {config.data.classes} classes from {config.stage.signal.upper()}{start}{teacher}\n"
        f"  {count:,} parameters on {processes.world} x {processes.device.type}, {config.train.precision}; "
        f"train {len(windows)} windows of {len(windows.nights)} nights, {held_out}\n"
        f"  {config.run_directory}" + (f": going on after update {done}" if done else "")
    )


if __name__ == "__main__":
    run_command(main)
