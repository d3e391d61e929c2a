"""Users per server, rooms of servers, rooms and their sizes, rooms per user: drawn so that figures hold."""

from collections.abc import Iterator

import numpy as np
import pytest
import scipy.optimize  # noqa: F401 - so that the limit below holds for it
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from fedgen.errors import FiguresError
from fedgen.federation import Federation
from fedgen.statistics.vocabulary import Statistic, Where
from gen.reconstruct.errors import DeadEndError
from gen.reconstruct.goal import Goal, Interval
from gen.reconstruct.rooms import RoomLaws, draw_rooms
from gen.reconstruct.servers import ServerLaws, draw_rooms_of_body, draw_users
from gen.reconstruct.told import Told
from gen.reconstruct.users import Degrees, least_memberships, likeliest_memberships, seat

N, M, K, U, D = "users_per_server", "rooms_per_server", "servers_per_room", "users_per_room", "rooms_per_user"
SEEDS = range(12)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Many small matrices; the limit holds for the linear algebra that is loaded by then, scipy's too."""
    with threadpool_limits(1, user_api="blas"):
        yield


def goal(users: int = 1000, servers: int = 60, rooms: int = 80, **options: object) -> Goal:
    told = {
        "memberships": Interval(users, users * rooms),
        "presences": Interval(max(servers, rooms), servers * rooms),
        "n_memberships": None,
        "n_presences": None,
    }
    return Goal(users, servers, rooms, **(told | options))


def told(name: str, of: str, low: float, high: float | None = None, **keys: object) -> Told:
    return Told(f"{name} {of} {keys}", Statistic(name, of=of, **keys), low, low if high is None else high)


class TestUsersOfServers:
    FIGURES = (
        told("max", N, 500),
        told("rank", N, 120, rank=2),
        told("sum", N, 740, 780, ranks=(1, 4)),
        told("share", N, 0.5, 0.6, most=3),
        told("count", N, 12, 16, least=10),
    )

    def test_figures_hold_and_all_users_have_one(self) -> None:
        laws = ServerLaws.of(goal(), self.FIGURES)
        drawn = [draw_users(laws, np.random.default_rng(seed)) for seed in SEEDS]
        for n in drawn:
            assert (len(n), n.sum(), n.min() >= 1) == (60, 1000, True)
            assert np.all(np.diff(n) <= 0)
            assert (n[0], n[1]) == (500, 120)
            assert 740 <= n[:4].sum() <= 780
            assert 0.5 <= np.mean(n <= 3) <= 0.6
            assert 12 <= np.count_nonzero(n >= 10) <= 16
        assert len({tuple(n.tolist()) for n in drawn}) > 1

    @pytest.mark.xfail(
        reason="the size at rank 4 is chosen as 55 without the sum, which needs 40 to 50", raises=FiguresError
    )
    def test_a_sum_below_what_the_law_expects(self) -> None:
        laws = ServerLaws.of(goal(), [*self.FIGURES[:2], told("sum", N, 700, 720, ranks=(1, 4))])
        assert 700 <= draw_users(laws, np.random.default_rng(0))[:4].sum() <= 720

    @pytest.mark.parametrize(
        "figure",
        [
            told("sum", N, 940, 960, ranks=(1, 20)),
            told("sum_share", N, 0.94, 0.96, ranks=(1, 20)),
            told("sum", N, 40, 60, ranks=(21, None)),
            told("sum_share", N, 0.04, 0.06, ranks=(21, None)),
        ],
    )
    def test_one_sum_in_four_ways(self, figure: Told) -> None:
        laws = ServerLaws.of(goal(), [figure])
        for seed in SEEDS:
            n = draw_users(laws, np.random.default_rng(seed))
            assert n.sum() == 1000
            assert 940 <= n[:20].sum() <= 960

    def test_nothing_told(self) -> None:
        for size in (1, 2, 60, 1000):
            n = draw_users(ServerLaws.of(goal(servers=size), []), np.random.default_rng(0))
            assert (len(n), n.sum(), n.min() >= 1) == (size, 1000, True)

    def test_what_cannot_be_is_named(self) -> None:
        laws = ServerLaws.of(goal(), [told("max", N, 10)])
        with pytest.raises(FiguresError, match="max users_per_server"):
            draw_users(laws, np.random.default_rng(0))


