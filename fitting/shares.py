r"""Which of a room's users are on which server, when only the room's users and its servers were seen.

What is fixed: a room of u users with k servers has one user of each, and u - k more, whose servers are unknown. Two
things that were seen speak about them.

*Where a server is not.* Let server s have :math:`\lambda_s` of every user of a room to expect, times an affinity
between this server and this room of mean 1. Of affinities nothing is known but their mean, so they follow the law of
largest entropy, the exponential one (Jaynes 1957); then the server's users in the room are geometric,

.. math::
    P(\text{absent}) = \frac{1}{1 + \lambda_s u_r}, \qquad
    E(\text{users} - 1 \mid \text{present}) = \lambda_s u_r .

That is logistic regression of presence on log u with slope 1 and one intercept a server (a Rasch model of known
difficulties): its likelihood is largest where as many presences are expected as were seen,
:math:`\sum_r \lambda_s u_r / (1 + \lambda_s u_r) = m_s`, which rises with :math:`\lambda_s` and so has one root, found
by bisection. Where a server is in every room there is none; so half an absence is added to every server, spread over
the rooms: the right side is :math:`m_s R / (R + 1/2)` (the half of Jeffreys' prior of a proportion). The users of a
room beyond one a server are shared in proportion to :math:`\lambda`; u_r cancels.

*How large the rooms are that it is in.* A server of few but crowded rooms has a small :math:`\lambda`. Let
:math:`\theta_s` be the users it brings to a room beyond its first, and :math:`x_r = u_r - k_r` be Poisson of mean
:math:`\sum_{s \in F_r} \theta_s`. Before sizes are looked at, a server has :math:`\mu_s` to expect, its part in the
shares by :math:`\lambda`, in a room of average x; so the prior of :math:`\theta_s` is again the law of largest entropy,
exponential of mean :math:`\mu_s = \bar x \, \sum_r c_{sr} / \sum_{r \ni s} x_r`, c the shares by :math:`\lambda`. One
step of expectation maximisation (Dempster, Laird, Rubin 1977, with a prior; Shepp, Vardi 1982) from these shares is

.. math::
    \theta_s = \frac{1 + \sum_r c_{sr}}{1 / \mu_s + m_s},

between :math:`\mu_s`, for a server of few rooms, and the mean of its shares, for one of many. The final shares are in
proportion to it. One step, not many: its limit forgets where servers are absent, and shares worse (docs/attendance.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fitting.rounding import in_proportion

if TYPE_CHECKING:
    from fedgen.attendance import Attendance
    from fedgen.federation import Floats, Integers

_PRECISION = 24  # bits of a share's weight; fewer where sums over a room, times its users, would reach 2^62
_AT_ONCE = 1 << 22
_HALVINGS = 60


def share(attendance: Attendance, rng: np.random.Generator) -> Integers:
    """(K,) users of each presence, >= 1, of sum u in each room: expected shares, rounded up or down at random."""
    beyond = attendance.users_per_room - attendance.servers_per_room
    expected = expected_beyond(attendance)
    room = attendance.presence_room
    largest = np.maximum.reduceat(expected, attendance.room_offsets[:-1])
    weight = expected / np.where(largest > 0, largest, 1.0)[room]
    product = attendance.servers_per_room * beyond.astype(float)
    precision = min(_PRECISION, 61 - int(np.log2(max(product.max(), 1))))
    # At least 1: a server of no weight at all still has its place where there is nothing else to go by.
    parts = np.maximum(np.rint(np.ldexp(weight, precision)), 1).astype(np.int64)
    return 1 + in_proportion(parts, room, beyond, rng)


def expected_beyond(attendance: Attendance) -> Floats:
    """(K,) the users expected of each presence beyond the first."""
    server, m = attendance.presence_server, attendance.rooms_per_server
    first = split(attendance, inclination(attendance))
    beyond = attendance.users_per_room - attendance.servers_per_room

    def of_server(weight: Floats) -> Floats:
        return np.bincount(server, weight, minlength=attendance.n_servers)

    had, there = of_server(first), of_server(beyond[attendance.presence_room])
    usual = beyond.mean() * had / np.where(there > 0, there, 1)
    return split(attendance, usual * (1 + had) / (1 + m * usual))


def inclination(attendance: Attendance) -> Floats:
    """(S,) the share of a room's users that each server has to expect: lambda, a function of m."""
    m, of_server = np.unique(attendance.rooms_per_server, return_inverse=True)
    users, rooms = np.unique(attendance.users_per_room, return_counts=True)
    total = attendance.n_rooms
    seen = m * (total / (total + 0.5))
    # x / (1 + x) is below x and above 1 - 1 / x.
    low = np.log(seen / (rooms @ users))
    high = np.log((rooms @ (1 / users)) / (total - seen))
    rate = np.empty(len(m))
    step = max(1, _AT_ONCE // len(users))
    for start in range(0, len(m), step):
        here = slice(start, start + step)
        rate[here] = _root(seen[here], users, rooms, low[here], high[here])
    return np.exp(rate)[of_server]


def _root(seen: Floats, users: Integers, rooms: Integers, low: Floats, high: Floats) -> Floats:
    """Log of the rate at which so many presences are expected as were ``seen``."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = (1 - 1 / (1 + np.exp(middle)[:, None] * users)) @ rooms
        low, high = np.where(expected < seen, middle, low), np.where(expected < seen, high, middle)
    return (low + high) / 2


def split(attendance: Attendance, weight: Floats) -> Floats:
    """(K,) the users of each room beyond one a server, shared in proportion to a weight of its servers (S,)."""
    of_presence, room = weight[attendance.presence_server], attendance.presence_room
    beyond = attendance.users_per_room - attendance.servers_per_room
    there = np.bincount(room, of_presence, minlength=attendance.n_rooms)
    return of_presence * (beyond / np.where(there > 0, there, 1.0))[room]
