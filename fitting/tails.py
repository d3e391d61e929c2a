r"""Which law a tail follows: the rule.

1. *Hubs* of the servers' quantities are set apart (:mod:`fitting.hubs`); everything below is about the other values.
2. *The scan* of Clauset, Shalizi and Newman (2009) finds the xmin of the smallest Kolmogorov-Smirnov distance D
   (:mod:`fitting.scan`). It does not ask whether that D is small, so:
3. A law *fits* if it passes the tests of :mod:`fitting.acceptance`. xmin is the scan's if the power law fits from
   there on, else the smallest value from which one does; if there is none, no law is used and the measured
   probabilities stand alone.
4. From xmin on the families are fitted and compared (:mod:`fitting.comparison`). The power law gives way if one of
   the c rivals that have a fit of their own is better with p < 0.1 / c (so a true power law is given up in about one
   case of ten at most) and fits. The law is then the rival of smallest AIC among those that fit.

The rule is the same with and without a bootstrap, so that the same data give the same law. The words in
:attr:`LawFit.evidence` say what happened, and also when the data cannot tell.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec resolves the annotations of LawFit when a model is read
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fedgen.progress import silent
from fitting.acceptance import FEWEST, fits
from fitting.comparison import Comparison, compare_all
from fitting.engine import Fast
from fitting.evidence import PREFERRED_AT, evidence
from fitting.histogram import Histogram
from fitting.hubs import Hubs, find_hubs
from fitting.zeta import exponent_error

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers
    from fedgen.progress import Progress
    from fitting.engine import Engine
    from fitting.laws.law import Law
    from fitting.scan import Candidate

_FEWEST_DISTINCT = 4
_COVERAGE = (0.025, 0.975)


@dataclass(frozen=True)
class Scan:
    """What the method of Clauset, Shalizi and Newman (2009) says: the power law of the smallest distance.

    Attributes:
        xmin, alpha, tail, ks: xmin, exponent, values that it covers, KS distance.
        error: standard error of the exponent at this xmin.
        p: goodness of fit by the semi-parametric bootstrap; None without one. Small: no power law.
        intervals: 95 % bootstrap intervals of "alpha", "xmin" and "tail"; empty without a bootstrap.
    """

    xmin: int
    alpha: float
    error: float
    tail: int
    ks: float
    p: float | None = None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Fitted:
    """One family's most likely law from xmin on.

    Attributes:
        family: its name.
        parameters: by name.
        log_likelihood: of the tail.
        ks: KS distance over the tail.
        fits: passes the tests of :mod:`fitting.acceptance`.
    """

    family: str
    parameters: Mapping[str, float]
    log_likelihood: float
    ks: float
    fits: bool

    def law(self, xmin: int) -> Law:
        """The law itself."""
        from fitting.laws.families import make

        return make(self.family, self.parameters, xmin)

    @property
    def aic(self) -> float:
        """Akaike's criterion; smaller is better. xmax counts as two parameters (:mod:`fitting.comparison`)."""
        return 2.0 * (len(self.parameters) + ("xmax" in self.parameters) - self.log_likelihood)


