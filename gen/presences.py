r"""Layer 2: which server is in which room, with how many users.

A server of the body has m *stubs*, one for each ticket that it inherited (:mod:`gen.inheritance`): the type of a
room, and how many users of the measured server were in it; in that proportion the stubs' counts sum to e. A room
has *places* whose counts sum to its body users, in proportion to counts measured in rooms of its kind. Stubs and
places of the same type and count meet, then those of the same type, then of ever coarser ones (:mod:`gen.meeting`).
The stub's count is what holds, so e, m and count <= n are exact; where a room's sum then misses its users, users
are moved between two rooms of one server, head servers included, which changes no total but the two rooms'. Last,
servers change places until as many pairs of them share a room as should (:mod:`gen.company`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from fedgen.ragged import offsets_of, order_of, take
from fitting.classes import nearest_kind
from gen.apportion import apportion, bend, reconcile
from gen.company import reunite_servers
from gen.conditional import Conditional
from gen.inheritance import use_tickets
from gen.matching import match
from gen.meeting import meet
from gen.streams import Stage, draw_seed
from gen.types import RoomTypes, abroad

if TYPE_CHECKING:
    from fedgen.federation import Integers
    from fitting.model import Model
    from gen.plan import Plan
    from gen.rooms import Rooms
    from gen.servers import Servers


@dataclass(frozen=True, eq=False)
class Placement:
    """Server-room pairs sorted by server, then room; head servers come first.

    Attributes:
        offsets: (S + 1,) presences of server s are ``offsets[s]:offsets[s + 1]``.
        room: (K,).
        users: (K,) counts, 1 <= users <= n.
        server_users: (S,) n.
        types: (R,) of the rooms.
        like: (S,) the measured server whose company each inherits: heads, the last one first, then the body's rows.
        region: (S,) where each lives; the c-th copy of a head server, from 0, has -1 - c.
    """

    offsets: Integers
    room: Integers
    users: Integers
    server_users: Integers
    types: RoomTypes
    like: Integers
    region: Integers

    @property
    def server(self) -> Integers:
        """(K,) the server of each presence."""
        return np.repeat(np.arange(len(self.server_users)), np.diff(self.offsets))


def place(model: Model, plan: Plan, rooms: Rooms, servers: Servers) -> Placement:
    """Place the servers of the body and settle the users of every room."""
    n_heads = len(plan.head_users)
    owner, room, users = _place_body(model, plan, rooms, servers)
    server = np.concatenate((rooms.head, owner + n_heads))
    room = np.concatenate((rooms.head_room, room))
    users = np.concatenate((rooms.head_users, users))
    server = reunite_servers(server, room, users, n_heads, plan, model, rooms.types)
    order = order_of(server, room)
    n = np.concatenate((plan.head_users, servers.users))
    offsets = offsets_of(np.bincount(server, minlength=plan.servers))
    users = _enough(users[order], offsets, n, plan.stream(Stage.COUNTS))
    room = room[order]
    wanted = rooms.body_users + np.bincount(rooms.head_room, weights=rooms.head_users, minlength=plan.rooms)
    gap = wanted.astype(np.int64) - np.bincount(room, weights=users, minlength=plan.rooms).astype(np.int64)
    _settle(offsets, room, users, n, gap)
    measured_heads = len(model.heads.users)
    copy, head = np.divmod(np.arange(n_heads), max(plan.heads_kept, 1))
    like = np.concatenate((measured_heads - 1 - head, measured_heads + servers.like))
    region = np.concatenate((-1 - copy, servers.region))
    return Placement(offsets, room, users, n, rooms.types, like, region)


def _place_body(model: Model, plan: Plan, rooms: Rooms, servers: Servers) -> tuple[Integers, Integers, Integers]:
    """(server, room, users) of each body presence."""
    stubs, places = offsets_of(servers.rooms), offsets_of(rooms.body_servers)
    stub_owner = np.repeat(np.arange(len(servers.users)), servers.rooms)
    place_room = np.repeat(np.arange(plan.rooms), rooms.body_servers)

    rng = plan.stream(Stage.PRESENCE_COUNTS)
    table = model.presences
    rows = offsets_of(np.bincount(table.server, minlength=len(model.servers.users)))
    entry = take(rows, servers.like)
    owner = np.repeat(np.arange(len(servers.users)), np.diff(rows)[servers.like])
    # Where places are of any region, or stubs go to any, only how many there are of each type can be weighed.
    regional = plan.scenario.growth.locality == 0.0 and rooms.types.region.min(initial=0) >= 0
    offered = RoomTypes(model.types, table.type[entry], servers.region[owner])
    place, of_room = (types.in_region if regional else types.type for types in (offered, rooms.types))
    there = np.bincount(of_room, rooms.body_servers, minlength=int(place.max(initial=0)) + 1)
    used = use_tickets(table.number[entry], owner, servers.rooms, rng, place, there)
    ticket = np.repeat(entry, used)
    spare = servers.memberships - servers.rooms
    most = (servers.users - 1)[stub_owner]
    stub_count = 1 + apportion(spare, stubs, bend(spare, stubs, table.users[ticket] - 1, most), most, rng)
    kind = rooms.types.kind
    by_room = _like(model.types.kind[table.type], table.users, table.number)
    alike = by_room.draw(nearest_kind(kind, by_room.keys)[place_room], rng)
    most = np.full(len(place_room), int(servers.users.max()) - 1)
    body_users = reconcile(rooms.body_users, rooms.body_servers, plan.users, int(servers.memberships.sum()), rng)
    place_count = 1 + apportion(body_users - rooms.body_servers, places, alike - 1, most, rng)

    rng = plan.stream(Stage.PLACEMENT)
    slots = rooms.types.take(place_room).somewhere(plan, rng)
    wanted = RoomTypes(model.types, table.type[ticket], abroad(servers.region[stub_owner], plan, rng))
    step = int(max(stub_count.max(), place_count.max())) + 1
    by_count = slots.in_region * step + place_count
    exactly, most_alike = wanted.in_region * step + stub_count, wanted.kind * step + stub_count
    placed_alike = slots.kind * step + place_count
    stub_of = meet(
        len(by_count),
        (lambda at: by_count[at], *slots.levels(plan.regions)[:-1], lambda at: placed_alike[at]),
        (lambda at: exactly[at], *wanted.levels(plan.regions)[:-1], lambda at: most_alike[at]),
        rng,
    )
    order = order_of(by_count)
    matching = match(
        blocks=places,
        block_group=np.zeros(plan.rooms, dtype=np.int64),
        slot_order=order,
        stub_order=stub_of[order],
        stub_owner=stub_owner,
        group_slots=np.array([0, len(stub_owner)]),
        group_owners=np.array([0, len(servers.users)]),
        seed=draw_seed(rng),
        stub_weight=stub_count,
    )
    users = np.minimum(stub_count[matching.stub], servers.users[matching.owner])
    return matching.owner, place_room, users


def _like(key: Integers, value: Integers, number: Integers) -> Conditional:
    order = np.argsort(key, kind="stable")
    return Conditional(key[order], value[order], number[order])


def _enough(users: Integers, offsets: Integers, n: Integers, rng: np.random.Generator) -> Integers:
    """Every user of a server in a room: where counts sum to less than n, they are raised."""
    missing = n - np.add.reduceat(users, offsets[:-1])
    short = np.flatnonzero(missing > 0)
    if len(short) == 0:
        return users
    at = take(offsets, short)
    users = users.copy()
    ends = offsets_of(np.diff(offsets)[short])
    caps = np.repeat(n[short], np.diff(ends)) - users[at]
    users[at] += apportion(missing[short], ends, users[at], caps, rng)
    return users


@njit(cache=True)
def _settle(offsets: Integers, room: Integers, users: Integers, n: Integers, gap: Integers) -> None:
    """Move users of one server from rooms with too many (gap < 0) to rooms with too few (gap > 0), in place.

    The body's servers first, the head servers, which are at the front and in most rooms, last.
    """
    for server in range(len(n) - 1, -1, -1):
        begin, end = offsets[server], offsets[server + 1]
        giver, taker = begin, begin
        while giver < end and taker < end:
            if gap[room[giver]] >= 0 or users[giver] <= 1:
                giver += 1
            elif gap[room[taker]] <= 0 or users[taker] >= n[server]:
                taker += 1
            else:
                moved = min(min(-gap[room[giver]], users[giver] - 1), min(gap[room[taker]], n[server] - users[taker]))
                users[giver] -= moved
                users[taker] += moved
                gap[room[giver]] += moved
                gap[room[taker]] -= moved
