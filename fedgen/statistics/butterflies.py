"""Butterflies: pairs of users who share a pair of rooms, the smallest cycles of a bipartite graph.

How much the audiences of rooms overlap, in one number. Counted by rooms or by users it is the same; the side whose
paths of two steps are fewer is the cheaper one (Sanei-Mehri, Sariyuce and Tirthapura, "Butterfly Counting in Bipartite
Networks", KDD 2018).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from fedgen.federation import Federation, Integers

BLOCK = 1 << 22
"""Paths of two steps that are looked at together: about 100 MiB."""


def butterflies(federation: Federation, *, block: int = BLOCK) -> int:
    """The sum over pairs of rooms of C(c, 2), with c the users in both; exact, however large.

    Args:
        federation: of U users in R rooms.
        block: paths looked at together, which bounds the memory; a single node may have more, then it is alone.
    """
    from scipy.sparse import csr_array

    # int64: products of these are numbers of common users or rooms, below 2^31, and their squares fit.
    ones = np.ones(federation.n_memberships, dtype=np.int64)
    of_rooms = csr_array(
        (ones, federation.membership_user, federation.room_offsets), shape=(federation.n_rooms, federation.n_users)
    )
    of_users = of_rooms.T.tocsr()
    d, u = federation.rooms_per_user.astype(np.float64), federation.users_per_room.astype(np.float64)
    ahead, back, size = of_rooms, of_users, federation.users_per_room
    if u @ u < d @ d:  # from room to room there are d_u paths by every membership, from user to user u_r
        ahead, back, size = of_users, of_rooms, federation.rooms_per_user
    met = sum(_pairs((ahead[rows] @ back).data) for rows in _blocks(ahead, np.diff(back.indptr), block))
    return (met - _pairs(size)) // 2  # each node meets itself as well, and every other one twice


def _blocks(ahead: csr_array, degree: Integers, block: int) -> Iterator[slice]:
    """Runs of rows with at most ``block`` paths each, one row at least."""
    paths = np.concatenate(([0], np.cumsum(degree[ahead.indices], dtype=np.int64)))[ahead.indptr]
    first, rows = 0, len(ahead.indptr) - 1
    while first < rows:
        last = max(first + 1, int(np.searchsorted(paths, paths[first] + block, side="right")) - 1)
        yield slice(first, last)
        first = last


def _pairs(count: NDArray[np.int64]) -> int:
    """The sum of C(count, 2), which 64 bits need not hold though each term fits: the halves are summed apart."""
    pairs = np.asarray(count, dtype=np.int64)
    pairs = pairs * (pairs - 1) // 2
    return (int((pairs >> 32).sum()) << 32) + int((pairs & 0xFFFFFFFF).sum())
