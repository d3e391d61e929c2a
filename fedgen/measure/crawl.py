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
from time import time
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from fedgen.errors import MeasureError
from fedgen.measure.answers import JoinedRooms, Versions
from fedgen.measure.client import CLIENT, Client, Question, RefusedError, UnansweredError
from fedgen.measure.exclusions import Admission, is_pattern, server_of
from fedgen.measure.memory import Memory
from fedgen.measure.pseudonyms import Pseudonyms
from fedgen.measure.rooms import Finder, Found, Room, distinct
from fedgen.measure.stop import Stop, StoppedError
from fedgen.measure.visit import Visit, Visitor
from fedgen.measure.welcome import Welcome
from fedgen.progress import silent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from fedgen.measure.config import Config
    from fedgen.measure.exclusions import Exclusions
    from fedgen.measure.journal import Journal
    from fedgen.progress import Progress

T = TypeVar("T")
_LONG = 0.25  # seconds of waiting that the next run has to know of, should this one be killed: none starts sooner
_GREETINGS = 3  # attempts to find a homeserver where one should be


@dataclass(frozen=True)
class Crawled:
    """What a crawl gave.

    Attributes:
        visits: to each room that was found.
        lookups: the rooms of the list and the pages of directories and spaces, by what became of them.
        malformed: entries of directories and spaces that made no sense.
        at_home: rooms among them in which the user was before, and stays.
        remembered: the account of the user holds all opt-outs by kick or ban.
        began, ended: ISO 8601.
    """

    visits: tuple[Visit, ...]
    lookups: Counter[str]
    malformed: int
    at_home: int
    remembered: bool
    began: str
    ended: str


def about(config: Config) -> bytes:
    """What a crawl with a configuration is about; its limits and who is left out may change from run to run."""
    said = msgspec.structs.asdict(config)
    del said["limits"], said["leave_out"], said["token_file"], said["announcement"]
    return blake2b(msgspec.json.encode(said, order="deterministic"), digest_size=16).digest()


def _unheard(lookups: Counter[str], rooms: int) -> None:
    """Nobody wants to know."""


async def crawl(
    config: Config,
    token: str | None,
    journal: Journal,
    *,
    progress: Progress = silent,
    stop: Stop | None = None,
    on_found: Callable[[Counter[str], int], None] = _unheard,
) -> Crawled:
    """Find the rooms of a configuration and visit them.

    Args:
        config: checked.
        token: of the crawler's user; None: of nobody, who cannot join.
        journal: of this crawl; not forgotten here, as its answers are not written yet.
        progress: told about rooms.
        stop: looked at before each room.
        on_found: told, before any room is visited, what became of the look-ups, and how many rooms there are.

    Raises:
        MeasureError: the crawl cannot go on; the journal has what was answered so far.
    """
    stop = stop or Stop()
    held_until = journal.noted("held until")
    async with Client(
        config.homeserver,
        token,
        config.limits,
        resumed_after=max(float(held_until or 0) - time(), 0.0) if journal.resumed else None,
        on_hold=lambda seconds: journal.note("held until", time() + seconds) if seconds > _LONG else None,
    ) as client:
        user = await _introduced(client, config, token, journal)
        await _check_rules(config.leave_out, journal)
        names = Pseudonyms.under(journal.key)
        memory = await Memory.recalled(client, user) if user is not None else None
        by_alias = Finder(client, journal, Welcome(Admission(config.leave_out, names), memory), config.join)
        welcome = Welcome(Admission(await _rules(config.leave_out, user, by_alias), names), memory)
        finder = Finder(client, journal, welcome, config.join)
        at_home = await _at_home(client, journal) if config.join else frozenset()
        visitor = Visitor(client, journal, finder, welcome, user, at_home)
        began = await journal.once("began", _now)
        rooms: list[Room] = []
        try:
            found = await _found(config, finder, visitor, rooms, progress, stop)
            rooms[:] = distinct(rooms)
            on_found(Counter(one.failed or "answered" for one in found), len(rooms))
            visits = await _visits(rooms, visitor, config, progress, stop)
        except StoppedError:
            for room in filter(visitor.is_inside, rooms):
                await visitor.withdraw(room)
            raise
        if memory is not None:
            await memory.keep()
        return Crawled(
            tuple(sorted(visits, key=lambda one: one.room)),
            Counter(one.failed or "answered" for one in found),
            sum(one.malformed for one in found),
            len(at_home & {room.id for room in rooms}),
            memory is None or memory.kept,
            began,
            await _now(),
        )


