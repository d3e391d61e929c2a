"""Both halves at once are what the federations of either half have: the cluster null against its plain twin."""

from dataclasses import asdict, is_dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedgen.federation import Federation
from fedgen.statistics import butterflies, meetings
from fedgen.statistics.butterflies import Overlap, overlap, overlap_of_halves
from fedgen.statistics.corooms import CoRooms, co_rooms, co_rooms_of_halves
from fedgen.statistics.halves import Split
from fedgen.statistics.subset import with_rooms
from fedgen.traffic.equations import load
from tests.strategies import federations
from validate.measurement import CLUSTER_GROUPS, Measurement
from validate.rows.load import ServerLoad


def numbers(statistic: object) -> dict[str, np.ndarray]:
    fields = asdict(statistic) if is_dataclass(statistic) and not isinstance(statistic, type) else vars(statistic)
    return {name: np.trim_zeros(np.atleast_1d(np.asarray(value, dtype=float)), "b") for name, value in fields.items()}


@st.composite
def split_federations(draw: st.DrawFn) -> list[Split]:
    """Some splits of one federation, no half without a room."""
    federation = draw(federations(max_users=15, max_rooms=12).filter(lambda f: f.n_rooms > 1))
    masks = st.lists(st.booleans(), min_size=federation.n_rooms, max_size=federation.n_rooms)
    firsts = draw(st.lists(masks.filter(lambda mask: 0 < sum(mask) < len(mask)), min_size=1, max_size=4))
    return [Split(federation, np.array(first)) for first in firsts]


@given(split_federations())
def test_the_statistics_of_halves_are_those_of_their_federations(splits):
    federation = splits[0].federation
    for group in CLUSTER_GROUPS:
        for split, halves in zip(splits, group.halves(federation)(splits), strict=True):
            for half, kept in zip(halves, (split.first, ~split.first), strict=True):
                literal = numbers(group.statistic(with_rooms(federation, kept)))
                for name, value in numbers(half).items():
                    np.testing.assert_allclose(value, literal[name], rtol=1e-9, atol=1e-12, err_msg=name)


@given(split_federations())
def test_a_split_counts_both_halves(splits):
    """The compiled counts against numpy on the halves themselves."""
    for split in splits:
        for half, kept in enumerate((split.first, ~split.first)):
            part = with_rooms(split.federation, kept)
            traffic = load(part)
            there = split.users_per_server[half] > 0
            for found, plain in (
                (split.users_per_server[half][there], part.users_per_server),
                (split.rooms_per_server[half][there], part.rooms_per_server),
                (split.rooms_per_user[half][split.rooms_per_user[half] > 0], part.rooms_per_user),
                (split.load.tx[half][there], traffic.tx),
                (split.load.rx[half][there], traffic.rx),
            ):
                np.testing.assert_allclose(found, plain, rtol=1e-12, atol=1e-12)
            values = np.arange(2 * 30, dtype=float).reshape(2, -1)
            plain = np.add.reduceat(values[half][part.rooms_per_user[part.membership_user]], part.room_offsets[:-1])
            np.testing.assert_allclose(split.over_users(split.rooms_per_user, values)[kept], plain)


def dense() -> Federation:
    rng = np.random.default_rng(5)
    pairs = np.argwhere(rng.random((400, 60)) < 0.1)
    users, user = np.unique(pairs[:, 0], return_inverse=True)
    return Federation.from_pairs(np.sort(rng.integers(0, 80, len(users))), user, pairs[:, 1], n_servers=80)


def test_both_sides_count_the_same_butterflies():
    """By pairs of users and by pairs of rooms."""
    federation = dense()
    firsts = np.random.default_rng(1).random((5, federation.n_rooms)) < 0.5
    np.testing.assert_allclose(
        butterflies._of_user_pairs(federation)(firsts), butterflies._of_room_pairs(federation)(firsts)
    )


@pytest.mark.parametrize("most", [4000, 8000])
def test_samples_are_near_the_whole(monkeypatch, most):
    """Some of the users and servers: within half of what all of them have; of the whole, drawn, much nearer."""
    federation = dense()
    exact = overlap(federation), co_rooms(federation)
    monkeypatch.setattr(butterflies, "MOST", most)
    monkeypatch.setattr(butterflies, "MOST_PATHS", most)
    monkeypatch.setattr(meetings, "MOST", most)
    assert overlap(federation).per_membership == pytest.approx(exact[0].per_membership, rel=0.01)
    assert co_rooms(federation).share == pytest.approx(exact[1].share, rel=0.01)
    split = Split(federation, np.arange(federation.n_rooms) % 2 == 0)
    for found, kept in zip(next(overlap_of_halves(federation)([split])), (split.first, ~split.first), strict=True):
        assert found.per_membership == pytest.approx(overlap(with_rooms(federation, kept)).per_membership, rel=0.5)
    for found, kept in zip(next(co_rooms_of_halves(federation)([split])), (split.first, ~split.first), strict=True):
        assert found.share == pytest.approx(co_rooms(with_rooms(federation, kept)).share, rel=0.5)


def test_known_small_answers():
    """Two rooms of the same three users on three servers, and one room of two of them."""
    federation = Federation.from_pairs([0, 1, 2], [0, 1, 2, 0, 1, 2, 0, 1], [0, 0, 0, 1, 1, 1, 2, 2])
    assert overlap(federation) == Overlap(3 + 1 + 1, 8)
    found = co_rooms(federation)
    assert found.pairs.tolist() == [0, 0, 2, 1]
    assert (found.share, found.partners, found.servers) == (1.0, 2.0, 3)
    alone = co_rooms(Federation.from_pairs([0, 1], [0, 1], [0, 1]))
    assert (alone.share, alone.meeting) == (0.0, 0)
    assert CoRooms(np.array([0]), 1, 1).share == 0
    assert Overlap(0, 0).per_membership == 0


@given(federations(), st.randoms(use_true_random=False))
def test_names_decide_nothing(federation, random):
    """Servers, users and rooms in another order: the same statistics."""
    servers, users, rooms = (
        np.array(random.sample(range(count), count))
        for count in (federation.n_servers, federation.n_users, federation.n_rooms)
    )
    home = np.empty(federation.n_users, dtype=int)
    home[users] = servers[federation.user_server]
    other = Federation.from_pairs(
        home,
        users[federation.membership_user],
        rooms[federation.membership_room],
        n_servers=federation.n_servers,
        n_rooms=federation.n_rooms,
    )
    assert overlap(federation) == overlap(other)
    for name, value in numbers(co_rooms(federation)).items():
        assert value.tolist() == numbers(co_rooms(other))[name].tolist()
    ours, theirs = ServerLoad.of(federation), ServerLoad.of(other)
    np.testing.assert_allclose(np.sort(ours.tx), np.sort(theirs.tx), atol=1e-9)
    np.testing.assert_allclose(np.sort(ours.rx), np.sort(theirs.rx), atol=1e-9)


def test_a_measurement_is_drawn_once():
    federation = dense()
    measurement = Measurement(federation, seed=3, replicates=99)
    assert measurement.cluster_null is measurement.cluster_null
    assert all(len(null) == 99 for null in measurement.cluster_null.values())
