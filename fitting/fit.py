"""From a measured federation to its model.

A law is fitted to every quantity (hubs are set apart in :mod:`fitting.tails`); the head servers are listed one by
one; then the tables that carry dependence are counted. Nothing but a bootstrap is random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.attendance import Attendance
from fedgen.errors import UsageError
from fedgen.federation import Federation
from fedgen.progress import silent
from fedgen.ragged import take
from fitting.classes import KINDS, pair_kind
from fitting.communities import communities
from fitting.company import company
from fitting.completion import Completion
from fitting.engine import engine as make_engine
from fitting.heads import find_heads
from fitting.model import (
    HeadTable,
    Model,
    PresenceTable,
    ProfileTable,
    RoomTable,
    ServerTable,
    Sizes,
    TypeTable,
    UserTable,
    spare,
)
from fitting.tails import fit_tail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedgen.federation import Integers
    from fedgen.progress import Progress
    from fitting.engine import EngineName

SYMBOLS = {
    "n": "users per server",
    "m": "rooms per server",
    "e": "memberships beyond max(n, m), + 1",
    "k": "servers per room",
    "u": "users per room",
    "x": "users beyond servers per room, + 1",
    "d": "rooms per user",
}
OF_SERVERS = ("n", "m", "e")


def fit(
    federation: Federation | Completion,
    *,
    bootstrap: int = 0,
    engine: EngineName = "fast",
    seed: int = 0,
    progress: Progress = silent,
    provenance: Mapping[str, Any] | None = None,
) -> Model:
    """Fit the model of a federation.

    Args:
        federation: the measurement; anything that passes :meth:`Federation.check`, down to one user. Of a
            :class:`~fitting.completion.Completion` the model names what was not measured.
        bootstrap: replicates for the laws' p-values and intervals; 0: none.
        engine: what estimates the laws: our own, or the `powerlaw` package, far slower.
        seed: of the bootstrap; nothing else is random.
        progress: told during the bootstrap.
        provenance: kept in the model, see :func:`fedgen.provenance.record`.

    Raises:
        UsageError: not a federation, no such engine, or fewer than no replicates.
        InvariantError: a federation that breaks an invariant.
    """
    unmeasured: tuple[str, ...] = ()
    if isinstance(federation, Completion):
        unmeasured = federation.unmeasured
        federation = federation.federation
    if isinstance(federation, Attendance):
        raise UsageError("fit takes an Attendance once it is completed: fedgen.fit(fedgen.complete(attendance))")
    if not isinstance(federation, Federation):
        raise UsageError(f"fit takes a Federation, not {type(federation).__name__}; read a file with fedgen.read")
    if bootstrap < 0:
        raise UsageError(f"bootstrap is {bootstrap}; it is a number of replicates, from 0 up")
    estimator = make_engine(engine)
    federation.check()
    heads = find_heads(federation)
    head_of = np.full(federation.n_servers, -1)
    head_of[heads] = np.arange(len(heads))
    p = federation.presences
    n, m, e = federation.users_per_server, federation.rooms_per_server, federation.memberships_per_server
    k, u = federation.servers_per_room, federation.users_per_room

    # Body servers in the order of their table; heads count down from -1.
    body = np.flatnonzero(head_of < 0)
    body = body[np.lexsort((e[body], m[body], n[body]))]
    row = -1 - head_of
    row[body] = np.arange(len(body))
    community = communities(federation)
    types, room_type = _types(community, pair_kind(k, u - k + 1))
    of_body = row[p.server] >= 0
    users, profiles = _user_tables(federation, row, room_type)
    return Model(
        sizes=Sizes(
            federation.n_servers,
            federation.n_users,
            federation.n_rooms,
            federation.n_memberships,
            federation.n_presences,
        ),
        laws={
            symbol: fit_tail(
                SYMBOLS[symbol],
                values,
                hubs=symbol in OF_SERVERS,
                engine=estimator,
                bootstrap=bootstrap,
                seed=np.random.SeedSequence(seed, spawn_key=(i,)),
                progress=_counted(i, progress),
            )
            for i, (symbol, values) in enumerate(quantities(federation).items())
        },
        heads=HeadTable(n[heads], m[heads], e[heads]),
        servers=ServerTable(n[body], m[body], e[body]),
        rooms=_room_table(federation, community, head_of, len(heads)),
        types=types,
        presences=PresenceTable(*_count(row[p.server][of_body], room_type[p.room][of_body], p.users[of_body])),
        users=users,
        profiles=profiles,
        company=company(federation, room_type),
        provenance=dict(provenance or {}),
        unmeasured=unmeasured,
    )


def quantities(federation: Federation) -> dict[str, Integers]:
    """What a law is fitted to: values from 1 up, by the symbols of :data:`SYMBOLS`."""
    n, m, e = federation.users_per_server, federation.rooms_per_server, federation.memberships_per_server
    k, u = federation.servers_per_room, federation.users_per_room
    return {"n": n, "m": m, "e": spare(n, m, e) + 1, "k": k, "u": u, "x": u - k + 1, "d": federation.rooms_per_user}


def _counted(i: int, progress: Progress) -> Progress:
    """The progress of the bootstrap of quantity ``i``."""

    def report(stage: str, done: int, total: int) -> None:
        progress(f"bootstrap {i + 1} of {len(SYMBOLS)}: {stage}", done, total)

    return report


def _room_table(federation: Federation, community: Integers, head_of: Integers, n_heads: int) -> RoomTable:
    p = federation.presences
    composition = np.zeros((federation.n_rooms, n_heads), dtype=np.int64)
    of_head = head_of[p.server] >= 0
    composition[p.room[of_head], head_of[p.server[of_head]]] = p.users[of_head]
    c, k, u, *head_users, number = _count(
        community, federation.servers_per_room, federation.users_per_room, *composition.T
    )
    dense = np.stack(head_users, axis=1) if head_users else np.zeros((len(k), 0), dtype=np.int64)
    row, head = np.nonzero(dense)
    return RoomTable(c, k, u, number, row, head, dense[row, head])


def _types(community: Integers, kind: Integers) -> tuple[TypeTable, Integers]:
    """The types and the type of each room."""
    codes, of_room = np.unique(community * KINDS + kind, return_inverse=True)
    return TypeTable(codes // KINDS, codes % KINDS), of_room


def _user_tables(federation: Federation, row: Integers, room_type: Integers) -> tuple[UserTable, ProfileTable]:
    """Users of one server who are in equally many rooms of each type share a row, told by a hash of their profile."""
    user, type_, number = _count(federation.membership_user, room_type[federation.membership_room])
    per_type = np.random.default_rng(0).integers(0, 2**63, size=int(room_type.max()) + 1, dtype=np.uint64)
    profile = np.zeros(federation.n_users, dtype=np.uint64)
    np.add.at(profile, user, per_type[type_] * number.astype(np.uint64))
    home, d = row[federation.user_server], federation.rooms_per_user
    order = np.lexsort((profile, d, home))
    new = np.ones(len(order), dtype=bool)
    for column in (home, d, profile):
        new[1:] &= column[order][1:] == column[order][:-1]
    new[1:] = ~new[1:]
    first = np.flatnonzero(new)
    of_row = order[first]  # a user that stands for its row
    number_of_users = np.diff(first, append=len(order))
    begins = np.searchsorted(user, np.arange(federation.n_users + 1))
    at, rows = take(begins, of_row), np.repeat(np.arange(len(of_row)), np.diff(begins)[of_row])
    users = UserTable(home[of_row], d[of_row].astype(np.int64), number_of_users)
    return users, ProfileTable(rows, type_[at], number[at])


def _count(*columns: Integers) -> tuple[Integers, ...]:
    """The distinct rows of ``columns``, in lexicographic order, and how often each occurs."""
    order = np.lexsort(columns[::-1])
    rows = [np.asarray(c[order], dtype=np.int64) for c in columns]
    new = np.zeros(len(order), dtype=bool)
    new[:1] = True
    for row in rows:
        new[1:] |= row[1:] != row[:-1]
    first = np.flatnonzero(new)
    return (*(row[first] for row in rows), np.diff(first, append=len(order)))
