r"""Co-rooms: in how many rooms two servers meet.

Which servers ever talk to each other, and over how many rooms: the graph that federation traffic runs on. Over the
pairs of servers that share a room, the law of the number of rooms shared; over all :math:`\binom S2` pairs the share
that shares one. Beyond :data:`fedgen.statistics.meetings.MOST` incidences both are estimated: of a whole federation
from encounters of servers drawn at random (:mod:`fedgen.statistics.encounters`), of halves of its rooms from the pairs
among a random share of the servers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from fedgen.statistics.encounters import alike
from fedgen.statistics.meetings import DRAWN, among, meetings, sample, share_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from fedgen.federation import Federation, Floats, Integers
    from fedgen.statistics.halves import Split
    from fedgen.statistics.meetings import Meetings
    from fedgen.tables import Tables

_AT_ONCE = 1 << 22
"""Presences looked at together."""


@dataclass(frozen=True, eq=False)
class CoRooms:
    """How often servers meet.

    Attributes:
        pairs: (C,) how many of the pairs looked at share c rooms, at index c; nothing at index 0.
        among: how many servers were looked at.
        servers: S, how many there are.
        drawn: from how many encounters drawn at random the pairs are estimated; 0 where they are counted.
        error: the relative standard error of the number of pairs that meet, by these draws.
        shift: that of the mean of log10(1 + rooms shared), in decades.
    """

    pairs: Integers | Floats
    among: int
    servers: int
    drawn: int = 0
    error: float = 0.0
    shift: float = 0.0

    @property
    def meeting(self) -> float:
        """How many of the pairs looked at share a room."""
        return float(self.pairs.sum())

    @property
    def share(self) -> float:
        """Of all pairs of servers those that share a room; 0 where there is no pair."""
        return 2 * self.meeting / (self.among * (self.among - 1)) if self.among > 1 else 0.0

    @property
    def partners(self) -> float:
        """With how many others a server shares a room, on average."""
        return self.share * (self.servers - 1)


def co_rooms(tables: Tables) -> CoRooms:
    """Of a whole federation: counted up to :data:`fedgen.statistics.meetings.MOST` incidences, else estimated."""
    if share_within(tables.servers_per_room) < 1:
        return drawn_co_rooms(tables)
    p = tables.presences
    return CoRooms(np.bincount(meetings(p.server, p.offsets).counts), tables.n_servers, tables.n_servers)


def drawn_co_rooms(tables: Tables, draws: int = DRAWN) -> CoRooms:
    """Of a whole federation, from encounters of servers; exact where there are no more than ``draws``."""
    p = tables.presences

    def parts() -> Iterator[tuple[Integers, Integers]]:
        for start in range(0, len(p), _AT_ONCE):
            yield p.server[start : start + _AT_ONCE], p.room[start : start + _AT_ONCE]

    met = alike(tables.servers_per_room, parts, tables.n_servers, draws)
    # Each pair that meets in c rooms is met 2 c times; half of 1/c apiece makes it one.
    of_pair = np.where(met.shared > 0, 0.5 / np.maximum(met.shared, 1), 0.0)
    scale = met.total / max(len(of_pair), 1)
    pairs = scale * np.bincount(met.shared, weights=of_pair)
    if met.exact:
        return CoRooms(np.rint(pairs).astype(np.int64), tables.n_servers, tables.n_servers)
    number, rooms = float(of_pair.mean()), np.log10(1.0 + met.shared)
    # Of a quotient of two means, to first order (the delta method).
    residual = of_pair * (rooms - float(of_pair @ rooms) / float(of_pair.sum()))
    shift = float(residual.std()) / sqrt(len(residual)) / number
    return CoRooms(pairs, tables.n_servers, tables.n_servers, len(of_pair), met.error(of_pair), shift)


def co_rooms_of_halves(federation: Federation) -> Callable[[Sequence[Split]], Iterator[tuple[CoRooms, CoRooms]]]:
    """Prepares the co-rooms of what :func:`~fedgen.statistics.subset.with_rooms` would leave of each half.

    Returns:
        Takes B splits to the co-rooms of both halves of each. The servers looked at are those of the whole.
    """
    kept, met = _met(federation)
    # Most pairs share a single room, which is in one half or the other: these are counted by the room.
    alone = met.counts == 1
    single = np.bincount(met.place[met.offsets[:-1][alone]], minlength=federation.n_rooms)
    several = met.at_least(2)
    longest = int(several.counts.max(initial=1)) + 1

    def of(splits: Sequence[Split]) -> Iterator[tuple[CoRooms, CoRooms]]:
        for split in splits:
            tables = _tables(several.offsets, several.place, split.first, longest)
            tables[:, 0] = 0
            tables[:, 1] += single @ split.first, single @ ~split.first
            first, second = (
                CoRooms(pairs, int((present & kept).sum()), int(present.sum()))
                for pairs, present in zip(tables, split.rooms_per_server > 0, strict=True)
            )
            yield first, second

    return of


def _met(federation: Federation) -> tuple[NDArray[np.bool_], Meetings]:
    """Which servers are looked at, and who of them meets where."""
    p = federation.presences
    kept = sample(federation.n_servers, share_within(federation.servers_per_room))
    return kept, meetings(*(among(p.server, p.offsets, kept) if not kept.all() else (p.server, p.offsets)))


@njit(cache=True)
def _tables(offsets: Any, place: Any, first: Any, longest: Any) -> Any:
    """(2, longest) how many pairs share 0, 1, ... rooms of either half."""
    table = np.zeros((2, longest), dtype=np.int64)
    for pair in range(len(offsets) - 1):
        shared = 0
        for i in range(offsets[pair], offsets[pair + 1]):
            shared += first[place[i]]
        table[0, shared] += 1
        table[1, offsets[pair + 1] - offsets[pair] - shared] += 1
    return table
