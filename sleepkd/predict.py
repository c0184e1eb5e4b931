"""Sleep staging of recordings: ECG, heartbeats or heart rate in, hypnogram and sleep statistics out.

    sleepkd predict night.edf --out staged                      # by the network that ships with sleepkd
    sleepkd predict night.edf --out staged --checkpoint runs/4class/night_ecg/best.pt
    sleepkd predict ecg.csv --fs 250 --channel ecg --out staged
    sleepkd predict rr.csv --beats --out staged --abstain-below 0.6
    sleepkd predict rr.csv --explain                            # what each column was taken for; stages nothing
    sleepkd predict --manifest nights.csv --jobs 8 --format parquet --out staged

A recording is an EDF, EDF+ or BDF file, a WFDB header, a table (CSV, TSV, npz) of samples or of beats, an export of
Polar or Apple Health, or a folder of these; many are rows of a manifest. No labels and no EEG are needed. Each night
gets a folder with hypnogram.csv, hypnogram.edf (EDF+ annotations), summary.json and night.png; index.html shows all
nights. With --format parquet or csv, all nights are rows of one table and their sleep epochs of another, and the same
command resumes. Of a recording of days, the last night is staged, or all with --nights all. A file that cannot be
staged is reported with the reason, and the others are staged. Not a medical device.
"""

import argparse
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from sleepkd.errors import EXIT_USER_ERROR, run_command
from sleepkd.extras import require_extra
from sleepkd.prediction.explain import explained
from sleepkd.prediction.many.file_state import weights_checksum
from sleepkd.prediction.many.night_output import FolderOutput, NightOutput, TableOutput
from sleepkd.prediction.many.stage_file import (
    StagedRecording,
    StagingSettings,
    failed_recording,
    hold_model,
    reason_of,
    stage_recording,
)
from sleepkd.prediction.many.work_list import ListedRecording, listed_files, listed_in_manifest, share_of
from sleepkd.prediction.model import Model, load_model
from sleepkd.prediction.predict_options import figures_of, parse_predict
from sleepkd.prediction.recorded import ReadingOptions, read_file
from sleepkd.progress import print_beside, track
from sleepkd.worker_pool import Failure, run_on_processes

IMPORTED_ONCE = ("sleepkd.prediction.many.stage_file", "sleepkd.prediction.outputs", "yasa")
"""Modules that every process needs: one imports them, the others are forked from it."""
EXIT_TERMINATED = 143


def main(arguments: list[str] | None = None) -> int:
    """Stage every recording; exit code 2 if none could be staged, 1 if some could not."""
    args = _parse(arguments)
    for module in ("edfio", "matplotlib", "yasa"):
        require_extra(module, "evaluate", "sleepkd predict")
    model = load_model(args.checkpoint)
    listed = share_of(_listed(args), args.shard)
    if args.explain:
        return _explain(listed, model, args.debug)
    threads = 1 if args.tables or args.jobs > 1 else None
    settings = StagingSettings(
        args.checkpoint, weights_checksum(model), args.nights, args.abstain_below, args.debug, args.tables, threads
    )
    hold_model(settings, model)
    output: NightOutput
    if args.tables:
        output = TableOutput(args.out, args.shard, args.format, model, figures_of(args.figures))
    else:
        output = FolderOutput(args.out)
    with output, _terminated_like_interrupted():
        due = output.due(listed, settings, args.overwrite, args.retry == "failed")
        for staged in track(_results(due, settings, args), "predict", len(due), "night"):
            output.add(staged)
    print("\n".join(output.summary()))
    return (1 if output.staged else EXIT_USER_ERROR) if output.failed else 0


def _listed(args: argparse.Namespace) -> list[ListedRecording]:
    options = ReadingOptions(args.channel, args.fs, args.beats, args.start)
    listed = listed_files(args.recordings, options) if args.recordings else []
    return listed + (listed_in_manifest(args.manifest, options) if args.manifest else [])


def _results(
    due: Sequence[ListedRecording], settings: StagingSettings, args: argparse.Namespace
) -> Iterator[StagedRecording]:
    """The result of each recording, as they end: in this process, in others, or on a cluster."""
    stage = partial(stage_recording, settings)
    if args.cluster:
        from sleepkd.prediction.many.dask_cluster import run_on_cluster  # imports distributed

        results = run_on_cluster(stage, due, args.cluster, args.timeout)
    elif args.tables or args.jobs > 1:
        results = run_on_processes(stage, due, min(args.jobs, max(1, len(due))), args.timeout, IMPORTED_ONCE)
    else:
        yield from map(stage, due)
        return
    for item, result in results:
        yield failed_recording(settings, item, result.reason) if isinstance(result, Failure) else result


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """While it lasts, SIGTERM, as of a scheduler, ends the command as Ctrl-C does: what is done is kept."""
    if threading.current_thread() is not threading.main_thread():  # of a program that calls `main`
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _explain(listed: Sequence[ListedRecording], model: Model, debug: bool) -> int:
    """Print what each recording was taken for; exit code as `main`."""
    read = 0
    for item in listed:
        try:
            lines = explained(read_file(item.path, model.trained.inputs, item.options))
        except Exception as error:  # one file may not end the run
            if debug:
                print_beside(traceback.format_exc().rstrip())
            print_beside(f"error: {item.path}: {reason_of(error).removeprefix(f'{item.path}: ')}")
            continue
        print("\n  ".join([f"{item.path}:", *lines]))
        read += 1
    return 0 if read == len(listed) else 1 if read else EXIT_USER_ERROR


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    return parse_predict(arguments, __doc__)


if __name__ == "__main__":
    run_command(main)
