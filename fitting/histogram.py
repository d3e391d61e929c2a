"""A sample as its distinct values and how often each occurs: all that a likelihood or a distance needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers

_DENSE = 8192  # values below are counted one by one


@dataclass(frozen=True, eq=False)
class Histogram:
    """Distinct values and their numbers.

    Attributes:
        values: (D,) float64, rising; whole numbers >= 1, or any positive numbers for the continuous laws.
        number: (D,) int64, how often each occurs, >= 1.
    """

    values: Floats
    number: Integers

    @classmethod
    def of(cls, sample: Integers | Floats) -> Histogram:
        """Count ``sample``, in any order. Small whole numbers are counted in linear time, the others sorted."""
        sample = np.asarray(sample)
        if not np.issubdtype(sample.dtype, np.integer) or len(sample) == 0:
            return cls(*_runs(np.sort(sample)))
        dense = max(_DENSE, 4 * len(sample))
        large = sample >= dense
        number = np.bincount(sample if not large.any() else sample[~large])
        values = np.flatnonzero(number)
        rest, rest_number = _runs(np.sort(sample[large].astype(np.float64)))
        return cls(
            np.concatenate((values.astype(np.float64), rest)),
            np.concatenate((number[values], rest_number)).astype(np.int64),
        )

    @cached_property
    def n(self) -> int:
        """How many values in all."""
        return int(self.number.sum())

    @cached_property
    def upto(self) -> Integers:
        """(D + 1,) how many values lie below each distinct one; last, all of them."""
        return np.concatenate(([0], np.cumsum(self.number)))

    def tail(self, xmin: float) -> Histogram:
        """The values >= xmin."""
        first = int(np.searchsorted(self.values, xmin))
        return Histogram(self.values[first:], self.number[first:])

    def without_largest(self, count: int) -> Histogram:
        """All but the ``count`` largest values."""
        number = np.diff(np.minimum(self.upto, self.n - count))
        kept = number > 0
        return Histogram(self.values[kept], number[kept])


def _runs(ordered: Integers | Floats) -> tuple[Floats, Integers]:
    first = np.flatnonzero(np.concatenate((np.ones(min(len(ordered), 1), dtype=bool), ordered[1:] != ordered[:-1])))
    return ordered[first].astype(np.float64), np.diff(first, append=len(ordered))
