"""The structure: its derived statistics against a twin in plain Python, and its invariants one by one."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedgen.errors import InvariantError
from fedgen.federation import Federation
from tests.strategies import federations


def pairs_of(federation: Federation) -> tuple[dict[int, int], set[tuple[int, int]]]:
    """The server of each user and the memberships, as a person would write them down."""
    home = dict(enumerate(federation.user_server.tolist()))
    return home, set(zip(federation.membership_user.tolist(), federation.membership_room.tolist(), strict=True))


def small() -> Federation:
    """Servers 0 {0, 1}, 1 {2}; rooms 0 {0, 2}, 1 {0, 1, 2}."""
    return Federation.from_pairs([0, 0, 1], [0, 2, 0, 1, 2], [0, 0, 1, 1, 1])


@given(federations())
def test_every_federation_of_the_strategy_is_sound(federation: Federation) -> None:
    federation.check()


@given(federations())
def test_statistics_equal_those_of_sets_and_dicts(federation: Federation) -> None:
    home, members = pairs_of(federation)
    rooms_of, users_of = defaultdict(set), defaultdict(set)
    present: dict[tuple[int, int], set[int]] = defaultdict(set)
    for user, room in members:
        rooms_of[user].add(room)
        users_of[room].add(user)
        present[room, home[user]].add(user)
    servers, rooms = range(federation.n_servers), range(federation.n_rooms)
    assert federation.n_memberships == len(members)
    assert federation.n_presences == len(present)
    assert federation.users_per_server.tolist() == [sum(h == s for h in home.values()) for s in servers]
    assert federation.rooms_per_server.tolist() == [sum(s == t for _, t in present) for s in servers]
    assert federation.memberships_per_server.tolist() == [sum(home[u] == s for u, _ in members) for s in servers]
    assert federation.users_per_room.tolist() == [len(users_of[r]) for r in rooms]
    assert federation.servers_per_room.tolist() == [len({home[u] for u in users_of[r]}) for r in rooms]
    assert federation.rooms_per_user.tolist() == [len(rooms_of[u]) for u in home]
    p = federation.presences
    assert list(zip(p.room.tolist(), p.server.tolist(), strict=True)) == sorted(present)
    assert p.users.tolist() == [len(present[key]) for key in sorted(present)]
    weights = [sum(1 / len(rooms_of[u]) for u in present[key]) for key in sorted(present)]
    np.testing.assert_allclose(p.weight, weights, rtol=1e-12)
    for room in rooms:
        assert set(p.room[p.offsets[room] : p.offsets[room + 1]].tolist()) == {room}


@given(federations(), st.randoms(use_true_random=False))
def test_order_of_memberships_means_nothing(federation: Federation, random: object) -> None:
    order = list(range(federation.n_memberships))
    random.shuffle(order)  # type: ignore[attr-defined]
    again = Federation.from_pairs(
        federation.user_server, federation.membership_user[order], federation.membership_room[order]
    )
    assert again.same_as(federation)


@given(federations(), st.randoms(use_true_random=False))
def test_ungrouped_users_are_renumbered_and_nothing_else_changes(federation: Federation, random: object) -> None:
    new = list(range(federation.n_users))
    random.shuffle(new)  # type: ignore[attr-defined]
    home = np.empty(federation.n_users, dtype=int)
    home[new] = federation.user_server
    again = Federation.from_pairs(home, np.array(new)[federation.membership_user], federation.membership_room)
    again.check()
    assert again.users_per_server.tolist() == federation.users_per_server.tolist()
    assert again.presences.users.tolist() == federation.presences.users.tolist()
    assert sorted(again.rooms_per_user) == sorted(federation.rooms_per_user)


def test_same_as_sees_every_part() -> None:
    one = small()
    assert one.same_as(small())
    assert not one.same_as(replace(one, n_servers=3))
    assert not one.same_as(replace(one, user_server=np.array([0, 1, 1])))
    assert not one.same_as(replace(one, room_offsets=np.array([0, 3, 5])))
    assert not one.same_as(replace(one, membership_user=np.array([0, 1, 0, 1, 2])))


DAMAGE: list[tuple[str, dict[str, Any], str]] = [
    ("no server", {"n_servers": 0}, "server: a federation has at least one server"),
    ("server beyond", {"user_server": [0, 0, 2]}, "user 2 is on a server that does not exist"),
    ("server below", {"user_server": [-1, 0, 1]}, "user 0 is on a server that does not exist"),
    ("unordered users", {"user_server": [0, 1, 0]}, "user 2 breaks the order of users by server"),
    ("no offsets", {"room_offsets": []}, "room: offsets do not span the memberships"),
    ("short offsets", {"room_offsets": [0, 2, 4]}, "room: offsets do not span the memberships"),
    ("late offsets", {"room_offsets": [1, 2, 5]}, "room: offsets do not span the memberships"),
    ("empty room", {"room_offsets": [0, 2, 2, 5]}, "room 1 has no user"),
    ("falling offsets", {"room_offsets": [0, 3, 2, 5]}, "room 1 has no user"),
    ("user beyond", {"membership_user": [0, 3, 0, 1, 2]}, "membership 1 belongs to a user that does not exist"),
    ("user below", {"membership_user": [-1, 2, 0, 1, 2]}, "membership 0 belongs to a user that does not exist"),
    ("twice", {"membership_user": [0, 2, 0, 0, 2]}, "membership 3 stands twice"),
    ("unordered", {"membership_user": [0, 2, 1, 0, 2]}, "membership 3 breaks the order by user within its room"),
    ("in no room", {"membership_user": [0, 2, 0, 2], "room_offsets": [0, 2, 4]}, "user 1 is in no room"),
    ("deserted server", {"n_servers": 4}, "server 2 has no user (and 1 more)"),
]


@pytest.mark.parametrize(("damage", "message"), [row[1:] for row in DAMAGE], ids=[row[0] for row in DAMAGE])
def test_check_names_what_is_broken(damage: dict[str, Any], message: str) -> None:
    arrays = {name: np.array(value, dtype=int) if isinstance(value, list) else value for name, value in damage.items()}
    with pytest.raises(InvariantError, match=f"^{re.escape(message)}$"):
        replace(small(), **arrays).check()


@given(federations())
def test_networkx_graph_holds_every_relation(federation: Federation) -> None:
    home, members = pairs_of(federation)
    graph = federation.to_networkx()
    assert graph.number_of_nodes() == federation.n_users + federation.n_servers + federation.n_rooms
    assert graph.number_of_edges() == federation.n_users + federation.n_memberships + federation.n_presences
    assert all(graph.has_edge(("user", u), ("server", s)) for u, s in home.items())
    assert all(graph.has_edge(("user", u), ("room", r)) for u, r in members)
    p = federation.presences
    for server, room, users in zip(p.server.tolist(), p.room.tolist(), p.users.tolist(), strict=True):
        assert graph.edges[("server", server), ("room", room)]["users"] == users


@given(federations())
def test_arrow_tables_hold_every_column(federation: Federation) -> None:
    tables = federation.to_arrow()
    p = federation.presences
    f = federation
    expected = {
        "servers": {"server": range(f.n_servers), "users": f.users_per_server, "rooms": f.rooms_per_server},
        "rooms": {"room": range(f.n_rooms), "users": f.users_per_room, "servers": f.servers_per_room},
        "users": {"user": range(f.n_users), "server": f.user_server, "rooms": f.rooms_per_user},
        "memberships": {"user": f.membership_user, "room": f.membership_room},
        "presences": {"server": p.server, "room": p.room, "users": p.users, "weight": p.weight},
    }
    assert {name: table.to_pydict() for name, table in tables.items()} == {
        name: {column: list(values) for column, values in columns.items()} for name, columns in expected.items()
    }


@pytest.mark.parametrize(("users", "width"), [(256, "uint8"), (257, "uint16"), (65536, "uint16"), (65537, "uint32")])
def test_arrow_ids_are_as_narrow_as_they_can_be(users: int, width: str) -> None:
    federation = Federation.from_pairs(np.zeros(users, int), np.arange(users), np.zeros(users, int))
    assert str(federation.to_arrow()["users"].schema.field("user").type) == width
