r"""Independent draws conditioned on their totals.

Heavy-tailed tuples drawn independently miss the totals that the layers must agree on: in Matrix 2018 one room of 798
holds an eighth of all memberships. Scaling everything to the total would shift every margin; instead a pool of draws
longer than needed is made, N of it are taken, and the others are offered one by one for a place chosen at random.
Distance to the goal is measured in the standard deviations of a sum of N draws; an offer is taken if it brings the
vector of totals nearer by enough. *Enough* begins at a quarter of the distance left and falls to :math:`1 /
2\sqrt{N}`, half the standard deviation of one draw: so few large tuples are exchanged rather than many small ones,
which would tilt the bulk of every margin. At most :math:`2 \sqrt{N}` times the first distance are exchanged, and once
every total is within a tenth of a standard deviation, none. What is left is settled by
:func:`gen.apportion.reconcile`.

Chance shrinks with N, a law's error does not: among many more draws than were measured, a mean that is off is beyond
what a few exchanges mend. Then the pool is *tilted* first: row i is drawn with probability

.. math:: w_i \propto e^{\theta \cdot t_i}, \qquad \sum_i w_i t_i = \text{goal} / N

which of all distributions with those means is the nearest to the pool's, and what independent draws look like given
their totals, as N grows (Gibbs conditioning; Csiszar 1984). :math:`\theta` minimises the convex :math:`\ln \sum_i
e^{\theta \cdot (t_i - \text{goal} / N)}`, by Newton's method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from gen.apportion import bend

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedgen.federation import Floats, Integers

NEAR = 0.1
NEWTON = 30
_ROUNDING = 1e-3  # sizes are whole, so that nothing grows by exactly what was asked for


def pool_size(count: int) -> int:
    """How many tuples to draw for ``count`` places: 20,000 at least, and half as many more as there are places."""
    return count + max(20_000 - count, count // 2)


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
    # Half of the offers go to places chosen by their size: the few that make the totals what they are.
    size = np.sqrt((scaled[:count] ** 2).sum(axis=1)) + 1e-300
    offers = len(pool) - count
    by_size = np.searchsorted(np.cumsum(size / size.sum()), rng.random(offers))
    places = np.where(rng.random(offers) < 0.5, np.minimum(by_size, count - 1), rng.integers(0, count, size=offers))
    return np.asarray(_exchange(scaled, places, np.asarray(goal / scale, dtype=np.float64)))


def tilt(pool: NDArray[np.number[Any]], count: int, goal: Floats, rng: np.random.Generator) -> Integers:
    """Draw rows of ``pool`` anew such that ``count`` of them can be expected to sum to ``goal``.

    Args:
        pool: (P, J) independent tuples.
        count: how many of them are to sum to the goal, >= 1.
        goal: (J,) totals. Where no weights reach them they come as near as weights do.
        rng: of the draws.

    Returns:
        (P,) row numbers.
    """
    spread = pool.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    away = pool / scale - goal / count / scale
    theta = np.zeros(away.shape[1])
    weight, value = _weights(away, theta)
    for _ in range(NEWTON):
        slope = weight @ away
        if np.abs(slope).max() < 1e-6:
            break
        curve = (away * weight[:, None]).T @ away - np.outer(slope, slope)
        step = np.linalg.lstsq(curve + 1e-9 * np.eye(len(theta)), -slope, rcond=None)[0]
        for _ in range(NEWTON):
            tried, lower = _weights(away, theta + step)
            if lower <= value:
                break
            step = step / 2.0
        else:
            break
        theta, weight, value = theta + step, tried, lower
    at = np.searchsorted(np.cumsum(weight), (np.arange(len(pool)) + rng.random()) / len(pool))
    return rng.permutation(np.minimum(at, len(pool) - 1))


def _weights(away: Floats, theta: Floats) -> tuple[Floats, float]:
    """The weights at theta, and the function that theta minimises."""
    tilt = away @ theta
    top = tilt.max()
    weight = np.exp(tilt - top)
    total = weight.sum()
    return weight / total, float(np.log(total) + top)


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


def stretch(values: Integers, low: int, top: int, mean: float, count: int, rng: np.random.Generator) -> Integers:
    """Scale a pool of draws whose mean is not the one the plan asks for.

    What ``count`` draws reach by chance, three standard deviations of their mean, is left to :func:`exchange`. Beyond
    it the largest values are bent (:func:`gen.apportion.bend`), none above ``top``; and where that is not enough,
    because the plan asks for another kind of federation than was measured, every value's excess over ``low`` is
    multiplied.
    """
    chance = 3.0 * float(values.std()) / np.sqrt(count)
    excess = (values - low).astype(np.float64)
    goal = max(mean - low, 0.0)
    if abs(goal - excess.mean()) <= chance or excess.max() == 0:
        return values
    everyone = np.array([0, len(values)])
    excess = bend(np.array([goal * len(values)]), everyone, excess, np.full(len(values), max(top - low, 0)))
    if abs(goal - excess.mean()) > chance:
        excess *= goal / excess.mean()
    return low + np.floor(excess + rng.random(len(values))).astype(np.int64)


def multiply(values: Integers, times: float, rng: np.random.Generator) -> Integers:
    """Whole numbers ``times`` as large, rounded at random, where the plan says that all of them grow (times > 1)."""
    if times <= 1.0 + _ROUNDING:
        return values
    return np.floor(values * times + rng.random(len(values))).astype(np.int64)
