r"""Where the tail of a power law begins: every candidate, on the histogram of distinct values.

For each distinct value v as xmin: the maximum-likelihood exponent of the values >= v, and its Kolmogorov-Smirnov
distance

.. math:: D = \sup_{x \ge v} |\hat S(x) - S(x)|,

:math:`\hat S` the measured share of the tail that is >= x. The *scan* takes the v of the smallest D, the smallest v
where several tie (Clauset, Shalizi and Newman 2009, section 3.3). All candidates, exact: over the whole numbers both
functions are steps, so that D is met at a distinct value or just behind one that a gap follows. For continuous laws D
is what the code of those authors computes (and `powerlaw` where none tie), the largest :math:`|1 - S(x_{(i)}) - (i -
1) / n|` over the tail in rising order: one side of each jump, both where values tie. (Both sides everywhere would
turn their published p = .62 for blackouts into .81 and .20 for surnames into .27.)

What makes it quick is what can be left out without changing the result: a candidate is given up as soon as its
distance at one point passes the smallest D so far, and points far apart are looked at first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from fitting.acceptance import FEWEST, LILLIEFORS, next_edge, pearson
from fitting.zeta import scaled_zeta, zeta_exponent

if TYPE_CHECKING:
    from fedgen.federation import Floats
    from fitting.histogram import Histogram


@dataclass(frozen=True)
class Candidate:
    """One xmin: its position among the distinct values (-1: none was found), the exponent, the KS distance."""

    index: int
    alpha: float
    distance: float


def scan(histogram: Histogram, *, discrete: bool = True) -> Candidate:
    """The candidate of the smallest distance, among all tails whose values are not all equal."""
    return Candidate(*smallest_distance(*_columns(histogram), discrete))


def choose(histogram: Histogram, *, discrete: bool = True) -> Candidate:
    """The candidate to draw from: that of :func:`scan` if it fits, else the smallest xmin that does, else none.

    What fits: :mod:`fitting.acceptance`; of continuous laws only the distance is asked.
    """
    return Candidate(*chosen(*_columns(histogram), discrete))


def _columns(histogram: Histogram) -> tuple[Floats, Floats, Floats, Floats]:
    return suffixes(histogram.values, histogram.number.astype(np.float64))


@njit(cache=True, nogil=True)
def suffixes(values: Floats, number: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Values, their logarithms; (D + 1,) number and sum of logarithms of the values from each one on."""
    size = len(values)
    logs = np.log(values)
    count, total = np.zeros(size + 1), np.zeros(size + 1)
    for i in range(size - 1, -1, -1):
        count[i] = count[i + 1] + number[i]
        total[i] = total[i + 1] + number[i] * logs[i]
    return values, logs, count, total


@njit(cache=True, nogil=True)
def exponent(values: Floats, logs: Floats, count: Floats, total: Floats, at: int, discrete: bool) -> float:
    """The maximum-likelihood exponent of the tail from the distinct value ``at`` on; infinite if all are equal."""
    mean_log = total[at] / count[at] - logs[at]
    if mean_log <= 1e-14 * max(1.0, logs[at]) or at == len(values) - 1:
        return np.inf
    return zeta_exponent(mean_log, values[at]) if discrete else 1.0 + 1.0 / mean_log


@njit(cache=True, nogil=True)
def distance(values: Floats, count: Floats, at: int, alpha: float, discrete: bool, limit: float) -> float:
    """The KS distance of the tail from the distinct value ``at`` on, or some number >= ``limit`` if it is that."""
    size, xmin, n = len(values), values[at], count[at]
    norm = scaled_zeta(alpha, xmin) if discrete else 1.0
    largest = 0.0
    stride = max((size - at) // 8, 1)
    while True:
        for i in range(at, size, stride):
            if discrete:
                term = (values[i] / xmin) ** -alpha / norm
                survival = scaled_zeta(alpha, values[i]) * term
                largest = max(largest, abs(count[i] / n - survival))
                if i + 1 == size or values[i + 1] > values[i] + 1.0:
                    largest = max(largest, abs(count[i + 1] / n - (survival - term)))
            else:
                survival = (values[i] / xmin) ** (1.0 - alpha)
                largest = max(largest, abs(count[i] / n - survival), abs((count[i + 1] + 1.0) / n - survival))
            if largest >= limit:
                return largest
        if stride == 1:
            return largest
        stride = 1 if stride < 64 else stride // 16


@njit(cache=True, nogil=True)
def smallest_distance(
    values: Floats, logs: Floats, count: Floats, total: Floats, discrete: bool
) -> tuple[int, float, float]:
    """The scan: position, exponent and distance of the best candidate; -1, nan, inf if there is none."""
    last = len(values) - 1
    best, alpha_of_best, smallest = -1, np.nan, np.inf
    stride = max(last // 32, 1)
    while True:
        for at in range(0, last, stride):
            alpha = exponent(values, logs, count, total, at, discrete)
            if alpha == np.inf:
                continue
            # A tie goes to the smaller xmin, whatever the order.
            limit = np.nextafter(smallest, np.inf) if at < best else smallest
            d = distance(values, count, at, alpha, discrete, limit)
            if d < limit:
                best, alpha_of_best, smallest = at, alpha, d
        if stride == 1:
            break
        stride = 1
    return best, alpha_of_best, smallest


@njit(cache=True, nogil=True)
def chosen(values: Floats, logs: Floats, count: Floats, total: Floats, discrete: bool) -> tuple[int, float, float]:
    """Position, exponent and distance of the candidate of :func:`choose`; -1 if there is none."""
    at, alpha, d = smallest_distance(values, logs, count, total, discrete)
    if at < 0 or accepted(values, count, at, alpha, d, discrete):
        return at, alpha, d
    for at in range(len(values) - 1):
        alpha = exponent(values, logs, count, total, at, discrete)
        if alpha == np.inf:
            continue
        d = distance(values, count, at, alpha, discrete, 1.01 * LILLIEFORS / np.sqrt(count[at]))
        if accepted(values, count, at, alpha, d, discrete):
            return at, alpha, d
    return -1, np.nan, np.nan


@njit(cache=True, nogil=True)
def accepted(values: Floats, count: Floats, at: int, alpha: float, d: float, discrete: bool) -> bool:
    """Whether the power law of distance ``d`` fits the tail from the distinct value ``at`` on; as `acceptance.fits`."""
    n = count[at]
    if n < FEWEST or d * np.sqrt(n) > LILLIEFORS:
        return False
    if not discrete:
        return True
    edges, expected, measured = [values[at]], [n], [n]
    norm = scaled_zeta(alpha, values[at]) / n
    while edges[-1] <= values[-1] and expected[-1] > 0.0:
        edge = next_edge(edges[-1])
        edges.append(edge)
        expected.append(scaled_zeta(alpha, edge) * (edge / values[at]) ** -alpha / norm)
        measured.append(count[np.searchsorted(values, edge)])
    return pearson(np.array(expected), np.array(measured), 1)
