r"""The same federation, had more of its rooms been seen.

A crawl saw R rooms of a federation; a larger one would see t R, t >= 1. Rooms come in no order: those seen are a random
sample of those of the larger crawl. Seen from there each server's m and each user's d are thinned (hypergeometric),
users without a room are gone, and servers without a user: n is thinned through its users. That is turned round here,
from the model's tables alone.

1. *How many* servers and users are to come, and how often they and those already seen are seen, follows from a
   zero-truncated Poisson mixture of m and of d (:mod:`fitting.mixture`; Good and Toulmin 1956).
2. *Head servers* (:mod:`fitting.heads`) one by one: m' = t m and e' = t e; n' and d' by the mixture of d over their own
   users.
3. *Servers of the body* get rooms, m' - m by the mixture of m over the body, in all as many as make t K presences. What
   each brings is what rooms brought to servers in the same state (:mod:`fitting.donors`): so many users, so many of
   them new. Who of a server's users is in it is drawn by rates of the mixture of d.
4. *New servers*: one seen in none of the first R rooms, and in m' of the others, is to the larger crawl what one seen
   in m' of the first rooms, and in none of the others, is: rooms come in no order. So m' is drawn from the mixture, and
   n', e' and its users are those of a server with as many rooms.
5. *New users* of the body must be as many as the mixture of d says, all in all. Points 3 and 4 make nearly as many, but
   for chance; where they do not, the donors' newcomers are taken for old users, or the other way round.
6. d' and e' sum to t M. The bounds max(n, m) <= e <= n m, d <= m hold by construction.

Who goes where is not known of rooms not seen: presences and users go to types of rooms in the proportions of the server
and user that they take after. Types and room sizes stay: ``rooms.number`` still counts the rooms seen, t to one. Laws
of n, m, e and d are fitted again. Of those who met (:mod:`fitting.company`) a pair that shared c rooms shares t c, so
that butterflies grow by t squared; pairs of servers that share a room by Fisher's log series (1943) through pairs and
meetings, :math:`\alpha \ln(1 + t x)` where meetings are :math:`\alpha x`.

Beyond twice the rooms it is less a forecast than a warning: what was never seen must be alike to what was. Where a few
rooms hold most users the counts depend on whether one of them was seen (:mod:`fitting.clumps`).

I. J. Good, G. H. Toulmin, Biometrika 43 (1956) 45. - R. A. Fisher, A. S. Corbet, C. B. Williams, J. Animal Ecology 12
(1943) 42. - H. Robbins, Proc. 3rd Berkeley Symposium 1 (1956) 157.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fedgen.errors import InfeasibleError, UsageError
from fedgen.ragged import offsets_of, take
from fitting.clumps import Interval, servers_interval, users_interval
from fitting.descent import People, presence_table, user_tables
from fitting.donors import donors, grow
from fitting.mixture import fit_mixture
from fitting.model import HeadTable, Model, ServerTable, spare
from fitting.rounding import even_levels, settle
from fitting.tails import fit_tail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedgen.federation import Integers
    from fitting.donors import Grown
    from fitting.mixture import Mixture
    from fitting.model import Company
    from fitting.tails import LawFit

MOST_NEW = 1000
"""Times as many rooms as were seen, at most: the mixture looks no further."""
_TRIALS = 8
_NEW_RATES = 1000


@dataclass(frozen=True, eq=False)
class Crawl:
    """A larger crawl.

    Attributes:
        model: what would have been fitted to it; ``model.rooms.number`` counts the rooms that were seen.
        servers, users: how many it is expected to see.
        servers_interval, users_interval: of 95 %.
        factor: t, its rooms over those seen.
    """

    model: Model
    servers: int
    users: int
    servers_interval: Interval
    users_interval: Interval
    factor: float


class _Servers(NamedTuple):
    """Servers and their users; ``like``: the row of the model's body that each takes after."""

    users: Integers
    rooms: Integers
    like: Integers
    people: People


def larger_crawl(model: Model, rooms: int, seed: int = 0) -> Crawl:
    """The model of a crawl that has seen ``rooms`` rooms of the federation that ``model`` was fitted to.

    Args:
        model: fitted to a crawl.
        rooms: at least as many as it has seen.
        seed: who of those alike grows; same seed, same model.

    Raises:
        UsageError: no whole number of rooms, or no seed.
        InfeasibleError: fewer rooms than were seen, or too many.
    """
    asked: tuple[tuple[str, object, int], ...] = (("rooms", rooms, 1), ("seed", seed, 0))
    for name, value, least in asked:
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise UsageError(f"{name}: {value} is not a whole number from {least} up")
    seen = model.sizes.rooms
    if not seen <= rooms <= MOST_NEW * seen:
        raise InfeasibleError(
            f"a crawl of {rooms} rooms cannot be told from one of {seen}; give {seen} to {MOST_NEW * seen} rooms"
        )
    sizes = model.sizes
    if rooms == seen:
        here = (Interval(sizes.servers, sizes.servers), Interval(sizes.users, sizes.users))
        return Crawl(model, sizes.servers, sizes.users, *here, 1.0)
    factor = rooms / seen
    growing, drawing, chance = (np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(i,))) for i in range(3))
    heads, of_heads = _heads(model, factor, growing)
    body = _body(model, factor, rooms, heads, growing)
    grown = _assemble(model, factor, rooms, heads, of_heads, body, drawing)
    new_servers, new_users = grown.sizes.servers - sizes.servers, grown.sizes.users - sizes.users
    return Crawl(
        grown,
        grown.sizes.servers,
        grown.sizes.users,
        servers_interval(model, factor, new_servers, chance),
        users_interval(model, factor, new_users, chance),
        factor,
    )


