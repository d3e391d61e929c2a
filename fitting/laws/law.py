r"""What every tail law can do, on the integers {xmin, xmin + 1, ...} or on the reals [xmin, ∞).

Survival is :math:`S(x) = P(X \ge x)` for both kinds. A draw is the largest x with :math:`S(x) \ge q`, q uniform on
(0, 1]. The Kolmogorov-Smirnov distance of integers is the supremum of :math:`|S_n - S|` over all x >= xmin, with S_n
the share of values >= x. Between two neighbouring distinct values :math:`v < v'` the measured S_n does not change, so
the supremum lies at their ends, v + 1 and v'. That of reals is the one of the reference code, see
:mod:`fitting.scan`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike

    from fedgen.federation import Floats, Integers
    from fitting.histogram import Histogram

TABLE = 8192  # values whose survival is tabulated, for draws of laws that do not invert in closed form

FEWEST = 3  # distinct values that two parameters are fitted to


@dataclass(frozen=True)
class Law(ABC):
    """One law with its parameters, the fields that a subclass adds.

    Attributes:
        xmin: where the law begins; a whole number >= 1 for laws on the integers.

    Raises:
        ValueError: a parameter outside its domain.
    """

    xmin: float = field(kw_only=True)

    family: ClassVar[str]
    discrete: ClassVar[bool]
    names: ClassVar[tuple[str, ...]]  # of the parameters, in files; in the order of the fields
    domain: ClassVar[tuple[tuple[float, float], ...]]  # of each parameter, an open interval

    def __post_init__(self) -> None:
        if not 0 < self.xmin < np.inf or (self.discrete and self.xmin != int(self.xmin)):
            raise ValueError(
                f"{self.family}: xmin is {self.xmin}, must be a {'whole' if self.discrete else 'positive'} number"
            )
        for (name, value), (low, high) in zip(self.parameters.items(), self.domain, strict=True):
            if not low < value < high:
                raise ValueError(f"{self.family}: {name} is {value}, must lie between {low:g} and {high:g}")

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters by the names that files use."""
        own = [getattr(self, part.name) for part in fields(self) if part.name != "xmin"]
        return dict(zip(self.names, own, strict=True))

    @classmethod
    @abstractmethod
    def fit(cls, histogram: Histogram, xmin: float) -> Self | None:
        """The law of greatest likelihood.

        Args:
            histogram: all of whose values are >= xmin.
            xmin: where the law begins.

        Returns:
            None where the likelihood has no maximum inside the family: too few distinct values, or an optimum that
            runs away to where the family becomes another one (the power law, mostly).
        """

    @abstractmethod
    def _log_pmf(self, x: Floats) -> Floats:
        """At (k,) values >= xmin."""

    @abstractmethod
    def _survival(self, x: Floats) -> Floats:
        """At (k,) values >= xmin, whole numbers for laws on the integers."""

    @abstractmethod
    def _inverse(self, q: Floats) -> Floats | Integers:
        """At (k,) levels."""

    @abstractmethod
    def cdf(self, x: ArrayLike) -> Floats:
        """P(X <= x), elementwise."""

    def log_pmf(self, x: ArrayLike) -> Floats:
        """Log of the normalised pmf (of the density, for continuous laws), elementwise; -inf outside the support."""
        values = np.asarray(x, dtype=np.float64)
        flat = values.ravel()
        found = self._log_pmf(np.maximum(flat, self.xmin))
        return np.where(flat < self.xmin, -np.inf, found).reshape(values.shape)

    def pmf(self, x: ArrayLike) -> Floats:
        """The normalised pmf, or density, elementwise; 0 outside the support."""
        return np.asarray(np.exp(self.log_pmf(x)))

    def survival(self, x: ArrayLike) -> Floats:
        """P(X >= x), elementwise; 1 up to xmin."""
        values = np.asarray(x, dtype=np.float64)
        flat = np.maximum(values.ravel(), self.xmin)
        return self._survival(np.ceil(flat) if self.discrete else flat).reshape(values.shape)

    def inverse_survival(self, q: ArrayLike) -> Floats | Integers:
        """The largest x with P(X >= x) >= q, for q in (0, 1], capped at 2^62; int64 for laws on the integers."""
        levels = np.asarray(q, dtype=np.float64)
        return self._inverse(levels.ravel()).reshape(levels.shape)

    def draw(self, size: int, rng: np.random.Generator) -> Floats | Integers:
        """(size,) independent values."""
        return self.inverse_survival(1.0 - rng.random(size))

    def log_likelihood(self, histogram: Histogram) -> float:
        """The sum of the logarithms of the pmf over the sample."""
        return float(histogram.number @ self.log_pmf(histogram.values))

    def distance(self, histogram: Histogram) -> float:
        """The Kolmogorov-Smirnov distance to a sample all of whose values are >= xmin."""
        values = histogram.values
        measured = 1.0 - histogram.upto / histogram.n  # at each value; and beyond it, one place on
        here = self.survival(values)
        if not self.discrete:
            return float(max(np.abs(measured[:-1] - here).max(), np.abs(measured[1:] + 1.0 / histogram.n - here).max()))
        gap = np.append(np.diff(values) > 1.0, True)
        beyond = measured[1:][gap] - self.survival(values[gap] + 1.0)
        return float(max(np.abs(measured[:-1] - here).max(), np.abs(beyond).max()))


@dataclass(frozen=True)
class IntegerLaw(Law):
    """A law on {xmin, xmin + 1, ...}."""

    discrete: ClassVar[bool] = True

    @cached_property
    def _table(self) -> Floats:
        """(TABLE,) survival at xmin, xmin + 1, ..."""
        return self.survival(self.xmin + np.arange(TABLE, dtype=np.float64))

    def cdf(self, x: ArrayLike) -> Floats:
        """P(X <= x), elementwise."""
        return 1.0 - self.survival(np.floor(np.asarray(x, dtype=np.float64)) + 1.0)


@dataclass(frozen=True)
class RealLaw(Law):
    """A law on [xmin, ∞)."""

    discrete: ClassVar[bool] = False

    def cdf(self, x: ArrayLike) -> Floats:
        """P(X <= x), elementwise."""
        return 1.0 - self.survival(x)
