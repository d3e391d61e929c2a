"""Who is left out of a measurement: those who do not want to be in it, and those who are nobody.

Opted out are servers and rooms that asked to be, listed in the configuration, rooms whose topic bears the marker, and
rooms that kicked or banned the crawler (:mod:`fedgen.measure.memory`). Left out are the crawler's own users and bots
that listen in silence, and by pattern the stub users that a bridge makes of people who are elsewhere. The rules apply
at the one place where user ids arrive, :class:`Admission`; what does not pass is counted, and not even hashed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
from msgspec import Struct

from fedgen.errors import UsageError
from fedgen.statistics.toml_lines import Lines, syntax_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fedgen.measure.pseudonyms import Pseudonyms

MARKER = "MRS-noindex:true-MRS"
"""What a room's topic says if the room is not to be listed, of the room directory matrixrooms.info; any case."""

Reason = Literal["opted out", "own or silent", "bridged stub", "malformed"]
"""Why a user id is left out."""


class Exclusions(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who is left out; ``*`` and ``?`` stand for any letters, any letter.

    Attributes:
        servers: that opted out; ``*.example.org`` for what is below a domain.
        rooms: that opted out, by id or alias.
        marker: of topics.
        users: the crawler's own and silent bots, by user id.
        stubs: bridged users, by patterns of user ids.
    """

    servers: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    marker: str = MARKER
    users: tuple[str, ...] = ()
    stubs: tuple[str, ...] = ()


TABLE = "leave_out"
"""The table of a configuration that holds the exclusions."""


def read_exclusions(path: Path) -> Exclusions:
    """Those in the table ``leave_out`` of a TOML file, whatever else it holds; none without that table.

    Raises:
        UsageError: says which line or field is wrong, and never what stands there.
    """
    import tomllib

    try:
        text = path.read_text(encoding="utf-8-sig")
        held = tomllib.loads(text).get(TABLE, {})
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or 'error'}); check the path") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8; convert the file") from None
    except (ValueError, RecursionError) as error:
        line, _ = syntax_error(str(error), text)
        raise UsageError(f"{path}:{line}: is not TOML; mend the line") from None
    try:
        return msgspec.convert(held, Exclusions)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
    name = where.strip("`.")
    key = re.split(r"[.\[]", name)[0]
    line = Lines(text, "").top(TABLE, key)
    if "unknown field" in what:
        known = ", ".join(Exclusions.__struct_fields__)
        raise UsageError(f"{path}:{line}: {TABLE} has a key that is not known; known are {known}")
    raise UsageError(f"{path}:{line}: {'.'.join(filter(None, (TABLE, name)))}: {what[:1].lower()}{what[1:]}")


class Person(NamedTuple):
    """A user as we know one: two pseudonyms."""

    user: bytes
    server: bytes


@dataclass(frozen=True)
class Admission:
    """The place where identifiers arrive: judged, counted and hashed in one step.

    Attributes:
        rules: who is left out.
        names: the pseudonyms of this measurement.
    """

    rules: Exclusions
    names: Pseudonyms

    def of_user(self, user_id: object) -> Person | Reason:
        """The pseudonyms of a user id, or why it is left out."""
        if not isinstance(user_id, str) or user_id[:1] != "@":
            return "malformed"
        name = user_id.partition(":")[2]
        server = self._homes.get(name)
        if server is None:
            server = self._homes[name] = self.of_server(name)
        if isinstance(server, str):
            return server
        if self.rules.users and self._users(user_id):
            return "own or silent"
        if self.rules.stubs and self._stubs(user_id):
            return "bridged stub"
        return Person(self.names.user(user_id), server)

    def still_in(self, person: Person) -> bool:
        """Whether somebody who was admitted before is not left out by name now; patterns tell nothing of pseudonyms."""
        return person.server not in self._servers_by_name and person.user not in self._users_by_name

    def server_still_in(self, server: bytes) -> bool:
        """The same of a server."""
        return server not in self._servers_by_name

    def of_server(self, name: object) -> bytes | Reason:
        """The pseudonym of a server name, or why it is left out."""
        if not isinstance(name, str) or not name:
            return "malformed"
        return "opted out" if self.opted_out(name) else self.names.server(name)

    def opted_out(self, server: str | None) -> bool:
        """Whether a server asked to be left out."""
        return server is not None and self._servers(server.lower())

    def opted_out_room(self, *names: str | None, topic: object = None) -> bool:
        """Whether a room, by its id and aliases, or its topic asked to be left out."""
        marked = isinstance(topic, str) and bool(self.rules.marker) and self.rules.marker.lower() in topic.lower()
        return marked or any(name is not None and self._rooms(name) for name in names)

    @cached_property
    def _homes(self) -> dict[str, bytes | Reason]:
        """What was found of servers, since millions of users are on thousands of them; in memory only."""
        return {}

    @cached_property
    def _servers_by_name(self) -> frozenset[bytes]:
        return frozenset(self.names.server(name) for name in self.rules.servers)

    @cached_property
    def _users_by_name(self) -> frozenset[bytes]:
        return frozenset(self.names.user(name) for name in (*self.rules.users, *self.rules.stubs))

    @cached_property
    def _servers(self) -> _Test:
        return _any_of([name.lower() for name in self.rules.servers])

    @cached_property
    def _rooms(self) -> _Test:
        return _any_of(self.rules.rooms)

    @cached_property
    def _users(self) -> _Test:
        return _any_of(self.rules.users)

    @cached_property
    def _stubs(self) -> _Test:
        return _any_of(self.rules.stubs)


def server_of(identifier: str) -> str | None:
    """The server in a user id, an alias or an id of a room; None where there is none, as in rooms of version 12."""
    server = identifier.partition(":")[2]
    return server or None


def is_pattern(name: str) -> bool:
    """Whether ``*`` or ``?`` is in it."""
    return "*" in name or "?" in name


class _Test:
    """Whether a name is one of a list or meets one of its patterns."""

    def __init__(self, exact: frozenset[str], pattern: re.Pattern[str] | None) -> None:
        self.exact, self.pattern = exact, pattern

    def __call__(self, name: str) -> bool:
        return name in self.exact or (self.pattern is not None and self.pattern.match(name) is not None)


def _any_of(patterns: Sequence[str]) -> _Test:
    wild = [pattern for pattern in patterns if is_pattern(pattern)]
    exact = frozenset(patterns) - frozenset(wild)
    # [ and ] are letters here: an address of IPv6 is a server's name
    joined = "|".join(translate(pattern.replace("[", "[[]")) for pattern in wild)
    return _Test(exact, re.compile(joined) if wild else None)
