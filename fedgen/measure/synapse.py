"""What Synapse's database knows of the federation: for each room, who is in it now.

``current_state_events`` holds the current state of each room, with the membership of each member event beside it;
``type = 'm.room.member' AND membership = 'join'`` is exactly who is in the room, on whatever server.
(``room_memberships`` has a row for each event there ever was, ``local_current_membership`` users of this server only.)
Servers come from user ids; ids of rooms of version 12 bear none.

*Rooms that nobody here is in any more.* What a homeserver knows of them stands still from the day its last user left.
Synapse deletes a room's current state on that day, but has only since 2020: what lay there before is removed by a
background update (``delete_old_current_state_events``) that may be waiting, and deletes the rooms without a row in
``local_current_membership`` with ``membership = 'join'``. So such rows can be there, and this is how they are told:
the same table and the same test, room by room.

*Rooms that are being joined.* While a room is in ``partial_state_rooms`` (a "faster join"), its current state lacks
most members. Such rooms are left out and counted; a later measurement has them.

*What rooms say.* A room may opt out by its topic, or be opted out by an alias. Those come from the state events
themselves, in ``event_json``; if the user may not read that (it holds the messages, too), from ``room_stats_state``,
which Synapse keeps seconds behind the truth, and only where its statistics are on. A room whose topic is in neither
is left out: perhaps it says that it wants to be.
"""

from __future__ import annotations

import json
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from fedgen.errors import MeasureError
from fedgen.measure.survey import IN_THEM, RoomReason, Survey
from fedgen.progress import silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fedgen.measure.database import Database
    from fedgen.measure.exclusions import Admission
    from fedgen.progress import Progress

OLDEST = 72
"""The oldest schema that is read, of Synapse 1.66 (2022): in older ones the column ``membership`` may not be filled."""

_SAYING = ("m.room.topic", "m.room.canonical_alias")
_STATE = f"type IN {_SAYING} AND state_key = ''"


def survey(database: Database, admission: Admission, progress: Progress = silent) -> tuple[Survey, int]:
    """Read who is in which room.

    Args:
        database: open.
        admission: who is left out, and the pseudonyms.
        progress: told how many memberships were read.

    Returns:
        What was seen, and the version of the database's schema.

    Raises:
        MeasureError: it is no database of Synapse's, too old, may not be read, or goes away.
    """
    version = schema_version(database)
    judge = _Judge(database, admission)
    seen = Survey(admission)
    done = 0
    query = "SELECT room_id, state_key FROM current_state_events WHERE type = 'm.room.member' AND membership = 'join'"
    for batch in database.rows("current_state_events", query):
        for room_id, rows in groupby(batch, key=itemgetter(0)):
            users = [user for _, user in rows]
            room = judge.name(room_id)
            if room not in seen.rooms:
                seen.rooms[room] = judge.reason(room_id, room)
            if seen.rooms[room] is None:
                seen.see(room, users)
            else:
                seen.left_out[IN_THEM] += len(users)
        done += len(batch)
        progress("reading memberships", done, 0)
    return seen, version


def schema_version(database: Database) -> int:
    """The version of Synapse's schema.

    Raises:
        MeasureError: there is none, or it is too old.
    """
    found = [row for batch in database.rows("schema_version", "SELECT version FROM schema_version") for row in batch]
    if len(found) != 1 or not isinstance(found[0][0], int):
        raise MeasureError("the database has no version of Synapse's schema; let Synapse set it up, or name another")
    if found[0][0] < OLDEST:
        raise MeasureError(
            f"the database has version {found[0][0]} of Synapse's schema, and {OLDEST} is the oldest that is read; "
            "upgrade Synapse"
        )
    return found[0][0]


class _Judge:
    """Which rooms are left out, as the small tables tell; they are held by pseudonym."""

    def __init__(self, database: Database, admission: Admission) -> None:
        self._database, self._admission = database, admission
        self._ours = self._rooms(
            "local_current_membership",
            "SELECT DISTINCT room_id FROM local_current_membership WHERE membership = 'join'",
        )
        self._partial = self._rooms("partial_state_rooms", "SELECT room_id FROM partial_state_rooms")
        self._opted_out: set[bytes] = set()
        self._unreadable: set[bytes] = set()
        self._listen()

    def name(self, room_id: object) -> bytes:
        """The pseudonym of a room."""
        return self._admission.names.room(room_id if isinstance(room_id, str) else "")

    def reason(self, room_id: object, room: bytes) -> RoomReason | None:
        """Why a room is left out; None: it is not."""
        if not isinstance(room_id, str) or not room_id.startswith("!"):
            return "malformed"
        if room not in self._ours:
            return "nobody of ours"
        if room in self._opted_out or self._admission.opted_out_room(room_id):
            return "opted out"
        if room in self._partial:
            return "partial state"
        return "said nothing readable" if room in self._unreadable else None

    def _rooms(self, table: str, query: str) -> set[bytes]:
        return {self.name(room_id) for (room_id,) in self._asked(table, query)}

    def _asked(self, table: str, query: str) -> Iterator[tuple[Any, ...]]:
        for batch in self._database.rows(table, query):
            yield from batch

    def _listen(self) -> None:
        """Hear which rooms opt out by topic or alias, or might."""
        for room_id, alias in self._asked("room_aliases", "SELECT room_id, room_alias FROM room_aliases"):
            self._heard(room_id, alias)
        if self._database.may_read("event_json", ("event_id", "json")):
            query = (
                "SELECT current_state_events.room_id, event_json.json FROM current_state_events "
                f"LEFT JOIN event_json ON event_json.event_id = current_state_events.event_id WHERE {_STATE}"
            )
            for room_id, event in self._asked("event_json", query):
                self._read(room_id, event)
        else:
            self._read_stats()

    def _read(self, room_id: object, event: object) -> None:
        said = said_in(event)
        if said is None:
            self._unreadable.add(self.name(room_id))
        else:
            self._heard(room_id, *said)

    def _read_stats(self) -> None:
        said = self._rooms("current_state_events", f"SELECT room_id FROM current_state_events WHERE {_STATE}")
        query = "SELECT room_id, topic, canonical_alias FROM room_stats_state"
        for room_id, *texts in self._asked("room_stats_state", query):
            said.discard(self.name(room_id))
            self._heard(room_id, *texts)
        self._unreadable |= said

    def _heard(self, room_id: object, *texts: object) -> None:
        """A room calls itself, or says of itself, these."""
        if any(self._admission.opted_out_room(text, topic=text) for text in texts if isinstance(text, str)):
            self._opted_out.add(self.name(room_id))


def said_in(event: object) -> list[object] | None:
    """The topic or the aliases in a state event; None if it cannot be read.

    Topics are plain (``topic``) or in several representations (``m.topic``, Matrix 1.15), of which each counts.
    """
    try:
        content = json.loads(event)["content"] if isinstance(event, str) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    rich = content.get("m.topic")
    texts = _listed(rich.get("m.text")) if isinstance(rich, dict) else []
    bodies = [text.get("body") for text in texts if isinstance(text, dict)]
    return [content.get("topic"), *bodies, content.get("alias"), *_listed(content.get("alt_aliases"))]


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
