"""The attendance: which servers attend which rooms and how many users are in each; nobody's memberships.

It is what a crawl sees of a federation whose rooms it does not join: of every room the servers in it, and one number,
its users. Unseen are the users themselves: U, n and e of a server, the counts of presences, d of a user. A federation
has one attendance (:meth:`Attendance.of`), an attendance many federations; ``fedgen fit`` completes it to one under
assumptions that it declares (docs/attendance.md).

Layout as in :mod:`fedgen.federation`: dense ids from 0, presences grouped by room and rising by server within it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fedgen.federation import forbid, forbid_at, index_dtype

if TYPE_CHECKING:
    from fedgen.federation import Federation, Integers


@dataclass(frozen=True, eq=False)
class Attendance:
    """Servers in rooms, rooms of so many users.

    Attributes:
        n_servers: S.
        room_offsets: (R + 1,) the presences of room r are ``room_offsets[r]:room_offsets[r + 1]``.
        presence_server: (K,) the server of each presence, rising strictly within a room.
        users_per_room: u_r, (R,), of all servers together.
    """

    n_servers: int
    room_offsets: Integers
    presence_server: Integers
    users_per_room: Integers

    @classmethod
    def of(cls, federation: Federation) -> Attendance:
        """What a crawl that joins no room would see of a federation."""
        p = federation.presences
        return cls(federation.n_servers, p.offsets, p.server, federation.users_per_room)

    # Sizes, by the letters of the docs.

    @property
    def n_rooms(self) -> int:
        """R."""
        return len(self.users_per_room)

    @property
    def n_presences(self) -> int:
        """K."""
        return len(self.presence_server)

    @property
    def n_memberships(self) -> int:
        """M: the sum of u is seen, though no membership is."""
        return int(self.users_per_room.sum())

    @property
    def users_range(self) -> tuple[int, int]:
        """The fewest and the most users that it allows.

        The users of a room are as many, and every server that is not in it has at least one more; at most every
        membership is somebody else's.
        """
        beyond = self.users_per_room - self.servers_per_room
        return self.n_servers + int(beyond.max(initial=0)), self.n_memberships

    # Derived statistics.

    @cached_property
    def presence_room(self) -> Integers:
        """(K,) the room of each presence."""
        rooms = np.arange(self.n_rooms, dtype=index_dtype(self.n_rooms))
        return np.repeat(rooms, self.servers_per_room)

    @cached_property
    def servers_per_room(self) -> Integers:
        """k_r, (R,)."""
        return np.diff(self.room_offsets)

    @cached_property
    def rooms_per_server(self) -> Integers:
        """m_s, (S,)."""
        return np.bincount(self.presence_server, minlength=self.n_servers)

    # Invariants.

    def check(self) -> None:
        """Prove that some federation has this attendance.

        One has: every server sends a user of its own to each of its rooms, and the users that are left come from any.

        Raises:
            InvariantError: names the first entity that breaks an invariant.
        """
        forbid(self.n_servers < 1, "server", "an attendance has at least one server")
        offsets, server, users = self.room_offsets, self.presence_server, self.users_per_room
        forbid(
            len(offsets) != len(users) + 1 or offsets[0] != 0 or offsets[-1] != len(server),
            "room",
            "offsets do not span the presences",
        )
        forbid_at(np.diff(offsets) < 1, "room", "has no server")
        forbid_at((server < 0) | (server >= self.n_servers), "presence", "is of a server that does not exist")
        follows = np.ones(max(len(server) - 1, 0), dtype=bool)
        follows[offsets[1:-1] - 1] = False  # the step from one room to the next
        forbid_at(follows & (server[1:] == server[:-1]), "presence", "stands twice", shift=1)
        forbid_at(follows & (server[1:] < server[:-1]), "presence", "breaks the order by server in its room", shift=1)
        forbid_at(self.rooms_per_server < 1, "server", "is in no room")
        forbid_at(users < self.servers_per_room, "room", "has fewer users than servers")

    def same_as(self, other: Attendance) -> bool:
        """Whether both are the same attendance, id by id."""
        return (
            self.n_servers == other.n_servers
            and np.array_equal(self.room_offsets, other.room_offsets)
            and np.array_equal(self.presence_server, other.presence_server)
            and np.array_equal(self.users_per_room, other.users_per_room)
        )

    def __repr__(self) -> str:
        return (
            f"Attendance({self.n_servers} servers, {self.n_rooms} rooms, {self.n_presences} presences, "
            f"{self.n_memberships} memberships unseen)"
        )