@dataclass(frozen=True)
class LawFit:
    """The law of one quantity, with what speaks for it.

    Attributes:
        quantity: in words, "users per server".
        n: how many values were looked at, hubs among them.
        hubs: how many of the largest do not belong to the tail; None where hubs are not looked for.
        law: the family, or None where no tail law is accepted.
        parameters: of the law.
        errors: standard errors at this xmin, by parameter, where the likelihood is regular.
        intervals: 95 % bootstrap intervals of the parameters, and of "xmin" and "tail" if xmin is the scan's; those of
            a power law by scan allow for the choice of xmin, all others hold at this xmin. Empty without a bootstrap.
        xmin: the smallest value that the law covers; 0 without a law.
        tail: how many values it covers, hubs not among them.
        ks: Kolmogorov-Smirnov distance over the tail.
        p: goodness of fit of this law by bootstrap; None without one.
        replicates: of the bootstrap.
        scan: the power law of the smallest distance, whether or not it is the law.
        fits: every family at xmin.
        comparisons: every pair of those.
        runner_up: the best other family by AIC.
        evidence: in words.
    """

    quantity: str
    n: int
    hubs: Hubs | None = None
    law: str | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    xmin: int = 0
    tail: int = 0
    ks: float | None = None
    p: float | None = None
    replicates: int = 0
    scan: Scan | None = None
    fits: tuple[Fitted, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    runner_up: str | None = None
    evidence: str = ""

    @property
    def tail_law(self) -> Law | None:
        """The law to draw from."""
        if self.law is None:
            return None
        from fitting.laws.families import make

        return make(self.law, self.parameters, self.xmin)

    def against(self, rival: str) -> Comparison:
        """The comparison of the law with another family of :attr:`fits`."""
        return next(c for c in self.comparisons if {c.first, c.second} == {self.law, rival})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        import msgspec

        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return plain


def fit_tail(
    quantity: str,
    values: Integers | Histogram,
    *,
    hubs: bool = False,
    engine: Engine | None = None,
    bootstrap: int = 0,
    seed: int | np.random.SeedSequence = 0,
    progress: Progress = silent,
) -> LawFit:
    """Fit the tail of positive integers by the rule of this module.

    Args:
        quantity: its name in words, for reports.
        values: (n,) integers >= 1, or how often each occurs.
        hubs: look for hubs among the largest.
        engine: what estimates; our own by default.
        bootstrap: replicates for p and intervals; 0: none.
        seed: same seed, same p and intervals.
        progress: told during the bootstrap.

    Never raises on degenerate data: the result then says in words why there is no law.
    """
    engine = engine or Fast()
    everything = values if isinstance(values, Histogram) else Histogram.of(values)
    found = find_hubs(everything) if hubs else None
    body = everything.without_largest(found.count) if found else everything
    known = LawFit(quantity, everything.n, found)
    if body.n < FEWEST:
        return _without_law(known, "too few values")
    if len(body.values) < _FEWEST_DISTINCT:
        return _without_law(
            known, "all values are equal" if len(body.values) == 1 else "fewer than four distinct values"
        )
    chance = _Chance(
        bootstrap, seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed), progress
    )
    best = engine.scan(body)
    known = replace(known, scan=_scan(best, body, chance), replicates=bootstrap)
    chosen = engine.choose(body)
    if chosen.index < 0:
        return _without_law(known, "no tail of ten values or more that a power law fits")

    tail = body.tail(body.values[chosen.index])
    laws = {family: law for family, law in engine.laws(tail).items() if law is not None}
    fitted = tuple(
        Fitted(family, law.parameters, law.log_likelihood(tail), law.distance(tail), fits(law, tail))
        for family, law in laws.items()
    )
    comparisons = compare_all(laws.values(), tail)
    preferred = _preferred(fitted, comparisons)
    runner_up = min((fit for fit in fitted if fit is not preferred), key=lambda fit: fit.aic, default=None)
    law = laws[preferred.family]
    by_scan = known.scan if chosen.index == best.index else None
    p, intervals = _uncertainty(law, preferred.ks, tail.n, by_scan, chance)
    fit = replace(
        known,
        law=law.family,
        parameters=law.parameters,
        errors=standard_errors(law, tail),
        intervals=intervals,
        xmin=int(tail.values[0]),
        tail=tail.n,
        ks=preferred.ks,
        p=p,
        fits=fitted,
        comparisons=comparisons,
        runner_up=runner_up.family if runner_up else None,
    )
    return replace(fit, evidence=evidence(fit))


def _without_law(known: LawFit, why: str) -> LawFit:
    return replace(known, evidence=f"{why}: measured probabilities alone")


