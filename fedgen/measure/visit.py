"""A visit to a room: what is asked there, in which order, and what becomes of it.

Joining: join, see what the topic says, read who is a member, see that we are still welcome, leave, forget. Not joining:
ask for the room's summary, and the directory of its server for the servers in it. Every answer is noted in the journal
as it arrives, people as pseudonyms; a visit that was cut off is walked again from the door, and what is noted is not
asked again.

No message is read: the only questions are those of this module and of :mod:`fedgen.measure.rooms`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from fedgen.measure.answers import Alias, Joined, Member, Members, Nothing, Topic
from fedgen.measure.client import CLIENT, Question, RefusedError, UnansweredError
from fedgen.measure.exclusions import Person
from fedgen.measure.pseudonyms import SIZE
from fedgen.measure.rooms import both

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fedgen.measure.client import Client
    from fedgen.measure.exclusions import Admission
    from fedgen.measure.journal import Journal
    from fedgen.measure.memory import Memory
    from fedgen.measure.rooms import Finder, Room

Fate = Literal[
    "seen",
    "opted out: server",
    "opted out: listed or marked",
    "opted out: kicked or banned",
    "refused: not public",
    "refused: by the homeserver",
    "unanswered",
    "without an alias",
    "without a number of users",
    "nobody left",
]
"""What became of a room."""

_FAILED: dict[str, Fate] = {"refused": "refused: by the homeserver", "unanswered": "unanswered"}


@dataclass(frozen=True)
class Visit:
    """What a visit gave.

    Attributes:
        room: its pseudonym.
        fate: what became of it.
        people: its members, if it was joined.
        servers: the pseudonyms of its servers, if it was not.
        users: how many users it has, if it was not joined.
        left_out: memberships or servers that were left out, by reason.
        stayed: it could not be left again.
    """

    room: bytes
    fate: Fate
    people: tuple[Person, ...] = ()
    servers: frozenset[bytes] = frozenset()
    users: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    stayed: bool = False


class Visitor:
    """Goes to rooms on behalf of one user.

    Attributes:
        user: whose; None: nobody's, who joins nothing.
        at_home: ids of rooms in which the user was before the crawl, and stays.
    """

    def __init__(
        self,
        client: Client,
        journal: Journal,
        admission: Admission,
        finder: Finder,
        memory: Memory | None,
        user: str | None,
        at_home: frozenset[str],
    ) -> None:
        self._client, self._journal, self._admission = client, journal, admission
        self._finder, self._memory = finder, memory
        self.user, self.at_home = user, at_home

    async def join(self, room: Room) -> Visit:
        """Visit a room by joining it.

        Raises:
            MeasureError: the crawl cannot go on.
        """
        name = self._admission.names.room(room.id)
        key = name.hex()
        unwelcome = self._unwelcome(room)
        if unwelcome:  # since a moment ago, perhaps: another run may have entered it
            return Visit(name, unwelcome, stayed=self.is_inside(room) and not await self._out(key, room))
        turned_away = await self._entered(key, room)
        if turned_away:
            return Visit(name, turned_away)
        visit = await self._inside(name, key, room)
        self._journal.mark(f"{key} over")
        return visit

    async def enter(self, room: Room) -> bool:
        """Join a room to visit it later, as a space that shows its rooms to members only; whether we are in."""
        key = self._admission.names.room(room.id).hex()
        return self._unwelcome(room) is None and await self._entered(key, room) is None

    async def _entered(self, key: str, room: Room) -> Fate | None:
        """Join a room; why that cannot be, or None."""
        if self.user is None:
            raise ValueError("nobody can join a room")
        self._journal.mark(f"{key} begun")
        if room.id in self.at_home:
            return None
        joined = await self._tried(f"{key} join", self._joining(room))
        return await self._turned_away(key, room, joined) if "failed" in joined else None

    def is_inside(self, room: Room) -> bool:
        """Whether a run that was cut off has entered a room, or was about to, and not left it."""
        key = self._admission.names.room(room.id).hex()
        return self._journal.known(f"{key} begun") and not self._journal.known(f"{key} over")

    async def _inside(self, name: bytes, key: str, room: Room) -> Visit:
        """Look round, and leave."""
        marked = await self._tried(f"{key} topic", lambda: self._topic(room)) if not room.told else {}
        found = {} if marked.get("out") else await self._tried(f"{key} members", lambda: self._members(room))
        at_home = room.id in self.at_home
        still = {"membership": "join"} if at_home else await self._tried(f"{key} still", lambda: self._membership(room))
        kicked = still.get("membership") in ("leave", "ban") or "refused" in (found.get("failed"), still.get("failed"))
        stayed = False
        if kicked:
            await self._remember(room)
        elif not at_home:
            stayed = not await self._out(key, room)
        if marked.get("out"):
            return Visit(name, "opted out: listed or marked", stayed=stayed)
        if kicked:
            return Visit(name, "opted out: kicked or banned")
        if "failed" in found:
            return Visit(name, "unanswered", stayed=stayed)
        noted = _unpacked(found["people"])
        people = tuple(filter(self._admission.still_in, noted))
        left_out = Counter(found["left_out"]) + Counter({"opted out": len(noted) - len(people)})
        return Visit(name, "seen" if people else "nobody left", people, left_out=left_out, stayed=stayed)

    async def _out(self, key: str, room: Room) -> bool:
        """Leave a room that was entered; whether that worked."""
        left = await self._tried(f"{key} leave", lambda: self._left(room, "leave"))
        await self._tried(f"{key} forget", lambda: self._left(room, "forget"))
        self._journal.mark(f"{key} over")
        return left.get("failed") != "unanswered"  # who is refused is out already: an answer was lost

    async def look(self, room: Room) -> Visit:
        """Visit a room from outside, by its alias.

        Raises:
            MeasureError: the crawl cannot go on.
        """
        name = self._admission.names.room(room.id)
        unwelcome = self._unwelcome(room)
        if unwelcome is None and not room.told:
            summary = await self._finder.summary(room.id, room.via)
            if summary.failed:
                return Visit(name, _FAILED[summary.failed])
            room = both(summary.rooms[0], room)
            unwelcome = self._unwelcome(room)
        if unwelcome:
            return Visit(name, unwelcome)
        if room.users is None:
            return Visit(name, "without a number of users")
        if room.alias is None:
            return Visit(name, "without an alias")
        found = await self._tried(f"{name.hex()} servers", lambda: self._servers(room))
        if "failed" in found:
            return Visit(name, _FAILED[found["failed"]])
        noted = frozenset(found["servers"])
        servers = frozenset(filter(self._admission.server_still_in, noted))
        left_out = Counter(found["left_out"]) + Counter({"opted out": len(noted) - len(servers)})
        return Visit(
            name, "seen" if servers and room.users else "nobody left", (), servers, room.users, left_out=left_out
        )

    def _unwelcome(self, room: Room) -> Fate | None:
        if room.banned:
            return "opted out: kicked or banned"
        if room.out or self._admission.opted_out_room(room.id, room.alias):
            return "opted out: listed or marked"
        if any(map(self._admission.opted_out, room.servers)):
            return "opted out: server"
        if self._memory is not None and self._memory.holds(room.id):
            return "opted out: kicked or banned"
        return None if room.open else "refused: not public"

    async def _turned_away(self, key: str, room: Room, joined: dict[str, Any]) -> Fate:
        """Why a room did not let us in; a ban is an opt-out.

        No code of the API says so: only the words of the refusal do, or the room's summary, or our own membership.
        """
        if joined["failed"] == "unanswered":
            return "unanswered"
        banned = bool(joined.get("banned"))
        if not banned and not room.told:
            summary = await self._finder.summary(room.id, room.via)
            banned = any(found.banned for found in summary.rooms)
        if not banned:
            still = await self._tried(f"{key} still", lambda: self._membership(room))
            banned = still.get("membership") == "ban"
        self._journal.mark(f"{key} over")
        if not banned:
            return "refused: by the homeserver"
        await self._remember(room)
        return "opted out: kicked or banned"

    async def _remember(self, room: Room) -> None:
        if self._memory is not None:
            await self._memory.remember(room.id)

    async def _tried(self, key: str, ask: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """The answer of a step; ``failed`` tells why there is none."""

        async def answer() -> dict[str, Any]:
            try:
                return await ask()
            except RefusedError as error:
                return {"failed": "refused", "banned": error.banned}
            except UnansweredError:
                return {"failed": "unanswered"}

        found: dict[str, Any] = await self._journal.once(key, answer)
        return found

    # The questions.

    def _joining(self, room: Room) -> Callable[[], Awaitable[dict[str, Any]]]:
        async def ask() -> dict[str, Any]:
            # server_name is what via was called before version 1.12
            servers = [server for server in room.via if not self._admission.opted_out(server)]
            via = {"via": servers, "server_name": servers}
            question = Question("POST", (*CLIENT, "join", room.id), via, body={}, joins=True, patient=True)
            await self._client.ask(question, Joined)
            return {}

        return ask

    async def _members(self, room: Room) -> dict[str, Any]:
        question = Question("GET", (*CLIENT, "rooms", room.id, "joined_members"), patient=True)
        members = await self._client.ask(question, Members)
        left_out: Counter[str] = Counter()
        people = []
        for user_id in members.joined:
            person = self._admission.of_user(user_id)
            if isinstance(person, Person):
                people.append(person)
            elif user_id != self.user:
                left_out[person] += 1
        return {"people": b"".join(user + server for user, server in people), "left_out": dict(left_out)}

    async def _membership(self, room: Room) -> dict[str, Any]:
        question = Question("GET", (*CLIENT, "rooms", room.id, "state", "m.room.member", self.user or ""))
        return {"membership": (await self._client.ask(question, Member)).membership}

    async def _topic(self, room: Room) -> dict[str, Any]:
        try:
            found = await self._client.ask(Question("GET", (*CLIENT, "rooms", room.id, "state", "m.room.topic")), Topic)
        except RefusedError as error:
            if error.status == 404:  # it has none
                return {}
            raise
        return {"out": self._admission.opted_out_room(topic=found.topic)}

    async def _left(self, room: Room, how: str) -> dict[str, Any]:
        await self._client.ask(Question("POST", (*CLIENT, "rooms", room.id, how), body={}), Nothing)
        return {}

    async def _servers(self, room: Room) -> dict[str, Any]:
        answer = await self._client.ask(Question("GET", (*CLIENT, "directory", "room", room.alias or "")), Alias)
        judged = [self._admission.of_server(server) for server in answer.servers]
        left_out = Counter(str(reason) for reason in judged if isinstance(reason, str))
        return {"servers": [server for server in judged if isinstance(server, bytes)], "left_out": dict(left_out)}


def _unpacked(people: bytes) -> list[Person]:
    step = 2 * SIZE
    return [Person(people[at : at + SIZE], people[at + SIZE : at + step]) for at in range(0, len(people), step)]
