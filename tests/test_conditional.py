"""Conditional draws: values of the key alone, in proportion to how often they were measured."""

from collections import Counter

import numpy as np
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from gen.conditional import Conditional

ERROR_RATE = 1e-4
"""Chance that a statistical test fails, over all choices of its fixed seed."""


class TestConditional:
    @given(st.lists(st.tuples(st.integers(-3, 5), st.integers(0, 9), st.integers(1, 4)), min_size=1))
    def test_values_of_the_key_alone(self, rows: list[tuple[int, int, int]]) -> None:
        key, value, number = np.array(sorted(rows)).T
        by_key = Conditional(key, value, number)
        assert by_key.keys.tolist() == sorted({k for k, _, _ in rows})
        position = np.repeat(np.arange(len(by_key.keys)), 20)
        for p, v in zip(position.tolist(), by_key.draw(position, np.random.default_rng(0)).tolist(), strict=True):
            assert v in {b for a, b, _ in rows if a == by_key.keys[p]}

    def test_in_proportion(self) -> None:
        by_key = Conditional(np.array([1, 4, 4, 4]), np.array([9, 2, 3, 7]), np.array([5, 1, 6, 3]))
        drawn = Counter(by_key.draw(np.ones(20_000, dtype=int), np.random.default_rng(2)).tolist())
        assert set(drawn) == {2, 3, 7}
        assert scipy.stats.chisquare([drawn[2], drawn[3], drawn[7]], [2000, 12_000, 6000]).pvalue > ERROR_RATE
        assert by_key.draw(np.zeros(5, dtype=int), np.random.default_rng(3)).tolist() == [9] * 5
