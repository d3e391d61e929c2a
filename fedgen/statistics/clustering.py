r"""How butterflies lie: against the paths they close, over users of different degree, and how rooms' audiences overlap.

*Clustering*: the share of paths of three memberships (user, room, user, room) that close to a butterfly. A membership
of a user in d rooms and a room of u users is in the middle of (d - 1)(u - 1) such paths, and a butterfly holds four
(Robins and Alexander, "Small worlds among interlocking directors", Computational and Mathematical Organization Theory
10, 2004).

*By degree*: a user v is in :math:`\sum_w \binom{c_{vw}}{2}` butterflies, c the rooms shared with each other user, or
by pairs of the user's rooms in :math:`\sum_{rq} (c_{rq} - 1)`, c the users that the two rooms share. Whichever list is
the shorter; of a random share of the users where both are too long (:mod:`fedgen.statistics.meetings`).

*Overlap of rooms*: of all pairs of rooms those that share a user, and the Jaccard index, shared users over all users of
the two, averaged over those. There may be as many such pairs as rooms squared: where the paths to walk are more than
:data:`MOST_PATHS`, rooms are drawn at random as long as they suffice, and held against all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from fedgen.statistics.butterflies import of_users, share_of_pairs, share_of_users
from fedgen.statistics.meetings import MOST, incidences, meetings, sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedgen.federation import Federation, Floats

MOST_PATHS = 1 << 23
"""Paths room - user - room that are walked for the overlap of rooms."""


@dataclass(frozen=True)
class RoomOverlap:
    """How rooms share users.

    Attributes:
        share: of the pairs of rooms those that share a user; NaN where there is one room.
        jaccard: mean Jaccard index of those; NaN where there is none.
    """

    share: float
    jaccard: float


def clustering(federation: Federation, butterflies: float) -> float:
    """Four times the butterflies over the paths of three memberships; NaN where there is no path."""
    d, u = federation.rooms_per_user.astype(np.float64), federation.users_per_room.astype(np.float64)
    paths = float(np.add.reduceat(d[federation.membership_user] - 1, federation.room_offsets[:-1]) @ (u - 1))
    return 4 * butterflies / paths if paths > 0 else nan


def butterflies_per_user(federation: Federation) -> Floats:
    """(U,) how many butterflies each user is in; NaN for users that a sample left out."""
    by_rooms, by_users = incidences(federation.users_per_room), incidences(federation.rooms_per_user)
    share = share_of_users(MOST, by_rooms, by_users)
    kept = sample(federation.n_users, share)
    looked_at = of_users(federation, kept) if share < 1 else federation
    count = (_by_user_pairs if by_rooms * share <= by_users else _by_room_pairs)(looked_at)
    # A user's butterflies have one other user, looked at with probability (k - 1)/(U - 1).
    others = share_of_pairs(kept) / kept.mean()
    return np.where(kept, count / others, nan)


def room_overlap(federation: Federation) -> RoomOverlap:
    """Exact, or from rooms at random held against all others."""
    from scipy.sparse import csr_array

    rooms = federation.n_rooms
    if rooms < 2:
        return RoomOverlap(nan, nan)
    ones = np.ones(federation.n_memberships, dtype=np.int32)
    table = csr_array((ones, federation.membership_user, federation.room_offsets), shape=(rooms, federation.n_users))
    paths = np.add.reduceat(federation.rooms_per_user[federation.membership_user], federation.room_offsets[:-1])
    order = np.arange(rooms)
    if paths.sum() > MOST_PATHS:
        order = np.random.Generator(np.random.PCG64(rooms)).permutation(rooms)
        order = order[: max(1, int(np.searchsorted(np.cumsum(paths[order]), MOST_PATHS)))]
    met = (table[order] @ table.T).tocoo()
    apart = order[met.row] != met.col
    one, other, shared = order[met.row][apart], met.col[apart], met.data[apart]
    u = federation.users_per_room
    jaccard = shared / (u[one] + u[other] - shared)
    share = len(shared) / (len(order) * (rooms - 1))
    return RoomOverlap(share, float(jaccard.mean()) if len(shared) else nan)


def _by_user_pairs(federation: Federation) -> NDArray[np.float64]:
    met = meetings(federation.membership_user, federation.room_offsets).at_least(2)
    shared = met.counts.astype(np.float64)
    return _at_ends(met.first, met.second, shared * (shared - 1) / 2, federation.n_users)


def _by_room_pairs(federation: Federation) -> NDArray[np.float64]:
    order = np.argsort(federation.membership_user, kind="stable")
    offsets = np.concatenate(([0], np.cumsum(federation.rooms_per_user)))
    met = meetings(federation.membership_room[order], offsets).at_least(2)
    counts = met.counts
    weights = np.repeat(counts - 1, counts)
    return np.bincount(met.place, weights=weights, minlength=federation.n_users).astype(np.float64)


def _at_ends(first: NDArray[np.int64], second: NDArray[np.int64], weights: Floats, nodes: int) -> NDArray[np.float64]:
    return np.asarray(sum(np.bincount(end, weights=weights, minlength=nodes) for end in (first, second)))
