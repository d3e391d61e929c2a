"""What a statistic that can stream asks of a federation: margins and presences whole, users and memberships by parts.

Two things answer: a :class:`~fedgen.federation.Federation` in memory, whose only part is all of it, and a federation
that stays in its directory (:class:`fedgen.io.stored.Stored`). A statistic over these tables needs memory for servers,
rooms, presences and one or two bytes per user, whichever of them it looks at, and never holds the memberships.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fedgen.federation import Integers, Presences


class Tables(Protocol):
    """A federation of S servers, U users, R rooms, M memberships, K presences, laid out as a Federation is."""

    @property
    def n_servers(self) -> int:
        """S."""

    @property
    def n_users(self) -> int:
        """U."""

    @property
    def n_rooms(self) -> int:
        """R."""

    @property
    def n_memberships(self) -> int:
        """M."""

    @property
    def n_presences(self) -> int:
        """K."""

    @property
    def users_per_server(self) -> Integers:
        """n_s, (S,)."""

    @property
    def rooms_per_server(self) -> Integers:
        """m_s, (S,)."""

    @property
    def memberships_per_server(self) -> Integers:
        """e_s, (S,)."""

    @property
    def users_per_room(self) -> Integers:
        """u_r, (R,)."""

    @property
    def servers_per_room(self) -> Integers:
        """k_r, (R,)."""

    @property
    def rooms_per_user(self) -> Integers:
        """d_u, (U,), in any signed type that holds it: count it by parts, where a copy in 8 bytes would be large."""

    @property
    def presences(self) -> Presences:
        """The server-room pairs."""

    def user_parts(self) -> Iterator[tuple[Integers, Integers]]:
        """The server and the number of rooms of each user, some users at a time, in order."""

    def membership_parts(self) -> Iterator[tuple[Integers, Integers]]:
        """The user and the room of each membership, some at a time, sorted by room, then user."""

    def check(self) -> None:
        """Prove every invariant, or raise :class:`~fedgen.errors.InvariantError`."""


def users_by_rooms(tables: Tables) -> Integers:
    """(D + 1,) how many users are in 0, 1, ..., D rooms, D the most that any is in."""
    number = np.zeros(int(tables.rooms_per_user.max(initial=0)) + 1, dtype=np.int64)
    for _, rooms in tables.user_parts():
        number += np.bincount(rooms, minlength=len(number))
    return number
