"""Groups of unequal length, laid end to end: item i of group g is at ``offsets[g] + i``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Integers


def offsets_of(sizes: Integers) -> Integers:
    """(G + 1,) where each group begins, from its size."""
    offsets = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def take(offsets: Integers, groups: Integers) -> Integers:
    """The positions of all items of ``groups``, group after group."""
    sizes = offsets[groups + 1] - offsets[groups]
    shift = offsets[groups] - offsets_of(sizes)[:-1]
    return np.arange(int(sizes.sum())) + np.repeat(shift, sizes)
