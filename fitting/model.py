"""The model of a federation: laws first, then the measured tables that carry its dependence, in one JSON file.

A model holds what :mod:`gen` needs: the sizes, a fitted law for each quantity, the head servers one by one, the
other servers, the rooms by community, and who goes to rooms of which *type* (community and size class). Nobody and
no room has a name in it; a row of users tells how many rooms of each type a user is in, never which. Its digest
covers all of it but the provenance.

Of a federation whose memberships were not seen some quantities are assumed (:mod:`fitting.completion`); a model of one
names them, all others have no such key.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.errors import FormatError, ModelError
from fedgen.shipped import shipped
from fitting.classes import KINDS, pair_kind
from fitting.margins import Margin
from fitting.tails import LawFit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedgen.federation import Integers

FORMAT = "fedgen-model"
VERSION = 3
_LAWS = ("n", "m", "e", "k", "u", "x", "d")


@dataclass(frozen=True, eq=False)
class Sizes:
    """S, U, R, M and K of the measured federation."""

    servers: int
    users: int
    rooms: int
    memberships: int
    presences: int


@dataclass(frozen=True, eq=False)
class HeadTable:
    """The head servers, most memberships first: n, m and e of each, (H,)."""

    users: Integers
    rooms: Integers
    memberships: Integers


@dataclass(frozen=True, eq=False)
class ServerTable:
    """The body's servers, one a row: n, m and e of each, (B,), in lexicographic order."""

    users: Integers
    rooms: Integers
    memberships: Integers


@dataclass(frozen=True, eq=False)
class RoomTable:
    """The rooms: distinct (community, k, u, users of each head server) and how many rooms have it.

    The head servers' counts are sparse: ``head_users[i]`` users of head ``head[i]`` in the rooms of row ``row[i]``;
    rows rise.
    """

    community: Integers
    servers: Integers
    users: Integers
    number: Integers
    row: Integers
    head: Integers
    head_users: Integers


@dataclass(frozen=True, eq=False)
class TypeTable:
    """The types of rooms that were measured: distinct (community, room kind), in lexicographic order."""

    community: Integers
    kind: Integers


@dataclass(frozen=True, eq=False)
class PresenceTable:
    """The body's presences: of a row of :class:`ServerTable`, in rooms of a type, with so many users; how many."""

    server: Integers
    type: Integers
    users: Integers
    number: Integers


@dataclass(frozen=True, eq=False)
class UserTable:
    """Users of a row of :class:`ServerTable` (heads: -1, -2, ...) in d rooms of the same types; how many."""

    server: Integers
    rooms: Integers
    number: Integers


@dataclass(frozen=True, eq=False)
class ProfileTable:
    """In how many rooms of each type each user of a row of :class:`UserTable` is; rows rise."""

    user: Integers
    type: Integers
    number: Integers


