"""What hangs together, and how tightly: components and cores of the user-room graph.

The (a, b)-core is the largest set of users and rooms in which every user is in at least a of the rooms and every room
has at least b of the users (Ahmed et al., "Visualisation and analysis of large bipartite networks", 2007): what is
left when whatever has too few is taken away until nothing has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Federation


@dataclass(frozen=True)
class Components:
    """Users and rooms that memberships join.

    Attributes:
        count: how many components.
        largest: the share of the users that the component with most of them holds.
    """

    count: int
    largest: float


def components(federation: Federation) -> Components:
    """The components of the user-room graph; servers do not join anything."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    users, nodes = federation.n_users, federation.n_users + federation.n_rooms
    offsets = np.concatenate((np.zeros(users, dtype=np.int64), federation.room_offsets))
    ones = np.ones(federation.n_memberships, dtype=np.int8)
    graph = csr_array((ones, federation.membership_user, offsets), shape=(nodes, nodes))
    count, label = connected_components(graph, directed=False)
    return Components(int(count), float(np.bincount(label[:users]).max() / users))


def core(federation: Federation, rooms_per_user: int, users_per_room: int) -> int:
    """How many memberships the core has in which users have so many rooms and rooms so many users; 0 if it is empty."""
    user, room = federation.membership_user, federation.membership_room
    while len(user):
        d = np.bincount(user, minlength=federation.n_users)
        u = np.bincount(room, minlength=federation.n_rooms)
        stays = (d[user] >= rooms_per_user) & (u[room] >= users_per_room)
        if stays.all():
            break
        user, room = user[stays], room[stays]
    return len(user)
