"""The fit: every table against plain counting, sums against sizes, the rule of the heads."""

from collections import Counter
from itertools import combinations
from math import log10

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgen.errors import UsageError
from fedgen.federation import Federation
from fitting.classes import EDGES, nearest_kind, pair_kind, size_class
from fitting.communities import communities
from fitting.fit import fit
from fitting.heads import MOST, find_heads, smallest_share
from fitting.model import Model
from tests.strategies import federations


def with_heads(seed: int, small: int, large: int) -> Federation:
    """Servers of one user in two rooms, and larger and larger ones with users in three."""
    rng = np.random.default_rng(seed)
    size = [1] * small + [20 * (i + 1) for i in range(large)]
    home = np.repeat(np.arange(small + large), size)
    user = np.concatenate((np.repeat(np.arange(small), 2), np.repeat(np.arange(small, len(home)), 3)))
    room = rng.integers(0, 40, size=len(user))
    pairs = {*zip(user.tolist(), room.tolist(), strict=True), *((i, i) for i in range(40))}
    shuffled = rng.permutation(small + large)
    federation = Federation.from_pairs(shuffled[home], [u for u, _ in pairs], [r for _, r in pairs])
    federation.check()
    return federation


def plain_class(x: int) -> int:
    """1, 2, 3, then how many half decades x goes beyond."""
    return x - 1 if x <= 3 else 3 + sum(x * x > 10**i for i in range(2, 38))


def plain_kind(first: int, second: int) -> int:
    return plain_class(first) * 64 + plain_class(second)


