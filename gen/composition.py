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
ranks it began with, head servers and all. So do the head rooms (:mod:`gen.room_sizes`) where reach is proportional;
they belong to no region.

Where head servers are there several times each room has the one of its region, or at locality :math:`\mu` with that
probability any. Where they fall behind the growth of the others (:mod:`gen.growth`) each is struck from rooms at
random, and what it would have brought is left to the servers of the body.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fedgen.ragged import offsets_of, order_of, take
from fitting.classes import size_class
from gen.inheritance import inherit
from gen.matching import match
from gen.meeting import meet
from gen.room_sizes import are_large
from gen.streams import draw_seed
from gen.types import EVERYWHERE, RoomTypes, row_types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedgen.federation import Floats, Integers
    from fitting.model import Model
    from gen.plan import Plan
    from gen.room_sizes import RoomSizes

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
        struck: (R,) how many head servers are missing, since they fall behind the growth of the others.
    """

    types: RoomTypes
    offsets: Integers
    head: Integers
    share: Floats
    body_share: Floats
    struck: Integers


def compose(model: Model, plan: Plan, sizes: RoomSizes, rng: np.random.Generator) -> Composition:
    """The composition of rooms of these sizes; ``rng`` breaks ties and deals out head servers."""
    k, x, began, everywhere = sizes.servers, sizes.beyond, sizes.began, sizes.everywhere
    table, n_heads = model.rooms, plan.heads_kept
    beyond = table.users - table.servers
    foremost, large = _foremost(model, n_heads), are_large(model)
    row, region = began.copy(), np.zeros_like(k)
    rows = np.repeat(np.arange(len(table.number)), table.number)
    others = rows[~large[rows]]
    usual, alone = np.flatnonzero(~large[began] & ~everywhere), np.flatnonzero(large[began] & ~everywhere)
    region[alone] = _spread(k[alone], plan.regions, rng)
    if len(usual):
        first = foremost * _CLASSES
        of_heads = np.bincount(table.row[table.head < n_heads], minlength=len(table.number))[began[usual]]
        of_heads = np.minimum(of_heads, k[usual])
        as_measured = np.maximum(of_heads + np.rint((k[usual] - of_heads) / max(plan.room_servers, 1.0)), 1)
        drawn = first[began[usual]] + size_class(as_measured), x[usual], k[usual]
        measured = first[others] + size_class(table.servers[others]), beyond[others], table.servers[others]
        found, region[usual] = inherit(drawn, measured, plan.regions, rng)
        row[usual] = others[found]
    region[everywhere] = EVERYWHERE
    kept = np.flatnonzero(table.head < n_heads)
    kept = kept[np.lexsort((-table.head_users[kept], table.row[kept]))]  # a room too small for all has the foremost
    of_row = offsets_of(np.bincount(table.row[kept], minlength=len(table.number)))
    offsets = offsets_of(np.minimum(np.diff(of_row)[row], k))
    types = row_types(model, row, region)
    share = (table.head_users[kept] - 1) / np.maximum(beyond[table.row[kept]], 1)

    # As in the measured room; where that is neither small nor large, dealt out anew.
    mixed = ~large & (table.users > SMALL)
    usual = np.flatnonzero(mixed[row] & ~everywhere)
    entry = np.repeat(of_row[row] - offsets[:-1], np.diff(offsets)) + np.arange(offsets[-1])
    head, share = table.head[kept][entry], share[entry]
    at = take(offsets, usual)
    if len(at):
        head[at], share[at] = _deal_heads(model, plan, types, row, foremost, offsets, mixed, usual, rng)
    of_heads = np.bincount(table.row[kept], weights=table.head_users[kept] - 1, minlength=len(table.number))
    body_share = ((beyond - of_heads) / np.maximum(beyond, 1))[row]
    whole = Composition(types, offsets, head, share, body_share, np.zeros_like(row))
    return _copied(_thinned(whole, plan, rng), plan, rng)


def _spread(k: Integers, regions: int, rng: np.random.Generator) -> Integers:
    """A region for each room, such that rooms of about the same k are in as many as can be."""
    order = np.lexsort((rng.random(len(k)), -k))
    blocks = -(-len(k) // regions)
    region = np.empty_like(k)
    region[order] = rng.permuted(np.tile(np.arange(regions), (blocks, 1)), axis=1).ravel()[: len(k)]
    return region


def _thinned(composition: Composition, plan: Plan, rng: np.random.Generator) -> Composition:
    """Head servers that fall behind struck from rooms at random."""
    if np.all(plan.head_presence == 1.0):
        return composition
    c = composition
    stays = rng.random(len(c.head)) < plan.head_presence[c.head]
    room = np.repeat(np.arange(len(c.offsets) - 1), np.diff(c.offsets))
    left = np.bincount(room[~stays], weights=c.share[~stays], minlength=len(c.body_share))
    offsets = offsets_of(np.bincount(room[stays], minlength=len(c.body_share)))
    struck = np.diff(c.offsets) - np.diff(offsets)
    return Composition(c.types, offsets, c.head[stays], c.share[stays], c.body_share + left, struck)


def _copied(composition: Composition, plan: Plan, rng: np.random.Generator) -> Composition:
    """Each head server by the copy that its room has."""
    if plan.head_copies == 1:
        return composition
    c = composition
    region = np.repeat(c.types.region, np.diff(c.offsets))
    anywhere = (rng.random(len(region)) < plan.scenario.growth.locality) | (region == EVERYWHERE)
    copy = np.where(anywhere, rng.integers(0, plan.head_copies, size=len(region)), region % plan.head_copies)
    return replace(c, head=c.head + copy * plan.heads_kept)


def _deal_heads(
    model: Model,
    plan: Plan,
    types: RoomTypes,
    row: Integers,
    foremost: Integers,
    offsets: Integers,
    mixed: NDArray[np.bool_],
    usual: Integers,
    rng: np.random.Generator,
) -> tuple[Integers, Floats]:
    """Which head server has each place of the ``usual`` rooms, of ``mixed`` rows, and the share on its ticket."""
    table, n_heads = model.rooms, plan.heads_kept
    entries = np.flatnonzero((table.head < n_heads) & mixed[table.row])
    entries = np.repeat(entries, table.number[table.row[entries]])
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
        len(room),
        (lambda at: finest[at], *slots.levels(plan.regions)),
        (lambda at: finest_wanted[at], *wanted.levels(plan.regions)),
        rng,
    )
    order = order_of(finest)
    matching = match(
        blocks=offsets_of(sizes),
        block_group=np.zeros(len(usual), dtype=np.int64),
        slot_order=order,
        stub_order=stub_of[order],
        stub_owner=table.head[entry],
        group_slots=np.array([0, len(room)]),
        group_owners=np.array([0, n_heads]),
        seed=draw_seed(rng),
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
