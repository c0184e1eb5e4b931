"""Run work on the workers of a Dask cluster: one that runs already, or one started under Slurm, PBS or LSF."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from sleepkd.errors import UserError
from sleepkd.extras import require_extra
from sleepkd.progress import print_beside
from sleepkd.worker_pool import Failure, limited

if TYPE_CHECKING:
    from distributed import Client, Future

Item = TypeVar("Item")
Result = TypeVar("Result")
SCHEDULERS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
    "oar": "OARCluster",
    "htcondor": "HTCondorCluster",
}
"""Classes of dask-jobqueue."""
AHEAD = 3
"""Items in flight for each worker, so that none waits for this process."""
ALLOWED_FAILURES = 1
"""How many workers an item may end before Dask gives up on it, where the scheduler is started here; by default, 3."""
CONNECT_S = 30


def run_on_cluster(
    work: Callable[[Item], Result], items: Iterable[Item], where: str, limit_s: float
) -> Iterator[tuple[Item, Result | Failure]]:
    """Each item with its result, as they end; like `run_on_processes`, with the same limit of seconds an item.

    where: address of a scheduler, or a YAML: `scheduler` (a key of `SCHEDULERS`), `workers`, and settings of that class
    of dask-jobqueue. Dask gives the items of a worker that ends to others, and gives up on those that end several.
    These are tried again at the end, one on each worker, because most only waited beside the one that is to blame.
    Raises UserError: no such scheduler, workers of several threads or of another environment, a YAML that is none.
    """
    require_extra("distributed", "cluster", "--cluster")
    with ExitStack() as stack:
        client, suspects = _client(where, stack), []
        for item, result in _each(client, partial(limited, work, limit_s), items, AHEAD):
            if isinstance(result, Failure):
                suspects.append(item)
            else:
                yield item, result
        yield from _each(client, partial(limited, work, limit_s), suspects, 1)


def _each(
    client: "Client", work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[tuple[Item, Result | Failure]]:
    """Each item with its result. ahead: items in flight for each worker."""
    from distributed import as_completed

    running: dict[Any, Item] = {}  # by the future's key
    completed, due = as_completed(), iter(items)
    while True:
        for item in itertools.islice(due, max(0, ahead * _workers(client) - len(running))):
            future = client.submit(work, item, pure=False)
            running[future.key] = item
            completed.add(future)
        if not running:
            return
        future = next(completed)
        yield running.pop(future.key), _result(future)
        future.release()


def _result(future: "Future") -> Any:
    from distributed.scheduler import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        times = int(getattr(error, "allowed_failures", 0)) + 1
        return Failure(f"ended {times} workers: a library crashed on it, it needs more memory, or more than --timeout")
    except Exception as error:  # not of an item, which `work` catches
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UserError(f"--cluster: a worker cannot run sleepkd; has it the same version? {what}") from None


def _workers(client: "Client") -> int:
    """The number of workers, at least 1. Raises UserError for one of several threads."""
    threads = client.nthreads()
    if any(count > 1 for count in threads.values()):  # the time limit and torch count on one item at a time
        raise UserError("--cluster: workers must have one thread each: dask worker ADDRESS --nthreads 1 --nworkers N")
    return max(1, len(threads))


def _client(where: str, stack: ExitStack) -> "Client":
    from distributed import Client

    if not where.endswith((".yaml", ".yml")):
        try:
            return stack.enter_context(Client(where, timeout=CONNECT_S))
        except (OSError, ValueError) as error:
            raise UserError(f"--cluster {where}: no Dask scheduler answers: {error}") from None
    kind, workers, settings = cluster_settings(Path(where))
    require_extra("dask_jobqueue", "cluster", f"--cluster {where}")
    import dask
    import dask_jobqueue

    stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": ALLOWED_FAILURES}))
    try:
        cluster = stack.enter_context(getattr(dask_jobqueue, SCHEDULERS[kind])(**settings))
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from None
    cluster.scale(workers)
    client = stack.enter_context(Client(cluster))
    print_beside(f"{workers} workers are asked for; dashboard: {client.dashboard_link}")
    return client


def cluster_settings(path: Path) -> tuple[str, int, dict[str, Any]]:
    """The scheduler, the number of workers and the settings of dask-jobqueue in a YAML. Raises UserError."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path}: is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: must hold scheduler, workers, and settings such as queue, cores, memory, walltime")
    kind, workers = content.pop("scheduler", None), content.pop("workers", None)
    if kind not in SCHEDULERS:
        raise UserError(f"{path}: scheduler: must be one of {', '.join(SCHEDULERS)}, not {kind}")
    if not isinstance(workers, int) or workers < 1:
        raise UserError(f"{path}: workers: must be 1 or more, not {workers}")
    return kind, workers, {"cores": 1, "processes": content.get("cores", 1), **content}
