"""The presences of a drawn federation, in one pass: what :attr:`fedgen.federation.Federation.presences` says.

Sums of weights are taken user after user, so they are the same wherever and however often they are taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from fedgen.federation import Presences

if TYPE_CHECKING:
    from fedgen.federation import Federation, Integers


def degrees(federation: Federation) -> Integers:
    """d of every user, (U,)."""
    return np.asarray(_degrees(federation.membership_user, federation.n_users))


def project(federation: Federation, d: Integers) -> Presences:
    """The presences of a federation whose users have degrees ``d``."""
    k, *columns = _project(federation.user_server, federation.room_offsets, federation.membership_user, d)
    offsets = np.concatenate(([0], np.cumsum(k)))
    server, room, users, weight = columns
    return Presences(server, room, users, weight, offsets)


@njit(cache=True, nogil=True)
def _degrees(member: Integers, n_users: int) -> Integers:
    d = np.zeros(n_users, dtype=np.int32)
    for user in member:
        d[user] += 1
    return d


@njit(cache=True, nogil=True)
def _project(
    user_server: Integers, offsets: Integers, member: Integers, d: Integers
) -> tuple[Integers, Integers, Integers, Integers, Integers]:
    """k of every room, then server, room, users and weight of every presence."""
    n_rooms = len(offsets) - 1
    k = np.zeros(n_rooms, dtype=np.int64)
    count = 0
    for room in range(n_rooms):
        last = -1
        for i in range(offsets[room], offsets[room + 1]):
            if user_server[member[i]] != last:
                last = user_server[member[i]]
                k[room] += 1
        count += k[room]
    server, in_room = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int32)
    users, weight = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.float64)
    at = -1
    for room in range(n_rooms):
        last = -1
        for i in range(offsets[room], offsets[room + 1]):
            user = member[i]
            if user_server[user] != last:
                last = user_server[user]
                at += 1
                server[at], in_room[at] = last, room
            users[at] += 1
            weight[at] += 1.0 / d[user]
    return k, server, in_room, users, weight
