"""Whether the tables of a federation directory are one federation, proven in one pass over its memberships.

Memberships are sorted by room, then user; presences by room, then server; users are numbered server by server. So the
memberships of each presence are a run, and the runs come in the order of the presences: memberships and presences are
walked side by side. If every membership of a run is in the room of its presence, of a user of its server beyond the one
before, and the runs are as long as the presences state, then no membership stands twice and the presences are exactly
the projection of the memberships; all other invariants (DESIGN section 5.1) follow from the margins, which are summed
from the presences and compared. A user's memberships are counted modulo 256, in one byte, against the rooms stated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from fedgen.errors import FormatError
from fedgen.io.assemble import count
from fedgen.io.directory import WEIGHT_TOLERANCE
from fedgen.ragged import offsets_of

if TYPE_CHECKING:
    from fedgen.io.stored import Stored
    from fedgen.progress import Progress

_AT_ONCE = 1 << 20
_AGAIN = "write the directory again with fedgen convert"


def prove(stored: Stored, progress: Progress) -> tuple[str, ...]:
    """Prove the invariants; weights of presences become those that the memberships make.

    Returns:
        Remarks: how many weights were stated otherwise.

    Raises:
        FormatError: the first thing that does not fit. The message lacks the path.
    """
    _prove_margins(stored)
    p, first = stored.presences, offsets_of(stored.users_per_server)
    seen = np.zeros(stored.n_users, dtype=np.uint8)
    walk = np.array([0, 0, -1, 0], dtype=np.int64)
    speaking = np.zeros(1)
    done = 0
    for user, room in stored.membership_parts():
        if len(user) and (int(user.min()) < 0 or int(user.max()) >= stored.n_users):
            raise FormatError(f"memberships: one belongs to a user that does not exist; {_AGAIN}")
        bad = _walk(
            user, room, p.server, p.room, p.users, p.weight, first, stored.rooms_per_user, seen, walk, speaking,
            WEIGHT_TOLERANCE,
        )  # fmt: skip
        if bad >= 0:
            raise FormatError(
                f"memberships: that of user {user[bad]} in room {room[bad]} stands twice, out of order (by room, "
                f"then user) or in no presence; {_AGAIN}"
            )
        done += len(user)
        progress("checking memberships", done, stored.n_memberships)
    if done != stored.n_memberships:
        raise FormatError(f"memberships: {done} rows, manifest.json states {stored.n_memberships}; {_AGAIN}")
    for start in range(0, stored.n_users, _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        other = np.flatnonzero(seen[here] != stored.rooms_per_user[here].astype(np.uint8))
        if len(other):
            raise FormatError(f"users: user {start + other[0]} is in another number of rooms than stated; {_AGAIN}")
    wrong = int(walk[3])
    state, their = ("states", "its") if wrong == 1 else ("state", "their")
    return (f"{count(wrong, 'presence')} {state} another weight than {their} memberships, which were used",) * (
        wrong > 0
    )


def _prove_margins(stored: Stored) -> None:
    """The presences are in order and make the margins; users are in no more rooms than their servers."""
    p, counts = stored.presences, stored.manifest.counts
    n, m, u = stored.users_per_server, stored.rooms_per_server, stored.users_per_room
    of_server = np.zeros(counts.servers, dtype=np.int64)
    of_room, in_room = np.zeros((2, counts.rooms), dtype=np.int64)
    last = (-1, -1)
    for start in range(0, counts.presences, _AT_ONCE):
        server, room, users = (column[start : start + _AT_ONCE] for column in (p.server, p.room, p.users))
        if min(int(server.min()), int(room.min()), int(users.min()) - 1) < 0 or (
            int(server.max()) >= counts.servers or int(room.max()) >= counts.rooms
        ):
            raise FormatError(f"presences: an id is beyond the counts in manifest.json, or one has no user; {_AGAIN}")
        rises = (room[1:] > room[:-1]) | ((room[1:] == room[:-1]) & (server[1:] > server[:-1]))
        if not rises.all() or (int(room[0]), int(server[0])) <= last:
            raise FormatError(f"presences: are not sorted by room, then server, or one stands twice; {_AGAIN}")
        if np.any(users > n[server]):
            raise FormatError(f"presences: one counts more users than its server has; {_AGAIN}")
        last = int(room[-1]), int(server[-1])
        of_server += np.bincount(server, minlength=counts.servers)
        of_room += np.bincount(room, weights=users, minlength=counts.rooms).astype(np.int64)
        in_room += np.bincount(room, minlength=counts.rooms)
    of_both = (("servers", m, of_server), ("rooms", u, of_room), ("rooms", stored.servers_per_room, in_room))
    for what, stated, found in of_both:
        if not np.array_equal(stated, found):
            raise FormatError(f"{what}: one states another size than its presences make; {_AGAIN}")
    for home, rooms in stored.user_parts():
        if int(rooms.min()) < 1 or np.any(rooms > m[home]):
            raise FormatError(f"users: one is in no room, or in more than its server; {_AGAIN}")


@njit(cache=True)
def _walk(
    user: Any, room: Any, server: Any, place: Any, users: Any, weight: Any, first: Any, rooms: Any, seen: Any,
    walk: Any, speaking: Any, tolerance: Any,
) -> Any:  # fmt: skip
    """Memberships and presences side by side: the row that does not fit, or -1.

    ``walk``: the presence, how many of its users were met, the last of these, how many weights were wrong so far;
    ``speaking``: the presence's weight so far. ``seen`` counts the rooms of each user, ``weight`` is set right.
    """
    at, met, last, wrong = walk[0], walk[1], walk[2], walk[3]
    total = speaking[0]
    for i in range(len(user)):
        u = user[i]
        if at >= len(server) or room[i] != place[at] or u <= last:
            return i
        if u < first[server[at]] or u >= first[server[at] + 1]:
            return i
        seen[u] += 1
        total += 1.0 / rooms[u]
        met, last = met + 1, u
        if met == users[at]:
            if not abs(total - weight[at]) <= tolerance * total:
                wrong += 1
                weight[at] = total
            at, met, last, total = at + 1, 0, -1, 0.0
    walk[0], walk[1], walk[2], walk[3] = at, met, last, wrong
    speaking[0] = total
    return -1
