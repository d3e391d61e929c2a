"""How far two distributions, two curves or two numbers are apart.

Distributions stand on one support, ordered by a value: ``p`` and ``q`` are the masses of both sides on it (each sums to
1), in rising order of the value. All distances are metrics, 0 if and only if both sides agree, which is what the bound
on detectable errors rests on (docs/scorecard.md).
"""

from __future__ import annotations

from math import inf, log10
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers


def kolmogorov_smirnov(x: Floats | Integers, p: Floats, q: Floats) -> float:
    """sup |P - Q| of the cumulative distributions; ties of ``x`` count as one step."""
    last = np.append(x[1:] != x[:-1], True)
    return float(np.abs(np.cumsum(p - q)[last]).max(initial=0.0))


def total_variation(p: Floats, q: Floats) -> float:
    """Half the sum of |p - q| over the bins."""
    return float(np.abs(p - q).sum() / 2)


def wasserstein(x: Floats | Integers, p: Floats, q: Floats) -> float:
    """W1, the area between the cumulative distributions: sum of |P - Q| times the step of ``x``."""
    return float(np.abs(np.cumsum(p - q)[:-1]) @ np.diff(x))


def log_wasserstein(
    generated: Floats | Integers,
    measured: Floats | Integers,
    our_number: Integers | None = None,
    their_number: Integers | None = None,
) -> float:
    """W1log of two samples of numbers >= 0: the Wasserstein distance of log10(1 + x).

    Args:
        generated: (A,) one sample.
        measured: (B,) the other.
        our_number: (A,) how often each of ``generated`` occurs; None: once.
        their_number: (B,) likewise.
    """
    x = np.log10(1.0 + np.concatenate((generated, measured)))
    order = np.argsort(x, kind="stable")
    p = np.concatenate((_shares(len(generated), our_number), np.zeros(len(measured))))[order]
    q = np.concatenate((np.zeros(len(generated)), _shares(len(measured), their_number)))[order]
    return wasserstein(x[order], p, q)


def _shares(size: int, number: Integers | None) -> Floats:
    return np.full(size, 1.0 / size) if number is None else number / number.sum()


def curve_distance(generated: Floats, measured: Floats) -> float:
    """sup distance of two cumulative curves against rank share.

    Args:
        generated: (A + 1,) ordinates at 0, 1/A, ..., 1, linear in between.
        measured: (B + 1,) likewise.

    The difference is linear between the knots of either, so its extreme is at a knot: exact for any A and B.
    """
    at = np.linspace(0.0, 1.0, len(generated)), np.linspace(0.0, 1.0, len(measured))
    knots = np.union1d(*at)
    return float(np.abs(np.interp(knots, at[0], generated) - np.interp(knots, at[1], measured)).max())


def difference(generated: float, measured: float) -> float:
    """|a - b|."""
    return abs(generated - measured)


def log_ratio(generated: float, measured: float) -> float:
    """|log10(a / b)| of two numbers >= 0: 0 where both are 0, infinite where one is."""
    if generated == measured:
        return 0.0
    if generated <= 0 or measured <= 0:
        return inf
    return abs(log10(generated) - log10(measured))
