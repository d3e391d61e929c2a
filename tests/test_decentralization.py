"""Decentralization: memberships stay, the load grows as the formula says, targets are met or refused."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import fedgen
from fedgen.errors import InfeasibleError, UsageError
from fedgen.federation import Federation
from fedgen.traffic.equations import load
from fitting.hubs import Hubs
from fitting.model import Model
from gen.decentralization import Decentralization, decentralize, hub_servers, movers
from gen.plan import make_plan
from gen.sample import draw
from gen.scenario import Scenario
from tests.strategies import federations

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fedgen.federation import Integers

BUSY = federations(max_users=30, max_servers=5)
SHARES = st.floats(0, 1)
SEEDS = st.integers(0, 2**32)
HUB_SIZES = st.lists(st.integers(1, 400), min_size=1, max_size=8).map(lambda sizes: sorted(sizes, reverse=True))
FEW_SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=4).map(lambda sizes: sorted(sizes, reverse=True))


@pytest.fixture(scope="module")
def matrix() -> Model:
    return Model.builtin()


def all_of(federation: Federation) -> Integers:
    return np.arange(federation.n_servers)


def rooms_of(federation: Federation) -> list[set[int]]:
    users = federation.membership_user.tolist()
    return [set(users[a:b]) for a, b in pairwise(federation.room_offsets.tolist())]


def degrees(federation: Federation) -> list[int]:
    rooms = rooms_of(federation)
    return [sum(user in room for room in rooms) for user in range(federation.n_users)]


def transactions(federation: Federation) -> Fraction:
    """T at rate 1, word for word: each user's messages to every other server of the room."""
    home, degree = federation.user_server.tolist(), degrees(federation)
    sent = Fraction(0)
    for room in rooms_of(federation):
        servers = {home[user] for user in room}
        sent += sum(Fraction(len(servers - {home[user]}), degree[user]) for user in room)
    return sent


def share(value: float) -> Decentralization:
    return Decentralization(move_hub_users=value)


def renumbered(before: Federation, hubs: Integers, how: Decentralization, seed: int) -> Integers:
    """(U,) the new id of every user, told by name tags: rooms in which each of them is alone."""
    users = np.arange(before.n_users)
    tagged = Federation.from_pairs(
        before.user_server,
        np.concatenate((before.membership_user, users)),
        np.concatenate((before.membership_room, before.n_rooms + users)),
        n_servers=before.n_servers,
    )
    after = decentralize(tagged, hubs, how, seed).federation
    return after.membership_user[after.room_offsets[before.n_rooms : -1]]


def gone(before: Federation, hubs: Integers, how: Decentralization, seed: int) -> set[int]:
    """The old ids of who moved."""
    after = decentralize(before, hubs, how, seed).federation
    new_home = after.user_server[renumbered(before, hubs, how, seed)]
    return set(np.flatnonzero(new_home >= before.n_servers).tolist())


class TestFederation:
    @given(BUSY, SHARES, SEEDS)
    def test_users_keep_their_rooms_and_others_their_servers(self, before: Federation, value: float, seed: int) -> None:
        result = decentralize(before, all_of(before), share(value), seed)
        after = result.federation
        after.check()
        new = renumbered(before, all_of(before), share(value), seed)
        assert sorted(new.tolist()) == list(range(before.n_users))
        assert [{int(new[user]) for user in room} for room in rooms_of(before)] == rooms_of(after)
        assert after.users_per_room.tolist() == before.users_per_room.tolist()
        home, moves = after.user_server[new], after.user_server[new] >= before.n_servers
        assert home[~moves].tolist() == before.user_server[~moves].tolist()
        assert home[moves].tolist() == list(range(before.n_servers, after.n_servers))  # alone, in the old order
        assert np.all(np.diff(new[~moves]) > 0)
        gave = np.bincount(before.user_server[moves], minlength=before.n_servers)
        assert gave[result.hubs].tolist() == result.moved.tolist()
        assert str(result.moved.sum()) in repr(result)

    @given(BUSY, SEEDS)
    def test_only_hubs_give_users(self, before: Federation, seed: int) -> None:
        hubs = all_of(before)[::2]
        after = decentralize(before, hubs, share(1.0), seed).federation
        others = np.setdiff1d(all_of(before), hubs)
        n = after.users_per_server
        assert n[others].tolist() == before.users_per_server[others].tolist()
        assert set(n[hubs].tolist()) == {1}

    @given(BUSY, SEEDS)
    def test_nobody_moves(self, before: Federation, seed: int) -> None:
        for how in (share(0.0), Decentralization(effective_servers=1.0), Decentralization(servers=1)):
            assert decentralize(before, all_of(before), how, seed).federation.same_as(before)

    @given(BUSY, SHARES, SHARES, SEEDS)
    def test_who_moves_at_a_share_moves_at_every_larger_one(
        self, before: Federation, one: float, other: float, seed: int
    ) -> None:
        few, many = (gone(before, all_of(before), share(value), seed) for value in sorted((one, other)))
        assert few <= many

    @given(BUSY, st.integers(1, 5), SEEDS)
    def test_who_moves_from_a_hub_does_not_depend_on_the_others(self, before: Federation, hubs: int, seed: int) -> None:
        assume(hubs <= before.n_servers)
        some = decentralize(before, all_of(before), Decentralization(move_hub_users=0.5, hubs=hubs), seed)
        every = decentralize(before, all_of(before), share(0.5), seed)
        assert some.hubs.tolist() == every.hubs[:hubs].tolist()
        assert sorted(before.users_per_server[some.hubs], reverse=True) == before.users_per_server[some.hubs].tolist()
        alone = gone(before, some.hubs[:1], share(0.5), seed)
        together = gone(before, all_of(before), share(0.5), seed)
        mine = {user for user in together if before.user_server[user] == some.hubs[0]}
        assert mine <= alone or alone <= mine

    def test_same_seed_same_users(self, teams: Federation) -> None:
        hubs = np.array([300, 349])
        one, again, other = (decentralize(teams, hubs, share(0.3), seed).federation for seed in (1, 1, 2))
        assert one.same_as(again)
        assert not one.same_as(other)


