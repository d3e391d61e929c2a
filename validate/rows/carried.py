"""Rows over servers and users as the rooms carry them: for the verdict, not for the floors.

How many rooms a server or a user is in is decided by rooms, and a large one decides for thousands at once: such units
are not independent, and dealing them anew is not all that chance may do. What the rooms add is had from halves of them,
as for the rows over clusters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.metrics import ClusterGroup, ClusterMetric, Counted, Units, one_by_one
from validate.rows.servers import SERVERS
from validate.rows.users import USERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedgen.statistics.halves import Split
    from validate.metrics import UnitGroup, UnitMetric


def servers_of_halves(split: Split) -> tuple[Counted, Counted]:
    """(users, rooms) of the servers of both halves."""
    first, second = (
        Counted.of(users[users > 0], rooms[users > 0])
        for users, rooms in zip(split.users_per_server, split.rooms_per_server, strict=True)
    )
    return first, second


def users_of_halves(split: Split) -> tuple[Counted, Counted]:
    """(size class of the server, rooms) of the users of both halves."""
    first, second = map(Counted.dense, split.users_by_class)
    return first, second


def _carried(
    group: UnitGroup, halves: Callable[[Split], tuple[Counted, Counted]]
) -> tuple[ClusterGroup[Counted], dict[UnitMetric, ClusterMetric[Counted]]]:
    metrics = {metric: ClusterMetric(metric.description, _apart(metric)) for metric in group.metrics if metric.carried}
    return ClusterGroup(statistic=group.count, halves=one_by_one(halves), metrics=tuple(metrics.values())), metrics


def _apart(metric: UnitMetric) -> Callable[[Counted, Counted], float]:
    def distance(generated: Counted, measured: Counted) -> float:
        units = Units.of(generated, measured)
        return metric.bind(units)(units.generated, units.measured)

    return distance


_SERVERS, _OF_SERVERS = _carried(SERVERS, servers_of_halves)
_USERS, _OF_USERS = _carried(USERS, users_of_halves)
CARRIED: dict[UnitMetric, ClusterMetric[Counted]] = {**_OF_SERVERS, **_OF_USERS}
CARRIED_GROUPS = (_SERVERS, _USERS)
