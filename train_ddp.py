"""Train one stage: teacher and student in the same step, on any number of processes.

    python train_ddp.py --config eeg_base.yaml
    torchrun --nproc_per_node=4 train_ddp.py --config feat_temp.yaml
    torchrun --nproc_per_node=4 train_ddp.py --config feat_temp.yaml as_released.yaml --set train.epochs=3 data.store=S

Configs merge from left to right over the defaults of sleepkd/settings.py. The same command resumes an interrupted run
from its last.pt. `train` is the whole run from top to bottom; `update` is one optimizer step. Copy this file and change
it.
"""

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sleepkd.checkpoints.checkpoint import Position, load_weights
from sleepkd.checkpoints.run_config import load_run_config
from sleepkd.checkpoints.trained import load_start, network_checkpoint
from sleepkd.config import require, to_dict
from sleepkd.data.batches import check_shares, draw_epoch, each_once, load_batches, share
from sleepkd.data.held_inputs import reading_rate_hz
from sleepkd.data.hypnogram import CLASS_NAMES, UNSCORED
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import STUDENT, Batch, Segments
from sleepkd.data.stage_inputs import resolve
from sleepkd.data.views import SegmentTable
from sleepkd.distributed import Processes, StopFlag
from sleepkd.errors import run_command
from sleepkd.evaluation.scores.metrics import confusion_matrix, scores
from sleepkd.evaluation.scores.summary import json_safe
from sleepkd.losses.loss import FeatureShapes, NetworkOutput
from sleepkd.losses.objective import Objective
from sleepkd.models import build_network
from sleepkd.models.taps import Taps, freeze_untapped
from sleepkd.precision import autocast, for_device, signal_dtype
from sleepkd.settings import Config, TrainConfig
from sleepkd.teachers import build_teacher
from sleepkd.training.learner import Learner
from sleepkd.training.log import TrainingLog
from sleepkd.training.run_directory import RunDirectory, resumable
from sleepkd.training.schedule import is_finished, learning_rate, record_validation
from sleepkd.training.stage import Stage, describe_stage, without_empty_validation
from sleepkd.training.state import TrainingState, seed_process

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
EXIT_STOPPED = 143  # 128 + SIGTERM: stopped on request, last.pt is complete, the same command resumes


