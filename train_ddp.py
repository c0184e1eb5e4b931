"""Train one stage: teacher and student in the same step, on any number of processes.

    python train_ddp.py --config eeg_base.yaml
    torchrun --nproc_per_node=4 train_ddp.py --config feat_temp.yaml
    torchrun --nproc_per_node=4 train_ddp.py --config feat_temp.yaml as_released.yaml --set train.epochs=3 data.store=S

Configs merge left to right over the defaults of sleepkd/distillation/settings.py. An interrupted run goes on from its
last.pt by the same command. Read `train` and `update` from top to bottom: that is all that happens.
"""

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sleepkd.data.batches import draw_epoch, each_once, load, share
from sleepkd.data.hypnogram import CLASS_NAMES, UNSCORED
from sleepkd.data.windows import Batch
from sleepkd.distillation.settings import Config, load_config
from sleepkd.distillation.setup import Run, set_up
from sleepkd.distillation.stage import STUDENT, Stage, autocast
from sleepkd.distributed import Processes
from sleepkd.errors import run_command
from sleepkd.evaluation.pictures.confusion_image import confusion_image
from sleepkd.evaluation.scores.metrics import confusion_matrix, scores
from sleepkd.evaluation.scores.summary import json_safe
from sleepkd.training.schedule import is_finished, learning_rate, note_validation

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
    run = set_up(config, processes)  # what is trained, on what, from where: sleepkd/distillation/setup.py
    settings, position, optimizer = run.config.train, run.state.position, run.state.optimizer

    while not is_finished(settings, position):
        run.begin_epoch()
        # What every update sees follows from (seed, epoch); the processes share it out.
        plan = draw_epoch(run.windows, settings.batch_size, settings.seed, position.epoch)[position.update :]
        mine = [m for rows in plan for m in share(rows, processes.rank, processes.world, settings.accumulate)]
        micro_batches = load(run.windows, mine, processes.device)

        for rows in plan:
            optimizer.param_groups[0]["lr"] = learning_rate(settings, run.step, run.total, position.reductions)
            gradient_norm = update(run, rows, micro_batches)
            position.update += 1
            run.progress.advance()
            stopping = processes.any(run.stop.requested)
            if stopping or run.step % settings.log_every == 0 or position.update == run.updates:
                run.report(gradient_norm)
            if stopping:
                run.save_last()
                run.stopped()
                return EXIT_STOPPED

        position.epoch, position.update = position.epoch + 1, 0
        processes.broadcast_buffers(run.state.kept)  # BatchNorm's running statistics differ by process
        if run.validation and (position.epoch % settings.validate_every == 0 or position.epoch == settings.epochs):
            keep_the_best(run)
        run.save_last()
        if processes.any(run.stop.requested) and not is_finished(settings, position):
            run.stopped()
            return EXIT_STOPPED
    run.finished()
    return 0


def update(run: Run, rows: np.ndarray, micro_batches: Iterator[Batch]) -> Tensor:
    """One update: forward of student and teacher, loss, backward, step; returns the norm of the gradient."""
    stage, state, processes, settings = run.stage, run.state, run.processes, run.config.train
    # What the sums are divided by: counted over the whole update, whichever process computes which share of it.
    whole = run.windows.places.take(rows)
    divisors = stage.counts(whole)
    for micro in range(settings.accumulate):
        batch = next(micro_batches).to(processes.device, run.dtype)
        is_last = micro == settings.accumulate - 1
        with contextlib.nullcontext() if is_last or not processes.distributed else run.learner.no_sync():
            logits, loss, terms = forward(stage, run.learner, batch, divisors)
            state.scaler.scale(processes.world * loss).backward()  # DDP averages, the shares of a sum add up
        run.log.add({"loss": loss, **terms, **run.said_of_unscored(logits, batch)})
    run.log.end_update(rows, int(whole.present.sum()))

    state.scaler.unscale_(state.optimizer)
    trained = state.optimizer.param_groups[0]["params"]
    gradient_norm = nn.utils.get_total_norm([parameter.grad for parameter in trained])
    if settings.clip_norm:
        nn.utils.clip_grads_with_norm_(trained, settings.clip_norm, gradient_norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    if state.average:
        state.average.update_parameters(state.student)
    return gradient_norm


def forward(
    stage: Stage, learner: nn.Module, batch: Batch, divisors: dict[str, float]
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Student and teacher on the same stretches of night: the student's logits (B, n, K), the loss, and its terms."""
    with autocast(stage.config, batch.labels.device):
        logits = learner(batch.inputs[STUDENT])
        taught = stage.teach(batch)
    student = stage.answer(logits, batch)
    loss, terms = stage.loss(student, taught, batch, divisors)
    return student.logits, loss, terms


def keep_the_best(run: Run) -> None:
    """Validate; keep the network as best.pt where it is the best so far."""
    settings, position, classes = run.config.train, run.state.position, run.config.data.classes
    result = validate(run)
    run.directory.log("validation", run.step, {"epoch": position.epoch, **result})
    picture = confusion_image(np.array(result["confusion"]), CLASS_NAMES[classes])
    run.directory.image("validation/confusion", run.step, picture)
    run.progress.show(validation_loss=f"{result['loss']:.4f}", weighted_f1=f"{result['weighted_f1']:.3f}")
    score = -result["loss"] if settings.monitor == "loss" else result["weighted_f1"]
    if note_validation(settings, position, score):
        run.save_best(result)


@torch.no_grad()
def validate(run: Run) -> dict[str, Any]:
    """The stage's own losses and the scores on the validation nights; each process does its part, unpadded."""
    stage, windows, processes, classes = run.stage, run.validation, run.processes, run.config.data.classes
    network = run.state.kept.eval()
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    divisors = stage.counts(windows.places)
    sums = {name: torch.zeros((), dtype=torch.float64) for name in divisors}
    for _, batch in each_once(windows, processes, run.at_once):
        logits, _, terms = forward(stage, network, batch.to(processes.device, run.dtype), divisors)
        for name, value in terms.items():
            sums[name] += value.double().cpu()
        confusion += torch.from_numpy(confusion_matrix(batch.labels.numpy(), logits.argmax(-1).cpu().numpy(), classes))
    processes.sum(confusion)
    scored = int((windows.places.labels != UNSCORED).sum())
    if int(confusion.sum()) != scored:
        raise RuntimeError(f"validation counted {int(confusion.sum())} of {scored} scored sleep epochs")
    terms = {name: float(processes.sum(value)) for name, value in sums.items()}
    loss = sum(run.config.loss[name].last_weight * value for name, value in terms.items())
    return json_safe({"loss": loss, **terms, **scores(confusion.numpy(), CLASS_NAMES[classes])})


if __name__ == "__main__":
    run_command(main)
