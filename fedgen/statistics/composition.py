"""Whose users a room is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Integers
    from fedgen.tables import Tables


def largest_count(federation: Tables) -> Integers:
    """(R,) how many users the room's largest server has in it."""
    p = federation.presences
    if federation.n_rooms == 0:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(np.maximum.reduceat(p.users, p.offsets[:-1]))
