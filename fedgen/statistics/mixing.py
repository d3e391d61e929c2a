"""Who meets whom: rank correlations over memberships and over presences.

Spearman's correlation with mid-ranks for ties. All memberships of a user share a rank, so ranks are found on users
and rooms and only then carried to the memberships: linear, no sort of them.
"""

from __future__ import annotations

from math import nan, sqrt
from typing import TYPE_CHECKING

import numpy as np

from fedgen.tables import users_by_rooms

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers
    from fedgen.statistics.halves import Split
    from fedgen.tables import Tables


def edge_rank_correlation(left: Integers, right: Integers, left_end: Integers, right_end: Integers) -> float:
    """Spearman's rank correlation, over the edges of a bipartite graph, of a size at either end.

    Args:
        left: (A,) sizes >= 0 of the nodes on one side.
        right: (B,) sizes of the nodes on the other.
        left_end: (E,) the node of each edge, an index into ``left``.
        right_end: (E,) likewise into ``right``.

    Returns:
        In [-1, 1]; NaN where either size is the same at all edges.
    """
    from_left, from_right = np.bincount(left_end, minlength=len(left)), np.bincount(right_end, minlength=len(right))
    x, y = (node_ranks(size, edges) for size, edges in ((left, from_left), (right, from_right)))
    spread = float(from_left @ x**2) * float(from_right @ y**2)
    return float(x[left_end] @ y[right_end]) / sqrt(spread) if spread > 0 else nan


def user_room_correlation(tables: Tables) -> float:
    """Over memberships: rooms of the user ~ users of the room (row E5u); one pass over them, part by part."""
    # A node of size x is the end of x memberships.
    of_users = users_by_rooms(tables) * np.arange(int(tables.rooms_per_user.max(initial=0)) + 1)
    u = tables.users_per_room
    x, y = centred_ranks(of_users), node_ranks(u, u)
    spread = float(of_users @ x**2) * float(u @ y**2)
    if spread <= 0:
        return nan
    met = sum(float(x[tables.rooms_per_user[user]] @ y[room]) for user, room in tables.membership_parts())
    return met / sqrt(spread)


def server_room_correlation(tables: Tables) -> float:
    """Over presences: users of the server ~ servers of the room (row E5s)."""
    p = tables.presences
    return edge_rank_correlation(tables.users_per_server, tables.servers_per_room, p.server, p.room)


def node_ranks(size: Integers, edges: Integers) -> Floats:
    """(A,) the mid-rank of each node by its size, over edges, of which it has so many, less the mean rank.

    Sizes are ranked among those that occur: the largest may be far beyond the number of nodes.
    """
    kind = np.unique(size, return_inverse=True)[1]
    return centred_ranks(np.bincount(kind, weights=edges))[kind]


def centred_ranks(edges: Integers | Floats) -> Floats:
    """The mid-rank, over edges, of each size, less the mean rank.

    Args:
        edges: (sizes,) how many edges end at nodes of size 0, 1, 2, ...
    """
    return np.asarray(np.cumsum(edges) - (edges - 1) / 2 - (edges.sum() + 1) / 2, dtype=np.float64)


def correlations_of_halves(split: Split) -> Floats:
    """(2, 2): both correlations, over memberships and over presences, of both halves; NaN where undefined."""
    f = split.federation
    found = np.full((2, 2), nan)
    # How many memberships end at users of each size, how many presences at servers of each.
    by_users = split.users_by_class.sum(axis=1)
    of_users = by_users * np.arange(by_users.shape[1])
    n = split.users_per_server
    sides = zip(n, split.rooms_per_server, strict=True)
    of_servers = np.stack([np.bincount(*side, minlength=int(n.max()) + 1) for side in sides])
    for row, sizes, edges, at_room, over in (
        (0, split.rooms_per_user, of_users, f.users_per_room, split.over_users),
        (1, n, of_servers, f.servers_per_room, split.over_servers),
    ):
        ranks = np.stack([centred_ranks(half) for half in edges])
        met = over(sizes, ranks)
        for half, rooms in enumerate((split.first, ~split.first)):
            there = np.bincount(at_room[rooms]) * np.arange(int(at_room[rooms].max()) + 1)
            other = centred_ranks(there)
            spread = float(edges[half] @ ranks[half] ** 2) * float(there @ other**2)
            if spread > 0:
                found[half, row] = float(met[rooms] @ other[at_room[rooms]]) / sqrt(spread)
    return found
