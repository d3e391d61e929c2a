"""How long a crawl will take: a dry run, which asks how many rooms there are and visits none.

A lower bound, by the crawl's own limits: N requests take N / r seconds, J joins J / j minutes, whichever is longer. How
long the homeserver takes to answer is not known before; joins of large rooms take it minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from fedgen.measure.answers import Branch, Entry, Page
from fedgen.measure.client import CLIENT, Client, Question, RefusedError, UnansweredError
from fedgen.measure.exclusions import Admission, server_of
from fedgen.measure.pseudonyms import Key, Pseudonyms
from fedgen.measure.rooms import PAGE

if TYPE_CHECKING:
    from fedgen.measure.config import Config

TO_JOIN, TO_LOOK = 6, 2
"""Questions per room: join, topic, members, membership, leave, forget; or summary and directory."""


@dataclass(frozen=True)
class Estimate:
    """What a crawl will ask.

    Attributes:
        listed, in_directories, in_spaces: rooms; those of directories and spaces as their servers tell.
        silent: directories and spaces that told nothing.
        requests: of any kind.
        joins: of them.
        seconds: at least.
    """

    listed: int
    in_directories: int
    in_spaces: int
    silent: int
    requests: int
    joins: int
    seconds: float


async def estimate(config: Config, token: str | None) -> Estimate:
    """Ask each directory and space for its size, and add up.

    Raises:
        MeasureError: there is no homeserver, or it does not take the token.
    """
    in_directories, in_spaces, silent = 0, 0, 0
    admission = Admission(config.leave_out, Pseudonyms.under(Key.drawn()))
    async with Client(config.homeserver, token, config.limits) as client:
        for server in dict.fromkeys(config.rooms.directories):
            if admission.opted_out(server):
                continue
            size = await _size_of_directory(client, server)
            silent += size is None
            in_directories += size or 0
        for name in dict.fromkeys(config.rooms.spaces):
            size = await _size_of_space(client, name, admission)
            silent += size is None
            in_spaces += size or 0
    listed = len(set(config.rooms.list))
    rooms = listed + in_directories + in_spaces
    pages = sum(-(-size // PAGE) for size in (in_directories, in_spaces))
    requests = pages + rooms * (TO_JOIN if config.join else TO_LOOK)  # the summary of a listed room tells its topic
    joins = rooms if config.join else 0
    limits = config.limits
    seconds = max(requests / limits.requests_per_second, joins / limits.joins_per_minute * 60)
    return Estimate(listed, in_directories, in_spaces, silent, requests, joins, seconds)


async def _size_of_directory(client: Client, server: str) -> int | None:
    try:
        page = await client.ask(Question("GET", (*CLIENT, "publicRooms"), {"server": server, "limit": 1}), Page)
    except (RefusedError, UnansweredError):
        return None
    return page.total_room_count_estimate


async def _size_of_space(client: Client, name: str, admission: Admission) -> int | None:
    """The space and its children; what is in the spaces among them is not counted. One that opted out has no rooms."""
    host = server_of(name)
    if admission.opted_out(host) or admission.opted_out_room(name):
        return 0
    summary = Question("GET", ("_matrix", "client", "v1", "room_summary", name), {"via": host} if host else {})
    try:
        root = await client.ask(summary, Entry)
        out = admission.opted_out_room(root.room_id, root.canonical_alias, topic=root.topic)
        if out or any(admission.opted_out(server_of(one)) for one in (root.room_id, root.canonical_alias or "")):
            return 0
        path = ("_matrix", "client", "v1", "rooms", root.room_id, "hierarchy")
        page = await client.ask(Question("GET", path, {"limit": 1}), Branch)
        return 1 + len(msgspec.convert(page.rooms[0], Entry).children_state)
    except (RefusedError, UnansweredError, msgspec.ValidationError, IndexError):
        return None
