"""What a row of the scorecard measures, and the groups of rows that are computed together.

A *unit metric* compares two populations of units (servers, rooms, users), each unit a tuple of integers; its null
resamples units. A *cluster metric* compares two federations by one statistic of each; its null splits the rooms. Rows
of one group share every draw of their null, which the family-wise verdict needs. A new row is one more metric.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from validate.distances import wasserstein

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fedgen.federation import Federation, Floats, Integers
    from fedgen.statistics.halves import Split
    from fedgen.tables import Tables

Statistic = TypeVar("Statistic")
Halves = Callable[["Sequence[Split]"], "Iterator[tuple[Statistic, Statistic]]"]
"""Takes splits of the rooms to the statistics of both halves of each."""
Distance = Callable[["Integers", "Integers"], float]
"""Takes how often each distinct unit occurs on either side, (T,) and (T,), to a distance; NaN where there is none."""
Measure = Callable[["Floats | Integers", "Floats", "Floats"], float]
"""``distance(x, p, q)`` of two distributions on one ordered support."""
Bind = Callable[["Units"], Distance]
"""Prepares a distance for the distinct units at hand, once for all resamples of them."""

CLASS_MEMBERS = 20
"""A size class is compared where it has so many members on both sides."""

SAME_SIZE = 1.5
"""Up to this factor between their numbers of servers two federations are compared as if they had equally many."""


@dataclass(frozen=True, eq=False)
class Counted:
    """The distinct units of a side, (T, C) in lexicographic order, and how often each occurs, (T,)."""

    values: Integers
    number: Integers

    @classmethod
    def of(cls, *columns: Integers) -> Counted:
        """From the numbers of each unit, (N,) in every column."""
        values, kind = _distinct(np.column_stack(columns))
        return cls(values, np.bincount(kind, minlength=len(values)))

    @classmethod
    def dense(cls, table: Integers) -> Counted:
        """From how often each tuple occurs, at its place in an array of as many dimensions as it has numbers."""
        values = np.argwhere(table)
        return cls(values, table[tuple(values.T)])


@dataclass(frozen=True, eq=False)
class Units:
    """The distinct units of two sides and how often each occurs.

    Attributes:
        values: (T, C) the distinct tuples, in lexicographic order.
        generated: (T,) how often each occurs on the generated side.
        measured: (T,) how often on the measured side.
    """

    values: Integers
    generated: Integers
    measured: Integers

    @classmethod
    def of(cls, generated: Counted, measured: Counted) -> Units:
        """From the distinct units of either side."""
        values, kind = _distinct(np.concatenate((generated.values, measured.values)))
        ours, theirs = kind[: len(generated.values)], kind[len(generated.values) :]
        return cls(
            values=values,
            generated=np.bincount(ours, weights=generated.number, minlength=len(values)).astype(np.int64),
            measured=np.bincount(theirs, weights=measured.number, minlength=len(values)).astype(np.int64),
        )


def _distinct(table: Integers) -> tuple[Integers, Integers]:
    """The distinct rows of a table in lexicographic order, and which of them each row is."""
    order = np.lexsort(table.T[::-1])
    ordered = table[order]
    first = np.ones(len(table), dtype=bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    kind = np.empty(len(table), dtype=np.int64)
    kind[order] = np.cumsum(first) - 1
    return ordered[first], kind


@dataclass(frozen=True)
class Description:
    """What a reader is told of a row.

    Attributes:
        name: as in docs/scorecard.md, e.g. ``A1``.
        statistic: in words.
        measure: the distance; its goal is 0.
        undefined: why there may be no distance, told when there is none.
    """

    name: str
    statistic: str
    measure: str
    undefined: str = "a side is empty"


@dataclass(frozen=True, eq=False)
class UnitMetric:
    """A row over units.

    Attributes:
        description: of the row.
        bind: its distance.
        margin: distances up to it are of no consequence where many users are measured.
        carried: whether rooms decide for many units at once (:mod:`validate.rows.carried`).
    """

    description: Description
    bind: Bind
    margin: float = 0.0
    carried: bool = False


@dataclass(frozen=True, eq=False)
class ClusterMetric(Generic[Statistic]):
    """A row over federations.

    Attributes:
        description: of the row.
        distance: ``distance(generated, measured)`` of a statistic.
        value: of the statistic, if it is one number.
        sampled: how it was estimated, where it was; empty where it is exact.
        resized: what the row compares instead where the numbers of servers differ by more than ``SAME_SIZE``.
    """

    description: Description
    distance: Callable[[Statistic, Statistic], float]
    value: Callable[[Statistic], float] | None = None
    sampled: Callable[[Statistic], str] = lambda _: ""
    resized: ClusterMetric[Statistic] | None = None


@dataclass(frozen=True)
class UnitGroup:
    """Rows over one kind of unit.

    Attributes:
        unit: its name, in the plural.
        count: the distinct units of a federation; in one pass over the users, part by part, where they are units.
        metrics: the rows.
    """

    unit: str
    count: Callable[[Tables], Counted]
    metrics: tuple[UnitMetric, ...]


@dataclass(frozen=True, eq=False)
class ClusterGroup(Generic[Statistic]):
    """Rows over one statistic of a federation.

    Attributes:
        statistic: of a whole federation, from its margins and presences, and its memberships part by part.
        halves: prepares a federation for its splits: from each of a block of them to the statistics of both halves,
            the same that ``statistic`` has of the federations of either half.
        metrics: the rows.
        resampled: ``resampled(measured, size, rng)`` draws the statistic anew from ``size`` of the measured units
            where that makes sense: the iid floor shown beside that of room clusters.
    """

    statistic: Callable[[Tables], Statistic]
    halves: Callable[[Federation], Halves[Statistic]]
    metrics: tuple[ClusterMetric[Statistic], ...]
    resampled: Callable[[Statistic, int, np.random.Generator], Statistic] | None = None

    @property
    def compared(self) -> tuple[ClusterMetric[Statistic], ...]:
        """The metrics, and what they compare instead at other sizes."""
        return tuple(each for metric in self.metrics for each in (metric, metric.resized) if each is not None)


def one_by_one(
    halves: Callable[[Split], tuple[Statistic, Statistic]],
) -> Callable[[Federation], Halves[Statistic]]:
    """The halves of a statistic that takes one split at a time."""
    return lambda _: lambda splits: map(halves, splits)


def unlike_sizes(generated: int, measured: int) -> bool:
    """Whether two numbers of servers differ by more than ``SAME_SIZE``."""
    return max(generated, measured) > SAME_SIZE * min(generated, measured)


def sampled(what: str, drawn: int, error: float) -> str:
    """How a statistic was estimated from so many draws, and the standard error of its logarithm; empty if counted."""
    return f"estimated from {drawn:,} {what} drawn at random: standard error {error:.1g} decades" if drawn else ""


def column(index: int) -> Callable[[Integers], Integers]:
    """One number of each unit."""
    return lambda values: values[:, index]


def no_class(members: str) -> str:
    """Why a mean over size classes may not exist."""
    return f"no size class has {CLASS_MEMBERS} {members} on both sides"


def bind_value(value: Callable[[Integers], Floats | Integers], distance: Measure) -> Bind:
    """A distance ``distance(x, p, q)`` of one value per unit; units with value NaN take no part."""
    return lambda units: _ordered(value(units.values), distance)


def bind_bins(bins: Callable[[Integers], Integers], distance: Callable[[Floats, Floats], float]) -> Bind:
    """A distance of the histograms over ``bins``, a number per unit."""

    def bind(units: Units) -> Distance:
        code = np.unique(bins(units.values), return_inverse=True)[1]

        def measured(ours: Integers, theirs: Integers) -> float:
            p = np.bincount(code, weights=ours) / ours.sum()
            q = np.bincount(code, weights=theirs) / theirs.sum()
            return distance(p, q)

        return measured

    return bind


def bind_classes(classes: Callable[[Integers], Integers], size: Callable[[Integers], Integers]) -> Bind:
    """The mean W1log of a size over the classes that have ``CLASS_MEMBERS`` units on both sides.

    A resample is held to the classes of the comparison; where it leaves one of them empty, it goes without.
    """

    def bind(units: Units) -> Distance:
        label, x = classes(units.values), np.log10(1.0 + size(units.values))
        members = [label == c for c in np.unique(label)]
        fit = [m for m in members if min(units.generated[m].sum(), units.measured[m].sum()) >= CLASS_MEMBERS]
        parts = [_ordered(np.where(m, x, nan), wasserstein) for m in fit]

        def mean(ours: Integers, theirs: Integers) -> float:
            found = [d for d in (part(ours, theirs) for part in parts) if not isnan(d)]
            return sum(found) / len(found) if found else nan

        return mean

    return bind


def _ordered(value: Floats | Integers, distance: Measure) -> Distance:
    order = np.argsort(value, kind="stable")
    order = order[~np.isnan(value[order])]
    x = value[order]

    def measured(ours: Integers, theirs: Integers) -> float:
        p, q = ours[order], theirs[order]
        a, b = p.sum(), q.sum()
        return distance(x, p / a, q / b) if a and b else nan

    return measured
