r"""How many units (servers, rooms, users) have which sizes: a contingency table that meets demands.

A published figure about a margin is a linear demand on the numbers :math:`N_c` of units in the cells of a table whose
bins have an edge wherever a figure has one: a share of rooms, a median, a largest value, a largest value *where*
another size is in some range. So all figures about one kind of unit, joint ones too, are one system of linear
inequalities in integers, and what contradicts each other is found, not guessed.

What the figures leave open is filled with heavy tails: the *base* of a table is the product of a power law or lognormal
on either axis, tilted where the dependence of the two is known. The *raked* table is the distribution nearest to the
base in relative entropy that meets the demands in expectation (Csiszar 1975, Ann. Prob. 3:146), :math:`p_c \propto q_c
\exp(\sum_j (\mu_j - \nu_j) a_{jc})` with multipliers :math:`\mu, \nu \ge 0` of the lower and upper bounds, found from
its convex dual. Units are drawn from it, and the drawn numbers are *settled*: the integer table nearest to them that
meets the demands exactly, by mixed-integer programming (HiGHS through scipy), where putting a unit into a cell costs
the more the less likely the cell is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gen.reconstruct.errors import DeadEndError
from gen.reconstruct.goal import contradicting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fedgen.federation import Floats, Integers

_PER_DECADE = 6
_SWEEPS = 60
_FLAT = 1e-6
_SINGLE = 4
_UNLIKELY = 1e-9
_SLACK = 1e-7
_NODES = 2_000  # of the search tree; not seconds: the same seed gives the same table on any machine
_NARROWINGS = 5
_ROUNDED = 5.0


@dataclass(frozen=True)
class Law:
    """The density exp(-slope s - curvature s^2) of sizes at s = log x: a power law, or bent down to a lognormal."""

    slope: float
    curvature: float = 0.0


@dataclass(frozen=True, eq=False)
class Axis:
    """The bins of one size.

    Attributes:
        margin: its name, as in the vocabulary of statistics.
        low: (B,) the smallest size in each bin, rising.
        high: (B,) the largest.
        edges: (E,) the sizes from which on figures count differently, rising from 1; all are lower ends of bins.
    """

    margin: str
    low: Integers
    high: Integers
    edges: Integers

    @classmethod
    def of(cls, margin: str, top: int, edges: Sequence[int]) -> Axis:
        """Bins from 1 to ``top`` with an edge at each of ``edges`` (the smallest size of a bin).

        Between them: sizes up to four alone, then six bins a decade.
        """
        told = np.unique(np.array([1, *edges], dtype=np.int64))
        told = told[(told >= 1) & (told <= top)]
        decades = len(str(top)) * _PER_DECADE
        grid = np.floor(10.0 ** (np.arange(_PER_DECADE // 2, decades) / _PER_DECADE)).astype(np.int64) + 1
        low = np.unique(np.concatenate((np.arange(1, _SINGLE + 1), grid, told)))
        low = low[low <= top]
        return cls(margin, low, np.append(low[1:] - 1, top), told)

    def kind(self, sizes: Integers) -> Integers:
        """(N,) between which edges each of ``sizes`` lies: of one kind, they are one to all figures."""
        return np.searchsorted(self.edges, sizes, side="right") - 1

    def bounds(self, sizes: Integers) -> tuple[Integers, Integers]:
        """(N,) the smallest and the largest size of the kind of each."""
        kind = self.kind(sizes)
        return self.edges[kind], np.append(self.edges[1:] - 1, self.high[-1])[kind]

    def __len__(self) -> int:
        return len(self.low)

    def log_mass(self, law: Law) -> Floats:
        """(B,) log of the mass of each bin, up to a constant."""
        exponent = self._exponents(law)
        middle = np.log(self._middle)
        local = _integral((self.low - 0.5) / self._middle, (self.high + 0.5) / self._middle, exponent)
        return np.asarray(middle - law.slope * middle - law.curvature * middle**2 + np.log(local))

    def mean(self, law: Law) -> Floats:
        """(B,) the mean size in each bin."""
        low, high, exponent = self.low - 0.5, self.high + 0.5, self._exponents(law)
        middle = self._middle
        mean = middle * _integral(low / middle, high / middle, exponent - 1.0)
        return np.clip(mean / _integral(low / middle, high / middle, exponent), self.low, self.high)

    def draw(self, bins: Integers, law: Law, rng: np.random.Generator) -> Integers:
        """A size from each of ``bins`` (N,), by the law within the bin."""
        low, high = self.low[bins] - 0.5, self.high[bins] + 0.5
        position = rng.random(len(bins))
        power = 1.0 - self._exponents(law)[bins]
        power = np.where(np.abs(power) < _FLAT, _FLAT, power)
        x = low * (1.0 + position * ((high / low) ** power - 1.0)) ** (1.0 / power)
        return np.clip(np.rint(x), self.low[bins], self.high[bins]).astype(np.int64)

    @property
    def _middle(self) -> Floats:
        return np.sqrt(self.low.astype(np.float64) * self.high)

    def _exponents(self, law: Law) -> Floats:
        """(B,) the power law that the law is near the middle of each bin."""
        return np.asarray(law.slope + 2.0 * law.curvature * np.log(self._middle))


def _integral(low: Floats, high: Floats, exponent: Floats) -> Floats:
    power = 1.0 - exponent
    power = np.where(np.abs(power) < _FLAT, _FLAT, power)
    return np.asarray((high**power - low**power) / power)


@dataclass(frozen=True, eq=False)
class Demand:
    """``low <= weight @ numbers <= high``, where a figure asks for it.

    Attributes:
        figures: ids of the figures that it comes from.
        weight: (C,) of each cell.
        low, high: bounds.
    """

    figures: tuple[str, ...]
    weight: Floats
    low: float
    high: float

    def beyond(self, numbers: Integers | Floats) -> Demand:
        """What is left to ask where ``numbers`` (C,) of units are settled."""
        there = float(self.weight @ numbers)
        return Demand(self.figures, self.weight, self.low - there, self.high - there)


@dataclass(frozen=True, eq=False)
class Table:
    """The cells of one or two axes, those with first size > second size left out where ``ordered``."""

    axes: tuple[Axis, ...]
    ordered: bool = False

    @cached_property
    def bins(self) -> Integers:
        """(axes, C) the bin of each cell on each axis."""
        grid = np.indices([len(axis) for axis in self.axes]).reshape(len(self.axes), -1)
        if self.ordered:
            first, second = self.axes
            grid = grid[:, first.low[grid[0]] <= second.high[grid[1]]]
        return grid

    @cached_property
    def low(self) -> Integers:
        """(axes, C) the smallest size of each cell on each axis."""
        return np.stack([axis.low[bins] for axis, bins in zip(self.axes, self.bins, strict=True)])

    @cached_property
    def high(self) -> Integers:
        """(axes, C) the largest."""
        return np.stack([axis.high[bins] for axis, bins in zip(self.axes, self.bins, strict=True)])

    def __len__(self) -> int:
        return self.bins.shape[1]

    def axis(self, margin: str) -> int:
        """The position of the axis of a margin."""
        return [axis.margin for axis in self.axes].index(margin)

    def within(self, margin: str, least: float | None, most: float | None) -> NDArray[np.bool_]:
        """(C,) the cells whose sizes lie within [least, most]; both must be edges."""
        at = self.axis(margin)
        inside = np.ones(len(self), dtype=bool)
        if least is not None:
            inside &= self.low[at] >= least
        if most is not None:
            inside &= self.high[at] <= most
        return inside

    def means(self, laws: Sequence[Law]) -> Floats:
        """(axes, C) the mean sizes in each cell."""
        return np.stack([axis.mean(law)[bins] for axis, bins, law in zip(self.axes, self.bins, laws, strict=True)])

    def base(self, law: Law) -> Floats:
        """(C,) log of the base of a table of one axis."""
        log = self.axes[0].log_mass(law)
        return np.asarray(log - log.max())

    def joint(self, margins: Sequence[Floats], odds: Floats) -> Floats:
        """(C,) log of the base of two axes: nearest to exp(odds) with these margins, as near as the cells allow.

        Args:
            margins: the share of units in each bin of either axis.
            odds: (C,) log odds of each cell over independence.
        """
        grid = np.zeros([len(axis) for axis in self.axes])
        grid[tuple(self.bins)] = np.exp(odds - odds.max())
        for _ in range(_SWEEPS):
            for at, margin in enumerate(margins):
                sums = grid.sum(axis=1 - at)
                factor = np.divide(margin, sums, out=np.zeros_like(sums), where=sums > 0)
                grid *= factor[:, None] if at == 0 else factor
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(grid[tuple(self.bins)]))

    def draw(self, numbers: Integers, laws: Sequence[Law], rng: np.random.Generator) -> tuple[Integers, Integers]:
        """Sizes of all units: (axes, N), and the cell of each, (N,)."""
        cell = np.repeat(np.arange(len(self)), numbers)
        pairs = zip(self.axes, self.bins, laws, strict=True)
        sizes = np.stack([axis.draw(bins[cell], law, rng) for axis, bins, law in pairs])
        if self.ordered:
            sizes[0] = np.minimum(sizes[0], self.high[1, cell])
            sizes[1] = np.maximum(sizes[1], sizes[0])
        return sizes, cell


def rake(base: Floats, demands: Sequence[Demand], count: int) -> Floats:
    """The distribution nearest to ``base`` that meets ``demands`` for ``count`` units in expectation: (C,).

    Where none does, the one that the optimiser stopped at: :func:`settle` will tell what contradicts.
    """
    from scipy.optimize import minimize

    log = base.copy()
    for demand in demands:
        if demand.high == 0 and demand.weight.min() >= 0:
            log[demand.weight > 0] = -np.inf
    if not np.isfinite(log).any():
        return np.full(len(base), 1.0 / len(base))
    live = np.flatnonzero(np.isfinite(log))
    rows, bounds = [], []
    for demand in demands:
        weight = demand.weight[live]
        scale = max(float(np.abs(weight).max(initial=0.0)), 1e-300)
        for bound, sign in ((demand.low, 1.0), (demand.high, -1.0)):
            if np.isfinite(bound) and not (demand.high == 0 and demand.weight.min() >= 0):
                rows.append(sign * weight / scale)
                bounds.append(sign * bound / scale / count)
    if not rows:
        p = np.zeros(len(base))
        p[live] = _normed(log[live])[0]
        return p
    a, b, q = np.array(rows), np.array(bounds), log[live]

    def dual(multipliers: Floats) -> tuple[float, Floats]:
        p, norm = _normed(q + multipliers @ a)
        return norm - float(multipliers @ b), a @ p - b

    limit = [(0.0, 60.0)] * len(b)
    found = minimize(dual, np.zeros(len(b)), jac=True, method="L-BFGS-B", bounds=limit, options={"maxiter": 500})
    p = np.zeros(len(base))
    p[live] = _normed(q + found.x @ a)[0]
    return p


def _normed(log: Floats) -> tuple[Floats, float]:
    """The distribution in proportion to exp(log), and the log of its sum."""
    top = float(log.max())
    p = np.exp(log - top)
    total = float(p.sum())
    return p / total, top + float(np.log(total))


def settle(drawn: Integers, p: Floats, demands: Sequence[Demand], rng: np.random.Generator) -> Integers:
    """The integer table nearest to ``drawn`` (C,) that meets ``demands``, of as many units.

    Raises:
        FiguresError: there is none; names figures that contradict each other, none of which can be left out.
        DeadEndError: there is none, and no figure is to blame.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    if all(d.low - _SLACK <= d.weight @ drawn <= d.high + _SLACK for d in demands):
        return drawn
    size = len(drawn)
    unlikely = -np.log10(np.maximum(p / p.max(), _UNLIKELY))
    jitter = rng.random(size) * 0.1
    cost = np.concatenate((1.0 + unlikely + jitter, np.full(size, 0.1)))
    total = np.concatenate((np.ones(size), -np.ones(size)))
    constraints = [LinearConstraint(total[None, :], 0, 0)]
    if demands:
        a = np.array([demand.weight for demand in demands], dtype=np.float64)
        at = a @ drawn
        low = np.array([demand.low for demand in demands]) - at
        high = np.array([demand.high for demand in demands]) - at
        constraints.append(LinearConstraint(np.hstack((a, -a)), low - _SLACK, high + _SLACK))
    upper = np.concatenate((np.full(size, np.inf), drawn.astype(np.float64)))
    found = milp(
        cost,
        constraints=constraints,
        integrality=np.ones(2 * size, dtype=np.int64),
        bounds=Bounds(0, upper),
        options={"mip_rel_gap": 0.02, "node_limit": _NODES},
    )
    if found.x is None:
        names = contradiction(demands, int(drawn.sum()))
        if not names:
            raise DeadEndError("what was drawn before leaves no way to draw the rest")
        raise contradicting(names)
    moves = np.rint(found.x).astype(np.int64)
    return np.asarray(drawn + moves[:size] - moves[size:])


