"""Row E2: how much the audiences of rooms overlap."""

from __future__ import annotations

from math import log, nan

from fedgen.statistics.butterflies import Overlap, overlap, overlap_of_halves
from validate.distances import log_ratio
from validate.metrics import CLASS_MEMBERS, ClusterGroup, ClusterMetric, Description, sampled


def _apart(generated: Overlap, measured: Overlap) -> float:
    if max(generated.butterflies, measured.butterflies) < CLASS_MEMBERS:
        return nan
    return log_ratio(generated.per_membership, measured.per_membership)


BUTTERFLIES = ClusterGroup(
    statistic=overlap,
    halves=overlap_of_halves,
    metrics=(
        ClusterMetric(
            Description(
                "E2",
                "user-room butterflies per membership",
                "log10 ratio",
                undefined=f"neither side has {CLASS_MEMBERS} butterflies",
            ),
            _apart,
            value=lambda side: side.per_membership,
            sampled=lambda side: sampled("paths", side.drawn, side.error / log(10)),
        ),
    ),
)
