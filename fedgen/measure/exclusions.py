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
from fedgen.measure.toml_table import read_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fedgen.measure.pseudonyms import Pseudonyms

MARKER = "MRS-noindex:true-MRS"
"""What a room's topic says if the room is not to be listed, of the room directory matrixrooms.info; any case."""

_SERVER = re.compile(r"[A-Za-z0-9.*?_-]+(:[0-9*?]+)?|\[[0-9A-Fa-f:.*?]+\](:[0-9*?]+)?")
_ROOM = re.compile(r"![^\s]+|#[^\s]*:[^\s]+|#?\*")
_USER = re.compile(r"@[^\s]*:[^\s]+|@?\*")
_STUB = re.compile(r"[@*?][^\s]+|\*")

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
    rules = read_table(path, Exclusions, TABLE)
    for field, problem in problems(rules):
        raise UsageError(f"{path}: {TABLE}.{field}: {problem}")
    return rules


def problems(rules: Exclusions) -> Iterator[tuple[str, str]]:
    """Entries that can mean nobody, by field: an opt-out that is in vain is worse than none."""
    for name, fits, what in (
        ("servers", _SERVER, "the name of a server"),
        ("rooms", _ROOM, "a room id (!...) or an alias (#name:server)"),
        ("users", _USER, "a user id (@name:server)"),
        ("stubs", _STUB, "a pattern of user ids (@...)"),
    ):
        for i, entry in enumerate(getattr(rules, name)):
            if not fits.fullmatch(entry):
                yield f"{name}[{i}]", f"is not {what}"


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
        marker = self.rules.marker.lower()
        text = topic if isinstance(topic, str) else msgspec.json.encode(topic).decode()  # a rich topic has several
        return (marker != "" and marker in text.lower()) or any(name and self._rooms(_folded(name)) for name in names)

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
        return _any_of([_folded(name) for name in self.rules.rooms])

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


def _folded(name: str) -> str:
    """An alias or id of a room, the server in it in lower case."""
    local, colon, server = name.partition(":")
    return local + colon + server.lower()


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
