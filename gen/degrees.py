r"""Layer 3, first half: how many rooms each user is in, and whose company each inherits.

The users of a server share its memberships: each is in one room at least, and the rest is apportioned to
rooms-per-user drawn from measured users on servers of the same kind (each head server is a kind of its own; values
in the tail are redrawn from the fitted law), none above m. Users of a server stand in rising order of d, and the one
of a rank inherits from the measured user of that rank on the server that theirs inherits from.

A head server of a large federation has millions of users and a few hundred values of d. So users are kept as *runs*
of alike ones, and those of head servers are drawn as such: how many of n independent draws have each value is a
multinomial draw, and n enters no loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedgen.ragged import offsets_of
from fitting.classes import nearest_kind, pair_kind
from gen.apportion import apportion, bend
from gen.dealing import deal
from gen.streams import Stage, draw_seed

if TYPE_CHECKING:
    from fedgen.federation import Integers
    from fitting.model import Model, UserTable
    from gen.plan import Plan
    from gen.presences import Placement

    Runs = tuple[Integers, Integers]


@dataclass(frozen=True, eq=False)
class Degrees:
    """The users of every server, in runs of alike ones, fewest rooms first.

    Attributes:
        offsets: (S + 1,) the runs of server s are ``offsets[s]:offsets[s + 1]``.
        number: (N,) how many users a run has, >= 1.
        rooms: (N,) d of each of them.
        row: (N,) the row of the model's users whose company they inherit.
    """

    offsets: Integers
    number: Integers
    rooms: Integers
    row: Integers


def draw_degrees(model: Model, plan: Plan, placement: Placement) -> Degrees:
    """d of every user: sums to its server's memberships, 1 <= d <= m."""
    rng = plan.stream(Stage.DEGREES)
    n, m = placement.server_users, np.diff(placement.offsets)
    e = np.add.reduceat(placement.users.astype(np.int64), placement.offsets[:-1])
    n_heads = len(plan.head_users)
    runs = []
    for h in range(n_heads):
        rows = _rows_of(model, int(placement.like[h]))
        drawn = _measured(model, rows) if plan.margins == "measured" else _of_head(model, rows, int(n[h]), rng)
        runs.append(_ranked(model, rows, *_settled(model, *drawn, int(e[h]), int(m[h]), rng)))
    runs.append(_of_body(model, plan, placement, rng))
    number, rooms, row = (np.concatenate(columns) for columns in zip(*runs, strict=True))
    sizes = np.concatenate(([len(run[0]) for run in runs[:-1]], n[n_heads:])).astype(np.int64)
    return Degrees(offsets_of(sizes), number, rooms, row)


def _rows_of(model: Model, like: int) -> Integers:
    """The rows of the model's users that are on one measured server: heads, the last one first, then the body."""
    server = like - len(model.heads.users)
    return np.arange(*np.searchsorted(model.users.server, (server, server + 1)))


def _measured(model: Model, rows: Integers) -> Runs:
    return model.users.rooms[rows], model.users.number[rows]


