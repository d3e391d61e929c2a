"""Which servers are in which rooms: exactly as many as each room has, none twice."""

from itertools import permutations
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.reconstruct.errors import DeadEndError
from gen.reconstruct.presences import Heads, place_body, place_heads, weighted_order
from gen.reconstruct.rooms import Rooms


class TestWeightedOrder:
    def test_every_order_has_its_probability(self) -> None:
        """Drawn one after the other in proportion: six orders, 5 sigma each; wrongly red for one seed in 10^5."""
        weight, draws = np.array([1.0, 2.0, 5.0]), 20_000
        rng = np.random.default_rng(7)
        found = [tuple(weighted_order(weight, rng).tolist()) for _ in range(draws)]
        for order in permutations(range(3)):
            left, p = 8.0, 1.0
            for at in order:
                p *= weight[at] / left
                left -= weight[at]
            assert abs(found.count(order) / draws - p) < 5 * sqrt(p * (1 - p) / draws)

    @given(st.lists(st.sampled_from([0.0, 1e-9, 1.0, 1e9]), max_size=9), st.integers(0, 2**32))
    def test_all_of_positive_weight_once(self, weight: list[float], seed: int) -> None:
        order = weighted_order(np.array(weight), np.random.default_rng(seed))
        assert sorted(order.tolist()) == [at for at, w in enumerate(weight) if w > 0]


def many(rng: np.random.Generator, rooms: int = 60, servers: int = 40) -> tuple[Rooms, np.ndarray]:
    """Rooms of up to 20 servers, and users per server: a hub and others."""
    k = np.minimum(1 + np.floor(rng.pareto(1.2, rooms) * 2), 20).astype(np.int64)
    u = k + np.floor(rng.pareto(1.0, rooms) * 4).astype(np.int64).clip(0, 500)
    n = np.sort(np.minimum(1 + np.floor(rng.pareto(1.3, servers)), 30).astype(np.int64))[::-1].copy()
    n[0] = 300
    return Rooms(k, u), n


def headed(rooms: Rooms, n: np.ndarray, heads: int, rng: np.random.Generator, **options: object) -> Heads:
    arguments = {"weight": rooms.users.astype(float), "unheard": None, "most": 10**6, "places": 1.5} | options
    return place_heads(rooms, n, heads, rng=rng, **arguments)


