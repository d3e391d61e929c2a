"""Sharing out totals: sums, caps and roundings exactly, against plain water-filling."""

from fractions import Fraction
from itertools import pairwise
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedgen.ragged import offsets_of, take
from fitting.classes import EDGES
from gen.apportion import apportion, bend, reconcile

Group = tuple[int, list[tuple[int, int]]]
"""A total, and (weight, cap) of each item."""


def groups(most: int = 12) -> st.SearchStrategy[list[Group]]:
    item = st.tuples(st.integers(0, most), st.integers(0, most))
    return st.lists(st.tuples(st.integers(0, 4 * most), st.lists(item, max_size=7)), max_size=5)


def flat(drawn: list[Group]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """totals, offsets, weights, caps."""
    items = [item for _, group in drawn for item in group]
    weights, caps = np.array(items, dtype=np.int64).reshape(-1, 2).T
    return (
        np.array([t for t, _ in drawn], dtype=np.int64),
        offsets_of(np.array([len(g) for _, g in drawn], dtype=np.int64)),
        weights,
        caps,
    )


def filled(total: int, items: list[tuple[int, int]]) -> list[Fraction]:
    """The ideal shares min(cap, f weight) of a total that the caps can hold, in fractions."""
    ideal = [Fraction(0)] * len(items)
    if total > sum(cap for weight, cap in items if weight):
        ideal = [Fraction(cap if weight else 0) for weight, cap in items]
        items = [(0 if weight else 1, cap) for weight, cap in items]
    left = Fraction(total) - sum(ideal)
    still = {i for i, (weight, cap) in enumerate(items) if weight and cap}
    while still:
        factor = left / sum(items[i][0] for i in still)
        full = {i for i in still if items[i][0] * factor > items[i][1]}
        if not full:
            break
        for i in full:
            ideal[i] = Fraction(items[i][1])
            left -= items[i][1]
        still -= full
    for i in still:
        ideal[i] = items[i][0] * factor
    return ideal


class TestApportion:
    @given(groups(), st.integers(0, 2**32))
    def test_is_the_ideal_rounded_up_or_down(self, drawn: list[Group], seed: int) -> None:
        totals, offsets, weights, caps = flat(drawn)
        shared = apportion(totals, offsets, weights, caps, np.random.default_rng(seed)).tolist()
        for g, (total, items) in enumerate(drawn):
            mine = shared[offsets[g] : offsets[g + 1]]
            total = min(total, sum(cap for _, cap in items))
            assert sum(mine) == total
            for share, ideal, (_, cap) in zip(mine, filled(total, items), items, strict=True):
                assert floor(ideal) <= share <= ceil(ideal)
                assert 0 <= share <= cap

    @given(groups(10**9), st.integers(0, 2**32))
    def test_large_numbers(self, drawn: list[Group], seed: int) -> None:
        totals, offsets, weights, caps = flat(drawn)
        shared = apportion(totals, offsets, weights, caps, np.random.default_rng(seed))
        assert np.all((shared >= 0) & (shared <= caps))
        for g, (total, items) in enumerate(drawn):
            assert shared[offsets[g] : offsets[g + 1]].sum() == min(total, sum(cap for _, cap in items))

    @given(groups(), st.integers(0, 2**32), st.integers(1, 5))
    def test_groups_do_not_meet(self, drawn: list[Group], seed: int, factor: int) -> None:
        """A group's share depends on its own items and number alone, and not on the unit of the weights."""
        totals, offsets, weights, caps = flat(drawn)
        whole = apportion(totals, offsets, weights, caps, np.random.default_rng(seed))
        other = totals.copy()
        other[1:] = 0
        alone = apportion(other, offsets, weights * factor, caps, np.random.default_rng(seed))
        assert np.array_equal(whole[: offsets[:2][-1]], alone[: offsets[:2][-1]])

    def test_even_share_of_what_no_weight_takes(self) -> None:
        def share(weights: list[int], caps: list[int], total: int) -> list[int]:
            ends = np.array([0, len(weights)])
            rng = np.random.default_rng(0)
            return apportion(np.array([total]), ends, np.array(weights), np.array(caps), rng).tolist()

        assert share([0, 0, 0], [5, 5, 5], 9) == [3, 3, 3]
        assert share([7, 0, 0], [3, 5, 5], 9) == [3, 3, 3]
        assert share([7, 0, 0], [3, 5, 5], 2) == [2, 0, 0]
        assert share([1, 1, 1], [1, 2, 9], 12) == [1, 2, 9]
        assert share([1, 1], [0, 0], 4) == [0, 0]
        assert share([], [], 4) == []

    def test_right_on_average(self) -> None:
        rng = np.random.default_rng(1)
        weights, copies = np.array([1, 2, 3, 1]), 40_000
        shared = apportion(
            np.full(copies, 5), offsets_of(np.full(copies, 4)), np.tile(weights, copies), np.full(4 * copies, 9), rng
        ).reshape(copies, 4)
        # Five standard errors of a rounding, 0.5 / sqrt(copies) at most: one in a million.
        assert np.abs(shared.mean(axis=0) - 5 * weights / 7).max() < 5 * 0.5 / np.sqrt(copies)

    def test_exact_where_floating_point_is_not(self) -> None:
        """A hundred thousand heavy-tailed items with a total of 10^9, at the offsets next to 0 and 1."""

        class Ends(np.random.Generator):
            def integers(self, low: int, high: int, size: int) -> np.ndarray:  # type: ignore[override]
                return np.resize([low, high - 1], size)

        total, count = 10**9, 100_000
        for seed in range(10):
            weights = np.random.default_rng(seed).pareto(1.1, 2 * count) + 0.01
            ends = np.array([0, count, 2 * count])
            shared = apportion(
                np.array([total, total]), ends, weights, np.full(2 * count, total), Ends(np.random.PCG64())
            )
            assert np.add.reduceat(shared, ends[:-1]).tolist() == [total, total]


def plainly_bent(total: int, items: list[tuple[int, int]], number: list[int]) -> list[float]:
    """The weights of one group, cutoff after cutoff."""
    bent = [float(min(item)) for item in items]
    for _ in range(4):
        miss = total - sum(w * n for w, n in zip(bent, number, strict=True))
        found = None
        for edge in (0.0, *EDGES.tolist()):
            # Weights at their caps cannot make up for what is missing.
            able = [(w, n) for w, (_, cap), n in zip(bent, items, number, strict=True) if w < cap or miss < 0]
            beyond = sum((w - edge) * n for w, n in able if w > edge)
            if beyond > 0 and 0.25 <= 1 + miss / beyond <= 4:
                found = edge, 1 + miss / beyond
        if abs(miss) < 0.5 or found is None:
            break
        cutoff, factor = found
        bent = [
            min(cutoff + (w - cutoff) * factor, cap) if w > cutoff else w
            for w, (_, cap) in zip(bent, items, strict=True)
        ]
    return bent


class TestBend:
    @given(groups(200), st.data())
    def test_against_a_plain_twin(self, drawn: list[Group], data: st.DataObject) -> None:
        totals, offsets, weights, caps = flat(drawn)
        count = len(weights)
        number = data.draw(st.none() | st.lists(st.integers(1, 9), min_size=count, max_size=count))
        often = None if number is None else np.array(number, dtype=np.int64)
        bent = bend(totals, offsets, weights, caps, often).tolist()
        for g, (total, items) in enumerate(drawn):
            mine = slice(offsets[g], offsets[g + 1])
            wanted = plainly_bent(total, items, [1] * len(items) if number is None else number[mine])
            assert bent[mine] == pytest.approx(wanted, rel=1e-9, abs=1e-9)

    @given(groups(200), st.data())
    def test_a_run_is_as_many_alike_ones(self, drawn: list[Group], data: st.DataObject) -> None:
        totals, offsets, weights, caps = flat(drawn)
        count = len(weights)
        number = np.array(data.draw(st.lists(st.integers(1, 5), min_size=count, max_size=count)), dtype=np.int64)
        runs = np.repeat(bend(totals, offsets, weights, caps, number), number)
        each = bend(totals, offsets_of(number)[offsets], np.repeat(weights, number), np.repeat(caps, number))
        assert runs == pytest.approx(each, rel=1e-9, abs=1e-9)

    @given(groups(200))
    def test_at_most_the_caps(self, drawn: list[Group]) -> None:
        totals, offsets, weights, caps = flat(drawn)
        bent = bend(totals, offsets, weights, caps)
        assert np.all((bent >= 0) & (bent <= caps))
        assert np.all(bent[np.minimum(weights, caps) == 0] == 0)

    @given(groups(200))
    def test_never_further_from_the_total(self, drawn: list[Group]) -> None:
        totals, offsets, weights, caps = flat(drawn)
        bent = bend(totals, offsets, weights, caps)
        for g, total in enumerate(totals):
            mine = slice(offsets[g], offsets[g + 1])
            before = abs(np.minimum(weights, caps)[mine].sum() - total)
            assert abs(bent[mine].sum() - total) <= before + 1e-6

    @given(st.lists(st.integers(1, 1000), min_size=1, max_size=60), st.floats(0.3, 3.9))
    def test_meets_a_total_within_its_factor(self, weights: list[int], factor: float) -> None:
        total = round(sum(weights) * factor)
        ends = np.array([0, len(weights)])
        bent = bend(np.array([total]), ends, np.array(weights), np.full(len(weights), 10**9))
        if abs(total - sum(weights)) <= 0.75 * sum(weights):
            assert bent.sum() == pytest.approx(total, abs=0.5)

    def test_changes_the_largest_alone(self) -> None:
        weights = np.array([1, 1, 2, 3, 3, 5, 8, 40, 300])
        bent = bend(np.array([weights.sum() + 60]), np.array([0, 9]), weights, np.full(9, 10**6))
        assert bent.sum() == pytest.approx(weights.sum() + 60)
        assert bent[:-1].tolist() == weights[:-1].tolist()

    def test_leaves_what_it_cannot_meet(self) -> None:
        weights = np.array([1, 2, 3])
        assert bend(np.array([600]), np.array([0, 3]), weights, np.full(3, 999)).tolist() == [1, 2, 3]

    def test_makes_up_for_caps(self) -> None:
        weights, caps = np.array([10, 10, 100]), np.array([50, 50, 120])
        assert bend(np.array([180]), np.array([0, 3]), weights, caps).sum() == pytest.approx(180)


class TestReconcile:
    @given(st.data())
    def test_total_within_bounds(self, data: st.DataObject) -> None:
        size = data.draw(st.integers(1, 12))
        number = st.integers(0, 400)
        values = data.draw(st.lists(number, min_size=size, max_size=size))
        low = data.draw(st.lists(st.integers(0, 5), min_size=size, max_size=size))
        high = [a + data.draw(st.integers(0, 100)) for a in low]
        total = data.draw(st.integers(sum(low), sum(high)))
        rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
        found = reconcile(np.array(values), np.array(low), np.array(high), total, rng)
        assert found.sum() == total
        assert np.all((found >= low) & (found <= high))

    @given(st.lists(st.integers(3, 20), min_size=1))
    def test_leaves_what_is_right(self, values: list[int]) -> None:
        found = reconcile(np.array(values), 3, 20, sum(values), np.random.default_rng(0))
        assert found.tolist() == values

    def test_largest_first(self) -> None:
        values = np.array([1, 1, 1, 2, 2, 500])
        assert reconcile(values, 1, 1000, 520, np.random.default_rng(0)).tolist() == [1, 1, 1, 2, 2, 513]


class TestRagged:
    @given(st.lists(st.integers(0, 6), max_size=8), st.data())
    def test_take(self, sizes: list[int], data: st.DataObject) -> None:
        offsets = offsets_of(np.array(sizes, dtype=np.int64))
        assert offsets.tolist() == [sum(sizes[:i]) for i in range(len(sizes) + 1)]
        some = st.lists(st.integers(0, len(sizes) - 1)) if sizes else st.just([])
        chosen = data.draw(some)
        items = [list(range(a, b)) for a, b in pairwise(offsets)]
        assert take(offsets, np.array(chosen, dtype=np.int64)).tolist() == [i for g in chosen for i in items[g]]