def _of_head(model: Model, rows: Integers, n: int, rng: np.random.Generator) -> Runs:
    """(d, number) of n users as those of a measured head server are, drawn anew."""
    d, number = _measured(model, rows)
    law = model.laws["d"].tail_law
    bulk = np.ones(len(d), dtype=bool) if law is None else d < law.xmin
    n_bulk = int(_upto(n, number)[bulk.sum() - 1]) if bulk.any() else 0
    drawn = rng.multinomial(n_bulk, number[bulk] / number[bulk].sum()) if n_bulk else np.zeros(0, dtype=np.int64)
    # The tail is redrawn about the ranks that its users have.
    there = int(number.sum())
    rank = np.arange(n_bulk, n)
    at = np.searchsorted(np.cumsum(number), (2 * rank + 1) * there // (2 * n), side="right")
    tail = model.margins["d"].redraw(d[at], rng, top=int(model.users.rooms.max()))
    values = np.concatenate((d[bulk][: len(drawn)], tail))
    return _merged(values, np.concatenate((drawn, np.ones_like(tail))))


def _settled(model: Model, values: Integers, number: Integers, e: int, m: int, rng: np.random.Generator) -> Runs:
    """Runs (d, number) brought to the memberships e of their server, which is in m rooms."""
    n, top = int(number.sum()), int(model.users.rooms.max())
    cap = (min(m, top) if e <= n * top else m) - 1
    total, everyone, caps = np.array([e - n]), np.array([0, len(values)]), np.full(len(values), cap)
    bent = bend(total, everyone, values - 1, caps, number)
    share, more = np.divmod(apportion(total, everyone, bent * number, caps * number, rng), number)
    return _merged(1 + np.concatenate((share, share + 1)), np.concatenate((number - more, more)))


def _merged(values: Integers, number: Integers) -> Runs:
    """Distinct values, rising, and how often each is there; none that is not."""
    distinct, inverse = np.unique(values, return_inverse=True)
    total = np.bincount(inverse, weights=number).astype(np.int64)
    return distinct[total > 0], total[total > 0]


def _upto(n: int, number: Integers) -> Integers:
    """How many of n users inherit from each measured one up to a row, ranks against ranks; ``number`` are in each."""
    there = int(number.sum())
    return (2 * n * np.cumsum(number) + there - 1) // (2 * there)


def _ranked(model: Model, rows: Integers, d: Integers, number: Integers) -> tuple[Integers, Integers, Integers]:
    """(number, d, row) of the runs (d, number) of one server whose users inherit from those in ``rows``, by rank."""
    ends_d, ends_row = np.cumsum(number), _upto(int(number.sum()), model.users.number[rows])
    ends = np.union1d(ends_d, ends_row[ends_row > 0])
    run, row = (np.searchsorted(of, ends - 1, side="right") for of in (ends_d, ends_row))
    return np.diff(ends, prepend=0), d[run], rows[row]


def _of_body(
    model: Model, plan: Plan, placement: Placement, rng: np.random.Generator
) -> tuple[Integers, Integers, Integers]:
    """(number, d, row) of the users of the other servers, each a run of one."""
    n_heads = len(plan.head_users)
    begins = placement.offsets[n_heads:]
    n, m = placement.server_users[n_heads:], np.diff(begins)
    if len(n) == 0:
        return (np.zeros(0, dtype=np.int64),) * 3
    e = np.add.reduceat(placement.users.astype(np.int64), begins[:-1])
    users = offsets_of(n)
    server = np.repeat(np.arange(len(n)), n)
    row = _inherit(model, placement.like[n_heads:], server, users)
    top = int(model.users.rooms.max())
    if plan.margins == "measured":
        # As measured; where a server had to leave a room for another one they give way.
        most = (m - 1)[server]
        d = 1 + apportion(e - n, users, model.users.rooms[row] - 1, most, rng)
    else:
        caps = np.where(e <= n * top, np.minimum(m, top), m) - 1
        d = 1 + _drawn(model, row, pair_kind(n, m), users, e - n, caps, rng)
    by_degree = np.sort(server * np.int64(d.max() + 1) + d)
    return np.ones_like(row), by_degree - server * np.int64(d.max() + 1), row


def _inherit(model: Model, like: Integers, server: Integers, users: Integers) -> Integers:
    """The row of the model's users that each user inherits from, (U,): that of its rank on the server.

    Args:
        like: (S,) the measured server that each server inherits from.
        server: (U,) of each user.
        users: (S + 1,) where those of each server begin.
    """
    rows = np.repeat(np.arange(len(model.users.number)), model.users.number)
    begin = np.searchsorted(model.users.server[rows], np.arange(-len(model.heads.users), len(model.servers.users) + 1))
    n = np.diff(users)
    rank = np.arange(len(server)) - users[server]
    there = np.diff(begin)[like][server]
    return rows[begin[like][server] + (2 * rank + 1) * there // (2 * n[server])]


def _drawn(
    model: Model,
    row: Integers,
    kind: Integers,
    users: Integers,
    beyond: Integers,
    caps: Integers,
    rng: np.random.Generator,
) -> Integers:
    """d - 1 of every user, drawn from measured users on servers of the same kind.

    Args:
        row: (U,) of the model's users, that each user inherits from by its number.
        kind: (S,) of each server.
        users: (S + 1,) where the users of each server begin.
        beyond: (S,) memberships of a server beyond one per user.
        caps: (S,) the most of one user.
    """
    table, n = model.users, np.diff(users)
    of_body = np.flatnonzero(table.server >= 0)
    of_body = of_body if len(of_body) else np.arange(len(table.server))
    kinds, measured = np.unique(
        pair_kind(model.servers.users, model.servers.rooms)[table.server[of_body]], return_inverse=True
    )
    known = nearest_kind(kind, kinds)
    law = model.laws["d"].tail_law
    tail = np.zeros(len(row), dtype=bool) if law is None else table.rooms[row] >= law.xmin
    in_tail = model.margins["d"].redraw(table.rooms[row[tail]], rng, top=int(table.rooms.max()))
    of_tail = np.repeat(known, n)[tail]
    members = np.bincount(known, n, minlength=len(kinds)).astype(np.int64)
    bulk = members - np.bincount(of_tail, minlength=len(kinds))
    below = np.ones(len(of_body), dtype=bool) if law is None else table.rooms[of_body] < law.xmin
    drawn: list[Integers] = []
    for one, count in enumerate(bulk.tolist()):
        drawn += [_bulk(table, of_body[below], measured[below] == one, count, rng), in_tail[of_tail == one]]
    values, offsets = np.concatenate(drawn) - 1, offsets_of(members)
    totals = np.bincount(known, weights=beyond, minlength=len(kinds)).astype(np.int64)
    unbounded = np.full(len(values), max(int(beyond.max()), int(values.max())))
    values = apportion(totals, offsets, bend(totals, offsets, values, unbounded), unbounded, rng)
    dealt = deal(values, offsets, known, beyond, n, caps, draw_seed(rng), ones_at_once=True)
    most = np.repeat(caps, n)
    return apportion(beyond, users, bend(beyond, users, dealt, most), most, rng)


def _bulk(table: UserTable, rows: Integers, of_kind: Integers, count: int, rng: np.random.Generator) -> Integers:
    """d of users below the tail, drawn from the rows of a kind, or from all where the kind has none."""
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    rows = rows[of_kind] if of_kind.any() else rows
    d, number = _merged(table.rooms[rows], table.number[rows])
    return np.repeat(d, rng.multinomial(count, number / number.sum()))