def _everybody(model: Model) -> People:
    """The users that were seen: head servers, the last one first, then the body; those of a server by d."""
    row = np.repeat(np.arange(len(model.users.number)), model.users.number)
    return People(model.users.server[row], model.users.rooms[row], row)


def _heads(model: Model, factor: float, rng: np.random.Generator) -> tuple[HeadTable, People]:
    """The head servers and their users."""
    everybody, heads = _everybody(model), model.heads
    rooms = np.rint(factor * heads.rooms).astype(np.int64)
    users, memberships = np.zeros_like(rooms), np.zeros_like(rooms)
    people = People(*(np.zeros(0, dtype=np.int64) for _ in range(3)))
    for h, most in enumerate(rooms.tolist()):
        mine = everybody.server == -1 - h
        d, like = everybody.rooms[mine], everybody.like[mine]
        mixture = fit_mixture(d, np.ones_like(d))
        new = _new_rooms(mixture, factor, rng)
        like = np.concatenate((like, like[_alike(d, new, rng)]))
        d = np.minimum(np.concatenate((d + mixture.more(d, factor, even_levels(d, rng)), new)), most)
        goal = min(max(round(factor * int(heads.memberships[h])), len(d), most), len(d) * most)
        d = 1 + settle(d - 1, np.zeros_like(d), np.full_like(d, most - 1), goal - len(d), rng)
        users[h], memberships[h] = len(d), d.sum()
        people += People(np.full_like(d, -1 - h), d, like)
    return HeadTable(users, rooms, memberships), people


def _body(model: Model, factor: float, rooms: int, heads: HeadTable, rng: np.random.Generator) -> _Servers:
    """The servers of the body."""
    table, everybody = model.servers, _everybody(model)
    seen = np.flatnonzero(everybody.server >= 0)
    d, like = everybody.rooms[seen], everybody.like[seen]
    of_servers = fit_mixture(table.rooms, np.ones_like(table.rooms))
    of_users = fit_mixture(d, np.ones_like(d))
    n, m, count = table.users, table.rooms, len(table.users)

    new = _alike(m, _new_rooms(of_servers, factor, rng), rng)  # the servers that the new ones are like
    goal = round(factor * model.sizes.presences) - int(heads.rooms.sum()) - int(m.sum()) - int(m[new].sum())
    more = np.minimum(of_servers.more(m, factor, even_levels(m, rng)), rooms - m)
    more = settle(more, np.zeros_like(m), rooms - m, goal, rng)
    grown = _grow(model, more, d, of_users, factor, round(of_users.unseen(factor)) - int(n[new].sum()), rng)

    offsets = offsets_of(n)
    copied = take(offsets, new)
    return _Servers(
        np.concatenate((n + np.bincount(grown.home, minlength=count), n[new])),
        np.concatenate((m + more, m[new])),
        np.concatenate((np.arange(count), new)),
        People(
            np.concatenate((everybody.server[seen], grown.home, count + np.repeat(np.arange(len(new)), n[new]))),
            np.concatenate((grown.rooms, grown.new_rooms, d[copied])),
            np.concatenate((like, like[_of_lowest(d, offsets, grown.home, rng)], like[copied])),
        ),
    )


def _grow(
    model: Model, more: Integers, d: Integers, mixture: Mixture, factor: float, newcomers: int, rng: np.random.Generator
) -> Grown:
    """The servers of the body with ``more`` rooms, and about so many ``newcomers``: by bisection for the tilt."""
    giving, seed = donors(model, rng), int(rng.integers(2**63))
    rates = mixture.rates_at(d, even_levels(d, rng))
    new_rates = mixture.new_rates_at(factor, (np.arange(_NEW_RATES) + 0.5) / _NEW_RATES)
    low, tilt, high = -1.0, 0.0, 1.0
    best, least = None, np.inf
    for _ in range(_TRIALS):
        grown = grow(giving, model.servers.users, model.servers.rooms, more, d, rates, new_rates, tilt, seed)
        excess = len(grown.home) - newcomers
        if best is None or abs(excess) < least:
            best, least = grown, abs(excess)
        if excess == 0:
            break
        low, high = (low, tilt) if excess > 0 else (tilt, high)
        tilt = (low + high) / 2.0
    assert best is not None
    return best


