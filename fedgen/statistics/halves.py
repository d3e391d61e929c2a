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
        return np.stack([np.bincount(f.user_server[d > 0], minlength=f.n_servers) for d in self.rooms_per_user])

    def over_users(self, values: Floats) -> Floats:
        """(R,) the sum over the users of each room of (2, U) ``values``, those of the room's half."""
        return np.asarray(
            _over_nodes(self.federation.membership_user, self.federation.room_offsets, self.first, values)
        )

    def over_servers(self, values: Floats) -> Floats:
        """(R,) the sum over the servers of each room of (2, S) ``values``, those of the room's half."""
        p = self.federation.presences
        return np.asarray(_over_nodes(p.server, p.offsets, self.first, values))

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
def _over_nodes(node: Any, offsets: Any, first: Any, values: Any) -> Any:
    """(R,) the sum of ``values`` of the room's half, (2, nodes), over the nodes in each room."""
    total = np.zeros(len(first))
    for room in range(len(first)):
        half = 0 if first[room] else 1
        for i in range(offsets[room], offsets[room + 1]):
            total[room] += values[half, node[i]]
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
