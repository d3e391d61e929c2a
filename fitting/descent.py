"""Tables of users and presences that take after those of a model, with other numbers of rooms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedgen.ragged import offsets_of, take
from fitting.model import PresenceTable, ProfileTable, UserTable
from fitting.rounding import in_proportion

if TYPE_CHECKING:
    from fedgen.federation import Integers
    from fitting.model import Model


@dataclass(frozen=True, eq=False)
class People:
    """Users one by one, (N,) each.

    Attributes:
        server: of a new table; head servers are -1, -2, ...
        rooms: d.
        like: the row of the model's users that each takes after.
    """

    server: Integers
    rooms: Integers
    like: Integers

    def __add__(self, other: People) -> People:
        return People(
            np.concatenate((self.server, other.server)),
            np.concatenate((self.rooms, other.rooms)),
            np.concatenate((self.like, other.like)),
        )


def user_tables(model: Model, people: People, rng: np.random.Generator) -> tuple[UserTable, ProfileTable]:
    """The tables of people: each goes to types of rooms in proportion as the row it takes after."""
    order = np.lexsort((people.like, people.rooms, people.server))
    server, rooms, like = people.server[order], people.rooms[order], people.like[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(server) != 0) | (np.diff(rooms) != 0) | (np.diff(like) != 0)
    first = np.flatnonzero(new)
    users = UserTable(server[first], rooms[first], np.diff(first, append=len(order)))
    table = model.profiles
    entry, owner = _entries(table.user, len(model.users.number), like[first])
    number = in_proportion(table.number[entry], owner, users.rooms, rng)
    kept = number > 0
    return users, ProfileTable(owner[kept], table.type[entry[kept]], number[kept])


def presence_table(model: Model, like: Integers, rooms: Integers, rng: np.random.Generator) -> PresenceTable:
    """The presences of servers with so many ``rooms``, in proportion as those of the rows they are ``like``."""
    table = model.presences
    entry, owner = _entries(table.server, len(model.servers.users), like)
    number = in_proportion(table.number[entry], owner, rooms, rng)
    kept = number > 0
    return PresenceTable(owner[kept], table.type[entry[kept]], table.users[entry[kept]], number[kept])


def _entries(rising: Integers, rows: int, like: Integers) -> tuple[Integers, Integers]:
    """The entries of the rows ``like``, one row after the other, and whose they are."""
    offsets = offsets_of(np.bincount(rising, minlength=rows))
    return take(offsets, like), np.repeat(np.arange(len(like)), np.diff(offsets)[like])
