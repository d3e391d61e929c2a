"""How unequal a federation is, and the bins and classes in which its spike patterns are compared."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedgen.federation import Floats, Integers
    from fedgen.tables import Tables

# The least integer of each half decade: 1, 4, 10, 32, 100, 317, ... Integers, so that 1000 never falls below its edge.
_HALF_DECADES = np.array([10 ** (i // 2) if i % 2 == 0 else isqrt(10**i) + 1 for i in range(37)], dtype=np.int64)
# The size classes of the scorecard: 1, 2, 3, 4-10, 11-100, > 100.
_CLASSES = np.array([1, 2, 3, 4, 11, 101], dtype=np.int64)
CLASSES = len(_CLASSES)


def half_decade(size: Integers) -> NDArray[np.intp]:
    """The half decade of each size >= 1: 0 for [1, √10), 1 for [√10, 10), 2 for [10, 10√10), ..."""
    return np.searchsorted(_HALF_DECADES, size, side="right") - 1


def size_class(size: Integers) -> NDArray[np.intp]:
    """The class of each size >= 1, 0 for 1, 1 for 2, 2 for 3, 3 for 4-10, 4 for 11-100, 5 for more."""
    return np.searchsorted(_CLASSES, size, side="right") - 1


def spike_bin(first: Integers, second: Integers) -> Integers:
    """The cell of each unit in a spike pattern (paper, Figs. 2 and 3): one number per pair of half decades."""
    return np.asarray(half_decade(first) * len(_HALF_DECADES) + half_decade(second))


def top_share(size: Integers, count: int) -> float:
    """The share of the total that the ``count`` largest units hold; NaN where there is no total."""
    total = int(size.sum())
    if total == 0:
        return float("nan")
    if count >= len(size):
        return 1.0
    return float(np.partition(size, len(size) - count)[len(size) - count :].sum() / total)


def gini(size: Integers) -> float:
    """Gini coefficient: half the mean absolute difference of two units, over the mean; NaN where there is no total."""
    count, total = len(size), float(size.sum())
    if total == 0:
        return float("nan")
    ranks = np.arange(1, count + 1, dtype=np.float64)
    return float((2 * ranks - count - 1) @ np.sort(size).astype(np.float64) / (count * total))


def hhi(size: Integers) -> float:
    """Herfindahl-Hirschman index: sum of squared shares; 1/HHI is the effective number. NaN where there is no total."""
    total = float(size.sum())
    if total == 0:
        return float("nan")
    share: Floats = size / total
    return float(share @ share)


def concentration(federation: Tables) -> dict[str, float]:
    """How the users are spread over the servers: shares of the top 1, 2 and 15, Gini, HHI."""
    users = federation.users_per_server
    tops = {f"top-{count} share of users": top_share(users, count) for count in (1, 2, 15)}
    return tops | {"Gini of users per server": gini(users), "HHI of users over servers": hhi(users)}