class TestLoad:
    @given(BUSY, SHARES, SEEDS)
    def test_each_move_adds_what_the_formula_says(self, before: Federation, value: float, seed: int) -> None:
        after = decentralize(before, all_of(before), share(value), seed).federation
        rooms, degree, home = rooms_of(before), degrees(before), before.user_server.tolist()
        added = Fraction(0)
        for user in sorted(gone(before, all_of(before), share(value), seed)):
            for room in rooms:
                if user in room and any(v != user and home[v] == home[user] for v in room):
                    added += sum(Fraction(1, degree[v]) for v in room)
            home[user] = -1 - user
        assert transactions(after) == transactions(before) + added
        assert load(after).total == pytest.approx(float(transactions(after)))

    @given(BUSY, SHARES, SHARES, SEEDS)
    def test_never_falls(self, before: Federation, one: float, other: float, seed: int) -> None:
        low, high = sorted((one, other))
        few, many = (decentralize(before, all_of(before), share(value), seed).federation for value in (low, high))
        assert transactions(before) <= transactions(few) <= transactions(many)

    @given(BUSY, SEEDS)
    def test_everybody_alone(self, before: Federation, seed: int) -> None:
        after = decentralize(before, all_of(before), share(1.0), seed).federation
        assert after.n_servers == after.n_users
        degree = degrees(before)
        weight = [sum(Fraction(1, degree[user]) for user in room) for room in rooms_of(before)]
        limit = sum(w * (len(room) - 1) for w, room in zip(weight, rooms_of(before), strict=True))
        assert transactions(after) == limit


class TestMovers:
    @given(HUB_SIZES, SHARES)
    def test_the_same_share_of_every_hub(self, sizes: list[int], value: float) -> None:
        n = np.array(sizes)
        moved = movers(share(value), n, len(n), 0)
        assert moved.sum() == round(np.minimum(value * n, n - 1).sum())
        assert np.all((moved >= 0) & (moved < n))
        # One share that all of them are the rounding of, but for hubs that have no more to give.
        assert np.max((moved - 0.5) / n) <= np.min(np.where(moved < n - 1, (moved + 0.5) / n, np.inf))

    @given(HUB_SIZES, st.integers(0, 3000), st.integers(1, 3000))
    def test_as_many_servers_as_asked(self, sizes: list[int], more: int, servers: int) -> None:
        n, servers = np.array(sizes), servers + len(sizes)
        how = Decentralization(servers=1 + more / servers)
        if more > (n - 1).sum():
            with pytest.raises(InfeasibleError, match="servers"):
                movers(how, n, servers, 0)
        else:
            assert movers(how, n, servers, 0).sum() == more

    @given(FEW_SIZES, st.lists(st.integers(1, 9), max_size=20), st.floats(1, 20))
    def test_the_effective_number_of_servers(self, sizes: list[int], others: list[int], factor: float) -> None:
        hubs, n = np.array(sizes), np.array([*sizes, *others])
        squares = int(n @ n)

        def grown(moved: Integers) -> Fraction:
            after = [*(hubs - moved).tolist(), *others, *[1] * int(moved.sum())]
            return Fraction(squares, sum(size**2 for size in after))

        def closed_form(moved: Integers) -> Fraction:
            lost = sum(c * (2 * size - c - 1) for size, c in zip(sizes, moved.tolist(), strict=True))
            return Fraction(squares, squares - lost)

        every = [grown(movers(Decentralization(servers=1 + i), hubs, 1, 0)) for i in range(int((hubs - 1).sum()) + 1)]
        assert all(few < many for few, many in pairwise(every))
        nearest = min(abs(growth / Fraction(factor) - 1) for growth in every)
        assume(abs(nearest - Fraction(1, 100)) > 1e-9)
        how = Decentralization(effective_servers=factor)
        if factor > every[-1]:
            with pytest.raises(InfeasibleError, match="grow"):
                movers(how, hubs, len(n), squares)
        elif nearest > Fraction(1, 100):
            with pytest.raises(InfeasibleError, match="within 1 %"):
                movers(how, hubs, len(n), squares)
        else:
            moved = movers(how, hubs, len(n), squares)
            assert abs(grown(moved) / Fraction(factor) - 1) == pytest.approx(nearest, abs=1e-9)
            assert grown(moved) == closed_form(moved)

    @pytest.mark.parametrize("name", ["effective_servers", "servers"])
    def test_the_limit_that_is_told_can_be_met(self, name: str) -> None:
        n, body = np.array([5000, 1237, 3]), 4321
        squares = int(n @ n) + body
        how: Callable[[float], Decentralization] = lambda factor: Decentralization(**{name: factor})  # noqa: E731
        with pytest.raises(InfeasibleError, match=r"6240 users on 3 hubs: give a factor from 1 to [\d.]+$") as refused:
            movers(how(1e6), n, body + 3, squares)
        found = re.search(r"to ([\d.]+)$", str(refused.value))
        assert found is not None
        most = float(found[1])
        assert movers(how(most), n, body + 3, squares).sum() == pytest.approx((n - 1).sum(), rel=2e-3)
        with pytest.raises(InfeasibleError):
            movers(how(most * 1.001), n, body + 3, squares)


