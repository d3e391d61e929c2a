"""Size classes: half decades, and the kinds of servers and rooms that they make.

The classes are the same for every federation: 1, 2, 3, then half decades (4-10, 11-31, 32-100, 101-316, ...), the
finest ones that a body of mostly ones, twos and threes fills. A *server kind* is the pair of classes of (n, m); a
*room kind* the pair of (k, u - k + 1). Head servers are kinds of their own, numbered -1, -2, ... in the order of the
model's head list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Integers

EDGES = np.array([1, 2, 3, 4, *(int(10 ** (i / 2)) + 1 for i in range(2, 38))], dtype=np.int64)
"""The smallest member of each class."""

STEP = 64
"""More than there are classes."""
KINDS = STEP**2
"""More than there are pairs of classes."""


def size_class(x: Integers) -> Integers:
    """The class of integers >= 1: 0 for 1, 1 for 2, 2 for 3, 3 for 4-10, 4 for 11-31, ..."""
    return np.searchsorted(EDGES, x, side="right") - 1


def pair_kind(first: Integers, second: Integers) -> Integers:
    """One number for a pair of classes; sorted, it sorts by ``first``, then ``second``."""
    return size_class(first) * STEP + size_class(second)


def nearest_kind(kinds: Integers, known: Integers) -> Integers:
    """For each of ``kinds``, the position in ``known`` of the kind whose classes are nearest (Manhattan distance).

    Both are >= 0; ``known`` is not empty.
    """
    wanted, inverse = np.unique(kinds, return_inverse=True)
    apart = np.abs(wanted[:, None] // STEP - known[None, :] // STEP) + np.abs(
        wanted[:, None] % STEP - known[None, :] % STEP
    )
    return np.argmin(apart, axis=1)[inverse]