class TestHeads:
    @given(st.integers(0, 2**32), st.integers(1, 3))
    def test_no_room_has_more_heads_and_hosts_than_servers(self, seed: int, heads: int) -> None:
        rng = np.random.default_rng(seed)
        rooms, n = many(rng)
        placed = headed(rooms, n, heads, rng)
        assert placed.present.shape == (heads, len(rooms.servers))
        assert np.all(placed.present.sum(axis=0) + (placed.host >= 0) <= rooms.servers)
        assert np.all(placed.present.sum(axis=1) >= 1)
        hosts = placed.host[placed.host >= 0]
        assert len(set(hosts.tolist())) == len(hosts)  # one room each at most
        assert np.all(hosts >= heads)
        assert not np.any(placed.present[0] & (placed.host >= 0))

    @given(st.integers(0, 2**32))
    def test_the_first_head_does_not_hear_more_than_it_is_not_to_miss(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rooms, n = many(rng)
        weight = rooms.users.astype(float)
        placed = headed(rooms, n, 1, rng, unheard=0.1 * weight.sum())
        assert weight[~placed.present[0]].sum() <= 0.1 * weight.sum() + 1e-9

    def test_the_least_of_a_host_whose_room_is_too_small(self) -> None:
        rooms = Rooms(np.array([1, 1, 3]), np.array([4, 9, 9]))
        placed = Heads(np.array([[False, False, True]]), np.array([1, 2, -1]))
        assert placed.least_rooms(rooms, np.array([50, 8, 8, 1])).tolist() == [2, 1, 1]


@st.composite
def bodies(draw: st.DrawFn) -> tuple[Rooms, Heads, np.ndarray, np.ndarray, np.ndarray]:
    """Servers of one user each in rooms that a known placement fills."""
    servers, rooms = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    matrix = np.array(draw(st.lists(st.booleans(), min_size=servers * rooms, max_size=servers * rooms)))
    matrix = matrix.reshape(servers, rooms)
    matrix[np.arange(servers), np.arange(servers) % rooms] = True
    head = np.array(draw(st.lists(st.booleans(), min_size=rooms, max_size=rooms))) | ~matrix.any(axis=0)
    k = matrix.sum(axis=0) + head
    return (
        Rooms(k, k + draw(st.integers(0, 3))),
        Heads(head[None, :], np.full(rooms, -1)),
        np.ones(servers, dtype=np.int64),
        matrix.sum(axis=1),
        np.zeros(servers, dtype=np.int64),
    )


class TestBody:
    @given(bodies(), st.integers(0, 2**32))
    def test_every_room_has_its_servers_and_none_twice(
        self, body: tuple[Rooms, Heads, np.ndarray, np.ndarray, np.ndarray], seed: int
    ) -> None:
        rooms, heads, n, m, members = body
        server, room, found = place_body(rooms, heads, n, m, members, 0.0, np.random.default_rng(seed))
        assert len({*zip(server.tolist(), room.tolist(), strict=True)}) == len(server) == m.sum()
        expected = rooms.servers - heads.present.sum(axis=0)
        assert np.array_equal(np.bincount(room, minlength=len(expected)), expected)
        assert not found.any()
        # Servers that are in a room more make up for those in one less.
        off = np.bincount(server, minlength=len(m)) - m
        assert off.sum() == 0

    def test_rooms_per_server_are_kept_but_for_a_few(self) -> None:
        off = []
        for seed in range(30):
            rng = np.random.default_rng(seed)
            rooms, n = many(rng)
            heads = Heads(np.zeros((1, len(rooms.servers)), dtype=bool), np.full(len(rooms.servers), -1))
            heads.present[0] = rooms.servers > 1
            body = n[1:]
            total = int(rooms.servers.sum() - heads.present.sum())
            m = 1 + rng.multinomial(total - len(body), rng.dirichlet(np.full(len(body), 0.5)))
            if m.max() > 0.7 * np.count_nonzero(rooms.servers - heads.present.sum(axis=0)):
                continue
            server, room, _ = place_body(rooms, heads, np.ones_like(body), m, np.zeros_like(m), 0.0, rng)
            assert np.array_equal(np.bincount(room, minlength=60), rooms.servers - heads.present[0])
            off.append(np.abs(np.bincount(server, minlength=len(m)) - m).sum() / total)
        assert len(off) >= 15
        assert np.median(off) == 0
        assert max(off) < 0.1

    @given(st.integers(0, 2**32), st.floats(0.0, 2.0))
    def test_members_find_their_places(self, seed: int, circles: float) -> None:
        rng = np.random.default_rng(seed)
        rooms, n = many(rng)
        heads = headed(rooms, n, 1, rng)
        body = n[1:]
        total = int(rooms.servers.sum() - heads.present.sum())
        least = heads.least_rooms(rooms, n)
        if total < least.sum():
            return
        m = least + rng.multinomial(total - least.sum(), np.full(len(body), 1 / len(body)))
        members = body - 1
        try:
            server, room, found = place_body(rooms, heads, body, m, members, circles, rng)
        except DeadEndError:
            return
        assert np.all(found >= members)  # everybody has a room
        assert np.array_equal(np.bincount(room, minlength=60), rooms.servers - heads.present[0])
        assert len({*zip(server.tolist(), room.tolist(), strict=True)}) == len(server)
        own = {(int(heads.host[r]) - 1, r) for r in np.flatnonzero(heads.host >= 0).tolist()}
        assert own <= {*zip(server.tolist(), room.tolist(), strict=True)}

    def test_small_circles_are_preferred(self) -> None:
        """A server of two users and one room: its member is in the room of 2 servers, not in that of 8."""
        rooms = Rooms(np.array([2, 8]), np.array([12, 18]))
        heads = Heads(np.array([[True, True]]), np.full(2, -1))
        n, m = np.array([2, *[1] * 7]), np.ones(8, dtype=np.int64)
        small = 0
        for seed in range(200):
            server, room, _ = place_body(rooms, heads, n, m, n - 1, 6.0, np.random.default_rng(seed))
            small += room[server == 0].tolist() == [0]
        assert small >= 190  # with weights 1/2^6 to 7/8^6 it is 1 of 585 that is not

    def test_no_room_for_members(self) -> None:
        rooms = Rooms(np.array([2, 2]), np.array([2, 2]))
        heads = Heads(np.array([[True, True]]), np.full(2, -1))
        with pytest.raises(DeadEndError, match="no room for the 5 users of a server of 1 rooms"):
            place_body(
                rooms, heads, np.array([5, 1]), np.array([1, 1]), np.array([4, 0]), 0.0, np.random.default_rng(0)
            )

    def test_more_servers_than_there_are(self) -> None:
        rooms = Rooms(np.array([3, 1]), np.array([3, 1]))
        heads = Heads(np.zeros((1, 2), dtype=bool), np.full(2, -1))
        with pytest.raises(DeadEndError, match="a room has more servers than there are"):
            place_body(
                rooms, heads, np.ones(2, dtype=np.int64), np.array([2, 2]), np.zeros(2), 0.0, np.random.default_rng(0)
            )
