"""A homeserver for tests that answers as it likes: small, obliging by itself, and whatever an attack makes of it.

What is tested with it are answers that no sound homeserver gives; for those of one there is
:mod:`tests.stub_homeserver`. Only the standard library is used.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

ME = "@crawler:home.example"
REFUSED = {"errcode": "M_FORBIDDEN"}
MISSING = {"errcode": "M_NOT_FOUND"}
UNRECOGNIZED = {"errcode": "M_UNRECOGNIZED"}

Answer = tuple[int, Any] | tuple[int, Any, Mapping[str, str]] | Callable[[BaseHTTPRequestHandler], None]
"""Status, content (bytes as they are, all else as JSON) and headers; or what is done with the connection."""


@dataclass(frozen=True)
class Asked:
    """A request: ``what`` endpoint, about which ``subject`` (a room, an alias, a server or a user)."""

    what: str
    subject: str
    method: str
    query: dict[str, list[str]]
    body: Any
    headers: dict[str, str]
    at: float


Attack = Callable[[Asked], Answer | None]
"""What is answered instead; None: what an obliging homeserver would."""


@dataclass
class Room:
    """A room; ``told`` is what directories, spaces and summaries say of it on top of what is so."""

    members: tuple[str, ...] = ("@a:one.example", "@b:two.example")
    topic: str | None = None
    alias: str | None = None
    other_aliases: tuple[str, ...] = ()
    servers: tuple[str, ...] = ("one.example",)
    listed_by: tuple[str, ...] = ("one.example",)
    children: tuple[str, ...] = ()
    closed: bool = False
    summarised: bool = True
    told: Mapping[str, Any] = field(default_factory=dict)


class Hostile:
    """The homeserver; ``joined`` and ``account`` are what is kept of the crawler's user, ``log`` what it asked."""

    def __init__(self, rooms: Mapping[str, Room], attack: Attack | None = None, page: int = 100) -> None:
        self.rooms, self.page = dict(rooms), page
        self.attack: Attack = attack or (lambda _: None)
        self.log: list[Asked] = []
        self.joined: set[str] = set()
        self.account: Any = None
        self.url = ""

    def asked(self, what: str, subject: str | None = None) -> int:
        """How often something was asked."""
        return sum(one.what == what and subject in (None, one.subject) for one in self.log)

    def entry(self, name: str) -> dict[str, Any]:
        """A room as directories tell of it."""
        room = self.rooms[name]
        said = {"room_id": name, "num_joined_members": len(room.members)}
        named = {"canonical_alias": room.alias, "topic": room.topic}
        return {**said, **{key: value for key, value in named.items() if value is not None}, **room.told}

    def answer(self, asked: Asked) -> Answer:
        """What an obliging homeserver answers."""
        by_alias = {
            alias: name
            for name, room in self.rooms.items()
            for alias in filter(None, (room.alias, *room.other_aliases))
        }
        name = by_alias.get(asked.subject, asked.subject)
        room = self.rooms.get(name)
        match asked.what:
            case "versions":
                return 200, {"versions": ["v1.15"]}
            case "whoami":
                return 200, {"user_id": ME}
            case "joined_rooms":
                return 200, {"joined_rooms": sorted(self.joined)}
            case "profile":
                return 200, {}
            case "account_data" if asked.method == "PUT":
                self.account = asked.body
                return 200, {}
            case "account_data":
                return (200, self.account) if self.account else (404, MISSING)
            case "publicRooms":
                listed = [self.entry(one) for one, its in self.rooms.items() if asked.subject in its.listed_by]
                return 200, {"chunk": listed}
        if room is None:
            return 404, MISSING
        match asked.what:
            case "room_summary":
                return (200, self.entry(name)) if room.summarised else (404, UNRECOGNIZED)
            case "directory":
                return 200, {"room_id": name, "servers": room.servers}
            case "join":
                self.joined.add(name)
                return 200, {"room_id": name}
            case "hierarchy" if room.closed and name not in self.joined:
                return 403, REFUSED
            case "hierarchy":
                begin = int(asked.query.get("from", ["0"])[0])
                tree = [self.entry(one) for one in (name, *room.children)]
                tree[0]["children_state"] = [{"state_key": one, "content": {"via": []}} for one in room.children]
                more = {"next_batch": str(begin + self.page)} if begin + self.page < len(tree) else {}
                return 200, {"rooms": tree[begin : begin + self.page], **more}
            case "m.room.member":
                membership = "join" if name in self.joined else "leave"
                return 200, {"content": {"membership": membership}, "sender": ME}
            case "leave":
                self.joined.discard(name)
                return 200, {}
            case "forget":
                return 200, {}
        if name not in self.joined:
            return 403, REFUSED
        match asked.what:
            case "joined_members":
                return 200, {"joined": {user: {} for user in (*room.members, ME)}}
            case "m.room.topic":
                return (404, MISSING) if room.topic is None else (200, {"topic": room.topic})
        return 404, UNRECOGNIZED


def always(what: str, *answer: Any, subject: str | None = None) -> Attack:
    """The attack that gives one answer to one question, about one subject if it is given."""
    return lambda asked: answer if asked.what == what and subject in (None, asked.subject) else None  # type: ignore[return-value]


@contextmanager
def running(rooms: Mapping[str, Room], attack: Attack | None = None, page: int = 100) -> Iterator[Hostile]:
    """A homeserver in threads."""
    home = Hostile(rooms, attack, page)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one(self) -> None:
            asked = _parsed(self)
            home.log.append(asked)
            answer = home.attack(asked)
            answer = home.answer(asked) if answer is None else answer
            if callable(answer):
                answer(self)
                return
            status, said, *headers = answer
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            for name, value in {**(headers[0] if headers else {}), "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = handle_one  # noqa: N815  so http.server wants it

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that hung up is none."""

    with Server(("127.0.0.1", 0), Handler) as server:
        home.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield home
        finally:
            server.shutdown()
            thread.join()


def _parsed(handler: BaseHTTPRequestHandler) -> Asked:
    parts = urlsplit(handler.path)
    _, _, _, *path = [unquote(part) for part in parts.path.split("/")[1:]] + [""] * 3
    query = parse_qs(parts.query)
    length = int(handler.headers.get("Content-Length") or 0)
    body = json.loads(handler.rfile.read(length)) if length else None
    what, subject = path[0], path[1]
    match path:
        case ["account", "whoami", *_]:
            what = "whoami"
        case ["user", user, "account_data", *_]:
            what, subject = "account_data", user
        case ["directory", _, alias, *_]:
            subject = alias
        case ["rooms", room, "state", kind, *_]:
            what, subject = kind, room
        case ["rooms", room, last, *_]:
            what, subject = last, room
        case ["publicRooms", *_]:
            subject = query["server"][0]
    if parts.path.endswith("/versions"):
        what = "versions"
    return Asked(what, subject, handler.command, query, body, dict(handler.headers), time.monotonic())
