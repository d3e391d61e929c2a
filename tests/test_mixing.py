"""Mixing: fitted tables, drawn wishes, and the fewest changes that make wishes come true."""

from collections import Counter

import numpy as np
import pytest
import scipy.stats
from gen.mixing import Conditional, blend, draw_rows, pass_on
from hypothesis import given
from hypothesis import strategies as st

ERROR_RATE = 1e-4
"""Chance that a statistical test fails, over all choices of its fixed seed."""


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measured counts, and row and column totals of equal sum, some of them 0."""
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    count = st.one_of(st.just(0), st.integers(0, 50))
    measured = draw(st.lists(count, min_size=rows * columns, max_size=rows * columns))
    made = draw(st.lists(st.tuples(st.integers(0, rows - 1), st.integers(0, columns - 1)), max_size=60))
    row, column = np.array(made, dtype=np.int64).reshape(-1, 2).T
    return (
        np.array(measured, dtype=float).reshape(rows, columns),
        np.bincount(row, minlength=rows).astype(float),
        np.bincount(column, minlength=columns).astype(float),
    )


class TestBlend:
    @given(tables())
    def test_margins(self, drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        measured, rows, columns = drawn
        table = blend(measured, rows, columns)
        total = rows.sum()
        assert np.all(table >= 0)
        np.testing.assert_allclose(table.sum(axis=0), columns, atol=1e-9 * max(total, 1))
        # The rows are as near as the sweeps bring them; a table all but forbidden takes many.
        assert np.abs(table.sum(axis=1) - rows).sum() <= 0.05 * max(total, 1)
        assert np.all(table[rows == 0] == 0)

    @pytest.mark.parametrize("seed", range(5))
    def test_plain_twin(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        measured = rng.integers(0, 20, size=(4, 6)).astype(float)
        rows = rng.integers(1, 30, size=4).astype(float)
        columns = np.full(6, rows.sum() / 6)
        n, total = measured.sum(), rows.sum()
        plain = [
            [measured[a, b] / n * total + rows[a] * columns[b] / total / (1 + n) for b in range(6)] for a in range(4)
        ]
        for _ in range(500):
            for a in range(4):
                factor = rows[a] / sum(plain[a])
                plain[a] = [x * factor for x in plain[a]]
            for b in range(6):
                factor = columns[b] / sum(plain[a][b] for a in range(4))
                for a in range(4):
                    plain[a][b] *= factor
        np.testing.assert_allclose(blend(measured, rows, columns), plain, atol=1e-4 * total)

    def test_keeps_odds_ratios(self) -> None:
        measured = np.array([[400.0, 100.0], [100.0, 900.0]])
        table = blend(measured, np.array([300.0, 100.0]), np.array([200.0, 200.0]))
        odds = table[0, 0] * table[1, 1] / (table[0, 1] * table[1, 0])
        assert odds == pytest.approx(36, rel=0.02)

    def test_measured_margins_give_the_measured_table(self) -> None:
        measured = np.array([[400.0, 100.0, 3.0], [100.0, 900.0, 0.0]])
        table = blend(measured, measured.sum(axis=1), measured.sum(axis=0))
        assert np.abs(table - measured).max() < 1
        assert table[1, 2] > 0  # classes never seen together may meet

    def test_nothing_measured_is_independence(self) -> None:
        rows, columns = np.array([3.0, 7.0]), np.array([6.0, 4.0])
        np.testing.assert_allclose(blend(np.zeros((2, 2)), rows, columns), np.outer(rows, columns) / 10)

    def test_nothing_to_share(self) -> None:
        assert not blend(np.ones((2, 2)), np.zeros(2), np.zeros(2)).any()


class TestDrawRows:
    def test_in_proportion(self) -> None:
        table = np.array([[4.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 2.0, 2.0], [5.0, 2.0, 0.0]])
        column = np.repeat(np.arange(3), 20_000)
        drawn = draw_rows(table, column, np.random.default_rng(1))
        for b in range(3):
            seen = np.bincount(drawn[column == b], minlength=4)
            positive = table[:, b] > 0
            assert not seen[~positive].any()
            wanted = table[positive, b] / table[:, b].sum() * 20_000
            assert scipy.stats.chisquare(seen[positive], wanted).pvalue > ERROR_RATE

    @given(tables(), st.integers(0, 2**32))
    def test_never_a_row_of_no_weight(self, drawn: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> None:
        table = drawn[0]
        column = np.repeat(np.arange(table.shape[1]), 9)
        row = draw_rows(table, column, np.random.default_rng(seed))
        assert np.all((row >= 0) & (row < len(table)))
        weighty = table.sum(axis=0)[column] > 0
        assert np.all(table[row, column][weighty] > 0)


class TestPassOn:
    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=40), st.integers(0, 2**32))
    def test_fewest_changes(self, pairs: list[tuple[int, int]], seed: int) -> None:
        wish, made = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        available = np.bincount(made, minlength=5)
        rank = np.random.default_rng(seed).permutation(len(wish))
        settled = pass_on(wish, rank, available)
        assert np.bincount(settled, minlength=5).tolist() == available.tolist()
        surplus = np.bincount(wish, minlength=5) - available
        changed = np.flatnonzero(settled != wish)
        assert len(changed) == np.maximum(surplus, 0).sum()
        for row in range(5):
            mine = np.flatnonzero(wish == row)
            lowest = mine[np.argsort(rank[mine])][: max(surplus[row], 0)]
            assert set(changed) & set(mine) == set(lowest)

    def test_nothing_to_change(self) -> None:
        wish = np.array([2, 0, 1, 2])
        assert pass_on(wish, np.arange(4), np.array([1, 1, 2])).tolist() == wish.tolist()


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
