"""What published figures leave open: the range of each statistic over many reconstructions.

A reconstruction is one federation of all those that meet the figures. What is the same in all of them the figures say;
what differs they do not, and how far it differs tells how much of any one reconstruction is its seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, inf, isfinite, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.errors import UsageError
from fedgen.statistics.vocabulary import Statistic, Where, measure_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fedgen.federation import Federation, Floats
    from fedgen.statistics.published import Figure, Figures


def _at(of: str, rank: int) -> Statistic:
    """A margin of the server that is the rank-th by users."""
    return Statistic("max", of=of, where=Where("users_per_server", largest=(rank, rank)))


ASKED: tuple[tuple[str, Statistic], ...] = (
    ("rooms", Statistic("number", of="rooms")),
    ("memberships", Statistic("number", of="memberships")),
    ("presences", Statistic("number", of="presences")),
    ("transactions (T)", Statistic("transactions")),
    ("transactions per user (T/U)", Statistic("transactions_per_user")),
    ("butterflies per membership", Statistic("butterflies_per_membership")),
    ("rank correlation, rooms of user ~ users of room", Statistic("rank_correlation", of="memberships")),
    ("rank correlation, users of server ~ servers of room", Statistic("rank_correlation", of="presences")),
    ("users of server 3", Statistic("rank", of="users_per_server", rank=3)),
    ("servers with one user", Statistic("count", of="users_per_server", most=1)),
    ("HHI of users per server", Statistic("hhi", of="users_per_server")),
    ("rooms of server 1 (by users)", _at("rooms_per_server", 1)),
    ("rooms of server 2", _at("rooms_per_server", 2)),
    ("rooms of server 3", _at("rooms_per_server", 3)),
    ("rooms per server, mean", Statistic("mean", of="rooms_per_server")),
    ("rooms per server, median", Statistic("median", of="rooms_per_server")),
    ("rooms per server, largest", Statistic("max", of="rooms_per_server")),
    ("servers in one room", Statistic("count", of="rooms_per_server", most=1)),
    ("memberships of server 1", _at("memberships_per_server", 1)),
    ("memberships of server 2", _at("memberships_per_server", 2)),
    ("servers per room, mean", Statistic("mean", of="servers_per_room")),
    ("servers per room, median", Statistic("median", of="servers_per_room")),
    ("servers of the 2nd widest room", Statistic("rank", of="servers_per_room", rank=2)),
    ("rooms with one server", Statistic("count", of="servers_per_room", most=1)),
    ("rooms with one user", Statistic("count", of="users_per_room", most=1)),
    ("users per room, median", Statistic("median", of="users_per_room")),
    ("users of the 2nd largest room", Statistic("rank", of="users_per_room", rank=2)),
    ("rooms per user, mean", Statistic("mean", of="rooms_per_user")),
    ("share of users in one room", Statistic("share", of="rooms_per_user", most=1)),
    ("share of users in three rooms or fewer", Statistic("share", of="rooms_per_user", most=3)),
    ("share of tx, server 1", Statistic("load_share", of="tx", ranks=(1, 1))),
    ("share of tx, server 2", Statistic("load_share", of="tx", ranks=(2, 2))),
    ("share of tx, server 3", Statistic("load_share", of="tx", ranks=(3, 3))),
    ("share of rx, server 1", Statistic("load_share", of="rx", ranks=(1, 1))),
    ("share of rx, server 2", Statistic("load_share", of="rx", ranks=(2, 2))),
    ("share of rx, server 3", Statistic("load_share", of="rx", ranks=(3, 3))),
    ("fan-out of others' messages to server 1", Statistic("foreign_fan_out", ranks=(1, 1))),
)
"""What a researcher would ask of a federation, and how it is called in the table."""


@dataclass(frozen=True, eq=False)
class Range:
    """One statistic over an ensemble.

    Attributes:
        label: how it is called.
        statistic: which one.
        values: (N,) of each reconstruction; NaN where it has none.
        figures: ids of the held figures of this very statistic.
        low, high: what these have in common; without any, every number.
    """

    label: str
    statistic: Statistic
    values: Floats
    figures: tuple[str, ...] = ()
    low: float = -inf
    high: float = inf

    @property
    def least(self) -> float:
        """The smallest value; NaN where no reconstruction has one."""
        return float(np.min(self._there, initial=inf)) if len(self._there) else nan

    @property
    def median(self) -> float:
        """Their median."""
        return float(np.median(self._there)) if len(self._there) else nan

    @property
    def most(self) -> float:
        """The largest value."""
        return float(np.max(self._there)) if len(self._there) else nan

    @property
    def fixed(self) -> bool:
        """Whether a figure leaves it one value, which all reconstructions have."""
        low, high = self.low, self.high
        if self.statistic.whole and isfinite(low) and isfinite(high):
            low, high = ceil(low), floor(high)
        return low == high and self.least == self.most

    @property
    def _there(self) -> Floats:
        return self.values[~np.isnan(self.values)]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, as in ``fedgen/schemas/ensemble.schema.json``; numbers that are not finite are null."""
        return {
            "label": self.label,
            "statistic": str(self.statistic),
            "figures": list(self.figures),
            "low": _finite(self.low),
            "high": _finite(self.high),
            "least": _finite(self.least),
            "median": _finite(self.median),
            "most": _finite(self.most),
            "fixed": self.fixed,
            "values": [_finite(value) for value in self.values.tolist()],
        }


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Statistics of several reconstructions from the same figures.

    Attributes:
        figures: that all of them meet.
        asked: labels and statistics.
        values: (statistics, N) of each reconstruction.
    """

    figures: Figures
    asked: tuple[tuple[str, Statistic], ...]
    values: Floats

    def __len__(self) -> int:
        """N, how many reconstructions there are."""
        return int(self.values.shape[1])

    @property
    def ranges(self) -> tuple[Range, ...]:
        """A range per statistic, in the order asked."""
        held = self.figures.held
        return tuple(
            _range(label, statistic, values, [f for f in held if _same(f, statistic)])
            for (label, statistic), values in zip(self.asked, self.values, strict=True)
        )

    @property
    def open(self) -> tuple[Range, ...]:
        """The ranges of what no figure fixes."""
        return tuple(one for one in self.ranges if not one.fixed)

    def __repr__(self) -> str:
        return f"Ensemble({len(self)} reconstructions, {len(self.open)} of {len(self.asked)} statistics open)"


def spread(
    figures: Figures, federations: Iterable[Federation], asked: tuple[tuple[str, Statistic], ...] = ASKED
) -> Ensemble:
    """Measure reconstructions one after the other; only numbers are kept of each.

    Args:
        figures: that they meet.
        federations: the reconstructions, one at least.
        asked: which statistics, with their labels.

    Raises:
        UsageError: there is no reconstruction.
    """
    statistics = [statistic for _, statistic in asked]
    columns = [measure_all(statistics, federation) for federation in federations]
    if not columns:
        raise UsageError("an ensemble needs a reconstruction; give one federation at least")
    return Ensemble(figures, asked, np.array(columns, dtype=np.float64).T)


def _same(figure: Figure, statistic: Statistic) -> bool:
    return figure.statistic is not None and figure.statistic.canonical == statistic.canonical


def _range(label: str, statistic: Statistic, values: Floats, figures: Sequence[Figure]) -> Range:
    return Range(
        label,
        statistic,
        values,
        figures=tuple(figure.id for figure in figures),
        low=max((figure.low for figure in figures), default=-inf),
        high=min((figure.high for figure in figures), default=inf),
    )


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None
