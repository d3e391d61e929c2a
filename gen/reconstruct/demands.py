r"""From published figures to demands on a table.

With N(A) the number of units in a set A of cells, and every bound of a figure an edge of the table:

=================================  ==================================================================
count in A within [l, h]           l <= N(A) <= h
share of C that is in A            l N(C) <= N(A and C) <= h N(C)
j-th largest within [l, h]         N(x >= l) >= j, N(x > h) <= j - 1
largest in C within [l, h]         N(C and x >= l) >= 1, N(C and x > h) = 0; the smallest likewise
median of C within [l, h]          2 N(C and x < l) <= N(C) - 1, 2 N(C and x > h) <= N(C) - 1
sum over ranks 1..j within [l, h]  N(x >= v) = j, sum over x >= v of the cells' smallest sizes <= h, of largest >= l
=================================  ==================================================================

*Ranks* of another size ("the largest room by users", "rooms at ranks 190 to 210 by servers") become ranges of that
size. A spike stands where a step of the staircase ends: among units of equal first size the second runs from its
smallest to its largest, so the largest second size near a rank is that of the step that ends there. The step is the one
that ends nearest to the ranks in the table that the size's own figures make; that it ends within them is a demand.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, inf
from typing import TYPE_CHECKING

import numpy as np

from gen.reconstruct.laws import fit_law
from gen.reconstruct.table import Axis, Demand, Table, rake

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fedgen.federation import Floats
    from fedgen.statistics.vocabulary import Where
    from gen.reconstruct.goal import Interval
    from gen.reconstruct.told import Told

_FINE = 64


@dataclass(frozen=True)
class Range:
    """Sizes ``least``..``most`` of ``of`` that stand for ranks, and the demand that makes them do so.

    ``upto``: N(of <= upto) is held within ``numbers``; or, with ``fromon``, N(of >= fromon).
    """

    of: str
    least: int | None
    most: int | None
    numbers: tuple[int, int]
    upto: int | None = None
    fromon: int | None = None

    def edges(self, margin: str) -> list[int]:
        """The sizes of ``margin`` that must be edges."""
        if margin != self.of:
            return []
        return _both(self.least, self.most) + _both(self.fromon, self.upto)

    def demand(self, figure: str, table: Table) -> Demand:
        """What makes the range stand for the ranks."""
        cells = table.within(self.of, self.fromon, self.upto)
        return Demand((figure,), cells.astype(np.float64), *map(float, self.numbers))


def edges_of(figures: Iterable[Told], margin: str) -> list[int]:
    """Every size of ``margin`` from which on a figure counts differently."""
    found: list[int] = []
    for figure in figures:
        statistic = figure.statistic
        if statistic.of == margin:
            found += _both(statistic.least, statistic.most)
            if statistic.name in ("rank", "min", "max", "median"):
                found += _both(*whole(figure))
        if statistic.where is not None and statistic.where.of == margin:
            found += _both(statistic.where.least, statistic.where.most)
    return found


def _both(least: float | None, most: float | None) -> list[int]:
    return [int(x) for x in (least, None if most is None else most + 1) if x is not None and abs(x) < inf]


def whole(figure: Told) -> tuple[float, float]:
    """The whole numbers in a figure's interval; the two next to it where it holds none."""
    low, high = ceil(figure.low) if figure.low > -inf else -inf, floor(figure.high) if figure.high < inf else inf
    return (low, high) if low <= high else (floor(figure.low), ceil(figure.high))


def expected(figures: Sequence[Told], margin: str, top: int, count: int) -> tuple[Axis, Floats]:
    """A fine axis and the expected number of units in each of its bins, from the size's own figures."""
    table = _fine(figures, margin, top)
    return table.axes[0], _expected(table, own_demands(figures, table, count), count)


