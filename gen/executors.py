"""Who does the work: this process, several of this machine, or the workers of a Dask cluster.

A *task* is a function of what all tasks share (a model, say) and of its own item. What it returns depends on nothing
else, so it does not matter who does it, in which order, or how often.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from fedgen.errors import FedgenError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Task = Callable[[Any, Any], Any]
    Executor = Callable[[Task, Sequence[Any]], Iterator[tuple[int, Any]]]
    """From a task and its items: (position, result) of each, in any order."""

PATIENCE = "30s"
"""How long a scheduler is waited for."""


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h


class WorkerError(FedgenError):
    """A worker was lost, or a cluster cannot be used; what is done is kept."""


@contextmanager
def executor(shared: Any, jobs: int, dask: str | None = None) -> Iterator[Executor]:
    """Who does tasks that share something.

    Args:
        shared: what every task is given first.
        jobs: processes of this machine, or Dask's workers on it. They end with the block, and when this process dies.
        dask: the address of a scheduler, or ``local`` for a cluster on this machine.

    Raises:
        UsageError: Dask is asked for and not installed, or the address is none.
        WorkerError: no scheduler answers, or a worker was lost.
    """
    if dask is not None:
        with _cluster(dask, jobs) as client:
            # As a task, whose result is made again when the worker that has it is lost; scattered data would be gone.
            there = client.submit(_itself, shared, pure=False)
            yield lambda task, items: _on_cluster(client, task, there, items)
    elif jobs <= 1:
        keep_memory()
        yield lambda task, items: ((i, task(shared, item)) for i, item in enumerate(items))
    else:
        with _processes(shared, jobs) as pool:
            yield lambda task, items: _in_processes(pool, task, items)


_shared: list[Any] = []
"""Of a worker process: what its tasks share."""


@contextmanager
def _processes(shared: Any, jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Forked where that is safe: a fork has all that was imported and compiled already."""
    fork = sys.platform == "linux" and threading.active_count() == 1
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("fork" if fork else "spawn"),
        initializer=_begin,
        initargs=(shared, os.getpid()),
    )
    # Blocked in the meantime, so that workers are born deaf to Ctrl-C, which a terminal sends to all of them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        pool.submit(os.getpid)  # starts them, before this process has threads
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def keep_memory() -> None:
    """Let the allocator keep what is freed: districts need the same again, and pages from the system cost time.

    Does nothing where the allocator is not glibc's.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, 1 << 30)
        mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)


def _begin(shared: Any, parent: int) -> None:
    keep_memory()
    _shared.append(shared)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """A killed parent must not leave workers behind that wait for ever."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _do(task: Task, item: Any) -> Any:
    return task(_shared[0], item)


def _in_processes(pool: ProcessPoolExecutor, task: Task, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    try:
        futures = {pool.submit(_do, task, item): i for i, item in enumerate(items)}
        for future in as_completed(futures):
            yield futures.pop(future), future.result()
    except BrokenProcessPool:
        raise WorkerError(
            "a process that draws was killed, most likely since memory ran out; give fewer --jobs, "
            "the same command goes on from there"
        ) from None


@contextmanager
def _cluster(address: str, jobs: int) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise UsageError("--dask needs Dask; pip install 'fedgen[dask]', or leave it out") from error
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what goes wrong is told by us, in one line
    if address == "local":
        with (
            LocalCluster(
                n_workers=jobs, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(address, timeout=PATIENCE)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--dask {address}: is no address of a scheduler ({reason}); give tcp://HOST:PORT") from error
    except (OSError, TimeoutError) as error:
        raise WorkerError(f"--dask {address}: no scheduler answers there; start one, or name another") from error
    with client:
        yield client


def _itself(shared: Any) -> Any:
    return shared


def _on_cluster(client: Any, task: Task, shared: Any, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    from distributed import KilledWorker
    from distributed import as_completed as completed

    futures = [client.submit(task, shared, item, pure=False) for item in items]
    position = {future.key: i for i, future in enumerate(futures)}
    try:
        for future, result in completed(futures, with_results=True):
            if future.cancelled():  # not by us; Dask hands out the reason as if it were the result
                raise WorkerError(
                    "the cluster dropped what it was given, most likely since its scheduler was lost; "
                    "the same command goes on from there"
                )
            yield position[future.key], result
    except KilledWorker:
        raise WorkerError(
            "workers of the cluster were lost again and again, most likely since memory ran out; "
            "the same command goes on from there"
        ) from None
    except ModuleNotFoundError as error:
        missing = error.name
        raise WorkerError(f"a worker of the cluster lacks {missing}; install the same fedgen on all of them") from error
    finally:
        client.cancel(futures)