@dataclass(frozen=True, eq=False)
class Company:
    """How often the same meet again (:mod:`fitting.company`).

    Attributes:
        server_pairs: pairs of servers that share a room of at most ``most_servers`` servers.
        server_meetings: pairs of servers, room by room.
        most_servers: the largest room that is looked at, in servers.
        butterflies: pairs of users times pairs of rooms they share, of rooms of at most ``most_users`` users.
        user_meetings: pairs of users, room by room.
        most_users: the largest room that is looked at, in users.
    """

    server_pairs: int
    server_meetings: int
    most_servers: int
    butterflies: int
    user_meetings: int
    most_users: int


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted federation.

    Attributes:
        sizes: of the measurement.
        laws: by symbol: "n", "m", "e" (memberships beyond max(n, m)), "k", "u", "x" (users beyond one per server), "d".
        heads, servers, rooms, types, presences, users, profiles: the tables.
        company: how often the same meet again; None where types say it all.
        provenance: where it came from.
        unmeasured: symbols of the laws whose quantities were assumed, in the order of the laws; see docs/attendance.md.
    """

    sizes: Sizes
    laws: Mapping[str, LawFit]
    heads: HeadTable
    servers: ServerTable
    rooms: RoomTable
    types: TypeTable
    presences: PresenceTable
    users: UserTable
    profiles: ProfileTable
    company: Company | None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    unmeasured: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """sha256 of everything but the provenance."""
        return _digest(self._content())

    @cached_property
    def room_type(self) -> Integers:
        """(rows of rooms,) the type of each: its row in ``types``."""
        rooms, types = self.rooms, self.types
        kind = pair_kind(rooms.servers, rooms.users - rooms.servers + 1)
        # Types are in lexicographic order.
        return np.searchsorted(types.community * KINDS + types.kind, rooms.community * KINDS + kind)

    @cached_property
    def margins(self) -> dict[str, Margin]:
        """The margin of each coordinate that is drawn: "n", "m" over body servers, "k", "x" over rooms, "d"."""
        s, r, d = self.servers, self.rooms, self.users
        each = np.ones_like(s.users)
        columns = {
            "n": (s.users, each),
            "m": (s.rooms, each),
            "k": (r.servers, r.number),
            "x": (r.users - r.servers + 1, r.number),
            "d": (d.rooms, d.number),
        }
        return {name: Margin.of(*column, self.laws[name].tail_law) for name, column in columns.items()}

    def __repr__(self) -> str:
        s = self.sizes
        return f"Model(of {s.users} users, {s.servers} servers, {s.rooms} rooms; {self.digest[:19]})"

    # The file.

    def to_dict(self) -> dict[str, Any]:
        """The model as plain values, in the order of the file."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "digest": self.digest,
            "provenance": dict(self.provenance),
            **self._content(),
        }

    def _content(self) -> dict[str, Any]:
        return {
            "sizes": {f.name: getattr(self.sizes, f.name) for f in fields(Sizes)},
            "laws": {name: law.to_dict() for name, law in self.laws.items()},
            "company": asdict(self.company) if self.company else None,
            **({"unmeasured": list(self.unmeasured)} if self.unmeasured else {}),
            **{name: _columns(getattr(self, name)) for name in _TABLES},
        }

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the model file.

        Raises:
            OutputError: the file exists and ``force`` is not set, or cannot be written.
        """
        from fedgen.io.output import write_file

        write_file(Path(path), [_dump(self.to_dict())], force=force)

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Read a model file, plain, gzip or zip.

        Raises:
            ModelError: it is no model, of a newer version, broken, or changed by hand.
        """
        import msgspec

        from fedgen.io.content import GZIP, ZIP, unpacked

        path = Path(path)
        try:
            content = path.read_bytes()
            data = msgspec.json.decode(unpacked(path) if content.startswith((GZIP, *ZIP)) else content)
        except FormatError as error:
            raise ModelError(f"{path}: {error}") from error
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ModelError(f"{path}: not a model file: {error}; make one with fedgen fit") from error
        return cls.from_dict(data, str(path))

    @classmethod
    def builtin(cls) -> Model:
        """The model that comes with fedgen: fitted from a reconstruction of Matrix 2018 (docs/reconstruct.md)."""
        return cls.load(shipped("model.json"))

    @classmethod
    def from_dict(cls, data: object, source: str = "model") -> Model:
        """The model of :meth:`to_dict`; ``source`` names it in errors."""
        import msgspec

        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ModelError(f'{source}: not a model file (no "format": "{FORMAT}"); make one with fedgen fit')
        version = data.get("version")
        if not isinstance(version, int) or version > VERSION:
            raise ModelError(f"{source}: model version {version}, this fedgen reads {VERSION}; update fedgen")
        if version < VERSION:
            raise ModelError(f"{source}: model version {version}, this fedgen reads {VERSION}; fit it again")
        body = {k: v for k, v in data.items() if k not in ("format", "version", "digest", "provenance")}
        try:
            if data.get("digest") != _digest(body):
                raise ModelError(f"{source}: the digest does not fit the content: broken or edited; fit it again")
            model = cls(
                sizes=msgspec.convert(body["sizes"], Sizes),
                laws=msgspec.convert(body["laws"], dict[str, LawFit]),
                company=msgspec.convert(body["company"], Company | None),
                provenance=msgspec.convert(data.get("provenance", {}), dict[str, Any]),
                unmeasured=msgspec.convert(body.get("unmeasured", []), tuple[str, ...]),
                **{name: _table(table, body[name], name) for name, table in _TABLES.items()},
            )
            _check(model)
        except (msgspec.ValidationError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"{source}: broken model: {error}; fit it again") from error
        return model


_TABLES: dict[str, type[Any]] = {
    "heads": HeadTable,
    "servers": ServerTable,
    "rooms": RoomTable,
    "types": TypeTable,
    "presences": PresenceTable,
    "users": UserTable,
    "profiles": ProfileTable,
}


