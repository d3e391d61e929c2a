"""The configuration of a crawl: a TOML file (docs/measure.md), checked before anything is asked.

Its errors name fields, never what stands in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field

from fedgen.errors import UsageError
from fedgen.measure.exclusions import Exclusions, problems, server_of
from fedgen.measure.toml_table import read_table, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Rooms(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where rooms come from.

    Attributes:
        list: ids and aliases.
        file: of ids and aliases, one a line; relative to the configuration.
        directories: servers whose public rooms are meant.
        spaces: ids and aliases of spaces whose rooms are meant, however deep.
    """

    list: tuple[str, ...] = ()
    file: str = ""
    directories: tuple[str, ...] = ()
    spaces: tuple[str, ...] = ()


class Limits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the crawl allows itself; what the homeserver allows comes on top.

    Attributes:
        requests_per_second: to the homeserver, of any kind; evenly, never in bursts.
        joins_per_minute: of them.
        rooms_at_once: visited side by side; never two of one server.
        timeout_seconds: until an answer is given up; a member list can take minutes to reach a server that just joined.
        attempts: of a request before the room is given up.
        backoff_seconds: the first pause after a failure; it doubles with each further one.
    """

    requests_per_second: float = 1.0
    joins_per_minute: float = 6.0
    rooms_at_once: int = 4
    timeout_seconds: float = 600.0
    attempts: int = 8
    backoff_seconds: float = 1.0


class Announcement(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who measures, and where those who are measured find it.

    Attributes:
        who: does it: a person or a group, and where.
        purpose: in a sentence.
        contact: an address, in Matrix or by mail.
        website: the page that tells what is done and how to opt out (``fedgen measure announce`` drafts it).
        room: the alias of the announcement room.
    """

    who: str = ""
    purpose: str = ""
    contact: str = ""
    website: str = ""
    room: str = ""


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A crawl.

    Attributes:
        homeserver: the address of the client-server API through which it asks, ``https://...``.
        join: whether rooms are joined, for memberships; else only their servers and numbers of users are asked.
        token_file: that holds the access token; relative to the configuration; default: the environment.
    """

    homeserver: str
    join: bool
    token_file: str = ""
    rooms: Rooms = field(default_factory=Rooms)
    limits: Limits = field(default_factory=Limits)
    leave_out: Exclusions = field(default_factory=Exclusions)
    announcement: Announcement = field(default_factory=Announcement)


def read_config(path: Path) -> Config:
    """Read and check a configuration; rooms of its file are listed with the others.

    Raises:
        UsageError: says which field is wrong, and what it takes.
    """
    config = read_table(path, Config)
    if config.rooms.file:
        lines = read_text(path.parent / config.rooms.file).splitlines()
        listed = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("//")]
        config = msgspec.structs.replace(
            config, rooms=msgspec.structs.replace(config.rooms, list=(*config.rooms.list, *listed), file="")
        )
    for field_, problem in _problems(config):
        raise UsageError(f"{path}: {field_}: {problem}")
    return config


def _problems(config: Config) -> Iterable[tuple[str, str]]:
    """What is wrong with a configuration, by field."""
    try:
        parts = urlsplit(config.homeserver)
        plain = parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1")
        odd = bool(parts.username or parts.query or parts.fragment or (parts.port or 1) < 1)
        if parts.scheme not in ("http", "https") or not parts.hostname or odd:
            raise ValueError
    except ValueError:
        yield "homeserver", "is not the address of a client-server API; give https://NAME"
        return
    if plain:
        yield "homeserver", "would get the access token unencrypted; give https://NAME"
    rooms = config.rooms
    if not (rooms.list or rooms.directories or rooms.spaces):
        yield "rooms", "names nothing to ask for; give a list, a file, directories or spaces"
    for name, values in (("list", rooms.list), ("spaces", rooms.spaces)):
        for i, value in enumerate(values):
            if not (value.startswith("!") and len(value) > 1) and not (value.startswith("#") and server_of(value)):
                yield f"rooms.{name}[{i}]", "is neither a room id (!...) nor an alias (#name:server)"
    for i, server in enumerate(rooms.directories):
        if not server or any(letter in server for letter in "/ !#@"):
            yield f"rooms.directories[{i}]", "is not the name of a server"
    for field_, problem in problems(config.leave_out):
        yield f"leave_out.{field_}", problem
    limits = config.limits
    for name in ("requests_per_second", "joins_per_minute", "timeout_seconds", "backoff_seconds"):
        if not 0 < getattr(limits, name) < float("inf"):
            yield f"limits.{name}", "is not a number above 0"
    for name in ("rooms_at_once", "attempts"):
        if getattr(limits, name) < 1:
            yield f"limits.{name}", "is not a whole number from 1 up"
    said = config.announcement
    if said.website and not said.website.startswith(("https://", "http://")):
        yield "announcement.website", "is not the address of a page; give https://..."
    if said.room and not (said.room.startswith("#") and server_of(said.room)):
        yield "announcement.room", "is not an alias (#name:server)"
    if config.join:
        for name in ("who", "contact", "website"):
            if not getattr(config.announcement, name).strip():
                yield f"announcement.{name}", "is missing; who joins rooms says who is there and how to opt out"
