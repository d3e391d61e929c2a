r"""Sizes of rooms: (k, u - k) from the smoothed copula (:mod:`fitting.margins`), so that k <= u by construction.

A pool of draws is conditioned on totals (:mod:`gen.exchange`): presences and memberships as planned, pairs of a user
and a server in one room as measured (one giant room more or less, and all load is another), and the memberships of
each head server, were its share of each room as in the measured room whose ranks the draw began with.

Where the mean room grows (:mod:`gen.growth`) the servers of the body and u - k of every draw are multiplied by what
they grow by; a head server is in a room or not. Where reach is proportional the *head rooms*
(:func:`find_head_rooms`) are not drawn: each is there once, with its measured share of servers and users.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fitting.heads import smallest_share
from fitting.margins import draw_levels
from gen.exchange import exchange, multiply, pool_size, stretch, tilt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedgen.federation import Floats, Integers
    from fitting.model import Model
    from gen.plan import Plan


@dataclass(frozen=True, eq=False)
class RoomSizes:
    """The sizes of the rooms, head servers included.

    Attributes:
        servers: (R,) k.
        beyond: (R,) u - k.
        began: (R,) the row of the model's rooms that the ranks of each began with.
        everywhere: (R,) the head rooms that keep all of that row, and belong to no region; last.
    """

    servers: Integers
    beyond: Integers
    began: Integers
    everywhere: NDArray[np.bool_]


def draw_sizes(model: Model, plan: Plan, rng: np.random.Generator) -> RoomSizes:
    """Draw sizes such that presences, memberships and those of each head server nearly add up to the plan's."""
    kept = _keep_share(model, plan)
    others = _drawn(model, plan, kept, rng)
    k, x, row = (np.concatenate(columns) for columns in zip(others, kept, strict=True))
    return RoomSizes(k, x, row, np.arange(plan.rooms) >= plan.rooms - len(kept[2]))


def find_head_rooms(model: Model) -> Integers:
    """(L,) rows of the model's rooms: those too large to be mixed up, and the largest in servers and in users.

    The analogue of head servers (:mod:`fitting.heads`): few, since their share of all memberships or presences makes
    them. A row comes as often as there are such rooms; a largest one that shares its row with others comes once.
    """
    table = model.rooms
    large = np.flatnonzero(are_large(model))
    tops = np.array([np.lexsort((table.users, table.servers))[-1], np.lexsort((table.servers, table.users))[-1]])
    return np.concatenate((np.repeat(large, table.number[large]), np.setdiff1d(tops, large)))


def are_large(model: Model) -> NDArray[np.bool_]:
    """Which rows are rooms too large to be mixed up with others."""
    table, sizes = model.rooms, model.sizes
    share = smallest_share(sizes.rooms)
    return (table.users >= share * sizes.memberships) | (table.servers >= share * sizes.presences)


def _keep_share(model: Model, plan: Plan) -> tuple[Integers, Integers, Integers]:
    """k, u - k and row of the rooms that keep their share of the federation; none in one too small to set any apart."""
    table = model.rooms
    row = find_head_rooms(model) if plan.scenario.growth.reach == "proportional" else np.zeros(0, dtype=np.int64)
    if len(row) >= min(plan.rooms, model.sizes.rooms):
        row = row[:0]
    k = np.clip(np.rint(table.servers[row] * (plan.servers / plan.measured.servers)), 1, plan.servers)
    u = np.clip(np.rint(table.users[row] * (plan.users / plan.measured.users)), k, plan.users)
    return k.astype(np.int64), (u - k).astype(np.int64), row


def _drawn(
    model: Model, plan: Plan, kept: tuple[Integers, Integers, Integers], rng: np.random.Generator
) -> tuple[Integers, Integers, Integers]:
    """k, u - k and row of all other rooms, chosen from a pool for the totals that those which are ``kept`` leave."""
    table = model.rooms
    number = table.number - np.bincount(kept[2], minlength=len(table.number))
    others = np.repeat(np.arange(len(number)), number)
    count = plan.rooms - len(kept[2])
    levels, start = draw_levels((table.servers[others], (table.users - table.servers)[others]), pool_size(count), rng)
    row = others[start]
    present, share = _heads_in(model, plan)
    struck = float(model.heads.rooms[: plan.heads_kept] @ (1.0 - plan.head_presence)) * plan.rooms / model.sizes.rooms
    presences = max(plan.presences + struck - int(kept[0].sum()), count)
    beyond = max(plan.memberships - plan.presences - struck - int(kept[1].sum()), 0)

    top_k, top_x = _reach(model, plan, others)
    k = model.margins["k"].quantile(levels[0], top=top_k)
    of_heads = np.minimum(present[row].sum(axis=1).astype(np.int64), k)
    k = of_heads + multiply(k - of_heads, plan.room_servers, rng)
    x = multiply(model.margins["x"].quantile(levels[1], top=top_x + 1) - 1, plan.room_users_beyond, rng)
    k = stretch(k, 1, math.ceil(top_k * max(plan.room_servers, 1.0)), presences / count, count, rng)
    x = stretch(x, 0, math.ceil(top_x * max(plan.room_users_beyond, 1.0)), beyond / count, count, rng)

    heads = plan.head_memberships.reshape(plan.head_copies, plan.heads_kept).sum(axis=0) / plan.head_presence
    heads = heads - (present[kept[2]] + share[kept[2]] * kept[1][:, None]).sum(axis=0)
    contacts = _contacts(model, plan, others, present) * count
    goal = np.concatenate(([presences, beyond, contacts], np.maximum(heads, 0.0)))
    pool = np.column_stack((k, x, k * (k + x), present[row] + share[row] * x[:, None]))
    taken = tilt(pool, count, goal, rng) if plan.rooms > model.sizes.rooms else np.arange(len(pool))
    chosen = taken[exchange(pool[taken], count, goal, rng)]
    return k[chosen], x[chosen], row[chosen]


def _reach(model: Model, plan: Plan, others: Integers) -> tuple[int, int]:
    """The largest k and u - k that are drawn, before what the mean room grows by."""
    if plan.scenario.growth.reach == "natural":
        return plan.servers, max(plan.users - plan.servers, 0)
    table = model.rooms
    return int(table.servers[others].max()), int((table.users - table.servers)[others].max())


def _contacts(model: Model, plan: Plan, others: Integers, present: Floats) -> float:
    """Pairs of a user and a server in the mean room of rows ``others``, as measured but for what that room grows by."""
    table = model.rooms
    of_heads = np.minimum(present[others].sum(axis=1), table.servers[others])
    k = of_heads + max(1.0, plan.room_servers) * (table.servers[others] - of_heads)
    x = max(1.0, plan.room_users_beyond) * (table.users - table.servers)[others]
    return float(k @ (k + x)) / len(others)


def _heads_in(model: Model, plan: Plan) -> tuple[Floats, Floats]:
    """(rows, heads kept) whether each head server is in the rooms of a row, and its share of the users beyond."""
    table = model.rooms
    kept = table.head < plan.heads_kept
    present, share = (np.zeros((len(table.number), plan.heads_kept)) for _ in range(2))
    row, head = table.row[kept], table.head[kept]
    present[row, head] = 1.0
    share[row, head] = (table.head_users[kept] - 1) / np.maximum(table.users - table.servers, 1)[row]
    return present, share
