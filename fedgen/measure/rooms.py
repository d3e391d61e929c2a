"""The rooms of a crawl: from a list, from directories, from spaces; each once.

Whether a room opted out by its topic is judged when the topic arrives; the topic itself is not kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from fedgen.measure.answers import Alias, Branch, Child, Entry, Page
from fedgen.measure.client import CLIENT, Question, RefusedError, UnansweredError
from fedgen.measure.exclusions import server_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from fedgen.measure.client import Client
    from fedgen.measure.journal import Journal
    from fedgen.measure.stop import Stop
    from fedgen.measure.welcome import Welcome
    from fedgen.progress import Progress

PAGE = 100
"""Rooms asked for at a time."""
CIRCLES = 3
"""Pages on end without a room that is new, after which they are taken to go round in circles."""
VIAS = 5
"""Servers through which a room is joined, at most; the specification recommends three."""
OPEN = ("public", None)
"""The join rules of a room that anybody may join; None: not told, which means public (Matrix specification)."""


class Room(msgspec.Struct, frozen=True):
    """A room that may be visited.

    Attributes:
        id: of the room; of a listed one that could not be looked up, whatever was listed.
        alias: one of its own server's names for it, if there is one.
        via: servers through which it may be joined.
        host: the server that told of it.
        users: its members, if told.
        out: it opted out: by its topic, or as the configuration lists it.
        banned: it has banned us, says our homeserver in a summary; directories pass on what anybody says.
        open: anybody may join.
        told: its summary was asked: what its topic says, and whether it banned us, is known.
    """

    id: str
    alias: str | None
    via: tuple[str, ...]
    host: str
    users: int | None = None
    out: bool = False
    banned: bool = False
    open: bool = True
    told: bool = False

    @property
    def named(self) -> frozenset[str]:
        """The servers of its id and alias, and the one that told of it."""
        named = (self.host, server_of(self.id), server_of(self.alias) if self.alias else None)
        return frozenset(server.lower() for server in named if server)

    @property
    def servers(self) -> frozenset[str]:
        """Those that a visit bothers, as far as is known."""
        return self.named | {server.lower() for server in self.via}


class Found(msgspec.Struct, frozen=True):
    """What one question for rooms gave.

    Attributes:
        rooms: of the page.
        next: where the next page begins; None: this was the last.
        malformed: entries that made no sense.
        failed: why there is no answer: ``refused`` or ``unanswered``.
        vias: through whom children of a space can be reached, by their ids.
    """

    rooms: tuple[Room, ...] = ()
    next: str | None = None
    malformed: int = 0
    failed: str | None = None
    vias: dict[str, tuple[str, ...]] = {}


class Finder:
    """Asks for rooms, and notes the answers in the journal.

    Attributes:
        joins: rooms are found to be joined.
    """

    def __init__(self, client: Client, journal: Journal, welcome: Welcome, joins: bool) -> None:
        self._client, self._journal, self._welcome, self._admission = client, journal, welcome, welcome.admission
        self.joins = joins

    async def summary(self, name: str, via: tuple[str, ...] = ()) -> Found:
        """A room by its id or alias, as its summary tells (MSC3266)."""
        key = f"summary {self._admission.names.room(name).hex()}"
        return await self._once(key, lambda: self._summary(name, via or tuple(filter(None, [server_of(name)]))))

    async def directory(self, server: str, progress: Progress, stop: Stop) -> list[Found]:
        """The public rooms of a server."""
        if self._admission.opted_out(server):
            return []

        def question(after: str | None) -> Question:
            params: dict[str, str | int] = {"server": server, "limit": PAGE}
            return Question("GET", (*CLIENT, "publicRooms"), _after(params, "since", after))

        def page(answer: Page) -> tuple[list[Any], str | None]:
            return answer.chunk, answer.next_batch

        key = f"directory {self._admission.names.server(server).hex()}"
        return await self._pages(key, question, Page, page, server, progress, stop)

    async def space(
        self, name: str, enter: Callable[[Room], Awaitable[bool]] | None, progress: Progress, stop: Stop
    ) -> list[Found]:
        """The rooms of a space and of the spaces in it, the space itself among them.

        Args:
            name: its id or alias.
            enter: joins a room; a homeserver shows a space only if one of its users is in it. None: nobody joins.
            progress: told how many rooms were found.
            stop: looked at before each page.
        """
        home = await self.summary(name)
        if not home.rooms or self._welcome.refusal(home.rooms[0]):
            return [home]
        (root,) = home.rooms

        def question(after: str | None) -> Question:
            return Question(
                "GET",
                ("_matrix", "client", "v1", "rooms", root.id, "hierarchy"),
                _after({"limit": PAGE}, "from", after),
            )

        def page(answer: Branch) -> tuple[list[Any], str | None]:
            return answer.rooms, answer.next_batch

        key = f"space {self._admission.names.room(name).hex()}"
        pages = await self._pages(key, question, Branch, page, root.host, progress, stop)
        if pages[0].failed == "refused" and enter is not None and await enter(root):
            pages = await self._pages(f"{key} inside", question, Branch, page, root.host, progress, stop)
        return [home, *pages]

    async def resolve(self, alias: str) -> str | None:
        """The id of the room that an alias names; None if it names none.

        Raises:
            UnansweredError, RefusedError: it cannot be known.
        """

        async def ask() -> str | None:
            try:
                return (await self._client.ask(Question("GET", (*CLIENT, "directory", "room", alias)), Alias)).room_id
            except RefusedError as error:
                if error.status == 404:
                    return None
                raise

        found: str | None = await self._journal.once(f"alias {self._admission.names.room(alias).hex()}", ask)
        return found

    async def _once(self, key: str, ask: Callable[[], Any]) -> Found:
        if not self._journal.known(key):
            found: Found = await ask()
            if found.failed == "unanswered":
                return found  # the next run may have more luck
            self._journal.note(key, msgspec.to_builtins(found))
        return msgspec.convert(self._journal.noted(key), Found)

    async def _pages(
        self,
        key: str,
        question: Callable[[str | None], Question],
        kind: type[Any],
        page: Callable[[Any], tuple[list[Any], str | None]],
        host: str,
        progress: Progress,
        stop: Stop,
    ) -> list[Found]:
        """All pages of a directory or a space."""
        pages: list[Found] = []
        vias: dict[str, tuple[str, ...]] = {}
        after: str | None = None

        async def ask() -> Found:
            try:
                answer = await self._client.ask(question(after), kind)
            except RefusedError:
                return Found(failed="refused")
            except UnansweredError:
                return Found(failed="unanswered")
            entries, following = page(answer)
            return self._found(entries, following if following != after else None, host, vias)

        rooms: set[str] = set()
        stale = 0
        while True:
            stop.check()
            pages.append(await self._once(f"{key} {len(pages)}", ask))
            vias |= pages[-1].vias
            known = len(rooms)
            rooms.update(room.id for room in pages[-1].rooms)
            after = pages[-1].next
            progress("finding rooms", len(rooms), 0)
            stale = stale + 1 if len(rooms) == known else 0
            if after is None or stale == CIRCLES:
                return pages

    async def _summary(self, name: str, via: tuple[str, ...]) -> Found:
        """What the summary of a room tells; where the homeserver has no summaries, what can be had otherwise."""
        alias = name if name.startswith("#") else None
        host = via[0] if via else ""
        unsummarised = Room(name, alias, via, host)
        if self._welcome.refusal(unsummarised):
            return Found((unsummarised,))
        reachable = [server for server in via if not self._admission.opted_out(server)]
        question = Question("GET", ("_matrix", "client", "v1", "room_summary", name), {"via": reachable})
        try:
            try:
                entry = await self._client.ask(question, Entry)
                room = self._room(entry, host, alias, via)
                return Found((msgspec.structs.replace(room, banned=entry.membership == "ban", told=True),))
            except RefusedError as error:
                if error.code != "M_UNRECOGNIZED":
                    raise
            if alias is None or not self.joins:  # no alias to resolve, or no number of users to go with it
                return Found((unsummarised,))
            found = await self._client.ask(Question("GET", (*CLIENT, "directory", "room", alias)), Alias)
            return Found((msgspec.structs.replace(unsummarised, id=found.room_id),))
        except RefusedError:
            return Found(failed="refused")
        except UnansweredError:
            return Found(failed="unanswered")

    def _reachable(self, *servers: str | None) -> tuple[str, ...]:
        """Each server once, without those that opted out; more than a few are of no use."""
        named = dict.fromkeys(name for name in servers if name and not self._admission.opted_out(name))
        return tuple(named)[:VIAS]

    def _found(
        self, entries: Iterable[Any], following: str | None, host: str, vias: dict[str, tuple[str, ...]]
    ) -> Found:
        rooms: list[Room] = []
        malformed = 0
        own: dict[str, tuple[str, ...]] = {}
        for raw in entries:
            try:
                entry = msgspec.convert(raw, Entry)
            except msgspec.ValidationError:
                malformed += 1
                continue
            for child in entry.children_state:
                _note_via(child, own)
            rooms.append(self._room(entry, host, None, own.get(entry.room_id, vias.get(entry.room_id, ()))))
        return Found(tuple(rooms), following, malformed, vias=own)

    def _room(self, entry: Entry, host: str, listed_as: str | None, via: tuple[str, ...]) -> Room:
        told = entry.canonical_alias
        alias = listed_as or (told if told and told.startswith("#") and server_of(told) else None)
        out = self._admission.opted_out_room(entry.room_id, told, listed_as, topic=entry.topic)
        return Room(
            entry.room_id,
            alias,
            self._reachable(*via, host, server_of(entry.room_id)),
            host,
            entry.num_joined_members,
            out,
            open=entry.join_rule in OPEN,
        )


def distinct(rooms: Iterable[Room]) -> list[Room]:
    """Each room once."""
    found: dict[str, Room] = {}
    for room in rooms:
        found[room.id] = both(found[room.id], room) if room.id in found else room
    return list(found.values())


def both(first: Room, second: Room) -> Room:
    """What two finds of a room tell together; what either says against a visit counts."""
    return msgspec.structs.replace(
        first,
        alias=first.alias or second.alias,
        via=tuple(dict.fromkeys((*first.via, *second.via)))[:VIAS],
        users=first.users if first.users is not None else second.users,
        out=first.out or second.out,
        banned=first.banned or second.banned,
        open=first.open and second.open,
        told=first.told or second.told,
    )


def _after(params: dict[str, str | int], name: str, after: str | None) -> dict[str, str | int]:
    return params if after is None else {**params, name: after}


def _note_via(raw: Any, vias: dict[str, tuple[str, ...]]) -> None:
    try:
        child = msgspec.convert(raw, Child)
    except msgspec.ValidationError:
        return
    vias.setdefault(child.state_key, tuple(child.content.via))
