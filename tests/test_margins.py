"""Margins: redrawn values follow the measured ones below xmin and the law above; levels depend as the measured ones.

Statistical tests run on fixed seeds and reject a right margin at one seed in ten thousand.
"""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from fitting.laws.families import make
from fitting.laws.law import Law
from fitting.margins import Margin, draw_levels

ERROR_RATE = 1e-4
LAW = make("power law", {"alpha": 2.1}, 4)


def margins(law: bool = True) -> st.SearchStrategy[Margin]:
    """Small margins, with a tail law from any of their values on or without one."""

    def build(counts: dict[int, int], alpha: float | None, at: int) -> Margin:
        values = np.array(list(counts), dtype=np.int64)
        tail = None if alpha is None else make("power law", {"alpha": alpha}, int(values[at % len(values)]))
        return Margin.of(values, np.array(list(counts.values())), tail)

    alphas = st.none() | st.floats(1.2, 4) if law else st.none()
    counts = st.dictionaries(st.integers(1, 60), st.integers(1, 9), min_size=1, max_size=12)
    return st.builds(build, counts, alphas, st.integers(0, 11))


levels = st.lists(st.floats(0, 1), min_size=1, max_size=40)


class TestOf:
    def test_merges_and_sorts(self) -> None:
        margin = Margin.of(np.array([5, 2, 5, 9]), np.array([1, 4, 2, 3]))
        assert margin.values.tolist() == [2, 5, 9]
        assert margin.number.tolist() == [4, 3, 3]


class TestQuantile:
    @given(margins(law=False), levels)
    def test_without_a_law_it_is_the_sorted_sample(self, margin: Margin, level: list[float]) -> None:
        sample = np.repeat(margin.values, margin.number).tolist()
        wanted = [sample[min(int(p * len(sample)), len(sample) - 1)] for p in level]
        assert margin.quantile(np.array(level)).tolist() == wanted

    @given(margins(), levels, st.none() | st.integers(1, 100))
    def test_rises_and_keeps_below_the_top(self, margin: Margin, level: list[float], top: int | None) -> None:
        found = margin.quantile(np.sort(level), top)
        assert np.all(np.diff(found) >= 0)
        assert np.all(found >= min(margin.values[0], top or margin.values[0]))
        if top is not None:
            assert np.all(found <= top)

    @given(margins(), levels)
    def test_measured_below_xmin(self, margin: Margin, level: list[float]) -> None:
        found = margin.quantile(np.array(level))
        xmin = margin.law.xmin if margin.law else 10**9
        below = found < xmin
        assert np.array_equal(found[below], Margin(margin.values, margin.number).quantile(np.array(level))[below])
        share = margin.number[margin.values < xmin].sum() / margin.number.sum()
        if margin.law is not None:
            assert np.array_equal(below, np.array(level) < share)

    @pytest.mark.parametrize("top", [None, 50])
    def test_tail_is_the_law_up_to_the_top(self, top: int | None) -> None:
        margin = Margin.of(np.array([1, 2, 4, 7, 300]), np.array([5, 3, 4, 1, 1]), LAW)
        level = (np.arange(200_000) + 0.5) / 200_000
        found = margin.quantile(level, top)
        tail = found[found >= LAW.xmin]
        assert len(tail) / len(found) == pytest.approx(6 / 14, abs=1e-5)
        x = np.arange(4, 50)
        beyond = 0.0 if top is None else LAW.survival(np.array([top + 1]))
        wanted = (LAW.survival(x) - beyond) / (1 - beyond)
        np.testing.assert_allclose([np.mean(tail >= v) for v in x], wanted, atol=2e-5)


