"""From a measured federation to its model.

The order is that of the model's layers: the head servers are set apart; a law is fitted to every quantity of the
others; then the tables that carry dependence are counted. Nothing here is random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.errors import UsageError
from fedgen.federation import Federation
from fedgen.progress import silent
from fitting.classes import pair_kind, size_class
from fitting.heads import find_heads
from fitting.model import (
    DegreeTable,
    HeadTable,
    MembershipTable,
    Model,
    PresenceTable,
    RoomTable,
    ServerTable,
    Sizes,
    spare,
)
from fitting.tails import LawFit, fit_tail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedgen.federation import Integers
    from fedgen.progress import Progress


def fit(federation: Federation, *, progress: Progress = silent, provenance: Mapping[str, Any] | None = None) -> Model:
    """Fit the model of a federation.

    Args:
        federation: the measurement; anything that passes :meth:`Federation.check`, down to one user.
        progress: told after each law.
        provenance: kept in the model, see :func:`fedgen.provenance.record`.

    Raises:
        UsageError: not a federation.
        InvariantError: a federation that breaks an invariant.
    """
    if not isinstance(federation, Federation):
        raise UsageError(f"fit takes a Federation, not {type(federation).__name__}; read a file with fedgen.read")
    federation.check()
    heads = find_heads(federation)
    head_of = np.full(federation.n_servers, -1)
    head_of[heads] = np.arange(len(heads))
    p = federation.presences
    n, m, e = federation.users_per_server, federation.rooms_per_server, federation.memberships_per_server
    k, u, d = federation.servers_per_room, federation.users_per_room, federation.rooms_per_user

    server_kind = np.where(head_of >= 0, -1 - head_of, pair_kind(n, m))
    room_kind = pair_kind(k, u - k + 1)
    body = head_of < 0
    of_body = body[p.server]
    user_kind = server_kind[federation.user_server]
    member = federation.membership_user

    return Model(
        sizes=Sizes(
            federation.n_servers,
            federation.n_users,
            federation.n_rooms,
            federation.n_memberships,
            federation.n_presences,
        ),
        laws=_fit_laws(n[body], m[body], e[body], k, u, d, len(heads), progress),
        heads=HeadTable(n[heads], m[heads], e[heads]),
        servers=ServerTable(*_count(n[body], m[body], e[body])),
        rooms=_room_table(federation, head_of, len(heads)),
        degrees=DegreeTable(*_count(user_kind, d)),
        presences=PresenceTable(*_count(server_kind[p.server][of_body], room_kind[p.room][of_body], p.users[of_body])),
        memberships=MembershipTable(
            *_count(user_kind[member], size_class(d)[member], room_kind[federation.membership_room])
        ),
        provenance=dict(provenance or {}),
    )


def _fit_laws(
    n: Integers, m: Integers, e: Integers, k: Integers, u: Integers, d: Integers, heads: int, progress: Progress
) -> dict[str, LawFit]:
    quantities = {
        "n": ("users per server", n, heads),
        "m": ("rooms per server", m, heads),
        "e": ("memberships beyond max(n, m), + 1", spare(n, m, e) + 1, heads),
        "k": ("servers per room", k, 0),
        "u": ("users per room", u, 0),
        "x": ("users beyond servers per room, + 1", u - k + 1, 0),
        "d": ("rooms per user", d, 0),
    }
    laws = {}
    for done, (symbol, (words, values, apart)) in enumerate(quantities.items()):
        progress("fitting laws", done, len(quantities))
        laws[symbol] = fit_tail(words, values, heads=apart)
    progress("fitting laws", len(quantities), len(quantities))
    return laws


def _room_table(federation: Federation, head_of: Integers, n_heads: int) -> RoomTable:
    p = federation.presences
    composition = np.zeros((federation.n_rooms, n_heads), dtype=np.int64)
    of_head = head_of[p.server] >= 0
    composition[p.room[of_head], head_of[p.server[of_head]]] = p.users[of_head]
    k, u, *head_users, number = _count(federation.servers_per_room, federation.users_per_room, *composition.T)
    dense = np.stack(head_users, axis=1) if head_users else np.zeros((len(k), 0), dtype=np.int64)
    row, head = np.nonzero(dense)
    return RoomTable(k, u, number, row, head, dense[row, head])


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
