"""Values of a kind of unit: draws from a table of (key, value, number)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Integers


class Conditional:
    """Draws a value given a key, from a table of (key, value, number) with keys in rising order."""

    def __init__(self, key: Integers, value: Integers, number: Integers) -> None:
        self.keys, first = np.unique(key, return_index=True)
        self._value = value
        self._upto = np.cumsum(number)
        before = np.concatenate(([0], self._upto))
        self._begin = before[first]
        self._total = before[np.append(first[1:], len(key))] - self._begin

    def draw(self, position: Integers, rng: np.random.Generator) -> Integers:
        """A value for each position in :attr:`keys`."""
        ticket = self._begin[position] + rng.integers(0, self._total[position])
        return self._value[np.searchsorted(self._upto, ticket, side="right")]