class TestRedraw:
    VALUES = np.array([1, 2, 3, 4, 5, 8, 20])
    NUMBER = np.array([50, 22, 10, 8, 6, 3, 1])

    def redrawn(self, law: Law | None, top: int | None = None, seed: int = 1) -> np.ndarray:
        rng = np.random.default_rng(seed)
        measured = rng.choice(self.VALUES, size=20_000, p=self.NUMBER / self.NUMBER.sum())
        return Margin.of(self.VALUES, self.NUMBER, law).redraw(measured, rng, top)

    def test_keeps_the_measured_margin(self) -> None:
        drawn = self.redrawn(None)
        seen = np.array([np.count_nonzero(drawn == v) for v in self.VALUES])
        assert seen.sum() == len(drawn)
        expected = self.NUMBER / self.NUMBER.sum() * len(drawn)
        assert scipy.stats.chisquare(seen, expected).pvalue > ERROR_RATE
        assert scipy.stats.chisquare(seen, expected[::-1]).pvalue < ERROR_RATE

    @pytest.mark.parametrize("top", [None, 30])
    def test_tail_comes_from_the_law(self, top: int | None) -> None:
        drawn = self.redrawn(LAW, top)
        tail = drawn[drawn >= LAW.xmin]
        assert scipy.stats.binomtest(len(tail), len(drawn), 18 / 100).pvalue > ERROR_RATE
        x = np.array([4, 5, 6, 7, 9, 12, 20])
        beyond = 0.0 if top is None else LAW.survival(np.array([top + 1]))
        reach = np.append((LAW.survival(x) - beyond) / (1 - beyond), 0.0)
        seen = np.histogram(tail, np.append(x, 2**63))[0]
        assert scipy.stats.chisquare(seen, -np.diff(reach) * len(tail)).pvalue > ERROR_RATE
        assert tail.max() > 20
        assert top is None or tail.max() <= top
        assert set(np.unique(drawn)) - set(self.VALUES.tolist())

    def test_ranks_are_kept(self) -> None:
        rng = np.random.default_rng(2)
        values = np.arange(1, 2001)
        drawn = Margin.of(values, np.ones(2000, dtype=int)).redraw(values, rng)
        # A beta rank strays by 22 of 2000 at most, in standard deviations.
        assert scipy.stats.spearmanr(values, drawn).statistic > 0.999
        assert 0.01 < np.mean(drawn == values) < 0.1

    @given(margins(), st.integers(0, 2**32), st.none() | st.integers(1, 100))
    def test_never_above_the_top(self, margin: Margin, seed: int, top: int | None) -> None:
        drawn = margin.redraw(margin.values, np.random.default_rng(seed), top)
        assert drawn.shape == margin.values.shape
        assert np.all(drawn >= 1)
        assert top is None or np.all(drawn <= top)

    def test_of_nothing(self) -> None:
        nothing = np.zeros(0, dtype=np.int64)
        assert len(Margin.of(np.array([1]), np.array([1])).redraw(nothing, np.random.default_rng(0))) == 0


