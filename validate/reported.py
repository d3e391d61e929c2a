"""What is told of both sides without a verdict: tails, concentration, clustering, overlap, components, cores.

Differences here are for a reader to weigh; none has a null of its own. Figures that a federation does not have are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from fedgen.federation import Federation
from fedgen.statistics.butterflies import known_paths, overlap
from fedgen.statistics.clustering import butterflies_per_user, clustering, room_overlap
from fedgen.statistics.cores import components, core
from fedgen.statistics.structure import concentration, size_class
from fedgen.tables import users_by_rooms
from fitting.fit import SYMBOLS
from fitting.histogram import Histogram
from fitting.tails import fit_tail

if TYPE_CHECKING:
    from fedgen.federation import Integers
    from fedgen.tables import Tables

TAILS = ("n", "m", "k", "u", "d")
CORES = (2, 3, 5, 10)
CLASSES = ("1 room", "2 rooms", "3 rooms", "4-10 rooms", "11-100 rooms", "more than 100 rooms")

FEWEST_CLOSED = 100
"""Butterflies of a class of users are estimated from so many paths that close, to about 10 %."""

_CLUSTERING = "bipartite clustering"
_BY_CLASS = {c: f"butterflies per user of {name}" for c, name in enumerate(CLASSES) if c > 0}
_OVERLAP = ("share of pairs of rooms that share users", "mean Jaccard index of rooms that share users")
_COMPONENTS = ("components", "share of users in the largest component")
_CORES = {f"share of memberships in the ({k}, {k})-core": k for k in CORES}


@dataclass(frozen=True)
class Told:
    """A figure of one federation, and its 95 % interval where it has one."""

    value: float
    interval: tuple[float, float] | None = None


def told(federation: Tables) -> dict[str, Told]:
    """Every figure, by what it is in words; the same ones, in the same order, for any federation."""
    return {
        **tails(federation),
        **{name: Told(value) for name, value in concentration(federation).items()},
        **{name: Told(value) for name, value in _overlaps(federation).items()},
    }


def untold(federation: Tables) -> tuple[str, ...]:
    """What :func:`told` does not tell of this federation, because all memberships would have to be in memory."""
    return () if isinstance(federation, Federation) else (*_OVERLAP, *_COMPONENTS, *_CORES)


def tails(federation: Tables) -> dict[str, Told]:
    """The tail index of each margin: the exponent of the power law that the scan of Clauset et al. finds.

    The interval is that of the estimate at its xmin, 1.96 standard errors to either side.
    """
    number = users_by_rooms(federation)
    degrees = np.flatnonzero(number)
    values: dict[str, Integers | Histogram] = {
        "n": federation.users_per_server,
        "m": federation.rooms_per_server,
        "k": federation.servers_per_room,
        "u": federation.users_per_room,
        "d": Histogram(degrees.astype(np.float64), number[degrees]),
    }
    fitted = {symbol: fit_tail(SYMBOLS[symbol], values[symbol], hubs=symbol in ("n", "m")).scan for symbol in TAILS}
    return {
        f"tail index of {SYMBOLS[symbol]}": Told(nan)
        if scan is None
        else Told(scan.alpha, (scan.alpha - 1.96 * scan.error, scan.alpha + 1.96 * scan.error))
        for symbol, scan in fitted.items()
    }


def _overlaps(federation: Tables) -> dict[str, float]:
    if not isinstance(federation, Federation):
        return _streamed_overlaps(federation)
    rooms, joined = room_overlap(federation), components(federation)
    per_user, home = butterflies_per_user(federation), size_class(federation.rooms_per_user)
    looked_at = ~np.isnan(per_user)
    # Users in one room are in no butterfly.
    by_class = {
        name: float(per_user[looked_at & (home == c)].mean()) if (looked_at & (home == c)).any() else nan
        for c, name in _BY_CLASS.items()
    }
    return {
        _CLUSTERING: clustering(federation, overlap(federation).butterflies),
        **by_class,
        **dict(zip(_OVERLAP, (rooms.share, rooms.jaccard), strict=True)),
        **dict(zip(_COMPONENTS, (float(joined.count), joined.largest), strict=True)),
        **{name: core(federation, k, k) / federation.n_memberships for name, k in _CORES.items()},
    }


def _streamed_overlaps(federation: Tables) -> dict[str, float]:
    """The same from paths drawn at random; NaN for what needs all memberships at once."""
    paths, users = known_paths(federation), users_by_rooms(federation)
    home = size_class(np.arange(len(users)))
    by_class = {}
    for c, name in _BY_CLASS.items():
        enough = paths.overlap.drawn == 0 or paths.closed[home == c].sum() >= FEWEST_CLOSED
        number = users[home == c].sum()
        by_class[name] = float(paths.by_degree[home == c].sum() / number) if number and enough else nan
    return {_CLUSTERING: paths.closing, **by_class, **dict.fromkeys(untold(federation), nan)}