def narrowed(demands: Sequence[Demand], single: Sequence[Demand], count: int, rng: np.random.Generator) -> list[Demand]:
    """Demands with a third of each interval drawn at random: else a law would always end at the same bound.

    Args:
        demands: of figures.
        single: what is likely besides, where it can be had: a largest size that is told is that of one unit.
        count: of units.
        rng: of the draw. Where nothing meets the draw after a few, ``demands`` stay as they are.
    """
    for _ in range(_NARROWINGS):
        drawn = [*(_third(demand, rng) if demand.figures else demand for demand in demands), *single]
        if _feasible(drawn, count, whole=False):
            return drawn
    return list(demands)


def _third(demand: Demand, rng: np.random.Generator) -> Demand:
    width = demand.high - demand.low
    if not np.isfinite(width) or width < 1.0 or width > demand.high / _ROUNDED:
        return demand  # nothing to draw, or no rounded figure but a range
    low = demand.low + float(rng.uniform(0.0, 2.0 / 3.0)) * width
    return Demand(demand.figures, demand.weight, np.floor(low), np.ceil(low + width / 3.0))


def contradiction(demands: Sequence[Demand], count: int) -> list[str]:
    """Figures that cannot be met together, none of which can be left out (deletion filter, Chinneck 2008, ch. 6)."""
    names = list(dict.fromkeys(name for demand in demands for name in demand.figures))
    kept = list(names)
    for name in names:
        without = [other for other in kept if other != name]
        if not _feasible([d for d in demands if set(d.figures) <= set(without)], count):
            kept = without
    return kept


def _feasible(demands: Sequence[Demand], count: int, *, whole: bool = True) -> bool:
    from scipy.optimize import Bounds, LinearConstraint, milp

    if not demands:
        return True
    size = len(demands[0].weight)
    a = np.array([demand.weight for demand in demands], dtype=np.float64)
    rows = LinearConstraint(a, [d.low - _SLACK for d in demands], [d.high + _SLACK for d in demands])
    everyone = LinearConstraint(np.ones((1, size)), count, count)
    found = milp(
        np.zeros(size),
        constraints=[rows, everyone],
        integrality=np.full(size, int(whole)),
        bounds=Bounds(0, np.inf),
        options={"node_limit": _NODES},
    )
    return found.status != 2
