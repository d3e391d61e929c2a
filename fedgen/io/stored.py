"""A federation that stays in its directory: servers, rooms and presences in memory, the memberships read as they come.

What it holds, in bytes: 20 a presence, 32 a server, 24 a room, 1 or 2 a user (4 where a user is in more than 32,767
rooms), nothing a membership; while it is read another byte a user. Everything that a :class:`~fedgen.tables.Tables`
offers is there, so that whatever asks for no more works on either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import FormatError
from fedgen.federation import Presences, index_dtype
from fedgen.io.columns import ROWS, columns
from fedgen.io.directory import Manifest, read_manifest, verify
from fedgen.io.snapshot import told_by_name
from fedgen.progress import silent
from fedgen.provenance import digest
from fedgen.ragged import offsets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fedgen.federation import Integers
    from fedgen.progress import Progress

MOST_IN_MEMORY = 1 << 24
"""Memberships up to which a command that could stream a directory reads it whole: some 2.5 GiB while it is judged."""

_AGAIN = "write the directory again with fedgen convert"


@dataclass(frozen=True, eq=False)
class Stored:
    """A federation directory whose tables fit each other; :func:`read_stored` makes one.

    Attributes:
        path: of the directory.
        manifest: of it.
        users_per_server: (S,) n.
        rooms_per_server: (S,) m.
        users_per_room: (R,) u.
        servers_per_room: (R,) k.
        rooms_per_user: (U,) d, in the narrowest signed type.
        presences: sorted by room, then server.
        remarks: what was odd and was mended, one line each.
    """

    path: Path
    manifest: Manifest
    users_per_server: Integers
    rooms_per_server: Integers
    users_per_room: Integers
    servers_per_room: Integers
    rooms_per_user: Integers
    presences: Presences
    remarks: tuple[str, ...] = ()

    @property
    def n_servers(self) -> int:
        """S."""
        return self.manifest.counts.servers

    @property
    def n_users(self) -> int:
        """U."""
        return self.manifest.counts.users

    @property
    def n_rooms(self) -> int:
        """R."""
        return self.manifest.counts.rooms

    @property
    def n_memberships(self) -> int:
        """M."""
        return self.manifest.counts.memberships

    @property
    def n_presences(self) -> int:
        """K."""
        return self.manifest.counts.presences

    @cached_property
    def memberships_per_server(self) -> Integers:
        """e_s, (S,): the sum of the counts of its presences."""
        found = np.zeros(self.n_servers, dtype=np.int64)
        for start in range(0, len(self.presences), ROWS):
            here = slice(start, start + ROWS)
            np.add.at(found, self.presences.server[here], self.presences.users[here])
        return found

    @cached_property
    def digest(self) -> str:
        """Of its manifest, which has that of every file."""
        return digest(self.path)

    def user_parts(self) -> Iterator[tuple[Integers, Integers]]:
        """The server and the number of rooms of each user."""
        for start, home in homes(self.users_per_server):
            yield home, self.rooms_per_user[start : start + len(home)]

    def membership_parts(self) -> Iterator[tuple[Integers, Integers]]:
        """The user and the room of each membership, as they lie in the directory."""
        with told_by_name(self.path):
            for part in columns(self.path, self.manifest, "memberships", ("user", "room"), checked=True):
                user, room = (column.astype(np.int64) for column in part)
                yield user, room

    def check(self) -> None:
        """Nothing: :func:`read_stored` proves every invariant before there is one."""

    def __repr__(self) -> str:
        return (
            f"Stored({self.n_users} users, {self.n_servers} servers, {self.n_rooms} rooms, "
            f"{self.n_memberships} memberships in {self.path})"
        )


def is_large(path: str | Path) -> bool:
    """Whether there is a federation directory of more than :data:`MOST_IN_MEMORY` memberships."""
    place = Path(path)
    if not place.is_dir():
        return False
    with told_by_name(place):
        return read_manifest(place).counts.memberships > MOST_IN_MEMORY


def read_stored(path: str | Path, progress: Progress = silent) -> Stored:
    """The federation in a directory, which stays there.

    Every file is compared with its sha256, and every invariant is proven, in one pass over the memberships.

    Args:
        path: of the directory.
        progress: told how many memberships were looked at.

    Raises:
        FormatError: no directory, a damaged one, or tables that do not fit each other or are not in order.
    """
    from fedgen.io.soundness import prove

    place = Path(path)
    with told_by_name(place):
        manifest = read_manifest(place)
        verify(place, manifest)
        n, m = _margins(place, manifest, "servers", "server", ("users", "rooms"))
        u, k = _margins(place, manifest, "rooms", "room", ("users", "servers"))
        counts = manifest.counts
        _fits((n.sum(), u.sum(), k.sum()) == (counts.users, counts.memberships, counts.presences), "sums of a margin")
        presences = _presences(place, manifest, k)
        d = _rooms_per_user(place, manifest, n)
        stored = Stored(place, manifest, n, m, u, k, d, presences)
        return replace(stored, remarks=prove(stored, progress))


def homes(users_per_server: Integers) -> Iterator[tuple[int, Integers]]:
    """The server of each user, :data:`ROWS` at a time, and the first user of each part; n is (S,)."""
    first = offsets_of(users_per_server)
    for start in range(0, int(first[-1]), ROWS):
        stop = min(start + ROWS, int(first[-1]))
        low, high = int(np.searchsorted(first, start, side="right")) - 1, int(np.searchsorted(first, stop))
        users = np.diff(np.clip(first[low : high + 1], start, stop))
        yield start, np.repeat(np.arange(low, high), users)


def _fits(sound: object, what: str) -> None:
    if not sound:
        raise FormatError(f"{what} and the rest of the directory do not fit each other; {_AGAIN}")


def _margins(
    path: Path, manifest: Manifest, table: str, unit: str, names: tuple[str, str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both sizes of each unit of a table that is there as a whole."""
    parts = zip(*columns(path, manifest, table, (unit, *names), checked=True), strict=True)
    ids, one, other = (np.concatenate(part).astype(np.int64) for part in parts)
    if not np.array_equal(ids, np.arange(getattr(manifest.counts, table))):
        raise FormatError(f"{table}: ids are not 0, 1, 2, ... in order; {_AGAIN}")
    if min(int(one.min()), int(other.min())) < 1:
        raise FormatError(f"{table}: one has no {names[0]} or no {names[1]}; {_AGAIN}")
    return one, other


