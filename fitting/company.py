r"""How often the same meet again: pairs of servers that share a room, and butterflies of users.

Communities say who may meet; they do not say that those who met meet again, which in mail threads they do. Two
numbers carry it: how many pairs of servers share a room at all (with the memberships given, the fewer the more
often each pair meets), and how many butterflies there are (pairs of users times pairs of rooms that both are in). A
room of u users makes u (u - 1) / 2 pairs, so the largest rooms would be all there is to look at; they are left out
from the size on at which the pairs of all smaller rooms pass :data:`PAIRS`. In so large a room everybody meets
everybody anyhow.

Where communities say it all there is nothing to carry. Were rooms of one type t exchangeable, users v and w with
:math:`N_{vt}` and :math:`N_{wt}` memberships in its :math:`R_t` rooms would meet :math:`\lambda_{vw} = \sum_t
N_{vt} N_{wt} / R_t` times on average, and make :math:`\lambda^2 / 2` butterflies (a Poisson number of meetings, so
rather too many). Over all pairs that is :math:`\frac14 (\lVert N D N^T \rVert_F^2 - \sum_v \lambda_{vv}^2)` with D
= diag(1 / R), and the norm is that of the small matrix :math:`D^{1/2} N^T N D^{1/2}`. Unless it falls short of what
was measured, the rest is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.statistics.butterflies import butterflies
from fedgen.statistics.subset import with_rooms
from fitting.model import Company

if TYPE_CHECKING:
    from fedgen.federation import Federation, Floats, Integers

PAIRS = 16
"""Most pairs, per slot, that rooms are looked at for."""


def company(federation: Federation, room_type: Integers) -> Company | None:
    """What a federation's rooms say about meeting again; None where their types, (R,), say it all."""
    k, u = federation.servers_per_room, federation.users_per_room
    most_servers, most_users = largest(k), largest(u)
    small = with_rooms(federation, u <= most_users)
    found = butterflies(small)
    if _expected(small, room_type[u <= most_users]) >= found:
        return None
    return Company(
        server_pairs=_server_pairs(federation, k <= most_servers),
        server_meetings=meetings(k[k <= most_servers]),
        most_servers=most_servers,
        butterflies=found,
        user_meetings=meetings(u[u <= most_users]),
        most_users=most_users,
    )


def meetings(sizes: Integers) -> int:
    """Pairs of members, room by room."""
    wide = sizes.astype(np.int64)
    return int((wide * (wide - 1) // 2).sum())


def _expected(federation: Federation, room_type: Integers) -> float:
    """Butterflies, were rooms of one type exchangeable."""
    from scipy.sparse import csr_array, diags_array

    rooms = np.bincount(room_type)
    visits = csr_array(
        (np.ones(federation.n_memberships), (federation.membership_user, room_type[federation.membership_room])),
        shape=(federation.n_users, len(rooms)),
    )
    scaled = visits @ diags_array(1 / np.sqrt(np.maximum(rooms, 1)))
    alone: Floats = np.asarray((scaled * scaled).sum(axis=1)).ravel()
    return float(((scaled.T @ scaled).data ** 2).sum() - (alone**2).sum()) / 4


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
