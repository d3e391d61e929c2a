"""A snapshot by Synapse's admin API: the truth, whatever order pages come in, and refusals told in one line."""

import asyncio
import json
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import assume, given

from fedgen.cli.commands import run
from fedgen.errors import FedgenError, MeasureError
from fedgen.measure import admin
from fedgen.measure.client import Question, RefusedError
from fedgen.measure.exclusions import Admission, Exclusions
from fedgen.measure.survey import Survey
from tests.synapse_world import OURS, Room, World, worlds
from tests.test_measure_synapse import NAMES, WORLD, federation_in, hashed, seen_triples
from tests.up_to_numbering import shape

Captured = pytest.CaptureFixture[str]


class Api:
    """The admin API of a homeserver that knows a world, in the shapes that Synapse gives its answers."""

    def __init__(self, world: World) -> None:
        self.rooms = {room.id: room for room in world.rooms}
        self.asked: list[str] = []
        self.before: Callable[[], None] = lambda: None

    async def ask(self, question: Question) -> Mapping[str, Any]:
        params = {name: str(value) for name, value in (question.params or {}).items()}
        return self.answer(question.method, question.path, params)

    def answer(self, method: str, path: str, params: Mapping[str, str]) -> dict[str, Any]:
        assert method == "GET"
        self.before()
        self.asked.append(path)
        parts = path.removeprefix("/_synapse/admin/v1/rooms").split("/")
        if len(parts) == 1:
            return self._page(int(params["from"]), int(params["limit"]))
        room = self.rooms.get(unquote(parts[1]))
        if room is None:
            raise RefusedError(404, "M_NOT_FOUND")
        if parts[2:] == ["members"]:
            return {"members": room.joined(), "total": len(room.joined())}
        topic = room.rich_topic or room.topic
        return {**self._entry(room), "topic": topic if isinstance(topic, str) else None}

    def _page(self, start: int, limit: int) -> dict[str, Any]:
        rooms = list(self.rooms.values())
        page: dict[str, Any] = {
            "offset": start,
            "rooms": [self._entry(room) for room in rooms[start : start + limit]],
            "total_rooms": len(rooms),
        }
        if start + limit < len(rooms):
            page["next_batch"] = start + limit
        return page

    def _entry(self, room: Room) -> dict[str, Any]:
        ours = sum(user.endswith(f":{OURS}") for user in room.joined()) if room.ours else 0
        return {"room_id": room.id, "canonical_alias": room.alias, "joined_local_members": ours}


def surveyed(api: Api, rules: Exclusions) -> Survey:
    return asyncio.run(admin.survey(api.ask, Admission(rules, NAMES)))


def as_seen(world: World) -> World:
    """The world as far as the API tells it: nothing of partial state, one alias, one topic."""
    rooms = (
        Room(r.id, r.members, r.ours, False, r.topic if not r.rich_topic else None, r.rich_topic, r.alias)
        for r in world.rooms
    )
    return World(tuple(rooms), world.rules)


@given(world=worlds())
def test_the_snapshot_is_the_truth(world: World) -> None:
    world = as_seen(world)
    assume(world.triples())
    api = Api(world)
    seen = surveyed(api, world.rules)
    assert seen_triples(seen) == hashed(world)
    assert shape(seen.federation()) == shape(world.federation())
    assert len(api.asked) == len(set(api.asked)) > 1, "something was asked twice"


def test_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "_PAGE", 2)
    api = Api(WORLD)
    assert seen_triples(surveyed(api, WORLD.rules)) == hashed(as_seen(WORLD))
    assert api.asked.count("/_synapse/admin/v1/rooms") == 8, "the list was not read twice"


def test_a_room_deleted_while_pages_are_turned_loses_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "_PAGE", 2)
    rooms = tuple(Room(f"!r{i}", {f"@u{i}:{OURS}": "join"}) for i in range(9))
    api = Api(World(rooms))

    def delete() -> None:
        if len(api.asked) == 2:
            api.rooms.pop("!r0", None)

    api.before = delete
    seen = surveyed(api, Exclusions())
    assert seen.told()["rooms"] == {"seen": 8, "gone": 1}
    assert seen_triples(seen) == hashed(World(rooms[1:]))


def test_without_a_marker_topics_are_not_asked() -> None:
    api = Api(WORLD)
    surveyed(api, Exclusions(marker=""))
    assert all(path.endswith(("rooms", "/members")) for path in api.asked)


@pytest.mark.parametrize("answer", [{}, {"rooms": 3, "total_rooms": 1}, {"rooms": [], "total_rooms": "x"}])
def test_answers_of_something_else(answer: dict[str, Any]) -> None:
    async def ask(question: Question) -> Mapping[str, Any]:  # noqa: ARG001
        return answer

    with pytest.raises(MeasureError, match="as no Synapse does"):
        asyncio.run(admin.survey(ask, Admission(Exclusions(), NAMES)))


TOKEN = "syt_verborgen"


@contextmanager
def served(world: World, status: int = 200, code: str = "") -> Iterator[str]:
    """The API over HTTP, for who has the token."""
    api = Api(world)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            params = {key: values[0] for key, values in parse_qs(parts.query).items()}
            found: tuple[int, dict[str, Any]] = (status, {"errcode": code, "error": f"not for {world.rooms[0].id}"})
            if status == 200 and self.headers["Authorization"] == f"Bearer {TOKEN}":
                try:
                    found = 200, api.answer("GET", parts.path, params)
                except RefusedError as error:
                    found = error.status, {"errcode": error.code}
            body = json.dumps(found[1]).encode()
            self.send_response(found[0])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "token").chmod(0o600)
    return tmp_path / "token"


def test_by_the_command_line(
    token_file: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["fedgen.cli.measure.synapse"], "REQUESTS_PER_SECOND", 1000.0)
    out = tmp_path / "data.json"
    with served(WORLD) as url:
        assert run(["measure", "synapse", url, "-o", str(out), "--token-file", str(token_file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["measurement"]["way"] == "admin api"
    world = as_seen(World(WORLD.rooms))
    assert shape(federation_in(out)) == shape(world.federation())
    written = out.read_text() + json.dumps(told["measurement"])
    assert not [name for name in (*WORLD.names(), TOKEN) if name in written]


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (401, "M_UNKNOWN_TOKEN", "does not take the access token"),
        (401, "", "does not take the access token"),
        (403, "M_FORBIDDEN", "no administrator's"),
        (404, "M_UNRECOGNIZED", "has no admin API there"),
        (400, "M_VERBORGEN", "refuses to answer (400)"),
    ],
)
def test_refusals_are_one_line(
    status: int,
    code: str,
    told: str,
    token_file: Path,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = str(tmp_path / "data.json")
    with served(WORLD, status, code) as url:
        words = ["measure", "synapse", url, "-o", out, "--token-file", str(token_file)]
        assert run(words) == 1
        err = capsys.readouterr().err
        monkeypatch.setenv("FEDGEN_DEBUG", "1")
        with pytest.raises(FedgenError) as caught:
            run(words)
    assert err.count("\n") == 1
    assert told in err
    shown = err + "".join(traceback.format_exception(caught.value))
    assert not [name for name in (*WORLD.names(), TOKEN, "M_VERBORGEN", url) if name in shown]
