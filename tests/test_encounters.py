"""Encounters: counted by loops, and drawn at random without bias and with the error that is told."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgen.federation import Federation
from fedgen.statistics import encounters
from fedgen.statistics.butterflies import butterflies, closing_paths
from fedgen.statistics.clustering import butterflies_per_user, clustering
from fedgen.statistics.corooms import co_rooms, drawn_co_rooms
from fedgen.statistics.encounters import alike, shared_places
from tests.strategies import federations
from tests.test_halves import dense

SEEDS = range(40)


def pieces(federation: Federation, cuts: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The memberships in parts that may split rooms."""
    ends = sorted({0, federation.n_memberships, *(min(cut, federation.n_memberships) for cut in cuts)})
    user, room = federation.membership_user, federation.membership_room
    return [(user[a:b], room[a:b]) for a, b in pairwise(ends)]


def rooms_of_users(federation: Federation) -> list[set[int]]:
    rooms: list[set[int]] = [set() for _ in range(federation.n_users)]
    for user, room in zip(federation.membership_user.tolist(), federation.membership_room.tolist(), strict=True):
        rooms[user].add(room)
    return rooms


@settings(deadline=None)
@given(federations(), st.lists(st.integers(0, 100), max_size=5), st.data())
def test_shared_places_are_those_of_sets(federation, cuts, data):
    pairs = list(combinations(range(federation.n_users), 2))
    chosen = data.draw(st.lists(st.sampled_from(pairs), max_size=20)) if pairs else []
    one, other = np.array([pair if i % 2 else pair[::-1] for i, pair in enumerate(chosen)], dtype=int).reshape(-1, 2).T
    rooms = rooms_of_users(federation)
    expected = [len(rooms[v] & rooms[w]) for v, w in chosen]
    assert shared_places(one, other, federation.n_users, pieces(federation, cuts)).tolist() == expected


@settings(deadline=None)
@given(federations(), st.lists(st.integers(0, 100), max_size=5))
def test_all_encounters(federation, cuts):
    """Where they are few: everybody in a room with everybody in it, the same ones as no encounter."""
    found = alike(federation.users_per_room, lambda: pieces(federation, cuts), federation.n_users)
    rooms = rooms_of_users(federation)
    members = np.split(federation.membership_user, federation.room_offsets[1:-1])
    assert found.exact
    assert sorted(zip(found.one.tolist(), found.other.tolist(), found.shared.tolist(), strict=True)) == sorted(
        (v, w, len(rooms[v] & rooms[w]) if v != w else 0) for room in members for v in room for w in room
    )
    assert found.error(found.shared.astype(float)) == 0


@settings(deadline=None)
@given(federations())
def test_of_few_encounters_all_is_counted(federation):
    found = closing_paths(federation)
    assert found.overlap.butterflies == butterflies(federation)
    assert (found.overlap.drawn, found.overlap.error) == (0, 0)
    assert found.closing == pytest.approx(clustering(federation, butterflies(federation)), nan_ok=True)
    per_user = np.bincount(federation.rooms_per_user, weights=butterflies_per_user(federation))
    assert found.by_degree == pytest.approx(per_user)
    ours, theirs = drawn_co_rooms(federation), co_rooms(federation)
    assert np.trim_zeros(ours.pairs, "b").tolist() == np.trim_zeros(theirs.pairs, "b").tolist()
    assert (ours.drawn, ours.error, ours.shift) == (0, 0, 0)


class TestDrawn:
    """Of 400 users in 60 rooms, by 2,000 draws with 40 seeds: no bias, and no more error than is told."""

    @pytest.fixture(params=SEEDS[:3])
    def seed(self, request, monkeypatch):
        monkeypatch.setattr(encounters, "_SEED", request.param)

    def several(self, monkeypatch, estimate):
        found = []
        for seed in SEEDS:
            monkeypatch.setattr(encounters, "_SEED", seed)
            found.append(estimate(dense(), 2000))
        return found

    @pytest.mark.usefixtures("seed")
    def test_within_the_error(self):
        federation = dense()
        found, exact = closing_paths(federation, 2000), closing_paths(federation)
        assert found.overlap.drawn == 2000
        assert 0 < found.overlap.error < 0.1
        assert found.overlap.butterflies == pytest.approx(exact.overlap.butterflies, rel=4 * found.overlap.error)
        pairs, counted = drawn_co_rooms(federation, 2000), co_rooms(federation)
        assert 0 < pairs.error < 0.1
        assert pairs.meeting == pytest.approx(counted.meeting, rel=4 * pairs.error)
        assert pairs.share == pytest.approx(counted.share, rel=4 * pairs.error)
        ours, theirs = (
            float(np.log10(1.0 + np.arange(len(side.pairs))) @ side.pairs) / side.meeting for side in (pairs, counted)
        )
        assert 0 < pairs.shift < 0.02
        assert ours == pytest.approx(theirs, abs=4 * pairs.shift)

    def test_butterflies_without_bias(self, monkeypatch):
        found = [paths.overlap for paths in self.several(monkeypatch, closing_paths)]
        counts, error = np.array([each.butterflies for each in found]), np.mean([each.error for each in found])
        exact = butterflies(dense())
        assert counts.mean() == pytest.approx(exact, rel=4 * error / np.sqrt(len(SEEDS)))
        # Stretches lower the error, never raise it; the standard deviation of 40 is known to about 11 %.
        assert counts.std() < 1.3 * error * exact

    def test_pairs_without_bias(self, monkeypatch):
        found = self.several(monkeypatch, drawn_co_rooms)
        counts, error = np.array([each.meeting for each in found]), np.mean([each.error for each in found])
        exact = co_rooms(dense()).meeting
        assert counts.mean() == pytest.approx(exact, rel=4 * error / np.sqrt(len(SEEDS)))
        assert counts.std() < 1.3 * error * exact

    def test_the_same_every_time(self):
        assert closing_paths(dense(), 500).overlap == closing_paths(dense(), 500).overlap


def test_nobody_meets():
    alone = Federation.from_pairs([0, 1], [0, 1], [0, 1])
    assert closing_paths(alone).overlap.butterflies == 0
    assert drawn_co_rooms(alone).meeting == 0
    hermits = Federation.from_pairs(np.zeros(50, dtype=int), np.arange(50), np.zeros(50, dtype=int))
    assert closing_paths(hermits).overlap.butterflies == 0
    assert drawn_co_rooms(hermits).meeting == 0
