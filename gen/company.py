r"""Who met meets again: owners change places until as many meet again as should.

Types say what kind of room a server or a user goes to, not which; so the same two come together less often than
they were measured to (:mod:`fitting.company`). Mended by exchanges: two slots are drawn whose rooms are alike,
equal in k and u up to ten and within a sixth beyond, of the same community and region, for servers with as many
users in both, for users on the same server. Their owners change places if that brings the number of pairs of
servers (of butterflies of users) nearer to its target. Every degree stays, and so do sizes and loads, since the
rooms are alike.

For owners v in room a and w in room b, the change is a sum over the others in a and in b of what one meeting more
or less counts: with c rooms shared, a pair counts :math:`[c > 0]` as a pair, :math:`\binom{c}{2}` as butterflies.
Meetings are counted in a hash table of pairs, open addressing with linear probing. Rooms larger than the model
looked at take no part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from fedgen.federation import Federation
from fedgen.ragged import offsets_of, order_of
from fitting.company import meetings
from gen.draws import draw_below
from gen.streams import Stage, draw_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedgen.federation import Integers
    from fitting.model import Model
    from gen.plan import Plan
    from gen.types import RoomTypes

TRIES = 20
"""Most exchanges looked at, per slot."""
PACE = 0.01
"""Once as many exchanges as there are slots bring less than this share of the way, it is given up."""
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def reunite_servers(
    server: Integers, room: Integers, users: Integers, n_heads: int, plan: Plan, model: Model, types: RoomTypes
) -> Integers:
    """The servers of all presences, those of the body exchanged: of those who meet as few are strangers as measured.

    Args:
        server, room, users: (K,) of each presence, in any order; servers below ``n_heads`` stay where they are.
        n_heads, plan, model: what is drawn.
        types: (R,) of the rooms.
    """
    company = model.company
    if company is None:
        return server
    k = np.bincount(room, minlength=plan.rooms)
    u = np.bincount(room, weights=users, minlength=plan.rooms).astype(np.int64)
    order = order_of(room)
    slots = [_classes(alike[room[order]], users[order]) for alike in _alike(types, k, u)]
    looked_at = k <= company.most_servers
    met = meetings(k[looked_at])
    again = (1.0 - company.server_pairs / max(company.server_meetings, 1)) * near_home(plan)
    target = met * (1.0 - again)
    settled = server.copy()
    body = server[order] >= n_heads
    seed = draw_seed(plan.stream(Stage.COMPANY))
    settled[order] = _reunite(server[order], offsets_of(k), slots, body, looked_at, True, target, seed)
    return settled


def near_home(plan: Plan) -> float:
    """The share of meetings of two who both stay in their region; who came from anywhere does not meet again there."""
    return 1.0 if plan.regions == 1 else (1.0 - plan.scenario.growth.locality) ** 2


def reunite_users(federation: Federation, plan: Plan, model: Model, types: RoomTypes, seed: int) -> Federation:
    """The federation with users of equal servers exchanged: those who meet meet again as often as measured."""
    company = model.company
    if company is None:
        return federation
    k, u = federation.servers_per_room, federation.users_per_room
    home = federation.user_server[federation.membership_user]
    slots = [_classes(home, alike[federation.membership_room]) for alike in _alike(types, k, u)]
    looked_at = u <= company.most_users
    target = near_home(plan) * company.butterflies * meetings(u[looked_at]) / max(company.user_meetings, 1)
    everyone = np.ones(len(home), dtype=bool)
    offsets, member = federation.room_offsets, federation.membership_user
    owner = _reunite(member, offsets, slots, everyone, looked_at, False, target, seed)
    return Federation.from_pairs(
        federation.user_server,
        owner,
        federation.membership_room,
        n_servers=federation.n_servers,
        n_rooms=federation.n_rooms,
    )


def _alike(types: RoomTypes, k: Integers, u: Integers) -> tuple[Integers, Integers]:
    """Which rooms pass for equal: first those of one community, then all of the region."""
    near = _near(k), _near(u)
    return _classes(types.region, types.community, *near), _classes(types.region, *near)


def _near(size: Integers) -> Integers:
    """Sizes that pass for equal: each up to ten, then steps of a sixth."""
    return np.where(size <= 10, size, 10 + np.rint(np.log(np.maximum(size, 10) / 10) / np.log(7 / 6)).astype(np.int64))


def _classes(*columns: Integers) -> Integers:
    """One number for every distinct row."""
    order = order_of(*columns)
    new = np.zeros(len(order), dtype=bool)
    for column in columns:
        new[1:] |= column[order][1:] != column[order][:-1]
    label = np.empty(len(order), dtype=np.int64)
    label[order] = np.cumsum(new)
    return label


def _reunite(
    owner: Integers,
    offsets: Integers,
    slots: Sequence[Integers],
    movable: Integers,
    looked_at: Integers,
    pairs: bool,
    target: float,
    seed: int,
) -> Integers:
    """Owners of slots after the exchanges; slots lie room after room."""
    sizes = np.diff(offsets)
    found = int((sizes[looked_at] * (sizes[looked_at] - 1) // 2).sum())
    if found == 0:
        return owner
    movable = movable & np.repeat(looked_at, sizes)
    settled = owner.astype(np.int64)
    bits = max(8, int(found).bit_length() + 1)
    room = np.repeat(np.arange(len(sizes)), sizes)
    for i, slot in enumerate(slots):
        candidates = np.flatnonzero(movable)
        candidates = candidates[np.argsort(slot[candidates], kind="stable")]
        begin = np.searchsorted(slot[candidates], slot[candidates])
        end = np.searchsorted(slot[candidates], slot[candidates], side="right")
        several = np.flatnonzero(end - begin > 1)
        key = np.uint64((seed + i) % 2**64)
        _exchange(settled, offsets, room, looked_at, candidates, begin, end, several, pairs, target, bits, key)
    return settled


@njit(cache=True)
def _exchange(
    owner: Integers,
    offsets: Integers,
    room: Integers,
    looked_at: Integers,
    candidates: Integers,
    begin: Integers,
    end: Integers,
    movable: Integers,
    pairs: bool,
    target: float,
    bits: int,
    seed: np.uint64,
) -> None:
    n_owners = owner.max() + 1
    keys = np.full(1 << bits, -1, dtype=np.int64)
    count = np.zeros(1 << bits, dtype=np.int32)
    used = 0
    total = 0
    for r in range(len(offsets) - 1):
        if looked_at[r]:
            for i in range(offsets[r], offsets[r + 1]):
                for j in range(i + 1, offsets[r + 1]):
                    if 4 * used > 3 * len(keys):
                        keys, count = _twice(keys, count)
                    at = _find(keys, _pair(owner[i], owner[j], n_owners))
                    used += keys[at] < 0
                    keys[at] = _pair(owner[i], owner[j], n_owners)
                    total += _gain(count[at], pairs)
                    count[at] += 1
    fewer = total > target
    seen = np.full(n_owners, -1, dtype=np.int64)
    counter = 0
    distance = abs(total - target)
    before = distance
    for attempt in range(TRIES * len(movable)):
        if attempt > 0 and attempt % len(movable) == 0:
            left = abs(total - target)
            if before - left < PACE * distance:
                break
            before = left
        if abs(total - target) <= 0.5 or (total > target) != fewer:
            break
        if 4 * used > 3 * len(keys):
            keys, count = _twice(keys, count)
        position = movable[draw_below(seed, counter, len(movable))]
        i = candidates[position]
        j = candidates[begin[position] + draw_below(seed, counter + 1, end[position] - begin[position])]
        counter += 2
        v, w, a, b = owner[i], owner[j], room[i], room[j]
        if v == w or a == b:
            continue
        # 2 attempt: in room a alone; 2 attempt + 1: in both.
        for s in range(offsets[a], offsets[a + 1]):
            seen[owner[s]] = 2 * attempt
        possible = seen[w] != 2 * attempt
        change = 0
        for s in range(offsets[b], offsets[b + 1]):
            x = owner[s]
            if x == v:
                possible = False
            if x == w or not possible:
                continue
            if seen[x] == 2 * attempt:
                seen[x] = 2 * attempt + 1
            else:
                change += _gain(_met(keys, count, v, x, n_owners), pairs)
                change -= _gain(_met(keys, count, w, x, n_owners) - 1, pairs)
        if not possible:
            continue
        for s in range(offsets[a], offsets[a + 1]):
            x = owner[s]
            if x != v and seen[x] == 2 * attempt:
                change += _gain(_met(keys, count, w, x, n_owners), pairs)
                change -= _gain(_met(keys, count, v, x, n_owners) - 1, pairs)
        if abs(total + change - target) >= abs(total - target):
            continue
        total += change
        for s in range(offsets[b], offsets[b + 1]):
            x = owner[s]
            if x != w and seen[x] != 2 * attempt + 1:
                used += _meet(keys, count, v, x, n_owners, 1)
                used += _meet(keys, count, w, x, n_owners, -1)
        for s in range(offsets[a], offsets[a + 1]):
            x = owner[s]
            if x != v and seen[x] == 2 * attempt:
                used += _meet(keys, count, w, x, n_owners, 1)
                used += _meet(keys, count, v, x, n_owners, -1)
        owner[i], owner[j] = w, v


@njit(cache=True)
def _gain(met: int, pairs: bool) -> int:
    """What one meeting more counts for two who have met so often."""
    if pairs:
        return 1 if met == 0 else 0
    return met


@njit(cache=True)
def _pair(v: int, w: int, n_owners: int) -> int:
    return v * n_owners + w if v < w else w * n_owners + v


@njit(cache=True)
def _find(keys: Integers, key: int) -> int:
    """Where a pair is, or would be."""
    last = len(keys) - 1
    at = np.int64((np.uint64(key) * _GOLDEN) >> np.uint64(20)) & last
    while keys[at] != key and keys[at] != -1:
        at = (at + 1) & last
    return int(at)


@njit(cache=True)
def _met(keys: Integers, count: Integers, v: int, w: int, n_owners: int) -> int:
    at = _find(keys, _pair(v, w, n_owners))
    return count[at] if keys[at] != -1 else 0


@njit(cache=True)
def _meet(keys: Integers, count: Integers, v: int, w: int, n_owners: int, times: int) -> int:
    """Count a meeting; returns 1 where the pair is new in the table."""
    key = _pair(v, w, n_owners)
    at = _find(keys, key)
    new = keys[at] == -1
    keys[at] = key
    count[at] += times
    return 1 if new else 0


@njit(cache=True)
def _twice(keys: Integers, count: Integers) -> tuple[Integers, Integers]:
    """The same table with twice the room."""
    larger, counted = np.full(2 * len(keys), -1, dtype=np.int64), np.zeros(2 * len(keys), dtype=np.int32)
    for at in range(len(keys)):
        if keys[at] != -1 and count[at] > 0:
            to = _find(larger, keys[at])
            larger[to] = keys[at]
            counted[to] = count[at]
    return larger, counted
