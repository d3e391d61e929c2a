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
from fedgen.io.directory import Counts, File, part_path
from fedgen.io.parts import begin, finish, listed, put
from fedgen.io.store import is_url, open_store
from fedgen.progress import silent
from gen.districts import Districts, district, divide
from gen.executors import executor
from gen.memory import check_memory
from gen.projection import degrees, project
from gen.sample import draw_district

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from fedgen.federation import Federation, Integers, Presences
    from fedgen.io.store import Place, Store
    from fedgen.progress import Progress
    from fitting.model import Model
    from gen.plan import Plan

HEAD_ROWS = 1 << 20
"""Rows of a part of head servers' users."""
_AIR = 1.02


@dataclass(frozen=True, eq=False)
class Work:
    """What the tasks of a federation have in common.

    Attributes:
        place: of the directory.
        model, plan, districts: what is drawn.
        held: names of the parts that are there already.
    """

    place: Place
    model: Model
    plan: Plan
    districts: Districts
    held: frozenset[str]

    def parts(self, c: int) -> tuple[str, str, str]:
        """The names of the parts of a district: memberships, presences, users of its body."""
        return (
            part_path("memberships", c),
            part_path("presences", c),
            part_path("users", _head_parts(self.districts) + c),
        )


@dataclass(frozen=True, eq=False)
class Drawn:
    """What comes back of a district.

    Attributes:
        files: its parts.
        server_users, server_rooms: (S_c,) n and m, head servers first.
        room_users, room_servers: (R_c,) u and k.
        head, number, rooms: (N,) runs of the users of head servers, in the order of their ids: the server, how many
            users, and the d of each.
        transactions: all that its servers send, at message rate 1 per user.
    """

    files: tuple[File, ...]
    server_users: Integers
    server_rooms: Integers
    room_users: Integers
    room_servers: Integers
    head: Integers
    number: Integers
    rooms: Integers
    transactions: float


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
    needed = _AIR * sum(file.bytes for file in part.files) / _share(work.districts, c)
    there = sum((Path(work.place) / name).stat().st_size for name in {*work.held, *(f.path for f in part.files)})
    free = shutil.disk_usage(work.place).free
    if needed > there + free:
        raise OutputError(
            f"{work.place}: the federation takes about {needed / 1e9:.1f} GB and {(there + free) / 1e9:.1f} GB are "
            "left for it there; free some space or write elsewhere, and run the same command again"
        )


def _share(districts: Districts, c: int) -> float:
    return float((districts.regions[c + 1] - districts.regions[c]) / districts.regions[-1])


