r"""The laws of sizes that figures leave open, and sizes drawn from them.

A law is a power law or, bent down, a lognormal: the two shapes that sizes of such networks are found to have (Clauset,
Shalizi and Newman 2009; docs/tails.md). Of all of them the figures choose the one whose table they have to change
least, in relative entropy; where the total is known it is one that gives the total.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from gen.apportion import apportion, reconcile
from gen.reconstruct.table import Law, rake, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedgen.federation import Floats, Integers
    from gen.reconstruct.table import Demand, Table

_EXACT = 100.0  # of a total: 1 % off weighs as much as .01 nats
_PLAIN = 1e-3  # a power law where nothing asks for more
_STEEPEST = 5.0


def fit_law(table: Table, demands: Sequence[Demand], count: int, total: float | None = None) -> Law:
    """The law of a table of one axis that the demands change least and, where it is told, that gives ``total``.

    Minimised is the relative entropy of the raked table from its base, plus the squared log of the ratio of totals.
    """
    from scipy.optimize import minimize

    def cost(parameters: Floats) -> float:
        law = _law(parameters)
        p = rake(table.base(law), demands, count)
        miss = np.log(float(count * p @ table.means((law,))[0]) / total) if total is not None else 0.0
        beyond = max(0.0, abs(law.slope) - _STEEPEST) + max(0.0, law.curvature - 1.0)
        return _entropy(p, table.base(law)) + _EXACT * miss**2 + _PLAIN * law.curvature**2 + beyond**2

    start = np.array([1.5, 0.05])
    found = minimize(cost, start, method="Nelder-Mead", options={"xatol": 5e-3, "fatol": 1e-5, "maxfev": 120})
    return _law(found.x)


def change(table: Table, law: Law, demands: Sequence[Demand], count: int) -> float:
    """How far the demands take a table of one axis from a law: relative entropy in nats."""
    return _entropy(rake(table.base(law), demands, count), table.base(law))


def _entropy(p: Floats, base: Floats) -> float:
    held = p > 0
    return float(p[held] @ (np.log(p[held]) - base[held])) + float(np.log(np.exp(base).sum()))


def _law(parameters: Floats) -> Law:
    return Law(float(parameters[0]), abs(float(parameters[1])))


def settled(p: Floats, count: int, demands: Sequence[Demand], rng: np.random.Generator) -> Integers:
    """Numbers of units in each cell, (C,): the expected ones up or down, systematically sampled, then settled."""
    everything, unbounded = np.array([0, len(p)]), np.full(len(p), count)
    return settle(apportion(np.array([count]), everything, p, unbounded, rng), p, demands, rng)


def bring_to(sizes: Integers, low: Integers, high: Integers, total: float, rng: np.random.Generator) -> Integers:
    """``sizes`` within bounds, the largest changed first, summing as near to ``total`` as these allow."""
    return reconcile(sizes, low, high, round(min(max(total, int(low.sum())), int(high.sum()))), rng)


def natural_total(values: Integers, low: float, high: float) -> float:
    """The sum of ``values`` where it lies within [low, high], else the nearest that does."""
    return min(max(float(values.sum()), low), high)


def jittered(law: Law, count: int, rng: np.random.Generator) -> Law:
    """A law as ``count`` units might have shown it: the slope off by its standard error, (slope - 1) / sqrt(count)."""
    return Law(law.slope + abs(law.slope - 1.0) / sqrt(count) * float(rng.standard_normal()), law.curvature)
