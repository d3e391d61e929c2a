"""Small worlds as a Synapse homeserver sees them: what its tables hold, and the federation that is to come of it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from fedgen.federation import Federation
from fedgen.measure.exclusions import Exclusions

OURS = "ours.verborgen.example"
SERVERS = (
    OURS,
    "b.verborgen.example",
    "C.verborgen.example:8448",
    "[2001:db8::1]:80",
    "10.0.0.1",
    "gone.verborgen.example",
)
LOCALPARTS = ("alice", "bob", "carol", "_irc_dave", "_irc_eve", "bot", "Ünï=/code", "with:colon")
TOPICS = (None, "", "welcome", "hidden MRS-NoIndex:TRUE-mrs", 17)

# Columns of the tables as Synapse has them at schema version 94, in words that SQLite and PostgreSQL both know.
TABLES = {
    "schema_version": "lock CHAR(1) DEFAULT 'X' NOT NULL UNIQUE, version INTEGER NOT NULL, upgraded BOOLEAN NOT NULL",
    "current_state_events": "event_id TEXT NOT NULL, room_id TEXT NOT NULL, type TEXT NOT NULL, "
    "state_key TEXT NOT NULL, membership TEXT, event_stream_ordering BIGINT, "
    "UNIQUE (event_id), UNIQUE (room_id, type, state_key)",
    "local_current_membership": "room_id TEXT NOT NULL, user_id TEXT NOT NULL, event_id TEXT NOT NULL, "
    "membership TEXT NOT NULL, event_stream_ordering BIGINT",
    "partial_state_rooms": "room_id TEXT PRIMARY KEY, device_lists_stream_id BIGINT DEFAULT 0 NOT NULL, "
    "join_event_id TEXT, joined_via TEXT",
    "event_json": "event_id TEXT NOT NULL, room_id TEXT NOT NULL, internal_metadata TEXT NOT NULL, "
    "json TEXT NOT NULL, format_version INTEGER, UNIQUE (event_id)",
    "room_aliases": "room_alias TEXT NOT NULL, room_id TEXT NOT NULL, creator TEXT, UNIQUE (room_alias)",
    "room_stats_state": "room_id TEXT NOT NULL, name TEXT, canonical_alias TEXT, join_rules TEXT, "
    "history_visibility TEXT, encryption TEXT, avatar TEXT, guest_access TEXT, is_federatable BOOLEAN, topic TEXT, "
    "room_type TEXT",
}


@dataclass(frozen=True)
class Room:
    """A room as a homeserver knows it.

    Attributes:
        id: of any version.
        members: who has which membership, by state key.
        ours: whether the homeserver's own table says that somebody of ours is in it.
        partial: whether it is still being joined.
        topic, rich_topic: plain, and as ``m.topic``.
        alias, other_alias: canonical, alternative.
        local_alias: of our own directory.
    """

    id: str
    members: dict[str, str]
    ours: bool = True
    partial: bool = False
    topic: Any = None
    rich_topic: Any = None
    alias: str | None = None
    other_alias: str | None = None
    local_alias: str | None = None

    def joined(self) -> list[str]:
        return [user for user, membership in self.members.items() if membership == "join"]


@dataclass(frozen=True)
class World:
    """All rooms, and who is left out."""

    rooms: tuple[Room, ...]
    rules: Exclusions = field(default_factory=Exclusions)

    def seen_rooms(self) -> list[Room]:
        """Rooms that are not left out, by rules spelled out a second time."""
        return [room for room in self.rooms if room.ours and not room.partial and not self._opted_out(room)]

    def triples(self) -> set[tuple[str, str, str]]:
        """User, server and room of each membership that counts."""
        return {
            (user, user.split(":", 1)[1].lower(), r.id)
            for r in self.seen_rooms()
            for user in r.joined()
            if self._counts(user)
        }

    def federation(self) -> Federation:
        """The truth."""
        triples = sorted(self.triples())
        users, rooms = (
            {name: i for i, name in enumerate(sorted(set(names)))}
            for names in ([t[0] for t in triples], [t[2] for t in triples])
        )
        servers = {name: i for i, name in enumerate(sorted({t[1] for t in triples}))}
        home = np.zeros(len(users), dtype=np.int64)
        for user, server, _ in triples:
            home[users[user]] = servers[server]
        return Federation.from_pairs(home, [users[t[0]] for t in triples], [rooms[t[2]] for t in triples])

    def _opted_out(self, room: Room) -> bool:
        said = [text for text in (room.topic, room.rich_topic) if isinstance(text, str)]
        names = {room.id, room.alias, room.other_alias, room.local_alias}
        return any("mrs-noindex:true-mrs" in text.lower() for text in said) or bool(names & set(self.rules.rooms))

    def _counts(self, user: str) -> bool:
        local, _, server = user.partition(":")
        return (
            local.startswith("@")
            and server != ""
            and server.lower() not in [name.lower() for name in self.rules.servers]
            and user not in self.rules.users
            and not any(fnmatchcase(user, pattern) for pattern in self.rules.stubs)
        )

    def names(self) -> set[str]:
        """Every identifier in it, and parts of them that tell as much."""
        found = {"verborgen", "alice", "bob", "_irc_", "10.0.0.1", "2001:db8"}
        for room in self.rooms:
            found |= {room.id, *room.members} | {
                name for name in (room.alias, room.other_alias, room.local_alias) if name
            }
        return found - {""}


Execute = Callable[[str, Sequence[Any]], object]


def create(execute: Execute, *, version: int = 94, without: str | None = None) -> None:
    """Make the tables."""
    for name, columns in TABLES.items():
        if name != without:
            execute(f"CREATE TABLE {name} ({columns})", ())
    if without != "schema_version":
        execute("INSERT INTO schema_version (version, upgraded) VALUES (?, ?)", (version, False))


def fill(execute: Execute, world: World, *, stats: bool = True) -> None:
    """Fill them."""
    for number, room in enumerate(world.rooms):
        _fill_members(execute, room, number)
        content = {"topic": room.topic, "m.topic": {"m.text": [{"body": room.rich_topic}]} if room.rich_topic else None}
        _state(execute, room, f"$topic{number}", "m.room.topic", {k: v for k, v in content.items() if v is not None})
        aliases = {"alias": room.alias, "alt_aliases": [room.other_alias] if room.other_alias else []}
        _state(execute, room, f"$alias{number}", "m.room.canonical_alias", {k: v for k, v in aliases.items() if v})
        _state(execute, room, f"$create{number}", "m.room.create", {"room_version": "12"})
        if room.partial:
            execute("INSERT INTO partial_state_rooms (room_id) VALUES (?)", (room.id,))
        if room.local_alias:
            execute("INSERT INTO room_aliases VALUES (?, ?, ?)", (room.local_alias, room.id, None))
        if stats:
            topic = room.rich_topic or room.topic
            topic = topic if isinstance(topic, str) else None
            values = (room.id, topic, room.alias)
            execute("INSERT INTO room_stats_state (room_id, topic, canonical_alias) VALUES (?, ?, ?)", values)


def _fill_members(execute: Execute, room: Room, number: int) -> None:
    for index, (user, membership) in enumerate(room.members.items()):
        _state(execute, room, f"$member{number}-{index}", "m.room.member", {"membership": membership}, user, membership)
        if user.endswith(f":{OURS}"):
            here = membership if room.ours or membership != "join" else "leave"
            values = (room.id, user, f"$member{number}-{index}", here)
            execute("INSERT INTO local_current_membership VALUES (?, ?, ?, ?, 1)", values)


def _state(
    execute: Execute,
    room: Room,
    event_id: str,
    kind: str,
    content: dict[str, Any],
    key: str = "",
    membership: str | None = None,
) -> None:
    if kind in ("m.room.topic", "m.room.canonical_alias") and not content:
        return
    execute("INSERT INTO current_state_events VALUES (?, ?, ?, ?, ?, 1)", (event_id, room.id, kind, key, membership))
    event = json.dumps({"type": kind, "content": content, "room_id": room.id}, ensure_ascii=False)
    execute("INSERT INTO event_json VALUES (?, ?, '{}', ?, 3)", (event_id, room.id, event))


def make_sqlite(path: Path, world: World | None = None, **settings: Any) -> Path:
    """A database as Synapse leaves it, its log put away."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        create(connection.execute, **settings)
        if world is not None:
            fill(connection.execute, world)
        connection.commit()
    return path


