"""The answers of the client-server API that a crawl asks for, by the Matrix specification (v1.15) and MSC3266.

Only what is used; what is missing or null there and may be is None here. An answer that does not fit is none.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

RoomId = Annotated[str, Meta(pattern="^!.", max_length=255)]
"""An id of a room (Matrix specification, appendices, "Common identifier format")."""


Batch = Annotated[str, Meta(max_length=4096)]
"""Where the next page begins."""


class Versions(Struct):
    """``GET /versions``: that it is a homeserver."""

    versions: list[str]


class WhoAmI(Struct):
    """``GET /account/whoami``."""

    user_id: str


class JoinedRooms(Struct):
    """``GET /joined_rooms``."""

    joined_rooms: list[RoomId]


class Page(Struct):
    """``GET /publicRooms``: a page of a directory; its entries are :class:`Entry`, checked one by one."""

    chunk: list[Any]
    next_batch: Batch | None = None
    total_room_count_estimate: int | None = None


class Branch(Struct):
    """``GET /rooms/{id}/hierarchy``: a page of a space, the space itself first; entries as of :class:`Page`."""

    rooms: list[Any]
    next_batch: Batch | None = None


class Entry(Struct):
    """A room as directories, spaces and summaries tell of it."""

    room_id: RoomId
    num_joined_members: Annotated[int, Meta(ge=0, lt=1 << 40)] | None = None
    canonical_alias: Annotated[str, Meta(max_length=255)] | None = None
    topic: Any = None
    join_rule: str | None = None
    membership: str | None = None
    children_state: list[Any] = field(default_factory=list)


class Child(Struct):
    """A child of a space: through whom it can be reached."""

    state_key: str
    content: Via


class Via(Struct):
    """The content of ``m.space.child``."""

    via: list[str] = field(default_factory=list)


class Alias(Struct):
    """``GET /directory/room/{alias}``."""

    room_id: RoomId
    servers: list[str]


class Joined(Struct):
    """``POST /join/{id or alias}``."""

    room_id: RoomId


class Members(Struct):
    """``GET /rooms/{id}/joined_members``."""

    joined: dict[str, Any]


class Membership(Struct):
    """The content of ``m.room.member``."""

    membership: str


class Member(Struct):
    """``GET /rooms/{id}/state/m.room.member/{user}?format=event``: the event, or its content by older homeservers."""

    membership: str = ""
    content: Membership | None = None
    sender: str | None = None


class OptOuts(Struct):
    """The account data in which opt-outs are remembered (:mod:`fedgen.measure.memory`)."""

    salt: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    rooms: list[str]
