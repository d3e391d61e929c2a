"""The federation: a tripartite network of users, servers and rooms, and its invariants.

A user is on exactly one server and a member of at least one room; a server is in a room iff one of its users is. So a
federation is fixed by two relations, *user -> server* and *room -> users*; everything else, the presences (server-room
pairs) first of all, is derived from them and never stored twice.

Layout. Ids are dense integers from 0. Users are numbered server by server, so ``user_server`` never falls;
memberships are grouped by room and rise by user within it, so ``membership_user`` is one compressed sparse row per
room. Both orders together make the presences runs of equal servers: one linear pass, no sort. Columns are signed in
memory (numpy mixes unsigned with signed integers into floats) and as narrow as the ids allow; files hold the
narrowest unsigned type.

Symbols are those of the paper and of the docs: n, m, e per server; k, u per room; d per user.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import networkx as nx
    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

    # The names tell the reader which; numpy's own types cannot follow integer arithmetic.
    Integers = NDArray[Any]
    Floats = NDArray[Any]


def index_dtype(count: int) -> type[np.int32] | type[np.int64]:
    """The signed type that ids below ``count`` are kept in."""
    return np.int32 if count <= np.iinfo(np.int32).max else np.int64


@dataclass(frozen=True, eq=False)
class Presences:
    """The server-room pairs of a federation, sorted by room, then server.

    Attributes:
        server: (K,) the server of each presence.
        room: (K,) its room.
        users: (K,) how many of the server's users are in the room (the *count*), >= 1.
        weight: (K,) sum of 1/d_u over those users: the rate at which they speak in the room at message rate 1 per user.
        offsets: (R + 1,) presences of room r are ``offsets[r]:offsets[r + 1]``.
    """

    server: Integers
    room: Integers
    users: Integers
    weight: Floats
    offsets: Integers

    def __len__(self) -> int:
        return len(self.server)


@dataclass(frozen=True, eq=False)
class Federation:
    """Users on servers, users in rooms.

    Attributes:
        n_servers: S, the number of servers.
        user_server: (U,) the server of each user, never falling.
        room_offsets: (R + 1,) the memberships of room r are ``room_offsets[r]:room_offsets[r + 1]``.
        membership_user: (M,) the user of each membership, rising strictly within a room.

    Build one with :meth:`from_pairs`, :func:`fedgen.read` or :func:`fedgen.sample`; :meth:`check` proves its
    invariants.
    """

    n_servers: int
    user_server: Integers
    room_offsets: Integers
    membership_user: Integers

    @classmethod
    def from_pairs(
        cls,
        user_server: ArrayLike,
        user: ArrayLike,
        room: ArrayLike,
        *,
        n_servers: int | None = None,
        n_rooms: int | None = None,
    ) -> Federation:
        """Build a federation from dense ids, in any order.

        Args:
            user_server: (U,) the server of each user; users need not be grouped, they are renumbered so that they are
                (stable: users keep their order within a server).
            user: (M,) the user of each membership, as an index into ``user_server``.
            room: (M,) the room of each membership.
            n_servers: S; default: one more than the largest id.
            n_rooms: R; default: one more than the largest id.

        Nothing is dropped or mended; call :meth:`check` on the result unless the input is known to be sound.

        Raises:
            InvariantError: an id is no integer, negative, or beyond the users, ``n_servers`` or ``n_rooms``.
        """
        home, members, rooms = (
            _ids(values, name) for values, name in ((user_server, "user_server"), (user, "user"), (room, "room"))
        )
        forbid(len(members) != len(rooms), "membership", f"{len(members)} users for {len(rooms)} rooms")
        servers = n_servers if n_servers is not None else int(home.max(initial=-1)) + 1
        n_room = n_rooms if n_rooms is not None else int(rooms.max(initial=-1)) + 1
        forbid_at(home >= servers, "user", f"is on a server beyond the {servers} there are")
        forbid_at(members >= len(home), "membership", f"belongs to a user beyond the {len(home)} there are")
        forbid_at(rooms >= n_room, "membership", f"is in a room beyond the {n_room} there are")
        if np.any(home[1:] < home[:-1]):
            order = np.argsort(home, kind="stable")
            renumbered = np.empty(len(home), dtype=index_dtype(len(home)))
            renumbered[order] = np.arange(len(home), dtype=renumbered.dtype)
            home, members = home[order], renumbered[members]
        offsets = np.zeros(n_room + 1, dtype=np.int64)
        np.cumsum(np.bincount(rooms, minlength=n_room), out=offsets[1:])
        key = rooms.astype(np.int64) * max(len(home), 1) + members
        if np.any(key[1:] < key[:-1]):
            key.sort()
        members = (key % max(len(home), 1)).astype(index_dtype(len(home)))
        return cls(servers, home.astype(index_dtype(servers)), offsets, members)

    # Sizes, by the letters of the docs.

    @property
    def n_users(self) -> int:
        """U."""
        return len(self.user_server)

    @property
    def n_rooms(self) -> int:
        """R."""
        return len(self.room_offsets) - 1

    @property
    def n_memberships(self) -> int:
        """M."""
        return len(self.membership_user)

    @property
    def n_presences(self) -> int:
        """K, the number of server-room pairs."""
        return len(self.presences)

    # Derived statistics.

    @cached_property
    def membership_room(self) -> Integers:
        """(M,) the room of each membership."""
        rooms = np.arange(self.n_rooms, dtype=index_dtype(self.n_rooms))
        return np.repeat(rooms, np.diff(self.room_offsets))

    @cached_property
    def presences(self) -> Presences:
        """The server-room pairs, with counts and weights."""
        servers = self.user_server[self.membership_user]
        starts = np.ones(self.n_memberships, dtype=bool)
        starts[1:] = servers[1:] != servers[:-1]
        starts[self.room_offsets[:-1][np.diff(self.room_offsets) > 0]] = True
        first = np.flatnonzero(starts)
        weight = 1.0 / self.rooms_per_user[self.membership_user]
        offsets = np.searchsorted(first, self.room_offsets)
        return Presences(
            server=servers[first],
            room=self.membership_room[first],
            users=np.diff(first, append=self.n_memberships),
            weight=np.add.reduceat(weight, first) if len(first) else weight,
            offsets=offsets,
        )

    @cached_property
    def users_per_server(self) -> Integers:
        """n_s, (S,)."""
        return np.bincount(self.user_server, minlength=self.n_servers)

    @cached_property
    def rooms_per_server(self) -> Integers:
        """m_s, (S,)."""
        return np.bincount(self.presences.server, minlength=self.n_servers)

    @cached_property
    def memberships_per_server(self) -> Integers:
        """e_s, (S,): the sum of d_u over the server's users."""
        return np.bincount(self.user_server[self.membership_user], minlength=self.n_servers)

    @cached_property
    def users_per_room(self) -> Integers:
        """u_r, (R,)."""
        return np.diff(self.room_offsets)

    @cached_property
    def servers_per_room(self) -> Integers:
        """k_r, (R,)."""
        return np.diff(self.presences.offsets)

    @cached_property
    def rooms_per_user(self) -> Integers:
        """d_u, (U,)."""
        return np.bincount(self.membership_user, minlength=self.n_users)

    # The same by parts, of which a federation in memory is one (fedgen.tables).

    def user_parts(self) -> Iterator[tuple[Integers, Integers]]:
        """The server and the number of rooms of each user."""
        yield self.user_server, self.rooms_per_user

    def membership_parts(self) -> Iterator[tuple[Integers, Integers]]:
        """The user and the room of each membership."""
        yield self.membership_user, self.membership_room

    # Invariants.

    def check(self) -> None:
        """Prove every invariant of a federation (DESIGN section 5.1).

        Raises:
            InvariantError: names the first entity that breaks one.
        """
        forbid(self.n_servers < 1, "server", "a federation has at least one server")
        home, offsets, user = self.user_server, self.room_offsets, self.membership_user
        forbid_at((home < 0) | (home >= self.n_servers), "user", "is on a server that does not exist")
        forbid_at(home[1:] < home[:-1], "user", "breaks the order of users by server", shift=1)
        forbid(
            len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != len(user),
            "room",
            "offsets do not span the memberships",
        )
        forbid_at(np.diff(offsets) < 1, "room", "has no user")
        forbid_at((user < 0) | (user >= self.n_users), "membership", "belongs to a user that does not exist")
        follows = np.ones(max(len(user) - 1, 0), dtype=bool)
        follows[offsets[1:-1] - 1] = False  # the step from one room to the next
        forbid_at(follows & (user[1:] == user[:-1]), "membership", "stands twice", shift=1)
        forbid_at(follows & (user[1:] < user[:-1]), "membership", "breaks the order by user within its room", shift=1)
        forbid_at(self.rooms_per_user < 1, "user", "is in no room")
        n, m, e = self.users_per_server, self.rooms_per_server, self.memberships_per_server
        k, u, p = self.servers_per_room, self.users_per_room, self.presences
        forbid_at(n < 1, "server", "has no user")
        forbid_at(k > np.minimum(u, self.n_servers), "room", "has more servers than users or than there are")
        forbid_at(
            m > np.minimum(self.n_rooms, e), "server", "is in more rooms than it has memberships or than there are"
        )
        forbid_at((e < np.maximum(n, m)) | (e > n * m), "server", "has memberships outside [max(n, m), n m]")
        forbid_at(self.rooms_per_user > m[home], "user", "is in more rooms than its server")
        forbid_at(
            p.users > np.minimum(n[p.server], u[p.room]), "presence", "counts more users than its server or room has"
        )
        forbid(int(p.users.sum()) != len(user), "presence", "counts do not sum to the memberships")

    def same_as(self, other: Federation) -> bool:
        """Whether both are the same federation, id by id."""
        return (
            self.n_servers == other.n_servers
            and np.array_equal(self.user_server, other.user_server)
            and np.array_equal(self.room_offsets, other.room_offsets)
            and np.array_equal(self.membership_user, other.membership_user)
        )

    # Other people's structures.

    def to_networkx(self) -> nx.Graph[Any]:
        """The tripartite graph.

        Nodes are ``("user", i)``, ``("server", i)``, ``("room", i)`` with attribute ``kind``; edges are user-server,
        user-room and server-room, the last with attribute ``users``.
        """
        import networkx

        graph: nx.Graph[Any] = networkx.Graph()
        for kind, size in (("server", self.n_servers), ("user", self.n_users), ("room", self.n_rooms)):
            graph.add_nodes_from(((kind, i) for i in range(size)), kind=kind)
        graph.add_edges_from((("user", u), ("server", s)) for u, s in enumerate(self.user_server.tolist()))
        pairs = zip(self.membership_user.tolist(), self.membership_room.tolist(), strict=True)
        graph.add_edges_from((("user", u), ("room", r)) for u, r in pairs)
        p = self.presences
        triples = zip(p.server.tolist(), p.room.tolist(), p.users.tolist(), strict=True)
        graph.add_edges_from((("server", s), ("room", r), {"users": c}) for s, r, c in triples)
        return graph

    def to_arrow(self) -> dict[str, pa.Table]:
        """The five tables of a federation directory (DESIGN section 4), by name, in the narrowest unsigned types."""
        import pyarrow

        p = self.presences
        users, servers, rooms = self.n_users, self.n_servers, self.n_rooms

        def column(values: Integers, top: int) -> pa.Array:
            return pyarrow.array(values.astype(np.min_scalar_type(max(top, 0))))

        def table(**columns: pa.Array) -> pa.Table:
            return pyarrow.table(columns)

        n, m, k, u, d = (
            self.users_per_server,
            self.rooms_per_server,
            self.servers_per_room,
            self.users_per_room,
            self.rooms_per_user,
        )
        return {
            "servers": table(
                server=column(np.arange(servers), servers - 1), users=column(n, users), rooms=column(m, rooms)
            ),
            "rooms": table(
                room=column(np.arange(rooms), rooms - 1), users=column(u, users), servers=column(k, servers)
            ),
            "users": table(
                user=column(np.arange(users), users - 1),
                server=column(self.user_server, servers - 1),
                rooms=column(d, rooms),
            ),
            "memberships": table(
                user=column(self.membership_user, users - 1), room=column(self.membership_room, rooms - 1)
            ),
            "presences": table(
                server=column(p.server, servers - 1),
                room=column(p.room, rooms - 1),
                users=column(p.users, users),
                weight=pyarrow.array(p.weight),
            ),
        }

    def __repr__(self) -> str:
        return (
            f"Federation({self.n_users} users, {self.n_servers} servers, {self.n_rooms} rooms, "
            f"{self.n_memberships} memberships)"
        )


def _ids(values: ArrayLike, name: str) -> Integers:
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InvariantError(f"{name}: takes a flat sequence of integers, not {array.ndim}-dimensional {array.dtype}")
    forbid(int(array.min()) < 0, name, f"id {int(array.min())} is negative")
    return array


def forbid(broken: bool, kind: str, message: str) -> None:
    """Raise InvariantError, ``kind: message``, if ``broken``."""
    if broken:
        raise InvariantError(f"{kind}: {message}")


def forbid_at(broken: NDArray[np.bool_], kind: str, message: str, shift: int = 0) -> None:
    """Raise InvariantError that names the first entity where ``broken`` (plus ``shift``) and counts the others."""
    if broken.any():
        where = np.flatnonzero(broken)
        more = f" (and {len(where) - 1} more)" if len(where) > 1 else ""
        raise InvariantError(f"{kind} {int(where[0]) + shift} {message}{more}")
