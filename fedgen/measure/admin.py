"""What Synapse's admin API tells of the federation, for those who cannot get at the database.

Three questions (https://element-hq.github.io/synapse/latest/admin_api/rooms.html): the list of rooms, page by page;
for each room of ours its members, which come from the same table as :mod:`fedgen.measure.synapse` reads; and, if
topics are to be looked at, its details. One after the other, each room once.

The list is sorted by the version of rooms, an order in which none moves by itself while pages are turned. One that is
deleted meanwhile moves those after it, across the edge of a page, too; so a list of several pages is read again until a
reading brings nothing new. Which rooms have partial state the API does not tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedgen.errors import MeasureError
from fedgen.measure.client import Question, RefusedError
from fedgen.measure.survey import Survey
from fedgen.progress import silent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from fedgen.measure.exclusions import Admission
    from fedgen.measure.survey import RoomReason
    from fedgen.progress import Progress

    Ask = Callable[[Question], Awaitable[Mapping[str, Any]]]
    """Asks a question; the answer is a JSON object.

    Raises :class:`~fedgen.measure.client.RefusedError` for what is refused for good, any other MeasureError where there
    is no going on.
    """

_ROOMS = ("_synapse", "admin", "v1", "rooms")
_PAGE = 500
_READINGS = 5  # of the list, before it is taken as it is
_ODD = "the homeserver answers as no Synapse does; give the address where it serves /_synapse/admin"


async def survey(ask: Ask, admission: Admission, progress: Progress = silent) -> Survey:
    """Ask who is in which room.

    Args:
        ask: the API, as an administrator.
        admission: who is left out, and the pseudonyms.
        progress: told how many rooms were asked.

    Raises:
        MeasureError: it is no Synapse, or does not let us ask.
    """
    rooms = await _listed(ask)
    seen = Survey(admission)
    for done, (room_id, entry) in enumerate(rooms.items(), 1):
        room = admission.names.room(room_id)
        reason = _reason(admission, room_id, entry)
        if reason is None:
            reason, users = await _members(ask, admission, room_id)
        seen.rooms[room] = reason
        if reason is None:
            seen.see(room, users)
        progress("asking rooms", done, len(rooms))
    return seen


async def _listed(ask: Ask) -> dict[str, Mapping[str, Any]]:
    """The rooms, by id."""
    rooms: dict[str, Mapping[str, Any]] = {}
    for _ in range(_READINGS):
        known = len(rooms)
        pages = await _read_list(ask, rooms)
        if pages == 1 or len(rooms) == known:
            break
    return rooms


async def _read_list(ask: Ask, rooms: dict[str, Mapping[str, Any]]) -> int:
    """Add what a reading of the list brings; how many pages it has."""
    start = pages = 0
    while True:
        page = await _asked(ask, _ROOMS, {"order_by": "version", "limit": str(_PAGE), "from": str(start)})
        listed, following = page.get("rooms"), page.get("next_batch")
        if not isinstance(listed, list) or not isinstance(page.get("total_rooms"), int):
            raise MeasureError(_ODD)
        for entry in listed:
            if isinstance(entry, dict) and isinstance(entry.get("room_id"), str):
                rooms[entry["room_id"]] = entry
        pages += 1
        if not isinstance(following, int) or following <= start:
            return pages
        start = following


def _reason(admission: Admission, room_id: str, entry: Mapping[str, Any]) -> RoomReason | None:
    """Why a room is left out, as far as the list tells."""
    if not room_id.startswith("!"):
        return "malformed"
    if entry.get("joined_local_members") == 0:
        return "nobody of ours"
    alias = entry.get("canonical_alias")
    return "opted out" if admission.opted_out_room(room_id, alias if isinstance(alias, str) else None) else None


async def _members(ask: Ask, admission: Admission, room_id: str) -> tuple[RoomReason | None, list[object]]:
    """The members of a room, or why it is left out after all."""
    try:
        if admission.rules.marker:
            details = await _asked(ask, (*_ROOMS, room_id))
            if "topic" not in details:  # an old Synapse: who knows what the room says?
                return "said nothing readable", []
            if admission.opted_out_room(topic=details["topic"]):
                return "opted out", []
        members = (await _asked(ask, (*_ROOMS, room_id, "members"))).get("members")
    except RefusedError as error:
        if error.status != 404:
            raise
        return "gone", []
    if not isinstance(members, list):
        raise MeasureError(_ODD)
    return None, members


async def _asked(ask: Ask, path: tuple[str, ...], params: Mapping[str, str] | None = None) -> Mapping[str, Any]:
    try:
        return await ask(Question("GET", path, params))
    except RefusedError as error:
        refused = error
    if refused.status == 401:
        problem = "does not take the access token (401: expired, or of another homeserver); get a new one"
    elif refused.status == 403:
        problem = "says that the access token is no administrator's (403); take that of one"
    elif refused.status == 404 and path != _ROOMS:
        raise refused
    elif refused.status in (404, 405):
        problem = "has no admin API there; give the address where it serves /_synapse/admin, often not the public one"
    else:
        problem = f"refuses to answer ({refused.status}); see its log"
    raise MeasureError(f"the homeserver {problem}")
