"""The homeservers that other tests measure: they agree on who is where, and end with the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import psycopg
import pytest

from tests.homeservers import UNLIMITED, Port, RefusedError, furnish

if TYPE_CHECKING:
    from pathlib import Path

    from tests.homeservers import Postgres, World

# Starts one homeserver, says who it is, and waits to be killed.
ORPHAN = """
import pathlib, sys, time
from tests.homeservers import World
world = World(*map(pathlib.Path, sys.argv[1:]))
print(world.start(None)[0].pid, flush=True)
time.sleep(600)
"""


def seen(world: World) -> dict[str, frozenset[str]]:
    """Who is in which room, as the homeserver of each room's creator tells that user."""
    return {
        id_: frozenset(world.of(room.creator).client("GET", f"/rooms/{id_}/joined_members", room.creator)["joined"])
        for id_, room in world.rooms.items()
    }


class TestSmallWorld:
    def test_homeservers_see_the_truth(self, small_world: World) -> None:
        assert not list(small_world.differences())
        assert {
            id_: users & small_world.users.keys() for id_, users in seen(small_world).items()
        } == small_world.truth()

    def test_rooms(self, small_world: World) -> None:
        sizes = {room.name: len(room.members) for room in small_world.rooms.values()}
        assert sizes == {"lobby": 23, "garden": 6, "twelve": 7, "attic": 6, "cellar": 3, "campus": 2}
        assert ":" not in small_world.named("twelve").id

    def test_directory_is_open_to_all(self, small_world: World) -> None:
        first = small_world.homeservers[0]
        listed = httpx.get(
            f"{first.url}/_matrix/client/v3/publicRooms", verify=small_world.authority.context(), trust_env=False
        ).json()["chunk"]
        assert {room["name"] for room in listed} == {"lobby", "campus"}

    def test_outsiders_are_no_part_of_the_truth(self, small_world: World) -> None:
        homeserver, lobby = small_world.homeservers[1], small_world.named("lobby")
        outsider = homeserver.register("outsider")
        path = f"/rooms/{lobby.id}"
        homeserver.client("POST", f"{path}/join", outsider)
        assert outsider.id in homeserver.client("GET", f"{path}/joined_members", outsider)["joined"]
        small_world.wait_until_converged()
        homeserver.client("POST", f"{path}/leave", outsider)
        assert homeserver.token_file(outsider).read_text() == f"{outsider.token}\n"


class TestWorld:
    @pytest.mark.slow
    def test_a_homeserver_that_was_away_catches_up(self, world: World) -> None:
        first, second = world.start(None, None)
        here, there, late = (
            world.register(first, "here"),
            world.register(second, "there"),
            world.register(first, "late"),
        )
        room = world.create_room(here, "room")
        world.join(there, room)
        second.kill()
        world.join(late, room)
        world.wait_until_converged()
        second.start()
        second.wait()
        world.wait_until_converged()

    @pytest.mark.slow
    def test_limits(self, world: World) -> None:
        slow = {"rc_joins": {"local": {"per_second": 0.1, "burst_count": 1}, "remote": UNLIMITED}}
        (homeserver,) = world.start(None, settings=slow)
        user, other = world.register(homeserver, "user"), world.register(homeserver, "other")
        rooms = [world.create_room(other, name) for name in ("one", "two", "three")]
        with pytest.raises(RefusedError, match="429") as refused:
            world.join(user, *rooms)
        assert refused.value.errcode == "M_LIMIT_EXCEEDED"

    @pytest.mark.slow
    def test_settings_that_it_refuses_end_with_its_log(self, world: World) -> None:
        with pytest.raises(AssertionError, match=r"ended early.*(?s:.*)rc_joins"):
            world.start(None, settings={"rc_joins": "none"})

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process die with its parent")
    @pytest.mark.slow
    def test_homeservers_die_with_a_killed_test(self, synapse_python: Path, tmp_path: Path) -> None:
        command = [sys.executable, "-c", ORPHAN, str(synapse_python), str(tmp_path / "world")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as orphan:
            assert orphan.stdout is not None
            pid = int(orphan.stdout.readline())
            os.kill(pid, 0)
            orphan.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while alive(pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody waited for does not."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(found.strip()) and not found.startswith("Z")


def test_ports_differ() -> None:
    ports = [Port() for _ in range(20)]
    assert len({port.number for port in ports}) == len(ports)
    for port in ports:
        port.release()


def test_postgres_is_as_synapse_wants_it(postgres: Postgres) -> None:
    postgres.create("plain")
    for over_socket in (False, True):
        with psycopg.connect(postgres.dsn("plain", over_socket=over_socket)) as connection:
            row = connection.execute(
                "SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = 'plain'"
            ).fetchone()
        assert row == ("UTF8", "C")


@pytest.mark.slow
def test_world_with_postgres_behind_one_homeserver(world: World, postgres: Postgres) -> None:
    dsn = postgres.create("homeserver")
    world.start(dsn, None, None)
    furnish(world)
    assert seen(world) == world.truth()
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT room_id, state_key FROM current_state_events WHERE membership = 'join'")
        stored = set(rows.fetchall())
    first = world.homeservers[0].name
    here = [room for room in world.rooms.values() if any(user.endswith(f":{first}") for user in room.members)]
    wanted = {(room.id, user) for room in here for user in room.members}
    assert {pair for pair in stored if pair[0] in {room.id for room in here}} == wanted
