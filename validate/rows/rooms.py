"""Rows B and E1: the rooms, their spike pattern (paper, Fig. 3) and whose users they are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.statistics.composition import largest_count
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
    from fedgen.federation import Floats, Integers
    from fedgen.tables import Tables


def count(tables: Tables) -> Counted:
    """Servers and users of the rooms, and users of their largest server."""
    return Counted.of(tables.servers_per_room, tables.users_per_room, largest_count(tables))


def _largest_share(units: Integers) -> Floats:
    return np.where(units[:, 1] >= 2, units[:, 2] / units[:, 1], np.nan)


ROOMS = UnitGroup(
    unit="rooms",
    count=count,
    metrics=(
        UnitMetric(
            Description("B1", "servers per room", "KS"),
            bind_value(column(0), kolmogorov_smirnov),
        ),
        UnitMetric(
            Description("B2", "users per room", "KS"),
            bind_value(column(1), kolmogorov_smirnov),
        ),
        UnitMetric(
            Description("B3", "spike pattern of rooms: servers x users, half decades", "TV"),
            bind_bins(lambda units: spike_bin(units[:, 0], units[:, 1]), total_variation),
        ),
        UnitMetric(
            Description("B3c", "users of a room given its servers", "mean W1log", undefined=no_class("rooms")),
            bind_classes(lambda units: size_class(units[:, 0]), column(1)),
        ),
        UnitMetric(
            Description(
                "E1",
                "share of the largest server in a room",
                "KS",
                undefined="a side has no room of two users",
            ),
            bind_value(_largest_share, kolmogorov_smirnov),
        ),
    ),
)
