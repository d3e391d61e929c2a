"""From levels to values: by a table near xmin, by a spline beyond, and from real values to integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedgen.federation import Floats, Integers

FARTHEST = 2.0**62  # draws are capped here
_RATIO = 257 / 256  # of neighbouring knots
_FAINTEST = 1e-300
_FLAT = 1e-12  # of -ln S from knot to knot: less is rounding


def searched(table: Floats, q: Floats, first: float) -> Integers:
    """For each level q the largest x with S(x) >= q, given S at first, first + 1, ...; the last one where all are."""
    rank = np.searchsorted(-table, -q, side="right") - 1
    return np.int64(first) + np.maximum(rank, 0)


def splined(survival: Callable[[Floats], Floats], first: float, discrete: bool) -> Callable[[Floats], Floats]:
    """The real x with S(x) = q, as a function of levels q up to S(first), by a cubic spline of ln x over -ln S.

    S is known at knots first, first * 257/256, ..., rounded where only integers have a level; beyond 1e-300 or 2^62 the
    last knot is returned. Knots where S has hardly begun to fall are left out. x is off by less than 1e-11 of it, its
    level, down to 1e-12, by that times the slope -d ln S / d ln x.
    """
    from scipy.interpolate import CubicSpline

    knots = np.minimum(first * _RATIO ** np.arange(np.ceil(np.log(FARTHEST / first) / np.log(_RATIO)) + 1.0), FARTHEST)
    knots = np.rint(knots) if discrete else knots
    level = survival(knots)
    seen = level > _FAINTEST
    depth = -np.log(level[seen])
    told = np.diff(depth, append=np.inf) > _FLAT
    if told.sum() < 2:
        return lambda q: np.full(len(q), first)
    depth = depth[told]
    spline = CubicSpline(depth, np.log(knots[seen][told]))
    return lambda q: from_log(spline(np.clip(-np.log(q), depth[0], depth[-1])))


def whole(y: Floats) -> Integers:
    """The integer whose cell [x - 1/2, x + 1/2) holds y, capped at 2^62."""
    return np.floor(np.minimum(y + 0.5, FARTHEST)).astype(np.int64)


def from_log(log_x: Floats) -> Floats:
    """x, capped at 2^62."""
    return np.minimum(np.exp(np.minimum(log_x, np.log(FARTHEST) + 1.0)), FARTHEST)
