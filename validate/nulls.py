"""What resampling alone would do to a measured federation.

Two nulls, derived in docs/scorecard.md. *iid*: two resamples of the measured units, with replacement, at the sizes of
both sides. *Room clusters*: two random halves of the measured rooms, without replacement, their distance rescaled to
the sizes of both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.statistics.halves import Split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fedgen.federation import Federation, Floats, Integers
    from validate.metrics import ClusterGroup, ClusterMetric, Distance

Draw = Callable[[np.random.Generator], list[float]]
"""One replicate of a null: the distances of its rows."""

_MOST_SPLITS = 64
_SPLIT_MEMBERSHIPS = 1 << 25
"""Splits looked at together: so many, and no more than have this many memberships (8 bytes each)."""

_MOST_DEALT = 1_000_000_000
"""Numpy deals no more than this, whatever the method."""


def stream(seed: int, stage: int, replicate: int) -> np.random.Generator:
    """The random numbers of one replicate of one null, whichever order they are asked for in."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stage, replicate))))


def first_half(rooms: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(R,) which rooms are in the first of two random halves; the second one is larger where R is odd."""
    first = np.zeros(rooms, dtype=bool)
    first[rng.permutation(rooms)[: rooms // 2]] = True
    return first


def half_scale(generated: int, measured: int) -> float:
    """The factor from a distance of two halves of ``measured`` >= 2 rooms to one of R2 generated and R1 measured rooms.

    A difference of means has variance 1/R1 + 1/R2 in units of a room's; between halves of R1 rooms 2/R1 + 2/R1 = 4/R1.
    The factor is the root of their quotient, sqrt((1 + R1/R2) / 4), 1/sqrt(2) at equal size (a little off for odd R1).
    """
    small = measured // 2
    return sqrt((1 / measured + 1 / generated) / (1 / small + 1 / (measured - small)))


def draw_null(draw: Draw, *, seed: int, stage: int, replicates: int, progress: Callable[[int], None]) -> Floats:
    """All replicates of a null.

    Args:
        draw: the distances of all its rows in one replicate.
        seed: of the whole scorecard.
        stage: of this null; no two share one.
        replicates: B.
        progress: told how many are done.

    Returns:
        (B, rows), NaN where a replicate has no distance for a row.
    """
    null = []
    for replicate in range(replicates):
        null.append(draw(stream(seed, stage, replicate)))
        progress(replicate + 1)
    return np.array(null, dtype=np.float64)


def unit_draw(distances: Sequence[Distance], counts: Integers, sizes: tuple[int, int]) -> Draw:
    """Two resamples with replacement of units that were measured ``counts`` times, (T,), of ``sizes`` units each."""
    share = counts / counts.sum()

    def draw(rng: np.random.Generator) -> list[float]:
        pair = [rng.multinomial(size, share) for size in sizes]
        return [distance(*pair) for distance in distances]

    return draw


def shuffled_draw(distances: Sequence[Distance], pooled: Integers, ours: int) -> Draw:
    """Units of both sides, (T,) of each kind, dealt anew to sides of their sizes, of which the first has ``ours``."""

    everything = int(pooled.sum())

    def draw(rng: np.random.Generator) -> list[float]:
        if everything < _MOST_DEALT:
            first = rng.multivariate_hypergeometric(pooled, ours, method="marginals")
            return [distance(first, pooled - first) for distance in distances]
        # Of so many the smaller side is dealt as if with replacement: its variance is larger by a factor 1 + n/N.
        fewer = np.minimum(rng.multinomial(min(ours, everything - ours), pooled / everything), pooled)
        first = fewer if 2 * ours < everything else pooled - fewer
        return [distance(first, pooled - first) for distance in distances]

    return draw


def cluster_null(
    groups: Sequence[ClusterGroup[Any]],
    measured: Federation,
    *,
    seed: int,
    stage: int,
    replicates: int,
    progress: Callable[[int], None],
) -> dict[ClusterMetric[Any], Floats]:
    """Distances of two halves of the measured rooms, as they are: to be rescaled by :func:`half_scale`.

    Splits are looked at in blocks, since some statistics are had of many at once for little more than of one.

    Returns:
        (B,) distances of each metric, and of what it is compared by at other sizes.
    """
    null: dict[ClusterMetric[Any], list[float]] = {metric: [] for group in groups for metric in group.compared}
    prepared = [(group, group.halves(measured)) for group in groups]
    block = min(_MOST_SPLITS, max(1, _SPLIT_MEMBERSHIPS // max(measured.n_memberships, 1)))
    for start in range(0, replicates, block):
        numbers = range(start, min(start + block, replicates))
        splits = [Split(measured, first_half(measured.n_rooms, stream(seed, stage, number))) for number in numbers]
        for group, halves in prepared:
            for pair in halves(splits):
                for metric in group.compared:
                    null[metric].append(metric.distance(*pair))
        progress(numbers.stop)
    return {metric: np.array(distances) for metric, distances in null.items()}


def statistic_draw(group: ClusterGroup[Any], measured: Any, sizes: tuple[int, int]) -> Draw:
    """Two resamples of a group's statistic, for its iid floor."""

    def draw(rng: np.random.Generator) -> list[float]:
        assert group.resampled is not None
        ours, theirs = (group.resampled(measured, size, rng) for size in sizes)
        return [metric.distance(ours, theirs) for metric in group.metrics]

    return draw
