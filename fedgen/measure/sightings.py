"""What a measurement has seen, under pseudonyms, and the snapshot that is made of it.

Of the pseudonyms nothing remains in a snapshot: users, servers and rooms are numbered in an order drawn from the
system's randomness, which is kept nowhere. So not even who holds the key of the measurement can find anybody in it,
other than by their position in the network (which no federation can hide from those who know part of it).
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import MeasureError
from fedgen.federation import Federation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fedgen.measure.exclusions import Person


class Sightings:
    """Memberships as they were seen; a pair that is seen again counts once."""

    def __init__(self) -> None:
        self._servers: dict[bytes, int] = {}
        self._users: dict[bytes, int] = {}
        self._rooms: dict[bytes, int] = {}
        self._home = array("q")
        self._user = array("q")
        self._room = array("q")

    def see(self, room: bytes, person: Person) -> None:
        """Somebody is a member of a room."""
        self.see_room(room, (person,))

    def see_room(self, room: bytes, people: Iterable[Person]) -> None:
        """They are members of a room; a room of nobody is none."""
        users, home = self._users, self._home
        seen = array("q")
        for user, server in people:
            index = users.setdefault(user, len(users))
            if index == len(home):
                home.append(self._servers.setdefault(server, len(self._servers)))
            seen.append(index)
        if seen:
            self._user.extend(seen)
            self._room.extend(array("q", (self._rooms.setdefault(room, len(self._rooms)),)) * len(seen))

    @property
    def n_rooms(self) -> int:
        """How many rooms were seen."""
        return len(self._rooms)

    def __len__(self) -> int:
        """How many memberships were seen."""
        return len(self._user)

    def federation(self, rng: np.random.Generator | None = None) -> Federation:
        """The snapshot, numbered at random.

        Args:
            rng: of the numbering; default: the system's randomness.

        Raises:
            MeasureError: nothing was seen.
        """
        if not self._user:
            raise MeasureError("nobody was seen in any room, and a federation has at least one user; ask more rooms")
        rng = np.random.default_rng() if rng is None else rng
        server, user, room = (rng.permutation(len(names)) for names in (self._servers, self._users, self._rooms))
        home = np.empty(len(user), dtype=np.int64)
        home[user] = server[_integers(self._home)]
        pairs = room[_integers(self._room)]  # in place from here on: there may be 100 MB and more of them
        pairs *= len(user)
        pairs += user[_integers(self._user)]
        pairs.sort()
        pairs = pairs[np.append(True, pairs[1:] != pairs[:-1])]
        federation = Federation.from_pairs(home, pairs % len(user), pairs // len(user))
        federation.check()
        return federation


def _integers(values: array[int]) -> NDArray[np.int64]:
    return np.frombuffer(values, dtype=np.int64)