def main() -> int:
    """Read the command line, join the other processes, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", nargs="+", required=True, metavar="YAML", help="config of a stage, then overlays")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="settings to override"
    )
    args = parser.parse_args()
    config = load_run_config(args.config, args.set)
    processes = Processes(config.train.device, config.train.timeout_minutes)
    with processes.group():
        return train(config, processes)


def train(config: Config, processes: Processes) -> int:
    """Train one stage to its end, or until SIGTERM; returns the exit code. Raises UserError before it writes a file."""
    config = without_empty_validation(for_device(config, processes.device), processes)
    settings, dtype = config.train, signal_dtype(config)
    resumed = resumable(config)  # the last.pt of this run, or None

    # --- Data. A segment is what the networks see at once: one row of a batch.
    nights = open_nights(config.data.sources, "train")
    stage = build_stage(config, reading_rate_hz(nights, config.stage.inputs))
    segments = Segments(
        nights,
        stage.readers,
        config.data,
        unlabelled=stage.objective.uses_unlabelled,
        augmented=STUDENT,
        seed=settings.seed,
        pseudo_labels=stage.objective.pseudo_labels,
        absent=stage.absent,
    )
    segments.check_inputs()
    segments.check_pseudo_labels()
    check_shares(len(segments), settings.batch_size, processes.world * settings.accumulate)
    validation, validation_rows = None, settings.batch_size
    if settings.validate_every:
        held_out = open_nights(config.data.sources, "validation")
        models = stage.objective.pseudo_labels
        whole = config.data.whole_nights()
        validation = Segments(held_out, stage.readers, whole, pseudo_labels=models, absent=stage.absent)
        validation_rows = max(1, int(settings.batch_size * segments.seconds // validation.seconds))

    # --- Optimizer
    stage.to(processes.device, dtype)
    optimizer = build_optimizer(stage.learner, settings)
    scaler = torch.amp.GradScaler(processes.device.type, enabled=settings.precision == "fp16")
    average = None
    if settings.ema_decay:
        average = AveragedModel(stage.student, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay), use_buffers=True)
        if stage.teacher:
            stage.teacher.follow(average.module)  # for stage.teacher: self

    # --- Resume. `state` is everything that changes from here on.
    position = resumed.position if resumed else Position()
    seed_process(settings.seed, processes, position)
    state = TrainingState(stage.student, stage.objective, optimizer, scaler, average, position, processes)
    if resumed:
        load_weights(stage.student, resumed.model, config.run_directory / "last.pt")
        if not state.load_state(resumed.training) and processes.is_first:
            print("resumed on another number of processes: random draws (dropout) differ from here on", flush=True)
    updates = len(draw_epoch(segments, settings.batch_size, settings.seed, 0))  # per training epoch
    done = position.epoch * updates + position.update
    directory = RunDirectory(config.run_directory, to_dict(config), processes.is_first, resumed_step=done)
    log = TrainingLog(config, segments, directory, processes, updates, done)
    seen = {"trained_on": stage.trained_on(nights)}  # recordings these weights must not be tested on

    # --- DDP. Hooks are registered before torch.compile, and torch.compile runs before DDP.
    stage.objective.fit(segments.table.labels)  # class weights
    if getattr(config.model, "norm", "") == "sync_batch":
        stage.learner.student = nn.SyncBatchNorm.convert_sync_batchnorm(stage.learner.student)
    if settings.compile:
        torch.compiler.reset()  # this process may have compiled the same network without hooks
        for network in (stage.student, *stage.teacher_networks):
            network.compile()
    learner: nn.Module = stage.learner
    if processes.distributed:
        device_ids = [processes.device] if processes.device.type == "cuda" else None
        learner = DistributedDataParallel(learner, device_ids=device_ids, gradient_as_bucket_view=True)
    if processes.is_first:
        print(describe_stage(stage, segments, validation, done, processes), flush=True)
    if stage.teacher:
        folder = directory.path / "teacher"
        stage.teacher.prepare(segments, stage.objective, folder / "train", processes, settings.batch_size)
        segments.check_pseudo_labels()
        if validation:
            stage.teacher.prepare(validation, stage.objective, folder / "validation", processes, validation_rows)
    stop = StopFlag()

    # --- The loop
    while not is_finished(settings, position):
        log.begin_epoch()
        segments.epoch = stage.epoch = position.epoch  # augmentation and scheduled weights depend on it
        stage.learner.train()
        # The content of every batch follows from (seed, epoch); the processes share it out.
        plan = draw_epoch(segments, settings.batch_size, settings.seed, position.epoch)[position.update :]
        mine = [m for rows in plan for m in share(rows, processes.rank, processes.world, settings.accumulate)]
        micro_batches = load_batches(segments, mine, processes.device)
        stopping = False

        for rows in plan:
            step = position.epoch * updates + position.update
            rate = learning_rate(settings, step, settings.epochs * updates, position.reductions)
            for group in optimizer.param_groups:
                group["lr"] = rate
            norm = update(stage, learner, state, segments.table.take(rows), micro_batches, log)
            log.end_update(rows)
            position.update += 1
            stopping = processes.any(stop.requested)
            if stopping or (step + 1) % settings.log_every == 0 or position.update == updates:
                log.report(state, step + 1, norm)
            if stopping:
                break

        if not stopping:
            position.epoch, position.update = position.epoch + 1, 0
            processes.broadcast_buffers(state.evaluated)  # BatchNorm's running statistics differ between processes
            if validation and (position.epoch % settings.validate_every == 0 or position.epoch == settings.epochs):
                result = validate(stage, state, validation, validation_rows)
                log.validation(result, position.epoch * updates, position.epoch)
                score = -result["loss"] if settings.monitor == "loss" else result["weighted_f1"]
                if record_validation(settings, position, score):
                    best = network_checkpoint(config, stage.inputs, state.evaluated, position, scores=result, **seen)
                    directory.save_best(best)
            elif average and not validation and position.epoch == settings.epochs:
                directory.save_best(network_checkpoint(config, stage.inputs, state.evaluated, position, **seen))
        position.seconds += log.seconds_since_last()
        training = state.state()
        directory.save_last(
            network_checkpoint(config, stage.inputs, state.student, position, training=training, **seen)
        )
        processes.wait()
        if stopping or (processes.any(stop.requested) and not is_finished(settings, position)):
            stop.release()
            log.stopped(position.epoch * updates + position.update)
            return EXIT_STOPPED
    stop.release()
    log.finished(position)
    return 0


def build_stage(config: Config, rate_hz: float) -> Stage:
    """Student, teacher and losses, on the CPU, with the same initial weights on every process.

    rate_hz: of the stored signals. Raises UserError: an earlier stage that is missing, or has other classes or shapes.
    """
    # --- Student and teacher
    torch.manual_seed(config.train.seed)
    inputs, view = resolve(config.stage.inputs, config.data, rate_hz), config.data.view
    student = build_network(config.model, config.data.classes, inputs, view)
    load_start(config, student)
    teacher = build_teacher(config, student, inputs)  # frozen; None where no loss needs one

    # --- Losses. Forward hooks (taps) capture the features that they compare.
    taps = Taps(student, config.student_modules, config.tap_keys)
    teacher_shapes = teacher.tap(config.teacher_modules, config.tap_keys, view) if teacher else {}
    teacher_classes = teacher.classes if teacher else None
    shapes = FeatureShapes(config.data.classes, taps.shapes(inputs, view), teacher_shapes, teacher_classes)
    model = teacher.model if teacher else ""
    objective = Objective(config.active_losses, shapes, config.distill.trust.min_confidence, model)
    frozen = [] if config.trains_logits else freeze_untapped(student, taps, inputs, view)
    return Stage(config, inputs, Learner(student, objective, frozen), teacher, taps)


def update(
    stage: Stage,
    learner: nn.Module,
    state: TrainingState,
    table: SegmentTable,
    batches: Iterator[Batch],
    log: TrainingLog,
) -> Tensor:
    """One update: forward of student and teacher, losses, backward, optimizer step; returns the gradient norm."""
    settings, processes = stage.config.train, state.processes
    # Each loss is a sum divided by a normalizer that is counted over the whole update, on every process alike.
    normalizers = stage.objective.normalizers(table)
    for micro in range(settings.accumulate):
        batch = next(batches).to(processes.device, signal_dtype(stage.config))
        is_last = micro == settings.accumulate - 1
        with contextlib.nullcontext() if is_last else no_sync(learner):
            logits, loss, losses = forward(stage, learner, batch, normalizers)
            state.scaler.scale(processes.world * loss).backward()  # DDP averages, shares of a sum add up
        log.add({"loss": loss, **losses}, logits, batch)

    state.scaler.unscale_(state.optimizer)
    parameters = state.parameters
    gradient_norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    if settings.clip_norm:
        nn.utils.clip_grads_with_norm_(parameters, settings.clip_norm, gradient_norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    if state.average:
        state.average.update_parameters(state.student)
    return gradient_norm


def no_sync(learner: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Without DDP's gradient synchronisation, for all micro-batches but the last."""
    return learner.no_sync() if isinstance(learner, DistributedDataParallel) else contextlib.nullcontext()


