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

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        server = server_of(user_id) if isinstance(user_id, str) and user_id.startswith("@") else None
        if server is None or not isinstance(user_id, str):
            return "malformed"
        if self.opted_out(server):
            return "opted out"
        if self._users(user_id):
            return "own or silent"
        if self._stubs(user_id):
            return "bridged stub"
        return Person(self.names.user(user_id), self.names.server(server))

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


class _Test:
    """Whether a name is one of a list or meets one of its patterns."""

    def __init__(self, exact: frozenset[str], pattern: re.Pattern[str] | None) -> None:
        self.exact, self.pattern = exact, pattern

    def __call__(self, name: str) -> bool:
        return name in self.exact or (self.pattern is not None and self.pattern.match(name) is not None)


def _any_of(patterns: Sequence[str]) -> _Test:
    wild = [pattern for pattern in patterns if "*" in pattern or "?" in pattern]
    exact = frozenset(patterns) - frozenset(wild)
    # [ and ] are letters here: an address of IPv6 is a server's name
    joined = "|".join(translate(pattern.replace("[", "[[]")) for pattern in wild)
    return _Test(exact, re.compile(joined) if wild else None)
