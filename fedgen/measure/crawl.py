"""A crawl: rooms are found, then visited, and what was seen becomes a snapshot.

Rooms of different servers are visited side by side, those of one server one after the other; all questions go through
one homeserver, at its pace (:mod:`fedgen.measure.pace`). Answers are noted in a journal as they arrive, and the whole
crawl is a function of them: a run that finds a journal walks through what is noted without asking, and goes on from
there.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from fedgen.errors import MeasureError
from fedgen.measure.answers import JoinedRooms, Versions, WhoAmI
from fedgen.measure.client import CLIENT, Client, Question, RefusedError, UnansweredError
from fedgen.measure.exclusions import Admission, is_pattern, server_of
from fedgen.measure.memory import Memory
from fedgen.measure.pseudonyms import Pseudonyms
from fedgen.measure.rooms import Finder, Found, Room, distinct
from fedgen.measure.visit import Visit, Visitor
from fedgen.progress import silent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from fedgen.measure.config import Config
    from fedgen.measure.exclusions import Exclusions
    from fedgen.measure.journal import Journal
    from fedgen.progress import Progress

T = TypeVar("T")
_GREETINGS = 3  # attempts to find a homeserver where one should be


@dataclass(frozen=True)
class Crawled:
    """What a crawl gave.

    Attributes:
        visits: to each room that was found.
        lookups: the rooms of the list and the pages of directories and spaces, by what became of them.
        malformed: entries of directories and spaces that made no sense.
        began, ended: ISO 8601.
        asked: requests sent by this run.
    """

    visits: tuple[Visit, ...]
    lookups: Counter[str]
    malformed: int
    began: str
    ended: str
    asked: int


class Stop:
    """Whether the crawl is to end as soon as it politely can: rooms that were entered are left first."""

    def __init__(self) -> None:
        self.asked_for = False

    def check(self) -> None:
        """Nothing, or the end.

        Raises:
            MeasureError: it was asked for.
        """
        if self.asked_for:
            raise MeasureError("interrupted; no room was left entered, and the same command goes on from here")


def about(config: Config) -> bytes:
    """What a crawl with a configuration is about; its limits and who is left out may change from run to run."""
    said = msgspec.structs.asdict(config)
    del said["limits"], said["leave_out"], said["token_file"], said["announcement"]
    return blake2b(msgspec.json.encode(said, order="deterministic"), digest_size=16).digest()


async def crawl(
    config: Config, token: str | None, journal: Journal, *, progress: Progress = silent, stop: Stop | None = None
) -> Crawled:
    """Find the rooms of a configuration and visit them.

    Args:
        config: checked.
        token: of the crawler's user; None: of nobody, who cannot join.
        journal: of this crawl; not forgotten here, as its answers are not written yet.
        progress: told about rooms.
        stop: looked at before each room.

    Raises:
        MeasureError: the crawl cannot go on; the journal has what was answered so far.
    """
    stop = stop or Stop()
    async with Client(config.homeserver, token, config.limits, rested=not journal.resumed) as client:
        user = await _introduced(client, config, token, journal)
        rules = config.leave_out if user is None else _with_user(config, user)
        await _check_rules(config.leave_out, journal)
        admission = Admission(rules, Pseudonyms.under(journal.key))
        began = await journal.once("began", _now)
        finder = Finder(client, journal, admission, config.join)
        memory = await Memory.recalled(client, user) if user is not None else None
        visitor = Visitor(client, journal, admission, finder, memory, user, await _at_home(client, journal, config))
        found = await _found(config, finder, visitor, progress, stop)
        rooms = distinct(room for one in found for room in one.rooms)
        rooms.sort(key=lambda room: not visitor.is_inside(room))  # rooms that were not left come first
        visits: list[Visit] = []

        async def visit(room: Room) -> None:
            visits.append(await (visitor.join(room) if config.join else visitor.look(room)))
            progress("visiting rooms", len(visits), len(rooms))

        progress("visiting rooms", 0, len(rooms))
        await _side_by_side(rooms, lambda room: room.servers, visit, config.limits.rooms_at_once, stop)
        return Crawled(
            tuple(sorted(visits, key=lambda one: one.room)),
            Counter(one.failed or "answered" for one in found),
            sum(one.malformed for one in found),
            began,
            await _now(),
            client.asked,
        )


async def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _with_user(config: Config, user: str) -> Any:
    return msgspec.structs.replace(config.leave_out, users=(*config.leave_out.users, user))


async def _check_rules(rules: Exclusions, journal: Journal) -> None:
    """See that who is left out since another run began can be found among what that run noted.

    Raises:
        MeasureError: a pattern is new, which pseudonyms cannot be held against.
    """

    async def patterns() -> list[str]:
        return [name for names in (rules.servers, rules.users, rules.stubs) for name in names if is_pattern(name)]

    if set(await patterns()) - set(await journal.once("patterns", patterns)):
        raise MeasureError(
            "leave_out has a new pattern (* or ?), which cannot be held against what was seen before; write names in "
            "full, or remove the journal and begin anew"
        )


async def _introduced(client: Client, config: Config, token: str | None, journal: Journal) -> str | None:
    """See that there is a homeserver, and who we are there; who joins says so in the name that others see."""

    async def greeted() -> bool:
        try:
            await client.ask(Question("GET", ("_matrix", "client", "versions")), Versions, attempts=_GREETINGS)
        except (RefusedError, UnansweredError):
            raise MeasureError(
                "at the address of the homeserver is none; give the address of its client-server API, which its "
                "/.well-known/matrix/client names"
            ) from None
        return True

    await journal.once("greeted", greeted)
    if token is None:
        return None
    user = (await client.ask(Question("GET", (*CLIENT, "account", "whoami")), WhoAmI)).user_id

    async def named() -> bool:
        name = f"{config.announcement.who} ({config.announcement.website})"
        body = {"displayname": name}
        await client.ask(Question("PUT", (*CLIENT, "profile", user, "displayname"), body=body), dict[str, Any])
        return True

    if config.join:
        await journal.once("named", named)
    return user


async def _at_home(client: Client, journal: Journal, config: Config) -> frozenset[str]:
    """The rooms in which the crawler's user was before it crawled."""

    async def ask() -> list[str]:
        return (await client.ask(Question("GET", (*CLIENT, "joined_rooms")), JoinedRooms)).joined_rooms

    return frozenset(await journal.once("at home", ask)) if config.join else frozenset()


