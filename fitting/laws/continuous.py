r"""Tail laws on the reals [xmin, ∞), for data that are no counts.

Densities as in Clauset, Shalizi and Newman 2009, table 2.1, fitted as their versions on the integers are
(:mod:`fitting.laws.rounded`, :mod:`fitting.laws.cutoff`), with :math:`t = \ln(x / x_{min})` and densities in the place
of cells. The integral of :math:`x^{-\alpha} e^{-\lambda x}` over [xmin, ∞), an incomplete gamma function whose first
argument may be negative, and its moments are :mod:`fitting.laws.sums`'.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fitting.laws.bell import inverse_bell, log_bell_survival, log_mills
from fitting.laws.cutoff import EXPONENTS, RATES, fit_cutoff
from fitting.laws.inverse import FARTHEST, from_log, splined
from fitting.laws.law import FEWEST, RealLaw
from fitting.laws.newton import by_differences, maximise
from fitting.laws.rounded import ANY, POSITIVE, bell_starts, stretched_parameters, stretched_starts
from fitting.laws.sums import sums_from

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from fedgen.federation import Floats
    from fitting.histogram import Histogram


@dataclass(frozen=True)
class ContinuousPowerLaw(RealLaw):
    """Density proportional to x^-alpha: the Pareto law."""

    alpha: float

    family: ClassVar[str] = "power law"
    names: ClassVar[tuple[str, ...]] = ("alpha",)
    domain: ClassVar[tuple[tuple[float, float], ...]] = ((1.0, np.inf),)

    @classmethod
    def fit(cls, histogram: Histogram, xmin: float) -> Self | None:
        """Of greatest likelihood, in closed form; None where all values are xmin."""
        mean = float(histogram.number @ np.log(histogram.values / xmin)) / histogram.n
        return cls(1.0 + 1.0 / mean, xmin=xmin) if mean > 0.0 else None

    def _log_pmf(self, x: Floats) -> Floats:
        return np.asarray(np.log((self.alpha - 1.0) / self.xmin) - self.alpha * np.log(x / self.xmin))

    def _survival(self, x: Floats) -> Floats:
        return np.asarray((x / self.xmin) ** (1.0 - self.alpha))

    def _inverse(self, q: Floats) -> Floats:
        return from_log(np.log(self.xmin) + np.log(q) / (1.0 - self.alpha))


@dataclass(frozen=True)
class ContinuousPowerLawWithCutoff(RealLaw):
    """Density proportional to x^-alpha e^(-rate x)."""

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
        usual = fit_cutoff(histogram, float(xmin), discrete=False)
        return None if usual is None else cls(*usual, xmin=xmin)

    @cached_property
    def _integral(self) -> float:
        """Of the density over the density at xmin."""
        return float(self._integrals(np.array([self.xmin], dtype=np.float64))[0])

    @cached_property
    def _spline(self) -> Callable[[Floats], Floats]:
        return splined(self._survival, float(self.xmin), discrete=False)

    def _integrals(self, x: Floats) -> Floats:
        return np.asarray(sums_from(x, np.inf, self.alpha, self.rate, float(self.xmin), False))

    def _log_pmf(self, x: Floats) -> Floats:
        return np.asarray(-self.alpha * np.log(x / self.xmin) - self.rate * (x - self.xmin) - np.log(self._integral))

    def _survival(self, x: Floats) -> Floats:
        distinct, back = np.unique(x, return_inverse=True)
        return self._integrals(distinct)[back] / self._integral

    def _inverse(self, q: Floats) -> Floats:
        x = np.maximum(self._spline(q), self.xmin)
        for _ in range(2):  # Newton's method on ln S, nearly a straight line in x where the spline is coarse
            survival = self._survival(x)
            x = np.clip(x + np.log(survival / q) * survival / self.pmf(x), self.xmin, FARTHEST)
        return x


@dataclass(frozen=True)
class ContinuousLognormal(RealLaw):
    """The part of a lognormal beyond xmin."""

    mu: float
    sigma: float

    family: ClassVar[str] = "lognormal"
    names: ClassVar[tuple[str, ...]] = ("mu", "sigma")
    domain: ClassVar[tuple[tuple[float, float], ...]] = (ANY, POSITIVE)

    @classmethod
    def fit(cls, histogram: Histogram, xmin: float) -> Self | None:
        """Of greatest likelihood; None below three distinct values or where sigma runs to infinity or to zero."""
        if len(histogram.values) < FEWEST:
            return None
        t, scale, weight = _logarithms(histogram, xmin)
        mean_square = float(weight @ t**2)

        def log_likelihood(slope: float, b: float) -> float:
            a, root = slope - 2.0 * b, float(np.sqrt(2.0 * b))
            return float(np.log(root) - a - b * mean_square - log_mills(a / root))

        found = maximise(by_differences(log_likelihood), bell_starts(weight, t))
        if found is None:
            return None
        slope, b = (float(part) for part in found)
        return cls(float(np.log(xmin)) + scale * (1.0 - slope / (2.0 * b)), scale / float(np.sqrt(2.0 * b)), xmin=xmin)

    @cached_property
    def _z(self) -> float:
        return float((np.log(self.xmin) - self.mu) / self.sigma)

    def _log_pmf(self, x: Floats) -> Floats:
        beyond = np.log(x / self.xmin) / self.sigma
        return np.asarray(-beyond * (self._z + 0.5 * beyond) - log_mills(self._z) - np.log(self.sigma * x))

    def _survival(self, x: Floats) -> Floats:
        return np.exp(log_bell_survival(np.log(x / self.xmin) / self.sigma, self._z))

    def _inverse(self, q: Floats) -> Floats:
        return from_log(np.log(self.xmin) + self.sigma * inverse_bell(np.log(q), self._z))


@dataclass(frozen=True)
class ContinuousStretchedExponential(RealLaw):
    """The part of a stretched exponential (Weibull law) beyond xmin."""

    rate: float
    beta: float

    family: ClassVar[str] = "stretched exponential"
    names: ClassVar[tuple[str, ...]] = ("lambda", "beta")
    domain: ClassVar[tuple[tuple[float, float], ...]] = (POSITIVE, POSITIVE)

    @classmethod
    def fit(cls, histogram: Histogram, xmin: float) -> Self | None:
        """Of greatest likelihood; None below three distinct values or where beta runs to zero or lambda overflows."""
        if len(histogram.values) < FEWEST:
            return None
        t, scale, weight = _logarithms(histogram, xmin)

        def log_likelihood(hazard: float, b: float) -> float:
            with np.errstate(over="ignore", invalid="ignore"):
                return float(hazard - np.exp(hazard - b) / b * (weight @ np.expm1(b * t)))

        found = maximise(by_differences(log_likelihood), stretched_starts(weight, t))
        usual = None if found is None else stretched_parameters(found, scale, xmin)
        return None if usual is None else cls(*usual, xmin=xmin)

    @cached_property
    def _scale(self) -> float:
        return float((self.rate * self.xmin) ** self.beta)

    def _log_pmf(self, x: Floats) -> Floats:
        rise = self.beta * np.log(x / self.xmin)
        return np.asarray(np.log(self.beta * self._scale) + rise - self._scale * np.expm1(rise) - np.log(x))

    def _survival(self, x: Floats) -> Floats:
        return np.exp(-self._scale * np.expm1(self.beta * np.log(x / self.xmin)))

    def _inverse(self, q: Floats) -> Floats:
        return from_log(np.log(self.xmin) + np.log1p(-np.log(q) / self._scale) / self.beta)


@dataclass(frozen=True)
class ContinuousExponential(RealLaw):
    """The part of an exponential beyond xmin."""

    rate: float

    family: ClassVar[str] = "exponential"
    names: ClassVar[tuple[str, ...]] = ("lambda",)
    domain: ClassVar[tuple[tuple[float, float], ...]] = (POSITIVE,)

    @classmethod
    def fit(cls, histogram: Histogram, xmin: float) -> Self | None:
        """Of greatest likelihood, in closed form; None where all values are xmin."""
        excess = float(histogram.number @ (histogram.values - xmin)) / histogram.n
        return cls(1.0 / excess, xmin=xmin) if excess > 0.0 else None

    def _log_pmf(self, x: Floats) -> Floats:
        return np.asarray(np.log(self.rate) - self.rate * (x - self.xmin))

    def _survival(self, x: Floats) -> Floats:
        return np.exp(-self.rate * (x - self.xmin))

    def _inverse(self, q: Floats) -> Floats:
        return np.minimum(self.xmin - np.log(q) / self.rate, FARTHEST)


def _logarithms(histogram: Histogram, xmin: float) -> tuple[Floats, float, Floats]:
    """ln(x / xmin) of each value over its mean, that mean, and the share of each value."""
    weight = histogram.number / histogram.n
    t = np.log(histogram.values / xmin)
    scale = float(weight @ t)
    return t / scale, scale, weight