class TestRoomsOfBody:
    @given(st.integers(0, 2**32), st.integers(150, 500))
    @settings(max_examples=15)
    def test_figures_hold_with_the_head(self, seed: int, total: int) -> None:
        rng = np.random.default_rng(seed)
        n = np.array([400, *sorted(rng.integers(1, 20, 49).tolist(), reverse=True)])
        least = 1 + (rng.random(49) < 0.2)
        figures = [
            told("max", M, 70),
            told("share", M, 0.2, 0.9, most=4),
            told("min", M, 1, 3, where=Where(N, least=2, most=6)),
            told("max", M, 6, 20, where=Where(N, most=1)),
        ]
        n[-4:] = 1
        head = np.array([70])
        m = draw_rooms_of_body(goal(), figures[:1], n, head, total=total, top=50, least=least, rng=rng)
        assert m.sum() == total
        assert np.all((m >= least) & (m <= 50))
        m = draw_rooms_of_body(
            goal(servers=50), figures, n, head, total=total, top=50, least=np.ones(49, dtype=np.int64), rng=rng
        )
        assert m.sum() == total
        every = np.append(head, m)
        assert 0.2 <= np.mean(every <= 4) <= 0.9
        assert 1 <= every[(n >= 2) & (n <= 6)].min() <= 3
        assert 6 <= every[n <= 1].max() <= 20

    def test_no_body(self) -> None:
        m = draw_rooms_of_body(
            goal(servers=1), [], np.array([9]), np.array([4]), total=0, top=9, least=np.zeros(0), rng=np.random
        )
        assert len(m) == 0


class TestRooms:
    FIGURES = (
        told("max", K, 30),
        told("share", K, 0.6, 0.7, most=4),
        told("max", U, 400),
        told("share", U, 0.4, 0.5, least=10, most=100),
        told("median", U, 20, 40, where=Where(K, least=5)),
        told("max", U, 100, 200, where=Where(K, least=1, most=1)),
        told("min", "users_per_server_of_room", 1, 1.5, where=Where(K, least=3, most=9)),
    )

    def test_figures_hold(self) -> None:
        laws = RoomLaws.of(goal(), self.FIGURES)
        for seed in SEEDS:
            rooms = draw_rooms(laws, None, np.random.default_rng(seed))
            k, u = rooms.servers, rooms.users
            assert np.all((k >= 1) & (k <= u) & (k <= 60) & (u <= 1000))
            assert np.array_equal(rooms.spare, u - k)
            assert (k.max(), u.max()) == (30, 400)
            assert 0.6 <= np.mean(k <= 4) <= 0.7
            assert 0.4 <= np.mean((u >= 10) & (u <= 100)) <= 0.5
            assert 20 <= np.median(u[k >= 5]) <= 40
            assert 100 <= u[k == 1].max() <= 200
            assert (u / k)[(k >= 3) & (k <= 9)].min() <= 1.5

    def test_totals_hold(self) -> None:
        aim = goal(n_memberships=3000.0, n_presences=400.0)
        laws = RoomLaws.of(aim, [])
        for seed in SEEDS:
            rooms = draw_rooms(laws, None, np.random.default_rng(seed))
            assert rooms.servers.sum() == 400
            assert rooms.users.sum() == 3000
            assert np.all(rooms.servers <= rooms.users)

    def test_transactions_are_steered(self) -> None:
        laws = RoomLaws.of(goal(n_memberships=3000.0, n_presences=400.0), [told("max", K, 40), told("max", U, 500)])

        def sent(seed: int, transactions: float | None) -> float:
            rooms = draw_rooms(laws, transactions, np.random.default_rng(seed))
            return float((rooms.servers - 1) @ laws.speech.weight(rooms.servers, rooms.users))

        for seed in SEEDS:
            free = sent(seed, None)
            for aim in (0.8 * free, 1.3 * free):
                assert sent(seed, aim) == pytest.approx(aim, rel=0.1)


@st.composite
def degrees(draw: st.DrawFn) -> tuple[np.ndarray, list[Told]]:
    d = np.array(draw(st.lists(st.integers(1, 9), min_size=1, max_size=20)))
    low, high = (draw(st.integers(0, 3)) / 100 for _ in range(2))
    figures = [told("max", D, int(d.max())), told("share", D, np.mean(d == 1) - low, np.mean(d == 1) + high, most=1)]
    if draw(st.booleans()):
        figures.append(told("count", D, int(np.count_nonzero(d >= 3)), least=3))
    return d, figures


class TestMemberships:
    @given(degrees())
    def test_the_least_is_no_more_than_any_that_there_is(self, drawn: tuple[np.ndarray, list[Told]]) -> None:
        d, figures = drawn
        aim = goal(users=len(d), rooms=9)
        assert least_memberships(aim, figures) <= d.sum() + 1e-6

    def test_known_least(self) -> None:
        """Of ten users one is in five rooms and five at most in one: 5 + 5 + 4 times 2."""
        figures = [told("max", D, 5), told("share", D, 0.45, 0.55, most=1)]
        assert least_memberships(goal(users=10), figures) == pytest.approx(18)
        assert least_memberships(goal(users=10), []) == pytest.approx(10)

    def test_the_likeliest_is_that_which_fits_the_law(self) -> None:
        figures = [told("share", D, 0.6, 0.62, most=1), told("max", D, 40)]
        assert likeliest_memberships(goal(), figures, [30_000.0, 2_000.0, 20_000.0]) == 2_000


