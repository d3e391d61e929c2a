r"""Layer 3, second half: the users of each server meet its places, exact degrees on both sides, nobody twice in a room.

A user has a *stub* for each of their rooms, of the type that their ticket names; a presence has as many *places* as it
counts users. Inside each server stubs meet places level by level (as in :mod:`gen.meeting`): those of equal code
(region and type) first, the rest by ever coarser keys, and by the last key whoever is left in order. Where a class has
more stubs than places, those that are seated are drawn at random; where it has fewer, its presences share them in
proportion (systematic sampling, as in :mod:`gen.apportion`).

Whoever then sits twice in a presence changes places with a user of the same server near by in the order of types
first, then ever farther, where neither is in the other's room yet. Where nobody can (the degrees themselves cannot be
met without repetition) another user of the server takes the place: counts stay exact, two degrees change by one.

Everything is linear in the memberships: stubs of a large class are sorted by counting and shuffled in place, the users
of a presence are sorted by radix, and repetitions are then neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from fedgen.federation import Integers

NEAR = 32
"""Partners tried near by first, in a window that grows."""
TRIES = 128
"""Partners tried at random."""
SEARCHED = 2_000
"""Neighbours tried one after the other when that failed."""
EFFORT = 64
"""Most tries per place of a server, all repetitions together: where degrees cannot be met, searching on is vain."""
_SHORT = 48  # up to so many are sorted by insertion
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)


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
    """

    places: Integers
    stubs: Integers
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
        levels.types,
        levels.regions,
        levels.copies,
        levels.locality,
        np.uint64(seed),
    )
    _unrepeat(owner, places.servers, places.blocks, stubs.users, np.uint64(seed))
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
def _next(state: Integers) -> np.uint64:
    """The next 64 random bits: splitmix64 (Steele, Lea and Flood 2014)."""
    state[0] += _GOLDEN
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def _below(state: Integers, below: int) -> np.int64:
    """A number in [0, below), below < 2^32 (Lemire 2019, without his rejection: biased by less than 2^-32)."""
    return np.int64(((_next(state) >> _HALF) * np.uint64(below)) >> _HALF)


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
    filled = np.empty(widest, dtype=np.int64)
    begin = np.zeros(n_codes + 1, dtype=np.int64)
    n_lookup = 256
    while n_lookup < 16 * regions:
        n_lookup *= 2
    lookup = np.zeros(n_lookup, dtype=np.int32)
    state = np.zeros(1, dtype=np.uint64)
    # The last presence that a user was given: as all are numbered no server takes another's for its own.
    sits_in = np.full(np.diff(users).max(), -1, dtype=np.int32)
    for s in range(len(servers) - 1):
        first, last = servers[s], servers[s + 1]
        n = users[s + 1] - users[s]
        if n == 1 or last - first == 1:  # everybody is everywhere
            for p in range(first, last):
                for place in range(blocks[p], blocks[p + 1]):
                    owner[place] = users[s] + place - blocks[p]
            continue
        state[0] = seed + np.uint64(s) * _MIX1
        if region[s] < 0:
            _look_up(lookup, place_code[first:last], blocks[first : last + 1], types, regions, copies, -1 - region[s])
        left = _emit(
            user,
            code,
            users[s],
            run_number[runs[s] : runs[s + 1]],
            run_rooms[runs[s] : runs[s + 1]],
            run_row[runs[s] : runs[s + 1]],
            tickets,
            ticket_type,
            region[s],
            lookup,
            types,
            regions,
            locality,
            state,
        )
        filled[: last - first] = 0
        for level in range(n_levels):
            if left == 0:
                break
            _sort(user, code, left, stub_keys[level], user_sorted, code_sorted, begin)
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
                user,
                code,
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
def _emit(
    user: Integers,
    code: Integers,
    first_user: int,
    number: Integers,
    rooms: Integers,
    row: Integers,
    tickets: Integers,
    ticket_type: Integers,
    home: int,
    lookup: Integers,
    types: int,
    regions: int,
    locality: float,
    state: Integers,
) -> int:
    """Every user's stubs: each ticket as often as any other, up to one; returns how many there are."""
    count = 0
    who = first_user
    mask = np.uint64(len(lookup) - 1)
    for run in range(len(number)):
        begin, d = tickets[row[run]], rooms[run]
        there = tickets[row[run] + 1] - begin
        often, more = d // there, d % there
        for _ in range(number[run]):
            r = home if home >= 0 else np.int64(lookup[_next(state) & mask])
            start = count
            for _ in range(often):
                for ticket in range(begin, begin + there):
                    user[count] = who
                    code[count] = r * types + ticket_type[ticket]
                    count += 1
            if more > 0:
                step, at = there / more, (_next(state) >> np.uint64(11)) * 2.0**-53
                for i in range(more):
                    user[count] = who
                    code[count] = r * types + ticket_type[begin + min(np.int64((i + at) * step), there - 1)]
                    count += 1
            if locality > 0.0:
                for i in range(start, count):
                    if (_next(state) >> np.uint64(11)) * 2.0**-53 < locality:
                        code[i] = _below(state, regions) * types + code[i] % types
            who += 1
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
        other = at + _below(state, end - at)
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
        offset = _below(state, free) if 0 < there < free else 0
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


