"""Rows E3: which servers meet, and in how many rooms."""

from __future__ import annotations

from math import inf, log, nan
from typing import TYPE_CHECKING

import numpy as np

from fedgen.statistics.corooms import CoRooms, co_rooms, co_rooms_of_halves
from validate.distances import log_ratio, wasserstein
from validate.metrics import CLASS_MEMBERS, ClusterGroup, ClusterMetric, Description, sampled

if TYPE_CHECKING:
    from collections.abc import Callable

_FEW = f"neither side has {CLASS_MEMBERS} pairs of servers that share a room"


def _where_met(distance: Callable[[CoRooms, CoRooms], float]) -> Callable[[CoRooms, CoRooms], float]:
    """Servers that never meet are unlike any that do; a handful of pairs says nothing."""

    def guarded(generated: CoRooms, measured: CoRooms) -> float:
        fewer, more = sorted((generated.meeting, measured.meeting))
        if more < CLASS_MEMBERS:
            return nan
        return distance(generated, measured) if fewer > 0 else inf

    return guarded


def _counts_apart(generated: CoRooms, measured: CoRooms) -> float:
    """W1log over pairs that share a room."""
    longest = max(len(generated.pairs), len(measured.pairs))
    p, q = (np.pad(side.pairs / side.meeting, (0, longest - len(side.pairs))) for side in (generated, measured))
    return wasserstein(np.log10(1.0 + np.arange(longest)), p, q)


def _pairs_sampled(side: CoRooms) -> str:
    return sampled("encounters of servers", side.drawn, side.error / log(10))


COROOMS = ClusterGroup(
    statistic=co_rooms,
    halves=co_rooms_of_halves,
    metrics=(
        ClusterMetric(
            Description("E3c", "rooms that two servers share, where they share any", "W1log", undefined=_FEW),
            _where_met(_counts_apart),
            sampled=lambda side: sampled("encounters of servers", side.drawn, side.shift),
        ),
        ClusterMetric(
            Description("E3p", "share of pairs of servers that share a room", "log10 ratio", undefined=_FEW),
            _where_met(lambda a, b: log_ratio(a.share, b.share)),
            value=lambda side: side.share,
            sampled=_pairs_sampled,
            # Where a federation grows and rooms do not, a server meets as many others as before: a smaller share.
            resized=ClusterMetric(
                Description("E3p", "servers that a server shares a room with", "log10 ratio", undefined=_FEW),
                _where_met(lambda a, b: log_ratio(a.partners, b.partners)),
                value=lambda side: side.partners,
                sampled=_pairs_sampled,
            ),
        ),
    ),
)