def _check(model: Model) -> None:
    """Raise ValueError where no federation has such a model: sums, ranges and order, which no digest vouches for."""
    s, heads, servers, rooms, users = model.sizes, model.heads, model.servers, model.rooms, model.users
    presences = model.presences
    n_heads, n_body, n_types, top = len(heads.users), len(servers.users), len(model.types.kind), np.array(s.memberships)
    ranges = {
        "rooms.community": (0, s.rooms - 1),
        "rooms.row": (0, len(rooms.number) - 1),
        "rooms.head": (0, n_heads - 1),
        "types.community": (0, s.rooms - 1),
        "types.kind": (0, int(pair_kind(top, top))),
        "presences.server": (0, n_body - 1),
        "presences.type": (0, n_types - 1),
        "users.server": (-n_heads, n_body - 1),
        "profiles.user": (0, len(users.number) - 1),
        "profiles.type": (0, n_types - 1),
    }
    for table in _TABLES:
        for column, values in _columns(getattr(model, table)).items():
            low, high = ranges.get(f"{table}.{column}", (1, s.memberships))
            if values and not low <= min(values) <= max(values) <= high:
                raise ValueError(f"{table}.{column} holds a number outside {low} to {high}")
    of_user = model.profiles.number * users.number[model.profiles.user]
    for name, counted, size in (
        ("servers", n_body + n_heads, s.servers),
        ("users", users.number.sum(), s.users),
        ("rooms", rooms.number.sum(), s.rooms),
        ("memberships", of_user.sum(), s.memberships),
        ("memberships", rooms.users @ rooms.number, s.memberships),
        ("presences", presences.number.sum() + rooms.number[rooms.row].sum(), s.presences),
        ("presences", rooms.servers @ rooms.number, s.presences),
    ):
        if counted != size or size < 1:
            raise ValueError(f"sizes.{name} is {size}, the tables count {counted}")
    if n_body == 0:
        raise ValueError("servers is empty")
    for name, servers_of in (("heads", heads), ("servers", servers)):
        n, m, e = servers_of.users, servers_of.rooms, servers_of.memberships
        if np.any((e < np.maximum(n, m)) | (e > n * m)):
            raise ValueError(f"{name}.memberships are outside [max(users, rooms), users rooms]")
    if np.any(rooms.servers > rooms.users):
        raise ValueError("rooms has more servers than users somewhere")
    home = np.where(users.server < 0, n_body - 1 - users.server, users.server)
    everyone = [np.concatenate((getattr(servers, c), getattr(heads, c))) for c in ("users", "rooms", "memberships")]
    for name, found, wanted in (
        ("users.number", np.bincount(home, users.number, minlength=s.servers), everyone[0]),
        (
            "presences.number",
            np.bincount(model.presences.server, model.presences.number, minlength=n_body),
            servers.rooms,
        ),
        (
            "presences.users",
            np.bincount(presences.server, presences.users * presences.number, minlength=n_body),
            servers.memberships,
        ),
        ("rooms.head", np.bincount(rooms.head, rooms.number[rooms.row], minlength=n_heads), heads.rooms),
        (
            "rooms.head_users",
            np.bincount(rooms.head, rooms.head_users * rooms.number[rooms.row], minlength=n_heads),
            heads.memberships,
        ),
        ("profiles.number", np.bincount(home[model.profiles.user], of_user, minlength=s.servers), everyone[2]),
        ("profiles.number", np.bincount(model.profiles.user, model.profiles.number, minlength=len(home)), users.rooms),
    ):
        if len(found) != len(wanted) or np.any(found != wanted):
            raise ValueError(f"{name} does not sum to what the servers and users have")
    for name, rising in (
        ("rooms.row", rooms.row),
        ("presences.server", presences.server),
        ("users.server", users.server),
        ("profiles.user", model.profiles.user),
    ):
        if np.any(np.diff(rising) < 0):
            raise ValueError(f"{name} does not rise")
    for bound, number in (asdict(model.company) if model.company else {}).items():
        if number < (1 if bound.startswith("most") else 0):
            raise ValueError(f"company.{bound} is {number}")
    if list(model.unmeasured) != [symbol for symbol in _LAWS if symbol in model.unmeasured]:
        raise ValueError(f"unmeasured is {', '.join(model.unmeasured)}; of {', '.join(_LAWS)} each may be there once")
    if set(model.laws) != set(_LAWS):
        raise ValueError(f"laws are not {', '.join(_LAWS)}")
    for name, law in model.laws.items():
        try:
            law.tail_law  # noqa: B018 - made from what the file says
        except ValueError as error:
            raise ValueError(f"laws.{name}: {error}") from error


def spare(users: Integers, rooms: Integers, memberships: Integers) -> Integers:
    """e - max(n, m): the memberships of a server beyond the fewest that it could have."""
    return memberships - np.maximum(users, rooms)


def _columns(table: Any) -> dict[str, list[int]]:
    return {f.name: getattr(table, f.name).tolist() for f in fields(table)}


def _table(kind: type[Any], columns: dict[str, list[int]], name: str) -> Any:
    import msgspec

    arrays = {k: np.array(v, dtype=np.int64) for k, v in msgspec.convert(columns, dict[str, list[int]]).items()}
    sparse = ("row", "head", "head_users") if kind is RoomTable else ()
    for group in (set(arrays) & set(sparse), set(arrays) - set(sparse)):
        if len({len(arrays[k]) for k in group}) > 1:
            raise ValueError(f"the columns of {name} differ in length")
    return kind(**arrays)


def _digest(content: Mapping[str, Any]) -> str:
    import json

    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _dump(data: Mapping[str, Any]) -> bytes:
    """JSON that a person can read: laws indented, each column of a table on a line of its own."""
    import json

    def block(value: object, depth: int) -> str:
        if isinstance(value, dict) and value:
            inner = ",\n".join(f"{'  ' * (depth + 1)}{json.dumps(k)}: {block(v, depth + 1)}" for k, v in value.items())
            return "{\n" + inner + "\n" + "  " * depth + "}"
        if isinstance(value, float) and not math.isfinite(value):
            return "null"
        return json.dumps(value, separators=(",", ":"), allow_nan=False)

    return (block(dict(data), 0) + "\n").encode()
