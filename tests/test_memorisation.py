"""E7: .05 by independence, about .5 by copying."""

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedgen.federation import Federation
from validate.memorisation import closer, memorisation, room_records, server_records, share_within


def drawn(seed: int, records: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(records, 3))


def test_independence_and_copying():
    """Median over 30 pairs; a single share has a standard deviation of about .015."""
    rng = np.random.default_rng(0)
    independent = [np.median(closer(drawn(2 * i, 400), drawn(2 * i + 1, 400), rng)) for i in range(30)]
    assert np.mean(independent) == pytest.approx(0.05, abs=0.01)
    copied = np.median(closer(drawn(1, 400), drawn(1, 400), rng))
    assert copied == pytest.approx(0.525, abs=0.03)
    half = np.median(closer(np.concatenate((drawn(1, 200), drawn(2, 200))), drawn(1, 400), rng))
    assert half == pytest.approx(0.29, abs=0.05)


def test_ties_do_not_look_like_copies():
    """Four distinct records: every distance is 0, and a share of .05 all the same."""
    rng = np.random.default_rng(4)
    ours, theirs = (rng.integers(0, 2, (300, 2)).astype(float) for _ in range(2))
    assert np.median(closer(ours, theirs, rng)) == pytest.approx(0.05, abs=0.01)


@given(st.lists(st.integers(0, 8), min_size=20, max_size=60), st.integers(0, 100))
def test_the_reference_has_its_own_share(distances, extra):
    reference = np.array(distances, dtype=float)
    assert share_within(reference, reference) == pytest.approx(0.05)
    assert share_within(np.full(7, float(extra + 9)), reference) == 0
    nearer = share_within(np.zeros(5), reference)
    assert 0.05 - 1e-12 <= nearer <= 1 + 1e-12


def crowd(seed: int, rooms: int = 120, servers: int = 60, users: int = 1500) -> Federation:
    rng = np.random.default_rng(seed)
    home = np.sort(rng.integers(0, servers, users))
    pairs = {(u, int(rng.integers(rooms))) for u in range(users)}
    for r in range(rooms):
        pairs |= {(int(u), r) for u in rng.choice(users, rng.integers(11, 90), replace=False)}
    user, room = zip(*sorted(pairs), strict=True)
    federation = Federation.from_pairs(home, user, room, n_servers=servers, n_rooms=rooms)
    federation.check()
    return federation


def test_federations():
    ours, theirs = crowd(1), crowd(2)
    apart = {kind.records: kind for kind in memorisation(ours, theirs)}
    assert list(apart) == ["rooms", "servers", "together"]
    assert apart["rooms"].measured == 120
    assert not any(kind.too_close for kind in apart.values())
    assert apart["together"].share < 0.15
    copied = {kind.records: kind for kind in memorisation(theirs, theirs)}
    assert all(kind.too_close for kind in copied.values())
    assert copied["servers"].share == pytest.approx(0.5, abs=0.1)
    assert copied["rooms"].share > 0.2  # no head servers: of (servers, users) alone many tie
    assert copied == {kind.records: kind for kind in memorisation(theirs, theirs)}
    few = memorisation(crowd(1, rooms=30), theirs)
    assert isnan(few[0].share)
    assert "fewer than 40 rooms" in few[0].note
    assert few[0].to_dict()["share"] is None
    tiny = Federation.from_pairs([0, 1], [0, 1], [0, 0])
    assert all(isnan(kind.share) for kind in memorisation(tiny, tiny))


def test_records():
    """Room 0 has eight users of server 0 and four of server 1; room 1 is too small; server 0 alone is large."""
    users = [*range(8), *range(11, 15)]
    federation = Federation.from_pairs([0] * 11 + [1] * 4, [*users, *range(11)], [0] * 12 + [1] * 10 + [2])
    federation.check()
    assert room_records(federation, 2).tolist() == [np.log([2, 12]).tolist() + np.log([9, 5]).tolist()]
    assert room_records(federation, 0).tolist() == [np.log([2, 12]).tolist()]
    assert room_records(federation, 5)[0, 4:].tolist() == [0, 0, 0]
    assert server_records(federation).tolist() == [np.log([11, 3, 19]).tolist()]
