r"""Butterflies: pairs of users who share a pair of rooms, the smallest cycles of a bipartite graph.

How much the audiences of rooms overlap, in one number. Counted by rooms or by users it is the same; the side whose
paths of two steps are fewer is the cheaper one (Sanei-Mehri, Sariyuce and Tirthapura, "Butterfly Counting in Bipartite
Networks", KDD 2018).

*Halves of the rooms.* A butterfly is in a half iff both of its rooms are. With x the indicator of the first half and
c_vw(x) the rooms that users v and w share in it, the first half has :math:`\sum_{vw} \binom{c_{vw}(x)}{2}` and,
with :math:`w_{rq} = \binom{c_{rq}}2` over pairs of rooms, just as well :math:`\sum_{rq} w_{rq} x_r x_q`; for the second
put c - c(x) and 1 - x. Pairs that meet once are in no butterfly and left out. The cheaper side is listed once
(:mod:`fedgen.statistics.meetings`) and serves for any number of splits.

*Large federations.* Where the paths are more than :data:`MOST_PATHS`, or the federation stays on disk, butterflies are
estimated from paths drawn at random (:mod:`fedgen.statistics.encounters`). Of halves, where the list is longer than
:data:`fedgen.statistics.meetings.MOST`, a random share of the users is looked at, k of U: a butterfly has two of them
and stays with probability p = k (k - 1) / (U (U - 1)), so that the count over p is without bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, sqrt
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from fedgen.federation import Federation
from fedgen.statistics.meetings import DRAWN, MOST, among, incidences, meetings, sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from fedgen.federation import Floats, Integers
    from fedgen.statistics.halves import Split
    from fedgen.tables import Tables

BLOCK = 1 << 22
"""Paths of two steps that are looked at together: about 100 MiB."""

MOST_PATHS = 1 << 28
"""Paths of two steps up to which a row counts every butterfly: some seconds."""

_known: WeakKeyDictionary[Tables, Paths] = WeakKeyDictionary()
"""Of what is still there."""


@dataclass(frozen=True)
class Overlap:
    """Butterflies against memberships.

    Attributes:
        butterflies: how many, or an estimate.
        memberships: M.
        drawn: from how many paths drawn at random they are estimated; 0 where they are counted.
        error: the relative standard error by these draws.
    """

    butterflies: float
    memberships: int
    drawn: int = 0
    error: float = 0.0

    @property
    def per_membership(self) -> float:
        """Butterflies per membership; 0 where there is no membership."""
        return self.butterflies / self.memberships if self.memberships else 0.0


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


def overlap(tables: Tables) -> Overlap:
    """Butterflies of a whole federation: exact up to :data:`MOST_PATHS` of one in memory, else from paths drawn."""
    if isinstance(tables, Federation):
        u, d = (sizes.astype(np.float64) for sizes in (tables.users_per_room, tables.rooms_per_user))
        if min(float(u @ u), float(d @ d)) <= MOST_PATHS:
            return Overlap(butterflies(tables), tables.n_memberships)
    return known_paths(tables).overlap


@dataclass(frozen=True, eq=False)
class Paths:
    """Paths of three memberships, room - user - room - user, and how many of them close to a butterfly.

    Attributes:
        overlap: a quarter of those that close.
        closing: their share of all paths, the clustering coefficient; NaN where there is none.
        by_degree: (D + 1,) the butterflies that the users in 0, 1, ..., D rooms are in, all those users together.
        closed: (D + 1,) how many of the paths looked at that begin with these users close.
    """

    overlap: Overlap
    closing: float
    by_degree: Floats
    closed: Integers


def known_paths(tables: Tables) -> Paths:
    """:func:`closing_paths`, found once: a scorecard asks for its row and for what is told beside the rows."""
    if tables not in _known:
        _known[tables] = closing_paths(tables)
    return _known[tables]


def closing_paths(tables: Tables, draws: int = DRAWN) -> Paths:
    """From encounters of users, in three passes over the memberships; exact where there are no more than ``draws``."""
    from fedgen.statistics.encounters import eager

    u, d = tables.users_per_room, tables.rooms_per_user
    eagerness = np.zeros(tables.n_rooms, dtype=np.int64)
    for user, room in tables.membership_parts():
        first = int(room[0]) if len(room) else 0
        # Whole numbers below 2^53: the sum of floats is exact.
        here = np.bincount(room - first, weights=d[user] - 1)
        eagerness[first : first + len(here)] += here.astype(np.int64)
    met = eager(u, eagerness, lambda user: d[user] - 1, tables.membership_parts, tables.n_users, draws)
    beyond = d[met.one].astype(np.int64) - 1
    closing = np.where(met.shared > 0, (met.shared - 1) / np.maximum(beyond, 1), 0.0)
    count = met.sum(closing) / 4
    found = Overlap(
        float(round(count)) if met.exact else count,
        tables.n_memberships,
        0 if met.exact else len(closing),
        met.error(closing),
    )
    paths = float(eagerness @ (u - 1))
    most = int(d.max(initial=0)) + 1
    return Paths(
        found,
        closing=4 * found.butterflies / paths if paths > 0 else nan,
        by_degree=met.total / max(len(closing), 1) / 2 * np.bincount(beyond + 1, weights=closing, minlength=most),
        closed=np.bincount(beyond[closing > 0] + 1, minlength=most),
    )


def overlap_of_halves(federation: Federation) -> Callable[[Sequence[Split]], Iterator[tuple[Overlap, Overlap]]]:
    """Prepares the butterflies of what :func:`~fedgen.statistics.subset.with_rooms` would leave of each half.

    Returns:
        Takes B splits to the overlap in both halves of each.
    """
    by_rooms, by_users = incidences(federation.users_per_room), incidences(federation.rooms_per_user)
    share = share_of_users(MOST, by_rooms, by_users)
    kept = sample(federation.n_users, share)
    looked_at = of_users(federation, kept) if share < 1 else federation
    count = (_of_user_pairs if by_rooms * share <= by_users else _of_room_pairs)(looked_at)
    sizes = federation.users_per_room

    def of(splits: Sequence[Split]) -> Iterator[tuple[Overlap, Overlap]]:
        firsts = np.stack([split.first for split in splits])
        memberships = firsts @ sizes, ~firsts @ sizes
        for *found, first, second in zip(*count(firsts) / share_of_pairs(kept), *memberships, strict=True):
            yield Overlap(float(found[0]), int(first)), Overlap(float(found[1]), int(second))

    return of


def share_of_users(most: int, by_rooms: float, by_users: float) -> float:
    """The share of the users to look at: q² of the paths through rooms are left, and q of those through users."""
    return min(1.0, max(sqrt(most / max(by_rooms, 1)), most / max(by_users, 1)))


def share_of_pairs(kept: NDArray[np.bool_]) -> float:
    """The share of pairs of users that are looked at."""
    users, all_users = int(kept.sum()), len(kept)
    return users * (users - 1) / (all_users * (all_users - 1)) if all_users > 1 else 1.0


def of_users(federation: Federation, kept: NDArray[np.bool_]) -> Federation:
    """The memberships of some of the users; ids stay, so that users and rooms may be without any."""
    members, offsets = among(federation.membership_user, federation.room_offsets, kept)
    return Federation(federation.n_servers, federation.user_server, offsets, members)


def _of_user_pairs(federation: Federation) -> Callable[[NDArray[np.bool_]], Floats]:
    """(B, R) first halves to (2, B) butterflies, by pairs of users."""
    met = meetings(federation.membership_user, federation.room_offsets).at_least(2)
    total = met.counts.astype(np.float64)

    def count(firsts: NDArray[np.bool_]) -> Floats:
        found = np.zeros((2, len(firsts)))
        for pairs, first in met.counts_among(firsts):
            # With s of t rooms in the first half, s (s - 1) and (t - s)(t - s - 1) of every pair, multiplied out.
            every = total[pairs]
            squares, products, sums = np.einsum("pb,pb->b", first, first), every @ first, first.sum(axis=0)
            found += squares - sums, squares - 2 * products + sums + every @ (every - 1)
        return found / 2

    return count


def _of_room_pairs(federation: Federation) -> Callable[[NDArray[np.bool_]], Floats]:
    """(B, R) first halves to (2, B) butterflies, by pairs of rooms."""
    from scipy.sparse import csr_array

    rooms = federation.n_rooms
    order = np.argsort(federation.membership_user, kind="stable")
    offsets = np.concatenate(([0], np.cumsum(federation.rooms_per_user)))
    met = meetings(federation.membership_room[order], offsets).at_least(2)
    shared = met.counts.astype(np.float64)
    weights = shared * (shared - 1) / 2
    table = csr_array((weights, (met.first, met.second)), shape=(rooms, rooms))
    total = weights.sum()
    # Of each room, so that first - second = sum of w (x + x' - 1) is a sum over rooms.
    of_room = sum(np.bincount(end, weights=weights, minlength=rooms) for end in (met.first, met.second))

    def count(firsts: NDArray[np.bool_]) -> Floats:
        inside = np.ascontiguousarray(firsts.T, dtype=np.float64)
        first = np.einsum("rb,rb->b", np.asarray(table @ inside), inside)
        return np.stack((first, first - firsts @ of_room + total))

    return count
