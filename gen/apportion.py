r"""Sharing out integer totals in proportion to weights, within caps.

A group's total T over items of weight w and cap c has the ideal shares :math:`y_i = \min(c_i, f w_i)`, f such that
they sum to T (water-filling). They are rounded by systematic sampling: with Y the running sum of the ideals and one
random offset :math:`v \in (0, 1)`, item i gets :math:`\lfloor Y_i + v \rfloor - \lfloor Y_{i-1} + v \rfloor`, which
is its ideal rounded up or down, equal to it in expectation, and sums to T exactly (Madow 1949).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from fitting.classes import EDGES

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers

_BENDS = 4
_ONE = 1 << 30
_EDGES = np.concatenate(([0.0], EDGES))


def apportion(
    totals: Integers, offsets: Integers, weights: Integers | Floats, caps: Integers, rng: np.random.Generator
) -> Integers:
    """Share ``totals[g]`` over the items ``offsets[g]:offsets[g + 1]``, for every group g.

    Args:
        totals: (G,) integers >= 0.
        offsets: (G + 1,).
        weights: (N,) >= 0. A group whose positive weights cannot take its total shares the rest evenly over its other
            items; so does one whose weights are all zero.
        caps: (N,) integers >= 0.
        rng: one uniform number per group is drawn.

    Returns:
        (N,) integers, at most ``caps``, summing to ``min(totals, sum of caps)`` in every group.
    """
    # The offset of the rounding, in fixed point: odd multiples of 2^-21.
    offset = (rng.integers(0, 1 << 20, size=len(totals)) * 2 + 1) * (_ONE >> 21)
    return np.asarray(
        _apportion(np.asarray(totals, dtype=np.int64), offsets, np.asarray(weights, dtype=np.float64), caps, offset)
    )


@njit(cache=True, nogil=True)
def _apportion(totals: Integers, offsets: Integers, weights: Floats, caps: Integers, offset: Integers) -> Integers:
    result = np.zeros(len(weights), dtype=np.int64)
    ideal = np.zeros(len(weights))
    still = np.zeros(len(weights), dtype=np.bool_)
    for g in range(len(totals)):
        begin, end = offsets[g], offsets[g + 1]
        room, able = np.int64(0), np.int64(0)
        for i in range(begin, end):
            room += caps[i]
            able += caps[i] * (weights[i] > 0)
        total = min(totals[g], room)
        # Where the weighted items cannot take it all they are filled, and the others share the rest evenly.
        short = total > able
        left = float(total)
        for i in range(begin, end):
            weighted = weights[i] > 0
            still[i] = weighted != short and caps[i] > 0
            ideal[i] = float(caps[i]) if short and weighted else 0.0
            left -= ideal[i]
        while True:
            mass = 0.0
            for i in range(begin, end):
                mass += (1.0 if short else weights[i]) if still[i] else 0.0
            factor = left / mass if mass > 0 else 0.0
            full = 0.0
            for i in range(begin, end):
                if still[i]:
                    wanted = (1.0 if short else weights[i]) * factor
                    ideal[i] = wanted
                    if wanted > caps[i]:
                        ideal[i] = float(caps[i])
                        full += caps[i]
                        still[i] = False
            if full == 0.0:
                break
            left -= full
        # In fixed point, and with the offset kept clear of what rounding left of the total: sums and caps hold exactly.
        running = 0
        for i in range(begin, end):
            running += np.int64(np.rint(ideal[i] * _ONE))
        excess = running - total * _ONE
        start = min(max(offset[g], -excess), _ONE - 1 - max(excess, 0))
        running, before = start, 0
        for i in range(begin, end):
            running += np.int64(np.rint(ideal[i] * _ONE))
            step = running // _ONE
            result[i] = step - before
            before = step
    return result


def bend(
    totals: Integers, offsets: Integers, weights: Integers, caps: Integers, number: Integers | None = None
) -> Floats:
    r"""Bring the sums of heavy-tailed weights to totals by changing the largest alone.

    Scaling every weight by total / sum would shift the bulk of their distribution to mend what a few large ones did.
    So only what each weight has beyond a cutoff is scaled: of the cutoffs 0, 1, 2, 3, then half decades, the highest
    at which a factor in [1/4, 4] meets the total; where there is none the weights stay as they are. What the caps
    then cut off is made up for in the same way, a few times over.

    Args:
        totals: (G,).
        offsets: (G + 1,) weights of group g are ``offsets[g]:offsets[g + 1]``.
        weights: (N,) >= 0.
        caps: (N,) >= 0.
        number: (N,) how many there are of each weight, >= 1; default: one.

    Returns:
        (N,) weights, at most ``caps``; to be shared out by :func:`apportion`.
    """
    often = np.ones(len(weights)) if number is None else np.asarray(number, dtype=np.float64)
    bent = np.minimum(weights, caps).astype(np.float64)
    _bend(np.asarray(totals, dtype=np.float64), offsets, bent, caps, often)
    return bent


@njit(cache=True, nogil=True)
def _bend(totals: Floats, offsets: Integers, bent: Floats, caps: Integers, number: Floats) -> None:
    for g in range(len(totals)):
        begin, end = offsets[g], offsets[g + 1]
        for _ in range(_BENDS):
            miss, largest = totals[g], 0.0
            for i in range(begin, end):
                miss -= bent[i] * number[i]
                largest = max(largest, bent[i])
            if abs(miss) < 0.5:
                break
            cutoff, factor = 0.0, 1.0
            for edge in _EDGES:
                if edge >= largest:
                    break
                beyond = 0.0
                for i in range(begin, end):
                    # Weights at their caps cannot make up for what is missing.
                    if bent[i] > edge and (bent[i] < caps[i] or miss < 0):
                        beyond += (bent[i] - edge) * number[i]
                if beyond > 0.0 and 0.25 <= 1.0 + miss / beyond <= 4.0:
                    cutoff, factor = edge, 1.0 + miss / beyond
            if factor == 1.0:
                break
            for i in range(begin, end):
                if bent[i] > cutoff:
                    bent[i] = min(cutoff + (bent[i] - cutoff) * factor, caps[i])


def reconcile(
    values: Integers, low: Integers | int, high: Integers | int, total: int, rng: np.random.Generator
) -> Integers:
    """Bring integers to a total within bounds, changing the largest first (:func:`bend`).

    Args:
        values: (N,) integers.
        low, high: bounds, (N,) or one for all; sum(low) <= total <= sum(high).
        total: what the result sums to.
        rng: for the rounding.
    """
    floor = np.broadcast_to(np.asarray(low, dtype=np.int64), values.shape)
    span = np.broadcast_to(np.asarray(high, dtype=np.int64), values.shape) - floor
    above = np.clip(values - floor, 0, span)
    if int(above.sum() + floor.sum()) == total:
        return floor + above
    goal, everyone = np.array([total - int(floor.sum())]), np.array([0, len(values)])
    return floor + apportion(goal, everyone, bend(goal, everyone, above, span), span, rng)
