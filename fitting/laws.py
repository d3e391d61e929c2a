r"""Tail laws on the integers {xmin, xmin + 1, ...}: survival function and inverse.

The power law is the zeta law, :math:`P(X \ge x) = \zeta(\alpha, x) / \zeta(\alpha, x_{min})` (Clauset, Shalizi and
Newman 2009, appendix D). The others are continuous laws rounded to integers, as `powerlaw` 2 does it: with S the
continuous survival function, :math:`P(X \ge x) = S(x - 1/2) / S(x_{min} - 1/2)`:

- lognormal: :math:`S(y) = \Phi(-(\ln y - \mu) / \sigma)`
- stretched exponential: :math:`S(y) = e^{-(\lambda y)^\beta}`
- exponential: :math:`S(y) = e^{-\lambda y}`

Inversion. A draw is the largest x with :math:`P(X \ge x) \ge q`, q uniform on (0, 1]. The rounded laws invert in
closed form, in logarithms of S so that far tails keep their digits. The zeta law is looked up where it is tabulated,
and beyond the table inverted through :math:`\zeta(\alpha, x) \approx (x - 1/2)^{1 - \alpha} / (\alpha - 1)`, whose
relative error is below :math:`\alpha^2 / (24 x^2)` (Euler-Maclaurin), 1e-7 there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedgen.federation import Floats, Integers

PARAMETERS = {
    "power law": ("alpha",),
    "lognormal": ("mu", "sigma"),
    "stretched exponential": ("lambda", "beta"),
    "exponential": ("lambda",),
}
_TABLE = 8192
_FARTHEST = 2.0**62


@dataclass(frozen=True)
class Law:
    """One law on {xmin, xmin + 1, ...}.

    Attributes:
        family: one of :data:`PARAMETERS`.
        parameters: by name, those that :data:`PARAMETERS` lists for the family.
        xmin: where it begins, >= 1.
    """

    family: str
    parameters: Mapping[str, float]
    xmin: int

    def survival(self, x: Integers | Floats) -> Floats:
        """P(X >= x), elementwise; 1 below xmin."""
        values = np.maximum(np.asarray(x, dtype=np.float64), self.xmin)
        if self.family == "power law":
            from scipy.special import zeta

            alpha = self.parameters["alpha"]
            return np.asarray(zeta(alpha, values) / zeta(alpha, self.xmin))
        return np.exp(self._log_survival(values - 0.5) - self._log_survival(np.float64(self.xmin - 0.5)))

    def inverse_survival(self, q: Floats) -> Integers:
        """The largest x with P(X >= x) >= q, for q in (0, 1]; capped at 2^62."""
        q = np.asarray(q, dtype=np.float64)
        if self.family == "power law":
            return self._inverse_zeta(q)
        log_s = np.log(q) + self._log_survival(np.float64(self.xmin - 0.5))
        return np.maximum(_rounded(self._log_inverse(log_s)), self.xmin)

    def _inverse_zeta(self, q: Floats) -> Integers:
        table = self.survival(np.arange(self.xmin, self.xmin + _TABLE))
        rank = np.searchsorted(-table, -q, side="right") - 1
        x = self.xmin + np.maximum(rank, 0)
        far = q < table[-1]
        last = self.xmin + _TABLE - 1
        exponent = 1.0 / (1.0 - self.parameters["alpha"])
        log_x = np.log(last - 0.5) + exponent * np.log(q[far] / table[-1])
        x[far] = _rounded(log_x)
        return x

    def _log_survival(self, y: Floats | np.float64) -> Floats:
        p = self.parameters
        if self.family == "lognormal":
            from scipy.special import log_ndtr

            return np.asarray(log_ndtr(-(np.log(y) - p["mu"]) / p["sigma"]))
        if self.family == "stretched exponential":
            return np.asarray(-((p["lambda"] * y) ** p["beta"]))
        return np.asarray(-p["lambda"] * y)

    def _log_inverse(self, log_s: Floats) -> Floats:
        """ln y with log S(y) = log_s."""
        p = self.parameters
        if self.family == "lognormal":
            from scipy.special import ndtri_exp

            return np.asarray(p["mu"] - p["sigma"] * ndtri_exp(log_s))
        beta = p["beta"] if self.family == "stretched exponential" else 1.0
        return np.log(-log_s) / beta - np.log(p["lambda"])


def _rounded(log_y: Floats) -> Integers:
    y = np.exp(np.minimum(log_y, np.log(_FARTHEST)))
    return np.minimum(np.floor(y + 0.5), _FARTHEST).astype(np.int64)
