r"""Continuous laws rounded to integers: lognormal, stretched exponential and exponential.

With S the continuous survival function and :math:`y_0 = x_{min} - 1/2`,

.. math:: P(X \ge x) = S(x - 1/2) / S(y_0), \qquad p(x) = [S(x - 1/2) - S(x + 1/2)] / S(y_0)

(`powerlaw` 2 calls this ``discrete_normalization="round"``). The families in their usual parameters, and in local ones
with :math:`t = \ln(y / y_0)`:

- lognormal, :math:`S(y) = \Phi(-(\ln y - \mu) / \sigma)`: the density of t is proportional to :math:`e^{-A t - B t^2}`
  with :math:`A = (\ln y_0 - \mu) / \sigma^2` and :math:`B = 1 / (2 \sigma^2)` (:mod:`fitting.laws.bell`);
- stretched exponential, :math:`S(y) = e^{-(\lambda y)^\beta}`: :math:`S(t) = \exp(-A (e^{\beta t} - 1) / \beta)` with
  :math:`A = \beta (\lambda y_0)^\beta`;
- exponential, :math:`S(y) = e^{-\lambda y}`: the geometric law.

At B = 0 and at beta = 0 the first two are the power law of exponent 1 + A, where mu and lambda are infinite: their
likelihoods are ill-conditioned in the usual parameters and mild in the local ones. They are climbed with t in units of
its mean, from a start that the second moment of t gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fitting.laws.bell import inverse_bell, log_bell_cells, log_bell_survival
from fitting.laws.inverse import FARTHEST, from_log, whole
from fitting.laws.law import FEWEST, IntegerLaw
from fitting.laws.newton import by_differences, maximise

if TYPE_CHECKING:
    from typing import Self

    from fedgen.federation import Floats, Integers
    from fitting.histogram import Histogram

    Starts = tuple[tuple[float, float], ...]

LOG_LARGEST = 700.0  # of a double
POSITIVE = (0.0, np.inf)
ANY = (-np.inf, np.inf)


@dataclass(frozen=True)
class Lognormal(IntegerLaw):
    """A rounded lognormal."""

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
        t, width, scale, weight = _cells(histogram, xmin)
        found = maximise(
            by_differences(lambda slope, b: float(weight @ log_bell_cells(t, width, slope - 2.0 * b, b))),
            bell_starts(weight, t + width / 2.0, _fall(t, width, weight)),
        )
        if found is None:
            return None
        slope, b = found
        sigma = scale / np.sqrt(2.0 * b)
        return cls(float(np.log(xmin - 0.5) + scale * (1.0 - slope / (2.0 * b))), float(sigma), xmin=xmin)

    @cached_property
    def _z(self) -> float:
        return float((np.log(self.xmin - 0.5) - self.mu) / self.sigma)

    def _log_pmf(self, x: Floats) -> Floats:
        t, width = np.log((x - 0.5) / (self.xmin - 0.5)), np.log1p(1.0 / (x - 0.5))
        return np.asarray(log_bell_cells(t, width, self._z / self.sigma, 0.5 / self.sigma**2))

    def _survival(self, x: Floats) -> Floats:
        return np.exp(log_bell_survival(np.log((x - 0.5) / (self.xmin - 0.5)) / self.sigma, self._z))

    def _inverse(self, q: Floats) -> Integers:
        t = self.sigma * inverse_bell(np.log(q), self._z)
        return np.maximum(whole(from_log(np.log(self.xmin - 0.5) + t)), int(self.xmin))


@dataclass(frozen=True)
class StretchedExponential(IntegerLaw):
    """A rounded stretched exponential (Weibull law)."""

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
        t, width, scale, weight = _cells(histogram, xmin)
        found = maximise(
            by_differences(lambda hazard, b: float(weight @ _log_stretched_cells(t, width, hazard, b))),
            stretched_starts(weight, t + width / 2.0, _fall(t, width, weight)),
        )
        usual = None if found is None else stretched_parameters(found, scale, xmin - 0.5)
        return None if usual is None else cls(*usual, xmin=xmin)

    @cached_property
    def _scale(self) -> float:
        return float((self.rate * (self.xmin - 0.5)) ** self.beta)

    def _excess(self, t: Floats) -> Floats:
        """-log of the survival function at y, t = ln(y / y_0)."""
        return np.asarray(self._scale * np.expm1(self.beta * t))

    def _log_pmf(self, x: Floats) -> Floats:
        t, width = np.log((x - 0.5) / (self.xmin - 0.5)), np.log1p(1.0 / (x - 0.5))
        step = self._scale * np.exp(self.beta * t) * np.expm1(self.beta * width)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(-np.expm1(-step)) - self._excess(t))

    def _survival(self, x: Floats) -> Floats:
        return np.exp(-self._excess(np.log((x - 0.5) / (self.xmin - 0.5))))

    def _inverse(self, q: Floats) -> Integers:
        t = np.log1p(-np.log(q) / self._scale) / self.beta
        return np.maximum(whole(from_log(np.log(self.xmin - 0.5) + t)), int(self.xmin))


@dataclass(frozen=True)
class Exponential(IntegerLaw):
    """A rounded exponential: the geometric law."""

    rate: float

    family: ClassVar[str] = "exponential"
    names: ClassVar[tuple[str, ...]] = ("lambda",)
    domain: ClassVar[tuple[tuple[float, float], ...]] = (POSITIVE,)

    @classmethod
    def fit(cls, histogram: Histogram, xmin: float) -> Self | None:
        """Of greatest likelihood, in closed form; None where all values are xmin."""
        excess = float(histogram.number @ (histogram.values - xmin)) / histogram.n
        return cls(float(np.log1p(1.0 / excess)), xmin=xmin) if excess > 0.0 else None

    def _log_pmf(self, x: Floats) -> Floats:
        return np.asarray(np.log(-np.expm1(-self.rate)) - self.rate * (x - self.xmin))

    def _survival(self, x: Floats) -> Floats:
        return np.exp(-self.rate * (x - self.xmin))

    def _inverse(self, q: Floats) -> Integers:
        return np.minimum(self.xmin + np.floor(-np.log(q) / self.rate), FARTHEST).astype(np.int64)


def bell_starts(weight: Floats, t: Floats, fall: float = 1.0) -> Starts:
    """Slope at the mean and curvature of a bell, t having mean 1.

    The first is right for the power law and for narrow bells; the second, nearly a power law e^(-fall t), is for tails
    that fill but a few cells, whose second moment tells little.
    """
    spread = float(weight @ t**2) - 1.0  # 1 for the power law, 1 / (2 b) where the bell is narrow
    b = max(0.5 / spread - 0.5, 0.05)
    return (1.0 / (1.0 + b), b), (fall, 0.05)


def stretched_starts(weight: Floats, t: Floats, fall: float = 1.0) -> Starts:
    """Log hazard at the mean and growth of a stretched exponential, t having mean 1; likewise."""
    spread = float(weight @ t**2) - 1.0
    b = max(1.0 / np.sqrt(spread) - 1.0, 0.05)
    return (float(np.log1p(0.56 * b)), b), (float(np.log(fall)), 0.05)


def stretched_parameters(found: Floats, scale: float, y_0: float) -> tuple[float, float] | None:
    """lambda and beta from log hazard and b in units of ``scale``; None where lambda is no double."""
    hazard, b = found
    beta = b / scale
    log_rate = (hazard - b - np.log(b)) / beta - np.log(y_0)
    return (float(np.exp(log_rate)), float(beta)) if abs(log_rate) < LOG_LARGEST else None


def _cells(histogram: Histogram, xmin: float) -> tuple[Floats, Floats, float, Floats]:
    """Left end and width of the cell of each value, in t over its mean; that mean; and the share of each value."""
    weight = histogram.number / histogram.n
    t, width = np.log((histogram.values - 0.5) / (xmin - 0.5)), np.log1p(1.0 / (histogram.values - 0.5))
    scale = float(weight @ (t + width / 2.0))
    return t / scale, width / scale, scale, weight


def _fall(t: Floats, width: Floats, weight: Floats) -> float:
    """The A for which the power law e^(-A t) has the measured share beyond the first cell."""
    return float(-np.log1p(-weight[0]) / (t[0] + width[0]))


def _log_stretched_cells(t: Floats, width: Floats, hazard: float, b: float) -> Floats:
    """Log pmf with hazard e^hazard at t = 1, growing as e^(b t); -inf where it overflows."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        start = np.exp(hazard - b)
        step = start * np.exp(b * t) * (np.expm1(b * width) / b)
        return np.asarray(np.log(-np.expm1(-step)) - start * (np.expm1(b * t) / b))
