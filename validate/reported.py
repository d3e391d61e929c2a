"""What is told of both sides without a verdict: tails, concentration, clustering, overlap, components, cores.

Differences here are for a reader to weigh; none has a null of its own. Figures that a federation does not have are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from fedgen.statistics.butterflies import overlap
from fedgen.statistics.clustering import butterflies_per_user, clustering, room_overlap
from fedgen.statistics.cores import components, core
from fedgen.statistics.structure import concentration, size_class
from fitting.fit import SYMBOLS, quantities
from fitting.tails import fit_tail

if TYPE_CHECKING:
    from fedgen.federation import Federation

TAILS = ("n", "m", "k", "u", "d")
CORES = (2, 3, 5, 10)
CLASSES = ("1 room", "2 rooms", "3 rooms", "4-10 rooms", "11-100 rooms", "more than 100 rooms")


@dataclass(frozen=True)
class Told:
    """A figure of one federation, and its 95 % interval where it has one."""

    value: float
    interval: tuple[float, float] | None = None


def told(federation: Federation) -> dict[str, Told]:
    """Every figure, by what it is in words; the same ones, in the same order, for any federation."""
    return {
        **tails(federation),
        **{name: Told(value) for name, value in concentration(federation).items()},
        **{name: Told(value) for name, value in _overlaps(federation).items()},
    }


def tails(federation: Federation) -> dict[str, Told]:
    """The tail index of each margin: the exponent of the power law that the scan of Clauset et al. finds.

    The interval is that of the estimate at its xmin, 1.96 standard errors to either side.
    """
    values = quantities(federation)
    fitted = {symbol: fit_tail(SYMBOLS[symbol], values[symbol], hubs=symbol in ("n", "m")).scan for symbol in TAILS}
    return {
        f"tail index of {SYMBOLS[symbol]}": Told(nan)
        if scan is None
        else Told(scan.alpha, (scan.alpha - 1.96 * scan.error, scan.alpha + 1.96 * scan.error))
        for symbol, scan in fitted.items()
    }


def _overlaps(federation: Federation) -> dict[str, float]:
    rooms, joined = room_overlap(federation), components(federation)
    per_user, home = butterflies_per_user(federation), size_class(federation.rooms_per_user)
    looked_at = ~np.isnan(per_user)
    # Users in one room are in no butterfly.
    by_class = {
        f"butterflies per user of {name}": float(per_user[looked_at & (home == c)].mean())
        if (looked_at & (home == c)).any()
        else nan
        for c, name in enumerate(CLASSES)
        if c > 0
    }
    cores = {
        f"share of memberships in the ({k}, {k})-core": core(federation, k, k) / federation.n_memberships for k in CORES
    }
    return {
        "bipartite clustering": clustering(federation, overlap(federation).butterflies),
        **by_class,
        "share of pairs of rooms that share users": rooms.share,
        "mean Jaccard index of rooms that share users": rooms.jaccard,
        "components": float(joined.count),
        "share of users in the largest component": joined.largest,
        **cores,
    }
