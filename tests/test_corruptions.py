"""Corruptions keep what they say, and break what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedgen.federation import Federation
from tests.strategies import federations
from validate.corruptions import (
    CORRUPTIONS,
    random_rooms,
    rewired,
    shuffled_degrees,
    smaller_hub,
    steeper_tail,
)
from validate.measurement import Measurement
from validate.scorecard import judge


@given(federations(), st.sampled_from(CORRUPTIONS), st.integers(0, 2**32))
def test_invariants_are_kept(federation, corruption, seed):
    corrupted = corruption.apply(federation, np.random.default_rng(seed))
    corrupted.check()
    assert (corrupted.n_users, corrupted.n_servers, corrupted.n_rooms) == (
        federation.n_users,
        federation.n_servers,
        federation.n_rooms,
    )
    again = corruption.apply(federation, np.random.default_rng(seed))
    assert corrupted.same_as(again)


@pytest.mark.parametrize("corrupt", [rewired, random_rooms])
def test_exchanges_keep_both_degrees(teams, corrupt):
    corrupted = corrupt(teams, np.random.default_rng(1))
    assert corrupted.rooms_per_user.tolist() == teams.rooms_per_user.tolist()
    assert corrupted.users_per_room.tolist() == teams.users_per_room.tolist()
    assert not corrupted.same_as(teams)


def test_the_hub_loses_five_points(teams):
    corrupted = smaller_hub(teams, np.random.default_rng(1))
    shares = [side.users_per_server.max() / side.n_users for side in (teams, corrupted)]
    assert shares[0] - shares[1] == pytest.approx(0.05, abs=1 / teams.n_users)
    assert sorted(corrupted.rooms_per_user) == sorted(teams.rooms_per_user)
    assert corrupted.users_per_room.tolist() == teams.users_per_room.tolist()


def test_degrees_change_hands(teams):
    corrupted = shuffled_degrees(teams, np.random.default_rng(1))
    assert sorted(corrupted.rooms_per_user) == sorted(teams.rooms_per_user)
    assert corrupted.users_per_room.tolist() == teams.users_per_room.tolist()
    assert corrupted.user_server.tolist() == teams.user_server.tolist()
    # Exchanged in pairs: everybody's number of rooms is another's, but for one who may be left over.
    kept = corrupted.rooms_per_user == teams.rooms_per_user
    chance = (np.bincount(teams.rooms_per_user) / teams.n_users) ** 2
    assert kept.mean() == pytest.approx(chance.sum(), abs=0.05)


def test_the_tail_is_steeper():
    """A law with 6,000 values in its tail, so that the error of the exponent is below .02."""
    rng = np.random.default_rng(3)
    n = np.append(np.floor(2 * (1 - rng.random(6000)) ** (-1 / 1.1)).astype(int), 40_000)
    n = np.minimum(n, 40_000)
    home = np.repeat(np.arange(len(n)), n)
    federation = Federation.from_pairs(home, np.arange(len(home)), np.zeros(len(home), dtype=int))
    corrupted = steeper_tail(federation, rng)
    corrupted.check()

    def exponent(side: Federation) -> float:
        """Hill's, from 20 users on, without the hub."""
        body = np.sort(side.users_per_server)[:-1]
        return float(1 + 1 / np.log(body[body >= 20] / 19.5).mean())

    assert exponent(corrupted) - exponent(federation) == pytest.approx(0.2, abs=0.1)
    assert corrupted.users_per_server.max() > federation.users_per_server.max()


def test_nothing_to_take_from_a_single_server():
    alone = Federation.from_pairs([0, 0], [0, 1], [0, 1])
    for corrupt in (smaller_hub, steeper_tail):
        assert corrupt(alone, np.random.default_rng(0)).same_as(alone)


@pytest.mark.parametrize("corruption", [c for c in CORRUPTIONS if c.apply in (rewired, smaller_hub, shuffled_degrees)])
def test_what_it_breaks_is_seen(teams, corruption):
    corrupted = corruption.apply(teams, np.random.default_rng(5))
    rows = judge(corrupted, Measurement(teams))
    assert {row.name for row in rows if row.verdict == "rejected"} & set(corruption.breaks)
    assert set(corruption.breaks) < {row.name for row in rows}