def _new_rooms(mixture: Mixture, factor: float, rng: np.random.Generator) -> Integers:
    """The rooms of those to be seen for the first time."""
    count = round(mixture.unseen(factor))
    return np.sort(mixture.times_of_new(factor, even_levels(np.zeros(count, dtype=np.int64), rng)))


def _alike(values: Integers, wanted: Integers, rng: np.random.Generator) -> Integers:
    """For each of ``wanted`` one of ``values`` as large, or the nearest; each as often as any other of its size."""
    order = np.lexsort((rng.random(len(values)), values))
    distinct, begin, size = np.unique(values[order], return_index=True, return_counts=True)
    after = np.minimum(np.searchsorted(distinct, wanted), len(distinct) - 1)
    before = np.maximum(after - 1, 0)
    at = np.where(np.abs(distinct[before] - wanted) < np.abs(distinct[after] - wanted), before, after)
    in_turn = np.argsort(at, kind="stable")
    rank = np.empty_like(at)
    rank[in_turn] = np.arange(len(at)) - np.searchsorted(at[in_turn], at[in_turn])
    return order[begin[at] + rank % size[at]]


def _of_lowest(d: Integers, offsets: Integers, home: Integers, rng: np.random.Generator) -> Integers:
    """For users new to servers one of those there who are in fewest rooms; users of a server are sorted by d."""
    n = np.diff(offsets)
    lowest = np.add.reduceat((d == np.repeat(d[offsets[:-1]], n)).astype(np.int64), offsets[:-1])
    return offsets[home] + (rng.random(len(home)) * lowest[home]).astype(np.int64)


def _assemble(
    model: Model,
    factor: float,
    rooms: int,
    heads: HeadTable,
    of_heads: People,
    body: _Servers,
    rng: np.random.Generator,
) -> Model:
    """The model of heads and body: memberships settled, tables sorted, laws fitted."""
    n, m, people = body.users, body.rooms, body.people
    goal = round(factor * model.sizes.memberships) - int(heads.memberships.sum())
    fewest, most = np.maximum(n, m) - n, n * m - n
    beyond = settle(
        people.rooms - 1,
        np.zeros_like(people.rooms),
        m[people.server] - 1,
        goal - len(people.rooms),
        rng,
        people.server,
        fewest,
        most,
    )
    e = n + np.bincount(people.server, weights=beyond, minlength=len(n)).astype(np.int64)
    order = np.lexsort((e, m, n))
    row = np.empty_like(order)
    row[order] = np.arange(len(order))
    servers = ServerTable(n[order], m[order], e[order])
    everybody = of_heads + People(row[people.server], 1 + beyond, people.like)
    users, profiles = user_tables(model, everybody, rng)
    all_n, all_m, all_e = (
        np.concatenate((getattr(heads, name), getattr(servers, name))) for name in ("users", "rooms", "memberships")
    )
    return replace(
        model,
        sizes=replace(
            model.sizes,
            servers=len(all_n),
            users=int(all_n.sum()),
            rooms=int(rooms),
            memberships=int(all_e.sum()),
            presences=int(all_m.sum()),
        ),
        laws=_laws(model, all_n, all_m, all_e, everybody.rooms),
        heads=heads,
        servers=servers,
        presences=presence_table(model, body.like[order], servers.rooms, rng),
        users=users,
        profiles=profiles,
        company=_company(model.company, factor),
    )


def _laws(model: Model, n: Integers, m: Integers, e: Integers, d: Integers) -> Mapping[str, LawFit]:
    """Those of servers and users fitted again."""
    found = {"n": n, "m": m, "e": spare(n, m, e) + 1, "d": d}
    return {
        symbol: fit_tail(law.quantity, found[symbol], hubs=law.hubs is not None) if symbol in found else law
        for symbol, law in model.laws.items()
    }


def _company(company: Company | None, factor: float) -> Company | None:
    if company is None:
        return None
    return replace(
        company,
        server_pairs=round(_pairs(company.server_pairs, company.server_meetings, factor)),
        server_meetings=round(factor * company.server_meetings),
        butterflies=round(factor**2 * company.butterflies),
        user_meetings=round(factor * company.user_meetings),
    )


def _pairs(pairs: int, meetings: int, factor: float) -> float:
    """How many of the pairs have met at ``factor`` times the meetings, by the log series of pairs and meetings."""
    from scipy.optimize import brentq

    if pairs == 0 or meetings <= pairs:
        return factor * pairs

    def ratio(log_x: float) -> float:  # ln(1 + x) / x falls from one to zero
        return float(np.log1p(np.exp(log_x)) / np.exp(log_x)) - pairs / meetings

    x = float(np.exp(brentq(ratio, -30.0, 60.0)))
    return pairs * float(np.log1p(factor * x) / np.log1p(x))
