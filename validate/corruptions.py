r"""Federations that are wrong in one known way: what the scorecard must see.

A scorecard that nothing fails says nothing, so its power is measured (``benchmarks/power.py``, docs/scorecard.md): a
copy of the measurement, perfect but for one error, is judged against it. Every corruption keeps the invariants of a
federation, and all margins that it does not name; each names the rows that it is meant to break.

*Server-blind rewiring*: every membership keeps its room and gets any user, by degree: who talks to whom is lost, and
every room is made of the same servers. (A shuffle of the users over all memberships; rooms keep their users per room,
users their rooms per user.)

*Hub share -5 points*: users move, with their memberships, from the server with most users to others, chosen by their
users, until it has .05 U fewer.

*Tail index +0.2*: of users per server. Let :math:`\alpha` be the exponent of the power law that the scan finds in the
servers that are no hubs. A Pareto variable to the power :math:`(\alpha - 1) / (\alpha - .8)` has the exponent
:math:`\alpha + .2`; so a server of n users is left with :math:`n^{(\alpha - 1) / (\alpha - .8)}` of them (rounded at
random, one at least), and the others move, with their memberships, to the largest server, where a steeper tail leaves
them.

*Degrees shuffled across servers*: users are paired at random, and the two of each pair exchange their numbers of
rooms: the one with more hands rooms that the other is not in over to it. Rooms keep their users per room, the law of
rooms per user is the same, but not who has many.

*Rooms of random composition*: a twentieth of the rooms, drawn by their memberships, get any users, by degree: each of
their memberships changes places with any other of the federation. (Drawn evenly, a twentieth of the rooms is most often
a twentieth of the small ones, and no law of rooms moves by more than .05: below the floor of a federation of 700.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedgen.federation import Federation

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fedgen.federation import Integers

POINTS = 0.05
STEEPER = 0.2
ROOMS = 0.05
_ROUNDS = 100
"""Of exchanges to undo repeated pairs; what is left then is dropped."""


@dataclass(frozen=True)
class Corruption:
    """One way to be wrong.

    Attributes:
        name: in words.
        breaks: the rows that it is meant to break.
        apply: takes a federation and random numbers to the corrupted one.
    """

    name: str
    breaks: tuple[str, ...]
    apply: Callable[[Federation, np.random.Generator], Federation]


def rewired(federation: Federation, rng: np.random.Generator) -> Federation:
    """Server-blind: users change places over all memberships."""
    return _exchanged(federation, np.arange(federation.n_memberships), rng)


def smaller_hub(federation: Federation, rng: np.random.Generator) -> Federation:
    """The largest server has ``POINTS`` of all users less; at least one stays."""
    n = federation.users_per_server
    hub = int(np.argmax(n))
    leaving = min(round(POINTS * federation.n_users), int(n[hub]) - 1)
    if federation.n_servers < 2 or leaving < 1:
        return federation
    movers = rng.choice(np.flatnonzero(federation.user_server == hub), leaving, replace=False)
    others = np.where(np.arange(federation.n_servers) == hub, 0, n)
    return _moved(federation, movers, rng.choice(federation.n_servers, leaving, p=others / others.sum()))


def steeper_tail(federation: Federation, rng: np.random.Generator) -> Federation:
    """Users per server have an exponent larger by ``STEEPER``; without a tail, nothing happens."""
    from fitting.tails import fit_tail

    n = federation.users_per_server
    fit = fit_tail("users per server", n, hubs=True)
    if fit.scan is None:
        return federation
    order = np.argsort(-n, kind="stable")
    body = order[fit.hubs.count if fit.hubs else 0 :]
    wanted = n[body] ** ((fit.scan.alpha - 1) / (fit.scan.alpha - 1 + STEEPER))
    left = n.copy()
    left[body] = np.maximum(1, np.floor(wanted + rng.random(len(body)))).astype(n.dtype)
    # The first of each server's users in a random order stay.
    mixed = rng.permutation(federation.n_users)
    mixed = mixed[np.argsort(federation.user_server[mixed], kind="stable")]
    home = federation.user_server[mixed]
    place = np.arange(federation.n_users) - (np.cumsum(n) - n)[home]
    movers = mixed[place >= left[home]]
    return _moved(federation, movers, np.full(len(movers), order[0]))


def shuffled_degrees(federation: Federation, rng: np.random.Generator) -> Federation:
    """Users exchange their numbers of rooms in pairs drawn at random."""
    by_user = np.argsort(federation.membership_user, kind="stable")
    rooms = np.split(federation.membership_room[by_user], np.cumsum(federation.rooms_per_user)[:-1])
    user = federation.membership_user[by_user].copy()
    places = np.cumsum(federation.rooms_per_user) - federation.rooms_per_user
    mixed = rng.permutation(federation.n_users)
    d = federation.rooms_per_user
    half = federation.n_users // 2
    for one, other in zip(mixed[:half].tolist(), mixed[half : 2 * half].tolist(), strict=True):
        more, fewer = (one, other) if d[one] > d[other] else (other, one)
        surplus = d[more] - d[fewer]
        if surplus > 0:
            own = np.flatnonzero(~np.isin(rooms[more], rooms[fewer]))
            user[places[more] + rng.choice(own, surplus, replace=False)] = fewer
    return _rebuilt(federation, user, federation.membership_room[by_user])


def random_rooms(federation: Federation, rng: np.random.Generator) -> Federation:
    """``ROOMS`` of the rooms, drawn by their memberships, get any users."""
    size = federation.users_per_room
    count = min(federation.n_rooms, max(1, round(ROOMS * federation.n_rooms)))
    chosen = np.zeros(federation.n_rooms, dtype=bool)
    chosen[rng.choice(federation.n_rooms, count, replace=False, p=size / size.sum())] = True
    return _exchanged(federation, np.flatnonzero(chosen[federation.membership_room]), rng)


CORRUPTIONS = (
    Corruption(
        "server-blind rewiring",
        ("A2", "A3", "A3c", "B1", "B3", "B3c", "D1t", "D1r", "D1h", "D2", "D3", "E1", "E2", "E3c", "E3p", "E5u", "E5s"),
        rewired,
    ),
    Corruption(
        "hub share -5 points",
        ("A1", "A2", "A3", "A3c", "B1", "B3", "B3c", "C1c", "D1h", "D1t", "D1r", "D2", "E1"),
        smaller_hub,
    ),
    Corruption(
        "tail index +0.2",
        ("A1", "A2", "A3", "A3c", "B1", "B3", "B3c", "D1t", "D1r", "D1h", "D2", "E1", "E5s"),
        steeper_tail,
    ),
    Corruption(
        "degrees shuffled across servers",
        ("A2", "A3", "A3c", "B1", "B3", "B3c", "C1c", "D1t", "D1r", "D1h", "D2", "E1", "E5u", "E5s"),
        shuffled_degrees,
    ),
    Corruption(
        "5 % of rooms of random composition",
        ("A2", "A3", "A3c", "B1", "B3", "B3c", "E1", "E2", "E3c", "E3p", "E5s", "E5u"),
        random_rooms,
    ),
)


def _exchanged(federation: Federation, asked: NDArray[np.intp], rng: np.random.Generator) -> Federation:
    """The users of the memberships ``asked`` change places with any; no pair stands twice in the end."""
    user, room = federation.membership_user.copy(), federation.membership_room
    for _ in range(_ROUNDS):
        # One exchange after the other, as in a shuffle: a place may be asked for twice.
        for one, other in zip(asked.tolist(), rng.integers(0, len(user), len(asked)).tolist(), strict=True):
            user[one], user[other] = user[other], user[one]
        asked = np.flatnonzero(_repeated(user, room))
        if len(asked) == 0:
            break
    kept = ~_repeated(user, room)
    return _rebuilt(federation, user[kept], room[kept])


def _repeated(user: Integers, room: Integers) -> NDArray[np.bool_]:
    """(M,) which memberships repeat one that comes before."""
    key = room.astype(np.int64) * (int(user.max()) + 1) + user
    order = np.argsort(key, kind="stable")
    repeated = np.zeros(len(key), dtype=bool)
    repeated[order[1:]] = key[order[1:]] == key[order[:-1]]
    return repeated


def _moved(federation: Federation, users: Integers, servers: Integers) -> Federation:
    """Some users on other servers, with their memberships."""
    home = federation.user_server.copy()
    home[users] = servers
    return Federation.from_pairs(
        home,
        federation.membership_user,
        federation.membership_room,
        n_servers=federation.n_servers,
        n_rooms=federation.n_rooms,
    )


def _rebuilt(federation: Federation, user: Integers, room: Integers) -> Federation:
    """Other memberships of the same users and rooms."""
    return Federation.from_pairs(
        federation.user_server, user, room, n_servers=federation.n_servers, n_rooms=federation.n_rooms
    )
