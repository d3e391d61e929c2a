"""Users of each server in each of its rooms: sums, caps and the pull towards wide rooms."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.reconstruct.counts import Places, pulled, rounded, spread
from gen.reconstruct.errors import DeadEndError
from gen.reconstruct.load import Estimate, Share


@st.composite
def places(draw: st.DrawFn, most: int = 6, sizes: int = 5) -> tuple[Places, np.ndarray]:
    """Presences whose sums some whole numbers (K,) have; and those numbers."""
    servers, rooms = draw(st.integers(1, sizes)), draw(st.integers(1, sizes))
    pairs = draw(st.sets(st.tuples(st.integers(0, servers - 1), st.integers(0, rooms - 1)), min_size=1))
    server, room = np.array(sorted(pairs)).T
    caps = np.array(draw(st.lists(st.integers(0, most), min_size=len(pairs), max_size=len(pairs))))
    held = np.array([draw(st.integers(0, cap)) for cap in caps.tolist()])
    heads = draw(st.integers(1, servers))
    rows = np.bincount(server, weights=held, minlength=servers).astype(np.int64)
    columns = np.bincount(room, weights=held, minlength=rooms).astype(np.int64)
    least = np.array([draw(st.integers(0, row)) for row in rows[:heads].tolist()], dtype=np.int64)
    return Places(server, room, heads, least, rows, columns, caps), held


def sums(p: Places, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.bincount(p.server, weights=x, minlength=len(p.rows)),
        np.bincount(p.room, weights=x, minlength=len(p.columns)),
    )


def check(p: Places, x: np.ndarray) -> None:
    """What ``rounded`` promises."""
    by_server, by_room = sums(p, x)
    assert np.array_equal(by_room, p.columns)
    assert np.array_equal(by_server[p.heads :], p.rows[p.heads :])
    assert by_server[: p.heads].sum() == p.rows[: p.heads].sum()
    assert np.all(by_server[: p.heads] >= p.least)
    assert np.all((x >= 0) & (x <= p.caps))


class TestSpread:
    @given(places(), st.integers(0, 2**32))
    def test_rooms_sum_exactly_and_caps_hold(self, drawn: tuple[Places, np.ndarray], seed: int) -> None:
        p, _ = drawn
        x = spread(p, np.random.default_rng(seed).uniform(0.2, 5.0, len(p.server)))
        assert np.all((x >= 0) & (x <= p.caps + 1e-9))
        assert np.all(sums(p, x)[1] <= p.columns + 1e-6)

    @given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32))
    def test_sums_are_met_where_caps_leave_air(self, servers: int, rooms: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        server, room = (grid.ravel() for grid in np.indices((servers, rooms)))
        held = rng.integers(1, 9, servers * rooms)
        rows, columns = (np.bincount(at, weights=held).astype(np.int64) for at in (server, room))
        p = Places(server, room, 1, np.zeros(1, dtype=np.int64), rows, columns, np.full(len(held), 10**6))
        x = spread(p, rng.uniform(0.5, 2.0, len(held)))
        by_server, by_room = sums(p, x)
        assert by_server == pytest.approx(rows, rel=1e-3)
        assert by_room == pytest.approx(columns, rel=1e-3)

    def test_even_prior_is_the_product_of_the_sums(self) -> None:
        server, room = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
        p = Places(server, room, 1, np.zeros(1), np.array([30, 10]), np.array([16, 24]), np.full(4, 99))
        assert spread(p, np.ones(4)) == pytest.approx(np.outer([30, 10], [16, 24]).ravel() / 40, rel=1e-4)

    def test_nearest_to_the_prior_keeps_its_odds(self) -> None:
        server, room = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
        p = Places(server, room, 1, np.zeros(1), np.array([30, 10]), np.array([16, 24]), np.full(4, 99))
        x = spread(p, np.array([3.0, 1.0, 1.0, 1.0]))
        assert x[0] * x[3] / (x[1] * x[2]) == pytest.approx(3.0, rel=1e-3)


class TestRounded:
    @given(places(), st.integers(0, 2**32))
    def test_sums_and_caps_hold_exactly(self, drawn: tuple[Places, np.ndarray], seed: int) -> None:
        p, _ = drawn
        check(p, rounded(p, spread(p, np.random.default_rng(seed).uniform(0.2, 5.0, len(p.server)))))

    @given(places())
    def test_whole_numbers_that_fit_stay(self, drawn: tuple[Places, np.ndarray]) -> None:
        p, held = drawn
        assert np.array_equal(rounded(p, held.astype(float)), held)

    @given(places(), st.integers(0, 2**32))
    def test_from_anywhere(self, drawn: tuple[Places, np.ndarray], seed: int) -> None:
        """However far off the real numbers are, there is a way."""
        p, _ = drawn
        check(p, rounded(p, np.random.default_rng(seed).uniform(0, p.caps)))

    def test_up_or_down_where_sums_are_met(self) -> None:
        server, room = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
        p = Places(server, room, 1, np.zeros(1, dtype=np.int64), np.array([3, 3]), np.array([2, 4]), np.full(4, 9))
        x = np.array([1.0, 2.0, 1.0, 2.0]) + 0.5 * np.array([1, -1, -1, 1])
        assert np.abs(rounded(p, x) - x).max() <= 0.5 + 1e-9

    @given(places(most=2, sizes=3), st.lists(st.integers(-2, 2), min_size=3, max_size=3))
    def test_a_dead_end_only_where_nothing_fits(self, drawn: tuple[Places, np.ndarray], off: list[int]) -> None:
        p, held = drawn
        if len(p.server) > 5:
            return
        columns = np.maximum(p.columns + np.array(off)[: len(p.columns)], 0)
        rows = p.rows.copy()
        rows[0] += columns.sum() - p.columns.sum()
        if rows[0] < 0:
            return
        least = np.minimum(p.least, rows[: p.heads])
        p = Places(p.server, p.room, p.heads, least, rows, columns, p.caps)

        def fits(x: np.ndarray) -> bool:
            try:
                check(p, x)
            except AssertionError:
                return False
            return True

        able = any(fits(np.array(x)) for x in product(*(range(cap + 1) for cap in p.caps.tolist())))
        try:
            check(p, rounded(p, np.minimum(held, p.caps).astype(float)))
        except DeadEndError:
            assert not able
        else:
            assert able


def hub() -> tuple[Places, Estimate]:
    """A hub in ten rooms of 2 to 20 servers, beside one large server in all of them and one in the small ones."""
    wide = np.array([2, 3, 4, 5, 6, 8, 10, 12, 16, 20])
    server = np.array([0] * 10 + [1] * 10 + [2] * 5)
    room = np.array([*range(10), *range(10), *range(5)])
    rows, columns = np.array([300, 150, 50]), np.full(10, 50)
    p = Places(server, room, 1, np.zeros(1, dtype=np.int64), rows, columns, np.full(25, 400))
    first = np.where(server == 0, 0.0, 0.1)
    return p, Estimate(server, room, first, np.full(25, 0.8), wide[room])


class TestPulled:
    @pytest.mark.parametrize("of", ["tx", "both"])
    def test_the_share_rises_with_the_pull(self, of: str) -> None:
        p, estimate = hub()
        share = Share(of, 0, 1, 0.0, 1.0)
        pulls = [
            estimate.share(share, spread(p, np.where(p.server == 0, estimate.wide**pull, 1.0)))
            for pull in (-3.0, -1.0, -0.3, 0.0, 0.3, 1.0, 3.0)
        ]
        assert np.all(np.diff(pulls) > 0)

    @pytest.mark.parametrize("aim", [0.54, 0.58, 0.62, 0.66])
    def test_the_aim_is_met(self, aim: float) -> None:
        p, estimate = hub()
        share = Share("tx", 0, 1, aim - 0.005, aim + 0.005)
        pulls = np.zeros(1)
        x = pulled(p, estimate, [share], [aim], pulls)
        assert estimate.share(share, x) == pytest.approx(aim, abs=0.002)
        by_server, by_room = sums(p, x)
        assert by_server == pytest.approx(p.rows, rel=1e-2)
        assert by_room == pytest.approx(p.columns, rel=1e-3)
        assert (pulls[0] > 0) == (aim > estimate.share(share, spread(p, np.ones(25))))
        assert np.array_equal(pulled(p, estimate, [share], [aim], pulls), x)  # found: no further step

    def test_two_aims(self) -> None:
        p, estimate = hub()
        shares = [Share("tx", 0, 1, 0.0, 0.01), Share("tx", 1, 2, 0.0, 0.01)]
        there = spread(p, estimate.wide ** np.array([0.8, -0.4, 0.0])[p.server])
        aims = [estimate.share(share, there) for share in shares]
        even = spread(p, np.ones(25))
        assert all(abs(estimate.share(share, even) - aim) > 0.02 for share, aim in zip(shares, aims, strict=True))
        x = pulled(p, estimate, shares, aims, np.zeros(2))
        assert [estimate.share(share, x) for share in shares] == pytest.approx(aims, abs=0.005)

    def test_out_of_reach_is_as_near_as_pulls_get(self) -> None:
        p, estimate = hub()
        share = Share("tx", 0, 1, 0.99, 1.0)
        x = pulled(p, estimate, [share], [0.995], np.zeros(1))
        assert estimate.share(share, x) > estimate.share(share, spread(p, np.ones(25))) + 0.03

    def test_nothing_asked_no_pull(self) -> None:
        p, estimate = hub()
        assert np.array_equal(pulled(p, estimate, [], [], np.zeros(0)), spread(p, np.ones(25)))


class TestEstimate:
    def test_a_room_of_two_servers(self) -> None:
        """One room, servers of 3 and 1 users who speak in it alone: 3 and 1 messages, each heard by the other."""
        estimate = Estimate(np.array([0, 1]), np.array([0, 0]), np.ones(2), np.ones(2), np.array([2, 2]))
        assert estimate.share(Share("tx", 0, 1, 0, 1), np.array([2, 0])) == pytest.approx(0.75)
        assert estimate.share(Share("both", 0, 1, 0, 1), np.array([2, 0])) == pytest.approx(0.5)

    def test_nothing_sent(self) -> None:
        estimate = Estimate(np.array([0]), np.array([0]), np.ones(1), np.ones(1), np.array([1]))
        assert estimate.share(Share("tx", 0, 1, 0, 1), np.array([2])) == 0.0