def forward(
    stage: Stage, network: nn.Module, batch: Batch, normalizers: dict[str, float]
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Student and teacher on the same segments: the student's logits (B, n, K), the loss, and the losses by name."""
    with autocast(stage.config, batch.labels.device):
        logits = network(batch.inputs[STUDENT])
        targets = stage.teacher.targets(batch, stage.objective) if stage.teacher else {}  # without a gradient
    student = NetworkOutput(batch.per_sleep_epoch(logits), stage.taps.pop())
    loss, losses = stage.objective.weighted_sum(student, targets, batch, normalizers, stage.epoch)
    return student.logits, loss, losses


@torch.no_grad()
def validate(stage: Stage, state: TrainingState, segments: Segments, rows: int) -> dict[str, Any]:
    """Losses and scores on the validation nights. Each process takes its share of the segments, none is padded."""
    config, processes, classes = stage.config, state.processes, stage.config.data.classes
    network = state.evaluated.eval()
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    normalizers = stage.objective.normalizers(segments.table)
    sums = {name: torch.zeros((), dtype=torch.float64) for name in normalizers}
    for _, batch in each_once(segments, processes, rows):
        logits, _, losses = forward(stage, network, batch.to(processes.device, signal_dtype(config)), normalizers)
        for name, value in losses.items():
            sums[name] += value.double().cpu()
        confusion += torch.from_numpy(confusion_matrix(batch.labels.numpy(), logits.argmax(-1).cpu().numpy(), classes))
    processes.sum(confusion)
    scored = int((segments.table.labels != UNSCORED).sum())
    if int(confusion.sum()) != scored:
        raise RuntimeError(f"validation counted {int(confusion.sum())} of {scored} scored sleep epochs")
    parts = {name: float(processes.sum(value)) for name, value in sums.items()}
    loss = sum(config.loss[name].last_weight * value for name, value in parts.items())
    return json_safe({"loss": loss, **parts, **scores(confusion.numpy(), CLASS_NAMES[classes])})


def build_optimizer(learner: nn.Module, settings: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer of the student and the losses. Biases and normalisation gains are exempt from weight decay."""
    require(settings.optimizer in OPTIMIZERS, "train.optimizer", f"must be one of {', '.join(OPTIMIZERS)}")
    trained = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    groups = [{"params": trained, "weight_decay": settings.weight_decay}]
    if settings.weight_decay:
        groups[0]["params"] = [parameter for parameter in trained if parameter.squeeze().ndim >= 2]
        groups.append({"params": [x for x in trained if x.squeeze().ndim < 2], "weight_decay": 0.0})
    return OPTIMIZERS[settings.optimizer](groups, lr=settings.learning_rate)


if __name__ == "__main__":
    run_command(main)
