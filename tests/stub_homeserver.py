"""A homeserver for tests: it speaks of Matrix's client-server API what a crawler may ask, and fails on demand.

By itself (``python tests/stub_homeserver.py --port 0 --log FILE``; its port is the first line it prints), as such a
process from within a test (:func:`process`), or in a thread (:func:`running`). What it serves is drawn from a seed
(:func:`make_world`); what a right crawl of that finds says :func:`truth`. All that is asked is logged, and whether it
was asked rightly judge :func:`asked_twice`, :func:`broken_limits`, :func:`asked_too_early`,
:func:`two_rooms_of_a_server`, :func:`never_left` and :func:`forbidden`. Of answers the shapes are Synapse's.

Times are of ``time.monotonic``, which on Linux is one clock for all processes. Only the standard library is used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict, deque
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from email.utils import formatdate
from functools import partial
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

MARKER = "MRS-noindex:true-MRS"
HOME = "home.example"
ME = f"@crawler:{HOME}"
TOKEN = "syt_stub"
ODD = ("no-colon", "12345", "", "@nobody", "@nobody:")
"""Keys of ``joined`` that are no user ids."""

Fate = Literal[
    "open", "noindex", "invite only", "banned", "kicked before", "kicked after", "gone", "malformed", "odd", "unseen"
]
"""What becomes of a visit to a room: kicked before or after the members were told, members that are malformed for ever,
single user ids that are odd, or a room that stands in no directory and no space."""
SHARES: dict[Fate, float] = {
    "noindex": 0.02,
    "invite only": 0.03,
    "banned": 0.02,
    "kicked before": 0.01,
    "kicked after": 0.01,
    "gone": 0.02,
    "malformed": 0.005,
    "odd": 0.01,
    "unseen": 0.02,
}


# --- the world -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Room:
    """A room as it is while nobody crawls; ``stale`` is that directories do not tell its topic."""

    room_id: str
    server: str
    members: tuple[str, ...]
    fate: Fate = "open"
    number: int = 0
    alias: str | None = None
    topic: str | None = None
    stale: bool = False
    world_readable: bool = False
    children: tuple[str, ...] = ()

    @property
    def servers(self) -> list[str]:
        """Those with members in it."""
        return sorted({server_of(user) for user in self.members})

    @property
    def banning(self) -> bool:
        """Whether who is thrown out is banned at that."""
        return self.fate == "banned" or (self.fate.startswith("kicked") and self.number % 2 == 1)

    @property
    def via(self) -> list[str]:
        """What a space says of where its child is."""
        return self.servers[:3]


@dataclass(frozen=True)
class World:
    """All that there is to be crawled; ``directories`` are of rooms in the order in which they are listed."""

    rooms: dict[str, Room]
    aliases: dict[str, str]
    directories: dict[str, tuple[str, ...]]
    servers: tuple[str, ...]
    users: tuple[str, ...]


def server_of(identifier: str) -> str:
    """The server's name in an identifier; empty if there is none."""
    return identifier.partition(":")[2]


