"""Rows A: the servers and their spike pattern (paper, Fig. 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedgen.statistics.structure import size_class, spike_bin
from validate.distances import kolmogorov_smirnov, total_variation
from validate.metrics import (
    Counted,
    Description,
    UnitGroup,
    UnitMetric,
    bind_bins,
    bind_classes,
    bind_value,
    column,
    no_class,
)

if TYPE_CHECKING:
    from fedgen.tables import Tables


def count(tables: Tables) -> Counted:
    """Users and rooms of the servers."""
    return Counted.of(tables.users_per_server, tables.rooms_per_server)


SERVERS = UnitGroup(
    unit="servers",
    count=count,
    metrics=(
        UnitMetric(
            Description("A1", "users per server", "KS"),
            bind_value(column(0), kolmogorov_smirnov),
        ),
        UnitMetric(
            Description("A2", "rooms per server", "KS"),
            bind_value(column(1), kolmogorov_smirnov),
            carried=True,
        ),
        UnitMetric(
            Description("A3", "spike pattern of servers: users x rooms, half decades", "TV"),
            bind_bins(lambda units: spike_bin(units[:, 0], units[:, 1]), total_variation),
            carried=True,
        ),
        UnitMetric(
            Description("A3c", "rooms of a server given its users", "mean W1log", undefined=no_class("servers")),
            bind_classes(lambda units: size_class(units[:, 0]), column(1)),
            carried=True,
        ),
    ),
)