def estimate(model: Model, plan: Plan) -> Estimate:
    """Draw one district, write nothing, and tell what all would take."""
    model = model if plan.crawl is None else plan.crawl.model
    districts = divide(plan)
    work = Work("", model, plan, districts, frozenset())
    sizes: list[int] = []

    class Measured:
        """A store that keeps sizes alone."""

        def write(self, name: str, content: Any) -> None:  # noqa: ARG002
            sizes.append(len(content))

    draw_part_into(Measured(), work, 0)  # compiles, and fills caches
    sizes.clear()
    before = time.process_time()
    draw_part_into(Measured(), work, 0)
    share = _share(districts, 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    of_sizes = 32 * (plan.servers + plan.rooms)
    return Estimate(
        len(districts),
        plan.memberships,
        round(sum(sizes) / share),
        peak + of_sizes,
        (time.process_time() - before) / share,
    )


def draw_part(work: Work, c: int) -> Drawn:
    """A task: draw a district and write its parts, or read what is needed of those that are there."""
    store = open_store(work.place)
    names = work.parts(c)
    if work.held.issuperset(names):
        return _read_again(store, work, c)
    return draw_part_into(store, work, c)


def draw_part_into(store: Any, work: Work, c: int) -> Drawn:
    """Draw a district and write its parts."""
    districts = work.districts
    federation = draw_district(work.model, district(work.plan, districts, c))
    d = degrees(federation)
    p = project(federation, d)
    k = np.diff(p.offsets)
    tables = _tables(federation, p, d, work, c)
    parts = zip(("memberships", "presences", "users"), (c, c, _head_parts(districts) + c), strict=True)
    files = tuple(put(store, name, tables[name], part) for name, part in parts)
    return Drawn(
        files,
        federation.users_per_server,
        np.bincount(p.server, minlength=federation.n_servers),
        federation.users_per_room,
        k,
        *_runs(districts, c, d),
        _transactions(p.weight, k),
    )


def _transactions(weight: Any, k: Integers) -> float:
    """What the servers of rooms send: each presence its weight to all others of its room (paper, equation 2)."""
    return float(weight @ np.repeat(k - 1, k))


def _runs(districts: Districts, c: int, d: Integers) -> tuple[Integers, Integers, Integers]:
    """(head, number, d) of the runs of users of head servers, who are a district's first."""
    n = districts.head_users[:, c + 1] - districts.head_users[:, c]
    head, d = np.repeat(np.arange(len(n)), n), d[: n.sum()]
    first = np.flatnonzero(np.concatenate((np.ones(min(len(d), 1), bool), (d[1:] != d[:-1]) | (head[1:] != head[:-1]))))
    return head[first], np.diff(first, append=len(d)), d[first]


def _tables(federation: Federation, p: Presences, d: Integers, work: Work, c: int) -> dict[str, pa.Table]:
    """The parts of a district, with the ids of the whole federation."""
    plan, districts = work.plan, work.districts
    user, server, first_room = districts.users(c), districts.server_ids(c), int(districts.rooms[c])
    user = user.astype(np.min_scalar_type(plan.users - 1))
    room = np.arange(first_room, first_room + federation.n_rooms, dtype=np.min_scalar_type(plan.rooms - 1))
    of_heads = int((districts.head_users[:, c + 1] - districts.head_users[:, c]).sum())

    return {
        "memberships": _table(
            user=(user[federation.membership_user], plan.users - 1),
            room=(np.repeat(room, federation.users_per_room), plan.rooms - 1),
        ),
        "presences": _table(
            server=(server[p.server], plan.servers - 1),
            room=(room[p.room], plan.rooms - 1),
            users=(p.users, plan.users),
        ).append_column("weight", [p.weight]),
        "users": _table(
            user=(user[of_heads:], plan.users - 1),
            server=(server[federation.user_server[of_heads:]], plan.servers - 1),
            rooms=(d[of_heads:], plan.rooms),
        ),
    }


def _table(**columns: tuple[Integers, int]) -> pa.Table:
    """Columns of ids, each with the largest there may be, in the narrowest unsigned types."""
    import pyarrow

    return pyarrow.table(
        {name: values.astype(np.min_scalar_type(max(top, 0)), copy=False) for name, (values, top) in columns.items()}
    )


def _read_again(store: Store, work: Work, c: int) -> Drawn:
    """What :func:`draw_part_into` returns, from the parts."""
    districts = work.districts
    names = work.parts(c)
    memberships, presences, users = (_columns(store, name) for name in names)
    n_heads = len(districts.head_users)
    ids = districts.users(c)
    body_first = int(districts.servers[c]) + n_heads
    first_room, n_rooms = int(districts.rooms[c]), int(districts.rooms[c + 1] - districts.rooms[c])
    server, room = presences["server"].astype(np.int64), presences["room"].astype(np.int64) - first_room
    n_servers = n_heads + int(districts.servers[c + 1] - districts.servers[c])
    local = np.where(server < n_heads, server, server - body_first + n_heads)
    n = np.bincount(users["server"].astype(np.int64) - body_first + n_heads, minlength=n_servers)
    n[:n_heads] = districts.head_users[:, c + 1] - districts.head_users[:, c]
    k = np.bincount(room, minlength=n_rooms)
    u = np.bincount(room, presences["users"], minlength=n_rooms).astype(np.int64)
    member = memberships["user"].astype(np.int64)
    d = np.bincount(np.searchsorted(ids, member), minlength=len(ids))
    return Drawn(
        tuple(listed(store, name) for name in names),
        n,
        np.bincount(local, minlength=n_servers),
        u,
        k,
        *_runs(districts, c, d),
        _transactions(presences["weight"], k),
    )


def _columns(store: Store, name: str) -> dict[str, Any]:
    import pyarrow
    from pyarrow import parquet

    table = parquet.read_table(pyarrow.BufferReader(store.read(name)))
    return {column: table.column(column).to_numpy() for column in table.column_names}


@dataclass(frozen=True, eq=False)
class HeadRuns:
    """A part of the users of head servers, in runs of alike ones.

    Attributes:
        part: its number.
        first: the first id.
        number, server, rooms: (N,) users of each run, their server, and d.
    """

    part: int
    first: int
    number: Integers
    server: Integers
    rooms: Integers


def _head_parts(districts: Districts) -> int:
    return -(-districts.of_heads // HEAD_ROWS)


def _head_runs(districts: Districts, drawn: Sequence[Drawn]) -> list[HeadRuns]:
    """The parts of the users of head servers, from what came back of the districts."""
    columns = ("head", "number", "rooms")
    head, number, rooms = (np.concatenate([getattr(part, name) for part in drawn]) for name in columns)
    order = np.argsort(head, kind="stable")
    ends = np.cumsum(number[order])
    parts = []
    for part in range(_head_parts(districts)):
        low, high = part * HEAD_ROWS, min((part + 1) * HEAD_ROWS, districts.of_heads)
        first, last = np.searchsorted(ends, (low, high - 1), side="right")
        runs = order[first : last + 1]
        sizes = np.diff(np.minimum(ends[first : last + 1], high), prepend=low)
        parts.append(HeadRuns(part, low, sizes, head[runs], rooms[runs]))
    return parts


def put_heads(work: Work, runs: HeadRuns) -> File:
    """A task: write a part of the users of head servers."""
    store, name, plan = open_store(work.place), part_path("users", runs.part), work.plan
    if name in work.held:
        return listed(store, name)
    rows = _table(
        user=(runs.first + np.arange(int(runs.number.sum())), plan.users - 1),
        server=(np.repeat(runs.server, runs.number), plan.servers - 1),
        rooms=(np.repeat(runs.rooms, runs.number), plan.rooms),
    )
    return put(store, "users", rows, runs.part)


def _whole_tables(plan: Plan, districts: Districts, drawn: Sequence[Drawn]) -> dict[str, pa.Table]:
    """The tables of servers and rooms."""
    heads = districts.heads

    def servers(name: str) -> Integers:
        of_heads = sum(getattr(part, name)[:heads] for part in drawn)
        return np.concatenate((of_heads, *(getattr(part, name)[heads:] for part in drawn)))

    def rooms(name: str) -> Integers:
        return np.concatenate([getattr(part, name) for part in drawn])

    return {
        "servers": _table(
            server=(np.arange(plan.servers), plan.servers - 1),
            users=(servers("server_users"), plan.users),
            rooms=(servers("server_rooms"), plan.rooms),
        ),
        "rooms": _table(
            room=(np.arange(plan.rooms), plan.rooms - 1),
            users=(rooms("room_users"), plan.users),
            servers=(rooms("room_servers"), plan.servers),
        ),
    }
