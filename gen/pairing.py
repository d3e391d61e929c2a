"""Stubs of one server meet its places by key: the kernels of :mod:`gen.seating`.

Stubs are two arrays, their users and their codes; places are presences, of which so many places each are filled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from gen.draws import draw_up_to

if TYPE_CHECKING:
    from fedgen.federation import Integers

_SHORT = 48  # up to so many are sorted by insertion
_FEW_PRESENCES = 16  # up to so many are looked through for every stub


@njit(cache=True, nogil=True)
def pair_equals(
    user: Integers,
    ends: Integers,
    base: int,
    place_code: Integers,
    blocks: Integers,
    filled: Integers,
    owner: Integers,
    user_left: Integers,
    code_left: Integers,
    state: Integers,
) -> int:
    """Give places to stubs of their very code; returns how many stubs are left, and which.

    Where a code has few presences its stubs, which rise by user, are dealt one by one: so presences are filled in
    rising order, and whoever was just given a place of the same presence is seen to be. Elsewhere they are shuffled.

    Args:
        user: stubs sorted by code, then user.
        ends: where those of each code from ``base`` on end.
        place_code, blocks, filled: of the presences, sorted by code.
    """
    left = stub = i = 0
    free = np.empty(len(place_code) + 1, dtype=np.int64)
    for code in range(base, base + len(ends) - 1):
        end, j, wanted = ends[code - base], i, 0
        while j < len(place_code) and place_code[j] == code:
            wanted += blocks[j + 1] - blocks[j]
            j += 1
        there = end - stub
        if i < j and j - i <= _FEW_PRESENCES and there > 0:
            _quotas(free, i, j, blocks, there, wanted, state)
            open_places = max(there, free[: j - i].sum())
            free[j - i] = open_places - free[: j - i].sum()  # nowhere
            while stub < end:
                who, p = user[stub], 0
                drawn = draw_up_to(state, open_places) if j - i > 1 or free[1] > 0 else np.int64(0)
                while drawn >= free[p]:
                    drawn -= free[p]
                    p += 1
                tried = 0
                while p < j - i and (
                    free[p] == 0 or (filled[i + p] > 0 and owner[blocks[i + p] + filled[i + p] - 1] == who)
                ):
                    tried += 1
                    p = (p + 1) % (j - i) if tried < j - i else j - i
                if p < j - i:
                    owner[blocks[i + p] + filled[i + p]] = who
                    filled[i + p] += 1
                    free[p] -= 1
                    open_places -= 1
                else:
                    user_left[left], code_left[left] = who, code
                    left += 1
                    if free[p] > 0:
                        free[p] -= 1
                        open_places -= 1
                stub += 1
                if open_places == 0:
                    break
        elif i < j and there > 0:
            _shuffle(user, stub, end, min(there, wanted), state)
            _quotas(free, i, j, blocks, there, wanted, state)
            for p in range(i, j):
                filled[p] = free[p - i]
                owner[blocks[p] : blocks[p] + filled[p]] = user[stub : stub + filled[p]]
                stub += filled[p]
        while stub < end:
            user_left[left], code_left[left] = user[stub], code
            left += 1
            stub += 1
        i = j
    return left


@njit(cache=True, nogil=True)
def _quotas(free: Integers, i: int, j: int, blocks: Integers, there: int, wanted: int, state: Integers) -> None:
    """How many of ``there`` stubs each presence from i to j gets: all it wants, or its share (systematic sampling)."""
    before, offset = 0, draw_up_to(state, wanted) if there < wanted else np.int64(0)
    for p in range(i, j):
        size = blocks[p + 1] - blocks[p]
        free[p - i] = size
        if there < wanted:
            free[p - i] = ((before + size) * there + offset) // wanted - (before * there + offset) // wanted
        before += size


@njit(cache=True, nogil=True)
def _shuffle(user: Integers, begin: int, end: int, count: int, state: Integers) -> None:
    """Bring ``count`` of the users from ``begin`` to ``end``, drawn at random, to their front."""
    for at in range(begin, min(begin + count, end - 1)):
        other = at + draw_up_to(state, end - at)
        user[at], user[other] = user[other], user[at]


@njit(cache=True, nogil=True)
def sort_stubs(
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
def _shuffle_both(user: Integers, code: Integers, begin: int, end: int, count: int, state: Integers) -> None:
    """Bring ``count`` of the stubs from ``begin`` to ``end``, drawn at random, to their front."""
    for at in range(begin, min(begin + count, end - 1)):
        other = at + draw_up_to(state, end - at)
        user[at], user[other] = user[other], user[at]
        code[at], code[other] = code[other], code[at]


@njit(cache=True, nogil=True)
def pair(
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
                    _shuffle_both(user, code, a, b, b - a, state)
                    a = b
        elif j - i > 1 or there > free:
            _shuffle_both(user, code, stub, end, min(there, free), state)
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
            for _ in range(got):
                owner[to] = user[stub]
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
