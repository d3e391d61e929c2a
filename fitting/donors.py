r"""Donors: presences that tell what one more room brings to a server.

Rooms come in no order. So a server with n users and m rooms, were one of its rooms the last one seen, was before it a
server with m - 1 rooms and without the g users who are in that room alone; and what the room brought it was c users, g
of them new. Every presence of a server with two rooms and more is such a *donor* to servers in the state (n - g, m -
1): what is to come for a server in that state is what came to those who were in it (leave one out; the same identity is
Robbins' for the rate of coming itself). No law of how n grows with m is assumed.

A server *grows* by rooms one at a time: it takes c and g of a donor whose state is of its own classes
(:mod:`fitting.classes`), or the nearest ones; c - g of its users are drawn with weights, their rates, to be in the
room; and g users join, each with a rate of its own. So d <= m, e <= n m, and n = 1 means e = m.

Which of a server's users are in one room alone, and of which type that room is, the model's tables tell; in which of
the presences of that type they are is drawn, every membership alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from fedgen.ragged import offsets_of
from fitting.classes import EDGES, nearest_kind, pair_kind

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers
    from fitting.model import Model


@dataclass(frozen=True, eq=False)
class Donors:
    """Presences by the state of the server without them.

    Attributes:
        offsets: (kinds + 1,) where those of each kind of state begin.
        users: (D,) c.
        new: (D,) g, 0 <= g <= c.
        nearest: (C, C) the kind of state nearest to each pair of classes.
    """

    offsets: Integers
    users: Integers
    new: Integers
    nearest: Integers


@dataclass(frozen=True, eq=False)
class Grown:
    """What became of servers' users.

    Attributes:
        rooms: (U,) d of every user that was there.
        home: (N,) the server of each new user, rising.
        new_rooms: (N,) its d.
    """

    rooms: Integers
    home: Integers
    new_rooms: Integers


def donors(model: Model, rng: np.random.Generator) -> Donors:
    """The donors of a model's body; ``rng`` draws where users of one room are."""
    server, count, new = _presences(model, rng)
    m = model.servers.rooms[server]
    able = m > 1
    if able.any():
        n_before, m_before = (model.servers.users[server] - new)[able], m[able] - 1
        users, new = count[able], new[able]
    else:  # nobody has two rooms: a second one, if it must be, has one user, who is not new
        n_before = m_before = users = np.ones(1, dtype=np.int64)
        new = np.zeros(1, dtype=np.int64)
    kind = pair_kind(n_before, m_before)
    order = np.argsort(kind, kind="stable")
    kinds, first = np.unique(kind[order], return_index=True)
    pairs = pair_kind(np.repeat(EDGES, len(EDGES)), np.tile(EDGES, len(EDGES)))
    nearest = nearest_kind(pairs, kinds).reshape(len(EDGES), -1)
    return Donors(np.append(first, len(order)), users[order], new[order], nearest)


def _presences(model: Model, rng: np.random.Generator) -> tuple[Integers, Integers, Integers]:
    """(server, users, users in no other room) of each presence of the body."""
    table, users, profiles = model.presences, model.users, model.profiles
    server, type_, count = (np.repeat(column, table.number) for column in (table.server, table.type, table.users))
    n_types = np.int64(len(model.types.kind))
    single = (users.rooms[profiles.user] == 1) & (users.server[profiles.user] >= 0)
    of = profiles.user[single]
    group = server * n_types + type_
    groups, slot_group = np.unique(np.repeat(group, count), return_inverse=True)
    wanted = users.server[of] * n_types + profiles.type[single]
    at = np.minimum(np.searchsorted(groups, wanted), len(groups) - 1)
    there = groups[at] == wanted  # all, but in a model that was grown itself
    singles = np.bincount(at[there], weights=users.number[of][there], minlength=len(groups)).astype(np.int64)
    order = np.lexsort((rng.random(len(slot_group)), slot_group))
    begins = np.searchsorted(slot_group[order], np.arange(len(groups)))
    rank = np.arange(len(order)) - begins[slot_group[order]]
    presence = np.repeat(np.arange(len(server)), count)
    taken = presence[order[rank < singles[slot_group[order]]]]
    return server, count, np.bincount(taken, minlength=len(server))


