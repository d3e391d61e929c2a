"""Inheritance: which measured unit each drawn one is like, and how often each ticket is used.

What is random runs on fixed seeds; the stated error rate is over all choices of them.
"""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.inheritance import inherit, use_tickets

ERROR_RATE = 1e-4

Units = list[tuple[int, int]]


def units(least: int = 1) -> st.SearchStrategy[Units]:
    """(class, size) of each."""
    return st.lists(st.tuples(st.integers(0, 4), st.integers(1, 6)), min_size=least, max_size=40)


def inherited(drawn: Units, measured: Units, regions: int = 1, seed: int = 0) -> tuple[list[int], list[int]]:
    ours, theirs = np.array(drawn).reshape(-1, 2).T, np.array(measured).T
    like, region = inherit(tuple(ours), tuple(theirs), regions, np.random.default_rng(seed))
    return like.tolist(), region.tolist()


def used_of(
    number: np.ndarray,
    unit: np.ndarray,
    place: np.ndarray,
    wanted: np.ndarray,
    places: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    return use_tickets(number, unit, wanted, rng, place, places)


class TestInherit:
    @given(units(), units(), st.integers(0, 2**32))
    def test_classes_are_respected(self, drawn: Units, measured: Units, seed: int) -> None:
        known = sorted({c for c, _ in measured})
        like, _ = inherited(drawn, measured, seed=seed)
        for (wanted, _), unit in zip(drawn, like, strict=True):
            below = [c for c in known if c <= wanted]
            assert measured[unit][0] == (below[-1] if below else known[0])

    @given(units(), units(), st.integers(0, 2**32))
    def test_about_equally_often(self, drawn: Units, measured: Units, seed: int) -> None:
        like, _ = inherited(drawn, measured, seed=seed)
        often = Counter(like)
        for wanted in {c for c, _ in measured}:
            counts = [often[i] for i, (c, _) in enumerate(measured) if c == wanted]
            assert max(counts) - min(counts) <= 1

    @given(units(), units(), st.integers(0, 2**32))
    def test_ranks_are_kept(self, drawn: Units, measured: Units, seed: int) -> None:
        like, _ = inherited(drawn, measured, seed=seed)
        pairs = [(c, size, measured[unit]) for (c, size), unit in zip(drawn, like, strict=True)]
        for wanted in {c for c, _ in measured}:  # a class that nobody measured joins another, and has ranks in it
            mine = sorted((size, theirs) for c, size, (theirs_class, theirs) in pairs if c == wanted == theirs_class)
            for (size, theirs), (next_size, next_theirs) in pairwise(mine):
                assert size == next_size or theirs <= next_theirs

    @given(units(), st.integers(0, 2**32), st.integers(1, 5))
    def test_as_many_of_each_class_is_one_to_one(self, measured: Units, seed: int, regions: int) -> None:
        shuffled = np.random.default_rng(seed).permutation(len(measured))
        drawn = [measured[i] for i in shuffled]
        like, region = inherited(drawn, measured, regions, seed)
        assert sorted(like) == list(range(len(measured)))
        assert [measured[i] for i in like] == drawn
        assert all(0 <= r < regions for r in region)

    @given(units(), st.integers(1, 6), st.integers(0, 2**32))
    def test_grown_units_of_one_live_in_different_regions(self, measured: Units, regions: int, seed: int) -> None:
        like, region = inherited(measured * regions, measured, regions, seed)
        assert Counter(like) == Counter(dict.fromkeys(range(len(measured)), regions))
        assert len(set(zip(like, region, strict=True))) == len(like)

    def test_regions_are_of_equal_weight(self) -> None:
        measured = [(0, size) for size in range(2_000)]
        _, region = inherited(measured, measured, 5, seed=1)
        assert scipy.stats.chisquare(np.bincount(region, minlength=5)).pvalue > ERROR_RATE

    def test_ties_are_broken_at_random(self) -> None:
        measured = [(0, 1)] * 4
        first = [inherited([(0, 1)] * 2, measured, seed=seed)[0][0] for seed in range(4_000)]
        assert scipy.stats.chisquare(np.bincount(first, minlength=4)).pvalue > ERROR_RATE

    def test_nobody_drawn(self) -> None:
        assert inherited([], [(0, 1)]) == ([], [])


@st.composite
def tickets(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """number, unit, place, wanted, places."""
    kinds = draw(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=4, unique=True), min_size=1, max_size=8))
    unit = np.repeat(np.arange(len(kinds)), [len(own) for own in kinds])
    number = np.array(draw(st.lists(st.integers(1, 5), min_size=len(unit), max_size=len(unit))))
    place = np.array([kind for own in kinds for kind in own])
    wanted = np.array(draw(st.lists(st.integers(0, 40), min_size=len(kinds), max_size=len(kinds))))
    places = np.array(draw(st.lists(st.integers(0, 60), min_size=5, max_size=5)))
    return number, unit, place, wanted, places


class TestUseTickets:
    @given(tickets(), st.integers(0, 2**32))
    def test_sums_are_exact(self, drawn: tuple[np.ndarray, ...], seed: int) -> None:
        _, unit, _, wanted, _ = drawn
        used = used_of(*drawn, np.random.default_rng(seed))
        assert np.all(used >= 0)
        assert np.bincount(unit, used, minlength=len(wanted)).tolist() == wanted.tolist()

    @given(tickets(), st.integers(0, 2**32))
    def test_each_equally_often_up_to_one(self, drawn: tuple[np.ndarray, ...], seed: int) -> None:
        number, unit, _, wanted, _ = drawn
        used = used_of(*drawn, np.random.default_rng(seed))
        often = wanted // np.bincount(unit, number, minlength=len(wanted)).astype(int)
        assert np.all(used >= often[unit] * number)
        assert np.all(used <= (often[unit] + 1) * number)

    @given(tickets(), st.integers(1, 3), st.integers(0, 2**32))
    def test_each_once_when_as_many_are_wanted(self, drawn: tuple[np.ndarray, ...], times: int, seed: int) -> None:
        number, unit, place, _, places = drawn
        wanted = np.bincount(unit, number).astype(int) * times
        used = used_of(number, unit, place, wanted, places, np.random.default_rng(seed))
        assert used.tolist() == (number * times).tolist()

    @pytest.mark.parametrize("seed", range(3))
    def test_the_choice_goes_where_there_are_places(self, seed: int) -> None:
        # 500 units hold 3 tickets for each of 4 places and use 4 of 12: a free choice, which can meet the places.
        unit, place = np.repeat(np.arange(500), 4), np.tile(np.arange(4), 500)
        places = np.array([1300, 400, 250, 50])
        used = used_of(np.full(2000, 3), unit, place, np.full(500, 4), places, np.random.default_rng(seed))
        # Systematic rounding: every place misses by less than its own rounding error, 1/2 per unit at most.
        np.testing.assert_allclose(np.bincount(place, used), places, atol=0.05 * 2000)

    def test_nobody_wants_the_place_but_has_no_other(self) -> None:
        used = used_of(
            np.array([5, 5, 5]),
            np.array([0, 1, 1]),
            np.array([0, 0, 1]),
            np.array([3, 3]),
            np.array([0, 6]),
            np.random.default_rng(0),
        )
        assert used.tolist() == [3, 0, 3]

    @given(tickets())
    @settings(max_examples=20)
    def test_same_generator_same_use(self, drawn: tuple[np.ndarray, ...]) -> None:
        first, again = (used_of(*drawn, np.random.default_rng(5)) for _ in range(2))
        assert first.tolist() == again.tolist()
