"""Rooms per user: runs against plain versions user by user, and what every draw keeps."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import replace
from itertools import accumulate, pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from fedgen.ragged import offsets_of
from fitting.fit import fit
from fitting.model import Model
from gen.degrees import _inherit, _merged, _of_head, _ranked, _rows_of, _settled, _upto, draw_degrees
from gen.plan import make_plan
from gen.presences import place
from gen.rooms import draw_rooms
from gen.sample import draw
from gen.servers import draw_servers
from tests.strategies import federations

if TYPE_CHECKING:
    from fedgen.federation import Federation
    from gen.degrees import Degrees
    from gen.plan import Plan
    from gen.presences import Placement

ERROR_RATE = 1e-4
"""Chance that a statistical test on its fixed seeds fails, over all choices of them."""

numbers = st.lists(st.integers(1, 30), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def model(teams: Federation) -> Model:
    return fit(teams)


def row_of(rank: int, n: int, number: list[int]) -> int:
    """The row that the user of a rank of n inherits from."""
    there = sum(number)
    return bisect_right(list(accumulate(number)), (2 * rank + 1) * there // (2 * n))


def drawn(model: Model, plan: Plan) -> tuple[Placement, Degrees]:
    rooms = draw_rooms(model, plan)
    placement = place(model, plan, rooms, draw_servers(model, plan, rooms))
    return placement, draw_degrees(model, plan, placement)


def keeps(model: Model, placement: Placement, degrees: Degrees) -> None:
    """As many users of each server as there are, in as many rooms as it has memberships, none in more than it is."""
    m = np.diff(placement.offsets)
    assert np.all(degrees.number >= 1)
    for s, (begin, end) in enumerate(pairwise(degrees.offsets.tolist())):
        number, rooms, row = degrees.number[begin:end], degrees.rooms[begin:end], degrees.row[begin:end]
        assert number.sum() == placement.server_users[s]
        assert number @ rooms == placement.users[placement.offsets[s] : placement.offsets[s + 1]].sum()
        assert rooms[0] >= 1
        assert rooms[-1] <= m[s]
        assert np.all(np.diff(rooms) >= 0)
        assert np.all(np.diff(row) >= 0)
        # Who they inherit from is the measured user of their rank on the server that theirs inherits from.
        rows = _rows_of(model, int(placement.like[s]))
        ranks = np.repeat(row, number).tolist()
        there = model.users.number[rows].tolist()
        some = range(0, len(ranks), max(1, len(ranks) // 50))
        assert [ranks[rank] for rank in some] == [int(rows[row_of(rank, len(ranks), there)]) for rank in some]


class TestEveryDraw:
    @given(federations(max_users=25, max_servers=8, max_rooms=15), st.integers(1, 3), st.integers(0, 99))
    def test_of_any(self, federation: Federation, factor: int, seed: int) -> None:
        model = fit(federation)
        keeps(model, *drawn(model, make_plan(model, servers=factor * federation.n_servers, seed=seed)))

    @pytest.mark.parametrize("factor", [0.1, 1, 3])
    def test_of_an_example(self, model: Model, factor: float) -> None:
        for seed in range(2):
            keeps(model, *drawn(model, make_plan(model, servers=round(930 * factor), seed=seed)))

    def test_of_large_heads(self) -> None:
        model = Model.builtin()
        placement, degrees = drawn(model, make_plan(model, servers=9000, seed=1))
        keeps(model, placement, degrees)
        # Hundreds of thousands of users are a few thousand runs: a d begins one, and so does a measured user.
        assert placement.server_users[0] > 300_000
        for h in range(len(model.heads.users)):
            begin, end = degrees.offsets[h : h + 2]
            values = np.unique(degrees.rooms[begin:end])
            assert end - begin < len(values) + len(_rows_of(model, int(placement.like[h])))

    def test_measured_margins_are_the_measured_degrees(self, teams: Federation, model: Model) -> None:
        placement, degrees = drawn(model, make_plan(model, margins="measured", seed=3))
        keeps(model, placement, degrees)
        d = np.repeat(degrees.rooms, degrees.number)
        assert sorted(d.tolist()) == sorted(teams.rooms_per_user.tolist())
        users = np.split(d, np.cumsum(placement.server_users)[:-1])
        measured = np.split(teams.rooms_per_user, np.cumsum(teams.users_per_server)[:-1])
        assert Counter(tuple(sorted(of.tolist())) for of in users) == Counter(
            tuple(sorted(of.tolist())) for of in measured
        )

    def test_same_seed_and_another(self, model: Model) -> None:
        one, same, other = (drawn(model, make_plan(model, seed=seed))[1] for seed in (5, 5, 6))
        assert np.array_equal(one.rooms, same.rooms)
        assert np.array_equal(one.number, same.number)
        assert not (len(one.rooms) == len(other.rooms) and np.array_equal(one.rooms, other.rooms))


class TestRuns:
    @given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5)), min_size=1))
    def test_merged(self, runs: list[tuple[int, int]]) -> None:
        values, number = (np.array(column) for column in zip(*runs, strict=True))
        wanted = Counter(d for d, often in runs for _ in range(often))
        distinct, often = _merged(values, number)
        assert list(zip(distinct.tolist(), often.tolist(), strict=True)) == sorted(wanted.items())

    @given(numbers, st.integers(1, 80))
    def test_upto(self, number: list[int], n: int) -> None:
        rows = [row_of(rank, n, number) for rank in range(n)]
        assert _upto(n, np.array(number)).tolist() == [sum(row <= upto for row in rows) for upto in range(len(number))]

    @given(st.sets(st.integers(1, 40), min_size=1, max_size=8), numbers, st.data())
    def test_ranked(self, values: set[int], number: list[int], data: st.DataObject) -> None:
        often = data.draw(st.lists(st.integers(1, 20), min_size=len(values), max_size=len(values)))
        d = [value for value, times in zip(sorted(values), often, strict=True) for _ in range(times)]
        # The rows of this server lie somewhere among those of all.
        model: Any = SimpleNamespace(users=SimpleNamespace(number=np.array([7, 7, *number, 7])))
        rows = np.arange(2, 2 + len(number))
        runs, rooms, row = _ranked(model, rows, np.array(sorted(values)), np.array(often))
        assert np.all(runs >= 1)
        assert np.repeat(rooms, runs).tolist() == d
        assert np.repeat(row, runs).tolist() == [2 + row_of(rank, len(d), number) for rank in range(len(d))]

    @given(numbers, numbers, st.data())
    def test_inherit(self, heads: list[int], body: list[int], data: st.DataObject) -> None:
        """One head server (-1) and one of the body (0), each with a row per number of alike users."""
        model: Any = SimpleNamespace(
            users=SimpleNamespace(number=np.array(heads + body), server=np.repeat([-1, 0], [len(heads), len(body)])),
            heads=SimpleNamespace(users=np.array([sum(heads)])),
            servers=SimpleNamespace(users=np.array([sum(body)])),
        )
        like, n = (data.draw(st.lists(each, min_size=3, max_size=3)) for each in (st.integers(0, 1), st.integers(1, 9)))
        wanted = [
            row_of(rank, users, heads) if of == 0 else len(heads) + row_of(rank, users, body)
            for of, users in zip(like, n, strict=True)
            for rank in range(users)
        ]
        assert _inherit(model, np.array(like), np.repeat(np.arange(3), n), offsets_of(np.array(n))).tolist() == wanted

    @given(st.data())
    def test_settled(self, data: st.DataObject) -> None:
        """Any memberships that n users of a server in m rooms can have."""
        values = data.draw(st.lists(st.integers(1, 60), min_size=1, max_size=8, unique=True))
        number = data.draw(st.lists(st.integers(1, 50), min_size=len(values), max_size=len(values)))
        n, m = sum(number), data.draw(st.integers(1, 80))
        e = data.draw(st.integers(n, n * m))
        top = data.draw(st.integers(1, 80))
        model: Any = SimpleNamespace(users=SimpleNamespace(rooms=np.array([1, top])))
        d, often = _settled(
            model, np.array(sorted(values)), np.array(number), e, m, np.random.default_rng(data.draw(st.integers(0, 9)))
        )
        assert (often.sum(), often @ d) == (n, e)
        assert d[0] >= 1
        assert d[-1] <= m
        assert d[-1] <= top or e > n * top
        assert np.all(np.diff(d) > 0)
        assert np.all(often >= 1)

    def test_settled_leaves_what_is_right(self) -> None:
        values, number = np.array([1, 2, 5]), np.array([10, 4, 1])
        model: Any = SimpleNamespace(users=SimpleNamespace(rooms=values))
        d, often = _settled(model, values, number, 23, 9, np.random.default_rng(0))
        assert (d.tolist(), often.tolist()) == (values.tolist(), number.tolist())


class TestOfHead:
    """How many of a head server's users have each d."""

    @pytest.mark.parametrize("like", [0, 1, 2])
    def test_below_the_tail_as_measured(self, like: int) -> None:
        model = Model.builtin()
        rows = _rows_of(model, like)
        measured, number = model.users.rooms[rows], model.users.number[rows]
        law = model.laws["d"].tail_law
        assert law is not None
        n = 3 * int(number.sum()) + 1
        d, often = _of_head(model, rows, n, np.random.default_rng(17 + like))
        assert often.sum() == n
        assert d.min() >= 1
        assert d.max() <= model.users.rooms.max()
        bulk = measured < law.xmin
        of_bulk = d < law.xmin
        # As many of the tail as have its ranks.
        there = int(number.sum())
        inherits = (2 * np.arange(n) + 1) * there // (2 * n)
        n_bulk = np.count_nonzero(inherits < number[bulk].sum())
        assert often[of_bulk].sum() == n_bulk
        values, often_there = _merged(measured[bulk], number[bulk])
        expected = n_bulk * often_there / often_there.sum()
        found = dict(zip(d.tolist(), often.tolist(), strict=True))
        observed = np.array([found.get(value, 0) for value in values.tolist()])
        rare = expected < 10
        if rare.any():
            observed = np.append(observed[~rare], observed[rare].sum())
            expected = np.append(expected[~rare], expected[rare].sum())
        assert scipy.stats.chisquare(observed, expected).pvalue > ERROR_RATE / 3

    def test_tail_about_its_ranks(self, model: Model) -> None:
        """On average over draws the median of the tail is the measured one, within a tenth."""
        rows = _rows_of(model, len(model.heads.users) - 1)
        law = model.laws["d"].tail_law
        assert law is not None
        measured, number = model.users.rooms[rows], model.users.number[rows]
        tail = np.repeat(measured, number)
        tail = tail[tail >= law.xmin]
        assert len(tail) > 50
        medians = []
        for seed in range(50):
            d, often = _of_head(model, rows, int(number.sum()), np.random.default_rng(seed))
            new = np.repeat(d, often)[-len(tail) :]
            medians.append(np.median(new))
        assert np.mean(medians) == pytest.approx(np.median(tail), rel=0.1)

    def test_without_a_tail_law_all_are_measured_ones(self) -> None:
        model = Model.builtin()
        model = replace(model, laws={**model.laws, "d": replace(model.laws["d"], law=None)})
        rows = _rows_of(model, 1)
        d, often = _of_head(model, rows, 10_000, np.random.default_rng(3))
        assert often.sum() == 10_000
        assert set(d.tolist()) <= set(model.users.rooms[rows].tolist())


def test_nearly_all_are_met(model: Model) -> None:
    """Seating substitutes users where degrees cannot be met without repetition, or no swap is found: hardly ever."""
    for of, most in ((model, 0.0005), (Model.builtin(), 0.005)):
        for seed in range(2):
            plan = make_plan(of, seed=seed)
            degrees = drawn(of, plan)[1]
            asked, got = np.repeat(degrees.rooms, degrees.number), draw(of, plan).rooms_per_user
            assert asked.sum() == got.sum()
            assert np.abs(asked - got).sum() / 2 <= most * asked.sum()
