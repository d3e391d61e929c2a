r"""Layer 3, second half: the users of each server meet its places, exact degrees on both sides, nobody twice in a room.

A user has a *stub* for each of their rooms, of the type that their ticket names; a presence has as many *places* as it
counts users. Inside each server stubs meet places level by level (as in :mod:`gen.meeting`): those of equal code
(region and type) first, the rest by ever coarser keys, and by the last key whoever is left in order. Where a class has
more stubs than places, those that are seated are drawn at random; where it has fewer, its presences share them in
proportion (systematic sampling, as in :mod:`gen.apportion`).

Everything is linear in the memberships: stubs of a large class are sorted by counting and shuffled in place. Whoever
then sits twice in a presence has to go (:mod:`gen.repeats`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from gen.draws import GOLDEN, draw_bits, draw_up_to
from gen.repeats import unrepeat

if TYPE_CHECKING:
    from fedgen.federation import Integers

_SHORT = 48  # up to so many are sorted by insertion


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
        at_home: at so many of the first levels nobody meets but in a region that no stub leaves; 0: none leaves or not.
        types: how many types there are.
        regions: how many regions stubs can be of.
        copies: see :attr:`Stubs.region`.
        locality: the share of stubs that go to any region.
    """

    places: Integers
    stubs: Integers
    at_home: int
    types: int
    regions: int
    copies: int
    locality: float