def grow(
    donors: Donors,
    users: Integers,
    rooms: Integers,
    more: Integers,
    of_user: Integers,
    rates: Floats,
    new_rates: Floats,
    tilt: float,
    seed: int,
) -> Grown:
    """Give servers more rooms.

    Args:
        donors: what each room brings.
        users, rooms: (B,) n and m of the servers.
        more: (B,) how many rooms each is given.
        of_user: (U,) d of their users, server after server.
        rates: (U,) the weight of each user.
        new_rates: (F,) weights of new users, chosen from at random.
        tilt: in [-1, 1]; if negative, the share of newcomers that are old users instead; if positive, the share of
            returning users that are new instead.
        seed: of the draws.
    """
    d, home, new_rooms = _grow(
        np.random.default_rng(seed),
        donors.offsets,
        donors.users,
        donors.new,
        donors.nearest,
        EDGES,
        offsets_of(users),
        rooms,
        more,
        of_user.astype(np.int64),
        rates,
        new_rates,
        tilt,
    )
    return Grown(d, home, new_rooms)


@njit(cache=True)
def _grow(
    rng: np.random.Generator,
    donor_offsets: Integers,
    donor_users: Integers,
    donor_new: Integers,
    nearest: Integers,
    edges: Integers,
    offsets: Integers,
    rooms: Integers,
    more: Integers,
    of_user: Integers,
    rates: Floats,
    new_rates: Floats,
    tilt: float,
) -> tuple[Integers, Integers, Integers]:
    grown = of_user.copy()
    home, new_rooms = np.empty(1024, dtype=np.int64), np.empty(1024, dtype=np.int64)
    found = 0
    for s in range(len(rooms)):
        if more[s] == 0:
            continue
        begin, n = offsets[s], offsets[s + 1] - offsets[s]
        first = n
        d, rate = np.empty(2 * n + 8, dtype=np.int64), np.empty(2 * n + 8)
        d[:n], rate[:n] = of_user[begin : begin + n], rates[begin : begin + n]
        for m in range(rooms[s], rooms[s] + more[s]):
            kind = nearest[np.searchsorted(edges, n, side="right") - 1, np.searchsorted(edges, m, side="right") - 1]
            width = donor_offsets[kind + 1] - donor_offsets[kind]
            donor = donor_offsets[kind] + int(rng.random() * width)
            new, old = donor_new[donor], donor_users[donor] - donor_new[donor]
            for _ in range(donor_new[donor] if tilt < 0 else old):
                if rng.random() < abs(tilt):
                    new += 1 if tilt > 0 else -1
            old = min(donor_users[donor] - new, n)
            if old + new == 0:
                old = 1
            _visit(rng, d, rate, n, old)
            if n + new > len(d):
                d, rate = _longer(d, n + new), _longer(rate, n + new)
            for _ in range(new):
                d[n], rate[n] = 1, new_rates[int(rng.random() * len(new_rates))]
                n += 1
        grown[begin : begin + first] = d[:first]
        if found + n - first > len(home):
            home, new_rooms = _longer(home, found + n - first), _longer(new_rooms, found + n - first)
        home[found : found + n - first] = s
        new_rooms[found : found + n - first] = d[first:n]
        found += n - first
    return grown, home[:found], new_rooms[:found]


@njit(cache=True)
def _visit(rng: np.random.Generator, d: Integers, rate: Floats, n: int, count: int) -> None:
    """One room more for ``count`` of the first ``n`` users, drawn without repetition in proportion to their rates."""
    if count == n:
        d[:n] += 1
    elif count == 1:
        left = rng.random() * rate[:n].sum()
        at = 0
        while at < n - 1 and left >= rate[at]:
            left -= rate[at]
            at += 1
        d[at] += 1
    elif count > 1:
        # The smallest of exponential times with these rates (Efraimidis and Spirakis 2006).
        time = np.empty(n)
        for i in range(n):
            time[i] = -np.log(1.0 - rng.random()) / rate[i]
        for i in np.argsort(time)[:count]:
            d[i] += 1


@njit(cache=True)
def _longer(values, least):  # type: ignore[no-untyped-def]
    longer = np.empty(2 * least, dtype=values.dtype)
    longer[: len(values)] = values
    return longer