def own_demands(figures: Sequence[Told], table: Table, count: int) -> list[Demand]:
    """What the figures about the one size of ``table`` alone ask."""
    margin = table.axes[0].margin
    own = [f for f in figures if f.statistic.of == margin and f.statistic.where is None]
    return [demand for figure in own for demand in demands_of(figure, table, count, {})]


def _fine(figures: Sequence[Told], margin: str, top: int) -> Table:
    return Table((Axis.of(margin, top, [*edges_of(figures, margin), *range(1, min(top, _FINE))]),))


def _expected(table: Table, demands: Sequence[Demand], count: int) -> Floats:
    law = fit_law(table, demands, count)
    return count * rake(table.base(law), demands, count)


def ranges_of(figures: Sequence[Told], margin: str, other: str, top: int, count: int) -> dict[str, Range]:
    """For every figure about ``other`` at ranks of ``margin``, by id: the sizes that stand for the ranks.

    Low ranks first, each with the demands of those before, so that two windows do not take the same step.
    """
    table = _fine(figures, margin, top)
    demands = own_demands(figures, table, count)
    pinned = pinned_ranks(figures, margin)
    found: dict[str, Range] = {}
    for figure in sorted(figures, key=lambda f: ranks_of(f) or (0, 0)):
        where = figure.statistic.where
        if where is None or where.of != margin or figure.statistic.of != other or not ranks_of(figure):
            continue
        number = _expected(table, demands, count)
        chosen = range_of(where, figure.statistic.name != "min", table.axes[0], number, pinned)
        found[figure.id] = chosen
        demands.append(chosen.demand(figure.id, table))
    return found


def ranks_of(figure: Told) -> tuple[int, int] | None:
    """The ranks of another size at which the figure looks, if it does."""
    where = figure.statistic.where
    return (where.largest or where.lowest) if where else None


def pinned_ranks(figures: Sequence[Told], margin: str) -> dict[int, int]:
    """The sizes that figures give for single ranks."""
    found = {}
    for figure in figures:
        statistic = figure.statistic
        if statistic.of == margin and statistic.where is None and statistic.name in ("rank", "max"):
            found[statistic.rank or 1] = int(whole(figure)[0])
    return found


def most_of(figures: Sequence[Told], margin: str, top: int) -> int:
    """The largest size of ``margin`` that figures allow, at most ``top``."""
    own = [f for f in figures if f.statistic.of == margin and f.statistic.where is None]
    largest = [f.high for f in own if f.statistic.name == "max" or (f.statistic.name, f.statistic.rank) == ("rank", 1)]
    return max(1, int(min([top, *largest])))


def range_of(where: Where, largest_wanted: bool, axis: Axis, number: Floats, pinned: Mapping[int, int]) -> Range:
    """The sizes that stand for the ranks of ``where``.

    Args:
        where: which units take part.
        largest_wanted: whether the figure asks for the largest of their other size; else for the smallest.
        axis: of ``where.of``.
        number: (B,) expected units in each bin.
        pinned: the size at a rank (1 = largest) where a figure tells it.
    """
    first, last = where.largest or where.lowest or (1, 1)
    below = np.cumsum(number)
    above = below[-1] - below + number
    if where.largest and first == 1:
        size = pinned.get(last, int(axis.low[np.argmin(np.abs(above - last))]))
        return Range(where.of, size, None, (last, last), fromon=size)
    if where.lowest and first == 1 and not largest_wanted:
        size = int(axis.high[np.argmin(np.abs(below - last))])
        return Range(where.of, None, size, (last, last), upto=size)
    middle = (first + last) / 2
    ends = bool(where.lowest) == largest_wanted  # the step ends in the window; else it begins there
    reached = below if where.lowest else above
    if ends:
        at = int(np.argmin(np.abs(reached - middle)))
        numbers = (first, last)
    else:
        at = int(np.argmin(np.abs(reached - number + 1 - middle)))
        numbers = (first - 1, last - 1)
    low, high = int(axis.low[at]), int(axis.high[at])
    if where.lowest:
        return Range(where.of, low, high, numbers, upto=high if ends else low - 1)
    return Range(where.of, low, high, numbers, fromon=low if ends else high + 1)


