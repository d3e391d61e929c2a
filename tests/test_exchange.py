"""Draws conditioned on totals: nearer to the goal, never away from it, few and large exchanges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.exchange import NEAR, _exchange, exchange, pool_size, stretch


@st.composite
def pools(draw: st.DrawFn) -> tuple[np.ndarray, int, np.ndarray, int]:
    """A pool, how many of it to choose, the goal, and a seed."""
    count, more, width = draw(st.integers(1, 12)), draw(st.integers(0, 60)), draw(st.integers(1, 3))
    number = st.one_of(st.integers(0, 3), st.integers(0, 300))
    row = st.lists(number, min_size=width, max_size=width)
    pool = np.array(draw(st.lists(row, min_size=count + more, max_size=count + more)), dtype=np.int64)
    goal = draw(st.lists(st.floats(0, 1000), min_size=width, max_size=width))
    return pool, count, np.array(goal), draw(st.integers(0, 2**32))


class TestExchange:
    @given(pools())
    def test_never_away_from_the_goal(self, drawn: tuple[np.ndarray, int, np.ndarray, int]) -> None:
        pool, count, goal, seed = drawn
        chosen = exchange(pool, count, goal, np.random.default_rng(seed))
        assert len(chosen) == len(set(chosen.tolist())) == count
        assert np.all((chosen >= 0) & (chosen < len(pool)))
        spread = pool.std(axis=0) * np.sqrt(count)
        scale = np.where(spread > 0, spread, 1.0)

        def distance(rows: np.ndarray) -> float:
            return float(np.linalg.norm((pool[rows].sum(axis=0) - goal) / scale))

        assert distance(chosen) <= distance(np.arange(count)) + 1e-9
        # Every exchange brings it nearer by 1 / (2 sqrt(count)) at least.
        exchanged = np.count_nonzero(chosen >= count)
        assert distance(np.arange(count)) - distance(chosen) >= exchanged * 0.5 / np.sqrt(count) - 1e-9

    @given(pools())
    def test_kernel_against_its_plain_twin(self, drawn: tuple[np.ndarray, int, np.ndarray, int]) -> None:
        pool, count, goal, seed = drawn
        places = np.random.default_rng(seed).integers(0, count, size=len(pool) - count)
        scaled = pool / 7.0
        assert np.array_equal(_exchange(scaled, places, goal), _exchange.py_func(scaled, places, goal))

    def test_leaves_what_is_near(self) -> None:
        rng = np.random.default_rng(1)
        pool = rng.geometric(0.2, size=(3000, 2))
        goal = pool[:1000].sum(axis=0) + 0.9 * NEAR * pool.std(axis=0) * np.sqrt(1000)
        assert np.array_equal(exchange(pool, 1000, goal, rng), np.arange(1000))

    def test_meets_heavy_tailed_totals_by_few(self) -> None:
        """Fixed seeds; three standard deviations away, within one tenth after fewer than 2 sqrt(N) exchanges each."""
        for seed in range(10):
            rng = np.random.default_rng(seed)
            pool = (rng.pareto(2.2, size=(pool_size(2000), 3)) * 5).astype(np.int64) + 1
            spread = pool.std(axis=0) * np.sqrt(2000)
            goal = pool.mean(axis=0) * 2000 + np.array([3, -1, 2]) * spread
            first = np.linalg.norm((pool[:2000].sum(axis=0) - goal) / spread)
            chosen = exchange(pool, 2000, goal, rng)
            assert np.abs((pool[chosen].sum(axis=0) - goal) / spread).max() < 1.5 * NEAR
            assert np.count_nonzero(chosen >= 2000) <= 2 * np.sqrt(2000) * first

    def test_of_nothing(self) -> None:
        rng = np.random.default_rng(0)
        assert len(exchange(np.zeros((5, 2)), 0, np.zeros(2), rng)) == 0
        assert exchange(np.zeros((5, 0)), 3, np.zeros(0), rng).tolist() == [0, 1, 2]
        assert exchange(np.ones((5, 2)), 3, np.array([9.0, 9.0]), rng).tolist() == [0, 1, 2]


class TestStretch:
    @given(
        st.lists(st.integers(1, 100), min_size=1, max_size=80),
        st.floats(1, 200),
        st.integers(1, 50),
        st.integers(0, 2**32),
    )
    def test_bounds(self, values: list[int], mean: float, count: int, seed: int) -> None:
        found = stretch(np.array(values), 1, 100, mean, count, np.random.default_rng(seed))
        assert found.shape == (len(values),)
        assert np.all(found >= 1)

    @pytest.mark.parametrize("factor", [0.2, 0.6, 1.5, 3.0, 20.0])
    def test_meets_the_mean(self, factor: float) -> None:
        rng = np.random.default_rng(1)
        values = 1 + (rng.pareto(1.8, 40_000) * 3).astype(np.int64)
        mean = 1 + factor * (values.mean() - 1)
        found = stretch(values, 1, 10**9, mean, 10_000, rng)
        # What chance does, three standard deviations of 10,000 draws, is left to the exchange.
        assert abs(found.mean() - mean) <= 3 * values.std() / 100 + 0.01

    @given(st.lists(st.integers(1, 100), min_size=2, max_size=80), st.integers(0, 2**32))
    def test_leaves_what_chance_does(self, values: list[int], seed: int) -> None:
        drawn = np.array(values)
        assert np.array_equal(stretch(drawn, 1, 100, drawn.mean(), 10, np.random.default_rng(seed)), drawn)

    def test_largest_first(self) -> None:
        rng = np.random.default_rng(2)
        values = np.sort(1 + (rng.pareto(1.5, 5000)).astype(np.int64))
        mean = values.mean() + 4 * values.std() / np.sqrt(5000)
        found = stretch(values, 1, 10**6, mean, 5000, rng)
        assert np.array_equal(found[:4000], values[:4000])
        assert found.sum() > values.sum()
