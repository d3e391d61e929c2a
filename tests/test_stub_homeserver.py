"""The homeserver that the crawler's tests ask: its world, its answers, its faults, and how it judges clients."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import quote

import httpx
import pytest

from tests import stub_homeserver
from tests.stub_homeserver import (
    HOME,
    MARKER,
    ME,
    ODD,
    SHARES,
    TOKEN,
    Entry,
    Fate,
    Faults,
    Limits,
    Shape,
    Stub,
    World,
    asked_too_early,
    asked_twice,
    at_once,
    broken_limits,
    forbidden,
    make_world,
    never_left,
    process,
    read_log,
    running,
    server_of,
    sessions,
    truth,
    two_rooms_of_a_server,
    visits_at_once,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SIZE = ("--rooms", "60", "--servers", "12", "--users", "80", "--seed", "1")


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(60, 12, 80, seed=1)


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}", "User-Agent": "run-1"}, timeout=5) as client:
        yield client


@pytest.fixture
def stub(world: World) -> Iterator[Stub]:
    with running(world) as started:
        yield started


class Client:
    """A crawler as simple as one that is right can be."""

    def __init__(self, http: httpx.Client, url: str, timeout: float = 5.0, waits: bool = True) -> None:
        self.http, self.url, self.timeout, self.waits = http, url, timeout, waits

    def once(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One try; ``{}`` of a path is ``name``, encoded."""
        path = path.format(quote(more.pop("name", ""), safe=""))
        return self.http.request(method, f"{self.url}/_matrix/client/{path}", timeout=self.timeout, **more)

    def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Tries until there is an answer that says something."""
        for _ in range(8):
            try:
                got = self.once(method, path, **more)
                answer = got.json()
            except (httpx.TransportError, ValueError):
                continue
            if got.status_code == 429 and self.waits:
                time.sleep(waits_for(got) or 0.01)
            elif got.status_code != 429:
                return got.status_code, answer
        raise AssertionError(f"no answer to {method} {path} {more}")

    def pages(self, path: str, token: str, parts: str, **more: Any) -> Iterator[dict[str, Any]]:
        params = dict(more.pop("params", {}))
        while True:
            status, page = self.ask("GET", path, params=params, **more)
            if status != 200:
                return
            yield from page[parts]
            if "next_batch" not in page:
                return
            params[token] = page["next_batch"]

    def discover(self, world: World) -> dict[str, dict[str, Any]]:
        """The rooms of all directories and spaces."""
        found: dict[str, dict[str, Any]] = {}
        for server in world.directories:
            for room in self.pages("v3/publicRooms", "since", "chunk", params={"server": server, "limit": 10}):
                found[room["room_id"]] = found.get(room["room_id"], {}) | room
        queue = [room for room, told in found.items() if told.get("room_type") == "m.space"]
        asked: set[str] = set()
        while queue:
            space = queue.pop()
            if space in asked:
                continue
            asked.add(space)
            for room in self.pages("v1/rooms/{}/hierarchy", "from", "rooms", name=space, params={"limit": 7}):
                found[room["room_id"]] = found.get(room["room_id"], {}) | room
                for child in room["children_state"]:
                    found.setdefault(child["state_key"], {})
                if room.get("room_type") == "m.space":
                    asked.add(room["room_id"])
        return found

    def visit(self, room: str) -> list[str] | str:
        """Its members, or why there are none."""
        status, answer = self.ask("POST", "v3/join/{}", name=room, json={})
        if status != 200:
            return str(answer["errcode"])
        found: list[str] | str = "malformed"
        status, topic = self.ask("GET", "v3/rooms/{}/state/m.room.topic", name=room)
        if status == 200 and MARKER in topic["topic"]:
            found = "marked"
        else:
            for _ in range(5):
                status, answer = self.ask("GET", "v3/rooms/{}/joined_members", name=room)
                if status != 200:
                    found = answer["errcode"]
                    break
                if isinstance(answer, dict) and isinstance(answer.get("joined"), dict):
                    found = list(answer["joined"])
                    break
        status, _ = self.ask("POST", "v3/rooms/{}/leave", name=room)
        if status != 200:
            return "kicked"
        self.ask("POST", "v3/rooms/{}/forget", name=room)
        return found

    def crawl(self, world: World) -> dict[str, list[str]]:
        """The members of all rooms that may be reported."""
        found = {}
        for room, told in self.discover(world).items():
            if MARKER not in told.get("topic", ""):
                members = self.visit(room)
                if isinstance(members, list):
                    found[room] = members
        return found


def waits_for(got: httpx.Response) -> float | None:
    """The seconds that a 429 tells."""
    if "retry_after_ms" in got.json():
        return float(got.json()["retry_after_ms"]) / 1000
    told = got.headers.get("retry-after", "")
    if told.isdigit():
        return float(told)
    return parsedate_to_datetime(told).timestamp() - time.time() if told else None


def of_fate(world: World, fate: Fate, but: Callable[[str], bool] = lambda _: True) -> str:
    """A room."""
    return next(room for room, it in world.rooms.items() if it.fate == fate and not it.children and but(room))


def is_user(name: str) -> bool:
    return name.startswith("@") and bool(server_of(name))


def settled(stub: Stub, number: int) -> list[Entry]:
    """The log once so many requests have ended: that a client has given up is seen a little later."""
    for _ in range(400):
        if len(stub.log) >= number:
            break
        time.sleep(0.005)
    return stub.log


class TestWorld:
    def test_equal_arguments_equal_worlds(self, world: World) -> None:
        assert make_world(60, 12, 80, seed=1) == world != make_world(60, 12, 80, seed=2)

    def test_the_large_one(self) -> None:
        large = make_world()
        sizes = sorted(len(room.members) for room in large.rooms.values())
        assert len(sizes) == 2000
        assert sizes[0] == 1
        assert sizes[1000] <= 3
        assert sizes[-1] == 500
        assert len(large.servers) == 300
        assert len(large.users) == 4000
        homes = sorted(sum(server_of(user) == server for user in large.users) for server in large.servers)
        assert homes[0] >= 1
        assert homes[-1] > 50 * homes[150] / 4
        assert {room.fate for room in large.rooms.values()} == set(get_args(Fate))
        assert max(len(room.children) for room in large.rooms.values()) > 100
        assert 100 < sum(not server_of(room) for room in large.rooms) < 300
        listed = [room for rooms in large.directories.values() for room in rooms]
        assert len(listed) > 1.3 * len(set(listed))

    def test_a_server_lists_what_it_is_in(self, world: World) -> None:
        for name, rooms in world.directories.items():
            assert all(name in {HOME, *world.rooms[room].servers} for room in rooms)

    def test_too_small_for_all_fates(self) -> None:
        with pytest.raises(ValueError, match="too few"):
            make_world(5, 2, 10)

    def test_without_fates_all_is_open(self) -> None:
        small = make_world(10, 3, 10, shares={})
        assert set(truth(small).members) == set(small.rooms)


class TestTruth:
    def test_all_rooms_are_accounted_for(self, world: World) -> None:
        told = truth(world)
        parts = [set(told.members), told.unseen, *told.left_out.values()]
        assert sum(map(len, parts)) == len(world.rooms) == len(set().union(*parts))
        assert set(told.left_out) == {*SHARES} - {"odd", "unseen"}
        assert all(told.left_out.values())
        assert ME not in set().union(*told.members.values())

    def test_both_variants(self, world: World) -> None:
        dropped, failed = truth(world), truth(world, odd="failed", kicked_after="reported")
        assert set(dropped.members) - set(failed.members) == failed.left_out["odd"] != set()
        assert set(failed.members) - set(dropped.members) == dropped.left_out["kicked after"] != set()

    def test_fewer_directories_and_no_spaces(self, world: World) -> None:
        told = truth(world, directories=[HOME], spaces=False)
        assert frozenset(world.rooms) - told.unseen == set(world.directories[HOME])
        room = next(iter(told.unseen))
        assert room not in truth(world, directories=[HOME], spaces=False, seeds=[room]).unseen

    def test_an_old_server_tells_less(self) -> None:
        large = make_world()
        new, old = truth(large), truth(large, old=True)
        more = set(old.summaries) - set(new.summaries)
        assert {large.rooms[room].fate for room in more} == {"banned", "noindex"}
        assert all(large.rooms[room].stale for room in more if large.rooms[room].fate == "noindex")

    @pytest.mark.parametrize("old", [False, True])
    def test_without_joining(self, world: World, http: httpx.Client, old: bool) -> None:
        with running(world, Faults(old=old)) as stub:
            client, found = Client(http, stub.url), {}
            for room, told in client.discover(world).items():
                status, known = client.ask("GET", "v1/room_summary/{}", name=room)
                assert status == 200 or known["errcode"] == ("M_UNRECOGNIZED" if old else "M_NOT_FOUND")
                known = told | (known if status == 200 else {})
                servers: set[str] = set()
                status = 200 if known.get("room_id") else 404
                if "canonical_alias" in known:
                    status, answer = client.ask("GET", "v3/directory/room/{}", name=known["canonical_alias"])
                    servers = set(answer.get("servers", ()))
                refused = known.get("membership") == "ban" or known.get("join_rule") == "invite"
                if status == 200 and not refused and MARKER not in known.get("topic", ""):
                    found[room] = servers, known["num_joined_members"]
            wanted = truth(world, old=old).summaries
            assert found == {room: (set(it.servers), it.users) for room, it in wanted.items()}
            assert all(it.servers >= it.hinted - {HOME} for it in wanted.values() if it.servers)


class TestCrawled:
    def wanted(self, world: World) -> dict[str, set[str]]:
        return {room: set(users) for room, users in truth(world).members.items()}

    def found(self, client: Client, world: World) -> dict[str, set[str]]:
        crawled = client.crawl(world)
        assert all(ME in users for users in crawled.values())
        return {room: {user for user in users if is_user(user)} - {ME} for room, users in crawled.items()}

    def test_nothing_goes_wrong(self, world: World, http: httpx.Client, stub: Stub) -> None:
        assert self.found(Client(http, stub.url), world) == self.wanted(world)
        log = stub.log
        assert never_left(log) == stub.joined == []
        assert not [*asked_twice(log), *two_rooms_of_a_server(log), *forbidden(log), *asked_too_early(log)]
        assert at_once(log) == visits_at_once(log) == 1
        assert not truth(world).unseen & {entry.room for entry in log}
        joined = {entry.room for entry in log if entry.did == "joined"}
        assert not truth(world).never_join & joined
        assert {entry.did for entry in log} == {"", "joined", "left", "kicked", "forgotten"}

    def test_everything_goes_wrong(self, world: World, http: httpx.Client) -> None:
        faults = Faults(
            seed=7,
            errors=0.1,
            slow=0.01,
            closed=0.03,
            truncated=0.03,
            malformed=0.2,
            limited=0.03,
            hold=0.5,
            slow_share=0.01,
            retry_after=0.002,
            in_a_row=2,
            shapes=("body", "none"),
        )
        with running(world, faults) as stub:
            assert self.found(Client(http, stub.url, timeout=0.1), world) == self.wanted(world)
            log = stub.log
        assert never_left(log) == stub.joined == []
        assert asked_twice(log) == []
        assert {entry.fault for entry in log} >= {"error", "slow", "closed", "truncated", "malformed", "limited"}
        assert {entry.status for entry in log if entry.fault == "error"} == {500, 502, 504}


class TestAnswers:
    """The shapes, as Synapse gives them."""

    @pytest.fixture
    def client(self, http: httpx.Client, stub: Stub) -> Client:
        return Client(http, stub.url)

    def test_who_asks(self, client: Client, stub: Stub) -> None:
        assert "v1.15" in client.ask("GET", "versions")[1]["versions"]
        assert client.ask("GET", "v3/account/whoami")[1]["user_id"] == stub.me
        for headers, errcode in (({}, "M_MISSING_TOKEN"), ({"Authorization": "Bearer x"}, "M_UNKNOWN_TOKEN")):
            url = f"{stub.url}/_matrix/client/v3/account/whoami"
            # Headers of the client would be added.
            got = httpx.get(url, headers=headers)
            assert (got.status_code, got.json()["errcode"]) == (401, errcode)

    def test_what_is_stored(self, client: Client) -> None:
        for path in (f"v3/user/{ME}/account_data/org.example.crawl", f"v3/profile/{ME}/displayname"):
            assert client.ask("GET", path)[0] == 404
            assert client.ask("PUT", path, json={"displayname": "a crawler"}) == (200, {})
            assert client.ask("GET", path) == (200, {"displayname": "a crawler"})
        assert client.once("PUT", path, content=b"{").json()["errcode"] == "M_NOT_JSON"

    def test_directories(self, client: Client, world: World) -> None:
        server, rooms = max(world.directories.items(), key=lambda item: len(item[1]))
        status, page = client.ask("GET", "v3/publicRooms", params={"server": server, "limit": 3})
        assert status == 200
        assert page["total_room_count_estimate"] == len(rooms)
        assert [room["room_id"] for room in page["chunk"]] == list(rooms[:3])
        assert {"num_joined_members", "world_readable", "guest_can_join", "join_rule"} <= set(page["chunk"][0])
        listed = client.pages("v3/publicRooms", "since", "chunk", params={"server": server, "limit": 3})
        assert [room["room_id"] for room in listed] == list(rooms)
        asked = {"limit": 500, "filter": {"room_types": ["m.space"]}}
        _, spaces = client.ask("POST", "v3/publicRooms", params={"server": server}, json=asked)
        assert all(room["room_type"] == "m.space" for room in spaces["chunk"])
        asked = {"filter": {"generic_search_term": "room 1"}}
        assert client.ask("POST", "v3/publicRooms", json=asked)[1]["chunk"] != page["chunk"]
        assert client.ask("GET", "v3/publicRooms", params={"server": "nobody.example"})[0] == 502
        assert client.ask("GET", "v3/publicRooms", params={"since": "what"})[1]["errcode"] == "M_INVALID_PARAM"

    def test_spaces(self, client: Client, world: World) -> None:
        space = next(room for room in world.rooms.values() if len(room.children) > 8)
        rooms = list(client.pages("v1/rooms/{}/hierarchy", "from", "rooms", name=space.room_id, params={"limit": 4}))
        assert [child["state_key"] for child in rooms[0]["children_state"]] == list(space.children)
        seen = {*space.children} - {r for r, it in world.rooms.items() if it.fate in ("invite only", "gone")}
        assert {room["room_id"] for room in rooms[1:]} == seen
        assert all(child["content"]["via"] for child in rooms[0]["children_state"])
        assert client.ask("GET", "v1/rooms/{}/hierarchy", name=of_fate(world, "invite only"))[0] == 403

    def test_aliases_are_decoded_after_paths_are_cut(self, client: Client, world: World) -> None:
        room = next(room for room in world.rooms.values() if room.alias and "/" in room.alias)
        for path in ("v3/directory/room/{}", "v1/room_summary/{}"):
            status, answer = client.ask("GET", path, name=room.alias)
            assert (status, answer["room_id"]) == (200, room.room_id)
        assert client.ask("POST", "v3/join/{}", name=room.alias)[1] == {"room_id": room.room_id}
        gone = world.rooms[of_fate(world, "gone")]
        assert client.ask("GET", "v3/directory/room/{}", name=gone.alias)[1]["errcode"] == "M_NOT_FOUND"

    @pytest.mark.parametrize("fate", get_args(Fate))
    def test_what_becomes_of_a_visit(self, client: Client, world: World, stub: Stub, fate: Fate) -> None:
        room = of_fate(world, fate)
        found = client.visit(room)
        assert stub.joined == []
        match fate:
            case "open" | "unseen":
                assert set(found) == {*world.rooms[room].members, ME}
            case "odd":
                assert set(found) == {*world.rooms[room].members, ME, *ODD}
            case "noindex":
                assert found == "marked"
            case "malformed":
                assert found == "malformed"
            case "kicked before" | "kicked after":
                assert found == "kicked"
                status, event = client.ask("GET", f"v3/rooms/{{}}/state/m.room.member/{ME}?format=event", name=room)
                assert status == 200
                assert event["sender"] != ME
                assert event["content"]["membership"] == ("ban" if world.rooms[room].banning else "leave")
            case "gone":
                assert found in ("M_NOT_FOUND", "M_UNKNOWN")
            case _:
                assert found == "M_FORBIDDEN"
        told = client.ask("GET", "v1/room_summary/{}", name=room)[1].get("membership")
        assert (told == "ban") == (fate not in ("gone", "invite only") and world.rooms[room].banning and fate != "open")

    def test_inside_and_after(self, client: Client, world: World) -> None:
        room = next(r for r, it in world.rooms.items() if it.fate == "open" and it.topic and not it.world_readable)
        topic, forget = ("GET", "v3/rooms/{}/state/m.room.topic/"), ("POST", "v3/rooms/{}/forget")
        assert client.ask(*topic, name=room)[0] == 403
        assert client.ask("POST", "v3/rooms/{}/leave", name=room)[0] == 404
        assert client.ask("POST", "v3/rooms/{}/join", name=room)[0] == 200
        assert client.ask("GET", "v3/joined_rooms") == (200, {"joined_rooms": [room]})
        assert client.ask(*topic, name=room) == (200, {"topic": world.rooms[room].topic})
        assert client.ask("GET", f"v3/rooms/{{}}/state/m.room.member/{ME}", name=room) == (200, {"membership": "join"})
        size = client.ask("GET", "v1/room_summary/{}", name=room)[1]["num_joined_members"]
        assert size == len(world.rooms[room].members) + 1
        assert client.ask(*forget, name=room)[0] == 400
        # An answer that was lost may be asked for again.
        for path in ("v3/rooms/{}/leave", "v3/rooms/{}/forget"):
            for _ in range(2):
                assert client.ask("POST", path, name=room) == (200, {})
        assert client.ask(*topic, name=room)[0] == 403

    def test_a_room_of_ones_own(self, client: Client) -> None:
        asked = {"room_alias_name": "about", "topic": "why we crawl"}
        status, room = client.ask("POST", "v3/createRoom", json=asked)
        assert status == 200
        assert client.ask("GET", "v3/directory/room/{}", name=f"#about:{HOME}")[1]["room_id"] == room["room_id"]
        assert client.ask("POST", "v3/createRoom", json=asked)[1]["errcode"] == "M_ROOM_IN_USE"
        assert client.ask("GET", "v3/joined_rooms")[1] == {"joined_rooms": [room["room_id"]]}

    def test_via(self, world: World, http: httpx.Client) -> None:
        known = {*world.directories[HOME]}
        room = world.rooms[of_fate(world, "open", lambda name: name not in known)]
        with running(world, Faults(needs_via=True)) as stub:
            client = Client(http, stub.url)
            for method, path in (("GET", "v1/room_summary/{}"), ("POST", "v3/join/{}")):
                assert client.ask(method, path, name=room.room_id)[0] == 404
                assert client.ask(method, path, name=room.room_id, params={"via": "nobody.example"})[0] == 404
                assert client.ask(method, path, name=room.room_id, params={"via": room.via})[0] == 200

    @pytest.mark.parametrize("path", ["v3/sync", "v3/rooms/!a:b/messages", "v3/rooms/!a:b/event/$x", "v3/search"])
    def test_messages_are_forbidden(self, client: Client, stub: Stub, path: str) -> None:
        assert client.ask("GET", path)[1]["errcode"] == "M_UNRECOGNIZED"
        assert client.ask("GET", "v3/capabilities")[1]["errcode"] == "M_UNRECOGNIZED"
        assert [entry.subject for entry in forbidden(stub.log)] == [f"/_matrix/client/{path}"]


class TestFaults:
    """One at a time, at the rate of one."""

    def struck(
        self, world: World, http: httpx.Client, faults: Faults, timeout: float = 0.1
    ) -> tuple[list[httpx.Response | Exception], list[Entry], int]:
        """Answers to a join until the right one, the log, and how often the join was carried out before that."""
        got: list[httpx.Response | Exception] = []
        with running(world, faults) as stub:
            client = Client(http, stub.url, timeout)
            for _ in range(4):
                inside = len(stub.joined)
                try:
                    got.append(client.once("POST", "v3/join/{}", name=of_fate(world, "open")))
                except httpx.TransportError as error:
                    got.append(error)
            return got, settled(stub, 4), inside

    @pytest.mark.parametrize("late", [0, 1])
    @pytest.mark.parametrize("wrong", ["errors", "slow", "closed"])
    def test_before_and_after(self, world: World, http: httpx.Client, wrong: str, late: int) -> None:
        rate: Any = {wrong: 1.0}
        faults = Faults(**rate, late=late, hold=0.3)
        got, log, inside = self.struck(world, http, faults)
        assert inside == late
        assert [entry.late for entry in log] == [bool(late)] * 3 + [False]
        assert [entry.answered for entry in log] == [False] * 3 + [True]
        assert asked_twice(log) == []
        assert isinstance(got[-1], httpx.Response)
        assert got[-1].json() == {"room_id": of_fate(world, "open")}
        for one in got[:-1]:
            if wrong == "errors":
                assert isinstance(one, httpx.Response)
                assert one.status_code in (500, 502, 504)
                assert one.headers["content-type"] == "text/html"
            else:
                assert isinstance(one, httpx.ReadTimeout if wrong == "slow" else httpx.RemoteProtocolError)

    def test_truncated(self, world: World, http: httpx.Client) -> None:
        got, _, inside = self.struck(world, http, Faults(truncated=1.0))
        assert inside == 1
        assert isinstance(got[0], httpx.Response)
        assert got[0].status_code == 200
        with pytest.raises(ValueError, match="Expecting"):
            got[0].json()

    def test_the_first_tries_are_slow(self, world: World, http: httpx.Client) -> None:
        got, _, _ = self.struck(world, http, Faults(slow_share=1.0, slow_tries=2, hold=0.3))
        assert [isinstance(one, httpx.ReadTimeout) for one in got] == [True, True, False, False]

    def test_who_waits_is_answered(self, world: World, http: httpx.Client) -> None:
        got, log, _ = self.struck(world, http, Faults(slow=1.0, hold=0.02), timeout=5)
        assert all(isinstance(one, httpx.Response) and one.status_code == 200 for one in got)
        assert all(entry.ended - entry.began > 0.02 for entry in log[:3])

    def test_all_answers_take_their_time(self, world: World, http: httpx.Client) -> None:
        """And to who does not wait for them nothing was answered."""
        got, log, inside = self.struck(world, http, Faults(latency=0.02), timeout=5)
        assert all(entry.ended - entry.began > 0.02 and entry.complete for entry in log)
        got, log, inside = self.struck(world, http, Faults(latency=0.15))
        assert all(isinstance(one, httpx.ReadTimeout) for one in got)
        assert inside == 1
        assert not any(entry.complete for entry in log)

    def test_members(self, world: World, http: httpx.Client) -> None:
        room = of_fate(world, "open")
        with running(world, Faults(malformed=1.0)) as stub:
            client = Client(http, stub.url)
            client.ask("POST", "v3/join/{}", name=room)
            answers = [client.ask("GET", "v3/rooms/{}/joined_members", name=room)[1] for _ in range(4)]
        assert not any(isinstance(one, dict) and isinstance(one.get("joined"), dict) for one in answers[:3])
        assert set(answers[3]["joined"]) == {*world.rooms[room].members, ME}

    @pytest.mark.parametrize("shape", get_args(Shape))
    def test_limited(self, world: World, http: httpx.Client, shape: Shape) -> None:
        got, log, inside = self.struck(world, http, Faults(limited=1.0, retry_after=1.5, shapes=(shape,)))
        assert inside == 0
        one = got[0]
        assert isinstance(one, httpx.Response)
        assert one.status_code == 429
        assert one.json()["errcode"] == "M_LIMIT_EXCEEDED"
        assert ("retry_after_ms" in one.json()) == (shape == "body")
        assert ("retry-after" in one.headers) == (shape in ("header", "date"))
        told = log[0].wait_until
        if shape == "none":
            assert waits_for(one) is told is None
        else:
            assert told is not None
            assert 1.4 < told - log[0].began < 2.6

    def test_the_same_at_the_same_number(self) -> None:
        faults = Faults(seed=3, errors=0.1)
        drawn = [faults.draw(number, False) for number in range(4000)]
        assert drawn == [faults.draw(number, False) for number in range(4000)]
        assert 300 < sum(wrong == "error" for wrong, _, _ in drawn) < 500
        assert drawn != [Faults(seed=4, errors=0.1).draw(number, False) for number in range(4000)]

    def test_the_servers_own_limits(self, world: World, http: httpx.Client) -> None:
        room = of_fate(world, "open")
        limits = Limits(requests_per_second=20, burst=5, joins_per_second=10, join_burst=1)
        with running(world, Faults(shapes=("body",)), limits) as stub:
            client = Client(http, stub.url)
            found = [client.once("GET", "versions").status_code for _ in range(8)]
            assert found[:5] == [200] * 5
            assert 429 in found[5:]
            time.sleep(0.06)
            for _ in range(3):
                client.ask("POST", "v3/join/{}", name=room)
            log = stub.log
        answered = [entry.began for entry in log if entry.endpoint == "join" and entry.status == 200]
        assert answered[2] - answered[0] > 0.19
        assert {entry.fault for entry in log if entry.status == 429} == {"limit"}
        assert not [early for early in asked_too_early(log, reaction=0) if early.entry.endpoint == "join"]


class TestJudgement:
    """A client that does wrong is caught; one that does right is not."""

    @pytest.fixture
    def client(self, http: httpx.Client, stub: Stub) -> Client:
        return Client(http, stub.url)

    @pytest.fixture
    def rooms(self, world: World) -> tuple[str, str, str]:
        """Two open rooms of one server, and one of another."""
        there = [room for room, it in world.rooms.items() if it.fate == "open" and server_of(room)]
        for first in there:
            same = [room for room in there if server_of(room) == server_of(first) and room != first]
            other = [room for room in there if server_of(room) != server_of(first)]
            if same and other:
                return first, same[0], other[0]
        raise AssertionError

    def test_asked_twice(self, client: Client, stub: Stub, world: World) -> None:
        room = of_fate(world, "open")
        client.visit(room)
        client.ask("GET", "v3/publicRooms", params={"limit": 2})
        client.ask("GET", "v3/publicRooms", params={"limit": 2, "since": "page_2"})
        client.ask("GET", "v3/joined_rooms")
        client.ask("GET", "v3/joined_rooms")
        assert asked_twice(stub.log) == []
        client.ask("POST", "v3/join/{}", name=room, params={"via": "server1.example"})
        client.ask("GET", "v3/publicRooms", params={"limit": 2})
        found = asked_twice(stub.log)
        assert sorted(repeat.key[1] for repeat in found) == ["join", "publicRooms"]
        assert [len(repeat.entries) for repeat in found] == [2, 2]

    def test_asked_again_after_a_kill(self) -> None:
        def entry(number: int, ended: float, endpoint: str, room: str = "!a:b", did: str = "") -> Entry:
            done: Any = {
                "method": "POST",
                "endpoint": endpoint,
                "room": room,
                "status": 200,
                "complete": True,
                "did": did,
            }
            return Entry(number, f"run-{int(ended > 10)}", 1, ended - 0.01, ended, **done)

        log = [
            *(entry(1, 5.0, "join", did="joined"), entry(2, 9.8, "joined_members"), entry(3, 9.9, "topic")),
            *(entry(4, 20.0, "joined_members"), entry(5, 20.1, "topic")),
        ]
        assert len(asked_twice(log)) == 2
        assert asked_twice(log, kills=[10.0]) == []
        assert len(asked_twice(log, kills=[10.0], grace=0.15)) == 1
        assert len(asked_twice(log, kills=[10.0], per_kill=1)) == 1
        log.append(entry(6, 20.2, "join", did="joined"))
        assert [repeat.key[1] for repeat in asked_twice(log, kills=[10.0])] == ["join"]
        assert asked_twice(log, kills=[10.0], open_visits=True) == []
        log.append(entry(7, 9.95, "leave", did="left"))
        assert [repeat.key[1] for repeat in asked_twice(log, kills=[10.0], open_visits=True)] == ["join"]
        # Not a third time.
        assert asked_twice([*log[:5], entry(8, 21.0, "topic")], kills=[10.0]) != []

    def test_broken_limits(self, client: Client, stub: Stub, world: World) -> None:
        rooms = [room for room, it in world.rooms.items() if it.fate == "open"][:4]
        for room in rooms:
            client.ask("POST", "v3/join/{}", name=room)
            time.sleep(0.1)
        log = stub.log
        assert broken_limits(log, requests_per_second=10, joins_per_minute=600) == []
        assert [excess.limit for excess in broken_limits(log, 5, 600)] == ["requests"] * 2
        assert [excess.limit for excess in broken_limits(log, 10, 300)] == ["joins"] * 2
        assert broken_limits(log, 5, 300, burst=3, join_burst=3) == []

    def test_bursts(self) -> None:
        log = [Entry(number, "a", 1, began) for number, began in enumerate([0, 0, 0, 0.5, 1.0, 1.2, 9.0, 9.0, 9.0])]
        assert [excess.entry.number for excess in broken_limits(log, 2, burst=3)] == [5]
        assert len(broken_limits(log, 2, burst=1)) == 5

    def test_asked_too_early(self, world: World, http: httpx.Client) -> None:
        def log(waits: bool) -> list[Entry]:
            faults = Faults(limited=1.0, retry_after=0.3, in_a_row=1, shapes=("body",))
            with running(world, faults) as stub:
                client = Client(http, stub.url, waits=waits)
                client.once("GET", "versions")
                # What was already on its way.
                client.once("GET", "v3/joined_rooms")
                time.sleep(0.3 if waits else 0.12)
                client.ask("GET", "v3/account/whoami")
                return stub.log

        assert asked_too_early(log(waits=True)) == []
        found = asked_too_early(log(waits=False))
        assert [early.entry.endpoint for early in found] == ["whoami", "whoami"][: len(found)] != []
        later = [Entry(1, "a", 1, 0, 0, complete=True, wait_until=5), Entry(2, "b", 2, 3, 3), Entry(3, "b", 2, 5, 5)]
        assert asked_too_early(later) == []
        assert [early.seconds for early in asked_too_early(later, across_sessions=True)] == [2]

    def test_two_rooms_of_a_server(self, client: Client, stub: Stub, rooms: tuple[str, str, str]) -> None:
        first, same, other = rooms
        client.visit(same)
        client.ask("POST", "v3/join/{}", name=first)
        client.visit(other)
        client.ask("POST", "v3/rooms/{}/leave", name=first)
        assert two_rooms_of_a_server(stub.log) == []
        assert visits_at_once(stub.log) == 2
        client.ask("POST", "v3/join/{}", name=first)
        client.visit(same)
        client.ask("POST", "v3/rooms/{}/leave", name=first)
        (found,) = two_rooms_of_a_server(stub.log)
        assert (found.server, {found.first.room, found.second.room}) == (server_of(first), {first, same})
        assert len(two_rooms_of_a_server(stub.log, servers=lambda _: "one")) == 2

    def test_who_gave_up_waiting_is_elsewhere(self, rooms: tuple[str, str, str]) -> None:
        asked: Any = {"method": "GET", "endpoint": "topic"}
        gone = Entry(1, "a", 1, 0.0, 1.01, **asked, room=rooms[0])
        for began, caught in ((1.0, False), (0.9, True)):
            log = [gone, Entry(2, "a", 2, began, 2.0, **asked, room=rooms[1], complete=True)]
            assert bool(two_rooms_of_a_server(log)) == caught
            assert at_once(log) == visits_at_once(log) == 1 + caught

    def test_never_left(self, client: Client, stub: Stub, rooms: tuple[str, str, str], world: World) -> None:
        client.visit(rooms[0])
        client.visit(of_fate(world, "kicked before"))
        client.visit(of_fate(world, "kicked after"))
        assert never_left(stub.log) == []
        client.ask("POST", "v3/join/{}", name=rooms[1])
        assert never_left(stub.log) == [rooms[1]] == stub.joined

    def test_never_left_though_the_answer_was_lost(self, world: World, http: httpx.Client) -> None:
        room = of_fate(world, "open")
        with running(world, Faults(closed=1.0, late=1.0)) as stub:
            with pytest.raises(httpx.RemoteProtocolError):
                Client(http, stub.url).once("POST", "v3/join/{}", name=room)
            assert never_left(settled(stub, 1)) == [room]

    def test_at_once(self) -> None:
        stretches = [(0.0, 2.0), (1.0, 3.0), (2.0, 4.0), (2.5, 2.6)]
        assert at_once([Entry(i, "", 1, *stretch) for i, stretch in enumerate(stretches)]) == 3
        assert at_once([]) == 0

    def test_at_once_is_seen_of_a_server_that_takes_its_time(self, world: World, rooms: tuple[str, str, str]) -> None:
        async def ask(url: str) -> None:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(base_url=f"{url}/_matrix/client/v3/join/", headers=headers) as client:
                await asyncio.gather(*(client.post(quote(room, safe="")) for room in rooms))

        with running(world, Faults(latency=0.1)) as stub:
            asyncio.run(ask(stub.url))
            assert at_once(stub.log) == visits_at_once(stub.log) == 3
            (found,) = two_rooms_of_a_server(stub.log)
            assert {found.first.room, found.second.room} == {*rooms[:2]}

    def test_sessions(self, client: Client, stub: Stub) -> None:
        client.ask("GET", "versions")
        client.ask("GET", "versions", headers={"User-Agent": "run-2"})
        assert {name: len(log) for name, log in sessions(stub.log).items()} == {"run-1": 1, "run-2": 1}


KILLED = """
import httpx, sys
with httpx.Client(base_url=sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]}) as client:
    client.post("/_matrix/client/v3/join/" + sys.argv[3])
    print("in", flush=True)
    client.get("/_matrix/client/v3/account/whoami", timeout=60)
