"""Two ways to the same estimates: our own on histograms, and `powerlaw`, the reference."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from fedgen.errors import UsageError
from fitting.acceptance import fits
from fitting.scan import Candidate, choose, scan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fitting.histogram import Histogram
    from fitting.laws.law import Law

EngineName = Literal["fast", "powerlaw"]


class Engine(Protocol):
    """What estimates the laws of whole numbers."""

    def scan(self, histogram: Histogram) -> Candidate:
        """The xmin of the smallest KS distance, see :func:`fitting.scan.scan`."""

    def choose(self, histogram: Histogram) -> Candidate:
        """The xmin to draw from, see :func:`fitting.scan.choose`."""

    def laws(self, tail: Histogram) -> Mapping[str, Law | None]:
        """Every family's most likely law from the smallest value of ``tail`` on; None where it has none of its own."""


class Fast:
    """Our own: exact scans, maximum likelihood on histograms."""

    def scan(self, histogram: Histogram) -> Candidate:
        """See :class:`Engine`."""
        return scan(histogram)

    def choose(self, histogram: Histogram) -> Candidate:
        """See :class:`Engine`."""
        return choose(histogram)

    def laws(self, tail: Histogram) -> Mapping[str, Law | None]:
        """See :class:`Engine`."""
        from fitting.laws.families import DISCRETE

        return {family: law.fit(tail, float(tail.values[0])) for family, law in DISCRETE.items()}


class Powerlaw:
    """The `powerlaw` package: its scan, its optimiser. It has no bounded power law, and takes a thousand times longer.

    Its discrete exponents are sought up to :data:`STEEPEST`; `powerlaw` itself would stop at 3. Its scan leaves out
    the two largest distinct values. ``estimate_discrete`` stays off: it is an approximation that is wrong at small
    xmin.
    """

    STEEPEST = 20.0
    _NAMES = {  # noqa: RUF012 - a constant
        "power law": ("power_law", ("alpha",)),
        "power law with cut-off": ("truncated_power_law", ("alpha", "Lambda")),
        "lognormal": ("lognormal", ("mu", "sigma")),
        "stretched exponential": ("stretched_exponential", ("Lambda", "beta")),
        "exponential": ("exponential", ("Lambda",)),
    }

    def scan(self, histogram: Histogram) -> Candidate:
        """See :class:`Engine`."""
        candidates = self._candidates(histogram)
        return min(candidates, key=lambda c: c.distance, default=Candidate(-1, np.nan, np.inf))

    def choose(self, histogram: Histogram) -> Candidate:
        """See :class:`Engine`."""

        def within(candidate: Candidate) -> bool:
            tail = histogram.tail(histogram.values[candidate.index])
            return fits(make("power law", {"alpha": candidate.alpha}, float(tail.values[0])), tail)

        from fitting.laws.families import make

        best = self.scan(histogram)
        if best.index >= 0 and within(best):
            return best
        return next(filter(within, self._candidates(histogram)), Candidate(-1, np.nan, np.nan))

    def laws(self, tail: Histogram) -> Mapping[str, Law | None]:
        """See :class:`Engine`. Where a family has no maximum of its own `powerlaw` stops somewhere: None here."""
        from fitting.laws.families import DISCRETE, make

        xmin = float(tail.values[0])
        fitted = _fit(tail, xmin=xmin)
        laws: dict[str, Law | None] = {}
        for family, (name, names) in self._NAMES.items():
            laws[family] = None
            if DISCRETE[family].fit(tail, xmin) is None:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                rival = getattr(fitted, name)
                parameters = {parameter.lower(): float(getattr(rival, parameter)) for parameter in names}
            with suppress(ValueError):  # it did not converge
                laws[family] = make(family, parameters, xmin)
        return laws

    def _candidates(self, histogram: Histogram) -> list[Candidate]:
        """Every xmin that `powerlaw` tries, rising."""
        if len(histogram.values) < 4:
            return []  # it scans all but the two largest, and at least two
        table = _fit(histogram).xmin_fitting_results
        at = np.searchsorted(histogram.values, np.asarray(table["xmins"]))
        rows = zip(at.tolist(), table["alphas"], table["distances"], table["valid_fits"], strict=True)
        return [Candidate(i, float(a), float(d)) for i, a, d, valid in rows if valid and np.isfinite(d)]


def engine(name: str) -> Engine:
    """The engine of that name.

    Raises:
        UsageError: there is none.
    """
    match name:
        case "fast":
            return Fast()
        case "powerlaw":
            return Powerlaw()
    raise UsageError(f"no engine {name!r}; there are fast and powerlaw")


def _fit(histogram: Histogram, xmin: float | None = None) -> Any:
    import powerlaw

    values = np.repeat(histogram.values, histogram.number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = powerlaw.Fit(
            values,
            discrete=True,
            xmin=xmin,
            estimate_discrete=False,
            parameter_ranges={"alpha": [1.0 + 1e-6, Powerlaw.STEEPEST]},
            verbose=0,
        )
        fitted.power_law.D  # noqa: B018 - fitted when asked for
    return fitted