def normal_pairs(count: int, correlation: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Integers of heavy tails whose normal scores are correlated."""
    z = np.random.default_rng(seed).multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], size=count)
    first, second = np.ceil(np.exp(z)).astype(np.int64).T
    return first, second


def far_from_uniform(count: int, level: np.ndarray) -> np.ndarray:
    """How far the distribution function of drawn levels is from the uniform one: exact, from their definition."""
    z = scipy.stats.norm.ppf((np.arange(count) + 0.5) / count)
    h = count ** (-1 / 3)
    moved = (np.sqrt(1 + h * h) * scipy.stats.norm.ppf(level)[:, None] - z) / h
    return np.abs(scipy.stats.norm.cdf(moved).mean(axis=1) - level)


class TestDrawLevels:
    """Shrinkage keeps mean and variance of normal scores, not quite their distribution."""

    @pytest.mark.parametrize("count", [1, 2, 3, 10, 100, 3000])
    def test_near_uniform(self, count: int) -> None:
        """A level's distribution function is off by N^(-2/3) / 12 at most: 8 % for one tuple, 0.4 % for a hundred."""
        most = count ** (-2 / 3) / 12
        assert far_from_uniform(count, np.linspace(0.001, 0.999, 999)).max() <= most
        columns = normal_pairs(count, 0.5)
        levels, _ = draw_levels(columns, 20_000, np.random.default_rng(count))
        noise = scipy.stats.kstwo.isf(ERROR_RATE, 20_000)
        for level in levels:
            assert np.all((level > 0) & (level < 1))
            assert scipy.stats.kstest(level, "uniform").statistic <= most + noise

    @pytest.mark.parametrize("correlation", [-0.9, 0.0, 0.6, 0.95])
    def test_rank_correlation_is_kept(self, correlation: float) -> None:
        columns = normal_pairs(2_000, correlation)
        # Ties are broken at random, which is the only loss: so are they here.
        rng = np.random.default_rng(1)
        ranks = [np.argsort(np.lexsort((rng.random(2_000), column))) for column in columns]
        levels, _ = draw_levels(columns, 20_000, np.random.default_rng(2))
        wanted = scipy.stats.spearmanr(*ranks).statistic
        # The standard error of a rank correlation of 20,000 pairs is at most 1/sqrt(20,000); four of them, and another
        # for the ties: a failure in 10^4 choices of seeds.
        assert scipy.stats.spearmanr(*levels).statistic == pytest.approx(wanted, abs=5 / np.sqrt(20_000))

    def test_deterministic_of_its_generator(self) -> None:
        columns = normal_pairs(50, 0.3)
        one, again, other = (draw_levels(columns, 30, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert np.array_equal(one[0], again[0])
        assert np.array_equal(one[1], again[1])
        assert not np.array_equal(one[0], other[0])

    @given(
        st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(7)), min_size=1, max_size=30),
        st.integers(0, 50),
        st.integers(0, 2**32),
    )
    def test_any_table(self, tuples: list[tuple[int, int, int]], count: int, seed: int) -> None:
        """One tuple, constant columns, all tuples equal: always finite levels inside (0, 1)."""
        levels, start = draw_levels(np.array(tuples).T, count, np.random.default_rng(seed))  # type: ignore[arg-type]
        assert [level.shape for level in levels] == [(count,)] * 3
        assert all(np.all((level > 0) & (level < 1)) for level in levels)
        assert start.shape == (count,)
        assert np.all((start >= 0) & (start < len(tuples)))

    def test_constant_columns_are_independent(self) -> None:
        columns = np.ones((2, 1_000), dtype=np.int64)
        levels, _ = draw_levels(tuple(columns), 1_000, np.random.default_rng(3))
        # Random ranks of one draw correlate by 1/sqrt(1000), and levels by as much again around it.
        assert abs(scipy.stats.spearmanr(*levels).statistic) < 4 * np.sqrt(2 / 1_000)

    def test_every_tuple_is_begun_with_and_none_is_reused(self) -> None:
        columns = (np.arange(1, 201), np.arange(201, 401))
        levels, start = draw_levels(columns, 20_000, np.random.default_rng(4))
        assert scipy.stats.chisquare(np.bincount(start, minlength=200)).pvalue > ERROR_RATE
        for level in levels:
            assert len(np.unique(level)) == 20_000
            # It is near its tuple's level, and nearly never rounds to its rank again: h = 0.17, a rank 0.005 wide.
            z, began = scipy.stats.norm.ppf(level), scipy.stats.norm.ppf((start + 0.5) / 200)
            assert np.corrcoef(z, began)[0, 1] == pytest.approx(1 / np.sqrt(1 + 200 ** (-2 / 3)), abs=0.005)
            assert np.mean(np.floor(level * 200) == start) < 0.15

    def test_deviates_of_one_tuple_are_independent_of_the_tuple(self) -> None:
        levels, _ = draw_levels((np.array([3]), np.array([9])), 10_000, np.random.default_rng(5))
        first, second = (scipy.stats.norm.ppf(level) * np.sqrt(2) for level in levels)
        assert scipy.stats.kstest(first, "norm").pvalue > ERROR_RATE
        assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(10_000)
