r"""Layer 1, rooms: how many servers and users each has, and how many of them on each head server.

A measured room is chosen at random; its ranks in (k, u - k) become a new pair through the beta copula
(:mod:`fitting.margins`); its head servers stay with it, and the users beyond one per server are shared over them and
the body in the measured proportions. So k <= u holds by construction. A pool of such draws is conditioned on the
totals of the plan (:mod:`gen.exchange`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gen.apportion import apportion, reconcile
from gen.exchange import exchange, pool_size, stretch
from gen.ragged import offsets_of, take
from gen.streams import Stage, stream

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers
    from fitting.model import Model
    from gen.plan import Plan


@dataclass(frozen=True, eq=False)
class Rooms:
    """The rooms before any server of the body is placed.

    Attributes:
        body_servers: (R,) how many servers of the body each room has.
        body_users: (R,) how many users those have in it, >= body_servers.
        head_offsets: (R + 1,) the head presences of room r are ``head_offsets[r]:head_offsets[r + 1]``.
        head: (P,) the head server of each.
        head_users: (P,) its users in the room.
    """

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
    pool = _draw(model, plan, pool_size(plan.rooms), rng)
    goal = _goal(model, plan)
    chosen = exchange(_totals(pool, len(plan.head_users)), plan.rooms, goal, rng)
    at = take(pool.head_offsets, chosen)
    rooms = Rooms(
        pool.body_servers[chosen],
        pool.body_users[chosen],
        offsets_of(np.diff(pool.head_offsets)[chosen]),
        pool.head[at],
        pool.head_users[at],
    )
    return _seat_heads(_fill(rooms, plan, rng), model, plan, goal[2:], rng)


def _draw(model: Model, plan: Plan, count: int, rng: np.random.Generator) -> Rooms:
    """Independent rooms."""
    table = model.rooms
    n_heads, n_body = len(plan.head_users), plan.servers - len(plan.head_users)
    upto = np.cumsum(table.number)
    row = np.searchsorted(upto, rng.integers(0, upto[-1], size=count), side="right")

    k, x = table.servers[row], (table.users - table.servers)[row]
    most_k, most_x = int(table.servers.max()), int((table.users - table.servers).max())
    k = model.margins["k"].redraw(k, rng, top=most_k)
    x = model.margins["x"].redraw(x + 1, rng, top=most_x + 1) - 1
    k = stretch(k, 1, most_k, plan.presences / plan.rooms, plan.rooms, rng)
    x = stretch(x, 0, most_x, (plan.memberships - plan.presences) / plan.rooms, plan.rooms, rng)

    kept = table.head < n_heads
    head_offsets = offsets_of(np.bincount(table.row[kept], minlength=len(table.servers)))
    at = take(head_offsets, row)
    head, measured_users = table.head[kept][at], table.head_users[kept][at]
    n_present = np.diff(head_offsets)[row]
    body = np.clip(k - n_present, 0, n_body)

    # The parts of a room: its head servers, then the body, each with its measured users beyond one per server.
    present = offsets_of(n_present)
    parts = offsets_of(n_present + 1)
    of_head = np.ones(int(parts[-1]), dtype=bool)
    of_head[parts[1:] - 1] = False
    weights, caps = np.zeros(len(of_head), dtype=np.int64), np.zeros(len(of_head), dtype=np.int64)
    weights[of_head], caps[of_head] = measured_users - 1, plan.head_users[head] - 1
    measured_heads = np.diff(np.concatenate(([0], np.cumsum(measured_users - 1)))[present])
    weights[~of_head] = (table.users - table.servers)[row] - measured_heads
    body_users_at_most = plan.users - int(plan.head_users.sum())
    caps[~of_head] = np.where(body > 0, np.maximum(body_users_at_most - body, 0), 0)
    shared = apportion(x, parts, weights, caps, rng)
    return Rooms(body, body + shared[~of_head], present, head, 1 + shared[of_head])


def _totals(rooms: Rooms, n_heads: int) -> Integers:
    """(rooms, 2 + H): body presences, body memberships, memberships of each head."""
    totals = np.zeros((len(rooms.body_servers), 2 + n_heads), dtype=np.int64)
    totals[:, 0], totals[:, 1] = rooms.body_servers, rooms.body_users
    totals[rooms.head_room, 2 + rooms.head] = rooms.head_users
    return totals


def _goal(model: Model, plan: Plan) -> Floats:
    """The totals the plan aims at, in the columns of :func:`_totals`."""
    heads, n_heads = model.heads, len(plan.head_users)
    memberships = plan.head_users * heads.memberships[:n_heads] / heads.users[:n_heads]
    presences = np.minimum(heads.rooms[:n_heads] * plan.rooms / model.sizes.rooms, np.minimum(plan.rooms, memberships))
    n_body = plan.servers - n_heads
    body_presences = max(plan.presences - presences.sum(), n_body)
    body_memberships = max(plan.memberships - memberships.sum(), body_presences)
    return np.concatenate(([body_presences, body_memberships], memberships))


def _fill(rooms: Rooms, plan: Plan, rng: np.random.Generator) -> Rooms:
    """Enough places for every server of the body to be in a room."""
    n_body = plan.servers - len(plan.head_users)
    if rooms.body_servers.sum() >= n_body:
        return rooms
    low = (np.diff(rooms.head_offsets) == 0).astype(np.int64)
    body = reconcile(np.maximum(rooms.body_servers, low), low, n_body, n_body, rng)
    return Rooms(body, np.maximum(rooms.body_users, body), rooms.head_offsets, rooms.head, rooms.head_users)


def _seat_heads(rooms: Rooms, model: Model, plan: Plan, memberships: Floats, rng: np.random.Generator) -> Rooms:
    """Every head server in a room at least, and its memberships settled, as far as its rooms can hold them."""
    absent = np.setdiff1d(np.arange(len(plan.head_users)), rooms.head)
    if len(absent):
        where = np.concatenate((rooms.head_room, rng.integers(0, plan.rooms, size=len(absent))))
        order = np.argsort(where, kind="stable")
        rooms = Rooms(
            rooms.body_servers,
            rooms.body_users,
            offsets_of(np.bincount(where, minlength=plan.rooms)),
            np.concatenate((rooms.head, absent))[order],
            np.concatenate((rooms.head_users, np.ones_like(absent)))[order],
        )
    users = rooms.head_users.copy()
    largest = int(model.rooms.users.max())
    for h, n in enumerate(plan.head_users.tolist()):
        mine = np.flatnonzero(rooms.head == h)
        fewest = max(n, len(mine))
        # No larger in a room than any measured room, unless the users would find no place.
        most = n if largest * len(mine) < fewest else min(n, largest)
        goal = min(max(round(memberships[h]), fewest), most * len(mine))
        users[mine] = reconcile(users[mine], 1, most, goal, rng)
    return Rooms(rooms.body_servers, rooms.body_users, rooms.head_offsets, rooms.head, users)
