r"""Who meets whom where: the pairs of nodes that share a place, and the places that they share.

A room is a place where servers, or users, meet; a user is a place where rooms meet. With k_p nodes at place p there are
:math:`\sum_p \binom{k_p}{2}` incidences (pair, place). Listed once and sorted by pair they answer for every subset of
the places how often each pair meets there: a sparse matrix of pairs by places times indicators of the subsets. That is
what the nulls of the scorecard ask, some hundred times over.

The list is what costs memory, 12 bytes an incidence and some four times that while it is made. Where it would be longer
than :data:`MOST`, a random share of the nodes is looked at instead (:func:`share_within`): of n nodes k, so that each
pair is kept with probability k (k - 1) / (n (n - 1)).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from fedgen.federation import index_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fedgen.federation import Integers

MOST = 1 << 23
"""Incidences that are listed: about half a GiB at the worst moment."""

DRAWN = 1 << 20
"""Encounters that are drawn at random where there are too many to list (:mod:`fedgen.statistics.encounters`)."""

_CELLS = 1 << 22
"""Numbers of one block of counts, pairs by subsets."""

_SAMPLE_SEED = 1910_06295
"""Samples of nodes are declared: the same federation gives the same figure, whoever asks."""


@dataclass(frozen=True, eq=False)
class Meetings:
    """The pairs of nodes that share a place.

    Attributes:
        first: (P,) the smaller node of each pair, pairs in lexicographic order.
        second: (P,) the larger one.
        offsets: (P + 1,) the places of pair p are ``place[offsets[p]:offsets[p + 1]]``.
        place: (I,) the places shared, rising within a pair.
    """

    first: Integers
    second: Integers
    offsets: Integers
    place: Integers

    @property
    def counts(self) -> Integers:
        """(P,) how many places each pair shares, >= 1."""
        return np.diff(self.offsets)

    def at_least(self, least: int) -> Meetings:
        """Only the pairs that share so many places."""
        counts = self.counts
        kept = counts >= least
        return Meetings(
            self.first[kept],
            self.second[kept],
            np.concatenate(([0], np.cumsum(counts[kept]))),
            self.place[np.repeat(kept, counts)],
        )

    def counts_among(self, subsets: NDArray[np.bool_]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """How many places of each subset the pairs share, in blocks of pairs.

        Args:
            subsets: (B, places) which places are in each subset.

        Yields:
            Which pairs, and their (pairs, B) counts.
        """
        from scipy.sparse import csr_array

        # float32 holds whole numbers up to 2^24, more than MOST.
        inside = np.ascontiguousarray(subsets.T, dtype=np.float32)
        step = max(1, _CELLS // len(subsets))
        for start in range(0, len(self.first), step):
            block = slice(start, min(start + step, len(self.first)))
            bounds = self.offsets[block.start : block.stop + 1]
            places = self.place[bounds[0] : bounds[-1]]
            shape = block.stop - block.start, len(inside)
            table = csr_array((np.ones(len(places), dtype=np.float32), places, bounds - bounds[0]), shape=shape)
            yield block, (table @ inside).astype(np.float64)


def incidences(sizes: Integers) -> int:
    """The sum of C(k, 2) over places of ``sizes`` nodes, (places,); exact up to 2^63."""
    size = sizes.astype(np.int64)
    return int((size * (size - 1) // 2).sum())


def share_within(sizes: Integers) -> float:
    """The share of the nodes to look at so that about :data:`MOST` incidences are left: they fall as its square."""
    return min(1.0, sqrt(MOST / max(incidences(sizes), 1)))


def sample(nodes: int, share: float) -> NDArray[np.bool_]:
    """Which nodes are looked at, (nodes,): a share of them, two at least; the same ones every time."""
    looked_at = np.zeros(nodes, dtype=bool)
    count = nodes if share >= 1 else min(nodes, max(2, int(share * nodes)))
    looked_at[np.random.Generator(np.random.PCG64(_SAMPLE_SEED)).permutation(nodes)[:count]] = True
    return looked_at


def among(node: Integers, offsets: Integers, kept: NDArray[np.bool_]) -> tuple[Integers, Integers]:
    """The kept nodes of each place: ``node`` and ``offsets`` as in :func:`meetings`."""
    stays = kept[node]
    return node[stays], np.concatenate(([0], np.cumsum(stays)))[offsets]


def meetings(node: Integers, offsets: Integers) -> Meetings:
    """All pairs of nodes that share a place.

    Args:
        node: (N,) the nodes at each place, place by place, rising within one.
        offsets: (places + 1,) those of place p are ``node[offsets[p]:offsets[p + 1]]``.
    """
    sizes = np.diff(offsets)
    position = np.arange(len(node))
    place = np.repeat(np.arange(len(sizes), dtype=index_dtype(len(sizes))), sizes)
    later = np.repeat(offsets[1:], sizes) - 1 - position
    one = np.repeat(position, later)
    other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(later) - later, later)
    span = int(node.max(initial=0)) + 1
    key = node[one].astype(np.int64) * span + node[other]
    # The places rise already, and a stable sort by pair keeps them so.
    order = np.argsort(key, kind="stable")
    key, place = key[order], place[one[order]]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    return Meetings(key[starts] // span, key[starts] % span, np.append(starts, len(key)), place)
