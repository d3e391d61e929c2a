r"""Two halves of a federation's rooms, both at once.

What :func:`~fedgen.statistics.subset.with_rooms` makes of each half, without making it: every margin of both halves is
one count over all memberships, each in the half of its room. Users and servers without a room in a half have zeros
there, and take no part. The nulls of the scorecard split a federation some hundred times, so that the counts are
compiled; each is a loop that any language would have.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from fedgen.statistics.structure import size_class
from fedgen.traffic.equations import Load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedgen.federation import Federation, Floats, Integers


@dataclass(frozen=True, eq=False)
class Split:
    """A federation whose rooms are split in two.

    Attributes:
        federation: of U users, S servers, R rooms, M memberships, K presences.
        first: (R,) whether each room is in the first half.
    """

    federation: Federation
    first: NDArray[np.bool_]

    @cached_property
    def rooms_per_user(self) -> Integers:
        """(2, U) in either half."""
        f = self.federation
        return _degrees(f.membership_user, f.room_offsets, self.first, f.n_users)

    @cached_property
    def rooms_per_server(self) -> Integers:
        """(2, S) in either half."""
        p = self.federation.presences
        return _degrees(p.server, p.offsets, self.first, self.federation.n_servers)

    @cached_property
    def users_per_server(self) -> Integers:
        """(2, S): of the users with a room in the half."""
        f = self.federation
        return np.asarray(_hosted(f.user_server, self.rooms_per_user, f.n_servers))

    @cached_property
    def users_by_class(self) -> Integers:
        """(2, 6, D): of each half the users with 0, 1, ... rooms on servers of each size class; none has 0."""
        f, rooms = self.federation, self.rooms_per_user
        label = size_class(np.maximum(self.users_per_server, 1))
        return np.asarray(_classed(f.user_server, label, rooms, 6, int(rooms.max(initial=0)) + 1))

    def over_users(self, sizes: Integers, values: Floats) -> Floats:
        """(R,) the sum over the users of each room of the value of their size: (2, U) and (2, sizes), by half."""
        f = self.federation
        return np.asarray(_over_nodes(f.membership_user, f.room_offsets, self.first, sizes, values))

    def over_servers(self, sizes: Integers, values: Floats) -> Floats:
        """(R,) the sum over the servers of each room of the value of their size: (2, S) and (2, sizes), by half."""
        p = self.federation.presences
        return np.asarray(_over_nodes(p.server, p.offsets, self.first, sizes, values))

    @cached_property
    def load(self) -> Load:
        """tx and rx, (2, S) each, at rate 1: equations 2 and 3 of the paper in either half."""
        f, p = self.federation, self.federation.presences
        speaks = 1.0 / np.maximum(self.rooms_per_user, 1)
        return Load(*_loads(f.membership_user, p.users, p.server, p.offsets, self.first, speaks, f.n_servers))


@njit(cache=True)
def _degrees(node: Any, offsets: Any, first: Any, nodes: Any) -> Any:
    """(2, nodes) in how many rooms of either half each node is; rooms are rows of ``node``."""
    degree = np.zeros((2, nodes), dtype=np.int64)
    for room in range(len(first)):
        half = 0 if first[room] else 1
        for i in range(offsets[room], offsets[room + 1]):
            degree[half, node[i]] += 1
    return degree


@njit(cache=True)
def _hosted(home: Any, rooms: Any, servers: Any) -> Any:
    """(2, S) how many users of each server are in a room of either half; ``rooms`` is (2, U), ``home`` never falls."""
    users = np.zeros((2, servers), dtype=np.int64)
    for half in range(2):
        seen, server = 0, 0
        for user in range(len(home)):
            if home[user] != server:  # kept in a register meanwhile: a hub is one place for most users
                users[half, server] += seen
                seen, server = 0, home[user]
            seen += rooms[half, user] > 0
        if len(home) > 0:
            users[half, server] += seen
    return users


@njit(cache=True)
def _classed(home: Any, label: Any, rooms: Any, classes: Any, bins: Any) -> Any:
    """(2, classes, bins) users by the ``label`` of their server, (2, S), and their rooms, (2, U)."""
    number = np.zeros((2, classes, bins), dtype=np.int64)
    for half in range(2):
        for user in range(len(home)):
            degree = rooms[half, user]
            if degree > 0:
                number[half, label[half, home[user]], degree] += 1
    return number


@njit(cache=True)
def _over_nodes(node: Any, offsets: Any, first: Any, sizes: Any, values: Any) -> Any:
    """(R,) the sum over the nodes in each room of the value of their size, both of the room's half."""
    total = np.zeros(len(first))
    for room in range(len(first)):
        half = 0 if first[room] else 1
        for i in range(offsets[room], offsets[room + 1]):
            total[room] += values[half, sizes[half, node[i]]]
    return total


@njit(cache=True)
def _loads(member: Any, users: Any, server: Any, offsets: Any, first: Any, speaks: Any, servers: Any) -> Any:
    """(2, S) tx and (2, S) rx; memberships come presence by presence, presences room by room."""
    tx, rx = np.zeros((2, servers)), np.zeros((2, servers))
    weight = np.zeros(len(users))
    at = 0
    for room in range(len(first)):
        half = 0 if first[room] else 1
        others = offsets[room + 1] - offsets[room] - 1
        total = 0.0
        for i in range(offsets[room], offsets[room + 1]):
            for _ in range(users[i]):
                weight[i] += speaks[half, member[at]]
                at += 1
            total += weight[i]
        if others > 0:  # alone, a server hears nobody, not even a rounding error
            for i in range(offsets[room], offsets[room + 1]):
                tx[half, server[i]] += weight[i] * others
                rx[half, server[i]] += total - weight[i]
    return tx, rx
