r"""What chance alone may do to two federations of one law: the nulls that the verdict rests on.

Floors resample the measurement, as if its law were known. A test may not: where the measurement happens to lack a
giant room, its halves and resamples lack it as well, and an honest sample that has one is rejected (docs/scorecard.md,
Verdict). Were the law the same, either side might be the other, so that the verdict asks both:

- *units*: all servers, rooms or users of both sides are shuffled and dealt to sides of the same sizes. Were they
  independent draws of one law, the observed deal would be one of these, whatever the law: the test is exact.
- *room clusters*: half of the draws split the measured rooms, half the generated ones, each rescaled to both sizes.
- *rooms per server and user* are carried by rooms, so that both happen: shuffled units and, independent of it, room
  clusters. Variances add, and distances are roots of variances: :math:`\sqrt{d^2 + d'^2}`.

Where the numbers of servers differ by more than :data:`~validate.metrics.SAME_SIZE`, the generated side's rooms are
not split: its draws would have to be extrapolated to another size, and it may be any size. Nor are those of a
federation that stays on disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.federation import Federation
from validate.measurement import ALL_CLUSTER_GROUPS
from validate.metrics import unlike_sizes
from validate.nulls import cluster_null, draw_null, half_scale, shuffled_draw
from validate.rows.carried import CARRIED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedgen.federation import Floats
    from fedgen.progress import Progress
    from fedgen.tables import Tables
    from validate.measurement import Measurement
    from validate.metrics import ClusterMetric, Distance, UnitGroup, Units

# Address the randomness of the draws: never renumber.
_SHUFFLED = {"servers": 11, "rooms": 12, "users": 13}
_GENERATED_CLUSTERS = 14

DRAWS_OF_GENERATED = 4
"""One in so many draws is made of the generated side, and stands for two: it costs as much as one of the measured."""


@dataclass(frozen=True, eq=False)
class Chance:
    """A generated federation beside a measured one.

    Attributes:
        generated: the federation on trial.
        measured: what it is held against.
        progress: told how far it is.
    """

    generated: Tables
    measured: Measurement
    progress: Progress

    def clusters(self, metric: ClusterMetric[Any]) -> Floats:
        """(B,) distances of halves of either side's rooms."""
        ours, theirs = self.generated.n_rooms, self.measured.federation.n_rooms
        null = half_scale(ours, theirs) * self.measured.cluster_null[metric]
        if not self._generated_null:
            return null
        back = half_scale(theirs, ours) * self._generated_null[metric]
        kept = null[::2]
        return np.concatenate((kept, np.repeat(back, 2)[: len(null) - len(kept)]))

    def units(self, group: UnitGroup, units: Units, distances: Sequence[Distance]) -> Floats:
        """(B, rows) distances of units dealt anew."""
        null = draw_null(
            shuffled_draw(distances, units.generated + units.measured, int(units.generated.sum())),
            seed=self.measured.seed,
            stage=_SHUFFLED[group.unit],
            replicates=self.measured.replicates,
            progress=lambda done: self.progress(f"shuffling {group.unit}", done, self.measured.replicates),
        )
        if self.measured.cluster_null:
            for row, metric in enumerate(group.metrics):
                if metric in CARRIED:
                    by_rooms = self.clusters(CARRIED[metric])
                    null[:, row] = np.hypot(null[:, row], np.where(np.isnan(by_rooms), 0.0, by_rooms))
        return null

    @cached_property
    def _generated_null(self) -> dict[ClusterMetric[Any], Floats]:
        generated = self.generated
        if generated.n_rooms < 2 or unlike_sizes(generated.n_servers, self.measured.federation.n_servers):
            return {}
        if not isinstance(generated, Federation):
            return {}
        draws = -(-self.measured.replicates // DRAWS_OF_GENERATED)
        return cluster_null(
            ALL_CLUSTER_GROUPS,
            generated,
            seed=self.measured.seed,
            stage=_GENERATED_CLUSTERS,
            replicates=draws,
            progress=lambda done: self.progress("splitting generated rooms", done, draws),
        )
