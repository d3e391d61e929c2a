r"""Layer 2: which server is in which room, with how many users.

A server of the body has m *stubs* whose counts sum to e, a room has *places* whose counts sum to its body users; both
sets of counts are shared out in proportion to counts measured in servers and rooms of the same kind. Stub and place
meet by the measured mixing of (server kind) with (room kind, class of count), and by count within a kind. The stub's
count is what holds, so e, m and count <= n are exact; where a room's sum then misses its users, users are moved
between two rooms of one server, head servers included, which changes no total but the two rooms'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from fitting.classes import nearest_kind, pair_kind, size_class
from gen.apportion import apportion, reconcile
from gen.matching import match
from gen.mixing import Conditional, blend, draw_rows, pass_on
from gen.ragged import offsets_of, take
from gen.streams import Stage, stream

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
    """

    offsets: Integers
    room: Integers
    users: Integers
    server_users: Integers

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
    order = np.argsort(server * np.int64(plan.rooms) + room)
    n = np.concatenate((plan.head_users, servers.users))
    offsets = offsets_of(np.bincount(server, minlength=plan.servers))
    users = _enough(users[order], offsets, n, stream(plan.seed, Stage.PLACEMENT, 1))
    room = room[order]
    wanted = rooms.body_users + np.bincount(rooms.head_room, weights=rooms.head_users, minlength=plan.rooms)
    gap = wanted.astype(np.int64) - np.bincount(room, weights=users, minlength=plan.rooms).astype(np.int64)
    _settle(offsets, room, users, n, gap)
    return Placement(offsets, room, users, n)


def _place_body(model: Model, plan: Plan, rooms: Rooms, servers: Servers) -> tuple[Integers, Integers, Integers]:
    """(server, room, users) of each body presence."""
    kind = pair_kind(servers.users, servers.rooms)
    room_kind = pair_kind(rooms.servers, _beyond(rooms) + 1)
    stubs, places = offsets_of(servers.rooms), offsets_of(rooms.body_servers)
    stub_owner = np.repeat(np.arange(len(servers.users)), servers.rooms)
    place_room = np.repeat(np.arange(plan.rooms), rooms.body_servers)

    rng = stream(plan.seed, Stage.PRESENCE_COUNTS)
    table = model.presences
    by_server = _like(table.server_kind, table.users, table.number)
    by_room = _like(table.room_kind, table.users, table.number)
    alike = by_server.draw(nearest_kind(kind, by_server.keys)[stub_owner], rng)
    spare = servers.memberships - servers.rooms
    stub_count = 1 + apportion(spare, stubs, alike - 1, (servers.users - 1)[stub_owner], rng)
    alike = by_room.draw(nearest_kind(room_kind, by_room.keys)[place_room], rng)
    most = np.full(len(place_room), int(servers.users.max()) - 1)
    body_users = reconcile(rooms.body_users, rooms.body_servers, plan.users, int(servers.memberships.sum()), rng)
    place_count = 1 + apportion(body_users - rooms.body_servers, places, alike - 1, most, rng)

    rng = stream(plan.seed, Stage.PLACEMENT)
    wish, stub_class = _wishes(model, kind[stub_owner], room_kind[place_room], place_count, rng)
    by_count = np.empty_like(wish)
    by_count[_sorted(np.zeros_like(wish), place_count, rng)] = np.arange(len(wish))
    wish = pass_on(wish, by_count, np.bincount(stub_class, minlength=int(wish.max()) + 1))
    slot_order = np.lexsort((by_count, wish))
    stub_order = _sorted(stub_class, stub_count, rng)
    matching = match(
        blocks=places,
        block_group=np.zeros(plan.rooms, dtype=np.int64),
        slot_order=slot_order,
        stub_order=stub_order,
        stub_owner=stub_owner,
        group_slots=np.array([0, len(stub_owner)]),
        group_owners=np.array([0, len(servers.users)]),
        seed=int(rng.integers(0, 2**63)),
        stub_weight=stub_count,
    )
    users = np.minimum(stub_count[matching.stub], servers.users[matching.owner])
    return matching.owner, place_room, users


def _beyond(rooms: Rooms) -> Integers:
    """u - k, (R,)."""
    heads = np.bincount(rooms.head_room, weights=rooms.head_users - 1, minlength=len(rooms.body_users))
    return rooms.body_users - rooms.body_servers + heads.astype(np.int64)


def _like(key: Integers, value: Integers, number: Integers) -> Conditional:
    order = np.argsort(key, kind="stable")
    return Conditional(key[order], value[order], number[order])


def _wishes(
    model: Model,
    stub_kind: Integers,
    place_kind: Integers,
    place_count: Integers,
    rng: np.random.Generator,
) -> tuple[Integers, Integers]:
    """The server kind that each place wishes for and that each stub has, as row numbers of one table."""
    table = model.presences
    step = 64  # more than there are classes of counts
    measured_column = table.room_kind * step + size_class(table.users)
    column = place_kind * step + size_class(place_count)
    rows, stub_row = np.unique(np.concatenate((table.server_kind, stub_kind)), return_inverse=True)
    columns, place_column = np.unique(np.concatenate((measured_column, column)), return_inverse=True)
    measured = np.zeros((len(rows), len(columns)))
    n = len(table.number)
    np.add.at(measured, (stub_row[:n], place_column[:n]), table.number)
    blended = blend(
        measured,
        np.bincount(stub_row[n:], minlength=len(rows)).astype(np.float64),
        np.bincount(place_column[n:], minlength=len(columns)).astype(np.float64),
    )
    return draw_rows(blended, place_column[n:], rng), stub_row[n:]


def _sorted(kind: Integers, count: Integers, rng: np.random.Generator) -> Integers:
    """The order by kind, then count, random among equals."""
    return np.lexsort((rng.random(len(kind)), count, kind))


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
