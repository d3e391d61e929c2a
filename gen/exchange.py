r"""Independent draws conditioned on their totals.

Heavy-tailed tuples drawn independently miss the totals that the layers must agree on: in Matrix 2018 one room of 798
holds an eighth of all memberships. Scaling everything to the total would shift every margin; instead a pool of draws
longer than needed is made, the first N are taken, and the others are offered one by one for a place chosen at random.
Distance to the goal is measured in the standard deviations of a sum of N draws; an offer is taken if it brings the
vector of totals nearer by enough. *Enough* begins at a quarter of the distance left and falls to :math:`1 /
2\sqrt{N}`, half the standard deviation of one draw: so few large tuples are exchanged rather than many small ones,
which would tilt the bulk of every margin. At most :math:`2 \sqrt{N}` times the first distance are exchanged, and once
every total is within a tenth of a standard deviation, none. What is left is settled by
:func:`gen.apportion.reconcile`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedgen.federation import Floats, Integers

NEAR = 0.1


def pool_size(count: int) -> int:
    """How many tuples to draw for ``count`` places."""
    return count + max(20_000, count // 4)


def exchange(pool: NDArray[np.number[Any]], count: int, goal: Floats, rng: np.random.Generator) -> Integers:
    """Choose ``count`` rows of ``pool`` whose column sums come near to ``goal``.

    Args:
        pool: (P, J) independent tuples, P >= count.
        goal: (J,) totals.
        rng: chooses the places that are offered.

    Returns:
        (count,) row numbers.
    """
    if count == 0 or pool.shape[1] == 0:
        return np.arange(count)
    spread = pool.std(axis=0) * np.sqrt(count)
    scale = np.where(spread > 0, spread, 1.0)
    scaled = (pool / scale).astype(np.float64)
    places = rng.integers(0, count, size=len(pool) - count)
    return np.asarray(_exchange(scaled, places, np.asarray(goal / scale, dtype=np.float64)))


@njit(cache=True)
def _exchange(pool: Floats, places: Integers, goal: Floats) -> Integers:
    count, width = len(pool) - len(places), pool.shape[1]
    chosen = np.arange(count)
    miss = -goal
    for i in range(count):
        for j in range(width):
            miss[j] += pool[i, j]
    distance = np.sqrt(np.sum(miss * miss))
    least = 0.5 / np.sqrt(count)
    for offer in range(len(places)):
        if np.abs(miss).max() < NEAR:
            break
        place = places[offer]
        after = miss + pool[count + offer] - pool[chosen[place]]
        distance_after = np.sqrt(np.sum(after * after))
        patience = 1.0 - offer / len(places)
        if distance - distance_after > max(0.25 * distance * patience * patience, least):
            miss, distance = after, distance_after
            chosen[place] = count + offer
    return chosen


def stretch(
    values: Integers, low: int, mean: float, measured_mean: float, count: int, rng: np.random.Generator
) -> Integers:
    """Scale draws where the plan asks for another mean than was measured.

    What ``count`` draws reach by chance, three standard deviations of their mean, is left to :func:`exchange`; beyond
    it each value's excess over ``low`` is multiplied by the ratio of the means' excesses and rounded at random.
    """
    chance = 3.0 * float(values.std()) / np.sqrt(count)
    if abs(mean - measured_mean) <= chance or measured_mean <= low:
        return values
    factor = max(mean - low, 0.0) / (measured_mean - low)
    return low + np.floor((values - low) * factor + rng.random(len(values))).astype(np.int64)
