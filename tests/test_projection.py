"""Presences in one pass, against those that a federation derives itself."""

import numpy as np
from hypothesis import given

from fedgen.federation import Federation
from gen.projection import degrees, project
from tests.strategies import federations


def agrees(federation: Federation) -> None:
    d = degrees(federation)
    assert np.array_equal(d, federation.rooms_per_user)
    ours, theirs = project(federation, d), federation.presences
    for name in ("server", "room", "users", "offsets"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name))
    assert np.allclose(ours.weight, theirs.weight, rtol=1e-12, atol=0)
    again = project(federation, d)
    assert again.weight.tobytes() == ours.weight.tobytes()


@given(federations())
def test_any(federation: Federation) -> None:
    agrees(federation)


@given(federations())
def test_plainly(federation: Federation) -> None:
    """User after user, with sums in the order in which they are promised."""
    rooms = np.split(federation.membership_user, federation.room_offsets[1:-1])
    d = [sum(user in room for room in rooms) for user in range(federation.n_users)]
    found: dict[tuple[int, int], tuple[int, float]] = {}
    for room, members in enumerate(rooms):
        for user in members.tolist():
            users, weight = found.get((room, int(federation.user_server[user])), (0, 0.0))
            found[room, int(federation.user_server[user])] = users + 1, weight + 1.0 / d[user]
    p = project(federation, degrees(federation))
    assert list(zip(p.room.tolist(), p.server.tolist(), strict=True)) == list(found)
    assert list(zip(p.users.tolist(), p.weight.tolist(), strict=True)) == list(found.values())


def test_an_example(teams: Federation) -> None:
    agrees(teams)