@njit(cache=True, nogil=True)
def _unrepeat(owner: Integers, servers: Integers, blocks: Integers, users: Integers, seed: np.uint64) -> None:
    """Sort the users of every presence and mend repetitions, in place.

    Who is in a presence is asked of its users as they were sorted at first, and of a set of those who came since; who
    left since counts as if still there, which forbids a swap or two and spares a second set.
    """
    widest = 0
    for p in range(len(blocks) - 1):
        widest = max(widest, blocks[p + 1] - blocks[p])
    spare = np.empty(widest, dtype=np.int32)
    count = np.empty(1 << 11, dtype=np.int64)
    repeats = np.zeros(len(servers) - 1, dtype=np.int64)
    for s in range(len(servers) - 1):
        if users[s + 1] - users[s] > 1 and servers[s + 1] - servers[s] > 1:
            for p in range(servers[s], servers[s + 1]):
                block = owner[blocks[p] : blocks[p + 1]]
                _sort_users(block, users[s], users[s + 1] - users[s], spare, count)
                for i in range(1, len(block)):
                    repeats[s] += block[i] == block[i - 1]
    total = repeats.sum()
    if total == 0:
        return
    size = 16
    while size < 4 * total:
        size *= 2
    came = np.full(size, -1, dtype=np.int64)
    touched = np.zeros(len(blocks) - 1, dtype=np.bool_)
    sorted_owner = owner.copy()
    state = np.zeros(1, dtype=np.uint64)
    for s in range(len(servers) - 1):
        if repeats[s] == 0:
            continue
        state[0] = ~seed + np.uint64(s) * _MIX1
        first, last = servers[s], servers[s + 1]
        low, high = blocks[first], blocks[last]
        budget = EFFORT * (high - low)
        tries = min(TRIES, (high - low) // 4)  # where places are few all are looked at anyway
        for p in range(first, last):
            a, b = blocks[p], blocks[p + 1]
            for i in range(a + 1, b):
                who = sorted_owner[i]
                if sorted_owner[i - 1] != who or owner[i] != who:
                    continue
                twice, at = False, i - 1
                while at >= a and sorted_owner[at] == who and not twice:
                    twice = owner[at] == who
                    at -= 1
                if not twice:
                    continue
                touched[p] = True
                found = False
                for attempt in range(min(budget, tries + min(high - low, SEARCHED))):
                    budget -= 1
                    if attempt < min(NEAR, tries):
                        window = min((b - a + 8) << min(attempt // 3, 40), high - low)
                        away = 1 + _below(state, window)
                        partner = low + (b - 1 - low + away if away & 1 else a - low - away) % (high - low)
                    elif attempt < tries:  # in a presence, not at a place, drawn at random: most are small
                        other_presence = first + _below(state, last - first)
                        size_there = blocks[other_presence + 1] - blocks[other_presence]
                        partner = blocks[other_presence] + _below(state, size_there)
                    else:
                        partner = low + (b - low + attempt - tries) % (high - low)
                    other = owner[partner]
                    if a <= partner < b or _sits(sorted_owner, a, b, other) or _came(came, p, other):
                        continue
                    theirs = first + np.searchsorted(blocks[first : last + 1], partner, side="right") - 1
                    if _sits(sorted_owner, blocks[theirs], blocks[theirs + 1], who) or _came(came, theirs, who):
                        continue
                    owner[i], owner[partner] = other, who
                    _come(came, p, other)
                    _come(came, theirs, who)
                    touched[theirs] = True
                    found = True
                    break
                if not found:  # others of the server, at first those of many rooms, for whom one more is little
                    for attempt in range(TRIES + users[s + 1] - users[s]):
                        other = (
                            owner[low + _below(state, high - low)] if attempt < TRIES else users[s] + attempt - TRIES
                        )
                        if not (_sits(sorted_owner, a, b, other) or _came(came, p, other)):
                            owner[i] = other
                            _come(came, p, other)
                            found = True
                            break
                if not found:  # only those who have left are missing
                    for other in range(users[s], users[s + 1]):
                        if other not in owner[a:b]:
                            owner[i] = other
                            break
        for p in range(first, last):
            if touched[p]:
                _sort_users(owner[blocks[p] : blocks[p + 1]], users[s], users[s + 1] - users[s], spare, count)


@njit(cache=True, nogil=True)
def _sits(owner: Integers, begin: int, end: int, who: int) -> bool:
    """Whether a user is in a sorted presence."""
    while begin < end:
        middle = (begin + end) // 2
        if owner[middle] < who:
            begin = middle + 1
        elif owner[middle] > who:
            end = middle
        else:
            return True
    return False


@njit(cache=True, nogil=True)
def _slot(came: Integers, key: np.int64) -> np.int64:
    """Where a key of the set is, or would be: open addressing, linear probing."""
    last = len(came) - 1
    at = np.int64((np.uint64(key) * _GOLDEN) >> np.uint64(24)) & last
    while came[at] != key and came[at] != -1:
        at = (at + 1) & last
    return at


@njit(cache=True, nogil=True)
def _came(came: Integers, presence: int, who: int) -> bool:
    key = np.int64(presence) << 32 | np.int64(who)
    return came[_slot(came, key)] == key


@njit(cache=True, nogil=True)
def _come(came: Integers, presence: int, who: int) -> None:
    key = np.int64(presence) << 32 | np.int64(who)
    came[_slot(came, key)] = key


@njit(cache=True, nogil=True)
def _sort_users(block: Integers, first: int, n: int, spare: Integers, count: Integers) -> None:
    """Sort the users of a presence, those of a server of n whose first is ``first``, in place."""
    size = len(block)
    if size < _SHORT:
        for i in range(1, size):
            who, at = block[i], i
            while at > 0 and block[at - 1] > who:
                block[at] = block[at - 1]
                at -= 1
            block[at] = who
        return
    bits = 8 if size < 1 << 11 else 11
    mask = (1 << bits) - 1
    source, target = block, spare[:size]
    shift = 0
    while (n - 1) >> shift > 0:
        count[: mask + 1] = 0
        for i in range(size):
            count[((source[i] - first) >> shift) & mask] += 1
        upto = 0
        for digit in range(mask + 1):
            here = count[digit]
            count[digit] = upto
            upto += here
        for i in range(size):
            digit = ((source[i] - first) >> shift) & mask
            target[count[digit]] = source[i]
            count[digit] += 1
        source, target = target, source
        shift += bits
    if (shift // bits) % 2 == 1:
        block[:] = source
