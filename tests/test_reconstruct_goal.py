"""The sizes that a reconstruction is aimed at: told, drawn within what is left open, or refused by name."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedgen.errors import FiguresError
from fedgen.statistics.vocabulary import Statistic
from gen.reconstruct.goal import Goal, Interval, totals
from gen.reconstruct.told import Told


def number(of: str, low: float, high: float | None = None, name: str | None = None) -> Told:
    return Told(name or of, Statistic("number", of=of), low, low if high is None else high)


def mean(of: str, low: float, high: float) -> Told:
    return Told(f"mean {of}", Statistic("mean", of=of), low, high)


SIZES = [number("users", 100), number("servers", 10), number("rooms", 20)]


def drawn(figures: list[Told], seed: int = 0) -> Goal:
    return totals(figures, np.random.default_rng(seed))


class TestTotals:
    def test_what_is_told_exactly(self) -> None:
        goal = drawn([*SIZES, number("memberships", 300), number("presences", 60)])
        assert (goal.users, goal.servers, goal.rooms, goal.n_memberships, goal.n_presences) == (100, 10, 20, 300, 60)

    def test_what_no_figure_tells_is_left_to_the_laws(self) -> None:
        goal = drawn(SIZES)
        assert (goal.n_memberships, goal.n_presences) == (None, None)
        assert (goal.memberships.low, goal.memberships.high) == (100, 2000)
        assert (goal.presences.low, goal.presences.high) == (20, 200)
        assert drawn([*SIZES, number("memberships", 150, inf)]).n_memberships is None

    @given(st.integers(0, 2**32), st.integers(5, 50), st.integers(0, 5))
    def test_a_range_is_drawn_from(self, seed: int, low: int, width: int) -> None:
        goal = drawn([*SIZES[:2], number("rooms", low, low + width), number("memberships", 400, 420)], seed)
        assert low <= goal.rooms <= low + width
        assert goal.n_memberships is not None
        assert 400 <= goal.n_memberships <= 420

    def test_all_numbers_of_a_range_are_drawn(self) -> None:
        assert {drawn([*SIZES[:2], number("rooms", 5.5, 8.5)], seed).rooms for seed in range(60)} == {6, 7, 8}

    @pytest.mark.parametrize(
        ("of", "total", "units"),
        [
            ("rooms_per_user", "memberships", 100),
            ("users_per_room", "memberships", 20),
            ("memberships_per_server", "memberships", 10),
            ("servers_per_room", "presences", 20),
            ("rooms_per_server", "presences", 10),
        ],
    )
    def test_a_mean_tells_a_total(self, of: str, total: str, units: int) -> None:
        middle = (400 if total == "memberships" else 100) / units
        goal = drawn([*SIZES, mean(of, middle - 0.1, middle + 0.1)])
        interval = getattr(goal, total)
        assert (interval.low, interval.high) == pytest.approx(((middle - 0.1) * units, (middle + 0.1) * units))
        assert interval.low <= getattr(goal, f"n_{total}") <= interval.high

    def test_number_and_mean_meet(self) -> None:
        goal = drawn([*SIZES, mean("rooms_per_user", 3.0, 4.0), number("memberships", 390, 500)])
        assert (goal.memberships.low, goal.memberships.high) == (390, 400)
        assert goal.memberships.figures == ("memberships", "mean rooms_per_user")


class TestRefused:
    @pytest.mark.parametrize("missing", ["users", "servers", "rooms"])
    def test_a_size_that_is_not_told(self, missing: str) -> None:
        figures = [figure for figure in SIZES if figure.id != missing]
        with pytest.raises(FiguresError, match=f"no figure tells how many {missing} there are"):
            drawn(figures)
        with pytest.raises(FiguresError, match=f"no figure tells how many {missing} there are"):
            drawn([*figures, number(missing, 5, inf)])  # bounded from below alone

    @pytest.mark.parametrize(
        ("more", "names"),
        [
            ([number("rooms", 22, name="r2")], ["rooms", "r2"]),
            ([number("memberships", 300), mean("rooms_per_user", 3.5, 4)], ["memberships", "mean rooms_per_user"]),
            ([mean("rooms_per_user", 2, 2.5), mean("users_per_room", 20, 25)], ["mean rooms_per_user"]),
            ([mean("servers_per_room", 1, 2), mean("rooms_per_server", 5, 6)], ["mean servers_per_room"]),
        ],
    )
    def test_contradictions_are_named(self, more: list[Told], names: list[str]) -> None:
        with pytest.raises(FiguresError, match="together") as told:
            drawn([*SIZES, *more])
        for name in [*names, more[-1].id]:
            assert f'"{name}"' in str(told.value)

    def test_fewer_users_than_servers(self) -> None:
        with pytest.raises(FiguresError, match='"users", "servers" together'):
            drawn([number("users", 9), *SIZES[1:]])

    @pytest.mark.parametrize("one", [number("memberships", 99), number("memberships", 2001), number("presences", 201)])
    def test_a_total_that_the_sizes_do_not_allow(self, one: Told) -> None:
        with pytest.raises(FiguresError, match=f'"{one.id}" contradicts the numbers of users, servers and rooms'):
            drawn([*SIZES, one])

    def test_no_whole_number(self) -> None:
        with pytest.raises(FiguresError, match='"rooms"'):
            drawn([*SIZES[:2], number("rooms", 5.2, 5.8)])


class TestInterval:
    @given(st.tuples(st.integers(0, 9), st.integers(0, 9)).map(sorted), st.tuples(*[st.integers(0, 9)] * 2).map(sorted))
    def test_and_is_the_common_part(self, one: list[int], two: list[int]) -> None:
        common = set(range(one[0], one[1] + 1)) & set(range(two[0], two[1] + 1))
        first = Interval(one[0], one[1], ("a",))
        if not common:
            with pytest.raises(FiguresError, match='"a", "b"'):
                first.and_(two[0], two[1], ("b",))
            return
        both = first.and_(two[0], two[1], ("b", "a"))
        assert (both.low, both.high, both.figures) == (min(common), max(common), ("a", "b"))
