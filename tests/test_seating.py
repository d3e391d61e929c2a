"""Seating: what it promises on any small case, and kernels against their plain twins."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedgen.ragged import offsets_of
from gen.pairing import sort_stubs
from gen.repeats import _sort_users
from gen.seating import Levels, Places, Stubs, _emit, _look_up, _spread, by_room, fill
from tests.test_matching import gale_ryser

ERROR_RATE = 1e-4
"""Chance that a statistical test on its fixed seeds fails, over all choices of them."""


@dataclass(frozen=True)
class Server:
    """Its presences as (code, count), its users as (d, row), and where they live."""

    presences: list[tuple[int, int]]
    users: list[tuple[int, int]]
    region: int = 0


@dataclass(frozen=True)
class Case:
    servers: list[Server]
    tickets: list[list[int]]
    types: int
    regions: int = 1
    locality: float = 0.0

    def places(self) -> Places:
        presences = [presence for server in self.servers for presence in sorted(server.presences)]
        return Places(
            offsets_of(np.array([len(server.presences) for server in self.servers])),
            offsets_of(np.array([count for _, count in presences])),
            np.array([code for code, _ in presences], dtype=np.int32),
        )

    def stubs(self) -> Stubs:
        """Alike users that stand side by side are one run."""
        runs: list[list[list[int]]] = []
        for server in self.servers:
            mine: list[list[int]] = []
            for d, row in server.users:
                if mine and mine[-1][1:] == [d, row]:
                    mine[-1][0] += 1
                else:
                    mine.append([1, d, row])
            runs.append(mine)
        number, rooms, row = np.array([run for mine in runs for run in mine]).T
        return Stubs(
            users=offsets_of(np.array([len(server.users) for server in self.servers])),
            runs=offsets_of(np.array([len(mine) for mine in runs])),
            number=number,
            rooms=rooms,
            row=row,
            tickets=offsets_of(np.array([len(types) for types in self.tickets])),
            type=np.array([type_ for types in self.tickets for type_ in types], dtype=np.int32),
            region=np.array([server.region for server in self.servers]),
        )

    def levels(self) -> Levels:
        """The code, then the type in rooms of every region, then the type, by which all is in order."""
        code = np.arange((self.regions + 1) * self.types)
        anywhere, nobody = code >= self.regions * self.types, len(code)
        places = [np.where(anywhere, nobody, code), np.where(anywhere, code % self.types, nobody), code % self.types]
        stubs = [code, code % self.types, code % self.types]
        keys = (np.array(side, dtype=np.int32) for side in (places, stubs))
        return Levels(*keys, self.types, self.regions, 1, self.locality)

    def fill(self, seed: int) -> list[list[list[int]]]:
        """The users in each presence of each server, checked for what always holds."""
        places, stubs = self.places(), self.stubs()
        owner = fill(places, stubs, self.levels(), seed)
        assert len(owner) == places.blocks[-1]
        filled = [owner[a:b].tolist() for a, b in pairwise(places.blocks)]
        found = [filled[a:b] for a, b in pairwise(places.servers)]
        for presences, (first, end) in zip(found, pairwise(stubs.users.tolist()), strict=True):
            for who in presences:
                assert who == sorted(set(who))
                assert first <= who[0]
                assert who[-1] < end
        return found

    def changed(self, found: list[list[list[int]]]) -> list[int]:
        """How many memberships of each server went to another user than asked; everybody keeps one."""
        changes = []
        first = 0
        for server, presences in zip(self.servers, found, strict=True):
            degrees = Counter(user for who in presences for user in who)
            missing = [d - degrees[first + i] for i, (d, _) in enumerate(server.users)]
            assert all(degrees[first + i] >= 1 for i in range(len(server.users)))
            assert sum(missing) == 0
            changes.append(sum(abs(one) for one in missing) // 2)
            first += len(server.users)
        return changes


def shared_out(n: int, m: int, memberships: int, rng: np.random.Generator) -> list[int]:
    """Degrees of n users, 1 to m, that sum to ``memberships``; rising."""
    degrees = np.ones(n, dtype=int)
    while degrees.sum() < memberships:
        degrees[rng.choice(np.flatnonzero(degrees < m))] += 1
    return sorted(degrees.tolist())


@st.composite
def cases(draw: st.DrawFn) -> Case:
    types, regions = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    tickets = draw(st.lists(st.lists(st.integers(0, types - 1), min_size=1, max_size=3), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    servers = []
    for _ in range(draw(st.integers(1, 4))):
        n = draw(st.integers(1, 9))
        counts = draw(st.lists(st.integers(1, n), min_size=1, max_size=8))
        counts[0] += max(0, min(n - counts[0], n - sum(counts)))
        codes = rng.integers(0, (regions + 1) * types, size=len(counts)).tolist()
        degrees = shared_out(n, len(counts), sum(counts), rng)
        rows = rng.integers(0, len(tickets), size=n).tolist()
        region = draw(st.integers(-1, regions - 1))
        servers.append(Server(list(zip(codes, counts, strict=True)), list(zip(degrees, rows, strict=True)), region))
    return Case(servers, tickets, types, regions, draw(st.sampled_from([0.0, 0.0, 0.5, 1.0])))


class TestPromises:
    @given(cases(), st.integers(0, 2**63 - 1))
    def test_any(self, case: Case, seed: int) -> None:
        found = case.fill(seed)
        assert found == case.fill(seed)
        for server, changes in zip(case.servers, case.changed(found), strict=True):
            possible = gale_ryser([d for d, _ in server.users], [count for _, count in server.presences])
            assert changes > 0 or possible
            if all(d == 1 for d, _ in server.users):
                assert changes == 0

    @given(cases(), st.integers(0, 2**63 - 1))
    def test_few_are_substituted(self, case: Case, seed: int) -> None:
        """No more than the places of a server less those of its first presence."""
        for server, changes in zip(case.servers, case.changed(case.fill(seed)), strict=True):
            assert changes <= sum(count for _, count in server.presences) - max(c for _, c in server.presences)

    @pytest.mark.parametrize(
        ("users", "degree", "presences", "count"),
        [(200, 3, 120, 5), (40, 10, 40, 10), (30, 20, 60, 10), (20, 20, 40, 10), (1000, 2, 500, 4), (600, 1, 6, 100)],
        ids=["loose", "quarter full", "third full", "half full", "sparse", "few large"],
    )
    def test_easy_ones_keep_every_degree(self, users: int, degree: int, presences: int, count: int) -> None:
        for seed in range(5):
            rng = np.random.default_rng(seed)
            server = Server(
                [(code, count) for code in rng.integers(0, 8, size=presences).tolist()],
                [(degree, row) for row in rng.integers(0, 9, size=users).tolist()],
            )
            case = Case([server] * 2, [rng.integers(0, 4, size=3).tolist() for _ in range(9)], types=4)
            assert case.changed(case.fill(seed)) == [0, 0]

    def test_heavy_tails_keep_every_degree(self) -> None:
        rng = np.random.default_rng(1)
        degrees = np.sort(np.minimum((rng.pareto(1.3, 2000) + 1).astype(int), 300)).tolist()
        counts = [4] * (sum(degrees) // 4) + [1] * (sum(degrees) % 4)
        server = Server(
            [(code, count) for code, count in zip(rng.integers(0, 5, size=len(counts)).tolist(), counts, strict=True)],
            [(d, 0) for d in degrees],
        )
        case = Case([server], [[0, 1, 2, 3, 4]], types=5)
        assert case.changed(case.fill(1)) == [0]

    def test_full_presences_hold_everybody(self) -> None:
        case = Case([Server([(0, 5)] * 6, [(6, 0)] * 5), Server([(0, 1)] * 3, [(1, 0)] * 3)], [[0]], types=1)
        found = case.fill(2)
        assert found[0] == [[0, 1, 2, 3, 4]] * 6
        assert sorted(found[1]) == [[5], [6], [7]]

    def test_only_user_and_only_presence(self) -> None:
        case = Case([Server([(0, 1)] * 4, [(4, 0)]), Server([(1, 3)], [(1, 0)] * 3)], [[0]], types=2)
        assert case.fill(0) == [[[0]] * 4, [[1, 2, 3]]]

    def test_server_after_server(self) -> None:
        """What happens on a server depends on its number and on nothing of the others."""
        rng = np.random.default_rng(4)
        servers = []
        for _ in range(2):
            counts = rng.integers(1, 20, size=30).tolist()
            degrees = shared_out(40, 30, max(sum(counts), 40), rng)
            counts[0] += sum(degrees) - sum(counts)
            codes = rng.integers(0, 6, size=30).tolist()
            servers.append(Server(list(zip(codes, counts, strict=True)), [(d, 0) for d in degrees]))
        other = Server([(0, 1), (2, 2)], [(1, 0), (2, 0)])
        whole, changed = (Case([first, servers[1]], [[0, 1, 2]], types=3).fill(9) for first in (servers[0], other))
        shift = len(servers[0].users) - len(other.users)
        assert whole[1] == [[user + shift for user in who] for who in changed[1]]


class TestEquals:
    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 12)), min_size=2, max_size=40), st.integers(0, 2**32))
    def test_meet_where_numbers_agree(self, presences: list[tuple[int, int]], seed: int) -> None:
        """Users of one room each whose tickets name what there is: all of them are where theirs says."""
        types = 3
        named = [code % types for code, count in presences for _ in range(count)]
        rows = np.random.default_rng(seed).permutation(named).tolist()
        case = Case([Server(presences, [(1, row) for row in rows])], [[0], [1], [2]], types)
        [found] = case.fill(seed)
        for (code, _), who in zip(sorted(presences), found, strict=True):
            assert {rows[user] for user in who} == {code % types}

    @given(st.integers(0, 2**32), st.integers(1, 4))
    def test_meet_in_their_regions(self, seed: int, regions: int) -> None:
        """Where there are users of every region the table shares them out; who lives in one meets its places."""
        rng = np.random.default_rng(seed)
        servers = []
        for region in range(regions):
            codes = rng.integers(0, 2, size=20) + 2 * region
            named = [int(code) % 2 for code in codes for _ in range(3)]
            elsewhere = [((region + 1) % regions * 2 + i, 1) for i in range(2)] if regions > 1 else []
            users = [(1, row) for row in rng.permutation(named).tolist()] + [(1, 2)] * len(elsewhere)
            servers.append(Server([(int(code), 3) for code in codes] + elsewhere, users, region))
        case = Case(servers, [[0], [1], [0]], 2, regions)
        first = 0
        for server, found in zip(case.servers, case.fill(seed), strict=True):
            for (code, _), who in zip(sorted(server.presences), found, strict=True):
                if code // 2 == server.region:
                    # Two guests of type 0 may be seated at home in the place of two others.
                    assert (
                        sum(case.tickets[server.users[user - first][1]][0] == code % 2 for user in who) >= len(who) - 2
                    )
            first += len(server.users)

    @pytest.mark.parametrize("wanted", [7, 40, 100, 199])
    def test_shortage_is_shared_in_proportion(self, wanted: int) -> None:
        """Too few users of type 0 for its places: every presence gets its share, rounded up or down."""
        counts = [5, 10, 20, 25, 40, 100]
        case = Case(
            [Server([(0, count) for count in counts], [(1, 0)] * wanted + [(1, 1)] * (200 - wanted))],
            [[0], [1]],
            types=2,
        )
        total = np.zeros(len(counts))
        copies = 400
        for seed in range(copies):
            [found] = case.fill(seed)
            got = np.array([sum(user < wanted for user in who) for who in found])
            ideal = np.array(counts) * wanted / 200
            assert np.all(np.abs(got - ideal) < 1)
            total += got
        # A rounding has a standard error of 0.5 / sqrt(copies) at most; 5 of them, 24 times: ERROR_RATE.
        assert np.abs(total / copies - np.array(counts) * wanted / 200).max() < 5 * 0.5 / np.sqrt(copies)

    def test_who_is_seated_of_too_many_is_drawn_at_random(self) -> None:
        """Of 100 users of type 0 for 40 places each is seated in 40 % of the draws."""
        case = Case([Server([(0, 10)] * 4 + [(1, 30)] * 2, [(1, 0)] * 100)], [[0]], types=2)
        copies = 1000
        seated = np.zeros(100)
        for seed in range(copies):
            [found] = case.fill(seed)
            for who in found[:4]:
                seated[who] += 1
        assert seated.sum() == 40 * copies
        # Five standard errors of a binomial share, 100 times: 6e-5 < ERROR_RATE.
        assert np.abs(seated / copies - 0.4).max() < 5 * np.sqrt(0.4 * 0.6 / copies)


class TestSortUsers:
    @pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 2047, 2048, 2049, 1 << 16, (1 << 16) + 1, 1 << 20])
    @pytest.mark.parametrize("size", [0, 1, 2, 47, 48, 49, 2047, 2048, 2049, 5000])
    def test_as_numpy_sorts(self, size: int, n: int) -> None:
        """Repetitions are there, and the first and the last user."""
        rng = np.random.default_rng(size * n)
        for first in (0, 1_000_000):
            block = (first + rng.integers(0, n, size=size)).astype(np.int32)
            block[: min(size, 2)] = [first, first + n - 1][: min(size, 2)]
            rng.shuffle(block)
            wanted = np.sort(block)
            _sort_users(block, np.empty(size + 3, dtype=np.int32), np.empty(1 << 11, dtype=np.int64))
            assert np.array_equal(block, wanted)


class TestSort:
    @pytest.mark.parametrize("count", [0, 1, 47, 48, 49, 500])
    @pytest.mark.parametrize("kinds", [1, 3, 40])
    def test_stable_by_key(self, count: int, kinds: int) -> None:
        rng = np.random.default_rng(count + kinds)
        keys = rng.permutation(kinds).astype(np.int32)
        user = np.arange(500, dtype=np.int32)
        code = rng.integers(0, kinds, size=500).astype(np.int32)
        users, codes = np.zeros_like(user), np.zeros_like(code)
        sort_stubs(user, code, count, keys, users, codes, np.ones(kinds + 1, dtype=np.int64))
        wanted = sorted(range(count), key=lambda i: keys[code[i]])
        assert users[:count].tolist() == wanted
        assert codes[:count].tolist() == code[wanted].tolist()


class TestByRoom:
    @given(st.data())
    def test_against_a_plain_loop(self, data: st.DataObject) -> None:
        rooms = data.draw(st.integers(1, 6))
        pairs = data.draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, rooms - 1)), unique=True, max_size=20))
        pairs.sort()
        counts = data.draw(st.lists(st.integers(1, 4), min_size=len(pairs), max_size=len(pairs)))
        held = [[10 * server + i for i in range(count)] for (server, _), count in zip(pairs, counts, strict=True)]
        room = np.array([room for _, room in pairs], dtype=np.int64)
        sizes = np.bincount(room, np.array(counts), minlength=rooms).astype(np.int64)
        laid = by_room(
            np.array([user for who in held for user in who], dtype=np.int32),
            offsets_of(np.array(counts, dtype=np.int64)),
            room,
            offsets_of(sizes),
        )
        members: list[list[int]] = [[] for _ in range(rooms)]
        for (_, r), who in zip(pairs, held, strict=True):
            members[r] += who
        assert laid.tolist() == [user for who in members for user in who]
        assert all(who == sorted(who) for who in members)


class TestLookUp:
    @given(st.data())
    def test_in_proportion_to_places(self, data: st.DataObject) -> None:
        types, regions, copies = (data.draw(st.integers(1, top)) for top in (3, 20, 3))
        copy = data.draw(st.integers(0, copies - 1))
        presences = data.draw(
            st.lists(st.tuples(st.integers(0, (regions + 1) * types - 1), st.integers(1, 500)), max_size=12)
        )
        blocks = 100 + offsets_of(np.array([count for _, count in presences], dtype=np.int64))
        code = np.array([code for code, _ in presences], dtype=np.int32)
        lookup = np.full(512, -1, dtype=np.int32)
        _look_up(lookup, code, blocks, types, regions, copies, copy)

        ours = list(range(copy, regions, copies))
        weight = Counter(dict.fromkeys(ours, 0))
        for c, count in presences:
            if c // types in weight:
                weight[c // types] += count
        if not weight.total():
            weight = Counter(ours or [copy % regions])
        there = Counter(lookup.tolist())
        assert there.keys() <= {region for region, often in weight.items() if often}
        for region, often in weight.items():
            assert abs(there[region] - len(lookup) * often / weight.total()) < 1
        assert lookup.tolist() == sorted(lookup.tolist())


class TestSpread:
    def test_everybody_lives_somewhere(self) -> None:
        number, lookup = np.array([3, 0, 500, 1]), np.repeat(np.array([0, 2]), [64, 192]).astype(np.int32)
        here = _spread(number, lookup, 3, np.array([7], dtype=np.uint64))
        assert here.sum(axis=0).tolist() == number.tolist()
        assert here[1].sum() == 0
        # A binomial share of 1 / 4 of 504, within five standard errors.
        assert abs(here[0].sum() / 504 - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 504)


class TestEmit:
    """Every user has a stub for each of their rooms, of what their tickets name."""

    @given(
        st.lists(st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(0, 2)), min_size=1, max_size=6),
        st.integers(0, 2**63 - 1),
        st.sampled_from([0.0, 0.5, 1.0]),
        st.integers(0, 7),
    )
    def test_each_ticket_as_often_as_any_other(
        self, runs: list[tuple[int, int, int]], seed: int, locality: float, home: int
    ) -> None:
        number, rooms, row = np.array(runs).T
        tickets = [[0, 1, 2, 3, 4], [2], [0, 3]]
        total = int((number * rooms).sum())
        regions, types = 8, 5
        base, codes = (0, regions * types) if locality else (home * types, types)
        whose = offsets_of(np.array([len(types) for types in tickets]))
        named = np.array([type_ for mine in tickets for type_ in mine], dtype=np.int32)
        user, ends = np.zeros(total, dtype=np.int32), np.zeros(codes + 1, dtype=np.int64)
        shared = (100, number, rooms, row, whose, named, home, base, types, regions, locality)
        _emit(user, ends[1:], False, *shared, np.array([seed], dtype=np.uint64))
        counted = ends[1:].copy()
        ends = np.cumsum(ends)
        begins = ends.copy()
        after = _emit(user, ends, True, *shared, np.array([seed], dtype=np.uint64))
        assert after == 100 + number.sum()
        assert np.diff(begins).tolist() == counted.tolist() == (ends[:-1] - begins[:-1]).tolist()
        assert counted.sum() == total

        code = base + np.repeat(np.arange(codes), counted)
        for a, b in pairwise(begins):
            assert user[a:b].tolist() == sorted(user[a:b].tolist())
        who = 100
        for often, d, of_row in runs:
            for _ in range(often):
                mine = code[user == who]
                types_of = Counter((mine % types).tolist())
                assert types_of.keys() <= set(tickets[of_row])
                for type_ in tickets[of_row]:
                    assert d // len(tickets[of_row]) <= types_of[type_] <= -(-d // len(tickets[of_row]))
                if locality == 0.0:
                    assert set((mine // types).tolist()) == {home}
                who += 1
