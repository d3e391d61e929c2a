r"""Encounters drawn at random: in how many places two nodes meet, of pairs that do meet, without a list of all pairs.

Servers, or users, meet in rooms. There may be :math:`10^{13}` encounters (room, one, other), far too many to list
(:mod:`fedgen.statistics.meetings`); of some that are drawn it can be counted in how many rooms the two meet in all, by
looking at every room once. That counts whatever is a sum over encounters, without bias: with T ordered encounters, one
and other in turn, and c the rooms that a pair shares,

.. math::
    \text{pairs that meet} = \frac T2 \, E\!\left[\frac1c\right], \qquad
    \text{butterflies} = \frac{T'}4 \, E'\!\left[\frac{c - 1}{d_{one} - 1}\right],

in E' with ``one`` drawn in proportion to its rooms beyond this one, d - 1 (:math:`T'` counts an encounter so often).
What is averaged lies in [0, 1] in both, so that few nodes who meet everywhere make no heavy tail: the relative standard
error of the second is that of a coin whose bias is the clustering coefficient. (The same as drawing paths of three
memberships and asking which close, Sanei-Mehri, Sariyuce and Tirthapura, "Butterfly Counting in Bipartite Networks",
KDD 2018, but each path answers for all of its kind.)

*Draws.* ``other`` is drawn among all nodes of the room; where it is ``one`` itself there is no encounter, and the
average has a 0. All T numbered, the draws are one out of each of n equal stretches of the numbers, which only lowers
the error; where T <= n, all of them are taken, and the count is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from fedgen.ragged import offsets_of
from fedgen.statistics.meetings import DRAWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from fedgen.federation import Floats, Integers

    Parts = Callable[[], Iterable[tuple[Integers, Integers]]]
    """Begins anew to tell the node and the place of each membership or presence, places rising, then nodes."""

_SEED = 1910_06295
"""Draws are declared: the same federation gives the same figure, whoever asks."""


@dataclass(frozen=True, eq=False)
class Encounters:
    """Ordered encounters, all or some drawn at random.

    Attributes:
        total: how many there are, T.
        one: (N,) a node of each encounter looked at.
        other: (N,) the other one; ``one`` itself where there is no encounter.
        shared: (N,) how many places the two share; 0 where there is no encounter.
    """

    total: int
    one: Integers
    other: Integers
    shared: Integers

    @property
    def exact(self) -> bool:
        """Whether all are looked at."""
        return self.total == len(self.one)

    def sum(self, values: Floats) -> float:
        """The sum over all encounters of what is (N,) ``values`` at those looked at; without bias."""
        return self.total * float(values.mean()) if len(values) else 0.0

    def error(self, values: Floats) -> float:
        """The standard error of the mean of ``values``, relative to it; 0 where all are looked at."""
        if self.exact:
            return 0.0
        mean = float(values.mean())
        return float(values.std()) / sqrt(len(values)) / mean if mean > 0 else 0.0


def alike(places: Integers, parts: Parts, nodes: int, draws: int = DRAWN) -> Encounters:
    """Encounters, each as likely as any other.

    Args:
        places: (P,) how many nodes there are at each place.
        parts: node and place of each, as often as asked.
        nodes: how many there are.
        draws: N.
    """
    return eager(places, places, lambda node: np.ones(len(node), dtype=np.int64), parts, nodes, draws)


def eager(
    places: Integers,
    eagerness: Integers,
    eager_of: Callable[[Integers], Integers],
    parts: Parts,
    nodes: int,
    draws: int = DRAWN,
) -> Encounters:
    """Encounters, each as likely as the first of its nodes is eager.

    Args:
        places: (P,) how many nodes there are at each place.
        eagerness: (P,) the sum over the nodes there.
        eager_of: that of each node given, a whole number >= 0.
        parts: node and place of each, as often as asked.
        nodes: how many there are.
        draws: N.
    """
    begin = offsets_of(eagerness * places)
    number = _numbers(int(begin[-1]), draws)
    place = np.searchsorted(begin, number, side="right") - 1
    which, position = np.divmod(number - begin[place], places[place])
    # Ranks among all: of the eager ones by cumulated eagerness, of all others by position.
    ranks = offsets_of(eagerness)[place] + which, offsets_of(places)[place] + position
    one, other = _found(ranks, eager_of, parts)
    apart = one != other
    shared = np.zeros(len(one), dtype=np.int64)
    shared[apart] = shared_places(one[apart], other[apart], nodes, parts())
    return Encounters(int(begin[-1]), one, other, shared)


def _numbers(total: int, draws: int) -> Integers:
    """(N,) of the numbers below ``total`` all, or one out of each of ``draws`` stretches; rising."""
    if total <= draws:
        return np.arange(total)
    within = np.random.Generator(np.random.PCG64(_SEED)).random(draws)
    number = (np.arange(draws) + within) * (total / draws)
    return np.minimum(number.astype(np.int64), total - 1)


def _found(
    ranks: tuple[Integers, Integers], eager_of: Callable[[Integers], Integers], parts: Parts
) -> tuple[Integers, Integers]:
    """(N,) the nodes at cumulated eagerness, and those at positions."""
    orders = [np.argsort(rank, kind="stable") for rank in ranks]
    rising = [rank[order] for rank, order in zip(ranks, orders, strict=True)]
    found = np.zeros((2, len(ranks[0])), dtype=np.int64)
    seen = [0, 0]
    for node, _ in parts():
        upto = seen[0] + np.cumsum(eager_of(node)), np.arange(seen[1] + 1, seen[1] + 1 + len(node))
        for side in (0, 1):
            ends = upto[side]
            if len(ends) == 0:
                continue
            first, last = np.searchsorted(rising[side], (seen[side], ends[-1]))
            at = np.searchsorted(ends, rising[side][first:last], side="right")
            found[side, orders[side][first:last]] = node[at]
            seen[side] = int(ends[-1])
    return found[0], found[1]


def shared_places(one: Integers, other: Integers, nodes: int, parts: Iterable[tuple[Integers, Integers]]) -> Integers:
    """In how many places both of each pair are, (N,); in one pass over the places.

    Args:
        one, other: (N,) two different nodes.
        nodes: how many there are.
        parts: node and place of each, places rising.
    """
    pairs, which = np.unique(np.minimum(one, other) * np.int64(nodes) + np.maximum(one, other), return_inverse=True)
    known = np.unique(np.concatenate((one, other)))
    ends = np.searchsorted(known, np.stack((pairs // nodes, pairs % nodes)))
    # A pair is looked up wherever the one of the two is that is in fewer pairs: mostly the one in fewer places.
    busy = np.bincount(ends.ravel(), minlength=len(known))
    swap = busy[ends[0]] > busy[ends[1]]
    owner, partner = np.where(swap, ends[::-1], ends)
    order = np.argsort(owner, kind="stable")
    offsets = offsets_of(np.bincount(owner, minlength=len(known)))
    counted = np.zeros(len(pairs), dtype=np.int64)
    stamp = np.full(len(known), -1, dtype=np.int64)
    looked_at = np.zeros(nodes, dtype=bool)
    looked_at[known] = True
    for node, place in _whole_places(_among(looked_at, parts)):
        _count(np.searchsorted(known, node), place, offsets, partner[order], stamp, counted)
    shared = np.empty_like(counted)
    shared[order] = counted
    return np.asarray(shared[which.ravel()])


def _among(
    looked_at: NDArray[np.bool_], parts: Iterable[tuple[Integers, Integers]]
) -> Iterator[tuple[Integers, Integers]]:
    for node, place in parts:
        kept = looked_at[node]
        yield node[kept], place[kept]


def _whole_places(parts: Iterable[tuple[Integers, Integers]]) -> Iterator[tuple[Integers, Integers]]:
    """The same, cut between places: what is there of a part's last place waits for the next part."""
    left: list[tuple[Integers, Integers]] = []
    for node, place in parts:
        if len(place) == 0:
            continue
        cut = int(np.searchsorted(place, place[-1]))
        if left and left[-1][1][-1] == place[-1]:  # still the same one place
            left.append((node, place))
            continue
        yield _joined([*left, (node[:cut], place[:cut])])
        left = [(node[cut:], place[cut:])]
    if left:
        yield _joined(left)


def _joined(parts: list[tuple[Integers, Integers]]) -> tuple[Integers, Integers]:
    nodes, places = zip(*parts, strict=True)
    return np.concatenate(nodes), np.concatenate(places)


@njit(cache=True)
def _count(node: Any, place: Any, offsets: Any, partner: Any, stamp: Any, counted: Any) -> None:
    """Adds to ``counted``, pair by pair, the places where both are; ``stamp`` is the last place of each node."""
    begin = 0
    while begin < len(node):
        end = begin
        here = place[begin]
        while end < len(node) and place[end] == here:
            stamp[node[end]] = here
            end += 1
        for i in range(begin, end):
            for pair in range(offsets[node[i]], offsets[node[i] + 1]):
                counted[pair] += stamp[partner[pair]] == here
        begin = end
