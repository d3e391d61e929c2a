"""From distances and their nulls to floors and a family-wise verdict.

The verdict is the step-down maxT procedure of Westfall and Young (Resampling-Based Multiple Testing, 1993, Algorithm
2.8; as in Ge, Dudoit and Speed, Test 12, 2003, Box 2) on standardised distances: it controls the probability that any
row of a federation that is right is rejected, and follows the dependence of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedgen.federation import Floats

LEVEL = 0.01
"""Family-wise level of the verdict."""

RESOLUTION = 1e-12
"""Distances below are rounding noise and count as 0."""


@dataclass(frozen=True)
class Floor:
    """What a null says of one row.

    Attributes:
        floor: its 95 % quantile, or the margin where that is larger.
        low: its 5 % quantile.
        detectable: a true distance from which on 95 % of comparisons exceed the floor (docs/scorecard.md).
    """

    floor: float
    low: float
    detectable: float

    @classmethod
    def of(cls, null: Floats, margin: float = 0.0) -> Floor:
        """From the (B,) defined, non-negative, possibly infinite distances of a null."""
        ordered = np.sort(null)
        low, high = (float(ordered[int(np.ceil(share * len(ordered))) - 1]) for share in (0.05, 0.95))
        floor = max(high, margin)
        return cls(floor, low, floor + high)

    def ratio(self, distance: float) -> float:
        """Distance over floor; 0/0 is 0, since nothing is nothing's equal."""
        if distance == 0:
            return 0.0
        return distance / self.floor if self.floor > 0 else inf


def rounded(distance: Floats | float) -> Floats:
    """Distances without their rounding noise."""
    return np.where(np.asarray(distance) < RESOLUTION, 0.0, distance)


def step_down(distances: Floats, null: Floats) -> Floats:
    """Adjusted p-values of all rows.

    Args:
        distances: (rows,) non-negative, possibly infinite.
        null: (B, rows) likewise; NaN where a replicate has no distance for a row.

    Returns:
        (rows,) adjusted p, at least 1/(B + 1).
    """
    if len(distances) == 0:
        return np.zeros(0)
    finite = np.where(np.isfinite(null), null, nan)
    centre, spread = np.nanmean(finite, axis=0), np.nanstd(finite, axis=0)
    observed = _standardised(distances, centre, spread)
    drawn = _standardised(np.where(np.isnan(null), -inf, null), centre, spread)
    order = np.argsort(-observed, kind="stable")
    # The largest of this row and of all rows that come after it.
    tail = np.maximum.accumulate(drawn[:, order[::-1]], axis=1)[:, ::-1]
    exceeded = (tail >= observed[order]).sum(axis=0)
    adjusted = np.empty(len(distances))
    adjusted[order] = np.maximum.accumulate((1 + exceeded) / (1 + len(null)))
    return adjusted


def _standardised(distances: Floats, centre: Floats, spread: Floats) -> NDArray[np.float64]:
    """(d - mean) / sd; where the null does not vary, everything above it is infinitely far."""
    above: NDArray[np.float64] = distances - centre
    degenerate = np.where(above > RESOLUTION, inf, np.where(above < -RESOLUTION, -inf, 0.0))
    with np.errstate(invalid="ignore"):
        return np.where(spread > RESOLUTION, above / np.where(spread > RESOLUTION, spread, 1.0), degenerate)
