"""A real Dask scheduler and workers: one is killed, a file crashes, a file hangs, and every night is there once."""

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from launch import environment, free_port
from sleepkd import predict
from sleepkd.errors import UserError
from sleepkd.prediction.many.dask_cluster import cluster_settings
from sleepkd.prediction.many.stage_file import StagedRecording, StagingSettings, stage_recording
from sleepkd.prediction.many.work_list import ListedRecording

WORKERS = 2


def test_a_yaml_names_a_scheduler_workers_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "slurm.yaml"
    path.write_text("scheduler: slurm\nworkers: 64\nqueue: short\ncores: 16\nmemory: 32GB\n")
    settings = {"queue": "short", "cores": 16, "processes": 16, "memory": "32GB"}
    assert cluster_settings(path) == ("slurm", 64, settings)
    for text, message in (
        ("scheduler: cron\nworkers: 1\n", "scheduler: must be one of slurm"),
        ("scheduler: pbs\n", "workers: must be 1 or more, not None"),
        ("- slurm\n", "must hold scheduler"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            cluster_settings(path)


def test_the_job_script_of_slurm_is_that_of_the_yaml(tmp_path: Path) -> None:
    dask_jobqueue = pytest.importorskip("dask_jobqueue")
    path = tmp_path / "slurm.yaml"
    path.write_text("scheduler: slurm\nworkers: 2\nqueue: short\ncores: 4\nmemory: 8GB\nwalltime: '02:00:00'\n")
    _, _, settings = cluster_settings(path)
    with dask_jobqueue.SLURMCluster(**settings, interface="lo") as cluster:
        script = cluster.job_script()
    assert "#SBATCH -p short" in script and "--nthreads 1 " in script and "--nworkers 4 " in script


def staging_with_faults(settings: StagingSettings, listed: ListedRecording) -> StagedRecording:
    """Staging in which one file crashes its process, and one hangs."""
    if listed.name == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if listed.name == "hang":
        time.sleep(600)
    if listed.name.startswith("slow"):
        listed.path.with_suffix(".begun").touch()
        time.sleep(0.5)
    return stage_recording(settings, listed)


def kill_after(begun: int, folder: Path, worker: subprocess.Popen) -> None:
    """Kill a worker and its nanny, as a node that is taken away, once so many nights have begun."""
    while len(list(folder.glob("*.begun"))) < begun:
        time.sleep(0.05)
    os.killpg(worker.pid, signal.SIGKILL)


@pytest.fixture
def scheduler() -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A scheduler that gives up on a file after the second worker, and two workers; its address and their nannies."""
    pytest.importorskip("distributed")
    address = f"tcp://127.0.0.1:{free_port()}"
    variables = environment() | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    folders = [Path(__file__).parent, Path(__file__).parents[2], variables.get("PYTHONPATH", "")]
    variables["PYTHONPATH"] = os.pathsep.join(map(str, folders))  # workers import this module
    here = ["--host", "127.0.0.1", "--no-dashboard"]
    commands = [["distributed.cli.dask_scheduler", "--port", address.rpartition(":")[2], *here]]
    commands += [["distributed.cli.dask_worker", address, "--nthreads", "1", *here]] * WORKERS
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *command], env=variables, stderr=subprocess.DEVNULL, start_new_session=True
        )
        for command in commands
    ]
    try:
        yield address, started[1:]
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(timeout=60)


@pytest.mark.slow
def test_a_killed_worker_a_crash_and_a_hang_lose_nothing(
    scheduler: tuple[str, list[subprocess.Popen]], cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, workers = scheduler
    folder, out = tmp_path / "nights", tmp_path / "out"
    folder.mkdir()
    beats = np.load(min((cohort / "truth").glob("*.npz")))["beats"]
    names = [f"slow{k:02d}" for k in range(16)]
    for name in (*names, "crash", "hang"):
        np.savetxt(folder / f"{name}.csv", np.diff(beats), fmt="%.4f", header="rr", comments="")
    monkeypatch.setattr(predict, "stage_recording", staging_with_faults)
    killing = threading.Thread(target=kill_after, args=(6, folder, workers[0]), daemon=True)
    killing.start()
    options = ["--format", "csv", "--cluster", address, "--timeout", "10", "--out", str(out)]
    assert predict.main([str(folder), *options]) == 1
    assert not killing.is_alive()
    with (out / "nights.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["recording"] for row in rows) == sorted([*names, "crash", "hang"])
    assert {row["recording"] for row in rows if row["status"] == "failed"} == {"crash", "hang"}
    assert all("ended 2 workers" in row["reason"] for row in rows if row["status"] == "failed")
    with (out / "epochs.csv").open(newline="") as file:
        counts = Counter(row["recording"] for row in csv.DictReader(file))
    assert set(counts) == set(names) and len(set(counts.values())) == 1
