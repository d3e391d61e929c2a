"""Whose users a room is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Federation, Floats, Integers


def largest_count(federation: Federation) -> Integers:
    """(R,) how many users the room's largest server has in it."""
    p = federation.presences
    if federation.n_rooms == 0:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(np.maximum.reduceat(p.users, p.offsets[:-1]))


def largest_share(federation: Federation) -> Floats:
    """The share of the largest server in each room of two and more users (row E1); as many as there are such rooms."""
    users = federation.users_per_room
    several = users >= 2
    return np.asarray(largest_count(federation)[several] / users[several])
