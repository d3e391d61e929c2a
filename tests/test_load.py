"""Equations 2 and 3 against equation 1 as the paper prints it, and the laws that any load obeys."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedgen.federation import Federation
from fedgen.traffic.equations import load
from tests.strategies import federations

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def pair_sum(federation: Federation, rate: float) -> tuple[list[float], list[float]]:
    """tx and rx from equation 1: for every ordered pair of servers, every room they share, every user of the sender."""
    home = federation.user_server.tolist()
    rooms_of_user, users_of_room, rooms_of_server = defaultdict(set), defaultdict(set), defaultdict(set)
    for user, room in zip(federation.membership_user.tolist(), federation.membership_room.tolist(), strict=True):
        rooms_of_user[user].add(room)
        users_of_room[room].add(user)
        rooms_of_server[home[user]].add(room)
    sent, heard = [0.0] * federation.n_servers, [0.0] * federation.n_servers
    for a in range(federation.n_servers):
        for b in range(federation.n_servers):
            if a == b:
                continue
            for room in rooms_of_server[a] & rooms_of_server[b]:
                rate_ab = sum(rate / len(rooms_of_user[u]) for u in users_of_room[room] if home[u] == a)
                sent[a] += rate_ab
                heard[b] += rate_ab
    return sent, heard


@given(federations(), st.floats(0.01, 100))
def test_presences_carry_the_pair_sum(federation: Federation, rate: float) -> None:
    result = load(federation, rate)
    sent, heard = pair_sum(federation, rate)
    np.testing.assert_allclose(result.tx, sent, **CLOSE)
    np.testing.assert_allclose(result.rx, heard, **CLOSE)
    assert result.total == pytest.approx(sum(sent), rel=1e-12)


@given(federations())
def test_all_that_is_sent_is_received(federation: Federation) -> None:
    result = load(federation)
    assert result.rx.sum() == pytest.approx(result.tx.sum(), rel=1e-12)


@given(federations(), st.floats(0.01, 100))
def test_linear_in_the_rate(federation: Federation, rate: float) -> None:
    one, many = load(federation), load(federation, rate)
    np.testing.assert_allclose(many.tx, rate * one.tx, **CLOSE)
    np.testing.assert_allclose(many.rx, rate * one.rx, **CLOSE)


@given(federations(max_servers=1))
def test_one_server_sends_nothing(federation: Federation) -> None:
    result = load(federation)
    assert result.tx.tolist() == result.rx.tolist() == [0.0]


@given(federations(), federations())
def test_disjoint_federations_add(one: Federation, two: Federation) -> None:
    both = Federation.from_pairs(
        np.concatenate([one.user_server, one.n_servers + two.user_server]),
        np.concatenate([one.membership_user, one.n_users + two.membership_user]),
        np.concatenate([one.membership_room, one.n_rooms + two.membership_room]),
    )
    parts, whole = (load(one), load(two)), load(both)
    np.testing.assert_allclose(whole.tx, np.concatenate([part.tx for part in parts]), **CLOSE)
    np.testing.assert_allclose(whole.rx, np.concatenate([part.rx for part in parts]), **CLOSE)


@given(federations(), st.randoms(use_true_random=False))
def test_names_mean_nothing(federation: Federation, random: object) -> None:
    servers, rooms = list(range(federation.n_servers)), list(range(federation.n_rooms))
    random.shuffle(servers)  # type: ignore[attr-defined]
    random.shuffle(rooms)  # type: ignore[attr-defined]
    renamed = Federation.from_pairs(
        np.array(servers)[federation.user_server],
        federation.membership_user,
        np.array(rooms)[federation.membership_room],
    )
    before, after = load(federation), load(renamed)
    np.testing.assert_allclose(after.tx[servers], before.tx, **CLOSE)
    np.testing.assert_allclose(after.rx[servers], before.rx, **CLOSE)


def test_two_servers_by_hand() -> None:
    # User 0 (server 0) talks in rooms 0 and 1, user 1 (server 0) and user 2 (server 1) in room 1 alone.
    federation = Federation.from_pairs([0, 0, 1], [0, 0, 1, 2], [0, 1, 1, 1])
    result = load(federation, rate=2.0)
    assert result.tx.tolist() == [3.0, 2.0]
    assert result.rx.tolist() == [2.0, 3.0]
    assert result.total == 5.0
