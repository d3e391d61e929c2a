r"""Layer 1, rooms: how many servers and users each has, and how many of its users on each head server.

*Drawn*: (k, u - k) come from the smoothed copula (:mod:`fitting.margins`), so that k <= u by construction; a pool
of such draws is conditioned on totals (:mod:`gen.exchange`): presences and memberships as planned, pairs of a user
and a server in one room as measured (one giant room more or less, and all load is another), and the memberships of
each head server, were its share of each room as in the measured room whose ranks the draw began with. Then each
room inherits its company (:mod:`gen.composition`). Where the mean room grows (:mod:`gen.growth`) k and u - k of every
draw are multiplied by what it grows by. Where reach is proportional the *head rooms* (:func:`find_head_rooms`) are not
drawn: each is there once, with its measured share of servers and users.

*Measured*: the rooms as they are in the model, head servers and all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fedgen.ragged import offsets_of, take
from fitting.margins import draw_levels
from gen.apportion import apportion, reconcile
from gen.composition import compose, find_head_rooms
from gen.exchange import exchange, multiply, pool_size, stretch, tilt
from gen.streams import Stage, stream
from gen.types import row_types

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers
    from fitting.model import Model
    from gen.composition import Composition
    from gen.plan import Plan
    from gen.types import RoomTypes


@dataclass(frozen=True, eq=False)
class Rooms:
    """The rooms before any server of the body is placed.

    Attributes:
        types: (R,) the type of each room: that of the measured room whose company it inherits.
        body_servers: (R,) how many servers of the body each room has.
        body_users: (R,) how many users those have in it, >= body_servers.
        head_offsets: (R + 1,) the head presences of room r are ``head_offsets[r]:head_offsets[r + 1]``.
        head: (P,) the head server of each.
        head_users: (P,) its users in the room.
    """

    types: RoomTypes
    body_servers: Integers
    body_users: Integers
    head_offsets: Integers
    head: Integers
    head_users: Integers

    @property
    def servers(self) -> Integers:
        """k, (R,)."""
        return self.body_servers + np.diff(self.head_offsets)

    @property
    def head_room(self) -> Integers:
        """(P,) the room of each head presence."""
        return np.repeat(np.arange(len(self.body_servers)), np.diff(self.head_offsets))


def draw_rooms(model: Model, plan: Plan) -> Rooms:
    """Draw the plan's rooms: totals near the plan's, every head server in at least one, with all its memberships."""
    rng = stream(plan.seed, Stage.ROOMS)
    if plan.margins == "measured":
        return _measured(model, rng)
    grown = _head_rooms(model, plan)
    k, x, began = _sizes(model, plan, grown, rng)
    everywhere = np.arange(plan.rooms) >= plan.rooms - len(grown)
    composition = compose(model, plan, k, x, began, everywhere, rng)
    present = np.diff(composition.offsets)
    body = np.maximum(k - present - composition.struck, (present == 0).astype(np.int64))
    body = np.clip(body, 0, plan.servers - len(plan.head_users))
    shared, of_body = _share(plan, x, body, composition, rng)
    rooms = Rooms(composition.types, body, body + of_body, composition.offsets, composition.head, 1 + shared)
    return _seat_heads(_fill(rooms, plan, rng), model, plan, rng)


def _measured(model: Model, rng: np.random.Generator) -> Rooms:
    table = model.rooms
    row = rng.permutation(np.repeat(np.arange(len(table.number)), table.number))
    head_offsets = offsets_of(np.bincount(table.row, minlength=len(table.number)))
    at = take(head_offsets, row)
    present = offsets_of(np.diff(head_offsets)[row])
    of_heads = np.bincount(table.row, weights=table.head_users, minlength=len(table.number)).astype(np.int64)
    return Rooms(
        row_types(model, row, np.zeros_like(row)),
        table.servers[row] - np.diff(present),
        table.users[row] - of_heads[row],
        present,
        table.head[at],
        table.head_users[at],
    )


def _head_rooms(model: Model, plan: Plan) -> Integers:
    """The rows of the rooms that keep their share of the federation; none in one too small to set any apart."""
    grown = find_head_rooms(model) if plan.scenario.growth.reach == "proportional" else np.zeros(0, dtype=np.int64)
    return grown if len(grown) < min(plan.rooms, model.sizes.rooms) else grown[:0]


def _sizes(model: Model, plan: Plan, grown: Integers, rng: np.random.Generator) -> tuple[Integers, Integers, Integers]:
    """k and u - k of every room, such that presences, memberships and those of each head server add up.

    Also the row of the model's rooms that its ranks began with. Those of ``grown`` rows come last.
    """
    table = model.rooms
    beyond = table.users - table.servers
    k = np.clip(np.rint(table.servers[grown] * (plan.servers / plan.measured.servers)), 1, plan.servers)
    u = np.clip(np.rint(table.users[grown] * (plan.users / plan.measured.users)), k, plan.users)
    k, x = k.astype(np.int64), (u - k).astype(np.int64)
    number = table.number - np.bincount(grown, minlength=len(table.number))
    others = np.repeat(np.arange(len(number)), number)
    count = plan.rooms - len(grown)
    times_k, times_x = plan.room_servers, plan.room_users_beyond
    levels, start = draw_levels((table.servers[others], beyond[others]), pool_size(count), rng)
    row = others[start]
    top_k, top_x = _reach(model, plan, others)
    present, share = _heads_in(model, plan)
    drawn_k = model.margins["k"].quantile(levels[0], top=top_k)
    # A head server is in a room or not; the servers of the body multiply.
    of_heads = np.minimum(present[row].sum(axis=1).astype(np.int64), drawn_k)
    drawn_k = of_heads + multiply(drawn_k - of_heads, times_k, rng)
    drawn_x = multiply(model.margins["x"].quantile(levels[1], top=top_x + 1) - 1, times_x, rng)
    top_k, top_x = (math.ceil(top * max(times, 1.0)) for top, times in ((top_k, times_k), (top_x, times_x)))
    struck = float(model.heads.rooms[: plan.heads_kept] @ (1.0 - plan.head_presence)) * plan.rooms / model.sizes.rooms
    presences = max(plan.presences + struck - int(k.sum()), count)
    of_beyond = max(plan.memberships - plan.presences - struck - int(x.sum()), 0)
    drawn_k = stretch(drawn_k, 1, top_k, presences / count, count, rng)
    drawn_x = stretch(drawn_x, 0, top_x, of_beyond / count, count, rng)

    of_heads = present[row] + share[row] * drawn_x[:, None]
    alone = np.minimum(present[others].sum(axis=1), table.servers[others])
    many = alone + max(1.0, times_k) * (table.servers[others] - alone)
    contacts = float(many @ (many + max(1.0, times_x) * beyond[others])) / len(others) * count
    heads = plan.head_memberships.reshape(plan.head_copies, plan.heads_kept).sum(axis=0) / plan.head_presence
    heads = heads - (present[grown] + share[grown] * x[:, None]).sum(axis=0)
    goal = np.concatenate(([presences, of_beyond, contacts], np.maximum(heads, 0.0)))
    columns = np.column_stack((drawn_k, drawn_x, drawn_k * (drawn_k + drawn_x), of_heads))
    taken = tilt(columns, count, goal, rng) if plan.rooms > model.sizes.rooms else np.arange(len(columns))
    chosen = taken[exchange(columns[taken], count, goal, rng)]
    return (
        np.concatenate((drawn_k[chosen], k)),
        np.concatenate((drawn_x[chosen], x)),
        np.concatenate((row[chosen], grown)),
    )


def _reach(model: Model, plan: Plan, others: Integers) -> tuple[int, int]:
    """The largest k and u - k that are drawn, before what the mean room grows by."""
    if plan.scenario.growth.reach == "natural":
        return plan.servers, max(plan.users - plan.servers, 0)
    table = model.rooms
    return int(table.servers[others].max()), int((table.users - table.servers)[others].max())


def _heads_in(model: Model, plan: Plan) -> tuple[Floats, Floats]:
    """(rows, heads kept) whether each head server is in the rooms of a row, and its share of the users beyond."""
    table = model.rooms
    kept = table.head < plan.heads_kept
    present, share = (np.zeros((len(table.number), plan.heads_kept)) for _ in range(2))
    row, head = table.row[kept], table.head[kept]
    present[row, head] = 1.0
    share[row, head] = (table.head_users[kept] - 1) / np.maximum(table.users - table.servers, 1)[row]
    return present, share


def _share(
    plan: Plan, x: Integers, body: Integers, composition: Composition, rng: np.random.Generator
) -> tuple[Integers, Integers]:
    """The users of each room beyond one per server: those of its head servers, and those of its body."""
    present = np.diff(composition.offsets)
    parts = offsets_of(present + 1)  # head servers, then the body
    of_head = np.ones(int(parts[-1]), dtype=bool)
    of_head[parts[1:] - 1] = False
    weights, caps = np.zeros(len(of_head)), np.zeros(len(of_head), dtype=np.int64)
    weights[of_head], caps[of_head] = composition.share, plan.head_users[composition.head] - 1
    weights[~of_head] = composition.body_share
    caps[~of_head] = np.where(body > 0, np.maximum(plan.users - int(plan.head_users.sum()) - body, 0), 0)
    shared = apportion(x, parts, weights, caps, rng)
    return shared[of_head], shared[~of_head]


def _fill(rooms: Rooms, plan: Plan, rng: np.random.Generator) -> Rooms:
    """Enough places for every server of the body to be in a room."""
    n_body = plan.servers - len(plan.head_users)
    if rooms.body_servers.sum() >= n_body:
        return rooms
    low = (np.diff(rooms.head_offsets) == 0).astype(np.int64)
    body = reconcile(np.maximum(rooms.body_servers, low), low, n_body, n_body, rng)
    return replace(rooms, body_servers=body, body_users=np.maximum(rooms.body_users, body))


def _seat_heads(rooms: Rooms, model: Model, plan: Plan, rng: np.random.Generator) -> Rooms:
    """Every head server in a room at least, and its memberships settled, as far as its rooms can hold them."""
    absent = np.setdiff1d(np.arange(len(plan.head_users)), rooms.head)
    if len(absent):
        where = np.concatenate((rooms.head_room, rng.integers(0, plan.rooms, size=len(absent))))
        order = np.argsort(where, kind="stable")
        rooms = replace(
            rooms,
            head_offsets=offsets_of(np.bincount(where, minlength=plan.rooms)),
            head=np.concatenate((rooms.head, absent))[order],
            head_users=np.concatenate((rooms.head_users, np.ones_like(absent)))[order],
        )
    users = rooms.head_users.copy()
    in_room = rooms.body_users + np.bincount(rooms.head_room, rooms.head_users, minlength=plan.rooms)
    memberships, largest = plan.head_memberships, max(int(model.rooms.users.max()), int(in_room.max()))
    for h, n in enumerate(plan.head_users.tolist()):
        mine = np.flatnonzero(rooms.head == h)
        fewest = max(n, len(mine))
        # No larger in a room than any room, unless the users would find no place.
        most = n if largest * len(mine) < fewest else min(n, largest)
        goal = min(max(round(memberships[h]), fewest), most * len(mine))
        users[mine] = reconcile(users[mine], 1, most, goal, rng)
    # What the heads were changed by is made up for by the body, as far as every presence has its user.
    body = plan.memberships - int(users.sum())
    low = rooms.body_servers
    of_heads = np.bincount(rooms.head_room, users, minlength=plan.rooms).astype(np.int64)
    high = np.where(low > 0, np.maximum(low, largest - of_heads), 0)
    if high.sum() < body:
        high = np.where(low > 0, plan.users, 0)
    body = min(max(body, int(low.sum())), int(high.sum()))
    return replace(rooms, head_users=users, body_users=reconcile(rooms.body_users, low, high, body, rng))
