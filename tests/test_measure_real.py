"""The crawl of real homeservers: three of Synapse that federate over TLS on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import fedgen
from fedgen.measure.config import Announcement, Config, Limits, Rooms
from fedgen.measure.crawl import Crawled, crawl
from fedgen.measure.exclusions import Exclusions
from fedgen.measure.journal import Journal
from fedgen.measure.pseudonyms import Pseudonyms
from tests.up_to_numbering import as_federation, shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.homeservers import Homeserver, User, World

QUICK = Limits(
    requests_per_second=200, joins_per_minute=6000, rooms_at_once=4, timeout_seconds=60, attempts=6, backoff_seconds=0.1
)
PUBLIC = ("lobby", "garden", "twelve", "attic", "campus")
"""The rooms of the small world that anybody may join; one more is by invitation."""


def everything(world: World, homeserver: Homeserver, **changes: Any) -> Config:
    """All directories, a space, and a room that is in neither."""
    rooms = Rooms(
        list=(world.named("attic").alias or "",),
        directories=tuple(one.name for one in world.homeservers),
        spaces=(world.named("campus").alias or "",),
    )
    said = Announcement(who="Tests", contact="@tests:example.org", website="https://example.org/tests")
    config = Config(homeserver=homeserver.plain_url, join=True, rooms=rooms, limits=QUICK, announcement=said)
    return msgspec.structs.replace(config, **changes)


def crawled(config: Config, user: User, journal: Journal) -> Crawled:
    return asyncio.run(crawl(config, user.token, journal))


def people(found: Crawled) -> dict[bytes, frozenset[bytes]]:
    return {one.room: frozenset(person.user for person in one.people) for one in found.visits if one.fate == "seen"}


def people_of(members: Mapping[str, frozenset[str]], journal: Journal) -> dict[bytes, frozenset[bytes]]:
    names = Pseudonyms.under(journal.key)
    return {names.room(room): frozenset(map(names.user, users)) for room, users in members.items()}


def public(world: World, *names: str) -> dict[str, frozenset[str]]:
    """The truth of rooms."""
    return {world.named(name).id: world.truth()[world.named(name).id] for name in names or PUBLIC}


def servers_of(members: frozenset[str]) -> frozenset[str]:
    return frozenset(user.partition(":")[2] for user in members)


def eventually(holds: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def command(config: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "fedgen.cli", "measure", "crawl", str(config), *more]


def ran(words: list[str], world: World) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, env=environment(world), capture_output=True, text=True, timeout=300, check=False)


def environment(world: World) -> dict[str, str]:
    return {**os.environ, "SSL_CERT_FILE": str(world.authority.ca)}


def written(world: World, homeserver: Homeserver, user: User, folder: Path, **changes: Any) -> Path:
    """The configuration as a file, with the token in another; over TLS."""
    plain = msgspec.to_builtins(everything(world, homeserver, **changes))
    plain |= {"homeserver": homeserver.url, "token_file": str(homeserver.token_file(user))}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items() if not isinstance(value, dict)]
    for table in ("rooms", "limits", "announcement"):
        lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in plain[table].items() if value)]
    path = folder / "crawl.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


class TestSmallWorld:
    @pytest.mark.parametrize("number", range(3))
    def test_joining_finds_the_truth(self, number: int, small_world: World) -> None:
        homeserver = small_world.homeservers[number]
        crawler = homeserver.register(f"crawler-joins-{number}")
        journal = Journal.fleeting()
        found = crawled(everything(small_world, homeserver), crawler, journal)
        assert people(found) == people_of(public(small_world), journal)
        assert homeserver.client("GET", "/joined_rooms", crawler) == {"joined_rooms": []}
        shown = homeserver.client("GET", f"/profile/{crawler.id}/displayname")
        assert shown == {"displayname": "Tests (https://example.org/tests)"}

    def test_not_joining_finds_servers_and_numbers_of_users(self, small_world: World) -> None:
        homeserver = small_world.homeservers[0]
        crawler = homeserver.register("crawler-looks")
        wanted: dict[bytes, tuple[frozenset[bytes], int]] = {}
        seen: list[dict[bytes, tuple[frozenset[bytes], int]]] = []

        def holds() -> bool:  # homeservers count their rooms' members a little after these change
            journal = Journal.fleeting()
            names = Pseudonyms.under(journal.key)
            found = crawled(everything(small_world, homeserver, join=False), crawler, journal)
            seen.append({one.room: (one.servers, one.users) for one in found.visits if one.fate == "seen"})
            wanted.clear()
            for room, members in public(small_world).items():
                wanted[names.room(room)] = frozenset(map(names.server, servers_of(members))), len(members)
            return seen[-1] == wanted

        eventually(holds, "what is seen from outside is not the truth")
        assert homeserver.client("GET", "/joined_rooms", crawler) == {"joined_rooms": []}

    @pytest.mark.parametrize("join", [True, False], ids=["joining", "not joining"])
    def test_from_the_crawl_to_a_sample(self, join: bool, small_world: World, tmp_path: Path) -> None:
        homeserver = small_world.homeservers[1]
        crawler = homeserver.register(f"crawler-{join}".lower())
        config = written(small_world, homeserver, crawler, tmp_path, join=join)
        data, model, sample = (str(tmp_path / name) for name in ("data.json", "model.json", "sample.json"))
        fedgen_ = [sys.executable, "-m", "fedgen.cli"]
        texts = []
        for words in (
            command(config, "-o", data),
            [*fedgen_, "fit", data, "-o", model],
            [*fedgen_, "sample", model, "--servers", "20", "-o", sample],
        ):
            done = ran(words, small_world)
            assert done.returncode == 0, done.stderr
            texts.append(done.stdout + done.stderr)
        assert fedgen.read(sample).n_servers == 20
        if join:
            assert shape(fedgen.read(data)) == shape(as_federation(public(small_world)))
        else:
            seen = fedgen.read_attendance(data)
            rooms = public(small_world).values()
            assert sorted(seen.servers_per_room.tolist()) == sorted(len(servers_of(members)) for members in rooms)
        config.unlink()
        texts += [path.read_text() for path in tmp_path.iterdir()]
        names = {"localhost", crawler.id, crawler.token, *PUBLIC, *small_world.rooms}
        assert not [name for name in names for text in texts if name in text]

    def test_it_comes_to_nothing_with_a_wrong_token(self, small_world: World, tmp_path: Path) -> None:
        homeserver = small_world.homeservers[0]
        crawler = homeserver.register("crawler-expired")
        config = written(small_world, homeserver, crawler, tmp_path)
        homeserver.client("POST", "/logout", crawler, {})
        words = command(config, "-o", str(tmp_path / "data.json"))
        done = subprocess.run(
            words, env=environment(small_world), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            "fedgen: error: the homeserver does not take the access token (M_UNKNOWN_TOKEN); get a new one, and go on "
            "by the same command"
        ]


@pytest.fixture
def filled(world: World) -> World:
    """Three homeservers that a test may do with as it likes."""
    from tests.homeservers import furnish

    world.start(None, None, None)
    furnish(world)
    return world


SLOW = msgspec.structs.replace(QUICK, requests_per_second=4, joins_per_minute=240, rooms_at_once=2)
"""A visit takes more than a second."""


@pytest.mark.slow
class TestTrouble:
    def test_opt_outs(self, filled: World) -> None:
        home, other, _ = filled.homeservers
        crawler = home.register("crawler")
        keeper = filled.register(other, "keeper")
        quiet = filled.create_room(keeper, "quiet", topic="No. MRS-noindex:true-MRS", published=True)
        banned = filled.create_room(keeper, "banned", published=True)
        other.client("POST", f"/rooms/{banned.id}/ban", keeper, {"user_id": crawler.id})
        kicks = filled.create_room(keeper, "kicks", published=True)
        filled.wait_until_converged()
        over = threading.Event()

        def kick() -> None:
            while not over.is_set():
                if crawler.id in other.members(kicks.id):
                    other.client("POST", f"/rooms/{kicks.id}/kick", keeper, {"user_id": crawler.id})
                    return
                time.sleep(0.05)

        watch = threading.Thread(target=kick)
        watch.start()
        try:
            journal = Journal.fleeting()
            found = crawled(everything(filled, home, limits=SLOW), crawler, journal)
        finally:
            over.set()
            watch.join()
        assert people(found) == people_of(public(filled), journal)
        names = Pseudonyms.under(journal.key)
        fates = {one.room: one.fate for one in found.visits}
        assert fates[names.room(quiet.id)] == "opted out: listed or marked"
        assert fates[names.room(banned.id)] == "opted out: kicked or banned"
        assert fates[names.room(kicks.id)] == "opted out: kicked or banned"
        # and a year later, when no homeserver would stop us
        again = crawled(everything(filled, home), crawler, journal := Journal.fleeting())
        fates = {one.room: one.fate for one in again.visits}
        assert fates[Pseudonyms.under(journal.key).room(kicks.id)] == "opted out: kicked or banned"
        assert crawler.id not in other.members(kicks.id)

    def test_servers_that_opted_out(self, filled: World) -> None:
        home, _, out = filled.homeservers
        crawler = home.register("crawler")
        journal = Journal.fleeting()
        found = crawled(everything(filled, home, leave_out=Exclusions(servers=(out.name,))), crawler, journal)
        names = Pseudonyms.under(journal.key)
        everybody = {person for one in found.visits for person in one.people}
        assert {person.server for person in everybody} == {names.server(one.name) for one in filled.homeservers[:2]}
        assert names.room(filled.named("lobby").id) in people(found)

    def test_429(self, world: World) -> None:
        from tests.homeservers import furnish

        few = {"per_second": 0.5, "burst_count": 1}
        world.start(None, None, None, settings={"rc_joins": {"local": few, "remote": few}})
        furnish_politely(world, furnish)
        home = world.homeservers[0]
        journal = Journal.fleeting()
        began = time.monotonic()
        found = crawled(everything(world, home), home.register("crawler"), journal)
        assert people(found) == people_of(public(world), journal)
        assert time.monotonic() - began > 4  # five joins at one in two seconds

    def test_a_server_that_goes_away(self, filled: World) -> None:
        """Rooms that only it knows are lost, and told; the others are there."""
        home, gone, _ = filled.homeservers
        crawler = home.register("crawler")
        journal = Journal.fleeting()
        stages = []

        def watch(stage: str, done: int, total: int) -> None:
            stages.append((stage, done, total))
            if stage == "visiting rooms" and done == 0:
                gone.kill()

        config = everything(filled, home, limits=msgspec.structs.replace(QUICK, attempts=2))
        found = asyncio.run(crawl(config, crawler.token, journal, progress=watch))
        fates = Counter(one.fate for one in found.visits)
        assert people(found) == people_of(public(filled, *(name for name in PUBLIC if name != "attic")), journal)
        assert fates["unanswered"] + fates["refused: by the homeserver"] == 1

    def test_a_kill_and_going_on(self, filled: World, tmp_path: Path) -> None:
        home = filled.homeservers[0]
        crawler = home.register("crawler")
        config = written(filled, home, crawler, tmp_path, limits=SLOW)
        words = command(config, "-o", str(tmp_path / "data.json"))
        for _ in range(3):
            with subprocess.Popen(words, env=environment(filled)) as run:
                eventually(
                    lambda: (
                        run.poll() is not None or bool(home.client("GET", "/joined_rooms", crawler)["joined_rooms"])
                    ),
                    "nothing was joined",
                )
                assert run.poll() is None
                run.send_signal(signal.SIGKILL)
        done = ran(words, filled)
        assert done.returncode == 0, done.stderr
        assert "continuing: " in done.stderr
        assert shape(fedgen.read(tmp_path / "data.json")) == shape(as_federation(public(filled)))
        assert home.client("GET", "/joined_rooms", crawler) == {"joined_rooms": []}


def furnish_politely(world: World, furnish: Callable[[World], None]) -> None:
    """Fill homeservers that limit joins: their users are freed of limits first."""
    register = world.register

    def freed(homeserver: Homeserver, localpart: str) -> User:
        user = register(homeserver, localpart)
        path = f"/_synapse/admin/v1/users/{user.id}/override_ratelimit"
        homeserver.api("POST", path, token=homeserver.admin.token, json={"messages_per_second": 0, "burst_count": 0})
        return user

    world.register = freed  # type: ignore[method-assign]
    furnish(world)
