"""Rows C: the users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.statistics.structure import CLASSES, size_class
from validate.distances import kolmogorov_smirnov
from validate.metrics import Counted, Description, UnitGroup, UnitMetric, bind_classes, bind_value, column, no_class

if TYPE_CHECKING:
    from fedgen.tables import Tables


def count(tables: Tables) -> Counted:
    """Size class of the user's server, rooms of the user."""
    label, span = size_class(tables.users_per_server), int(tables.rooms_per_user.max(initial=0)) + 1
    number = np.zeros(CLASSES * span, dtype=np.int64)
    for home, rooms in tables.user_parts():
        number += np.bincount(label[home] * span + rooms, minlength=len(number))
    return Counted.dense(number.reshape(CLASSES, span))


USERS = UnitGroup(
    unit="users",
    count=count,
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
