"""What a district becomes: its parts of the tables, and what is kept of it until all are drawn.

A part is a function of the plan, whoever writes it and when; so what is there already is read instead of drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.io.directory import File, part_path
from fedgen.io.parts import listed, put
from fedgen.io.store import open_store
from gen.districts import Districts, district
from gen.projection import degrees, project
from gen.sample import draw_district

if TYPE_CHECKING:
    import pyarrow as pa

    from fedgen.federation import Federation, Integers, Presences
    from fedgen.io.store import Place, Store
    from fitting.model import Model
    from gen.plan import Plan

HEAD_ROWS = 1 << 20
"""Rows of a part of head servers' users."""


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
            part_path("users", head_parts(self.districts) + c),
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
    parts = zip(("memberships", "presences", "users"), (c, c, head_parts(districts) + c), strict=True)
    files = tuple(put(store, name, tables[name], part) for name, part in parts)
    return Drawn(
        files,
        _small(federation.users_per_server),
        _small(np.bincount(p.server, minlength=federation.n_servers)),
        _small(federation.users_per_room),
        _small(k),
        *_runs(districts, c, d),
        _transactions(p.weight, k),
    )


def _small(sizes: Integers) -> Integers:
    """Sizes within a district, which are all that is kept of it: as few bytes as they need."""
    return sizes.astype(np.int32)


def _transactions(weight: Any, k: Integers) -> float:
    """What the servers of rooms send: each presence its weight to all others of its room (paper, equation 2)."""
    return float(weight @ np.repeat(k - 1, k))


def _runs(districts: Districts, c: int, d: Integers) -> tuple[Integers, Integers, Integers]:
    """(head, number, d) of the runs of users of head servers, who are a district's first."""
    n = districts.head_users[:, c + 1] - districts.head_users[:, c]
    head, d = np.repeat(np.arange(len(n)), n), d[: n.sum()]
    first = np.flatnonzero(np.concatenate((np.ones(min(len(d), 1), bool), (d[1:] != d[:-1]) | (head[1:] != head[:-1]))))
    return _small(head[first]), _small(np.diff(first, append=len(d))), _small(d[first])


def _tables(federation: Federation, p: Presences, d: Integers, work: Work, c: int) -> dict[str, pa.Table]:
    """The parts of a district, with the ids of the whole federation."""
    plan, districts = work.plan, work.districts
    user, server, first_room = districts.users(c), districts.server_ids(c), int(districts.rooms[c])
    user = user.astype(_narrowest(plan.users - 1))
    room = np.arange(first_room, first_room + federation.n_rooms, dtype=_narrowest(plan.rooms - 1))
    of_heads = int((districts.head_users[:, c + 1] - districts.head_users[:, c]).sum())

    return {
        "memberships": table(
            user=(user[federation.membership_user], plan.users - 1),
            room=(np.repeat(room, federation.users_per_room), plan.rooms - 1),
        ),
        "presences": table(
            server=(server[p.server], plan.servers - 1),
            room=(room[p.room], plan.rooms - 1),
            users=(p.users, plan.users),
        ).append_column("weight", [p.weight]),
        "users": table(
            user=(user[of_heads:], plan.users - 1),
            server=(server[federation.user_server[of_heads:]], plan.servers - 1),
            rooms=(d[of_heads:], plan.rooms),
        ),
    }


def _narrowest(top: int) -> np.dtype[Any]:
    """The narrowest unsigned type that holds ``top``."""
    return np.min_scalar_type(max(top, 0))


def table(**columns: tuple[Integers, int]) -> pa.Table:
    """Columns of ids, each with the largest there may be, in the narrowest unsigned types."""
    import pyarrow

    return pyarrow.table({name: values.astype(_narrowest(top), copy=False) for name, (values, top) in columns.items()})


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
        _small(n),
        _small(np.bincount(local, minlength=n_servers)),
        _small(u),
        _small(k),
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


def head_parts(districts: Districts) -> int:
    """How many parts the users of head servers have; those of districts come after them."""
    return -(-districts.of_heads // HEAD_ROWS)


def put_heads(work: Work, runs: HeadRuns) -> File:
    """A task: write a part of the users of head servers."""
    store, name, plan = open_store(work.place), part_path("users", runs.part), work.plan
    if name in work.held:
        return listed(store, name)
    return put(store, "users", head_table(plan, runs), runs.part)


def head_table(plan: Plan, runs: HeadRuns) -> pa.Table:
    """The rows of users of head servers."""
    last = runs.first + int(runs.number.sum())
    return table(
        user=(np.arange(runs.first, last, dtype=_narrowest(plan.users - 1)), plan.users - 1),
        server=(np.repeat(runs.server.astype(_narrowest(plan.servers - 1)), runs.number), plan.servers - 1),
        rooms=(np.repeat(runs.rooms.astype(_narrowest(plan.rooms)), runs.number), plan.rooms),
    )