def make_world(
    rooms: int = 2000,
    servers: int = 300,
    users: int = 4000,
    seed: int = 2018,
    directories: int = 12,
    shares: Mapping[Fate, float] = SHARES,
) -> World:
    """A heavy-tailed federation with at least one room of every fate in ``shares``, spaces and overlapping directories.

    Equal arguments give an equal world in every process.
    """
    rng = random.Random(f"world {seed}")
    names = [f"server{i}.example" for i in range(servers)]
    # What may stand in an identifier: a port, an address of IPv6.
    for i, name in {5: "server5.example:8448", 11: "[2001:db8::b]"}.items():
        names[i : i + 1] = [name] if i < servers else []
    hubs = list(accumulate((i + 1) ** -1.2 for i in range(servers)))
    # The first users found the servers, so that every server has one.
    homes = names[:users] + rng.choices(names, cum_weights=hubs, k=max(0, users - servers))
    people = [f"@user{i}:{home}" for i, home in enumerate(homes)]
    eager = list(accumulate(rng.paretovariate(1.5) for _ in people))

    fates = _fates(rooms, shares, rng)
    listing = [HOME, *names[: directories - 1]]
    made: list[Room] = []
    for number, fate in enumerate(fates):
        size = 500 if number == 0 else int(rng.paretovariate(0.9))
        size = max(1, min(size, 500, users // 2))
        members: dict[str, None] = {}
        while len(members) < size:
            members.update(dict.fromkeys(rng.choices(people, cum_weights=eager, k=size - len(members))))
        server = server_of(next(iter(members)))
        opaque = "".join(rng.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", k=43))
        local = f"room-{number}" if number % 50 else f"zimmer-ü/{number}"
        topic = f"About {number}" if rng.random() < 0.6 else None
        if fate == "noindex":
            topic = f"{topic or ''} {MARKER}".strip()
        room = Room(
            room_id=f"!{opaque}" if rng.random() < 0.1 else f"!{opaque[:18]}:{server}",
            server=server,
            members=tuple(members),
            fate=fate,
            number=number,
            # Of rooms that are gone, an alias tells so even a crawler that does not join.
            alias=f"#{local}:{server}" if rng.random() < 0.7 or fate == "gone" or number % 50 == 0 else None,
            topic=topic,
            stale=fate == "noindex" and rng.random() < 0.35,
            world_readable=fate != "invite only" and rng.random() < 0.2,
        )
        made.append(room)

    spaces = max(1, rooms // 100)
    inner = [room for room in made[spaces:] if room.fate != "unseen"]
    in_space: set[str] = set()
    for i in range(spaces):
        size = min(120 if i == 0 else rng.randint(3, 20), len(inner) // 3)
        children = [room.room_id for room in rng.sample(inner, size)]
        # Spaces within spaces, the last of which has its ancestor as a child: a circle.
        children += [made[(i + 1) % spaces].room_id] if i < 3 and spaces > 1 else []
        made[i] = replace(made[i], children=tuple(children))
        in_space |= set(children)

    at_home: dict[str, list[str]] = defaultdict(list)
    for user in people:
        at_home[server_of(user)].append(user)
    lists: dict[str, list[Room]] = {name: [] for name in listing}
    for i, room in enumerate(made):
        if room.fate == "unseen" or (room.room_id in in_space and i >= spaces and rng.random() < 0.4):
            continue
        where = [name for name in listing[1:] if name in room.servers and rng.random() < 0.7]
        where += [HOME] if rng.random() < 0.1 or not listing[1:] else []
        if not where:
            # A server lists what it is in.
            where = [rng.choice(listing[1:])]
            new = rng.choice([user for user in at_home[where[0]] if user not in room.members] or [room.members[0]])
            room = made[i] = replace(room, members=tuple(dict.fromkeys([*room.members, new])))
        for name in where:
            lists[name].append(room)
    return World(
        rooms={room.room_id: room for room in made},
        aliases={room.alias: room.room_id for room in made if room.alias},
        directories={
            name: tuple(room.room_id for room in sorted(listed, key=lambda room: (-len(room.members), room.room_id)))
            for name, listed in lists.items()
        },
        servers=tuple(names),
        users=tuple(people),
    )


def _fates(rooms: int, shares: Mapping[Fate, float], rng: random.Random) -> list[Fate]:
    """Those of all rooms; the first rooms become spaces, and are open."""
    drawn: list[Fate] = [fate for fate, share in shares.items() if share for _ in range(max(1, round(share * rooms)))]
    spaces = max(1, rooms // 100)
    if len(drawn) > rooms - spaces:
        raise ValueError(f"{rooms} rooms are too few for {len(drawn)} with a fate")
    rest: list[Fate] = ["open"] * (rooms - spaces - len(drawn))
    drawn += rest
    rng.shuffle(drawn)
    first: list[Fate] = ["open"] * spaces
    return first + drawn


class Summary(NamedTuple):
    """What can be known of a room without joining it.

    Attributes:
        servers: as its alias tells; empty for a room without one.
        users: how many.
        hinted: servers that its id, directories and spaces name; but for the homeserver they are in it.
    """

    servers: frozenset[str]
    users: int
    hinted: frozenset[str]


@dataclass(frozen=True)
class Truth:
    """What a right crawl finds.

    Attributes:
        members: of the rooms that a crawl that joins has to report, without the crawler.
        left_out: the other rooms that it meets, by their fate.
        summaries: the rooms that a crawl without joining has to report.
        left_out_unjoined: the other rooms that it meets.
        unseen: rooms that nothing leads to; to ask for one is a mistake.
        never_join: rooms whose directories already say that they are not to be listed.
    """

    members: dict[str, frozenset[str]]
    left_out: dict[Fate, frozenset[str]]
    summaries: dict[str, Summary]
    left_out_unjoined: dict[Fate, frozenset[str]]
    unseen: frozenset[str]
    never_join: frozenset[str]


def truth(
    world: World,
    directories: Collection[str] | None = None,
    spaces: bool = True,
    seeds: Collection[str] = (),
    odd: Literal["dropped", "failed"] = "dropped",
    kicked_after: Literal["left out", "reported"] = "left out",
    old: bool = False,
) -> Truth:
    """What a right crawl of a world finds.

    Args:
        world: what there is.
        directories: the servers whose directories are asked; default: all that have one.
        spaces: whether what spaces hold is looked for as well.
        seeds: further rooms that the crawler is told of, by id.
        odd: whether members whose user id is none are dropped or make the room a failed one.
        kicked_after: whether a room that throws the crawler out after it told its members is reported.
        old: the server knows no summaries, so a crawl without joining cannot tell that it is banned, nor that a room is
            marked whose topic no directory tells.
    """
    asked = world.directories if directories is None else directories
    met = {room for name in asked for room in world.directories.get(name, ())} | set(seeds)
    queue = deque(sorted(met)) if spaces else deque()
    while queue:
        new = set(world.rooms[queue.popleft()].children) - met
        met |= new
        queue.extend(sorted(new))

    out: set[Fate] = {"noindex", "invite only", "banned", "kicked before", "gone", "malformed"}
    if odd == "failed":
        out.add("odd")
    if kicked_after == "left out":
        out.add("kicked after")
    unjoined: set[Fate] = {"noindex", "invite only", "gone"}
    if not old:
        unjoined.add("banned")
    hinted: dict[str, set[str]] = defaultdict(set)
    for name in asked:
        for room in world.directories.get(name, ()):
            hinted[room].add(name)
    for room in met if spaces else ():
        for child in world.rooms[room].children:
            hinted[child].update(world.rooms[child].via)
    found = [world.rooms[room] for room in sorted(met)]
    in_spaces = {child for room in found for child in room.children} if spaces else set()
    untold = {room.room_id for room in found if old and room.stale} - in_spaces
    unjoined_out = {room.room_id for room in found if room.fate in unjoined} - untold

    def by_fate(fates: set[Fate], these: Collection[str]) -> dict[Fate, frozenset[str]]:
        rooms = [room for room in found if room.room_id in these]
        return {fate: frozenset(r.room_id for r in rooms if r.fate == fate) for fate in SHARES if fate in fates}

    return Truth(
        members={room.room_id: frozenset(room.members) for room in found if room.fate not in out},
        left_out=by_fate(out, met),
        summaries={
            room.room_id: Summary(
                frozenset(room.servers if room.alias else ()),
                len(room.members),
                frozenset(hinted[room.room_id] | ({server_of(room.room_id)} - {""})),
            )
            for room in found
            if room.room_id not in unjoined_out
        },
        left_out_unjoined=by_fate(unjoined, unjoined_out),
        unseen=frozenset(world.rooms) - met,
        never_join=frozenset(r.room_id for r in found if r.fate == "noindex" and not r.stale) - set(seeds),
    )


# --- what goes wrong -------------------------------------------------------------------------------------------------

Shape = Literal["body", "header", "date", "none"]
"""Where a 429 says how long to wait: in the body's retry_after_ms, in Retry-After as seconds or a date, nowhere."""
Wrong = Literal["error", "slow", "closed", "truncated", "malformed", "limited"]


@dataclass(frozen=True)
class Faults:
    """What goes wrong; shares of all requests, drawn by seed and number of the request.

    Attributes:
        seed: of what goes wrong when.
        errors: 500 with an HTML body, of three one a proxy's 502 or 504.
        slow: held for ``hold`` seconds, or until the client has gone.
        closed: the connection is closed instead of an answer (early), in the middle of one (late).
        truncated: JSON that ends too early, in an answer that is complete.
        malformed: an answer of joined_members that is none; of those requests alone.
        limited: 429 although no limit was met.
        hold: seconds.
        latency: seconds that every answer takes; without, few requests are ever in flight at a time.
        slow_share: of all distinct requests, those whose first ``slow_tries`` tries are held.
        slow_tries: see there.
        late: of errors, holds and closed connections the share that comes after what was asked is done.
        in_a_row: at most so many times on end the same request fails, but for what :class:`Limits` refuse; so who
            tries once more is answered.
        retry_after: seconds that a 429 of ``limited`` tells.
        shapes: of any 429, at random; they are separated by commas on the command line.
        needs_via: rooms are found only by via (or server_name) of a server that is in them.
        old: a server that knows no room_summary.
    """

    seed: int = 0
    errors: float = 0.0
    slow: float = 0.0
    closed: float = 0.0
    truncated: float = 0.0
    malformed: float = 0.0
    limited: float = 0.0
    hold: float = 5.0
    latency: float = 0.0
    slow_share: float = 0.0
    slow_tries: int = 1
    late: float = 0.5
    in_a_row: int = 3
    retry_after: float = 1.0
    shapes: tuple[Shape, ...] = ("body", "header", "date", "none")
    needs_via: bool = False
    old: bool = False

    def draw(self, number: int, members: bool) -> tuple[Wrong | None, bool, float]:
        """What goes wrong with a request, whether that is late, and a number in [0, 1) for more."""
        first, late, more = _uniforms(f"{self.seed} {number}")
        rates: dict[Wrong, float] = {
            "error": self.errors,
            "slow": self.slow,
            "closed": self.closed,
            "truncated": self.truncated,
            "limited": self.limited,
            "malformed": self.malformed if members else 0.0,
        }
        for wrong, rate in rates.items():
            first -= rate
            if first < 0:
                return wrong, late < self.late, more
        return None, False, more

    def held_first(self, key: tuple[str, ...]) -> bool:
        """Whether a request is one of ``slow_share``."""
        return self.slow_share > 0 and _uniforms(f"{self.seed} {key}")[0] < self.slow_share


@dataclass(frozen=True)
class Limits:
    """The server's own: token buckets, of all requests and of joins."""

    requests_per_second: float = math.inf
    burst: float = 10.0
    joins_per_second: float = math.inf
    join_burst: float = 3.0


def _uniforms(text: str) -> tuple[float, float, float]:
    digest = blake2b(text.encode(), digest_size=24).digest()
    a, b, c = (int.from_bytes(digest[i : i + 8], "big") / 2**64 for i in (0, 8, 16))
    return a, b, c


class _Bucket:
    """Tokens come at a rate, up to a burst."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst, self.tokens, self.last = rate, burst, burst, time.monotonic()

    def take(self) -> float:
        """0 if there was a token; else for how many seconds there will be none."""
        if math.isinf(self.rate):
            return 0.0
        now = time.monotonic()
        self.tokens = min(self.burst, self.tokens + (now - self.last) * self.rate)
        self.last = now
        if self.tokens < 1:
            return (1 - self.tokens) / self.rate
        self.tokens -= 1
        return 0.0


# --- the log ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Entry:
    """A request and what became of it.

    Attributes:
        number: counts all requests from 1.
        session: the User-Agent; a run of a crawler tells itself from others by it.
        connection: counts connections.
        began: when the request had arrived.
        ended: when the answer was written, or the stub saw that nobody waits for it any more.
        method: of HTTP.
        endpoint: ``publicRooms``, ``join``, ...; ``unrecognized``, ``messages`` (never to be asked).
        subject: the room, alias, server or user, as asked; for messages and what is unrecognized the path.
        room: the id of the room in question.
        parameters: of the query and the body that make requests distinct, sorted.
        status: 0 if no answer was begun.
        complete: the answer was written to its end.
        good: nothing was wrong with it.
        fault: of :class:`Faults`, or ``limit`` of :class:`Limits`.
        late: the fault came after what was asked was done.
        did: ``joined``, ``left``, ``kicked``, ``forgotten``.
        acted: when what was asked was done; None if it was not.
        wait_until: the time before which a 429 wants no request.
    """

    number: int
    session: str
    connection: int
    began: float
    ended: float = math.nan
    method: str = ""
    endpoint: str = ""
    subject: str = ""
    room: str = ""
    parameters: str = ""
    status: int = 0
    errcode: str = ""
    complete: bool = False
    good: bool = True
    fault: str = ""
    late: bool = False
    did: str = ""
    acted: float | None = None
    wait_until: float | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it the same request as another."""
        subject = self.subject if self.endpoint == "alias" else self.room or self.subject
        return self.method, self.endpoint, subject, self.parameters

    def over(self, tolerance: float) -> float:
        """When it was over for the client. Of a written answer we know it; that nobody waits we see a little later."""
        return self.ended if self.complete else max(self.began, self.ended - tolerance)

    @property
    def answered(self) -> bool:
        """Answered 200, completely and rightly."""
        return self.complete and self.good and self.status == 200


def read_log(path: str | Path) -> list[Entry]:
    """What ``--log`` holds, as it came; a line that is not yet written to its end does not count."""
    lines = Path(path).read_text().split("\n")[:-1]
    return sorted((Entry(**json.loads(line)) for line in lines), key=lambda entry: entry.began)


# --- the homeserver --------------------------------------------------------------------------------------------------


class _Refused(Exception):  # noqa: N818
    def __init__(self, status: int, errcode: str, message: str, did: str = "") -> None:
        self.answer = _Answer(status, {"errcode": errcode, "error": message}, did=did)
        super().__init__(message)


@dataclass
class _Answer:
    status: int
    body: Any
    did: str = ""
    good: bool = True
    then: Callable[[], str] | None = None
    headers: tuple[str, ...] = ()
    wait_until: float | None = None

    def encoded(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class _Call(NamedTuple):
    """A request that was understood: what it is about, and what carries it out."""

    endpoint: str
    act: Callable[[], _Answer]
    subject: str = ""
    room: str = ""


MESSAGES = {
    *("sync", "messages", "event", "events", "context", "relations", "search", "initialSync", "threads"),
    *("timestamp_to_event", "notifications", "send", "receipt", "read_markers", "typing"),
}
"""Parts of paths that a crawler has no business with."""


class Stub:
    """A homeserver with one account (``me``, ``token``); ``url`` once it listens."""

    def __init__(
        self, world: World, faults: Faults = Faults(), limits: Limits = Limits(), log: str | Path | None = None
    ) -> None:
        self.world, self.faults = world, faults
        self.url, self.token, self.me = "", TOKEN, ME
        self.rooms = dict(world.rooms)
        self.aliases = dict(world.aliases)
        self.membership: dict[str, tuple[str, str]] = {
            room.room_id: ("ban", f"@mod:{room.server}") for room in world.rooms.values() if room.fate == "banned"
        }
        self.forgotten: set[str] = set()
        self._local = frozenset(world.directories.get(HOME, ()))
        self.account_data: dict[str, Any] = {}
        self.profile: dict[str, Any] = {}
        self._requests = _Bucket(limits.requests_per_second, limits.burst)
        self._joins = _Bucket(limits.joins_per_second, limits.join_burst)
        self._struck: Counter[tuple[str, ...]] = Counter()
        self._held: Counter[tuple[str, ...]] = Counter()
        self._joined: dict[str, bytes] = {}
        self._entries: list[Entry] = []
        self._lock = threading.Lock()
        self._file: IO[str] | None = None if log is None else Path(log).open("a", buffering=1)  # noqa: SIM115
        self._number = self._connection = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def log(self) -> list[Entry]:
        """The requests that have ended, in the order in which they came."""
        if self._loop is not None:
            # A client has its answer a moment before it is in the log.
            asyncio.run_coroutine_threadsafe(_settled(), self._loop).result(10)
        with self._lock:
            return sorted(self._entries, key=lambda entry: entry.number)

    @property
    def joined(self) -> list[str]:
        """The rooms that the account is in."""
        return [room for room, (membership, _) in self.membership.items() if membership == "join"]

    async def serve(self, port: int, ready: Callable[[int], None], stop: asyncio.Event) -> None:
        """Answer until told to stop."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", port, limit=1 << 20)
        try:
            number = server.sockets[0].getsockname()[1]
            self.url = f"http://127.0.0.1:{number}"
            self._loop = asyncio.get_running_loop()
            ready(number)
            await stop.wait()
        finally:
            self._loop = None
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()
            if self._file is not None:
                self._file.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connection += 1
        connection = self._connection
        try:
            # A client that is killed, or that closes a connection it has no more use for, is nothing to talk about.
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._one(reader, writer, connection):
                    pass
        except asyncio.CancelledError:
            writer.transport.abort()  # whether or not the client reads what is still to be sent
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> bool:
        """Answer a request; whether the connection stays."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self._number += 1
        entry = Entry(self._number, headers.get("user-agent", ""), connection, time.monotonic(), method=method)
        try:
            return await self._answer(reader, writer, entry, target, headers, body)
        finally:
            entry.ended = time.monotonic()
            with self._lock:
                self._entries.append(entry)
            if self._file is not None:
                self._file.write(json.dumps(asdict(entry)) + "\n")

    async def _answer(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        entry: Entry,
        target: str,
        headers: dict[str, str],
        body: bytes,
    ) -> bool:
        path, _, query = target.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True)
        call = self._route(entry.method, path, pairs, body)
        entry.endpoint, entry.subject, entry.room = call.endpoint, call.subject, call.room
        # Where a room may be found makes no other request of it.
        distinct = sorted((name, value) for name, value in pairs if name not in ("via", "server_name", "server"))
        said = body.decode(errors="replace") if call.endpoint == "publicRooms" else ""
        entry.parameters = json.dumps([*distinct, said] if said else distinct) if distinct or said else ""

        if call.endpoint != "versions" and headers.get("authorization") != f"Bearer {self.token}":
            errcode = "M_UNKNOWN_TOKEN" if "authorization" in headers else "M_MISSING_TOKEN"
            return await self._write(
                reader, writer, entry, _Refused(401, errcode, "Invalid access token passed.").answer
            )
        if self.faults.latency:
            await asyncio.sleep(self.faults.latency)
        wait = self._requests.take() or (self._joins.take() if call.endpoint == "join" else 0.0)
        wrong, late, more = self.faults.draw(entry.number, call.endpoint == "joined_members")
        if wait:
            entry.fault = "limit"
            return await self._write(reader, writer, entry, self._limited(wait, more))
        if self.faults.held_first(entry.key) and self._held[entry.key] < self.faults.slow_tries:
            self._held[entry.key] += 1
            self._struck[entry.key] += 1
            wrong = "slow"
        elif wrong is not None and self._struck[entry.key] < self.faults.in_a_row:
            self._struck[entry.key] += 1
        else:
            wrong = None
            self._struck.pop(entry.key, None)
        if wrong is None:
            return await self._write(reader, writer, entry, self._carry_out(call, entry))
        late = late or wrong in ("truncated", "malformed")
        late = late and wrong != "limited"
        entry.fault, entry.late = wrong, late

        if wrong == "slow" and not late and await self._hold(reader):
            return False
        # What is wrong early is wrong instead of what was asked.
        answer = self._carry_out(call, entry) if late or wrong == "slow" else _Answer(200, {})
        if wrong == "slow":
            if late and await self._hold(reader):
                return False
            return await self._write(reader, writer, entry, answer)
        if wrong == "closed":
            data = self._data(answer) if late else b""
            writer.write(data[: len(data) * 2 // 3])
            entry.status = answer.status if late else 0
            return False
        answer.then = None
        if wrong == "truncated":
            answer = replace(answer, body=answer.encoded()[:-1])
        elif wrong == "malformed":
            answer = replace(answer, body=_malformed(more)) if answer.status == 200 else answer
        elif wrong == "limited":
            answer = self._limited(self.faults.retry_after, more)
        else:
            status = (500, 500, 500, 500, 502, 504)[int(more * 6)]
            page = f"<html><head><title>{status}</title></head><body><h1>Error {status}</h1></body></html>"
            answer = _Answer(status, page.encode(), headers=("Content-Type: text/html",))
        answer.good = False
        return await self._write(reader, writer, entry, answer)

    async def _hold(self, reader: asyncio.StreamReader) -> bool:
        """Keep a client waiting; whether it has gone."""
        until = time.monotonic() + self.faults.hold
        while (left := until - time.monotonic()) > 0 and not reader.at_eof() and reader.exception() is None:
            await asyncio.sleep(min(left, 0.005))
        return left > 0

    def _carry_out(self, call: _Call, entry: Entry) -> _Answer:
        try:
            answer = call.act()
        except _Refused as refused:
            answer = refused.answer
        entry.did, entry.acted = answer.did, time.monotonic()
        return answer

    def _data(self, answer: _Answer) -> bytes:
        body = answer.encoded()
        kind = () if any(line.startswith("Content-Type") for line in answer.headers) else _JSON
        lines = (f"HTTP/1.1 {answer.status} Status", f"Content-Length: {len(body)}", *kind, *answer.headers, "", "")
        return "\r\n".join(lines).encode() + body

    async def _write(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, entry: Entry, answer: _Answer
    ) -> bool:
        entry.status, entry.good, entry.wait_until = answer.status, answer.good, answer.wait_until
        if isinstance(answer.body, dict):
            entry.errcode = str(answer.body.get("errcode", ""))
        writer.write(self._data(answer))
        await writer.drain()
        # One may write to a client that has gone; nobody reads it.
        entry.complete = not writer.is_closing() and not reader.at_eof()
        if entry.complete and answer.then is not None:
            entry.did, entry.acted = answer.then(), time.monotonic()
        return entry.complete

    def _limited(self, wait: float, more: float) -> _Answer:
        shape = self.faults.shapes[int(more * len(self.faults.shapes))]
        body: dict[str, Any] = {"errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests"}
        headers: tuple[str, ...] = ()
        told: float | None = wait
        if shape == "body":
            body["retry_after_ms"] = math.ceil(wait * 1000)
        elif shape == "header":
            told = math.ceil(wait)
            headers = (f"Retry-After: {told}",)
        elif shape == "date":
            # Dates are of whole seconds; the next one that is late enough.
            date = math.ceil(time.time() + wait)
            told = date - time.time()
            headers = (f"Retry-After: {formatdate(date, usegmt=True)}",)
        else:
            told = None
        until = None if told is None else time.monotonic() + told
        return _Answer(429, body, headers=headers, wait_until=until)

    # --- the endpoints ---

    def _route(self, method: str, path: str, pairs: list[tuple[str, str]], body: bytes) -> _Call:
        """What is asked. Parts of a path are told apart before they are decoded: a / may be within an alias."""
        prefix = "/_matrix/client/"
        parts = [unquote(part) for part in path.removeprefix(prefix).split("/")] if path.startswith(prefix) else []
        via = [value for name, value in pairs if name in ("via", "server_name")]
        query = dict(pairs)
        if MESSAGES & set(parts):
            return _Call("messages", self._unrecognized, path)
        match (method, *parts):
            case ("GET", "versions"):
                return _Call("versions", self._versions)
            case ("GET", "v3", "account", "whoami"):
                who = {"user_id": self.me, "device_id": "STUB", "is_guest": False}
                return _Call("whoami", partial(_Answer, 200, who))
            case ("GET", "v3", "joined_rooms"):
                return _Call("joined_rooms", lambda: _Answer(200, {"joined_rooms": self.joined}))
            case ("GET" | "PUT", "v3", "user", self.me, "account_data", kind):
                return _Call("account_data", partial(self._stored, self.account_data, kind, method, body), kind)
            case ("GET" | "PUT", "v3", "profile", self.me, "displayname"):
                return _Call("displayname", partial(self._stored, self.profile, "displayname", method, body), self.me)
            case ("GET" | "POST", "v3", "publicRooms"):
                server = query.get("server", HOME)
                return _Call("publicRooms", partial(self._public_rooms, server, query, body), server)
            case ("GET", "v1", "rooms", room, "hierarchy"):
                return _Call("hierarchy", partial(self._hierarchy, room, query), room, room)
            case ("GET", "v3", "directory", "room", alias):
                return _Call("alias", partial(self._alias, alias), alias, self.aliases.get(alias, ""))
            case ("GET", "v1", "room_summary", name) if not self.faults.old:
                room = self.aliases.get(name, name)
                return _Call("summary", partial(self._summary, room, via), name, room)
            case ("POST", "v3", "join", name) | ("POST", "v3", "rooms", name, "join"):
                room = self.aliases.get(name, name)
                return _Call("join", partial(self._join, room, name, via), name, room)
            case ("GET", "v3", "rooms", room, "joined_members"):
                return _Call("joined_members", partial(self._members, room), room, room)
            case ("GET", "v3", "rooms", room, "state", "m.room.topic", *rest) if rest in ([], [""]):
                return _Call("topic", partial(self._topic, room), room, room)
            case ("GET", "v3", "rooms", room, "state", "m.room.member", self.me):
                event = query.get("format") == "event"
                return _Call("member", partial(self._member, room, event), room, room)
            case ("POST", "v3", "rooms", room, "leave"):
                return _Call("leave", partial(self._leave, room), room, room)
            case ("POST", "v3", "rooms", room, "forget"):
                return _Call("forget", partial(self._forget, room), room, room)
            case ("POST", "v3", "createRoom"):
                return _Call("createRoom", partial(self._create, body))
        return _Call("unrecognized", self._unrecognized, path)

    def _unrecognized(self) -> _Answer:
        raise _Refused(404, "M_UNRECOGNIZED", "Unrecognized request")

    def _versions(self) -> _Answer:
        known = range(1, 11) if self.faults.old else range(1, 16)
        return _Answer(200, {"versions": [f"v1.{i}" for i in known], "unstable_features": {}})

    def _stored(self, store: dict[str, Any], kind: str, method: str, body: bytes) -> _Answer:
        if method == "PUT":
            store[kind] = _parsed(body)
            return _Answer(200, {})
        if kind not in store:
            raise _Refused(404, "M_NOT_FOUND", "Account data not found")
        return _Answer(200, store[kind])

    def _public_rooms(self, server: str, query: dict[str, str], body: bytes) -> _Answer:
        asked: dict[str, Any] = {**query, **(_parsed(body) if body else {})}
        if server not in self.world.directories:
            if server in self.world.servers:
                return _Answer(200, {"chunk": [], "total_room_count_estimate": 0})
            raise _Refused(502, "M_UNKNOWN", "Failed to fetch room list")
        wanted = asked.get("filter") or {}
        types, term = wanted.get("room_types"), (wanted.get("generic_search_term") or "").lower()
        rooms = [self.rooms[room] for room in self.world.directories[server]]
        if types is not None:
            rooms = [room for room in rooms if ("m.space" if room.children else None) in types]
        if term:
            rooms = [room for room in rooms if term in f"{_name(room)} {room.topic} {room.alias}".lower()]
        start, limit = self._page(asked.get("since"), asked.get("limit"), 500, len(rooms))
        page: dict[str, Any] = {"chunk": [self._listed(room, stale=True) for room in rooms[start : start + limit]]}
        if start + limit < len(rooms):
            page["next_batch"] = f"page_{start + limit}"
        if start:
            page["prev_batch"] = f"page_{max(0, start - limit)}"
        return _Answer(200, {**page, "total_room_count_estimate": len(rooms)})

    @staticmethod
    def _page(since: object, limit: object, most: int, there: int) -> tuple[int, int]:
        """Where a page begins and how long it may be."""
        try:
            start = int(str(since or "page_0").removeprefix("page_"))
            size = most if limit is None else int(str(limit))
        except ValueError:
            raise _Refused(400, "M_INVALID_PARAM", "Unknown pagination token") from None
        if not 0 <= start <= there or size < 1:
            raise _Refused(400, "M_INVALID_PARAM", "Unknown pagination token")
        return start, min(size, most)

    def _listed(self, room: Room, stale: bool = False) -> dict[str, Any]:
        """A room as directories, spaces and summaries tell of it; what it has not is not there."""
        entry = {
            "room_id": room.room_id,
            "name": _name(room),
            "topic": None if stale and room.stale else room.topic,
            "canonical_alias": room.alias,
            "num_joined_members": self._size(room),
            "world_readable": room.world_readable,
            "guest_can_join": False,
            "join_rule": "invite" if room.fate == "invite only" else "public",
            "room_type": "m.space" if room.children else None,
        }
        return {name: value for name, value in entry.items() if value is not None}

    def _size(self, room: Room) -> int:
        return len(room.members) + (self.membership.get(room.room_id, ("", ""))[0] == "join")

    def _visible(self, name: str) -> Room | None:
        """A room that one may look at without being in it."""
        room = self.rooms.get(name)
        if room is None or room.fate == "gone":
            return None
        inside = self.membership.get(name, ("", ""))[0] == "join"
        return None if room.fate == "invite only" and not inside and not room.world_readable else room

    def _hierarchy(self, name: str, query: dict[str, str]) -> _Answer:
        if self._visible(name) is None:
            raise _Refused(403, "M_FORBIDDEN", f"User {self.me} not in room {name}, and room previews are disabled")
        found: dict[str, Room] = {}
        stack, deepest = [(name, 0)], int(query.get("max_depth", "100"))
        while stack:
            child, depth = stack.pop()
            room = self._visible(child)
            if room is None or child in found:
                continue
            found[child] = room
            if depth < deepest:
                stack.extend((below, depth + 1) for below in reversed(room.children))
        rooms = list(found.values())
        start, limit = self._page(query.get("from"), query.get("limit"), 50, len(rooms))
        answer: dict[str, Any] = {
            "rooms": [
                {**self._listed(room), "children_state": [self._child(room, child) for child in room.children]}
                for room in rooms[start : start + limit]
            ]
        }
        if start + limit < len(rooms):
            answer["next_batch"] = f"page_{start + limit}"
        return _Answer(200, answer)

    def _child(self, room: Room, child: str) -> dict[str, Any]:
        content = {"via": self.rooms[child].via, "suggested": False}
        event = {"type": "m.space.child", "state_key": child, "content": content, "sender": room.members[0]}
        return {**event, "origin_server_ts": 1_700_000_000_000}

    def _alias(self, alias: str) -> _Answer:
        room = self.rooms.get(self.aliases.get(alias, ""))
        if room is None or room.fate == "gone":
            raise _Refused(404, "M_NOT_FOUND", f"Room alias {alias} not found")
        return _Answer(200, {"room_id": room.room_id, "servers": room.servers or [HOME]})

    def _summary(self, name: str, via: list[str]) -> _Answer:
        room = self._visible(name)
        if room is None or not self._reached(room, via):
            raise _Refused(404, "M_NOT_FOUND", "Room not found or is not accessible")
        membership = self.membership.get(name, ("leave", ""))[0]
        return _Answer(200, {**self._listed(room), "membership": membership, "room_version": _version(room)})

    def _reached(self, room: Room, via: list[str]) -> bool:
        known = room.room_id in self.membership or room.room_id in self._local
        return known or not self.faults.needs_via or bool(set(via) & set(room.servers))

    def _join(self, name: str, asked: str, via: list[str]) -> _Answer:
        room = self.rooms.get(name)
        if room is None or room.fate == "gone":
            if asked.startswith("#") or (room is not None and room.number % 2):
                raise _Refused(404, "M_NOT_FOUND", f"{asked} not found")
            raise _Refused(404, "M_UNKNOWN", "Can't join remote room because no servers that are in the room are known")
        membership = self.membership.get(name, ("", ""))[0]
        if membership == "join":
            return _Answer(200, {"room_id": name})
        if membership == "ban":
            raise _Refused(403, "M_FORBIDDEN", f"{self.me} is banned from the room")
        # An alias tells the homeserver where the room is.
        if not asked.startswith("#") and not self._reached(room, via):
            raise _Refused(404, "M_UNKNOWN", "Can't join remote room because no servers that are in the room are known")
        if room.fate == "invite only":
            raise _Refused(403, "M_FORBIDDEN", "You are not invited to this room.")
        self.membership[name] = ("join", self.me)
        self.forgotten.discard(name)
        return _Answer(200, {"room_id": name}, did="joined")

    def _members(self, name: str) -> _Answer:
        room = self.rooms.get(name)
        if room is not None and room.fate == "kicked before" and self.membership.get(name, ("", ""))[0] == "join":
            self._kick(room)
            did = "kicked"
        else:
            did = ""
        if room is None or self.membership.get(name, ("", ""))[0] != "join":
            message = "Getting joined members while not being a current member of the room is forbidden."
            raise _Refused(403, "M_FORBIDDEN", message, did=did)
        if room.fate == "malformed":
            return _Answer(200, _malformed(_uniforms(name)[0]), good=False)
        then = partial(self._kick, room) if room.fate == "kicked after" else None
        if name not in self._joined:
            nobody = {"display_name": None, "avatar_url": None}
            everybody = {user: {**nobody, "display_name": user[1:].partition(":")[0]} for user in room.members}
            odd: dict[str, Any] = dict.fromkeys(ODD, nobody) if room.fate == "odd" else {}
            self._joined[name] = json.dumps({"joined": {**everybody, **odd, self.me: nobody}}).encode()
        return _Answer(200, self._joined[name], then=then)

    def _kick(self, room: Room) -> str:
        self.membership[room.room_id] = ("ban" if room.banning else "leave", f"@mod:{room.server}")
        return "kicked"

    def _seen(self, name: str) -> Room:
        """A room whose state one may ask for, being in it or as it was at the time that one left."""
        room = self.rooms.get(name)
        been = name in self.membership and name not in self.forgotten and (room is None or room.fate != "banned")
        if room is None or room.fate == "gone" or not (been or room.world_readable):
            raise _Refused(403, "M_FORBIDDEN", f"User {self.me} not in room {name}, and room previews are disabled")
        return room

    def _topic(self, name: str) -> _Answer:
        room = self._seen(name)
        if room.topic is None:
            raise _Refused(404, "M_NOT_FOUND", "Event not found.")
        return _Answer(200, {"topic": room.topic})

    def _member(self, name: str, event: bool) -> _Answer:
        # Who was banned before they ever came learns of it as well: otherwise nothing would tell.
        if self.membership.get(name, ("", ""))[0] != "ban":
            self._seen(name)
        if name not in self.membership:
            raise _Refused(404, "M_NOT_FOUND", "Event not found.")
        membership, sender = self.membership[name]
        content = {"membership": membership}
        whole = {"type": "m.room.member", "room_id": name, "state_key": self.me, "sender": sender, "content": content}
        return _Answer(200, whole if event else content)

    def _leave(self, name: str) -> _Answer:
        if name not in self.membership:
            raise _Refused(404, "M_UNKNOWN", "Not a known room")
        membership, sender = self.membership[name]
        if membership == "join":
            self.membership[name] = ("leave", self.me)
            return _Answer(200, {}, did="left")
        if sender == self.me:
            return _Answer(200, {})
        raise _Refused(403, "M_FORBIDDEN", f"{self.me} not in room {name}.")

    def _forget(self, name: str) -> _Answer:
        membership = self.membership.get(name, ("", ""))[0]
        if membership == "join":
            raise _Refused(400, "M_UNKNOWN", f"User {self.me} in room {name}")
        if not membership:
            raise _Refused(404, "M_NOT_FOUND", f"User {self.me} never was in room {name}")
        self.forgotten.add(name)
        return _Answer(200, {}, did="forgotten")

    def _create(self, body: bytes) -> _Answer:
        asked = _parsed(body)
        number = len(self.rooms)
        alias = f"#{asked['room_alias_name']}:{HOME}" if "room_alias_name" in asked else None
        if alias in self.aliases:
            raise _Refused(400, "M_ROOM_IN_USE", "Room alias already taken")
        room = Room(f"!created{number}:{HOME}", HOME, (), number=number, alias=alias, topic=asked.get("topic"))
        self.rooms[room.room_id] = room
        self.membership[room.room_id] = ("join", self.me)
        if alias is not None:
            self.aliases[alias] = room.room_id
        return _Answer(200, {"room_id": room.room_id})


async def _settled() -> None:
    """What is about to happen has happened."""
    for _ in range(5):
        await asyncio.sleep(0)


_JSON = ("Content-Type: application/json",)


def _name(room: Room) -> str:
    return f"Room {room.number}"


def _version(room: Room) -> str:
    return "10" if server_of(room.room_id) else "12"


def _parsed(body: bytes) -> Any:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        raise _Refused(400, "M_NOT_JSON", "Content not JSON.") from None
    if not isinstance(found, dict):
        raise _Refused(400, "M_BAD_JSON", "Content must be a JSON object.")
    return found


def _malformed(more: float) -> Any:
    """Members' answers that are none."""
    bodies: list[Any] = [[], None, {}, {"joined": None}, {"joined": ["@a:b.example", 17]}, {"joined": 17}]
    return json.dumps(bodies[int(more * len(bodies))]).encode()


# --- how it is started -----------------------------------------------------------------------------------------------


@contextmanager
def running(
    world: World,
    faults: Faults = Faults(),
    limits: Limits = Limits(),
    log: str | Path | None = None,
    port: int = 0,
) -> Iterator[Stub]:
    """A stub in a thread of this process."""
    stub = Stub(world, faults, limits, log)
    ready = threading.Event()
    inside: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        inside.append((asyncio.get_running_loop(), asyncio.Event()))
        await stub.serve(port, lambda _: ready.set(), inside[0][1])

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="stub homeserver")
    thread.start()
    try:
        if not ready.wait(10):
            raise RuntimeError("the stub did not start")
        yield stub
    finally:
        if inside:
            loop, stop = inside[0]
            with suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(stop.set)
        thread.join()


class Apart(NamedTuple):
    """A stub that is a process."""

    url: str
    token: str
    pid: int


@contextmanager
def process(*arguments: str) -> Iterator[Apart]:
    """A stub in a process of its own, which ends with this one at the latest."""
    command = [sys.executable, __file__, "--port", "0", "--leash", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            line = started.stdout.readline()
            if not line:
                raise RuntimeError("the stub did not start")
            yield Apart(f"http://127.0.0.1:{int(line)}", TOKEN, started.pid)
        finally:
            started.terminate()


def parser() -> argparse.ArgumentParser:
    """Of the command line: the world, and a switch for every fault and limit."""
    found = argparse.ArgumentParser(description="A homeserver for tests; prints its port.")
    found.add_argument("--port", type=int, default=0)
    found.add_argument("--log", help="a file that a line of JSON is appended to for every request")
    found.add_argument("--leash", action="store_true", help="end when standard input is closed")
    for name, size in {"rooms": 2000, "servers": 300, "users": 4000, "seed": 2018}.items():
        found.add_argument(f"--{name}", type=int, default=size)
    kinds: dict[str, Any] = {"fault-": Faults, "limit-": Limits}
    for prefix, kind in kinds.items():
        for one in fields(kind):
            option = f"--{prefix}{one.name.replace('_', '-')}"
            value = one.default
            if isinstance(value, bool):
                found.add_argument(option, action="store_true")
            else:
                read = (lambda text: tuple(text.split(","))) if isinstance(value, tuple) else type(value)
                found.add_argument(option, type=read, default=value)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    given = vars(parser().parse_args(arguments))
    faults = Faults(**{one.name: given[f"fault_{one.name}"] for one in fields(Faults)})
    limits = Limits(**{one.name: given[f"limit_{one.name}"] for one in fields(Limits)})
    world = make_world(given["rooms"], given["servers"], given["users"], given["seed"])

    async def serve() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        if given["leash"]:

            def pulled() -> None:
                if not os.read(0, 4096):
                    loop.remove_reader(0)
                    stop.set()

            loop.add_reader(0, pulled)
        await Stub(world, faults, limits, given["log"]).serve(given["port"], lambda n: print(n, flush=True), stop)

    asyncio.run(serve())


# --- judgement -------------------------------------------------------------------------------------------------------

ONCE = frozenset({"publicRooms", "hierarchy", "alias", "summary", "join", "joined_members", "topic", "leave", "forget"})
"""What is asked once in a whole crawl, however often that is killed."""
VISIT = frozenset({"join", "joined_members", "topic", "member", "leave", "forget"})
"""What a visit to a room is made of."""
LET_GO = 0.05
"""Seconds within which the stub notices that a client has given up waiting; it looks every five milliseconds."""


class Repeat(NamedTuple):
    """A request that was answered more than once though nothing was wrong with the answers."""

    key: tuple[str, ...]
    entries: tuple[Entry, ...]


def asked_twice(
    log: Iterable[Entry],
    kills: Sequence[float] = (),
    grace: float = 0.5,
    per_kill: int | None = None,
    endpoints: Collection[str] = ONCE,
    open_visits: bool = False,
) -> list[Repeat]:
    """Requests that were answered 200, completely and rightly, more than once.

    Args:
        log: of all runs of a crawl.
        kills: when the crawler was killed. An answer that it cannot have noted any more may be asked for again: one
            whose writing ended at most ``grace`` seconds before a kill, or after it within that.
        grace: seconds.
        per_kill: how many requests at most are excused by one kill, the last before it; default: all within the grace.
        endpoints: of these.
        open_visits: whether a visit that a kill ended may be made again from its beginning.
    """
    entries = [entry for entry in sorted(log, key=lambda e: e.ended) if entry.endpoint in endpoints]
    excused: set[int] = set()
    for kill in kills:
        excused |= in_flight(entries, kill, grace, per_kill)
        if open_visits:
            for visit in _visits(entries, VISIT):
                if visit.began <= kill and not visit.ended_well_before(kill):
                    excused |= {entry.number for entry in visit.entries if entry.began <= kill}
    answers: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.answered:
            answers[entry.key].append(entry)
    return [
        Repeat(key, tuple(found))
        for key, found in answers.items()
        # Each but the last was asked for again: is there an excuse?
        if any(entry.number not in excused for entry in found[:-1])
    ]


def in_flight(log: Iterable[Entry], kill: float, grace: float = 0.5, most: int | None = None) -> set[int]:
    """The numbers of the requests whose answers a crawler that was killed may not have noted."""
    near = [e for e in log if e.began <= kill + grace and kill - grace <= e.ended <= kill + grace and e.answered]
    near.sort(key=lambda entry: -entry.ended)
    return {entry.number for entry in near[:most]}


class Excess(NamedTuple):
    """A request that came sooner than a rate allows."""

    entry: Entry
    limit: Literal["requests", "joins"]
    seconds: float


def broken_limits(
    log: Iterable[Entry],
    requests_per_second: float,
    joins_per_minute: float = math.inf,
    burst: int = 1,
    join_burst: int = 1,
    tolerance: float = 0.05,
) -> list[Excess]:
    """The requests that came sooner than the client's own rates allow, by how many seconds.

    In any stretch of T seconds at most ``burst + rate * T`` may begin. Across runs: a crawler that is killed has no
    new burst. Tries that failed count.

    Args:
        log: of one client.
        requests_per_second: of all requests.
        joins_per_minute: of joins.
        burst: of requests.
        join_burst: of joins.
        tolerance: in seconds. Times are taken when the stub has read a request; if that was late by a new connection
            (1 ms on loopback) or a busy processor (tens), the next, which is on time, seems too early by as much.
    """
    entries = sorted(log, key=lambda entry: entry.began)
    joins = [entry for entry in entries if entry.endpoint == "join"]
    return [
        *_excess(entries, "requests", requests_per_second, burst, tolerance),
        *_excess(joins, "joins", joins_per_minute / 60, join_burst, tolerance),
    ]


def _excess(
    entries: list[Entry], limit: Literal["requests", "joins"], rate: float, burst: int, tolerance: float
) -> Iterator[Excess]:
    if math.isinf(rate):
        return
    due = -math.inf  # when all that has come so far would have come at the rate
    for entry in entries:
        early = due - (burst - 1) / rate - entry.began
        if early > tolerance:
            yield Excess(entry, limit, early)
        else:
            due = max(due, entry.began) + 1 / rate


class Early(NamedTuple):
    """A request that came although a 429 had told to wait."""

    entry: Entry
    told_by: Entry
    seconds: float


def asked_too_early(
    log: Iterable[Entry], reaction: float = 0.1, tolerance: float = 0.02, across_sessions: bool = False
) -> list[Early]:
    """The requests that came before the time until which a 429 told to wait, by how many seconds.

    Whatever they ask: a 429 holds up the whole client.

    Args:
        log: of one client.
        reaction: seconds after a 429 in which what was already on its way arrives; a client that keeps its processor
            busy with 16 requests at a time takes 50 ms to send one.
        tolerance: seconds by which clocks, and dates of whole seconds, may be read differently.
        across_sessions: whether a 429 holds up later runs as well.
    """
    entries = sorted(log, key=lambda entry: entry.began)
    times = [entry.began for entry in entries]
    found: dict[int, Early] = {}
    for by in entries:
        if by.wait_until is None or not by.complete:
            continue
        first, end = bisect_right(times, by.ended + reaction), bisect_left(times, by.wait_until - tolerance)
        for entry in entries[first:end]:
            if across_sessions or entry.session == by.session:
                early = Early(entry, by, by.wait_until - entry.began)
                found[entry.number] = max(found.get(entry.number, early), early, key=lambda one: one.seconds)
    return sorted(found.values(), key=lambda one: one.entry.number)


@dataclass
class Visit:
    """What was asked of a room, from its first request to its last."""

    room: str
    session: str
    entries: list[Entry] = field(default_factory=list)

    @property
    def began(self) -> float:
        return min(entry.began for entry in self.entries)

    def over(self, tolerance: float = 0.0) -> float:
        return max(entry.over(tolerance) for entry in self.entries)

    def ended_well_before(self, kill: float) -> bool:
        """Whether it was over, the room left, when the crawler was killed."""
        return self.over() < kill and any(entry.did in ("left", "kicked") for entry in self.entries)


def _visits(log: Iterable[Entry], endpoints: Collection[str]) -> list[Visit]:
    """Each run's; a join that follows a leave begins a new one."""
    open_: dict[tuple[str, str], Visit] = {}
    found: list[Visit] = []
    for entry in sorted(log, key=lambda entry: entry.began):
        if entry.endpoint not in endpoints or not entry.room:
            continue
        key = entry.session, entry.room
        over = key in open_ and entry.endpoint == "join" and any(e.endpoint == "leave" for e in open_[key].entries)
        if key not in open_ or over:
            open_[key] = Visit(entry.room, entry.session)
            found.append(open_[key])
        open_[key].entries.append(entry)
    return found


class Overlap(NamedTuple):
    """Two rooms of a server that were visited at a time."""

    server: str
    first: Visit
    second: Visit


def two_rooms_of_a_server(
    log: Iterable[Entry],
    endpoints: Collection[str] = VISIT,
    servers: Callable[[str], str] | None = None,
    tolerance: float = LET_GO,
) -> list[Overlap]:
    """Visits to two rooms of one server that overlap.

    Args:
        log: of one client.
        endpoints: what a visit is made of; ``{"summary"}`` for a crawl without joining.
        servers: of a room by its id; default: the one that the id names. Rooms of none do not count.
        tolerance: see ``LET_GO``.
    """
    by_server: dict[str, list[Visit]] = defaultdict(list)
    for visit in _visits(log, endpoints):
        if server := (servers or server_of)(visit.room):
            by_server[server].append(visit)
    found = []
    for server, visits in by_server.items():
        visits.sort(key=lambda visit: visit.began)
        last = visits[0]
        for visit in visits[1:]:
            if visit.began < last.over(tolerance) and visit.room != last.room:
                found.append(Overlap(server, last, visit))
            last = max(last, visit, key=lambda one: one.over(tolerance))
    return found


def at_once(log: Iterable[Entry], tolerance: float = LET_GO) -> int:
    """How many requests were in flight at a time, at most."""
    return _most_at_once((entry.began, entry.over(tolerance)) for entry in log)


def visits_at_once(log: Iterable[Entry], endpoints: Collection[str] = VISIT, tolerance: float = LET_GO) -> int:
    """How many rooms were visited at a time, at most."""
    return _most_at_once((visit.began, visit.over(tolerance)) for visit in _visits(log, endpoints))


def _most_at_once(stretches: Iterable[tuple[float, float]]) -> int:
    # At equal times what ends comes before what begins.
    steps = sorted(step for began, ended in stretches for step in ((began, 1), (ended, -1)))
    return max(accumulate((step for _, step in steps), initial=0))


def never_left(log: Iterable[Entry]) -> list[str]:
    """Rooms that were joined and at the end are not left."""
    last: dict[str, str] = {}
    for entry in sorted(log, key=lambda entry: entry.acted or 0.0):
        if entry.did in ("joined", "left", "kicked"):
            last[entry.room] = entry.did
    return sorted(room for room, did in last.items() if did == "joined")


def forbidden(log: Iterable[Entry]) -> list[Entry]:
    """Requests for what was said in rooms, or for saying something."""
    return [entry for entry in log if entry.endpoint == "messages"]


def sessions(log: Iterable[Entry]) -> dict[str, list[Entry]]:
    """The runs of a crawler, by what they call themselves, in the order of their first requests."""
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(log, key=lambda entry: entry.began):
        found[entry.session].append(entry)
    return dict(found)


if __name__ == "__main__":
    main()