def demands_of(figure: Told, table: Table, count: int, ranges: Mapping[str, Range]) -> list[Demand]:
    """What a figure asks of a table of ``count`` units; nothing if it is not about its axes or not linear.

    Args:
        figure: any.
        table: with the edges of all figures.
        count: the units in the table.
        ranges: for figures with ranks in their ``where``, by id.
    """
    statistic = figure.statistic
    margins = [axis.margin for axis in table.axes]
    if statistic.of not in margins:
        return []
    where, name, of = statistic.where, (figure.id,), statistic.of
    inside = np.ones(len(table), dtype=bool)
    extra: list[Demand] = []
    if where is not None:
        if where.of not in margins:
            return []
        inside &= table.within(where.of, where.least, where.most)
        if where.largest or where.lowest:
            if figure.id not in ranges:
                return []
            ranked = ranges[figure.id]
            inside &= table.within(ranked.of, ranked.least, ranked.most)
            extra.append(ranked.demand(figure.id, table))
    low, high = figure.low, figure.high
    members = inside.astype(np.float64)

    def number(cells: Floats, least: float, most: float) -> Demand:
        return Demand(name, np.asarray(cells, dtype=np.float64), least, most)

    match statistic.name:
        case "count":
            chosen = inside & table.within(of, statistic.least, statistic.most)
            return [number(chosen, low, high), *extra]
        case "share":
            chosen = inside & table.within(of, statistic.least, statistic.most)
            if where is None:
                return [number(chosen, ceil(low * count - 1e-9), floor(high * count + 1e-9))]
            return [number(chosen - low * members, 0.0, inf), number(chosen - high * members, -inf, 0.0), *extra]
        case "rank":
            low, high = whole(figure)
            rank = statistic.rank or 1
            found = [number(table.within(of, low, None), rank, inf)] if low > 1 else []
            return found + ([number(table.within(of, high + 1, None), 0.0, rank - 1)] if high < inf else [])
        case "max":
            low, high = whole(figure)
            found = [number(inside & table.within(of, max(low, 1), None), 1.0, inf)]
            return found + ([number(inside & table.within(of, high + 1, None), 0.0, 0.0)] if high < inf else []) + extra
        case "min":
            low, high = whole(figure)
            found = [number(inside & table.within(of, None, high if high < inf else None), 1.0, inf)]
            return found + ([number(inside & table.within(of, None, low - 1), 0.0, 0.0)] if low > 1 else []) + extra
        case "median":
            low, high = whole(figure)
            found = [number(members, 1.0, inf)]
            if low > 1:
                found.append(number(members - 2.0 * (inside & table.within(of, None, low - 1)), 1.0, inf))
            if high < inf:
                found.append(number(members - 2.0 * (inside & table.within(of, high + 1, None)), 1.0, inf))
            return found + extra
        case _:
            return []


def single_demands(figures: Iterable[Told], table: Table, ranges: Mapping[str, Range]) -> list[Demand]:
    """That a largest size which is told exactly is that of one unit: no figure says so, but ties are rare there."""
    found = []
    for figure in figures:
        statistic = figure.statistic
        largest = statistic.name == "max" or (statistic.name, statistic.rank) == ("rank", 1)
        if not largest or figure.low != figure.high or statistic.of not in [axis.margin for axis in table.axes]:
            continue
        held = demands_of(figure, table, 1, ranges)
        if held:
            found.append(Demand((), held[0].weight, 0.0, 1.0))
    return found


def total_demands(total: Interval, table: Table, margin: str) -> list[Demand]:
    """That the sizes of ``margin`` can sum to something within ``total``."""
    at = table.axis(margin)
    return [
        Demand(total.figures, table.low[at].astype(np.float64), -inf, total.high),
        Demand(total.figures, table.high[at].astype(np.float64), total.low, inf),
    ]