def _presences(path: Path, manifest: Manifest, servers_per_room: Integers) -> Presences:
    counts = manifest.counts
    server = np.empty(counts.presences, dtype=index_dtype(counts.servers))
    room = np.empty(counts.presences, dtype=index_dtype(counts.rooms))
    users = np.empty(counts.presences, dtype=index_dtype(counts.users))
    weight = np.empty(counts.presences)
    at = 0
    for part in columns(path, manifest, "presences", ("server", "room", "users", "weight"), checked=True):
        rows = slice(at, at + len(part[0]))
        at = rows.stop
        _fits(at <= counts.presences, "presences")
        for column, values in zip((server, room, users, weight), part, strict=True):
            column[rows] = values
    offsets = offsets_of(servers_per_room)
    _fits(at == counts.presences, "presences")
    return Presences(server, room, users, weight, offsets)


def _rooms_per_user(path: Path, manifest: Manifest, users_per_server: Integers) -> Integers:
    """(U,) d, of users who are there in order, server by server."""
    d: Integers = np.empty(manifest.counts.users, dtype=np.int8)
    expected = homes(users_per_server)
    at, left = 0, np.zeros(0, dtype=np.int64)
    for user, server, rooms in columns(path, manifest, "users", ("user", "server", "rooms"), checked=True):
        stop = at + len(user)
        while len(left) < len(user):
            following = next(expected, None)
            _fits(following, "users")
            assert following is not None
            left = np.concatenate((left, following[1]))
        if not np.array_equal(user, np.arange(at, stop)):
            raise FormatError(f"users: ids are not 0, 1, 2, ... in order; {_AGAIN}")
        if not np.array_equal(server, left[: len(user)]):
            raise FormatError(
                f"users: are not in the order of their servers, or not as many as servers state; {_AGAIN}"
            )
        if len(rooms) and int(rooms.max()) > np.iinfo(d.dtype).max:
            d = d.astype(np.min_scalar_type(-int(rooms.max())))
        d[at:stop], left, at = rooms, left[len(user) :], stop
    _fits(at == len(d), "users")
    return d
