"""Rows C: the users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.statistics.structure import size_class
from validate.distances import kolmogorov_smirnov
from validate.metrics import Description, UnitGroup, UnitMetric, bind_classes, bind_value, column, no_class

if TYPE_CHECKING:
    from fedgen.federation import Federation, Integers


def table(federation: Federation) -> Integers:
    """(U, 2): size class of the user's server, rooms of the user."""
    home = size_class(federation.users_per_server)[federation.user_server]
    return np.column_stack((home, federation.rooms_per_user))


USERS = UnitGroup(
    unit="users",
    table=table,
    metrics=(
        UnitMetric(
            Description("C1", "rooms per user", "KS"),
            bind_value(column(1), kolmogorov_smirnov),
            margin=0.02,
            carried=True,
        ),
        UnitMetric(
            Description(
                "C1c", "rooms of a user given the users of the server", "mean W1log", undefined=no_class("users")
            ),
            bind_classes(column(0), column(1)),
            margin=0.01,
            carried=True,
        ),
    ),
)