class TestThePaper:
    """Matrix 2018: 131,463 users, 2,003 servers, hubs of 76,271 and 37,751 users."""

    HUBS = np.array([76271, 37751])

    def published(self, path: Path) -> dict[str, float]:
        constraints = json.loads(path.read_text())["constraints"]
        return {row["stat"]: row["lo"] for row in constraints if row["kind"] == "exact"}

    def test_ten_times_the_servers(self, data_file: Callable[[str], Path]) -> None:
        known = self.published(data_file("matrix-2018-published.json"))
        assert self.HUBS.tolist() == [known["max users_per_server"], known["2nd users_per_server"]]
        moved = movers(Decentralization(servers=10, hubs=1), self.HUBS[:1], int(known["n_servers"]), 0)
        assert moved.tolist() == [9 * 2003]
        assert round(100 * moved[0] / self.HUBS[0], 1) == 23.6

    def test_ten_times_the_effective_servers_without_a_body(self) -> None:
        squares = int(self.HUBS @ self.HUBS)
        moved = movers(Decentralization(effective_servers=10), self.HUBS, 2003, squares)
        assert np.round(100 * moved / self.HUBS, 1).tolist() == [68.4, 68.4]
        assert moved.sum() / self.HUBS.sum() == pytest.approx(1 - math.sqrt(0.1), abs=1e-4)

    def test_on_a_federation_that_meets_its_figures(self, data_file: Callable[[str], Path]) -> None:
        before = fedgen.read(data_file("matrix-2018-standin.json.gz"))
        hubs = np.argsort(-before.users_per_server)[:2]
        wide = decentralize(before, hubs, Decentralization(servers=10, hubs=1), 1)
        assert wide.federation.n_servers == 20030
        assert round(100 * wide.moved[0] / self.HUBS[0], 1) == 23.6
        even = decentralize(before, hubs, Decentralization(effective_servers=10), 1)
        assert np.round(100 * even.moved / self.HUBS, 1).tolist() == [68.4, 68.4]
        hhi = [float(np.sum((f.users_per_server / f.n_users) ** 2)) for f in (before, even.federation)]
        assert hhi[0] / hhi[1] == pytest.approx(10, rel=1e-4)
        for federation in (wide.federation, even.federation):
            federation.check()
            assert load(federation).total > load(before).total