def standard_errors(law: Law, tail: Histogram) -> dict[str, float]:
    r"""Asymptotic standard errors at a given xmin: roots of the diagonal of the inverse observed information.

    The second derivatives of the log-likelihood are central differences. The bound of a bounded power law has none
    (its likelihood is not smooth there), nor has a parameter at the edge of its range.
    """
    names = [name for name in law.names if name != "xmax"]
    at_least = {"alpha": 1.0, "mu": 1.0}  # the others are scales, however small
    step = np.array([1e-4 * max(abs(law.parameters[name]), at_least.get(name, 0.0)) for name in names])

    def log_likelihood(*moves: tuple[int, float]) -> float:
        parameters = dict(law.parameters)
        for i, times in moves:
            parameters[names[i]] += times * step[i]
        return type(law)(*parameters.values(), xmin=law.xmin).log_likelihood(tail)

    information = np.empty((len(names), len(names)))
    try:
        here = log_likelihood()
        for i in range(len(names)):
            information[i, i] = -(log_likelihood((i, 1)) - 2 * here + log_likelihood((i, -1))) / step[i] ** 2
            for j in range(i):
                mixed = sum(a * b * log_likelihood((i, a), (j, b)) for a in (-1, 1) for b in (-1, 1)) / (
                    4 * step[i] * step[j]
                )
                information[i, j] = information[j, i] = -mixed
        variance = np.diag(np.linalg.inv(information))
    except (ValueError, np.linalg.LinAlgError):
        return {}
    if not np.all(variance > 0):  # also where it is not a number
        return {}
    return dict(zip(names, np.sqrt(variance).tolist(), strict=True))


class _Chance(NamedTuple):
    """What a bootstrap needs."""

    replicates: int
    seed: np.random.SeedSequence
    progress: Progress

    def stream(self, stage: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed.entropy, spawn_key=(*self.seed.spawn_key, stage))


def _scan(found: Candidate, body: Histogram, chance: _Chance) -> Scan | None:
    if found.index < 0:
        return None
    xmin = float(body.values[found.index])
    tail = body.n - int(body.upto[found.index])
    scan = Scan(int(xmin), found.alpha, exponent_error(found.alpha, xmin, tail), tail, found.distance)
    if not chance.replicates:
        return scan
    from fitting.bootstrap import goodness, p_value, resampled

    distances = goodness(body, xmin, found.alpha, chance.replicates, chance.stream(0), progress=chance.progress)
    again = resampled(body, chance.replicates, chance.stream(1), progress=chance.progress)
    intervals = _intervals(alpha=again.alpha, xmin=again.xmin, tail=again.tail)
    return replace(scan, p=p_value(found.distance, distances), intervals=intervals)


def _preferred(fitted: tuple[Fitted, ...], comparisons: tuple[Comparison, ...]) -> Fitted:
    """The law to draw from, by point 4 of the rule."""
    power_law = next(fit for fit in fitted if fit.family == "power law")
    rivals = [c for c in comparisons if c.first == "power law"]
    better = {c.second for c in rivals if c.better == c.second and c.p < PREFERRED_AT / len(rivals)}
    able = [fit for fit in fitted if fit is not power_law and fit.fits]
    if better.isdisjoint(fit.family for fit in able):
        return power_law
    return min(able, key=lambda fit: fit.aic)


def _uncertainty(
    law: Law, ks: float, tail: int, scan: Scan | None, chance: _Chance
) -> tuple[float | None, Mapping[str, tuple[float, float]]]:
    """p of the law and 95 % intervals; ``scan`` if the law begins at the xmin of the scan."""
    if scan is not None and law.family == "power law":
        return scan.p, scan.intervals
    if not chance.replicates:
        return None, {}
    from fitting.bootstrap import p_value, redrawn

    distances, parameters = redrawn(law, tail, chance.replicates, chance.stream(2), progress=chance.progress)
    of_xmin = {} if scan is None else {name: ends for name, ends in scan.intervals.items() if name != "alpha"}
    return p_value(ks, distances), {**_intervals(**dict(zip(law.names, parameters.T, strict=True))), **of_xmin}


def _intervals(**estimates: Floats) -> dict[str, tuple[float, float]]:
    """95 % of the replicates that have a tail; nothing where none has."""
    found = {name: values[np.isfinite(values)] for name, values in estimates.items()}
    return {
        name: (float(np.quantile(values, _COVERAGE[0])), float(np.quantile(values, _COVERAGE[1])))
        for name, values in found.items()
        if len(values)
    }
