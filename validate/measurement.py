"""The measured side: what a scorecard needs of it alone, drawn once for any number of generated federations."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING, Any

from fedgen.errors import UsageError
from fedgen.federation import Federation
from fedgen.progress import silent
from validate.nulls import cluster_null, draw_null, statistic_draw
from validate.reported import told
from validate.rows.butterflies import BUTTERFLIES
from validate.rows.carried import CARRIED_GROUPS
from validate.rows.corooms import COROOMS
from validate.rows.load import LOAD
from validate.rows.mixing import MIXING
from validate.verdict import LEVEL, Floor, rounded

if TYPE_CHECKING:
    from fedgen.federation import Floats
    from fedgen.io.stored import Stored
    from fedgen.progress import Progress
    from validate.metrics import ClusterGroup, ClusterMetric
    from validate.reported import Told

REPLICATES = 400

CLUSTER_GROUPS: tuple[ClusterGroup[Any], ...] = (LOAD, MIXING, BUTTERFLIES, COROOMS)
ALL_CLUSTER_GROUPS = (*CLUSTER_GROUPS, *CARRIED_GROUPS)
CLUSTER_STAGE, IID_LOAD_STAGE = 4, 5
"""Address the randomness of the draws: never renumber."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """A measured federation to hold generated ones against.

    The null of room clusters and the statistics of the measured side do not depend on what is generated. They are
    computed when first asked for and kept: a study that judges many federations makes one of these.

    Attributes:
        federation: the measured one.
        seed: of the nulls' draws; the same seed gives the same scorecard.
        replicates: draws of each null, at least 99; p-values are multiples of 1/(replicates + 1).
        progress: told how far it is.

    Raises:
        UsageError: too few replicates, no seed, no federation or one without memberships.
    """

    federation: Federation
    seed: int = 0
    replicates: int = REPLICATES
    progress: Progress = field(default=silent, repr=False)

    def __post_init__(self) -> None:
        least = round(1 / LEVEL) - 1
        if self.replicates < least:
            raise UsageError(f"replicates: {self.replicates} cannot reject at {LEVEL:.0%}; give at least {least}")
        if self.seed < 0:
            raise UsageError(f"seed: {self.seed} is not a seed; give a whole number from 0 up")
        require_memberships(self.federation, "measured")

    @cached_property
    def statistics(self) -> dict[ClusterGroup[Any], Any]:
        """The statistic of each group of rows over clusters."""
        return {group: group.statistic(self.federation) for group in CLUSTER_GROUPS}

    @cached_property
    def told(self) -> dict[str, Told]:
        """What is told without a verdict."""
        return told(self.federation)

    def iid_floors(self, group: ClusterGroup[Any], servers: int) -> list[float]:
        """The floors of a group's rows against a side of so many servers, if servers were resampled; NaN if not so."""
        if group.resampled is None:
            return [nan] * len(group.metrics)
        if (group, servers) not in self._iid_floors:
            null = draw_null(
                statistic_draw(group, self.statistics[group], (servers, self.federation.n_servers)),
                seed=self.seed,
                stage=IID_LOAD_STAGE,
                replicates=self.replicates,
                progress=lambda done: self.progress("resampling load", done, self.replicates),
            )
            self._iid_floors[group, servers] = [Floor.of(column).floor for column in rounded(null).T]
        return self._iid_floors[group, servers]

    @cached_property
    def _iid_floors(self) -> dict[tuple[ClusterGroup[Any], int], list[float]]:
        return {}

    @cached_property
    def cluster_null(self) -> dict[ClusterMetric[Any], Floats]:
        """(B,) distances between halves of the rooms for each metric, not yet rescaled; none of a single room."""
        if self.federation.n_rooms < 2:
            return {}
        return cluster_null(
            ALL_CLUSTER_GROUPS,
            self.federation,
            seed=self.seed,
            stage=CLUSTER_STAGE,
            replicates=self.replicates,
            progress=lambda done: self.progress("splitting rooms", done, self.replicates),
        )


def require_memberships(federation: Federation | Stored, name: str, kinds: tuple[type, ...] = (Federation,)) -> None:
    """Complain of what cannot be compared.

    Raises:
        UsageError: it is no federation of these kinds, or has no membership.
    """
    if not isinstance(federation, kinds):
        raise UsageError(f"validate takes Federations, not {type(federation).__name__}; read a file with fedgen.read")
    if federation.n_memberships == 0:
        raise UsageError(f"the {name} federation has no membership to compare: give one that has some")