class TestHubs:
    def with_hubs(self, model: Model, hubs: Hubs | None) -> Model:
        return replace(model, laws={**model.laws, "n": replace(model.laws["n"], hubs=hubs)})

    def test_those_of_the_law(self, matrix: Model) -> None:
        assert hub_servers(matrix, len(matrix.heads.users)).tolist() == [0, 1]
        assert hub_servers(matrix, 1).tolist() == [0]

    @pytest.mark.parametrize("hubs", [None, Hubs()])
    def test_else_the_heads(self, matrix: Model, hubs: Hubs | None) -> None:
        heads = len(matrix.heads.users)
        assert sorted(hub_servers(self.with_hubs(matrix, hubs), heads)) == list(range(heads))

    def test_the_largest_head_where_no_hub_is_a_head(self, matrix: Model) -> None:
        bodies = replace(matrix.servers, users=matrix.servers.users + 10**6)
        model = self.with_hubs(replace(matrix, servers=bodies), Hubs(count=2))
        assert hub_servers(model, len(model.heads.users)).tolist() == [0]

    def test_in_the_order_of_users_not_of_memberships(self, matrix: Model) -> None:
        heads = replace(matrix.heads, users=matrix.heads.users[::-1].copy())
        last = len(heads.users) - 1
        assert hub_servers(replace(matrix, heads=heads), len(heads.users)).tolist() == [last, last - 1]

    def test_no_head_no_hub(self, matrix: Model) -> None:
        assert len(hub_servers(matrix, 0)) == 0

    def test_without_heads_the_largest_server_gives(self) -> None:
        home = np.repeat(np.arange(4), [10, 3, 2, 2])
        alike = fedgen.fit(Federation.from_pairs(home, np.arange(17), np.arange(17) % 5))
        assert len(alike.heads.users) == 0
        plan = make_plan(alike, scenario=Scenario(decentralize=Decentralization(servers=2)), seed=1)
        before = draw(alike, replace(plan, scenario=Scenario()))
        after = draw(alike, plan)
        after.check()
        assert after.n_servers == 8
        largest = int(before.users_per_server.argmax())
        lost = before.users_per_server - after.users_per_server[:4]
        assert lost.tolist() == [4 if server == largest else 0 for server in range(4)]

    def test_of_a_drawn_federation(self, matrix: Model) -> None:
        plan = make_plan(matrix, servers=200, seed=3)
        before = draw(matrix, plan)
        hubs = hub_servers(matrix, len(plan.head_users))
        assert before.users_per_server[hubs].tolist() == plan.head_users[hubs].tolist()
        result = decentralize(before, hubs, Decentralization(effective_servers=3), plan.seed)
        result.federation.check()
        squares = [int(np.sum(f.users_per_server.astype(np.int64) ** 2)) for f in (before, result.federation)]
        assert squares[0] / squares[1] == pytest.approx(3, rel=0.01)


class TestRefused:
    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            ({}, "give one of move_hub_users, effective_servers, servers; given: none"),
            ({"hubs": 1}, "given: none"),
            ({"move_hub_users": 0.5, "servers": 2}, "given: move_hub_users and servers"),
            ({"move_hub_users": 1.1}, "move_hub_users: 1.1 .* from 0 to 1"),
            ({"move_hub_users": -0.1}, "from 0 to 1"),
            ({"move_hub_users": math.nan}, "from 0 to 1"),
            ({"move_hub_users": True}, "from 0 to 1"),
            ({"effective_servers": 0.9}, "effective_servers: 0.9 .* from 1 up"),
            ({"effective_servers": math.inf}, "from 1 up"),
            ({"servers": 0}, "servers: 0 .* from 1 up"),
            ({"servers": "2"}, "from 1 up"),
            ({"servers": 2, "hubs": 0}, "hubs: 0 .* from 1 up"),
            ({"servers": 2, "hubs": 1.5}, "hubs: 1.5 .* from 1 up"),
        ],
    )
    def test_a_wrong_target(self, asked: dict[str, Any], words: str) -> None:
        with pytest.raises(UsageError, match=words):
            Decentralization(**asked)

    @pytest.mark.parametrize("hubs", [[-1], [5], [0, 0]])
    def test_no_servers(self, hubs: list[int]) -> None:
        federation = Federation.from_pairs([0, 0, 1], [0, 1, 2], [0, 0, 0])
        with pytest.raises(UsageError, match="hubs"):
            decentralize(federation, np.array(hubs), share(0.5), 0)

    def test_no_hub(self) -> None:
        federation = Federation.from_pairs([0, 0, 1], [0, 1, 2], [0, 0, 0])
        with pytest.raises(InfeasibleError, match="no hub"):
            decentralize(federation, np.array([]), share(0.5), 0)

    def test_fewer_hubs_than_asked(self) -> None:
        federation = Federation.from_pairs([0, 0, 1], [0, 1, 2], [0, 0, 0])
        with pytest.raises(InfeasibleError, match="has 1"):
            decentralize(federation, np.array([0]), Decentralization(servers=1, hubs=2), 0)

    @settings(max_examples=30)
    @given(BUSY, SEEDS)
    def test_beyond_what_the_hubs_can_give(self, before: Federation, seed: int) -> None:
        for name in ("effective_servers", "servers"):
            with pytest.raises(InfeasibleError, match=f"{name}: .* from 1 to "):
                decentralize(before, np.array([0]), Decentralization(**{name: 1e4}), seed)
