"""The comparison of two federations, row by row, before any verdict: distances and their nulls."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, isnan, nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from validate.chance import Chance
from validate.measurement import CLUSTER_GROUPS
from validate.metrics import Units, unlike_sizes
from validate.nulls import draw_null, half_scale, unit_draw
from validate.rows.rooms import ROOMS
from validate.rows.servers import SERVERS
from validate.rows.users import USERS
from validate.verdict import Floor, rounded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fedgen.federation import Floats
    from fedgen.progress import Progress
    from fedgen.tables import Tables
    from validate.measurement import Measurement
    from validate.metrics import ClusterGroup, Description, UnitGroup

MANY_USERS = 100_000
"""Above so many measured users, noise is smaller than what matters: margins hold up the floors of rows over users."""

# Each null has its own stage, which addresses its randomness: never renumber.
_UNIT_GROUPS = ((1, SERVERS), (2, ROOMS), (3, USERS))


@dataclass(frozen=True, eq=False)
class Trial:
    """A row before its verdict.

    Attributes:
        description: of the row.
        against: the name of the null.
        distance: of the generated from the measured federation; NaN where there is none.
        null: (B,) distances by resampling alone; NaN where a replicate has none.
        either: (B,) distances that two sides of one law may have, whichever is which: what the verdict rests on.
        nearest: distances at or below are closer than an independent federation would come.
        margin: distances up to it are of no consequence.
        obstacle: why there is no null; empty where there is one.
        generated: the statistic itself where it is one number, else NaN.
        measured: likewise.
        iid_floor: the floor by resampled servers where it is shown as well, else NaN.
        sampled: how the generated side was estimated, where it was.
    """

    description: Description
    against: str
    distance: float
    null: Floats
    either: Floats
    nearest: float = 0.0
    margin: float = 0.0
    obstacle: str = ""
    generated: float = nan
    measured: float = nan
    iid_floor: float = nan
    sampled: str = ""

    @property
    def floor(self) -> Floor:
        """What the null says; only of trials that can be judged."""
        return Floor.of(self.null[~np.isnan(self.null)], self.margin)

    @property
    def unjudgeable(self) -> str:
        """Why the row is not applicable; empty where it is."""
        if self.obstacle:
            return self.obstacle
        if isnan(self.distance):
            return self.description.undefined
        if 2 * int(np.isnan(self.null).sum()) > len(self.null):
            return "too small: most draws of its null have no such distance"
        if not isfinite(self.floor.floor):
            return "too small: draws of its null are infinitely far apart"
        return ""


def trials(generated: Tables, measured: Measurement, progress: Progress) -> list[Trial]:
    """All rows, in the order of their names."""
    chance = Chance(generated, measured, progress)
    found: list[Trial] = []
    for stage, group in _UNIT_GROUPS:
        found += _unit_trials(group, chance, stage)
    for clusters in CLUSTER_GROUPS:
        found += _cluster_trials(clusters, chance)
    return sorted(found, key=lambda trial: trial.description.name)


def _unit_trials(group: UnitGroup, chance: Chance, stage: int) -> Iterator[Trial]:
    measured = chance.measured
    units = Units.of(group.count(chance.generated), group.count(measured.federation))
    sizes = int(units.generated.sum()), int(units.measured.sum())
    distances = [metric.bind(units) for metric in group.metrics]
    null = draw_null(
        unit_draw(distances, units.measured, sizes),
        seed=measured.seed,
        stage=stage,
        replicates=measured.replicates,
        progress=lambda done: chance.progress(f"resampling {group.unit}", done, measured.replicates),
    )
    either = chance.units(group, units, distances)
    # A resample of the measurement itself varies with the generated size alone; half of that is closer than chance.
    nearer = sqrt(sizes[1] / sum(sizes)) / 2
    for row, (metric, distance) in enumerate(zip(group.metrics, distances, strict=True)):
        column = rounded(null[:, row])
        defined = column[~np.isnan(column)]
        yield Trial(
            metric.description,
            f"iid over {group.unit}",
            float(rounded(distance(units.generated, units.measured))),
            column,
            rounded(either[:, row]),
            nearest=nearer * Floor.of(defined).low if len(defined) else 0.0,
            margin=metric.margin if measured.federation.n_users > MANY_USERS else 0.0,
        )


def _cluster_trials(group: ClusterGroup[Any], chance: Chance) -> Iterator[Trial]:
    generated, measured = chance.generated, chance.measured
    ours, theirs = group.statistic(generated), measured.statistics[group]
    splits = bool(measured.cluster_null)
    scale = half_scale(generated.n_rooms, measured.federation.n_rooms) if splits else nan
    resized = unlike_sizes(generated.n_servers, measured.federation.n_servers)
    iid_floors = measured.iid_floors(group, generated.n_servers)
    nothing = np.full(measured.replicates, nan)
    for row, iid_floor in zip(group.metrics, iid_floors, strict=True):
        metric = row.resized if resized and row.resized else row
        yield Trial(
            metric.description,
            "room clusters",
            float(rounded(metric.distance(ours, theirs))),
            rounded(scale * measured.cluster_null[metric]) if splits else nothing,
            rounded(chance.clusters(metric)) if splits else nothing,
            obstacle="" if splits else "the measured federation has a single room, which has no halves",
            generated=metric.value(ours) if metric.value else nan,
            measured=metric.value(theirs) if metric.value else nan,
            iid_floor=iid_floor,
            sampled=metric.sampled(ours),
        )