def fill(places: Places, stubs: Stubs, levels: Levels, seed: int) -> Integers:
    """(M,) the user in each place, rising and distinct within each presence."""
    owner = _meet(
        places.servers,
        places.blocks,
        places.code,
        stubs.users,
        stubs.runs,
        stubs.number,
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
    most, widest, crowd = 0, 0, 0
    for s in range(len(servers) - 1):
        most = max(most, blocks[servers[s + 1]] - blocks[servers[s]])
        widest = max(widest, servers[s + 1] - servers[s])
        crowd = max(crowd, users[s + 1] - users[s])
    user, code = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32)
    user_sorted, code_sorted = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32)
    user_left, code_left = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32)
    filled = np.empty(widest, dtype=np.int64)
    begin = np.zeros(n_codes + 1, dtype=np.int64)
    n_lookup = 256
    while n_lookup < 16 * regions:
        n_lookup *= 2
    lookup = np.zeros(n_lookup, dtype=np.int32)
    lives_in, run_of = np.empty(crowd, dtype=np.int32), np.empty(crowd, dtype=np.int32)
    settled = np.zeros(regions + 1, dtype=np.int64)
    # The last presence that a user was given: as all are numbered no server takes another's for its own.
    sits_in = np.full(crowd, -1, dtype=np.int32)
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
        if region[s] < 0:
            _look_up(lookup, place_code[first:last], blocks[first : last + 1], types, regions, copies, -1 - region[s])
            _settle(run_of[:n], lives_in, settled, run_number[runs[s] : runs[s + 1]], lookup, state)
            from_region, to_region = 0, regions
        else:
            _settle_together(run_of, lives_in[:n], region[s], run_number[runs[s] : runs[s + 1]])
            settled[region[s]], settled[region[s] + 1] = 0, n
            from_region, to_region = region[s], region[s] + 1
        if at_home == 0:
            settled[0], settled[1] = 0, n
            from_region, to_region = 0, 1
        filled[: last - first] = 0
        left = 0
        codes = place_code[first:last]
        for r in range(from_region, to_region):
            # What stays in a region is met there, as long as the region's stubs are in the caches.
            low = first + np.searchsorted(codes, r * types) if at_home > 0 else first
            high = first + np.searchsorted(codes, (r + 1) * types) if at_home > 0 else last
            count = _emit(
                user,
                code,
                users[s] + settled[r],
                run_of[settled[r] : settled[r + 1]],
                lives_in[settled[r] : settled[r + 1]],
                run_rooms[runs[s] : runs[s + 1]],
                run_row[runs[s] : runs[s + 1]],
                tickets,
                ticket_type,
                types,
                regions,
                locality,
                state,
            )
            for level in range(at_home):
                if count == 0:
                    break
                _sort(user, code, count, stub_keys[level], user_sorted, code_sorted, begin)
                count = _pair(
                    user_sorted,
                    code_sorted,
                    count,
                    stub_keys[level],
                    place_code[low:high],
                    place_keys[level],
                    blocks[low : high + 1],
                    filled[low - first : high - first],
                    owner,
                    False,
                    user,
                    code,
                    sits_in,
                    users[s],
                    low,
                    state,
                )
            user_left[left : left + count], code_left[left : left + count] = user[:count], code[:count]
            left += count
        for level in range(at_home, n_levels):
            if left == 0:
                break
            _sort(user_left, code_left, left, stub_keys[level], user_sorted, code_sorted, begin)
            left = _pair(
                user_sorted,
                code_sorted,
                left,
                stub_keys[level],
                place_code[first:last],
                place_keys[level],
                blocks[first : last + 1],
                filled,
                owner,
                level == n_levels - 1,
                user_left,
                code_left,
                sits_in,
                users[s],
                first,
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
def _settle(
    run_of: Integers, lives_in: Integers, settled: Integers, number: Integers, lookup: Integers, state: Integers
) -> None:
    """Draw the region of each of a server's users; which run each is of, and where those of each region begin.

    Who lives together gets numbers that lie together: so do then the users of a room.
    """
    mask = np.uint64(len(lookup) - 1)
    settled[:] = 0
    for i in range(len(run_of)):
        lives_in[i] = lookup[draw_bits(state) & mask]
        settled[lives_in[i] + 1] += 1
    for r in range(len(settled) - 1):
        settled[r + 1] += settled[r]
    at, i = settled.copy(), 0
    for run in range(len(number)):
        for _ in range(number[run]):
            run_of[at[lives_in[i]]] = run
            at[lives_in[i]] += 1
            i += 1
    for r in range(len(settled) - 1):
        lives_in[settled[r] : settled[r + 1]] = r


@njit(cache=True, nogil=True)
def _settle_together(run_of: Integers, lives_in: Integers, region: int, number: Integers) -> None:
    """The same for users who live in one region."""
    lives_in[:] = region
    i = 0
    for run in range(len(number)):
        for _ in range(number[run]):
            run_of[i] = run
            i += 1


@njit(cache=True, nogil=True)
def _emit(
    user: Integers,
    code: Integers,
    who: int,
    run_of: Integers,
    lives_in: Integers,
    rooms: Integers,
    row: Integers,
    tickets: Integers,
    ticket_type: Integers,
    types: int,
    regions: int,
    locality: float,
    state: Integers,
) -> int:
    """The stubs of users from ``who`` on, each ticket as often as any other, up to one; returns how many there are."""
    count = 0
    for i in range(len(run_of)):
        run, home = run_of[i], lives_in[i] * types
        begin = tickets[row[run]]
        there = tickets[row[run] + 1] - begin
        often, more, start = rooms[run] // there, rooms[run] % there, count
        for _ in range(often):
            for ticket in range(begin, begin + there):
                user[count] = who + i
                code[count] = home + ticket_type[ticket]
                count += 1
        if more > 0:
            step, at = there / more, (draw_bits(state) >> np.uint64(11)) * 2.0**-53
            for j in range(more):
                user[count] = who + i
                code[count] = home + ticket_type[begin + min(np.int64((j + at) * step), there - 1)]
                count += 1
        if locality > 0.0:
            for j in range(start, count):
                if (draw_bits(state) >> np.uint64(11)) * 2.0**-53 < locality:
                    code[j] = draw_up_to(state, regions) * types + code[j] % types
    return count


@njit(cache=True, nogil=True)
def _sort(
    user: Integers,
    code: Integers,
    count: int,
    keys: Integers,
    user_sorted: Integers,
    code_sorted: Integers,
    begin: Integers,
) -> None:
    """The first ``count`` stubs by key, equals in their order."""
    if count < _SHORT:
        for i in range(count):
            u, c = user[i], code[i]
            key, at = keys[c], i
            while at > 0 and keys[code_sorted[at - 1]] > key:
                user_sorted[at], code_sorted[at] = user_sorted[at - 1], code_sorted[at - 1]
                at -= 1
            user_sorted[at], code_sorted[at] = u, c
    else:
        begin[:] = 0
        for i in range(count):
            begin[keys[code[i]] + 1] += 1
        for k in range(len(begin) - 1):
            begin[k + 1] += begin[k]
        for i in range(count):
            at = begin[keys[code[i]]]
            begin[keys[code[i]]] = at + 1
            user_sorted[at], code_sorted[at] = user[i], code[i]


@njit(cache=True, nogil=True)
def _shuffle(user: Integers, code: Integers, begin: int, end: int, count: int, state: Integers) -> None:
    """Bring ``count`` of the stubs from ``begin`` to ``end``, drawn at random, to their front."""
    for at in range(begin, min(begin + count, end - 1)):
        other = at + draw_up_to(state, end - at)
        user[at], user[other] = user[other], user[at]
        code[at], code[other] = code[other], code[at]


@njit(cache=True, nogil=True)
def _pair(
    user: Integers,
    code: Integers,
    count: int,
    stub_keys: Integers,
    place_code: Integers,
    place_keys: Integers,
    blocks: Integers,
    filled: Integers,
    owner: Integers,
    in_order: bool,
    user_left: Integers,
    code_left: Integers,
    sits_in: Integers,
    first_user: int,
    first: int,
    state: Integers,
) -> int:
    """Give places to sorted stubs of equal key, or ``in_order`` to all; returns how many stubs are left, and which."""
    keys = np.empty(len(place_code), dtype=np.int64)
    open_places = 0
    for p in range(len(place_code)):
        if filled[p] < blocks[p + 1] - blocks[p]:
            keys[open_places] = np.int64(place_keys[place_code[p]]) << 32 | p
            open_places += 1
    keys = keys[:open_places]
    rising = True
    for i in range(1, open_places):
        if keys[i] < keys[i - 1]:
            rising = False
            break
    if not rising:
        keys.sort()
    left = stub = i = 0
    while i < open_places:
        key, j, free = keys[i] >> 32, i, 0
        while j < open_places and (in_order or keys[j] >> 32 == key):
            p = keys[j] & 0xFFFFFFFF
            free += blocks[p + 1] - blocks[p] - filled[p]
            j += 1
        while not in_order and stub < count and stub_keys[code[stub]] < key:
            user_left[left], code_left[left] = user[stub], code[stub]
            left += 1
            stub += 1
        end = stub
        while end < count and (in_order or stub_keys[code[end]] == key):
            end += 1
        there = end - stub
        if in_order:
            a = stub
            for b in range(stub + 1, end + 1):
                if b == end or stub_keys[code[b]] != stub_keys[code[a]]:
                    _shuffle(user, code, a, b, b - a, state)
                    a = b
        elif j - i > 1 or there > free:
            _shuffle(user, code, stub, end, min(there, free), state)
        # Who there are too few of is shared out: the i-th place up to A gets floor((A * there + v) / free).
        take, before = min(there, free), 0
        offset = draw_up_to(state, free) if 0 < there < free else 0
        for at in range(i, j):
            if take == 0:
                break
            p = keys[at] & 0xFFFFFFFF
            wanted = blocks[p + 1] - blocks[p] - filled[p]
            got = wanted
            if there < free:
                got = ((before + wanted) * there + offset) // free - (before * there + offset) // free
            before += wanted
            to = blocks[p] + filled[p]
            other = stub
            for _ in range(got):
                # Whoever is in the presence already waits for another one, between ``stub`` and ``other``.
                other = max(other, stub)
                while not in_order and other < end and sits_in[user[other] - first_user] == first + p:
                    other += 1
                if other == end:
                    break
                who = user[other]
                user[other], user[stub] = user[stub], who
                code[other], code[stub] = code[stub], code[other]
                sits_in[who - first_user] = first + p
                owner[to] = who
                to += 1
                stub += 1
            filled[p] = to - blocks[p]
        while stub < end:
            user_left[left], code_left[left] = user[stub], code[stub]
            left += 1
            stub += 1
        i = j
    while stub < count:
        user_left[left], code_left[left] = user[stub], code[stub]
        left += 1
        stub += 1
    return left
