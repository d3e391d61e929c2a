"""A federation straight into its directory, district by district: nothing larger than a district is held.

Each district (:mod:`gen.districts`) is a task: it is drawn, its memberships, its presences and the users of its body
become a part each, and what comes back is small: sizes of its servers and rooms, and how many of its head servers'
users are in how many rooms. From these come the tables of servers and rooms, and the parts of head servers' users,
whose ids are the first and whose districts are many. What is there already is kept, so a killed run is continued by
the same command: a part is a function of the plan, whoever writes it and when.
"""

from __future__ import annotations

import resource
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.errors import OutputError
from fedgen.io.directory import Counts
from fedgen.io.parts import begin, finish, put
from fedgen.io.store import is_url, open_store
from fedgen.progress import silent
from gen.districts import Districts, divide
from gen.executors import executor
from gen.memory import check_memory
from gen.parts import (
    HEAD_ROWS,
    Drawn,
    HeadRuns,
    Work,
    draw_part,
    draw_part_into,
    head_parts,
    head_table,
    put_heads,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from fedgen.federation import Integers
    from fedgen.io.store import Place
    from fedgen.progress import Progress
    from fitting.model import Model
    from gen.plan import Plan

_AIR = 1.02


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        counts: S, U, R, M, K.
        transactions: all that is sent, at message rate 1 per user.
        bytes: of all files.
        kept: how many parts were there already.
    """

    counts: Counts
    transactions: float
    bytes: int
    kept: int


@dataclass(frozen=True)
class Estimate:
    """What a federation would take, from its first district.

    Attributes:
        districts: how many there are.
        memberships: M as planned.
        bytes: of all files.
        memory: bytes of the largest process.
        seconds: of one processor.
    """

    districts: int
    memberships: int
    bytes: int
    memory: int
    seconds: float


def write_sample(
    model: Model,
    plan: Plan,
    place: Place,
    *,
    provenance: Mapping[str, Any],
    force: bool = False,
    jobs: int = 1,
    dask: str | None = None,
    progress: Progress = silent,
) -> Written:
    """Draw the federation of a plan into a directory.

    Args:
        model, plan: what is drawn.
        place: of the directory: a folder, or a URL that fsspec knows.
        provenance: for the manifest.
        force: whether a finished or another unfinished federation there is overwritten.
        jobs: processes, or workers of a Dask cluster on this machine.
        dask: the address of a scheduler, or ``local``.
        progress: told in memberships.

    Raises:
        InfeasibleError: the memory of this machine holds no district.
        OutputError: the place cannot be used, or holds less than the federation needs.
        WorkerError: a worker or a scheduler was lost.
    """
    check_memory(model, plan, whole=False, processes=jobs if dask in (None, "local") else 0)
    place = place.absolute() if isinstance(place, Path) and not is_url(place) else place
    held = begin(place, plan.to_dict(), force=force)
    model = model if plan.crawl is None else plan.crawl.model
    districts = divide(plan)
    work = Work(place, model, plan, districts, frozenset(held))
    store = open_store(place)
    with executor(work, min(jobs, len(districts)), dask) as run:
        drawn = _all(run(draw_part, range(len(districts))), work, progress)
        files = [file for part in drawn for file in part.files]
        heads = _head_runs(districts, drawn)
        for done, (_, file) in enumerate(run(put_heads, heads)):
            progress("writing users of head servers", done + 1, len(heads))
            files.append(file)
    files += [put(store, name, table) for name, table in _whole_tables(plan, districts, drawn).items()]
    counts = Counts(
        plan.servers,
        plan.users,
        plan.rooms,
        sum(int(part.room_users.sum()) for part in drawn),
        sum(int(part.room_servers.sum()) for part in drawn),
    )
    finish(store, counts, provenance, files)
    kept = len(held & {file.path for file in files})
    return Written(counts, sum(part.transactions for part in drawn), sum(file.bytes for file in files), kept)


def _all(results: Iterator[tuple[int, Drawn]], work: Work, progress: Progress) -> list[Drawn]:
    """What comes back of all districts, in order."""
    drawn: dict[int, Drawn] = {}
    memberships = 0
    progress("drawing memberships", 0, work.plan.memberships)
    for c, part in results:
        if not drawn:
            _fits_disk(work, c, part)
        drawn[c] = part
        memberships += int(part.room_users.sum())
        progress("drawing memberships", memberships, max(memberships, work.plan.memberships))
    return [drawn[c] for c in range(len(work.districts))]


def _fits_disk(work: Work, c: int, part: Drawn) -> None:
    """Refuse what would fill the disk, as soon as a first district tells how much a federation takes."""
    if is_url(work.place):
        return
    needed = _AIR * _bytes(work, c, part)
    there = sum((Path(work.place) / name).stat().st_size for name in {*work.held, *(f.path for f in part.files)})
    free = shutil.disk_usage(work.place).free
    if needed > there + free:
        raise OutputError(
            f"{work.place}: the federation takes about {needed / 1e9:.1f} GB and {(there + free) / 1e9:.1f} GB are "
            "left for it there; free some space or write elsewhere, and run the same command again"
        )


def _share(districts: Districts, c: int) -> float:
    return float((districts.regions[c + 1] - districts.regions[c]) / districts.regions[-1])


class _Gauge:
    """A store that keeps no more than how much it was given."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, name: str, content: Any) -> None:  # noqa: ARG002
        self.bytes += len(content)


def _bytes(work: Work, c: int, part: Drawn) -> float:
    """What a federation takes of which a district is drawn."""
    gauge: Any = _Gauge()
    for name, rows in _whole_tables(work.plan, work.districts, [part]).items():
        put(gauge, name, rows)
    put(gauge, "users", head_table(work.plan, HeadRuns(0, 0, part.number, part.head, part.rooms)), 0)
    return (sum(file.bytes for file in part.files) + gauge.bytes) / _share(work.districts, c)


def estimate(model: Model, plan: Plan) -> Estimate:
    """Draw one district, write nothing, and tell what all would take."""
    model = model if plan.crawl is None else plan.crawl.model
    districts = divide(plan)
    work = Work("", model, plan, districts, frozenset())
    draw_part_into(_Gauge(), work, 0)  # compiles, and fills caches
    before = time.process_time()
    needed = _bytes(work, 0, draw_part_into(_Gauge(), work, 0))
    seconds = time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    of_sizes = 32 * (plan.servers + plan.rooms)
    return Estimate(
        len(districts),
        plan.memberships,
        round(needed),
        peak + of_sizes,
        seconds / _share(districts, 0),
    )


def _head_runs(districts: Districts, drawn: Sequence[Drawn]) -> list[HeadRuns]:
    """The parts of the users of head servers, from what came back of the districts."""
    columns = ("head", "number", "rooms")
    head, number, rooms = (np.concatenate([getattr(part, name) for part in drawn]) for name in columns)
    order = np.argsort(head, kind="stable")
    ends = np.cumsum(number[order], dtype=np.int64)
    parts = []
    for part in range(head_parts(districts)):
        low, high = part * HEAD_ROWS, min((part + 1) * HEAD_ROWS, districts.of_heads)
        first, last = np.searchsorted(ends, (low, high - 1), side="right")
        runs = order[first : last + 1]
        sizes = np.diff(np.minimum(ends[first : last + 1], high), prepend=low)
        parts.append(HeadRuns(part, low, sizes, head[runs], rooms[runs]))
    return parts


def _whole_tables(plan: Plan, districts: Districts, drawn: Sequence[Drawn]) -> dict[str, pa.Table]:
    """The tables of servers and rooms."""
    heads = districts.heads

    def servers(name: str) -> Integers:
        of_heads = sum(getattr(part, name)[:heads].astype(np.int64) for part in drawn)
        return np.concatenate((of_heads, *(getattr(part, name)[heads:] for part in drawn)))

    def rooms(name: str) -> Integers:
        return np.concatenate([getattr(part, name) for part in drawn])

    n, u = servers("server_users"), rooms("room_users")
    return {
        "servers": table(
            server=(np.arange(len(n)), plan.servers - 1),
            users=(n, plan.users),
            rooms=(servers("server_rooms"), plan.rooms),
        ),
        "rooms": table(
            room=(np.arange(len(u)), plan.rooms - 1),
            users=(u, plan.users),
            servers=(rooms("room_servers"), plan.servers),
        ),
    }
