"""A visit to a room: what is asked there, in which order, and what becomes of it.

Joining: join, see what the topic says, read who is a member, see that we are still welcome, leave, forget. Not joining:
ask for the room's summary, and the directory of its server for the servers in it. Where it cannot be seen whether a
room opts out, it does. Every answer is noted in the journal as it arrives, people as pseudonyms; a visit that was cut
off is walked again from the door, and what is noted is not asked again, but for whether we are still welcome.

No message is read: the only questions are those of this module and of :mod:`fedgen.measure.rooms`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fedgen.measure.answers import Alias, Joined, Member, Members
from fedgen.measure.client import CLIENT, Question, RefusedError, UnansweredError
from fedgen.measure.exclusions import Person
from fedgen.measure.pseudonyms import SIZE
from fedgen.measure.rooms import both
from fedgen.measure.welcome import FAILED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fedgen.measure.client import Client
    from fedgen.measure.journal import Journal
    from fedgen.measure.rooms import Finder, Room
    from fedgen.measure.welcome import Fate, Welcome

OUT = ("leave", "ban")
"""Memberships that are none."""


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
        finder: Finder,
        welcome: Welcome,
        user: str | None,
        at_home: frozenset[str],
    ) -> None:
        self._client, self._journal, self._finder, self._welcome = client, journal, finder, welcome
        self._admission = welcome.admission
        self.user, self.at_home = user, at_home

    async def join(self, room: Room) -> Visit:
        """Visit a room by joining it.

        Raises:
            MeasureError: the crawl cannot go on.
        """
        name = self._admission.names.room(room.id)
        key = name.hex()
        refusal = self._welcome.refusal(room)
        if refusal is None:
            visit = await self._visited(name, key, room)
        else:  # another run may have entered it before that was known
            if room.banned:
                await self._welcome.remember(room)
            visit = Visit(name, refusal, stayed=self.is_inside(room) and not await self._leave(key, room))
        self._journal.mark(f"{key} over")
        return visit

    async def enter(self, room: Room) -> bool:
        """Join a room that is visited later, as a space that shows its rooms to members only; whether we are in."""
        key = self._admission.names.room(room.id).hex()
        if self._welcome.refusal(room) is not None or self._journal.known(f"{key} over"):
            return False
        self._journal.mark(f"{key} begun")
        return room.id in self.at_home or "failed" not in await self._tried(f"{key} join", lambda: self._joined(room))

    def is_inside(self, room: Room) -> bool:
        """Whether a room was entered, or was about to be, and not left; by a run that was cut off, perhaps."""
        key = self._admission.names.room(room.id).hex()
        return self._journal.known(f"{key} begun") and not self._journal.known(f"{key} over")

    def is_over(self, room: Room) -> bool:
        """Whether all of a visit is noted already."""
        key = self._admission.names.room(room.id).hex()
        return self._journal.known(f"{key} over") or self._journal.known(f"{key} servers")

    async def withdraw(self, room: Room) -> None:
        """Leave a room that was entered; it is visited another time, from the door."""
        key = self._admission.names.room(room.id).hex()
        if room.id not in self.at_home:
            await self._leave(key, room)
        for step in ("begun", "join", "leave", "forget", "after"):
            self._journal.drop(f"{key} {step}")

    async def look(self, room: Room) -> Visit:
        """Visit a room from outside, by its alias.

        Raises:
            MeasureError: the crawl cannot go on.
        """
        name = self._admission.names.room(room.id)
        refusal = self._welcome.refusal(room)
        if refusal is None and not room.told:
            summary = await self._finder.summary(room.id, room.via)
            if summary.failed:
                return Visit(name, FAILED[summary.failed])
            room = both(summary.rooms[0], room)
            refusal = self._welcome.refusal(room)
        if refusal:
            return Visit(name, refusal)
        if room.users is None:
            return Visit(name, "without a number of users")
        if room.alias is None:
            return Visit(name, "without an alias")
        found = await self._tried(f"{name.hex()} servers", lambda: self._servers(room))
        if "failed" in found:
            return Visit(name, FAILED[found["failed"]])
        if found["elsewhere"]:
            return Visit(name, "without an alias")
        noted = frozenset(found["servers"])
        servers = frozenset(filter(self._admission.server_still_in, noted))
        left_out = Counter(found["left_out"]) + Counter({"opted out": len(noted) - len(servers)})
        fate: Fate = "seen" if servers and room.users else "nobody left"
        return Visit(name, fate, (), servers, room.users, left_out=left_out)

    async def _visited(self, name: bytes, key: str, room: Room) -> Visit:
        if self.user is None:
            raise ValueError("nobody can join a room")
        self._journal.mark(f"{key} begun")
        if room.id in self.at_home:
            return await self._inside(name, key, room)
        joined = await self._tried(f"{key} join", lambda: self._joined(room))
        if joined.get("failed") == "unanswered":  # that it was not told does not mean that it was not done
            return Visit(name, "unanswered", stayed=not await self._leave(key, room))
        if "failed" in joined:
            return Visit(name, await self._turned_away(key, room, joined))
        return await self._inside(name, key, room)

    async def _inside(self, name: bytes, key: str, room: Room) -> Visit:
        """Look round, and leave."""
        topic = await self._tried(f"{key} topic", lambda: self._marked(room))
        readable = topic.get("out") is False
        found = await self._tried(f"{key} members", lambda: self._members(room)) if readable else {}
        still = await self._still(key, room)
        thrown_out = bool(still.get("thrown out")) or still.get("status") == 403  # Synapse tells a ban so
        stayed = False
        if thrown_out:
            await self._welcome.remember(room)
        elif room.id not in self.at_home:
            stayed = not await self._leave(key, room)
        if topic.get("out"):
            return Visit(name, "opted out: listed or marked", stayed=stayed)
        if thrown_out:
            return Visit(name, "opted out: kicked or banned")
        for answer in (topic, found, still):
            if "failed" in answer:
                return Visit(name, FAILED[answer["failed"]], stayed=stayed)
        noted = _unpacked(found["people"])
        people = tuple(filter(self._admission.still_in, noted))
        left_out = Counter(found["left_out"]) + Counter({"opted out": len(noted) - len(people)})
        return Visit(name, "seen" if people else "nobody left", people, left_out=left_out, stayed=stayed)

    async def _still(self, key: str, room: Room) -> dict[str, Any]:
        """Our own membership; asked anew if the room is not left yet, since another run may have noted it."""
        if room.id in self.at_home:
            return {"membership": "join", "thrown out": False}
        if not self._journal.known(f"{key} leave"):
            self._journal.drop(f"{key} still")
        return await self._tried(f"{key} still", lambda: self._membership(room))

    async def _leave(self, key: str, room: Room) -> bool:
        """Leave a room that was entered; whether we are out."""
        left = await self._tried(f"{key} leave", lambda: self._gone(room, "leave"))
        await self._tried(f"{key} forget", lambda: self._gone(room, "forget"))
        if left.get("failed") == "refused":  # as to those who are out already: an answer was lost
            after = await self._tried(f"{key} after", lambda: self._membership(room))
            return after.get("membership") != "join" and after.get("failed") != "unanswered"
        return "failed" not in left

    async def _turned_away(self, key: str, room: Room, joined: dict[str, Any]) -> Fate:
        """Why a room did not let us in; a ban is an opt-out.

        No code of the API says so: only the words of the refusal do, or the room's summary, or our own membership.
        """
        banned = bool(joined["banned"])
        if not banned and not room.told:
            summary = await self._finder.summary(room.id, room.via)
            banned = any(found.banned for found in summary.rooms)
        if not banned:
            still = await self._tried(f"{key} still", lambda: self._membership(room))
            banned = still.get("membership") == "ban"
        if not banned:
            return "refused: by the homeserver"
        await self._welcome.remember(room)
        return "opted out: kicked or banned"

    async def _tried(self, key: str, ask: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """The answer of a step; ``failed`` tells why there is none."""

        async def answer() -> dict[str, Any]:
            try:
                return await ask()
            except RefusedError as error:
                return {"failed": "refused", "status": error.status, "banned": error.banned}
            except UnansweredError:
                return {"failed": "unanswered"}

        found: dict[str, Any] = await self._journal.once(key, answer)
        return found

    # The questions.

    async def _joined(self, room: Room) -> dict[str, Any]:
        servers = [server for server in room.via if not self._admission.opted_out(server)]
        via = {"via": servers, "server_name": servers}  # the latter is what it was called before version 1.12
        await self._client.ask(Question("POST", (*CLIENT, "join", room.id), via, {}, joins=True, patient=True), Joined)
        return {}

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
        """Our own membership, and whether somebody else ended it: not we, in another crawl."""
        path = (*CLIENT, "rooms", room.id, "state", "m.room.member", self.user or "")
        answer = await self._client.ask(Question("GET", path, {"format": "event"}), Member)
        membership = answer.content.membership if answer.content is not None else answer.membership
        return {"membership": membership, "thrown out": membership in OUT and answer.sender != self.user}

    async def _marked(self, room: Room) -> dict[str, Any]:
        """Whether the topic opts out, in whichever of its forms."""
        question = Question("GET", (*CLIENT, "rooms", room.id, "state", "m.room.topic"))
        try:
            topic = await self._client.ask(question, dict[str, Any])
        except RefusedError as error:
            if error.status == 404:  # it has none
                return {"out": False}
            raise
        return {"out": self._admission.opted_out_room(topic=topic)}

    async def _gone(self, room: Room, how: str) -> dict[str, Any]:
        await self._client.ask(Question("POST", (*CLIENT, "rooms", room.id, how), body={}), dict[str, Any])
        return {}

    async def _servers(self, room: Room) -> dict[str, Any]:
        answer = await self._client.ask(Question("GET", (*CLIENT, "directory", "room", room.alias or "")), Alias)
        judged = [self._admission.of_server(server) for server in answer.servers]
        left_out = Counter(str(reason) for reason in judged if isinstance(reason, str))
        return {
            "servers": [server for server in judged if isinstance(server, bytes)],
            "left_out": dict(left_out),
            "elsewhere": answer.room_id != room.id,  # whoever says that an alias is its own may lie
        }


def _unpacked(people: bytes) -> list[Person]:
    step = 2 * SIZE
    return [Person(people[at : at + SIZE], people[at + SIZE : at + step]) for at in range(0, len(people), step)]
