r"""The power law on the integers: :math:`P(X \ge x) = \zeta(\alpha, x) / \zeta(\alpha, x_{min})`.

Clauset, Shalizi and Newman 2009, appendix D. The zeta function is :mod:`fitting.zeta`'s, in :math:`x / x_{min}`, so
that nothing under- or overflows.

Inverse. The first values are looked up in a table. Beyond it the sum over x, x + 1, ... is by the midpoint formula of
Euler and Maclaurin, with u = x - 1/2,

.. math:: \sum_{k \ge x} k^{-\alpha} = \frac{u^{1 - \alpha}}{\alpha - 1} - \frac{\alpha}{24} u^{-\alpha - 1} + \ldots

Without the second term it inverts in closed form; the second moves u by :math:`-\alpha / (24 u)`; what is left is of
the order of :math:`(\alpha / u)^3 / 1000`, nothing beyond a table of 8,192 values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numba import njit

from fitting.laws.inverse import from_log, searched, whole
from fitting.laws.law import IntegerLaw
from fitting.zeta import scaled_zeta, zeta_exponent

if TYPE_CHECKING:
    from typing import Self

    from fedgen.federation import Floats, Integers
    from fitting.histogram import Histogram


@njit(cache=True, nogil=True)
def zeta_survival(x: Floats, alpha: float, xmin: float) -> Floats:
    """zeta(alpha, x) / zeta(alpha, xmin) at (k,) values x >= xmin."""
    found = np.empty(len(x))
    whole_sum = scaled_zeta(alpha, xmin)
    for i in range(len(x)):
        found[i] = (x[i] / xmin) ** -alpha * scaled_zeta(alpha, x[i]) / whole_sum
    return found


@dataclass(frozen=True)
class PowerLaw(IntegerLaw):
    """pmf proportional to x^-alpha: the zeta law."""

    alpha: float

    family: ClassVar[str] = "power law"
    names: ClassVar[tuple[str, ...]] = ("alpha",)
    domain: ClassVar[tuple[tuple[float, float], ...]] = ((1.0, 1e3),)

    @classmethod
    def fit(cls, histogram: Histogram, xmin: float) -> Self | None:
        """Of greatest likelihood; None where all values are xmin."""
        mean_log = float(histogram.number @ np.log(histogram.values / xmin)) / histogram.n
        alpha = float(zeta_exponent(mean_log, float(xmin)))
        return cls(alpha, xmin=xmin) if 1.0 < alpha < 1e3 else None

    @cached_property
    def _sum(self) -> float:
        """Of (x / xmin)^-alpha over the support."""
        return float(scaled_zeta(self.alpha, float(self.xmin)))

    def _log_pmf(self, x: Floats) -> Floats:
        return np.asarray(-self.alpha * np.log(x / self.xmin) - np.log(self._sum))

    def _survival(self, x: Floats) -> Floats:
        return np.asarray(zeta_survival(x, self.alpha, float(self.xmin)))

    def _inverse(self, q: Floats) -> Integers:
        x = searched(self._table, q, self.xmin)
        far = q < self._table[-1]
        share = np.log(q[far] * (self._sum * (self.alpha - 1.0) / self.xmin))
        u = from_log(np.log(self.xmin) + share / (1.0 - self.alpha))
        x[far] = np.maximum(whole(u - self.alpha / (24.0 * u)), x[far])
        return x
