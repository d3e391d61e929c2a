"""Butterflies: by hand, against a plain twin, in blocks, and beyond 64 bits."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedgen.federation import Federation
from fedgen.statistics.butterflies import _pairs, butterflies
from fedgen.statistics.vocabulary import Statistic
from tests.strategies import federations


def twin(federation: Federation) -> int:
    """Every pair of users: how many pairs of rooms do they share?"""
    rooms: list[set[int]] = [set() for _ in range(federation.n_users)]
    for user, room in zip(federation.membership_user.tolist(), federation.membership_room.tolist(), strict=True):
        rooms[user].add(room)
    return sum(comb(len(a & b), 2) for a, b in combinations(rooms, 2))


def everybody(users: int, rooms: int) -> Federation:
    """All users of one server in all rooms."""
    return Federation.from_pairs(
        np.zeros(users, dtype=np.int64), np.tile(np.arange(users), rooms), np.repeat(np.arange(rooms), users)
    )


@given(federations(), st.integers(1, 40))
def test_plain_twin(federation: Federation, block: int) -> None:
    assert butterflies(federation) == butterflies(federation, block=block) == twin(federation)


@pytest.mark.parametrize(("users", "rooms"), [(1, 1), (2, 2), (7, 3), (3, 7), (2_000, 40), (40, 2_000)])
def test_everybody_everywhere(users: int, rooms: int) -> None:
    federation = everybody(users, rooms)
    assert butterflies(federation) == comb(users, 2) * comb(rooms, 2)
    assert Statistic("butterflies_per_membership").measure(federation) == pytest.approx(
        comb(users, 2) * comb(rooms, 2) / (users * rooms)
    )


def test_one_butterfly_among_others() -> None:
    """Users 0 and 1 share rooms 0 and 1; user 2 shares one room with each."""
    federation = Federation.from_pairs([0, 0, 1], [0, 1, 0, 1, 2, 2], [0, 0, 1, 1, 1, 2])
    assert butterflies(federation) == 1


def test_the_sum_may_be_larger_than_64_bits() -> None:
    counts = np.full(1_000, 2**31 - 1)
    assert _pairs(counts) == 1_000 * comb(2**31 - 1, 2) > 2**63
    assert _pairs(np.array([0, 1, 2, 3])) == 4
