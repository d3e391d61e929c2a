"""Time and peak memory of ``fedgen validate`` and ``fedgen info`` on directories too large for the memory.

A sample of the built-in model is judged in memory; then copies of it, laid side by side with other ids, are streamed.
The copies are servers, users and rooms apart, so that all is as in the sample but the sizes: what is judged is not the
point, what it costs is. 100 copies take 6 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from fedgen.io.directory import Counts

STANDIN = (
    Path(os.environ.get("FEDGEN_DATA") or Path(__file__).parents[2] / "shared/data") / "matrix-2018-standin.json.gz"
)
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
KEYS = {
    "users": ("user", "server"),
    "memberships": ("user", "room"),
    "presences": ("server", "room"),
}


def main() -> None:
    """Print one line per directory and command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=100_000, help="of the sample")
    parser.add_argument("--copies", type=int, nargs="*", default=[10], help="how many of it, for each directory")
    parser.add_argument("--against", type=Path, default=STANDIN, help="the measured federation")
    arguments = parser.parse_args()
    print(f"{'directory':<40}{'memberships':>15}{'command':>12}{'seconds':>9}{'peak MiB':>10}")
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "sample"
        run("sample", "--servers", arguments.servers, "-o", sample)
        show(f"sample of {arguments.servers:,} servers", sample, arguments.against)
        for copies in arguments.copies:
            place = Path(folder) / f"copies-{copies}"
            lay_out(sample, copies, place)
            show(f"{copies} copies of it", place, arguments.against)


def show(name: str, path: Path, against: Path) -> None:
    """A line per command."""
    for command, *more in (("info",), ("validate", "--against", against)):
        told, seconds, peak = run(command, path, *more)
        memberships = told["counts" if command == "info" else "generated"]["memberships"]
        print(f"{name:<40}{memberships:>15,}{command:>12}{seconds:>9.1f}{peak / 2**20:>10.0f}", flush=True)


def run(*words: object) -> tuple[dict[str, Any], float, float]:
    """What a command prints, its seconds and its peak memory in bytes; to reject is an answer too."""
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "fedgen.cli", *map(str, words), "--json", "-q"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):
        sys.exit(process.returncode)
    return json.loads(printed), time.perf_counter() - start, usage.ru_maxrss * UNIT


def lay_out(source: Path, copies: int, path: Path) -> None:
    """Write copies of a federation directory side by side, part by part."""
    import pyarrow as pa
    from pyarrow import parquet

    from fedgen import __version__
    from fedgen.io.directory import PARTED, SINGLE, Counts, read_manifest
    from fedgen.io.parts import begin, finish, put
    from fedgen.io.store import open_store
    from fedgen.provenance import record

    one = read_manifest(source).counts
    every = Counts(*(copies * count for count in (one.servers, one.users, one.rooms, one.memberships, one.presences)))
    sizes = {"servers": every.servers, "users": every.users, "rooms": every.rooms}
    begin(path, {"fedgen": __version__, "source": "copies", "sizes": sizes})
    store, files = open_store(path), []
    for table in SINGLE:
        rows, key = parquet.read_table(source / f"{table}.parquet"), (table.removesuffix("s"),)
        moved_rows = (moved(rows, key, copy, one, every) for copy in range(copies))
        files.append(put(store, table, pa.concat_tables(moved_rows)))
    for table in PARTED:
        parts = sorted((source / table).glob("*.parquet"))
        for copy in range(copies):
            for number, part in enumerate(parts):
                rows = moved(parquet.read_table(part), KEYS[table], copy, one, every)
                files.append(put(store, table, rows, copy * len(parts) + number))
    finish(store, every, record([]), files)


def moved(rows: pa.Table, keys: tuple[str, ...], copy: int, one: Counts, every: Counts) -> pa.Table:
    """A table with the ids of a copy, in the narrowest type for all of them."""
    import numpy as np
    import pyarrow as pa

    def ids(name: str) -> pa.Array:
        shift, top = copy * getattr(one, f"{name}s"), getattr(every, f"{name}s") - 1
        return pa.array((rows[name].to_numpy().astype(np.int64) + shift).astype(np.min_scalar_type(top)))

    return pa.table({name: ids(name) if name in keys else rows[name] for name in rows.column_names})


if __name__ == "__main__":
    main()
