r"""How a statistic grows with size: bands over seeds, and the exponent over factors with its interval.

**Exponent.** Of the values :math:`y_{fs}` at factor f with seed s, each seed has the slope of the least squares line of
:math:`\log y_{fs}` on :math:`\log f`,

.. math:: b_s = \frac{\sum_f (x_f - \bar x) \log y_{fs}}{\sum_f (x_f - \bar x)^2}, \qquad x_f = \log f,

and the exponent is the mean of the n slopes, which is the slope of the geometric means over seeds. Its 95 % interval is
:math:`\bar b \pm t_{n-1, 0.975}\, s_b / \sqrt n` with the standard deviation :math:`s_b` of the slopes. Seeds are what
is independent: draws of one seed at two factors may share random numbers, so a seed's whole line is one observation.
(A bootstrap over as few seeds as a sweep has would be too narrow: the percentile interval of five values covers some
80 %.) The interval says what the draws leave open, not whether the statistic is a power of size at all: one that bends
has a slope, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan, nan, sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Floats

LEVEL = 0.95
EQUAL = 0.01
"""Exponents that differ by less are the same: sizes are rounded to whole servers, users and rooms."""


@dataclass(frozen=True)
class Band:
    """Median and 5-95 % band of a statistic over seeds (quantiles, interpolated); NaN where there is no value."""

    median: float
    low: float
    high: float

    def overlaps(self, other: Band) -> bool:
        """Whether the two have a value in common."""
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class Exponent:
    """Of a statistic over factors.

    Attributes:
        value: the exponent; NaN where there are fewer than two factors, or a value that is not above 0.
        low, high: its 95 % interval; NaN with fewer than two seeds.
    """

    value: float
    low: float
    high: float

    def holds(self, declared: float) -> bool | None:
        """Whether a declared exponent lies in the interval or is the same (:data:`EQUAL`); None if none was found."""
        off = self.off(declared)
        return None if isnan(off) else off <= 0.0

    def off(self, declared: float) -> float:
        """How far a declared exponent lies outside the interval; 0 within it, NaN where there is no interval."""
        if abs(declared - self.value) <= EQUAL:
            return 0.0
        return nan if isnan(self.low) else max(self.low - declared, declared - self.high, 0.0)


def band(values: Floats) -> Band:
    """The band of the values (N,) of a statistic, one per seed; NaNs among them take no part."""
    there = values[~np.isnan(values)]
    if len(there) == 0:
        return Band(nan, nan, nan)
    low, median, high = np.quantile(there, (0.05, 0.5, 0.95))
    return Band(float(median), float(low), float(high))


def exponent(factors: Floats, values: Floats) -> Exponent:
    """The exponent of a statistic.

    Args:
        factors: (F,) distinct, > 0.
        values: (F, N) of the statistic, a column per seed.
    """
    if len(factors) < 2 or not (np.isfinite(values).all() and (values > 0).all()):
        return Exponent(nan, nan, nan)
    x = np.log(factors) - np.log(factors).mean()
    slopes = x @ np.log(values) / (x @ x)
    middle, count = float(slopes.mean()), len(slopes)
    if count < 2:
        return Exponent(middle, nan, nan)
    from scipy.stats import t

    half = float(t.ppf((1 + LEVEL) / 2, count - 1) * slopes.std(ddof=1) / sqrt(count))
    return Exponent(middle, middle - half, middle + half)


def log2_ratio(value: float, reference: float) -> float:
    """By how many doublings ``value`` is above ``reference``; NaN where one of them is not above 0."""
    if not (0 < value < inf and 0 < reference < inf):
        return nan
    return float(np.log2(value / reference))
