"""Rows E5: whether busy users meet in large rooms, and large servers in wide ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedgen.statistics.mixing import correlations_of_halves, server_room_correlation, user_room_correlation
from validate.distances import difference
from validate.metrics import ClusterGroup, ClusterMetric, Description, one_by_one

if TYPE_CHECKING:
    from fedgen.statistics.halves import Split
    from fedgen.tables import Tables

_CONSTANT = "no rank correlation: all sizes on a side are equal"


@dataclass(frozen=True)
class Mixing:
    """Both rank correlations of a federation; NaN where undefined."""

    users: float
    servers: float

    @classmethod
    def of(cls, tables: Tables) -> Mixing:
        """Over memberships, over presences."""
        return cls(user_room_correlation(tables), server_room_correlation(tables))

    @classmethod
    def of_halves(cls, split: Split) -> tuple[Mixing, Mixing]:
        """Of both halves."""
        first, second = correlations_of_halves(split).tolist()
        return cls(*first), cls(*second)


MIXING = ClusterGroup(
    statistic=Mixing.of,
    halves=one_by_one(Mixing.of_halves),
    metrics=(
        ClusterMetric(
            Description("E5u", "correlation: rooms of a user ~ users of a room", "difference", undefined=_CONSTANT),
            lambda a, b: difference(a.users, b.users),
            value=lambda side: side.users,
        ),
        ClusterMetric(
            Description(
                "E5s",
                "correlation: users of a server ~ servers of a room",
                "difference",
                undefined=_CONSTANT,
            ),
            lambda a, b: difference(a.servers, b.servers),
            value=lambda side: side.servers,
        ),
    ),
)
