r"""Sharing out integer totals in proportion to weights, within caps.

A group's total T over items of weight w and cap c has the ideal shares :math:`y_i = \min(c_i, f w_i)`, f such that
they sum to T (water-filling). They are rounded by systematic sampling: with Y the running sum of the ideals and one
random offset :math:`v \in (0, 1)`, item i gets :math:`\lfloor Y_i + v \rfloor - \lfloor Y_{i-1} + v \rfloor`, which
is its ideal rounded up or down, equal to it in expectation, and sums to T exactly (Madow 1949).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.ragged import offsets_of
from fitting.classes import EDGES

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers

_BENDS = 4
_ONE = 1 << 30


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
    sizes = np.diff(offsets)
    group = np.repeat(np.arange(len(totals)), sizes)

    def over_groups(values: Floats) -> Floats:
        return np.bincount(group, weights=values, minlength=len(totals))

    room_for = over_groups(caps)
    totals = np.minimum(totals, room_for).astype(np.float64)
    able = over_groups(np.where(weights > 0, caps, 0))
    # Where the weighted items cannot take it all they are filled, and the others share the rest evenly.
    short = (totals > able)[group]
    ideal = np.where(short & (weights > 0), caps.astype(np.float64), 0.0)
    share = np.where(short, (weights == 0) & (caps > 0), np.asarray(weights, dtype=np.float64))
    left = totals - over_groups(ideal)
    open_item = (share > 0) & (caps > 0)
    while True:
        mass = over_groups(np.where(open_item, share, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.where(mass > 0, left / mass, 0.0)
        wanted = np.where(open_item, share * factor[group], 0.0)
        full = open_item & (wanted > caps)
        if not full.any():
            break
        ideal[full] = caps[full]
        left -= over_groups(np.where(full, caps, 0.0))
        open_item &= ~full
    ideal = np.where(open_item, wanted, ideal)

    # In fixed point, and with the offset kept clear of what rounding left of each total: sums and caps hold exactly.
    running = offsets_of(np.rint(ideal * _ONE).astype(np.int64))
    excess = np.diff(running[offsets]) - totals.astype(np.int64) * _ONE
    offset = (rng.integers(0, 1 << 20, size=len(totals)) * 2 + 1) * (_ONE >> 21)
    offset = np.clip(offset, np.maximum(-excess, 0), _ONE - 1 - np.maximum(excess, 0))
    steps = (running[1:] - running[offsets[:-1]][group] + offset[group]) // _ONE
    result = steps.copy()
    result[1:] -= steps[:-1]
    starts = offsets[:-1][sizes > 0]
    result[starts] = steps[starts]
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
    bent = np.minimum(weights, caps).astype(np.float64)
    positive = np.flatnonzero(bent)
    owner = np.searchsorted(offsets, positive, side="right") - 1
    often = np.ones(len(positive)) if number is None else number[positive]
    for _ in range(_BENDS):
        cutoff, factor = _bend_at(totals, owner, bent[positive], caps[positive], often)
        if np.all(factor == 1.0):
            break
        edge = cutoff[owner]
        scaled = np.minimum(bent[positive], edge) + np.maximum(bent[positive] - edge, 0.0) * factor[owner]
        bent[positive] = np.minimum(scaled, caps[positive])
    return bent


def _bend_at(
    totals: Integers, group: Integers, weights: Floats, caps: Integers, number: Integers | Floats
) -> tuple[Floats, Floats]:
    """The cutoff and the factor of each group; weights at their caps cannot make up for what is missing."""
    miss = totals - np.bincount(group, weights=weights * number, minlength=len(totals))
    able = (weights < caps) | (miss[group] < 0)
    weights, group, number = weights[able], group[able], number[able]
    cutoff, factor = np.zeros(len(totals)), np.ones(len(totals))
    missing = np.abs(miss) >= 0.5
    for edge in (0, *EDGES.tolist()):
        above = weights > edge
        weights, group, number = weights[above], group[above], number[above]
        if len(weights) == 0:
            break
        beyond = np.bincount(group, weights=(weights - edge) * number, minlength=len(totals))
        with np.errstate(divide="ignore", invalid="ignore"):
            needed = 1.0 + miss / beyond
        enough = missing & (needed >= 0.25) & (needed <= 4.0)
        cutoff[enough], factor[enough] = edge, needed[enough]
    return cutoff, factor


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