def hub(seed: int) -> Federation:
    """A hub of 150 users in most rooms, 12 servers of 1 to 9 whose last user is in all of their rooms."""
    rng = np.random.default_rng(seed)
    n = np.array([150, *sorted(rng.integers(1, 10, 12).tolist(), reverse=True)])
    pairs, begin = set(), 0
    for server, size in enumerate(n.tolist()):
        rooms = rng.choice(40, 34 if server == 0 else int(rng.integers(2, 12)), replace=False).tolist()
        for user in range(begin, begin + size):
            number = min(len(rooms), int(rng.geometric(0.5)))
            pairs |= {(user, r) for r in rng.choice(rooms, number, replace=False).tolist()}
        if server == 0:
            pairs |= {(begin + at, r) for at, r in enumerate(rooms)}
        else:
            pairs |= {(begin + size - 1, r) for r in rooms}
        begin += size
    pairs |= {(at % 150, r) for at, r in enumerate(set(range(40)) - {r for _, r in pairs})}
    user, room = np.array(sorted(pairs)).T
    return Federation.from_pairs(np.repeat(np.arange(13), n), user, room, n_servers=13, n_rooms=40)


def of_users(federation: Federation, air: float) -> list[Told]:
    d = federation.rooms_per_user
    alone = float(np.mean(d == 1))
    return [
        told("max", D, int(d.max())),
        told("share", D, alone - air, alone + air, most=1),
        told("share", D, np.mean(d <= 3) - air, np.mean(d <= 3) + air, most=3),
    ]


def met(figures: list[Told], d: np.ndarray) -> bool:
    values = {"max": [d.max()], "share": [np.mean(d <= 1), np.mean(d <= 3)]}
    return all(f.low - 1e-9 <= values[f.statistic.name].pop(0) <= f.high + 1e-9 for f in figures)


class TestDegrees:
    def test_others_and_rest_meet_the_figures(self) -> None:
        for seed in SEEDS:
            federation, rng = hub(seed), np.random.default_rng(seed)
            n, m, d = federation.users_per_server, federation.rooms_per_server, federation.rooms_per_user
            figures = of_users(federation, 0.01)
            made = Degrees.of(figures, n, m, 1, len(federation.membership_user), rng)
            assert np.array_equal(made.first, m[1:])
            others = made.others(len(d), int(d.sum()), rng)
            every = np.append(made.first, others)
            assert (len(every), every.sum()) == (len(d), d.sum())
            assert met(figures, every)
            counts = federation.presences.users[federation.presences.server == 0]
            rest = made.rest(int(n[0]), counts, d[n[0] :], int(d.max()), rng)
            every = np.append(d[n[0] :], rest)
            assert (len(every), every.sum()) == (len(d), d.sum())
            assert met(figures, every)

    @given(st.lists(st.integers(0, 99), max_size=20))
    def test_bins_count(self, sizes: list[int]) -> None:
        made = Degrees.of([], np.array([50, 20]), np.array([99, 3]), 1, 300, np.random.default_rng(0))
        d = np.array(sizes, dtype=np.int64) + 1
        d = d[d <= 99]
        table = made.table
        expected = [np.count_nonzero((d >= a) & (d <= b)) for a, b in zip(table.low[0], table.high[0], strict=True)]
        assert made.bins(d).tolist() == expected

    def test_what_cannot_be_is_refused(self) -> None:
        made = Degrees.of(
            [told("share", D, 0.9, 1, most=1)],
            np.array([50, 20]),
            np.array([9, 3]),
            1,
            600,
            np.random.default_rng(0),
        )
        with pytest.raises(DeadEndError):
            made.others(70, 600, np.random.default_rng(0))


class TestSeat:
    def test_every_presence_has_its_users_and_figures_hold(self) -> None:
        for seed in SEEDS:
            before, rng = hub(seed), np.random.default_rng(seed)
            n, m, d, p = before.users_per_server, before.rooms_per_server, before.rooms_per_user, before.presences
            figures = of_users(before, 0.02)
            made = Degrees.of(figures, n, m, 1, before.n_memberships, rng)
            pool = made.others(len(d), before.n_memberships, rng)
            beside = p.users - (p.server > 0)
            after = seat(made, n, 1, p.server, p.room, beside, pool, int(d.max()), before.n_rooms, rng)
            after.check()
            q = after.presences
            for one, other in ((p.server, q.server), (p.room, q.room), (p.users, q.users)):
                assert np.array_equal(one, other)
            assert np.array_equal(after.users_per_server, n)
            assert met(figures, after.rooms_per_user)
            last = np.cumsum(n)[1:] - 1  # the first user of a body server is in all of its rooms
            assert np.array_equal(after.rooms_per_user[last], m[1:])
            assert not after.same_as(before)
