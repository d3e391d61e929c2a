"""Larger crawls: what must hold of a grown model, and forecasts of federations whose rooms are all known."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedgen
from fedgen.errors import InfeasibleError, UsageError
from fedgen.federation import Federation
from fedgen.statistics.subset import with_rooms
from fitting.clumps import users_interval
from fitting.crawl import Crawl, larger_crawl
from fitting.rounding import even_levels, in_proportion, settle
from tests.strategies import federations

if TYPE_CHECKING:
    from fitting.model import Model


def check(model: Model) -> None:
    """The tables of a grown model agree with each other and with its sizes."""
    heads, servers, users, profiles = model.heads, model.servers, model.users, model.profiles
    presences, sizes = model.presences, model.sizes
    n, m, e = (
        np.concatenate((getattr(servers, name), getattr(heads, name))) for name in ("users", "rooms", "memberships")
    )
    assert len(n) == sizes.servers
    assert n.sum() == sizes.users
    assert e.sum() == sizes.memberships
    assert m.sum() == sizes.presences
    assert np.all(n >= 1)
    assert np.all((np.maximum(n, m) <= e) & (e <= n * m))
    assert np.all(m <= sizes.rooms)
    assert np.all(np.lexsort((servers.memberships, servers.rooms, servers.users)) == np.arange(len(servers.users)))
    body = len(servers.users)
    home = np.where(users.server < 0, body - 1 - users.server, users.server)
    assert np.array_equal(np.bincount(home, users.number, minlength=len(n)), n)
    assert np.array_equal(np.bincount(home, users.number * users.rooms, minlength=len(n)), e)
    assert np.all((users.rooms >= 1) & (users.rooms <= m[home]))
    assert np.all(np.diff(users.server) >= 0)
    assert np.array_equal(np.bincount(profiles.user, profiles.number, minlength=len(home)), users.rooms)
    assert np.all(np.diff(profiles.user) >= 0)
    assert np.array_equal(np.bincount(presences.server, presences.number, minlength=body), servers.rooms)
    assert np.all(np.diff(presences.server) >= 0)
    assert min(presences.number.min(), profiles.number.min(), users.number.min()) >= 1


def seen(federation: Federation, share: float, seed: int) -> Federation:
    keep = np.zeros(federation.n_rooms, dtype=bool)
    keep[np.random.default_rng(seed).permutation(federation.n_rooms)[: round(share * federation.n_rooms)]] = True
    return with_rooms(federation, keep)


def alone(users: int) -> Federation:
    """Every user in a room and on a server of its own."""
    return Federation.from_pairs(range(users), range(users), range(users), n_servers=users, n_rooms=users)


def crowd(users: int, servers: int, rooms: int, seed: int = 0, each: int = 6) -> Federation:
    """Users of gamma rates on servers of equal size, in rooms of ``each`` users: nobody is a head."""
    rng = np.random.default_rng(seed)
    weight = rng.gamma(0.5, 1.0, users) + 1e-3
    weight /= weight.sum()
    member = np.concatenate([rng.choice(users, each, replace=False, p=weight) for _ in range(rooms)])
    user, number = np.unique(member, return_inverse=True)
    server, home = np.unique(user % servers, return_inverse=True)
    return Federation.from_pairs(home, number, np.repeat(np.arange(rooms), each), n_servers=len(server), n_rooms=rooms)


class TestAnyFederation:
    @settings(max_examples=60)
    @given(federations(), st.integers(0, 40), st.integers(0, 3))
    def test_tables_agree_and_bounds_hold(self, federation: Federation, more: int, seed: int) -> None:
        model = fedgen.fit(federation)
        crawl = larger_crawl(model, federation.n_rooms + more, seed)
        check(crawl.model)
        assert crawl.model.sizes.rooms == federation.n_rooms + more
        assert crawl.servers == crawl.model.sizes.servers >= federation.n_servers
        assert crawl.users == crawl.model.sizes.users >= federation.n_users
        assert crawl.model.rooms is model.rooms
        assert crawl.servers_interval.low <= crawl.servers_interval.high
        assert crawl.users_interval.low <= crawl.users_interval.high

    @settings(max_examples=20)
    @given(federations(), st.integers(1, 20), st.integers(0, 3))
    def test_a_federation_can_be_drawn_from_it(self, federation: Federation, more: int, seed: int) -> None:
        crawl = larger_crawl(fedgen.fit(federation), federation.n_rooms + more, seed)
        drawn = fedgen.sample(crawl.model, seed=seed)
        drawn.check()
        assert (drawn.n_servers, drawn.n_users) == (crawl.servers, crawl.users)
        assert drawn.n_rooms == federation.n_rooms + more

    @settings(max_examples=20)
    @given(federations())
    def test_as_many_rooms_as_seen_is_the_model(self, federation: Federation) -> None:
        model = fedgen.fit(federation)
        crawl = larger_crawl(model, federation.n_rooms)
        assert crawl.model is model
        assert crawl.factor == 1.0
        assert crawl.users_interval.low == crawl.users_interval.high == federation.n_users

    @pytest.mark.parametrize(
        "federation",
        [
            alone(1),
            alone(200),
            crowd(300, 300, 400),  # no head, every server one user
            crowd(300, 1, 400),  # one server
            Federation.from_pairs([0, 1, 1, 2] * 30, range(120), [0] * 120, n_servers=3, n_rooms=1),  # one room
            Federation.from_pairs(  # everybody in every room
                [i // 5 for i in range(50)],
                [i for i in range(50) for _ in range(8)],
                [r for _ in range(50) for r in range(8)],
                n_servers=10,
                n_rooms=8,
            ),
        ],
        ids=["one user", "all alone", "no head", "one server", "one room", "complete"],
    )
    @pytest.mark.parametrize("factor", [2, 5])
    def test_odd_ones(self, federation: Federation, factor: int) -> None:
        model = fedgen.fit(federation)
        crawl = larger_crawl(model, factor * federation.n_rooms)
        check(crawl.model)
        fedgen.sample(crawl.model, seed=1).check()

    def test_all_alone_grows_in_proportion(self) -> None:
        crawl = larger_crawl(fedgen.fit(alone(200)), 400)
        assert crawl.users == pytest.approx(400, rel=0.02)
        assert crawl.servers == pytest.approx(400, rel=0.02)

    def test_a_complete_one_has_no_new_users(self) -> None:
        pairs = [(user, room) for user in range(40) for room in range(12)]
        federation = Federation.from_pairs(
            [user // 4 for user in range(40)], *zip(*pairs, strict=True), n_servers=10, n_rooms=12
        )
        crawl = larger_crawl(fedgen.fit(federation), 24)
        assert (crawl.servers, crawl.users) == (10, 40)


@pytest.fixture(scope="module")
def model(teams: Federation) -> Model:
    return fedgen.fit(seen(teams, 0.5, 1))


@pytest.fixture(scope="module")
def crawls() -> tuple[Federation, list[Crawl]]:
    whole = crowd(6000, 1500, 4000)
    return whole, [
        larger_crawl(fedgen.fit(seen(whole, share, seed)), whole.n_rooms)
        for share, seeds in ((0.5, range(4)), (0.25, range(2)))
        for seed in seeds
    ]


class TestTotals:
    @pytest.mark.parametrize("factor", [1.3, 2.0, 4.0])
    def test_presences_and_memberships_grow_like_rooms(self, model: Model, factor: float) -> None:
        rooms = round(factor * model.sizes.rooms)
        sizes = larger_crawl(model, rooms).model.sizes
        exact = rooms / model.sizes.rooms
        assert sizes.presences == round(exact * model.sizes.presences)
        assert sizes.memberships == round(exact * model.sizes.memberships)

    def test_heads_keep_their_rooms_in_proportion(self, model: Model) -> None:
        grown = larger_crawl(model, 2 * model.sizes.rooms).model
        assert grown.heads.rooms.tolist() == (2 * model.heads.rooms).tolist()
        assert grown.heads.memberships.tolist() == (2 * model.heads.memberships).tolist()
        assert np.all(grown.heads.users >= model.heads.users)

    def test_same_seed_same_model(self, model: Model) -> None:
        rooms = 2 * model.sizes.rooms
        one, other = larger_crawl(model, rooms, 5), larger_crawl(model, rooms, 5)
        assert one.model.digest == other.model.digest
        assert one.users_interval == other.users_interval
        assert larger_crawl(model, rooms, 6).model.digest != one.model.digest

    def test_users_and_servers_only_grow(self, model: Model) -> None:
        crawls = [larger_crawl(model, round(t * model.sizes.rooms)) for t in (1.0, 1.5, 2.0, 3.0)]
        assert all(a.users < b.users and a.servers < b.servers for a, b in itertools.pairwise(crawls))

    def test_fewer_rooms_are_refused_with_the_range(self, model: Model) -> None:
        with pytest.raises(InfeasibleError, match=rf"give {model.sizes.rooms} to"):
            larger_crawl(model, model.sizes.rooms - 1)

    @pytest.mark.parametrize("rooms", [0, -1, 1.5, True, "many"])
    def test_no_number_of_rooms(self, model: Model, rooms: int) -> None:
        with pytest.raises(UsageError, match="rooms: "):
            larger_crawl(model, rooms)


class TestForecasts:
    """Of federations that are known: errors of several splits together, so that chance fails one in a thousand."""

    def test_counts(self, crawls: tuple[Federation, list[Crawl]]) -> None:
        whole, some = crawls
        for crawl in some:
            assert crawl.users == pytest.approx(whole.n_users, rel=0.04)
            assert crawl.servers == pytest.approx(whole.n_servers, rel=0.04)

    def test_intervals(self, crawls: tuple[Federation, list[Crawl]]) -> None:
        whole, some = crawls
        held = [
            interval.low <= truth <= interval.high
            for crawl in some
            for interval, truth in (
                (crawl.users_interval, whole.n_users),
                (crawl.servers_interval, whole.n_servers),
            )
        ]
        assert sum(held) >= 8  # of 12 at 95 %, were they independent: P(< 8) < 0.0002
        assert all(crawl.users_interval.high < 1.5 * whole.n_users for crawl in some)

    def test_laws(self, crawls: tuple[Federation, list[Crawl]]) -> None:
        whole, some = crawls
        for crawl in some[:4]:
            table = crawl.model.servers
            for grown, true in (
                (table.users, whole.users_per_server),
                (table.rooms, whole.rooms_per_server),
                (np.repeat(crawl.model.users.rooms, crawl.model.users.number), whole.rooms_per_user),
            ):
                values = np.arange(1, int(max(grown.max(), true.max())) + 1)
                distance = np.abs(
                    np.searchsorted(np.sort(grown), values, side="right") / len(grown)
                    - np.searchsorted(np.sort(true), values, side="right") / len(true)
                ).max()
                assert distance < 0.06

    def test_the_smaller_crawl_comes_back(self, teams: Federation) -> None:
        """Half of the rooms of a drawn larger crawl see as much as the crawl that it was made of."""
        small = seen(teams, 0.5, 4)
        model = fedgen.fit(small)
        crawl = larger_crawl(model, 2 * small.n_rooms, 1)
        drawn = fedgen.sample(crawl.model, seed=1)
        back = [seen(drawn, 0.5, seed) for seed in range(12)]
        for name in ("n_servers", "n_users", "n_memberships"):
            assert np.mean([getattr(one, name) for one in back]) == pytest.approx(getattr(small, name), rel=0.1)

    def test_intervals_know_of_clumps(self) -> None:
        """With as many newcomers, fewer and larger rooms make a wider interval."""
        rng = np.random.default_rng(0)
        many, few = fedgen.fit(crowd(6000, 600, 1200, each=3)), fedgen.fit(crowd(6000, 600, 60, each=60))
        widths = [one.high - one.low for one in (users_interval(model, 2.0, 500.0, rng) for model in (many, few))]
        assert widths[1] > 2 * widths[0]

    def test_company_grows(self, teams: Federation) -> None:
        from fitting.model import Company

        model = replace(fedgen.fit(seen(teams, 0.5, 1)), company=Company(100, 400, 10, 50, 200, 20))
        company = larger_crawl(model, 2 * model.sizes.rooms).model.company
        assert company is not None
        assert (company.butterflies, company.user_meetings, company.server_meetings) == (200, 400, 800)
        assert 100 < company.server_pairs < 200


class TestRounding:
    @given(st.integers(0, 2**32), st.lists(st.integers(1, 3), max_size=30))
    def test_even_levels(self, seed: int, alike: list[int]) -> None:
        keys = np.array(alike, dtype=np.int64)
        levels = even_levels(keys, np.random.default_rng(seed))
        for key in set(alike):
            mine = np.sort(levels[keys == key])
            assert np.array_equal(np.floor(mine * len(mine)), np.arange(len(mine)))

    @given(st.integers(0, 2**32), st.data())
    def test_in_proportion(self, seed: int, data: st.DataObject) -> None:
        groups = data.draw(st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=5), min_size=1, max_size=6))
        totals = np.array(data.draw(st.lists(st.integers(0, 50), min_size=len(groups), max_size=len(groups))))
        number = np.array([x for group in groups for x in group])
        owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        found = in_proportion(number, owner, totals, np.random.default_rng(seed))
        assert np.array_equal(np.bincount(owner, found), totals)
        exact = number * totals[owner] / np.bincount(owner, number)[owner]
        assert np.all(np.abs(found - exact) < 1.0 + 1e-9)

    @given(st.integers(0, 2**32), st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(-5, 120))
    def test_settle(self, seed: int, values: list[int], total: int) -> None:
        start = np.array(values)
        high = np.full(len(start), 9)
        found = settle(start, np.zeros_like(start), high, total, np.random.default_rng(seed))
        assert np.all((found >= 0) & (found <= high))
        assert found.sum() == min(max(total, 0), 9 * len(start))

    @given(st.integers(0, 2**32), st.integers(0, 40))
    def test_settle_in_groups(self, seed: int, total: int) -> None:
        group = np.array([0, 0, 0, 1, 1, 2])
        start, below, above = np.ones(6, dtype=np.int64), np.array([1, 2, 0]), np.array([4, 6, 1])
        found = settle(
            start, np.zeros(6, dtype=np.int64), np.full(6, 9), total, np.random.default_rng(seed), group, below, above
        )
        sums = np.bincount(group, found)
        assert np.all((below <= sums) & (sums <= above))
        assert found.sum() == min(max(total, 3), 11)