def worlds() -> st.SearchStrategy[World]:
    """Worlds in which somebody is left."""
    return _worlds().filter(lambda world: bool(world.triples()))


@st.composite
def _worlds(draw: st.DrawFn) -> World:
    users = [f"@{local}:{server}" for local in LOCALPARTS for server in SERVERS]
    odd = ["", "nobody", "@nowhere", "@empty:"]
    memberships = st.sampled_from(["join", "join", "join", "leave", "ban", "invite", "knock"])
    rooms = []
    for number in range(draw(st.integers(1, 6))):
        members = draw(st.dictionaries(st.sampled_from([*users, *odd]), memberships, max_size=12))
        ours = draw(st.booleans()) or number == 0
        if ours:
            members[f"@alice:{OURS}"] = "join"
        rooms.append(
            Room(
                draw(st.sampled_from([f"!r{number}:b.verborgen.example", f"!verborgen{number}"])),
                members,
                ours=ours,
                partial=draw(st.integers(0, 4)) == 0,
                topic=draw(st.sampled_from(TOPICS)),
                rich_topic=draw(st.sampled_from(TOPICS[:4])),
                alias=draw(st.sampled_from([None, f"#a{number}:{OURS}"])),
                other_alias=draw(st.sampled_from([None, f"#o{number}:b.verborgen.example"])),
                local_alias=draw(st.sampled_from([None, f"#l{number}:{OURS}"])),
            )
        )
    names = [name for room in rooms for name in (room.id, room.alias, room.other_alias, room.local_alias) if name]
    rules = Exclusions(
        servers=tuple(draw(st.lists(st.sampled_from(["b.VERBORGEN.example", "[2001:db8::1]:80"]), max_size=2))),
        rooms=tuple(draw(st.lists(st.sampled_from(names), max_size=2))),
        users=tuple(draw(st.lists(st.sampled_from(users), max_size=3))),
        stubs=tuple(draw(st.lists(st.sampled_from(["@_irc_*", "@b?b:*"]), max_size=2))),
    )
    return World(tuple(rooms), rules)
