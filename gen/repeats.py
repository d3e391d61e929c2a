r"""Nobody twice in a room: the users of every presence sorted, and repetitions mended.

Whoever sits twice in a presence changes places with a user of the same server where neither is in the other's room yet:
one near by in the order of types, as likely the larger their room is; else the one in the nearest presence that can be.
Where nobody can (the degrees themselves cannot be met without repetition) another user of the server takes the place:
counts stay exact, two degrees change by one.

Who is in a presence is asked of its users as they were sorted at first, and of a set of those who came since; who left
since counts as if still there, which forbids a swap or two and spares a second set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from gen.draws import GOLDEN, draw_up_to

if TYPE_CHECKING:
    from fedgen.federation import Integers

NEAR = 32
"""Partners tried near by, in a window that grows."""
SEARCHED = 2_000
"""Presences looked through one after the other when that failed, the nearest first."""
PLACES = 32
"""Places looked at in each of them."""
TRIES = 128
"""Users drawn for a place that nobody can be swapped into."""
_SHORT = 48  # up to so many are sorted by insertion
_FEW = 16  # and up to so many that are out of order


@njit(cache=True, nogil=True)
def unrepeat(owner: Integers, servers: Integers, blocks: Integers, users: Integers, seed: np.uint64) -> None:
    """Sort the users of every presence and mend repetitions, in place.

    Args:
        owner: (M,) the user in each place.
        servers: (S + 1,) presences of server s are ``servers[s]:servers[s + 1]``.
        blocks: (K + 1,) places of presence p are ``blocks[p]:blocks[p + 1]``.
        users: (S + 1,) users of server s are ``users[s]:users[s + 1]``.
        seed: of the draws.
    """
    widest = 0
    for p in range(len(blocks) - 1):
        widest = max(widest, blocks[p + 1] - blocks[p])
    spare = np.empty(widest, dtype=np.int32)
    count = np.empty(1 << 11, dtype=np.int64)
    repeats = np.zeros(len(servers) - 1, dtype=np.int64)
    state = np.zeros(1, dtype=np.uint64)
    members = np.zeros(np.diff(servers).max(), dtype=np.uint64)
    for s in range(len(servers) - 1):
        n = users[s + 1] - users[s]
        if n == 1 or servers[s + 1] - servers[s] == 1:
            continue
        state[0] = ~seed + np.uint64(s) * GOLDEN
        if n <= 64:
            _unrepeat_few(owner, blocks[servers[s] : servers[s + 1] + 1], users[s], n, members, state)
            continue
        for p in range(servers[s], servers[s + 1]):
            block = owner[blocks[p] : blocks[p + 1]]
            _sort_users(block, spare, count)
            for i in range(1, len(block)):
                repeats[s] += block[i] == block[i - 1]
    if repeats.sum() == 0:
        return
    size = 16
    while size < 4 * repeats.sum():
        size *= 2
    came = np.full(size, -1, dtype=np.int64)
    touched = np.zeros(len(blocks) - 1, dtype=np.int32)
    at_first = owner.copy()
    for s in range(len(servers) - 1):
        if repeats[s] == 0:
            continue
        state[0] = ~seed + np.uint64(s) * GOLDEN
        first, last = servers[s], servers[s + 1]
        for p in range(first, last):
            for place in range(blocks[p] + 1, blocks[p + 1]):
                who = at_first[place]
                if at_first[place - 1] != who or owner[place] != who:
                    continue
                twice, before = False, place - 1
                while before >= blocks[p] and at_first[before] == who and not twice:
                    twice = owner[before] == who
                    before -= 1
                if not twice:
                    continue
                touched[p] += 1
                theirs, partner = _find_partner(owner, at_first, came, blocks, first, last, p, who, state)
                if partner >= 0:
                    other = owner[partner]
                    owner[partner] = who
                    touched[theirs] += 1
                    _come(came, theirs, who)
                else:
                    other = _find_other(owner, at_first, came, blocks, first, last, p, users[s], users[s + 1], state)
                owner[place] = other
                _come(came, p, other)
        for p in range(first, last):
            if touched[p] > _FEW:
                _sort_users(owner[blocks[p] : blocks[p + 1]], spare, count)
            elif touched[p] > 0:
                _insert(owner[blocks[p] : blocks[p + 1]])


@njit(cache=True, nogil=True)
def _unrepeat_few(
    owner: Integers, blocks: Integers, first_user: int, n: int, members: Integers, state: Integers
) -> None:
    """The same on a server of at most 64 users, where who is in a presence is a set of bits.

    Args:
        blocks: (K + 1,) where its presences begin in ``owner``.
        first_user, n: its users.
        members: scratch, of K numbers.
    """
    one = np.uint64(1)
    m = len(blocks) - 1
    missing = 0
    for p in range(m):
        members[p] = 0
        for place in range(blocks[p], blocks[p + 1]):
            bit = one << np.uint64(owner[place] - first_user)
            missing += members[p] & bit != 0
            members[p] |= bit
    for p in range(m if missing > 0 else 0):
        seen = np.uint64(0)
        for place in range(blocks[p], blocks[p + 1]):
            bit = one << np.uint64(owner[place] - first_user)
            if seen & bit == 0:
                seen |= bit
                continue
            # Whoever is in the nearest presence that lacks this user, and not in this one, comes here.
            found = False
            for step in range(1, m):
                theirs = (p + ((step + 1) // 2 if step & 1 else -(step // 2))) % m
                if members[theirs] & bit != 0 or members[theirs] & ~members[p] == 0:
                    continue
                size = blocks[theirs + 1] - blocks[theirs]
                start = draw_up_to(state, size)
                for i in range(size):
                    partner = blocks[theirs] + (start + i) % size
                    other = one << np.uint64(owner[partner] - first_user)
                    if members[p] & other == 0:
                        owner[place], owner[partner] = owner[partner], owner[place]
                        members[theirs] &= ~other
                        for place_there in range(blocks[theirs], blocks[theirs + 1]):  # who was there twice still is
                            members[theirs] |= one << np.uint64(owner[place_there] - first_user)
                        members[p] |= other
                        seen |= other
                        found = True
                        break
                break
            if found:
                continue
            low, high = blocks[0], blocks[m]
            for attempt in range(TRIES + n):
                other_user = (
                    owner[low + draw_up_to(state, high - low)] if attempt < TRIES else first_user + attempt - TRIES
                )
                other = one << np.uint64(other_user - first_user)
                if members[p] & other == 0:
                    owner[place] = other_user
                    members[p] |= other
                    seen |= other
                    break
    for p in range(m):
        _insert(owner[blocks[p] : blocks[p + 1]])


@njit(cache=True, nogil=True)
def _find_partner(
    owner: Integers,
    at_first: Integers,
    came: Integers,
    blocks: Integers,
    first: int,
    last: int,
    p: int,
    who: int,
    state: Integers,
) -> tuple[np.int64, np.int64]:
    """(presence, place) of a user who can change places with ``who``, who is in presence p; (-1, -1) if none is found.

    The presences of the server are those from ``first`` to ``last``.
    """
    low, high = blocks[first], blocks[last]
    a, b = blocks[p], blocks[p + 1]
    for attempt in range(min(NEAR, (high - low) // 4)):
        window = min((b - a + 8) << min(attempt // 3, 40), high - low)
        away = 1 + draw_up_to(state, window)
        partner = low + (b - 1 - low + away if away & 1 else a - low - away) % (high - low)
        if a <= partner < b or _is_in(at_first, came, blocks, p, owner[partner]):
            continue
        theirs = first + np.searchsorted(blocks[first : last + 1], partner, side="right") - 1
        if not _is_in(at_first, came, blocks, theirs, who):
            return theirs, partner
    n = last - first
    for step in range(1, min(n, SEARCHED + 1)):
        away = np.int64((step + 1) // 2 if step & 1 else -(step // 2))
        theirs = np.int64(first + (p - first + away) % n)
        if _is_in(at_first, came, blocks, theirs, who):
            continue
        size = blocks[theirs + 1] - blocks[theirs]
        start = draw_up_to(state, size)
        for i in range(min(size, PLACES)):
            partner = blocks[theirs] + (start + i) % size
            if not _is_in(at_first, came, blocks, p, owner[partner]):
                return theirs, partner
    return np.int64(-1), np.int64(-1)


@njit(cache=True, nogil=True)
def _find_other(
    owner: Integers,
    at_first: Integers,
    came: Integers,
    blocks: Integers,
    first: int,
    last: int,
    p: int,
    first_user: int,
    last_user: int,
    state: Integers,
) -> int:
    """A user of the server who is not in presence p; at first of many rooms, for whom one more is little."""
    low, high = blocks[first], blocks[last]
    for attempt in range(TRIES + last_user - first_user):
        other = owner[low + draw_up_to(state, high - low)] if attempt < TRIES else first_user + attempt - TRIES
        if not _is_in(at_first, came, blocks, p, other):
            return other
    for other in range(first_user, last_user):  # only those who have left are missing
        if other not in owner[blocks[p] : blocks[p + 1]]:
            return other
    return -1


@njit(cache=True, nogil=True)
def _is_in(at_first: Integers, came: Integers, blocks: Integers, p: int | np.int64, who: int) -> bool:
    """Whether a user is, or was, in a presence."""
    begin, end = blocks[p], blocks[p + 1]
    while begin < end:
        middle = (begin + end) // 2
        if at_first[middle] < who:
            begin = middle + 1
        else:
            end = middle
    if begin < blocks[p + 1] and at_first[begin] == who:
        return True
    key = np.int64(p) << 32 | np.int64(who)
    return came[_slot(came, key)] == key


@njit(cache=True, nogil=True)
def _slot(came: Integers, key: np.int64) -> np.int64:
    """Where a key of the set is, or would be: open addressing, linear probing."""
    last = len(came) - 1
    at = np.int64((np.uint64(key) * GOLDEN) >> np.uint64(24)) & last
    while came[at] != key and came[at] != -1:
        at = (at + 1) & last
    return at


@njit(cache=True, nogil=True)
def _come(came: Integers, presence: int | np.int64, who: int) -> None:
    key = np.int64(presence) << 32 | np.int64(who)
    came[_slot(came, key)] = key


@njit(cache=True, nogil=True)
def _insert(block: Integers) -> None:
    for i in range(1, len(block)):
        who, at = block[i], i
        while at > 0 and block[at - 1] > who:
            block[at] = block[at - 1]
            at -= 1
        block[at] = who


@njit(cache=True, nogil=True)
def _sort_users(block: Integers, spare: Integers, count: Integers) -> None:
    """Sort the users of a presence in place: by insertion, or by radix of their distance to the first."""
    size = len(block)
    rises = 1
    while rises < size and block[rises] >= block[rises - 1]:
        rises += 1
    if rises >= size:
        return
    if size < _SHORT:
        _insert(block)
        return
    if 4 * (size - rises) < size:  # most were dealt in order: the others are merged in
        spare[: size - rises] = block[rises:]
        tail = spare[: size - rises]
        _sort_users(tail, spare[size - rises :], count)
        at, i, j = size - 1, rises - 1, size - rises - 1
        while j >= 0:
            if i >= 0 and block[i] > tail[j]:
                block[at] = block[i]
                i -= 1
            else:
                block[at] = tail[j]
                j -= 1
            at -= 1
        return
    first, last = block[0], block[0]
    for who in block:
        first, last = min(first, who), max(last, who)
    bits = 8 if size < 1 << 11 else 11
    mask = (1 << bits) - 1
    source, target = block, spare[:size]
    shift = 0
    while (last - first) >> shift > 0:
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