async def _visits(
    rooms: Sequence[Room], visitor: Visitor, config: Config, progress: Progress, stop: Stop
) -> list[Visit]:
    """Visit all rooms: first what is noted already, then rooms that were not left, then the others."""
    visits: list[Visit] = []

    async def visit(room: Room) -> None:
        visits.append(await (visitor.join(room) if config.join else visitor.look(room)))
        progress("visiting rooms", len(visits), len(rooms))

    progress("visiting rooms", 0, len(rooms))
    noted = [room for room in rooms if visitor.is_over(room)]
    others = [room for room in rooms if not visitor.is_over(room)]
    for room in noted:
        await visit(room)
    others.sort(key=lambda room: not visitor.is_inside(room))
    await _side_by_side(others, lambda room: room.servers, visit, config.limits.rooms_at_once, stop)
    return visits


async def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


async def _rules(rules: Exclusions, user: str | None, finder: Finder) -> Exclusions:
    """Who is left out, with the ids of rooms that are listed by an alias, and the crawler's own user.

    Raises:
        MeasureError: what room an alias names cannot be known.
    """
    ids = []
    for i, name in enumerate(rules.rooms):
        if not name.startswith("#") or is_pattern(name):
            continue
        try:
            ids.append(await finder.resolve(name))
        except (UnansweredError, RefusedError):
            raise MeasureError(
                f"leave_out.rooms[{i}]: what room this alias names cannot be asked now; give the id of the room too"
            ) from None
    return msgspec.structs.replace(
        rules, rooms=(*rules.rooms, *filter(None, ids)), users=(*rules.users, *([user] if user else []))
    )


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
    user = await client.who_am_i()
    ours = Pseudonyms.under(journal.key).user(user)

    async def known_as() -> bytes:
        return ours

    if await journal.once("user", known_as) != ours:
        raise MeasureError("the journal is of a crawl by another user; give that one's token, or name another output")

    async def named() -> bool:
        name = f"{config.announcement.who} ({config.announcement.website})"
        body = {"displayname": name}
        await client.ask(Question("PUT", (*CLIENT, "profile", user, "displayname"), body=body), dict[str, Any])
        return True

    if config.join:
        await journal.once("named", named)
    return user


async def _at_home(client: Client, journal: Journal) -> frozenset[str]:
    """The rooms in which the crawler's user was before it crawled."""

    async def ask() -> list[str]:
        return (await client.ask(Question("GET", (*CLIENT, "joined_rooms")), JoinedRooms)).joined_rooms

    return frozenset(await journal.once("at home", ask))


async def _found(
    config: Config, finder: Finder, visitor: Visitor, rooms: list[Room], progress: Progress, stop: Stop
) -> list[Found]:
    """The rooms of the list, of directories and of spaces; ``rooms`` grows by them."""
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
    found = []

    def add(more: Iterable[Found]) -> None:
        for one in more:
            found.append(one)
            rooms.extend(one.rooms)

    add(summaries[name] for name in listed if name in summaries)  # in an order that no answer's time changes
    for server in dict.fromkeys(config.rooms.directories):
        add(await finder.directory(server, progress, stop))

    async def enter(room: Room) -> bool:
        rooms.append(room)  # at once: an interrupt while the space is asked leaves it, too
        return await visitor.enter(room)

    for name in dict.fromkeys(config.rooms.spaces):
        add(await finder.space(name, enter if config.join else None, progress, stop))
    return found


def _bothered(name: str) -> frozenset[str]:
    return frozenset(server.lower() for server in (server_of(name),) if server)


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
    waiting = deque((item, servers(item)) for item in items)
    busy: dict[asyncio.Future[None], frozenset[str]] = {}
    try:
        while (waiting and not stop.asked_for) or busy:
            bothered = set().union(*busy.values())
            later: list[tuple[T, frozenset[str]]] = []
            while waiting and len(busy) < at_once and not stop.asked_for:
                item, bothers = waiting.popleft()
                if bothers & bothered:
                    later.append((item, bothers))
                else:
                    busy[asyncio.ensure_future(work(item))] = bothers
                    bothered |= bothers
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