def plain_largest(sizes: list[int]) -> int:
    """The largest size such that rooms up to it have at most 16 pairs per slot."""
    number, pairs, found = Counter(sizes), 0, 1
    for size in range(1, max(sizes) + 1):
        pairs += number[size] * (size * (size - 1) // 2)
        if pairs <= 16 * sum(sizes):
            found = size
    return found


def listed(table: object, *columns: str) -> list[tuple[int, ...]]:
    """The rows of a table."""
    return list(zip(*(getattr(table, name).tolist() for name in columns), strict=True))


def rows(table: object, *columns: str) -> Counter[tuple[int, ...]]:
    """A table as a counter of its rows; every row must be there once."""
    keys = listed(table, *columns)
    assert len(set(keys)) == len(keys)
    assert keys == sorted(keys)
    return Counter(dict(zip(keys, table.number.tolist(), strict=True)))  # type: ignore[attr-defined]


def counted(federation: Federation, model: Model) -> None:
    """Every table of the model against plain Python."""
    members = [set(room.tolist()) for room in np.split(federation.membership_user, federation.room_offsets[1:-1])]
    home = federation.user_server.tolist()
    present = [Counter(home[user] for user in room) for room in members]
    n = Counter(home)
    d = Counter(user for room in members for user in room)
    m = Counter(server for room in present for server in room)
    e = Counter(home[user] for room in members for user in room)
    k, u = [len(room) for room in present], [len(room) for room in members]
    heads = find_heads(federation).tolist()
    body = sorted((s for s in range(federation.n_servers) if s not in heads), key=lambda s: (n[s], m[s], e[s], s))
    row = {**{s: i for i, s in enumerate(body)}, **{s: -1 - h for h, s in enumerate(heads)}}
    community = communities(federation).tolist()
    type_of = [(c, plain_kind(a, b - a + 1)) for c, a, b in zip(community, k, u, strict=True)]
    types = sorted(set(type_of))

    assert model.sizes.servers == federation.n_servers
    assert model.sizes.users == len(home)
    assert model.sizes.rooms == len(members)
    assert model.sizes.memberships == sum(u)
    assert model.sizes.presences == sum(k)
    assert listed(model.heads, "users", "rooms", "memberships") == [(n[s], m[s], e[s]) for s in heads]
    assert listed(model.servers, "users", "rooms", "memberships") == [(n[s], m[s], e[s]) for s in body]
    assert listed(model.types, "community", "kind") == types
    assert rows(model.presences, "server", "type", "users") == Counter(
        (row[s], types.index(type_of[r]), count)
        for r, room in enumerate(present)
        for s, count in room.items()
        if s in body
    )

    composition = np.zeros((len(model.rooms.number), len(heads)), dtype=int)
    composition[model.rooms.row, model.rooms.head] = model.rooms.head_users
    assert np.count_nonzero(composition) == len(model.rooms.row)
    assert np.all(np.diff(model.rooms.row) >= 0)
    found = [
        (*sizes, *head)
        for sizes, head in zip(listed(model.rooms, "community", "servers", "users"), composition.tolist(), strict=True)
    ]
    assert found == sorted(set(found))
    assert Counter(dict(zip(found, model.rooms.number.tolist(), strict=True))) == Counter(
        (c, a, b, *(room[s] for s in heads)) for c, a, b, room in zip(community, k, u, present, strict=True)
    )

    kept: dict[int, Counter[tuple[int, int]]] = {user: Counter() for user in d}
    for r, room in enumerate(members):
        for user in room:
            kept[user][type_of[r]] += 1
    assert np.all(np.diff(model.users.server) >= 0)
    assert np.all(np.diff(model.profiles.user) >= 0)
    profiles: list[dict[tuple[int, int], int]] = [{} for _ in model.users.number]
    for user, type_, number in listed(model.profiles, "user", "type", "number"):
        assert types[type_] not in profiles[user]
        profiles[user][types[type_]] = number
    of_users = [
        (server, rooms, frozenset(profile.items()))
        for (server, rooms), profile in zip(listed(model.users, "server", "rooms"), profiles, strict=True)
    ]
    assert len(set(of_users)) == len(of_users)
    assert Counter(dict(zip(of_users, model.users.number.tolist(), strict=True))) == Counter(
        (row[home[user]], d[user], frozenset(profile.items())) for user, profile in kept.items()
    )

    if model.company is None:  # when it is: tests/test_company.py
        return
    assert model.company.most_servers == plain_largest(k)
    assert model.company.most_users == plain_largest(u)
    wide = [sorted(room) for room in present if len(room) <= model.company.most_servers]
    assert model.company.server_pairs == len({pair for room in wide for pair in combinations(room, 2)})
    met = Counter(
        pair for room in members if len(room) <= model.company.most_users for pair in combinations(sorted(room), 2)
    )
    assert model.company.butterflies == sum(number * (number - 1) // 2 for number in met.values())


class TestTables:
    @given(federations())
    def test_small(self, federation: Federation) -> None:
        counted(federation, fit(federation))

    @pytest.mark.parametrize(("small", "large"), [(150, 2), (60, 3)])
    def test_with_heads(self, small: int, large: int) -> None:
        federation = with_heads(1, small, large)
        model = fit(federation)
        assert len(model.heads.users) > 0
        counted(federation, model)

    def test_measured(self, teams: Federation) -> None:
        counted(teams, fit(teams))


class TestSums:
    @given(federations())
    def test_agree_with_sizes(self, federation: Federation) -> None:
        model = fit(federation)
        s, heads, servers, rooms, users = model.sizes, model.heads, model.servers, model.rooms, model.users
        assert len(servers.users) + len(heads.users) == s.servers
        assert servers.users.sum() + heads.users.sum() == s.users == users.number.sum()
        assert servers.rooms.sum() + heads.rooms.sum() == s.presences == rooms.servers @ rooms.number
        assert servers.memberships.sum() + heads.memberships.sum() == s.memberships
        assert rooms.users @ rooms.number == s.memberships == users.rooms @ users.number
        assert model.presences.number.sum() == servers.rooms.sum()
        assert model.presences.users @ model.presences.number == servers.memberships.sum()
        of_profile = np.bincount(model.profiles.user, model.profiles.number, minlength=len(users.rooms))
        assert of_profile.tolist() == users.rooms.tolist()
        assert rooms.number.sum() == s.rooms
        present = np.bincount(rooms.head, rooms.number[rooms.row], minlength=len(heads.users))
        assert present.tolist() == heads.rooms.tolist()
        in_rooms = rooms.head_users * rooms.number[rooms.row]
        assert np.bincount(rooms.head, in_rooms, minlength=len(heads.users)).tolist() == heads.memberships.tolist()


class TestLaws:
    def test_of_which_values(self, teams: Federation) -> None:
        model = fit(teams)
        assert list(model.laws) == ["n", "m", "e", "k", "u", "x", "d"]
        n, m, e = teams.users_per_server, teams.rooms_per_server, teams.memberships_per_server
        k, u, d = teams.servers_per_room, teams.users_per_room, teams.rooms_per_user
        values = {"n": n, "m": m, "e": e - np.maximum(n, m) + 1, "k": k, "u": u, "x": u - k + 1, "d": d}
        for name, column in values.items():
            law = model.laws[name]
            assert law.n == len(column)
            assert (law.hubs is not None) == (name in "nme")
            hubs = law.hubs.count if law.hubs else 0
            assert law.law is not None
            assert law.tail == np.count_nonzero(column >= law.xmin) - hubs

    def test_hubs_are_set_apart(self, teams: Federation) -> None:
        # 702 and 477 users where the third server has 45.
        hubs = fit(teams).laws["n"].hubs
        assert hubs is not None
        assert hubs.count == 2

    def test_progress_is_told(self, teams: Federation) -> None:
        heard: list[tuple[str, int, int]] = []
        fit(teams, bootstrap=40, progress=lambda *step: heard.append(step))
        for i in range(1, 8):
            of_law = [step for step in heard if step[0].startswith(f"bootstrap {i} of 7: ")]
            assert {done for _, done, _ in of_law} == {20, 40}
            assert {total for *_, total in of_law} == {40}

    def test_bootstrap_changes_no_law(self, teams: Federation) -> None:
        plain, checked = fit(teams), fit(teams, bootstrap=20, seed=3)
        for name, law in plain.laws.items():
            other = checked.laws[name]
            assert (law.law, law.parameters) == (other.law, other.parameters)
            assert (law.xmin, law.tail) == (other.xmin, other.tail)
            assert (law.p, law.replicates, law.intervals) == (None, 0, {})
            assert other.replicates == 20
            assert other.p is not None
            assert set(other.intervals) >= set(other.parameters)
            assert other.scan is not None
            assert ("xmin" in other.intervals) == (other.xmin == other.scan.xmin)

    def test_same_seed_same_bootstrap(self, teams: Federation) -> None:
        first, again, other = (fit(teams, bootstrap=20, seed=seed).to_dict()["laws"] for seed in (1, 1, 2))
        assert first == again != other

    @pytest.mark.parametrize("arguments", [{"bootstrap": -1}, {"engine": "slow"}])
    def test_wrong_arguments(self, teams: Federation, arguments: dict[str, object]) -> None:
        with pytest.raises(UsageError):
            fit(teams, **arguments)  # type: ignore[arg-type]

    def test_twice_the_same(self, teams: Federation) -> None:
        assert fit(teams).to_dict() == fit(teams).to_dict()


class TestHeads:
    @given(federations(max_users=40, max_servers=30))
    @settings(max_examples=50)
    def test_rule(self, federation: Federation) -> None:
        e = federation.memberships_per_server.tolist()
        share = max(0.01, 10 / len(e))
        large = sorted((-x, s) for s, x in enumerate(e) if x >= share * sum(e))[:MOST]
        assert find_heads(federation).tolist() == [s for _, s in large]

    def test_large_ones_are_heads(self) -> None:
        federation = with_heads(2, 150, 3)
        heads = find_heads(federation)
        assert federation.users_per_server[heads].tolist() == [60, 40, 20]
        assert smallest_share(federation.n_servers) == 10 / 153

    def test_twenty_at_most(self) -> None:
        # 25 servers of 40 users among 1,000 of one: each holds 2 % of all memberships.
        home = np.repeat(np.arange(1025), [40] * 25 + [1] * 1000)
        federation = Federation.from_pairs(home, np.arange(len(home)), np.arange(len(home)) % 7)
        assert find_heads(federation).tolist() == list(range(20))
        assert smallest_share(1025) == 0.01

    def test_none_among_few(self) -> None:
        federation = Federation.from_pairs([0, 0, 0, 1], [0, 1, 2, 3], [0, 0, 0, 0])
        assert len(find_heads(federation)) == 0


class TestClasses:
    @given(st.lists(st.one_of(st.integers(1, 400), st.integers(1, 10**15)), min_size=1))
    def test_plain(self, x: list[int]) -> None:
        assert size_class(np.array(x)).tolist() == [plain_class(v) for v in x]

    def test_edges(self) -> None:
        assert EDGES[:9].tolist() == [1, 2, 3, 4, 11, 32, 101, 317, 1001]
        assert np.all(np.diff(EDGES) > 0)
        assert plain_class(10**6) == 3 + round(2 * (log10(10**6) - 1))

    @given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500)), min_size=1))
    def test_pairs(self, pairs: list[tuple[int, int]]) -> None:
        first, second = np.array(pairs).T
        assert pair_kind(first, second).tolist() == [plain_kind(a, b) for a, b in pairs]

    @given(st.lists(st.integers(0, 4095), min_size=1), st.lists(st.integers(0, 4095), min_size=1, unique=True))
    def test_nearest(self, kinds: list[int], known: list[int]) -> None:
        def apart(a: int, b: int) -> int:
            return abs(a // 64 - b // 64) + abs(a % 64 - b % 64)

        found = nearest_kind(np.array(kinds), np.array(known))
        for kind, position in zip(kinds, found.tolist(), strict=True):
            assert apart(kind, known[position]) == min(apart(kind, other) for other in known)
