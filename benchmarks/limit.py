"""The limit of the machine: draw, gather, sort and write as many rows as a sampled federation has.

    python benchmarks/limit.py DIRECTORY [--jobs N ...] [--repeat N] [--folder DIR]

What a sampler of memberships cannot do without, and nothing else: for every membership one random number of 64 bits,
one access at random to an array as large as a part of the users, and its place in a radix sort of the 32-bit keys of
its part; and all tables written as fedgen writes them, by its own writer, rows and parts those of the directory itself.
Parts are dealt out to one process per core. Reading the directory is not counted, nor is the start of the processes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numba
import numpy as np
from processes import PATIENCE, fits, size_of
from pyarrow import parquet
from table import markdown

from fedgen.io.directory import PARTED, read_manifest
from fedgen.io.parts import put
from fedgen.io.store import open_store

STEPS = ("draw", "gather", "sort", "write")
BITS = 11  # of a digit: three passes over 32 bits, counters within the first cache


@dataclass(frozen=True)
class Limit:
    """What the machine needs.

    Attributes:
        rows: memberships.
        seconds: of the process that was busy longest.
        cpu: seconds of all processes by step.
    """

    rows: int
    seconds: float
    cpu: dict[str, float]


def probe(source: Path, jobs: int, folder: Path) -> Limit:
    """Go once through all parts of a federation directory, by so many processes; what is written vanishes again."""
    manifest = read_manifest(source)
    users = max(file.rows for file in manifest.files if file.path.startswith("users"))
    # The longest first, so that no process waits long for the last one.
    files = [file.path for file in sorted(manifest.files, key=lambda file: -file.rows)]
    with (
        tempfile.TemporaryDirectory(dir=folder) as target,
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=warm_up) as pool,
    ):
        for table in PARTED:
            (Path(target) / table).mkdir()
        done = list(pool.map(partial(one_part, source, Path(target), users), files))
    busy: dict[int, float] = {}
    for process, seconds, _ in done:
        busy[process] = busy.get(process, 0.0) + seconds
    cpu = {step: sum(taken.get(step, 0.0) for _, _, taken in done) for step in STEPS}
    return Limit(manifest.counts.memberships, max(busy.values()), cpu)


def warm_up() -> None:
    """Compile, and make numpy and pyarrow ready."""
    draws = drawn(1 << 12, 0)
    sort(gathered(draws, np.zeros(10, dtype=np.int32)).astype(np.uint32))


def one_part(source: Path, target: Path, users: int, file: str) -> tuple[int, float, dict[str, float]]:
    """The process, its seconds, and CPU seconds by step for one file of the directory."""
    rows = parquet.read_table(source / file).combine_chunks()
    values = np.arange(users, dtype=np.int32)
    table, _, part = file.removesuffix(".parquet").partition("/part-")
    taken: dict[str, float] = {}
    start, cpu = time.perf_counter(), time.process_time()

    def lap(step: str) -> None:
        nonlocal cpu
        before, cpu = cpu, time.process_time()
        taken[step] = cpu - before

    if table == "memberships":
        draws = drawn(len(rows), int(part))
        lap("draw")
        keys = gathered(draws, values)
        lap("gather")
        sort(keys.view(np.uint32))
        lap("sort")
    put(open_store(target), table, rows, int(part) if part else None)
    lap("write")
    return os.getpid(), time.perf_counter() - start, taken


def drawn(n: int, seed: int) -> np.ndarray:
    """Random numbers of 64 bits, by the fastest generator of numpy."""
    return np.random.Generator(np.random.SFC64(seed)).integers(0, 1 << 64, n, dtype=np.uint64)


@numba.njit
def gathered(draws: np.ndarray, values: np.ndarray) -> np.ndarray:
    """One of the values, at random, for every draw."""
    found = np.empty(len(draws), dtype=np.int32)
    n = np.uint64(len(values))
    for i in range(len(draws)):
        found[i] = values[((draws[i] >> np.uint64(32)) * n) >> np.uint64(32)]
    return found


@numba.njit
def sort(keys: np.ndarray) -> np.ndarray:
    """Radix sort, the least digit first."""
    size = 1 << BITS
    other = np.empty_like(keys)
    for shift in range(0, 32, BITS):
        place = np.zeros(size + 1, dtype=np.int64)
        for key in keys:
            place[((key >> np.uint32(shift)) & np.uint32(size - 1)) + 1] += 1
        place = np.cumsum(place)
        for key in keys:
            digit = (key >> np.uint32(shift)) & np.uint32(size - 1)
            other[place[digit]] = key
            place[digit] += 1
        keys, other = other, keys
    return keys


def median_probe(source: Path, jobs: int, folder: Path, repeat: int) -> Limit:
    """The median of several, by seconds, where it is short."""
    runs = [probe(source, jobs, folder)]
    while len(runs) < repeat and sum(run.seconds for run in runs) < PATIENCE:
        runs.append(probe(source, jobs, folder))
    return sorted(runs, key=lambda run: run.seconds)[(len(runs) - 1) // 2]


HEAD = (" memberships", " jobs", *(f" {step}, CPU s" for step in STEPS), " seconds", " million/s")


def limit_row(jobs: int, limit: Limit) -> list[str]:
    """One line of the table."""
    steps = (f"{limit.cpu[step]:.2f}" for step in STEPS)
    return [f"{limit.rows:,}", str(jobs), *steps, f"{limit.seconds:.2f}", f"{limit.rows / limit.seconds / 1e6:.1f}"]


def main() -> None:
    """Print one line per number of jobs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="a sampled federation")
    parser.add_argument("--jobs", nargs="+", type=int, default=[1, 2], help="numbers of processes")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, the median counts")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where to write, for a while")
    arguments = parser.parse_args()
    if not fits(arguments.folder, size_of(arguments.directory)):
        sys.exit(f"{arguments.folder}: not enough room for another {size_of(arguments.directory):,} bytes")
    source, folder, repeat = arguments.directory, arguments.folder, arguments.repeat
    print(markdown(HEAD, [limit_row(jobs, median_probe(source, jobs, folder, repeat)) for jobs in arguments.jobs]))


if __name__ == "__main__":
    main()
