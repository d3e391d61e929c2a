r"""How many of the largest servers do not belong to the tail that the others follow.

Let :math:`x_{(1)} \ge x_{(2)} \ge \dots` be the values in falling order and S the survival function of the tail.
Under a continuous law the normalised spacings

.. math:: E_j = j \, \ln \frac{S(x_{(j+1)})}{S(x_{(j)})}, \qquad j = 1, 2, \dots

are independent and exponential with mean 1 (Renyi 1953): given :math:`x_{(j+1)}`, the j values above it are
independent draws from the law there, and :math:`e^{-E_j}` is the probability that all of them reach :math:`x_{(j)}`.
A gap below the j-th largest value that is wider than chance allows says that the j largest are *hubs*; they are taken
away, and the others tested again, j counted from the largest of them, until no gap is too wide. For whole
numbers the j values are known to be at least :math:`x_{(j+1)} + 1`, which stands in the place of :math:`x_{(j+1)}`;
where the two tie there is no gap.

The law must not be fitted to the hubs that it is to find. So the J largest values are censored: known to lie above
:math:`c = x_{(J+1)}`, no more. xmin is chosen by the values that are left, as everywhere (:mod:`fitting.tails`); with
r of them in the tail, the likelihood is that of r draws from the power law and J survivals :math:`S(c + 1)`. The
estimated exponent makes spacings look larger than they are: for a continuous power law :math:`P(E_j \ge y) = (1 + y /
r)^{-r}` exactly (type II censoring; Lawless 2003, section 4.1), and that is used.

J tests at once: the j-th is held against the level :math:`\tfrac34 \epsilon / (j H_J)`, :math:`H_J = 1 + 1/2 + \dots
+ 1/J`. These add up to :math:`\tfrac34 \epsilon`, and few hubs are found more easily than many; the quarter left is
for the choice of xmin, by which false alarms are up to a third more frequent than the levels say (simulated:
docs/tails.md). With no hubs in the sample the probability to find any is at most about :math:`\epsilon`. Tails
lighter than a power law are safer still: a hub here lies beyond even a power law. Tests of this kind: Wheatley and
Sornette 2015 (arXiv 1507.08689).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fitting.scan import choose
from fitting.zeta import censored_exponent, scaled_zeta

if TYPE_CHECKING:
    from fitting.histogram import Histogram

RATE = 0.05
MOST = 20
_CHOICE_OF_XMIN = 0.75
_SHARE = 10  # at most one in so many values of the tail is suspected


@dataclass(frozen=True)
class Hubs:
    """The largest values that do not belong to the tail.

    Attributes:
        count: how many.
        tested: J, how many were suspected.
        p: of the gap below the last hub, or without hubs the smallest one in proportion to its level; None: no test.
        rate: the family-wise error, at most.
    """

    count: int = 0
    tested: int = 0
    p: float | None = None
    rate: float = RATE


def find_hubs(histogram: Histogram) -> Hubs:
    """Test the largest values of a histogram of whole numbers."""
    for most in range(min(MOST, histogram.n // _SHARE), 0, -1):
        body = histogram.without_largest(most)
        found = choose(body)
        if found.index < 0:
            continue
        tail = body.tail(body.values[found.index])
        if tail.n >= _SHARE * most:
            return _test(histogram, tail, most)
    return Hubs()


def _test(histogram: Histogram, tail: Histogram, most: int) -> Hubs:
    xmin, largest = float(tail.values[0]), float(tail.values[-1])
    mean_log = float(tail.number @ np.log(tail.values / xmin)) / tail.n
    alpha = censored_exponent(mean_log, xmin, tail.n, largest + 1.0, most)
    top = np.repeat(histogram.values[-most - 1 :], histogram.number[-most - 1 :])[::-1][: most + 1]
    log_survival = np.array([np.log(scaled_zeta(alpha, x)) - alpha * np.log(x / xmin) for x in top])
    above = np.array([np.log(scaled_zeta(alpha, x + 1)) - alpha * np.log((x + 1) / xmin) for x in top])
    gap = np.maximum(above[1:] - log_survival[:-1], 0.0)
    count, p_of_last = 0, None
    while count < most:
        j = np.arange(1, most - count + 1)
        p = (1.0 + j * gap[count:] / tail.n) ** -tail.n
        level = _CHOICE_OF_XMIN * RATE / (j * np.sum(1.0 / np.arange(1, most + 1)))
        wide = np.flatnonzero(p <= level)
        if len(wide) == 0:
            smallest = float(p[np.argmin(p / level)])
            return Hubs(count, most, smallest if p_of_last is None else p_of_last)
        count += int(wide[0]) + 1
        p_of_last = float(p[wide[0]])
    return Hubs(count, most, p_of_last)
