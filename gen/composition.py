r"""What a room inherits: its type, and how much of it is on which head server.

A drawn room inherits from the measured room of its rank, among those with a similar k in which the same head server
is foremost (:mod:`gen.inheritance`): its type, and how many head servers are in it. Which ones, and what share of
the users beyond one per server each brings, is drawn anew: head servers hold a ticket for each of their measured
presences and meet the rooms of that type at random, first those where the same head server is foremost, since what
the others bring depends on it.

Rooms of at most ten users are too small for that: their few users beyond one per server are nearly all on one server,
and which one follows from nothing else. They keep the head servers of the room that they inherit from.

Rooms with at least 1 % of all memberships or presences (in federations of fewer than a thousand rooms ten times the
mean room's) are too few to be a distribution and too large to be mixed up: with one of them twice in a draw and
another one missing, the totals of the head servers would be those of neither. Such a room inherits from the one whose
ranks it began with, head servers and all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedgen.ragged import offsets_of
from fitting.classes import size_class
from fitting.heads import smallest_share
from gen.inheritance import inherit
from gen.matching import match
from gen.meeting import meet
from gen.types import RoomTypes, row_types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedgen.federation import Floats, Integers
    from fitting.model import Model
    from gen.plan import Plan

SMALL = 10
"""Up to so many users a room keeps the head servers of the measured one: patterns so small recur by themselves."""
_CLASSES = 64  # more than there are classes of k, and head servers


@dataclass(frozen=True, eq=False)
class Composition:
    """What rooms inherit.

    Attributes:
        types: (R,).
        offsets: (R + 1,) the head presences of room r are ``offsets[r]:offsets[r + 1]``.
        head: (P,) the head server of each.
        share: (P,) its share of the room's users beyond one per server, as its ticket says.
        body_share: (R,) the share of the other servers.
    """

    types: RoomTypes
    offsets: Integers
    head: Integers
    share: Floats
    body_share: Floats


def compose(
    model: Model, plan: Plan, rows: Integers, k: Integers, x: Integers, start: Integers, rng: np.random.Generator
) -> Composition:
    """The composition of rooms with k servers and x users beyond that.

    Args:
        model, plan: what is drawn.
        rows: (R0,) the row of the model's rooms of every measured room.
        k, x: (R,) sizes of the drawn rooms.
        start: (R,) which measured room the ranks of each began with.
        rng: breaks ties and deals out head servers.
    """
    table, n_heads = model.rooms, len(plan.head_users)
    beyond = table.users - table.servers
    foremost, large = _foremost(model, n_heads), _large(model)
    like, region = start.copy(), rng.integers(0, plan.regions, size=len(start))
    first, others = foremost[rows] * _CLASSES, np.flatnonzero(~large[rows])
    usual = np.flatnonzero(~large[rows[start]])
    if len(usual):
        k_of, x_of = table.servers[rows[others]], beyond[rows[others]]
        drawn = first[start[usual]] + size_class(k[usual]), x[usual], k[usual]
        found, region[usual] = inherit(drawn, (first[others] + size_class(k_of), x_of, k_of), plan.regions, rng)
        like[usual] = others[found]
    row = rows[like]
    kept = np.flatnonzero(table.head < n_heads)
    kept = kept[np.lexsort((-table.head_users[kept], table.row[kept]))]  # a room too small for all has the foremost
    of_row = offsets_of(np.bincount(table.row[kept], minlength=len(table.number)))
    offsets = offsets_of(np.minimum(np.diff(of_row)[row], k))
    types = row_types(model, row, region)
    share = (table.head_users[kept] - 1) / np.maximum(beyond[table.row[kept]], 1)

    # As in the measured room; where that is neither small nor large, dealt out anew.
    mixed = ~large & (table.users > SMALL)
    entry = np.repeat(of_row[row] - offsets[:-1], np.diff(offsets)) + np.arange(offsets[-1])
    head, share = table.head[kept][entry], share[entry]
    at = np.flatnonzero(np.repeat(mixed[row], np.diff(offsets)))
    if len(at):
        head[at], share[at] = _deal_heads(model, plan, types, row, foremost, offsets, mixed, rng)
    of_heads = np.bincount(table.row[kept], weights=table.head_users[kept] - 1, minlength=len(table.number))
    return Composition(types, offsets, head, share, ((beyond - of_heads) / np.maximum(beyond, 1))[row])


def _deal_heads(
    model: Model,
    plan: Plan,
    types: RoomTypes,
    row: Integers,
    foremost: Integers,
    offsets: Integers,
    mixed: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[Integers, Floats]:
    """Which head server has each place of the rooms of ``mixed`` rows, and the share on its ticket."""
    table, n_heads = model.rooms, len(plan.head_users)
    entries = np.flatnonzero((table.head < n_heads) & mixed[table.row])
    entries = np.repeat(entries, table.number[table.row[entries]])
    usual = np.flatnonzero(mixed[row])
    sizes = np.diff(offsets)[usual]
    room = np.repeat(usual, sizes)
    # Every ticket as often as any other, up to one.
    often, more = divmod(len(room), len(entries))
    entry = np.concatenate((np.tile(entries, often), rng.choice(entries, size=more, replace=False)))
    ticket_row = table.row[entry]
    region = rng.permutation(np.arange(len(entry)) % plan.regions)
    wanted, slots = row_types(model, ticket_row, region), types.take(room)
    finest = slots.in_region * _CLASSES + foremost[row[room]]
    finest_wanted = wanted.in_region * _CLASSES + foremost[ticket_row]
    stub_of = meet(
        len(room), (lambda at: finest[at], *slots.levels), (lambda at: finest_wanted[at], *wanted.levels), rng
    )
    order = np.argsort(finest, kind="stable")
    matching = match(
        blocks=offsets_of(sizes),
        block_group=np.zeros(len(usual), dtype=np.int64),
        slot_order=order,
        stub_order=stub_of[order],
        stub_owner=table.head[entry],
        group_slots=np.array([0, len(room)]),
        group_owners=np.array([0, n_heads]),
        seed=int(rng.integers(0, 2**63)),
    )
    beyond = (table.users - table.servers)[ticket_row]
    share = (table.head_users[entry] - 1) / np.maximum(beyond, 1)
    return matching.owner, share[matching.stub]


def _foremost(model: Model, n_heads: int) -> Integers:
    """1 + the head server with most users in the rooms of each row; 0 where there is none."""
    table = model.rooms
    foremost = np.zeros(len(table.number), dtype=np.int64)
    order = np.argsort(table.head_users, kind="stable")
    order = order[table.head[order] < n_heads]
    foremost[table.row[order]] = 1 + table.head[order]  # the last one written has most
    return foremost


def _large(model: Model) -> NDArray[np.bool_]:
    """Which rows are rooms too large to be mixed up with others."""
    table, sizes = model.rooms, model.sizes
    share = smallest_share(sizes.rooms)
    return (table.users >= share * sizes.memberships) | (table.servers >= share * sizes.presences)
