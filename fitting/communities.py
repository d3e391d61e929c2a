r"""Communities: rooms whose audiences overlap.

Rooms as points: the user-room matrix, each room scaled to :math:`1/\sqrt{u}` and each user to :math:`d^{-1/4}`,
half way between counting users alike and counting memberships alike; its leading singular vectors (spectral
co-clustering; Dhillon, KDD 2001), every room scaled to length one. The points are split in two along their
principal axis at the place that leaves least variance (2-means on a line; Boley, Principal Direction Divisive
Partitioning, 1998), and so on in each half.

A split is kept if it predicts. Let a user have N memberships in the community, :math:`N_a` of them in one half, which
holds a share q of all its memberships. The split's log-likelihood ratio is

.. math:: G = \sum_u N_a \ln\frac{N_a}{qN} + N_b \ln\frac{N_b}{(1 - q)N}.

Were users blind to the split it would be :math:`E_0 = E[G]`, about a half for each user and :math:`-\ln` of a side
for a user of one membership, who says nothing; fitted probabilities predict new data by as much worse as they
overfit the old (Akaike 1974), a half for each user of two memberships and more. So a split is kept while :math:`G >
E_0 + U_2 / 2`. No community has fewer than :math:`\sqrt R` of the R rooms, or than ten, so that it tells of many
rooms and never of one.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from fedgen.ragged import take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedgen.federation import Federation, Floats, Integers

DIMENSIONS = 32
"""Most singular vectors that rooms are told apart by."""
FEWEST = 10
"""Fewest rooms of a community, however few there are."""
EXACT = 64
"""Up to so many memberships of a user its expected log-likelihood ratio is summed exactly."""


def communities(federation: Federation) -> Integers:
    """The community of each room, (R,): numbers from 0."""
    label = np.zeros(federation.n_rooms, dtype=np.int64)
    fewest = max(FEWEST, int(np.ceil(np.sqrt(federation.n_rooms))))
    if federation.n_rooms < 2 * fewest or federation.n_users < 3:
        return label
    points = _points(federation)
    waiting, found = [np.arange(federation.n_rooms)], 0
    while waiting:
        rooms = waiting.pop()
        side = _split(points[rooms], fewest) if len(rooms) >= 2 * fewest else None
        if side is not None and _predicts(federation, rooms, side):
            waiting += [rooms[~side], rooms[side]]
        else:
            label[rooms] = found
            found += 1
    return label


def _points(federation: Federation) -> Floats:
    """(R, dimensions), each of length one."""
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import svds

    u, d = federation.users_per_room, federation.rooms_per_user
    weight = np.repeat(u**-0.5, u) * d[federation.membership_user] ** -0.25
    shape = (federation.n_rooms, federation.n_users)
    matrix = csr_array((weight, federation.membership_user, federation.room_offsets), shape=shape)
    start = np.random.default_rng(0).random(min(shape))  # the same vectors whenever they are asked for
    left, size, _ = svds(matrix, k=min(DIMENSIONS, min(shape) - 1), v0=start)
    points = np.round(left * size, 9)  # the last digits are the processor's
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)


def _split(points: Floats, fewest: int) -> NDArray[np.bool_] | None:
    """Which points lie on one side of the best cut across the principal axis; None where all are one."""
    centred = points - points.mean(axis=0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    along = np.round(centred @ (axis * np.sign(axis[np.argmax(np.abs(axis))])), 9)
    order = np.argsort(along, kind="stable")
    if along[order[-1]] - along[order[0]] < 1e-9:
        return None
    sums, count = np.cumsum(along[order])[:-1], np.arange(1, len(order))
    between = sums**2 / count + sums**2 / (len(order) - count)  # the points sum to zero
    cut = fewest + int(np.argmax(between[fewest - 1 : len(order) - fewest]))
    side = np.zeros(len(points), dtype=bool)
    side[order[:cut]] = True
    return side


def _predicts(federation: Federation, rooms: Integers, side: NDArray[np.bool_]) -> bool:
    member = federation.membership_user[take(federation.room_offsets, rooms)]
    here = np.repeat(side, federation.users_per_room[rooms])
    together = np.bincount(member, minlength=federation.n_users)
    ours = np.bincount(member[here], minlength=federation.n_users)
    users = np.flatnonzero(together >= 2)
    together, ours, q = together[users], ours[users], float(here.mean())
    expected = np.full(len(users), 0.5)
    few = together <= EXACT
    expected[few] = np.array([_blind(n, q) for n in range(EXACT + 1)])[together[few]]
    return bool(_ratio(ours, together, q).sum() - expected.sum() > len(users) / 2)


def _ratio(ours: Integers, together: Integers, q: float) -> Floats:
    theirs = together - ours
    first = ours * np.log(np.maximum(ours, 1) / np.maximum(together * q, 1e-300))
    return first + theirs * np.log(np.maximum(theirs, 1) / np.maximum(together * (1 - q), 1e-300))


@cache
def _binomials(n: int) -> Floats:
    from scipy.special import gammaln

    k = np.arange(n + 1)
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def _blind(n: int, q: float) -> float:
    """The expected log-likelihood ratio of a user with n memberships who does not mind the split."""
    k = np.arange(n + 1)
    chance = np.exp(_binomials(n) + k * np.log(q) + (n - k) * np.log1p(-q))
    return float(chance @ _ratio(k, np.full(n + 1, n), q))
