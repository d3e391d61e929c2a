r"""Which law a tail follows: the adapter to `powerlaw`.

For every quantity of a federation the scan of Clauset, Shalizi and Newman (2009) is run by `powerlaw.Fit`: for each
distinct value x as xmin the maximum-likelihood exponent of the tail {>= x}, sought below 3 (`powerlaw`'s own range:
from 3 on the variance is finite), and its Kolmogorov-Smirnov distance D. Their rule takes the x of the smallest D; it
does not ask whether that D is small. So the rule here is:

1. A tail is *accepted* if :math:`D \sqrt{n_{tail}} \le 1.094`, the asymptotic 5 % point of the KS statistic of an
   exponential law whose mean is estimated (Lilliefors 1969; the logarithm of a continuous power law is one). For
   integers the test is conservative.
2. xmin is the one of smallest D if its tail is accepted, else the smallest x whose tail is accepted and holds at least
   ten values; if there is none, no law is used and the measured probabilities stand alone.
3. Beyond xmin the power law is compared with the other families (Vuong's likelihood ratio, `powerlaw`'s own); it gives
   way to the most likely family that is better with p < 0.1 and whose own D is accepted.

The words in :attr:`LawFit.evidence` say which of these happened.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping  # noqa: TC003 - msgspec resolves the annotations of LawFit when a model is read
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fitting.laws import Law

if TYPE_CHECKING:
    from fedgen.federation import Integers

LILLIEFORS = 1.094
_SMALLEST_TAIL = 10
_FEWEST_DISTINCT = 4  # `powerlaw` scans all but the two largest, and at least two
_PREFERRED_AT = 0.1
_RIVALS = {
    "lognormal": ("lognormal", {"mu": "mu", "sigma": "sigma"}),
    "stretched exponential": ("stretched_exponential", {"lambda": "Lambda", "beta": "beta"}),
    "exponential": ("exponential", {"lambda": "Lambda"}),
}


@dataclass(frozen=True)
class LawFit:
    """The law of one quantity, with what speaks for it.

    Attributes:
        quantity: in words, "users per server".
        n: how many values were looked at, head servers excluded.
        heads: how many values are those of head servers, which are listed, not fitted (:mod:`fitting.heads`).
        law: the family, or None where no tail law is accepted.
        parameters, errors: of the law; an error is a standard error, told for the power law's exponent alone.
        xmin: the smallest value that the law covers; 0 without a law.
        tail: how many values it covers.
        ks: Kolmogorov-Smirnov distance over the tail.
        runner_up: the most likely other family.
        evidence: in words.
    """

    quantity: str
    n: int
    heads: int = 0
    law: str | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    xmin: int = 0
    tail: int = 0
    ks: float | None = None
    runner_up: str | None = None
    evidence: str = ""

    @property
    def tail_law(self) -> Law | None:
        """The law to draw from."""
        return Law(self.law, self.parameters, self.xmin) if self.law else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def fit_tail(quantity: str, values: Integers, heads: int = 0) -> LawFit:
    """Fit the tail of positive integers by the rule of this module.

    Args:
        quantity: its name in words, for reports.
        values: (n,) integers >= 1, head servers left out.
        heads: how many were left out.

    Never raises on degenerate data: the result then says in words why there is no law.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what `powerlaw` warns of, fits that do not converge, is checked here
        return _fit_tail(quantity, values, heads)


def _fit_tail(quantity: str, values: Integers, heads: int) -> LawFit:
    n = len(values)

    def no_law(why: str) -> LawFit:
        return LawFit(quantity, n, heads, evidence=f"{why}: measured probabilities alone")

    if n < _SMALLEST_TAIL or len(np.unique(values)) < _FEWEST_DISTINCT:
        return no_law("too few values" if n < _SMALLEST_TAIL else "fewer than four distinct values")
    scan = _fit(values)
    table = scan.xmin_fitting_results
    candidates = np.asarray(table["xmins"])
    tails = n - np.searchsorted(np.sort(values), candidates)
    with np.errstate(invalid="ignore"):
        accepted = np.asarray(table["distances"]) * np.sqrt(tails) <= LILLIEFORS
    accepted &= np.asarray(table["valid_fits"], dtype=bool) & (tails >= _SMALLEST_TAIL)
    if not accepted.any():
        return no_law("no tail of ten values or more that a power law fits")
    best = int(scan.xmin)
    if best in candidates[accepted]:
        chosen, words = best, ""
    else:
        chosen = int(candidates[accepted][0])
        words = f"not a power law from {best} on (the smallest D), one from {chosen} on; "
    fit = _fit(values, xmin=chosen)
    tail = int(fit.n_tail)
    zeta = fit.power_law
    law, parameters, errors = (
        "power law",
        {"alpha": float(zeta.alpha)},
        {"alpha": _standard_error(float(zeta.alpha), chosen, tail)},
    )
    ks, best_rival, better = float(zeta.D), None, None
    for family, (name, names) in _RIVALS.items():
        rival = getattr(fit, name)
        values_of = {ours: float(getattr(rival, theirs)) for ours, theirs in names.items()}
        if rival.noise_flag or not all(np.isfinite(v) and abs(v) < 1e3 for v in values_of.values()):
            continue  # an optimum at infinity: a power law in disguise
        ratio, p = fit.distribution_compare("power_law", name)
        if best_rival is None or ratio < best_rival[1]:
            best_rival = (family, float(ratio), float(p))
            if ratio < 0 and p < _PREFERRED_AT and rival.D * np.sqrt(tail) <= LILLIEFORS:
                better = (family, values_of, float(rival.D))
            else:
                better = None
    if best_rival is None:
        return LawFit(
            quantity, n, heads, law, parameters, errors, chosen, tail, ks, None, words + "no other family converged"
        )
    family, ratio, p = best_rival
    if better is not None:
        law, parameters, ks = better
        errors, family = {}, "power law"
        words += f"{law} is better than power law, p = {p:.2g}"
    elif p < _PREFERRED_AT and ratio > 0:
        words += f"power law is better than {family}, p = {p:.2g}"
    elif p < _PREFERRED_AT:
        words += f"{family} is likelier, p = {p:.2g}, but does not fit; power law kept"
    else:
        words += f"power law and {family} are not distinguishable, p = {p:.2g}"
    return LawFit(quantity, n, heads, law, parameters, errors, chosen, tail, ks, family, words)


def _standard_error(alpha: float, xmin: int, tail: int) -> float:
    r"""Of the zeta law's exponent, from its Fisher information :math:`(\ln\zeta)''(\alpha, x_{min})` per value.

    Clauset, Shalizi and Newman 2009, equation (3.6). `powerlaw` has that of the continuous law, :math:`(\alpha - 1) /
    \sqrt n`, which is a fifth too small at xmin = 1, alpha = 3.
    """
    from scipy.special import zeta

    step = 1e-3 * (alpha - 1.0)
    below, here, above = np.log(zeta(alpha + step * np.array([-1.0, 0.0, 1.0]), xmin))
    return float(step / np.sqrt(tail * (below - 2.0 * here + above)))


def _fit(values: Integers, xmin: int | None = None) -> Any:
    """`powerlaw.Fit` on integers; ``estimate_discrete`` would use an approximation that is wrong at small xmin."""
    import powerlaw

    return powerlaw.Fit(values.astype(np.float64), discrete=True, xmin=xmin, estimate_discrete=False, verbose=0)