async def _found(config: Config, finder: Finder, visitor: Visitor, progress: Progress, stop: Stop) -> list[Found]:
    """The rooms of the list, of directories and of spaces."""
    listed = dict.fromkeys(config.rooms.list)
    aliases = [name for name in listed if name.startswith("#")]
    summaries: dict[str, Found] = {}

    async def look_up(name: str) -> None:
        summaries[name] = await finder.summary(name)
        progress("looking up rooms", len(summaries), len(listed))

    at_once = config.limits.rooms_at_once
    await _side_by_side(aliases, _bothered, look_up, at_once, stop)
    known = {room.id for one in summaries.values() for room in one.rooms}
    ids = [name for name in listed if name not in summaries and name not in known]
    await _side_by_side(ids, _bothered, look_up, at_once, stop)
    found = [
        summaries[name] for name in listed if name in summaries
    ]  # in an order that does not depend on who answered first
    for server in dict.fromkeys(config.rooms.directories):
        stop.check()
        found += await finder.directory(server, progress)
    for name in dict.fromkeys(config.rooms.spaces):
        stop.check()
        found += await finder.space(name, visitor.enter if config.join else None, progress)
    return found


def _bothered(name: str) -> frozenset[str]:
    return frozenset(filter(None, [server_of(name)]))


async def _side_by_side(
    items: Iterable[T],
    servers: Callable[[T], frozenset[str]],
    work: Callable[[T], Awaitable[None]],
    at_once: int,
    stop: Stop,
) -> None:
    """Work on all items, on several at once but never on two that bother the same server.

    Raises:
        MeasureError: that of the first that fails, or that it was stopped.
    """
    waiting = deque(items)
    busy: dict[asyncio.Future[None], frozenset[str]] = {}
    try:
        while (waiting and not stop.asked_for) or busy:
            bothered = set().union(*busy.values())
            later: list[T] = []
            while waiting and len(busy) < at_once and not stop.asked_for:
                item = waiting.popleft()
                if servers(item) & bothered:
                    later.append(item)
                else:
                    busy[asyncio.ensure_future(work(item))] = servers(item)
                    bothered |= servers(item)
            waiting.extendleft(reversed(later))
            done, _ = await asyncio.wait(busy, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                del busy[task]
                await task
    finally:
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
    stop.check()
