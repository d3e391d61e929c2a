r"""How often the same meet again: pairs of servers that share a room, and butterflies of users.

Communities say who may meet; they do not say that those who met meet again, which in mail threads they do. Two
numbers carry it: how many pairs of servers share a room at all (with the memberships given, the fewer the more
often each pair meets), and how many butterflies there are (pairs of users times pairs of rooms that both are in). A
room of u users makes u (u - 1) / 2 pairs, so the largest rooms would be all there is to look at; they are left out
from the size on at which the pairs of all smaller rooms pass :data:`PAIRS`. In so large a room everybody meets
everybody anyhow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.statistics.butterflies import butterflies
from fedgen.statistics.subset import with_rooms
from fitting.model import Company

if TYPE_CHECKING:
    from fedgen.federation import Federation, Integers

PAIRS = 16
"""Most pairs, per slot, that rooms are looked at for."""


def company(federation: Federation) -> Company:
    """What a federation's rooms say about meeting again."""
    most_servers = largest(federation.servers_per_room)
    most_users = largest(federation.users_per_room)
    return Company(
        server_pairs=_server_pairs(federation, federation.servers_per_room <= most_servers),
        most_servers=most_servers,
        butterflies=butterflies(with_rooms(federation, federation.users_per_room <= most_users)),
        most_users=most_users,
    )


def largest(sizes: Integers) -> int:
    """The largest size such that rooms up to it have at most :data:`PAIRS` pairs in all, at least 1."""
    ordered = np.sort(sizes).astype(np.int64)
    upto = np.cumsum(ordered * (ordered - 1) // 2)
    fitting = int(np.searchsorted(upto, PAIRS * int(ordered.sum()), side="right"))
    if fitting == len(ordered):
        return int(ordered[-1])
    # Rooms of equal size are taken or left together.
    return max(1, int(ordered[fitting]) - 1)


def _server_pairs(federation: Federation, rooms: Integers) -> int:
    from scipy.sparse import csr_array

    p = federation.presences
    kept = rooms[p.room]
    shape = (federation.n_servers, federation.n_rooms)
    presence = csr_array((np.ones(int(kept.sum()), dtype=np.int32), (p.server[kept], p.room[kept])), shape=shape)
    met = presence @ presence.T
    return (int(met.nnz) - len(np.unique(p.server[kept]))) // 2
