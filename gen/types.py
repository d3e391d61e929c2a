"""The types of rooms in one draw, and the levels by which who wishes for a room meets one (:mod:`gen.meeting`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fitting.classes import KINDS, STEP

if TYPE_CHECKING:
    from fedgen.federation import Integers
    from fitting.model import Model, TypeTable
    from gen.meeting import Level
    from gen.plan import Plan

EVERYWHERE = -1
"""The region of what belongs to none."""


@dataclass(frozen=True, eq=False)
class RoomTypes:
    """Types of whatever has one: rooms, places in them, tickets for them.

    Attributes:
        table: the model's types.
        type: (N,) the row of each in ``table``.
        region: (N,) where it is; :data:`EVERYWHERE` where it belongs to no region.
    """

    table: TypeTable
    type: Integers
    region: Integers

    def take(self, at: Integers) -> RoomTypes:
        """The types of some of them."""
        return RoomTypes(self.table, self.type[at], self.region[at])

    def somewhere(self, plan: Plan, rng: np.random.Generator) -> RoomTypes:
        """The same with a region, any, for those that belong to none."""
        nowhere = np.flatnonzero(self.region == EVERYWHERE)
        if len(nowhere) == 0:
            return self
        region = self.region.copy()
        region[nowhere] = rng.integers(0, plan.regions, size=len(nowhere))
        return replace(self, region=region)

    @property
    def kind(self) -> Integers:
        """(N,) the classes of k and u - k, one number that sorts by k first."""
        return self.table.kind[self.type]

    @property
    def community(self) -> Integers:
        """(N,)."""
        return self.table.community[self.type]

    @property
    def in_region(self) -> Integers:
        """(N,) type and region, one number."""
        return self.region * np.int64(len(self.table.kind)) + self.type

    def _of_region(self, at: Integers, part: Integers) -> Integers:
        """Region and ``part``, one number."""
        return self.region[at] * self.span + part

    @property
    def span(self) -> np.int64:
        """More than a region has of types, communities or kinds."""
        return np.int64(max(len(self.table.kind), int(self.table.community.max()) + 1, KINDS))

    def levels(self, regions: int) -> tuple[Level, ...]:
        """The type in its region, where there are several the community and the class of k there, then anywhere.

        Anywhere the type, the community, the kind; by the kind those that are left are zipped in order.
        """
        at_home: tuple[Level, ...] = (
            lambda at: self._of_region(at, self.take(at).community),
            lambda at: self._of_region(at, self.take(at).kind // STEP),
        )
        return (
            lambda at: self.take(at).in_region,
            *(at_home if regions > 1 else ()),
            lambda at: self.type[at],
            lambda at: self.take(at).community,
            lambda at: self.take(at).kind,
        )


def row_types(model: Model, row: Integers, region: Integers) -> RoomTypes:
    """The types of rows of the model's rooms."""
    return RoomTypes(model.types, model.room_type[row], region)


def abroad(region: Integers, plan: Plan, rng: np.random.Generator) -> Integers:
    """Regions where contacts are made: the own ones but for the share mu that comes from anywhere."""
    mu = plan.scenario.growth.locality
    if mu == 0.0 or plan.regions == 1:
        return region
    return np.where(rng.random(len(region)) < mu, rng.integers(0, plan.regions, size=len(region)), region)