"""


class TestProcess:
    def test_clients_are_killed(self, world: World, http: httpx.Client, tmp_path: Path) -> None:
        """It remembers what they did; its log tells of what they were about."""
        room, log = of_fate(world, "open"), tmp_path / "log.jsonl"
        with process(*SIZE, "--log", str(log), "--fault-slow-share", "1", "--fault-hold", "0.4") as stub:
            command = [sys.executable, "-c", KILLED, stub.url, stub.token, room.replace(":", "%3A")]
            for _ in range(2):
                with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
                    assert killed.stdout is not None
                    assert killed.stdout.readline() == "in\n"
                    time.sleep(0.05)
                    os.kill(killed.pid, signal.SIGKILL)
            client = Client(http, stub.url)
            assert client.ask("GET", "v3/joined_rooms") == (200, {"joined_rooms": [room]})
        found = read_log(log)
        assert [entry.endpoint for entry in found if not entry.complete] == ["whoami"]
        assert never_left(found) == [room]

    def test_its_world_is_the_one_we_know(self, world: World, http: httpx.Client) -> None:
        with process(*SIZE, "--fault-shapes", "date", "--fault-old", "--limit-burst", "2.5") as stub:
            assert set(Client(http, stub.url).discover(world)) == set(world.rooms) - truth(world).unseen

    def test_the_log_goes_on(self, world: World, http: httpx.Client, tmp_path: Path) -> None:
        log = tmp_path / "log.jsonl"
        for _ in range(2):
            with running(world, log=log) as stub:
                Client(http, stub.url).ask("GET", "versions")
        with log.open("a") as file:
            file.write('{"number": 3, "sess')
        assert [entry.number for entry in read_log(log)] == [1, 1]
        assert read_log(log)[1:] == stub.log

    def test_on_a_leash(self) -> None:
        command = [sys.executable, stub_homeserver.__file__, "--leash", *SIZE]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
            assert started.stdout is not None
            assert started.stdin is not None
            assert int(started.stdout.readline()) > 0
            started.stdin.close()
            assert started.wait(5) == 0
