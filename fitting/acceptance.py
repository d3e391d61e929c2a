r"""Does a law fit its tail? Two tests at 5 %, both quick enough to be asked of every candidate.

*Kolmogorov and Smirnov*, in the form for an estimated exponent: :math:`D \sqrt n \le 1.094`, the asymptotic 5 % point
of the KS statistic of an exponential law whose mean is estimated (Lilliefors 1969); the logarithm of a continuous
power law is one. For whole numbers, of which few values hold most of the sample, this alone lets too much pass.

*Pearson*: :math:`\sum (o_i - e_i)^2 / e_i` over cells of the tail against the 5 % point of chi-square with cells - 1
- parameters degrees of freedom. Cells begin at xmin, xmin + 1, ... and grow by half from where that is more than one;
cells are joined until five values or more are expected in each (Cochran 1954). Where that leaves no degree of freedom
there is no such test.

A true power law passes both about nine times in ten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy.special import chdtri

if TYPE_CHECKING:
    from fedgen.federation import Floats
    from fitting.histogram import Histogram
    from fitting.laws.law import Law

FEWEST = 10  # values that make a tail; fewer are met by some law at almost any xmin
LILLIEFORS = 1.094
_LEVEL = 0.05
_EXPECTED = 5.0
_CELLS = 128  # more than there are up to 2^62
_LARGEST = chdtri(np.maximum(np.arange(_CELLS), 1), _LEVEL)


def fits(law: Law, tail: Histogram) -> bool:
    """Whether a law on whole numbers passes both tests on the values from its xmin on."""
    if tail.n < FEWEST or law.distance(tail) * np.sqrt(tail.n) > LILLIEFORS:
        return False
    edges = [law.xmin]
    while len(edges) < _CELLS and edges[-1] <= tail.values[-1]:
        edges.append(next_edge(edges[-1]))
    measured = tail.n - tail.upto[np.searchsorted(tail.values, edges)]
    return bool(pearson(tail.n * law.survival(edges), measured.astype(np.float64), len(law.names)))


@njit(cache=True, nogil=True)
def next_edge(x: float) -> float:
    """Where the cell that begins at x ends."""
    return max(x + 1.0, np.floor(1.5 * x))


@njit(cache=True, nogil=True)
def pearson(expected: Floats, measured: Floats, parameters: int) -> bool:
    """Whether Pearson's test passes, given how many values were expected, and measured, from each edge on."""
    statistic, cells, start = 0.0, 0, 0
    for i in range(1, len(expected)):
        if expected[i] < _EXPECTED:
            break
        mean = expected[start] - expected[i]
        if mean >= _EXPECTED:
            statistic += (measured[start] - measured[i] - mean) ** 2 / mean
            cells, start = cells + 1, i
    statistic += (measured[start] - expected[start]) ** 2 / expected[start]
    freedom = cells - parameters  # cells + 1, the last one among them, - 1 - parameters
    return freedom < 1 or statistic <= _LARGEST[freedom]
