r"""Whole numbers with sums that are given, and levels that are spread evenly: chance only where it is needed.

Expected counts become whole numbers with as little scatter as can be: levels of quantiles are spread evenly over units
that are alike (stratified sampling), and shares are rounded by systematic sampling (Madow 1949), up or down, with exact
sums. What is left between a sum and its total goes to single units drawn in proportion to their values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.ragged import offsets_of

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers

_ROUNDS = 1000


def even_levels(alike: Integers, rng: np.random.Generator) -> Floats:
    """(N,) levels in (0, 1): of N units, those with an equal ``alike`` have theirs spread evenly, in random order."""
    order = np.lexsort((rng.random(len(alike)), alike))
    key = alike[order]
    begin, end = np.searchsorted(key, key), np.searchsorted(key, key, side="right")
    levels = np.empty(len(alike))
    levels[order] = (np.arange(len(alike)) - begin + rng.random(len(alike))) / (end - begin)
    return levels


def in_proportion(number: Integers, owner: Integers, totals: Integers, rng: np.random.Generator) -> Integers:
    """``number`` brought to the totals of its owners.

    Args:
        number: (E,) >= 0. owner: (E,) rising; each has a number above zero. totals: (N,) >= 0, of every owner.
        rng: one number per owner.

    Returns:
        (E,) in proportion, rounded up or down.
    """
    there = np.bincount(owner, weights=number, minlength=len(totals)).astype(np.int64)
    upto = (np.cumsum(number) - offsets_of(there)[:-1][owner]) * totals[owner]
    offset = (rng.random(len(totals)) * there).astype(np.int64)[owner]
    return (upto + offset) // there[owner] - (upto - number * totals[owner] + offset) // there[owner]


def settle(
    values: Integers,
    low: Integers,
    high: Integers,
    total: int,
    rng: np.random.Generator,
    group: Integers | None = None,
    below: Integers | None = None,
    above: Integers | None = None,
) -> Integers:
    """Values moved by one, those drawn in proportion to value, until they sum to a total or bounds stop them.

    Args:
        values: (N,) whole numbers >= 0.
        low, high: (N,) bounds.
        total: the sum that is wanted.
        rng: of the draws.
        group: (N,) groups that have bounds of their sums, default: none.
        below, above: (G,) bounds of the sums of groups.
    """
    values = values.copy()
    for _ in range(_ROUNDS):
        miss = total - int(values.sum())
        able = values < high if miss > 0 else values > low
        if group is not None and below is not None and above is not None:
            sums = np.bincount(group, weights=values, minlength=len(below)).astype(np.int64)
            spare = above - sums if miss > 0 else sums - below
            able &= (spare > 0)[group]
        at = np.flatnonzero(able)
        if miss == 0 or len(at) == 0:
            break
        weight = values[at] + 1.0
        at = at[rng.random(len(at)) * weight.sum() < weight * abs(miss)]
        at = rng.permutation(at)[: abs(miss)]
        if group is not None and below is not None:
            at = at[np.argsort(group[at], kind="stable")]
            rank = np.arange(len(at)) - np.searchsorted(group[at], group[at])
            at = at[rank < spare[group[at]]]
        values[at] += 1 if miss > 0 else -1
    return values
