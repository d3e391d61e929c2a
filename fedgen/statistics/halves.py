r"""Two halves of a federation's rooms, both at once.

What :func:`~fedgen.statistics.subset.with_rooms` makes of each half, without making it: a federation of the same rooms
with twice the users and twice the servers, one of each for either half. A membership belongs to the user of its room's
half, so that every margin of both halves is one count over all memberships. Users and servers without a room in a half
have zeros there, and take no part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

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
    def member(self) -> NDArray[np.intp]:
        """(M,) the user of each membership: u in the first half, U + u in the second."""
        federation = self.federation
        shift = np.where(self.first, 0, federation.n_users)
        return np.repeat(shift, federation.users_per_room) + federation.membership_user

    @cached_property
    def present(self) -> NDArray[np.intp]:
        """(K,) the server of each presence: s in the first half, S + s in the second."""
        p = self.federation.presences
        return np.where(self.first, 0, self.federation.n_servers)[p.room] + p.server

    @cached_property
    def rooms_per_user(self) -> Integers:
        """(2, U)."""
        return np.bincount(self.member, minlength=2 * self.federation.n_users).reshape(2, -1)

    @cached_property
    def users_per_server(self) -> Integers:
        """(2, S)."""
        federation = self.federation
        seen = self.rooms_per_user > 0
        return np.stack([np.bincount(federation.user_server[half], minlength=federation.n_servers) for half in seen])

    @cached_property
    def rooms_per_server(self) -> Integers:
        """(2, S)."""
        return np.bincount(self.present, minlength=2 * self.federation.n_servers).reshape(2, -1)

    @cached_property
    def weight(self) -> Floats:
        """(K,) the sum of 1/d over the users of each presence, d in the half of its room."""
        federation = self.federation
        share = 1.0 / np.maximum(self.rooms_per_user.ravel(), 1)
        p = federation.presences
        starts = np.cumsum(p.users) - p.users
        return np.add.reduceat(share[self.member], starts) if len(starts) else np.zeros(0)

    def per_server(self, weights: Floats) -> Floats:
        """(2, S) the sums over the presences of each server in each half of (K,) ``weights``."""
        size = 2 * self.federation.n_servers
        return np.bincount(self.present, weights=weights, minlength=size).reshape(2, -1)
