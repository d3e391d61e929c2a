r"""Layer 3, second half: the users of each server meet its places, exact degrees on both sides, nobody twice in a room.

A user has a *stub* for each of their rooms, of the type that their ticket names; a presence has as many *places* as it
counts users. Inside each server stubs meet places level by level (as in :mod:`gen.meeting`): those of equal code
(region and type) first, the rest by ever coarser keys, and by the last key whoever is left in order. Where a class has
more stubs than places, those that are seated are drawn at random; where it has fewer, its presences share them in
proportion (systematic sampling, as in :mod:`gen.apportion`).

Everything is linear in the memberships: stubs are counted before they are made, so that they are made sorted by code,
and met region by region (:mod:`gen.pairing`), while they are in the caches. Whoever then sits twice in a presence has
to go (:mod:`gen.repeats`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from gen.draws import GOLDEN, draw_bits, draw_unit, draw_up_to
from gen.pairing import pair, pair_equals, sort_stubs
from gen.repeats import unrepeat

if TYPE_CHECKING:
    from fedgen.federation import Integers


@dataclass(frozen=True, eq=False)
class Places:
    """What is to be filled: the presences of each server, in the order of their codes.

    Attributes:
        servers: (S + 1,) presences of server s are ``servers[s]:servers[s + 1]``.
        blocks: (K + 1,) places of presence p are ``blocks[p]:blocks[p + 1]``.
        code: (K,) region times number of types, plus type.
    """

    servers: Integers
    blocks: Integers
    code: Integers


@dataclass(frozen=True, eq=False)
class Stubs:
    """Who fills it: users in runs of alike ones, and what their tickets name.

    Attributes:
        users: (S + 1,) users of server s are ``users[s]:users[s + 1]``.
        runs: (S + 1,) runs of server s are ``runs[s]:runs[s + 1]``.
        number: (N,) users of a run.
        rooms: (N,) d of each of them.
        row: (N,) whose tickets they inherit.
        tickets: (rows + 1,) tickets of a row are ``tickets[row]:tickets[row + 1]``.
        type: (E,) the type of room that a ticket names.
        region: (S,) where the users of a server live; -1 - c: in the regions c, c + copies, ... where its places are.
    """

    users: Integers
    runs: Integers
    number: Integers
    rooms: Integers
    row: Integers
    tickets: Integers
    type: Integers
    region: Integers


@dataclass(frozen=True, eq=False)
class Levels:
    """By what stubs meet places: at each level those of equal key, by the last one in order of the key.

    Attributes:
        places: (L, codes) the key of places of each code.
        stubs: (L, codes) likewise of stubs; a key that the other side lacks meets nobody.
        types: how many types there are.
        regions: how many regions stubs can be of.
        copies: see :attr:`Stubs.region`.
        locality: the share of stubs that go to any region.
        at_home: at so many of the first levels nobody meets but in a region, which no stub leaves; 0: some leave.
    """

    places: Integers
    stubs: Integers
    types: int
    regions: int
    copies: int
    locality: float
    at_home: int = 0


def fill(places: Places, stubs: Stubs, levels: Levels, seed: int) -> Integers:
    """(M,) the user in each place, rising and distinct within each presence."""
    owner = _meet(
        places.servers,
        places.blocks,
        places.code,
        stubs.users,
        stubs.runs,
        np.ascontiguousarray(stubs.number, dtype=np.int64),
        stubs.rooms,
        stubs.row,
        stubs.tickets,
        stubs.type,
        stubs.region,
        levels.places,
        levels.stubs,
        levels.at_home,
        levels.types,
        levels.regions,
        levels.copies,
        levels.locality,
        np.uint64(seed),
    )
    unrepeat(owner, places.servers, places.blocks, stubs.users, np.uint64(seed))
    return owner


def by_room(owner: Integers, blocks: Integers, room: Integers, offsets: Integers) -> Integers:
    """Users of presences that lie server after server, (M,), laid out room after room.

    Args:
        owner: (M,) users, rising within each presence and from server to server.
        blocks: (K + 1,) where the users of each presence begin.
        room: (K,) of each presence.
        offsets: (R + 1,) where the users of each room begin.
    """
    return np.asarray(_by_room(owner, blocks, room, offsets))


@njit(cache=True, nogil=True)
def _by_room(owner: Integers, blocks: Integers, room: Integers, offsets: Integers) -> Integers:
    laid = np.empty_like(owner)
    at = offsets[:-1].copy()
    for p in range(len(room)):
        to = at[room[p]]
        for i in range(blocks[p], blocks[p + 1]):
            laid[to] = owner[i]
            to += 1
        at[room[p]] = to
    return laid


@njit(cache=True, nogil=True)
def _meet(
    servers: Integers,
    blocks: Integers,
    place_code: Integers,
    users: Integers,
    runs: Integers,
    run_number: Integers,
    run_rooms: Integers,
    run_row: Integers,
    tickets: Integers,
    ticket_type: Integers,
    region: Integers,
    place_keys: Integers,
    stub_keys: Integers,
    at_home: int,
    types: int,
    regions: int,
    copies: int,
    locality: float,
    seed: np.uint64,
) -> Integers:
    n_levels, n_codes = place_keys.shape
    owner = np.empty(blocks[-1], dtype=np.int32)
    most, widest = 0, 0
    for s in range(len(servers) - 1):
        most = max(most, blocks[servers[s + 1]] - blocks[servers[s]])
        widest = max(widest, servers[s + 1] - servers[s])
    user, code = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32)
    user_sorted, code_sorted = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32)
    user_left, code_left = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32)
    filled = np.empty(widest, dtype=np.int64)
    begin = np.zeros(n_codes + 1, dtype=np.int64)
    n_lookup = 256
    while n_lookup < 16 * regions:
        n_lookup *= 2
    lookup = np.zeros(n_lookup, dtype=np.int32)
    state = np.zeros(1, dtype=np.uint64)
    for s in range(len(servers) - 1):
        first, last = servers[s], servers[s + 1]
        n = users[s + 1] - users[s]
        if n == 1 or last - first == 1:  # everybody is everywhere
            for p in range(first, last):
                for place in range(blocks[p], blocks[p + 1]):
                    owner[place] = users[s] + place - blocks[p]
            continue
        state[0] = seed + np.uint64(s) * GOLDEN
        codes, number = place_code[first:last], run_number[runs[s] : runs[s + 1]]
        rooms, row = run_rooms[runs[s] : runs[s + 1]], run_row[runs[s] : runs[s + 1]]
        if region[s] < 0:
            _look_up(lookup, codes, blocks[first : last + 1], types, regions, copies, -1 - region[s])
            here, low_region, high_region = _spread(number, lookup, regions, state), 0, regions
        else:
            here, low_region, high_region = number.reshape(1, -1), region[s], region[s] + 1
        filled[: last - first] = 0
        who, left = users[s], 0
        for r in range(low_region, high_region if at_home > 0 else low_region + 1):
            # What stays in a region is met there, while the region's stubs are in the caches.
            until = r + 1 if at_home > 0 else high_region
            low = first + np.searchsorted(codes, r * types) if at_home > 0 else first
            high = first + np.searchsorted(codes, until * types) if at_home > 0 else last
            base, codes_here = (r * types, (until - r) * types) if at_home > 0 else (0, n_codes)
            ends = begin[: codes_here + 1]
            ends[:] = 0
            begun, whose = state[0], who
            for writes in (False, True):  # counted first, with the same draws
                if writes:
                    state[0], who = begun, whose
                    for c in range(codes_here):
                        ends[c + 1] += ends[c]
                for living in range(r, until):
                    who = _emit(
                        user,
                        ends if writes else ends[1:],
                        writes,
                        who,
                        here[living - low_region],
                        rooms,
                        row,
                        tickets,
                        ticket_type,
                        living,
                        base,
                        types,
                        regions,
                        locality,
                        state,
                    )
            count = pair_equals(
                user,
                ends,
                base,
                codes[low - first : high - first],
                blocks[low : high + 1],
                filled[low - first : high - first],
                owner,
                user_sorted,
                code_sorted,
                state,
            )
            for level in range(1, at_home):
                if count == 0:
                    break
                user[:count], code[:count] = user_sorted[:count], code_sorted[:count]
                sort_stubs(user, code, count, stub_keys[level], user_sorted, code_sorted, begin)
                count = pair(
                    user_sorted,
                    code_sorted,
                    count,
                    stub_keys[level],
                    codes[low - first : high - first],
                    place_keys[level],
                    blocks[low : high + 1],
                    filled[low - first : high - first],
                    owner,
                    False,
                    user,
                    code,
                    state,
                )
                user_sorted[:count], code_sorted[:count] = user[:count], code[:count]
            user_left[left : left + count], code_left[left : left + count] = user_sorted[:count], code_sorted[:count]
            left += count
        for level in range(max(at_home, 1), n_levels):
            if left == 0:
                break
            sort_stubs(user_left, code_left, left, stub_keys[level], user_sorted, code_sorted, begin)
            left = pair(
                user_sorted,
                code_sorted,
                left,
                stub_keys[level],
                codes,
                place_keys[level],
                blocks[first : last + 1],
                filled,
                owner,
                level == n_levels - 1,
                user_left,
                code_left,
                state,
            )
    return owner


@njit(cache=True, nogil=True)
def _look_up(
    lookup: Integers, place_code: Integers, blocks: Integers, types: int, regions: int, copies: int, copy: int
) -> None:
    """Fill a table from which the region of a user is drawn: regions in proportion to their places."""
    weight = np.zeros(regions, dtype=np.int64)
    for p in range(len(place_code)):
        r = place_code[p] // types
        if r < regions and r % copies == copy:
            weight[r] += blocks[p + 1] - blocks[p]
    total = weight.sum()
    if total == 0:
        for r in range(copy, regions, copies):
            weight[r] = 1
        total = weight.sum()
    if total == 0:
        weight[copy % regions] = total = 1
    r, upto = 0, weight[0]
    for i in range(len(lookup)):
        while upto * len(lookup) <= i * total:
            r += 1
            upto += weight[r]
        lookup[i] = r


@njit(cache=True, nogil=True)
def _spread(number: Integers, lookup: Integers, regions: int, state: Integers) -> Integers:
    """(regions, runs) how many users of each run live in each region: everyone's is drawn from the table.

    Who lives together gets numbers that lie together: so do then the users of a room.
    """
    here = np.zeros((regions, len(number)), dtype=np.int64)
    mask = np.uint64(len(lookup) - 1)
    for run in range(len(number)):
        for _ in range(number[run]):
            here[lookup[draw_bits(state) & mask], run] += 1
    return here


@njit(cache=True, nogil=True)
def _emit(
    user: Integers,
    at: Integers,
    writes: bool,
    who: int,
    number: Integers,
    rooms: Integers,
    row: Integers,
    tickets: Integers,
    ticket_type: Integers,
    home: int,
    base: int,
    types: int,
    regions: int,
    locality: float,
    state: Integers,
) -> int:
    """The stubs of the users of one region, each ticket as often as any other, up to one.

    Where ``writes``, the user of each goes to ``user[at[code - base]]``; in any case ``at[code - base]`` grows by one.
    So called twice with the same state it counts them first and then sorts them by code.

    Args:
        who: the first user.
        number: (N,) users of each run that live here.
        home: the region.

    Returns:
        The first user who is not of them.
    """
    for run in range(len(number)):
        begin = tickets[row[run]]
        there = tickets[row[run] + 1] - begin
        often, more = rooms[run] // there, rooms[run] % there
        if not writes and more == 0 and locality == 0.0:
            for ticket in range(begin, begin + there):
                at[home * types - base + ticket_type[ticket]] += often * number[run]
            who += number[run]
            continue
        for _ in range(number[run]):
            for i in range(often * there + more):
                ticket = begin + i % there
                if i >= often * there:
                    if i == often * there:
                        step, offset = there / more, draw_unit(state)
                    ticket = begin + min(np.int64((i - often * there + offset) * step), there - 1)
                code = home * types - base + ticket_type[ticket]
                if locality > 0.0 and draw_unit(state) < locality:
                    code = draw_up_to(state, regions) * types - base + ticket_type[ticket]
                if writes:
                    user[at[code]] = who
                at[code] += 1
            who += 1
    return who
