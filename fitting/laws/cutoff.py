r"""Power laws that end: by an exponential cut-off, or at a largest value; on the integers.

With cut-off the pmf is proportional to :math:`x^{-\alpha} e^{-\lambda x}`, lambda > 0; bounded, it is proportional to
:math:`x^{-\alpha}` on {xmin..xmax}. Sums and their moments: :mod:`fitting.laws.sums`. alpha may be below 1, even
negative, where the pmf first rises; -5 is as far as it may go.

Fits. The cut-off law is an exponential family in (ln x, x): its log-likelihood is concave, with means and covariances
as derivatives, and Newton's method climbs it. At lambda = 0 lies the power law; the maximum is there, outside the
family, where a tail is as heavy as its best power law: where the mean of the values is not below that law's, which is
infinite up to alpha = 2. A cut-off fainter than 1e-12 / (mean - xmin) counts as none. The bounded law's xmax is the
largest value; its alpha solves E ln x = mean of ln x.

Inverse of the bounded law, beyond the table: with u = x - 1/2 and b = xmax + 1/2 in units of xmin, and q of the total
sum W left, the midpoint formula of :mod:`fitting.laws.power` reads

.. math:: \frac{q W}{x_{min}} = \frac{b^{1 - \alpha} - u^{1 - \alpha}}{1 - \alpha}
    + \frac{\alpha}{24 x_{min}^2} (b^{-\alpha - 1} - u^{-\alpha - 1}),

solved for u without the term in u of the correction, which then moves u by :math:`-\alpha / (24 u x_{min}^2)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fitting.laws.inverse import searched, splined, whole
from fitting.laws.law import FEWEST, TABLE, IntegerLaw
from fitting.laws.newton import maximise
from fitting.laws.sums import moments, sums_from

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from fedgen.federation import Floats, Integers
    from fitting.histogram import Histogram

EXPONENTS = (-5.0, 1e3)
RATES = (0.0, 1e3)
_LARGEST = 2.0**53  # integers below are doubles
_EDGE = 1e-12  # of lambda times the mean excess, and of alpha


@dataclass(frozen=True)
class PowerLawWithCutoff(IntegerLaw):
    """pmf proportional to x^-alpha e^(-rate x)."""

    alpha: float
    rate: float

    family: ClassVar[str] = "power law with cut-off"
    names: ClassVar[tuple[str, ...]] = ("alpha", "lambda")
    domain: ClassVar[tuple[tuple[float, float], ...]] = (EXPONENTS, RATES)

    @classmethod
    def fit(cls, histogram: Histogram, xmin: float) -> Self | None:
        """Of greatest likelihood.

        None below three distinct values, where the power law without cut-off is likelier than with any, or where alpha
        runs to the end of its range.
        """
        if len(histogram.values) < FEWEST:
            return None
        usual = fit_cutoff(histogram, float(xmin), discrete=True)
        return None if usual is None else cls(*usual, xmin=xmin)

    @cached_property
    def _sum(self) -> float:
        """Of the pmf over the pmf at xmin."""
        return float(sums_from(np.array([float(self.xmin)]), np.inf, self.alpha, self.rate, float(self.xmin), True)[0])

    @cached_property
    def _beyond(self) -> Callable[[Floats], Floats]:
        return splined(self._survival, self.xmin + TABLE - 1.0, discrete=True)

    def _log_pmf(self, x: Floats) -> Floats:
        return np.asarray(-self.alpha * np.log(x / self.xmin) - self.rate * (x - self.xmin) - np.log(self._sum))

    def _survival(self, x: Floats) -> Floats:
        distinct, back = np.unique(x, return_inverse=True)
        return sums_from(distinct, np.inf, self.alpha, self.rate, float(self.xmin), True)[back] / self._sum

    def _inverse(self, q: Floats) -> Integers:
        x = searched(self._table, q, self.xmin)
        far = q < self._table[-1]
        if far.any():
            x[far] = np.maximum(np.floor(self._beyond(q[far])), x[far]).astype(np.int64)
        return x


@dataclass(frozen=True)
class BoundedPowerLaw(IntegerLaw):
    """pmf proportional to x^-alpha on {xmin..xmax}."""

    alpha: float
    xmax: float

    family: ClassVar[str] = "bounded power law"
    names: ClassVar[tuple[str, ...]] = ("alpha", "xmax")
    domain: ClassVar[tuple[tuple[float, float], ...]] = (EXPONENTS, (0.0, _LARGEST))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.xmax < self.xmin or self.xmax != int(self.xmax):
            raise ValueError(f"{self.family}: xmax is {self.xmax}, must be a whole number >= xmin = {self.xmin}")

    @classmethod
    def fit(cls, histogram: Histogram, xmin: float) -> Self | None:
        """Of greatest likelihood; None below two distinct values or where a parameter leaves its range."""
        if len(histogram.values) < 2 or histogram.values[-1] >= _LARGEST:
            return None
        first, xmax = float(xmin), float(histogram.values[-1])
        mean_log = float(histogram.number @ np.log(histogram.values / xmin)) / histogram.n
        low, high = EXPONENTS
        alpha = 1.0
        for _ in range(100):
            s, s_l, _, s_ll, _, _ = moments(first, xmax + 1.0, alpha, 0.0, first, mean_log, 0.0, True)
            gradient = s_l / s
            low, high = (alpha, high) if gradient > 0.0 else (low, alpha)
            far = 1.0 + abs(alpha)
            variance = s_ll / s - gradient**2
            step = min(max(gradient / variance, -far), far) if variance > 0.0 else np.inf
            if not low < alpha + step < high:
                step = (low + high) / 2.0 - alpha
            alpha += step
            if abs(step) <= 1e-12 * far:
                break
        return cls(alpha, xmax, xmin=xmin) if EXPONENTS[0] + 1e-6 < alpha < EXPONENTS[1] - 1e-6 else None

    @cached_property
    def _sum(self) -> float:
        """Of (x / xmin)^-alpha over the support."""
        return float(
            sums_from(np.array([float(self.xmin)]), self.xmax + 1.0, self.alpha, 0.0, float(self.xmin), True)[0]
        )

    def _log_pmf(self, x: Floats) -> Floats:
        inside = -self.alpha * np.log(x / self.xmin) - np.log(self._sum)
        return np.where(x <= self.xmax, inside, -np.inf)

    def _survival(self, x: Floats) -> Floats:
        distinct, back = np.unique(x, return_inverse=True)
        return sums_from(distinct, self.xmax + 1.0, self.alpha, 0.0, float(self.xmin), True)[back] / self._sum

    def _inverse(self, q: Floats) -> Integers:
        x = searched(self._table, q, self.xmin)
        far = q < self._table[-1]
        power, end = 1.0 - self.alpha, (self.xmax + 0.5) / self.xmin
        correction = self.alpha / (24.0 * self.xmin**2)
        left = q[far] * (self._sum / self.xmin) - correction * end ** (-self.alpha - 1.0)
        share = np.maximum(left * end**-power, 0.0)
        log_ratio = np.log1p(-np.minimum(power * share, 1.0 - 1e-16)) / power if power != 0.0 else -share
        u = end * np.exp(log_ratio)
        u -= correction / u
        x[far] = np.clip(whole(self.xmin * u), x[far], int(self.xmax))
        return x


def fit_cutoff(histogram: Histogram, xmin: float, discrete: bool) -> tuple[float, float] | None:
    """alpha and lambda of greatest likelihood, lambda > 0, sought in units of 1 / (mean - xmin).

    The start is the continuous power law's alpha, and a tenth of that unit.
    """
    mean_log = float(histogram.number @ np.log(histogram.values / xmin)) / histogram.n
    mean_t = float(histogram.number @ (histogram.values - xmin)) / histogram.n / xmin

    def derivatives(point: Floats) -> tuple[float, Floats, Floats]:
        slope, rate = float(point[0]), float(point[1]) / mean_t / xmin
        s, s_l, s_t, s_ll, s_lt, s_tt = moments(xmin, np.inf, slope, rate, xmin, mean_log, mean_t, discrete)
        gradient = np.array([s_l, s_t / mean_t]) / s
        second = np.array([[s_ll, s_lt / mean_t], [s_lt / mean_t, s_tt / mean_t**2]]) / s
        value = -slope * mean_log - float(point[1]) - np.log(s)
        return value, gradient, np.outer(gradient, gradient) - second

    start = (min(1.0 + 1.0 / mean_log, 10.0), 0.1)
    found = maximise(derivatives, [start], (EXPONENTS, (0.0, RATES[1] * mean_t * xmin)), _EDGE)
    return None if found is None else (float(found[0]), float(found[1]) / mean_t / xmin)
