r"""Which users of a server are in which of its rooms, when only the numbers on both sides are known.

Rooms take their users one room after the other: those who have most rooms left to go to, ties at random (Gale 1957,
Ryser 1957: if any bipartite graph has these degrees, this rule makes one). Where none has them, a room that finds too
few users with rooms left takes others beyond their number: rooms are met exactly, users as nearly as the rooms allow.
Nobody goes without: as long as a user has gone to no room, no other goes beyond their number, so when all memberships
are dealt the user has had theirs.

The rule puts the busiest users together. So rooms *trade* afterwards: two rooms of a server pool the users that are in
one of them only and deal them anew at random (Strona et al. 2014), which keeps all numbers and, repeated, makes every
graph that has them equally likely (Carstens 2015). Twenty trades a room: the correlation of rooms per user and users
per room, in a hub of 27,000 rooms, is then what it is after a hundred; after five it is not.

Users of a server lie in an array that never rises in rooms left. The c users of a room are its first ones; of the run
of ties that the border cuts, members drawn at random go to the end of the run, so that what is left still never rises.
A room costs its users and one binary search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from fedgen.federation import Integers

TRADES = 20


def deal(
    server_users: Integers, server_places: Integers, places: Integers, rooms: Integers, rng: np.random.Generator
) -> Integers:
    """(M,) the user of each membership, presence after presence; distinct within each.

    Args:
        server_users: (S + 1,) users of server s are ``server_users[s]:server_users[s + 1]``.
        server_places: (S + 1,) its presences are ``server_places[s]:server_places[s + 1]``.
        places: (K + 1,) where the memberships of each presence begin; none has more than its server has users.
        rooms: (U,) in how many rooms each user is to be, >= 1; their sum over a server is its memberships.
        rng: of ties and trades.
    """
    return np.asarray(
        _deal(
            np.ascontiguousarray(server_users, dtype=np.int64),
            np.ascontiguousarray(server_places, dtype=np.int64),
            np.ascontiguousarray(places, dtype=np.int64),
            np.ascontiguousarray(rooms, dtype=np.int64),
            TRADES,
            rng,
        )
    )


@njit(cache=True, nogil=True)
def _deal(server_users: Any, server_places: Any, places: Any, rooms: Any, trades: int, rng: Any) -> Any:
    dealt = np.empty(places[-1], dtype=np.int64)
    mark = np.zeros(len(rooms), dtype=np.int64)
    pool = np.empty(len(rooms), dtype=np.int64)
    stamp = 0
    for s in range(len(server_users) - 1):
        first, last = server_users[s], server_users[s + 1]
        user = first + np.argsort(-rooms[first:last], kind="mergesort")
        left = rooms[user]
        begin, end = server_places[s], server_places[s + 1]
        for p in range(begin, end):
            _take(user, left, dealt[places[p] : places[p + 1]], rng)
        if last - first == 1:
            continue
        for _ in range(trades * (end - begin)):
            one, other = begin + int(rng.random() * (end - begin)), begin + int(rng.random() * (end - begin))
            if one != other:
                stamp += 2
                ours, theirs = dealt[places[one] : places[one + 1]], dealt[places[other] : places[other + 1]]
                _trade(ours, theirs, mark, pool, stamp, rng)
    return dealt


@njit(cache=True, nogil=True)
def _take(user: Any, left: Any, taken: Any, rng: Any) -> None:
    """Fill ``taken`` with the users who have most rooms left; ``user`` and ``left`` stay in order."""
    number = len(taken)
    border = left[number - 1]
    start, end = _first_below(left, border + 1), _first_below(left, border)
    kept = end - (number - start)  # of the run of ties, those before it stay
    for i in range(end - 1, kept - 1, -1):
        other = start + int(rng.random() * (i + 1 - start))
        user[i], user[other] = user[other], user[i]
    for i in range(start):
        taken[i] = user[i]
        left[i] -= 1
    for i in range(kept, end):
        taken[start + i - kept] = user[i]
        left[i] -= 1


@njit(cache=True, nogil=True)
def _first_below(left: Any, value: int) -> int:
    """The first position whose value is below ``value``, in an array that never rises."""
    low, high = 0, len(left)
    while low < high:
        middle = (low + high) // 2
        if left[middle] >= value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _trade(ours: Any, theirs: Any, mark: Any, pool: Any, stamp: int, rng: Any) -> None:
    """Deal the users that are in one of two rooms only anew; ``mark`` holds nothing from ``stamp`` up."""
    for i in range(len(ours)):
        mark[ours[i]] = stamp
    both = 0
    for i in range(len(theirs)):
        if mark[theirs[i]] == stamp:
            mark[theirs[i]] = stamp + 1
            both += 1
    if both == len(ours) or both == len(theirs):
        return
    size = 0
    for i in range(len(ours)):
        if mark[ours[i]] == stamp:
            pool[size] = ours[i]
            size += 1
    mine = size
    for i in range(len(theirs)):
        if mark[theirs[i]] != stamp + 1:
            pool[size] = theirs[i]
            size += 1
    for i in range(mine):
        other = i + int(rng.random() * (size - i))
        pool[i], pool[other] = pool[other], pool[i]
    at = 0
    for i in range(len(ours)):
        if mark[ours[i]] == stamp:
            ours[i] = pool[at]
            at += 1
    for i in range(len(theirs)):
        if mark[theirs[i]] != stamp + 1:
            theirs[i] = pool[at]
            at += 1
