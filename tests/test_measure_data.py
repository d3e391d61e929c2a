"""What real homeservers tell while they run, by database and by admin API: the truth of their rooms."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from fedgen.cli.commands import run
from fedgen.measure import admin
from fedgen.measure.address import read_address
from fedgen.measure.client import Question, RefusedError
from fedgen.measure.database import open_database
from fedgen.measure.exclusions import Admission, Exclusions
from fedgen.measure.synapse import survey
from tests.test_measure_synapse import NAMES, federation_in, seen_triples

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fedgen.measure.survey import Survey
    from tests.homeservers import Homeserver, Postgres, User, World

Triples = set[tuple[bytes, bytes, bytes]]


def truth(world: World, homeserver: Homeserver, *left_out: str) -> Triples:
    """The memberships of all rooms that somebody of a homeserver is in."""
    rooms = {room.id: room.members for room in world.rooms.values() if room.name not in left_out}
    return {
        (NAMES.user(user), NAMES.server(user.partition(":")[2]), NAMES.room(room))
        for room, members in rooms.items()
        if any(user.partition(":")[2] == homeserver.name for user in members)
        for user in members
    }


def read(dsn: str, rules: Exclusions | None = None) -> Survey:
    with open_database(read_address(dsn)) as database:
        return survey(database, Admission(rules or Exclusions(), NAMES))[0]


def asked(homeserver: Homeserver, user: User, rules: Exclusions | None = None) -> Survey:
    async def asked() -> Survey:
        headers = {"Authorization": f"Bearer {user.token}"}
        async with httpx.AsyncClient(base_url=homeserver.plain_url, headers=headers, trust_env=False) as client:

            async def ask(question: Question) -> Mapping[str, Any]:
                response = await client.request(question.method, question.path, params=dict(question.params or {}))
                if response.status_code != 200:
                    raise RefusedError(response.status_code, response.json().get("errcode", ""))
                return response.json()  # type: ignore[no-any-return]

            return await admin.survey(ask, Admission(rules or Exclusions(), NAMES))

    return asyncio.run(asked())


class TestSmallWorld:
    @pytest.mark.parametrize("number", range(3))
    def test_sqlite(self, number: int, small_world: World) -> None:
        homeserver = small_world.homeservers[number]
        assert seen_triples(read(str(homeserver.sqlite))) == truth(small_world, homeserver) != set()

    @pytest.mark.parametrize("number", range(3))
    def test_admin_api(self, number: int, small_world: World) -> None:
        homeserver = small_world.homeservers[number]
        assert seen_triples(asked(homeserver, homeserver.admin)) == truth(small_world, homeserver)

    def test_rooms_opt_out_by_topic_and_alias(self, small_world: World) -> None:
        rules = Exclusions(marker="climbing", rooms=(small_world.named("lobby").alias or "",))
        for homeserver in small_world.homeservers[:2]:
            wanted = truth(small_world, homeserver, "garden", "lobby")
            assert seen_triples(read(str(homeserver.sqlite), rules)) == wanted
            assert seen_triples(asked(homeserver, homeserver.admin, rules)) == wanted

    @pytest.mark.parametrize("way", ["database", "admin api"])
    def test_by_the_command_line(
        self, way: str, small_world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        homeserver = small_world.homeservers[0]
        dsn = str(homeserver.sqlite) if way == "database" else homeserver.plain_url
        token = homeserver.token_file(homeserver.admin)
        out = tmp_path / "data.json"
        assert run(["measure", "synapse", dsn, "-o", str(out), "--token-file", str(token), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        wanted = truth(small_world, homeserver)
        sizes = [len({triple[part] for triple in wanted}) for part in range(3)]
        assert [told[name] for name in ("users", "servers", "rooms")] == sizes
        assert federation_in(out).n_memberships == told["memberships"] == len(wanted)

    @pytest.mark.parametrize("who", ["no administrator", "nobody"])
    def test_refusals(
        self,
        who: str,
        small_world: World,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        homeserver = small_world.homeservers[0]
        token = small_world.on(homeserver)[0].token if who == "no administrator" else "syt_nobody"
        monkeypatch.setenv("FEDGEN_MATRIX_TOKEN", token)
        assert run(["measure", "synapse", homeserver.plain_url, "-o", str(tmp_path / "data.json")]) == 1
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert {"no administrator": "no administrator's", "nobody": "does not take the access token"}[who] in err


def test_postgresql(world: World, postgres: Postgres) -> None:
    first, second = world.start(postgres.create("one"), None)
    here, there = world.register(first, "here"), world.register(second, "there")
    both, left, ended = (world.create_room(user, name) for user, name in ((here, "a"), (there, "b"), (here, "c")))
    world.join(there, both)
    world.join(there, ended)
    world.join(here, left)
    world.wait_until_converged()
    world.leave(here, left)  # the second homeserver goes on without us, and we must not tell of it
    world.leave(here, ended)
    world.wait_until_converged()
    assert first.dsn is not None
    seen = read(first.dsn)
    assert seen_triples(seen) == truth(world, first) != set()
    assert seen.told()["rooms"] == {"seen": 1}, "Synapse keeps the state of rooms that nobody here is in any more"
    assert seen_triples(read(str(second.sqlite))) == truth(world, second)
