"""The crawl, against a homeserver made for tests: what it finds, how politely, and what it never lets out."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as replaced

import fedgen
from fedgen.errors import MeasureError
from fedgen.measure.config import Config, Limits, Rooms
from fedgen.measure.crawl import Crawled, about, crawl
from fedgen.measure.exclusions import Exclusions
from fedgen.measure.journal import Journal
from fedgen.measure.pseudonyms import Pseudonyms
from tests.stub_homeserver import (
    HOME,
    ME,
    TOKEN,
    Entry,
    Faults,
    Stub,
    Truth,
    World,
    asked_too_early,
    asked_twice,
    broken_limits,
    forbidden,
    make_world,
    never_left,
    process,
    read_log,
    running,
    server_of,
    truth,
    two_rooms_of_a_server,
    visits_at_once,
)
from tests.stub_homeserver import Limits as StubLimits
from tests.up_to_numbering import as_federation, shape

FAST = Limits(
    requests_per_second=5000,
    joins_per_minute=300_000,
    rooms_at_once=6,
    timeout_seconds=2,
    attempts=8,
    backoff_seconds=0.005,
)
SMALL = ("--rooms", "40", "--servers", "10", "--users", "60", "--seed", "3")
TROUBLE = Faults(
    seed=7,
    errors=0.1,
    closed=0.02,
    truncated=0.02,
    malformed=0.1,
    limited=0.02,
    retry_after=0.15,
    shapes=("body", "none"),  # the others are whole seconds
)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(120, 20, 200, seed=3)


@pytest.fixture(scope="module")
def small() -> World:
    rooms, servers, users, seed = map(int, SMALL[1::2])
    return make_world(rooms, servers, users, seed)


def spaces_of(world: World) -> tuple[str, ...]:
    """All spaces that directories and spaces lead to."""
    found = truth(world)
    met = {*found.members, *(room for rooms in found.left_out.values() for room in rooms)}
    return tuple(sorted(room for room in met if world.rooms[room].children))


def everything(world: World, url: str, **changes: Any) -> Config:
    """A configuration that asks for all there is."""
    rooms = Rooms(directories=tuple(world.directories), spaces=spaces_of(world))
    return Config(**{"homeserver": url, "join": True, "rooms": rooms, "limits": FAST, **changes})


def crawled(config: Config, journal: Journal) -> Crawled:
    return asyncio.run(crawl(config, TOKEN, journal))


def people(found: Crawled) -> dict[bytes, frozenset[bytes]]:
    return {one.room: frozenset(person.user for person in one.people) for one in found.visits if one.fate == "seen"}


def people_of(members: Mapping[str, frozenset[str]], journal: Journal) -> dict[bytes, frozenset[bytes]]:
    names = Pseudonyms.under(journal.key)
    return {names.room(room): frozenset(map(names.user, users)) for room, users in members.items()}


def well_behaved(log: Sequence[Entry], limits: Limits, **excuses: Any) -> None:
    """Nothing was asked twice, too fast, too early, or of two rooms of a server at once; all was left; nothing read."""
    assert asked_twice(log, **excuses) == []
    assert broken_limits(log, limits.requests_per_second, limits.joins_per_minute) == []
    assert asked_too_early(log) == []
    assert two_rooms_of_a_server(log) == []
    assert visits_at_once(log) <= limits.rooms_at_once
    assert never_left(log) == []
    assert forbidden(log) == []


class TestWhatIsFound:
    @pytest.mark.parametrize("faults", [Faults(), TROUBLE, replace(TROUBLE, old=True)], ids=["well", "trouble", "old"])
    def test_members_by_joining(self, world: World, faults: Faults) -> None:
        journal = Journal.fleeting()
        with running(world, faults) as stub:
            found = crawled(everything(world, stub.url), journal)
            log = stub.log
            assert stub.joined == []
        expected = truth(world)
        assert people(found) == people_of(expected.members, journal)
        fates = Counter(one.fate for one in found.visits)
        out = {fate: len(rooms) for fate, rooms in expected.left_out.items()}
        assert fates["opted out: kicked or banned"] == out["banned"] + out["kicked before"] + out["kicked after"]
        assert fates["opted out: listed or marked"] == out["noindex"]
        assert fates["refused: not public"] == out["invite only"]
        assert fates["refused: by the homeserver"] == out["gone"]
        assert fates["unanswered"] == out["malformed"]
        joined = {entry.room for entry in log if entry.endpoint == "join"}
        assert not joined & (expected.unseen | expected.never_join)
        well_behaved(log, FAST)

    @pytest.mark.parametrize("faults", [Faults(), TROUBLE], ids=["well", "trouble"])
    def test_servers_and_numbers_of_users_without_joining(self, world: World, faults: Faults) -> None:
        journal = Journal.fleeting()
        with running(world, faults) as stub:
            found = crawled(everything(world, stub.url, join=False), journal)
            log = stub.log
        names = Pseudonyms.under(journal.key)
        expected = {
            names.room(room): (frozenset(map(names.server, told.servers)), told.users)
            for room, told in truth(world).summaries.items()
            if told.servers
        }
        assert {one.room: (one.servers, one.users) for one in found.visits if one.fate == "seen"} == expected
        assert {entry.endpoint for entry in log} <= {
            *("versions", "whoami", "account_data", "publicRooms", "hierarchy", "summary", "alias")
        }
        well_behaved(log, FAST)

    def test_listed_rooms_by_alias_and_by_id(self, world: World) -> None:
        expected = truth(world).members
        rooms = sorted(expected)[:12]
        listed = [world.rooms[room].alias or room for room in rooms] + rooms  # each twice
        journal = Journal.fleeting()
        with running(world) as stub:
            config = everything(world, stub.url, rooms=Rooms(list=tuple(listed)))
            found = crawled(config, journal)
            well_behaved(stub.log, FAST)
        assert people(found) == people_of({room: expected[room] for room in rooms}, journal)

    def test_who_is_left_out(self, world: World) -> None:
        expected = truth(world).members
        users = Counter(user for room in expected.values() for user in room)
        ((bot, _),) = users.most_common(1)
        hub = Counter(server_of(user) for user in users if user != bot).most_common(1)[0][0]
        stubs = "@user1*:server2*"
        rules = Exclusions(servers=(hub,), users=(bot,), stubs=(stubs,))
        journal = Journal.fleeting()
        with running(world) as stub:
            found = crawled(everything(world, stub.url, leave_out=rules), journal)
            asked = {entry.subject for entry in stub.log if entry.endpoint == "publicRooms"}
            visited = {entry.room for entry in stub.log if entry.endpoint == "join"}
        assert hub not in asked
        assert not any(server_of(room) == hub for room in visited)

        def stays(user: str) -> bool:
            stubbed = user.startswith("@user1") and server_of(user).startswith("server2")
            return server_of(user) != hub and user != bot and not stubbed

        seen = people(found)
        names = Pseudonyms.under(journal.key)
        for room, members in expected.items():
            left = frozenset(names.user(user) for user in members if stays(user))
            assert seen.get(names.room(room), frozenset()) in (left, frozenset())
        everybody = frozenset().union(*seen.values())
        assert everybody <= {names.user(user) for user in users if stays(user)}
        counted = sum((one.left_out for one in found.visits), Counter[str]())
        assert {"opted out", "own or silent", "bridged stub"} <= counted.keys()

    def test_rooms_of_ones_own_are_read_and_not_left(self, world: World) -> None:
        home = next(room for room in sorted(truth(world).members) if world.rooms[room].fate == "open")
        with running(world) as stub:
            stub.membership[home] = ("join", ME)
            journal = Journal.fleeting()
            found = crawled(everything(world, stub.url), journal)
            assert stub.joined == [home]
        assert people(found) == people_of(truth(world).members, journal)

    def test_a_kick_is_remembered(self, small: World) -> None:
        with running(small) as stub:
            config = everything(small, stub.url)
            crawled(config, Journal.fleeting())
            before = len(stub.log)
            stub.membership = {room: one for room, one in stub.membership.items() if one[0] == "ban"}
            stub.membership.clear()  # even if nothing reminds the homeserver of it
            again = crawled(config, Journal.fleeting())
            asked = {entry.room for entry in stub.log[before:] if entry.endpoint in ("join", "joined_members")}
        kicked = {
            room.room_id for room in small.rooms.values() if room.fate in ("banned", "kicked before", "kicked after")
        }
        assert not asked & kicked
        assert Counter(one.fate for one in again.visits)["opted out: kicked or banned"] == len(kicked & met(small))

    def test_the_name_that_others_see(self, world: World) -> None:
        from fedgen.measure.config import Announcement

        said = Announcement(who="We", contact="@me:x", website="https://x/y")
        with running(world) as stub:
            crawled(
                everything(world, stub.url, announcement=said, rooms=Rooms(directories=(HOME,))), Journal.fleeting()
            )
            assert stub.profile["displayname"] == {"displayname": "We (https://x/y)"}


def met(world: World) -> set[str]:
    found: Truth = truth(world)
    return {*found.members, *(room for rooms in found.left_out.values() for room in rooms)}


class TestGoingWrong:
    def test_an_expired_token_and_going_on_with_a_new_one(self, world: World, tmp_path: Path) -> None:
        with running(world) as stub:
            config = everything(world, stub.url)
            journal = Journal.open(tmp_path / "journal", "secret", b"about")

            def expire(stage: str, done: int, total: int) -> None:
                if stage == "visiting rooms" and done >= total // 2:
                    stub.token = "new"

            with pytest.raises(MeasureError, match=r"does not take the access token \(M_UNKNOWN_TOKEN\)"):
                asyncio.run(crawl(config, TOKEN, journal, progress=expire))
            journal.close()
            journal = Journal.open(tmp_path / "journal", "secret", b"about")
            found = asyncio.run(crawl(config, "new", journal))
            assert people(found) == people_of(truth(world).members, journal)
            well_behaved(stub.log, FAST)
            journal.close()

    def test_a_homeserver_that_goes_away_and_comes_back(self, world: World, tmp_path: Path) -> None:
        with running(world, log=tmp_path / "log") as stub:
            port = int(stub.url.rpartition(":")[2])
            config = everything(world, stub.url)
            journal = Journal.open(tmp_path / "journal", "secret", b"about")
            gone: list[bool] = []

            def leave(stage: str, done: int, total: int) -> None:
                if stage == "visiting rooms" and done >= total // 2 and not gone:
                    gone.append(True)
                    raise KeyboardInterrupt  # of this run; the rooms that it is in stay entered

            with pytest.raises(KeyboardInterrupt):
                asyncio.run(crawl(config, TOKEN, journal, progress=leave))
            journal.close()
            membership, data = stub.membership, stub.account_data
        journal = Journal.open(tmp_path / "journal", "secret", b"about")
        with pytest.raises(MeasureError, match="cannot be reached"):
            asyncio.run(crawl(config, TOKEN, journal))
        with running(world, log=tmp_path / "log", port=port) as stub:
            stub.membership, stub.account_data = membership, data
            found = asyncio.run(crawl(config, TOKEN, journal))
            assert stub.joined == []
        assert people(found) == people_of(truth(world).members, journal)
        journal.close()

    def test_an_opt_out_between_two_runs_is_honoured(self, world: World, tmp_path: Path) -> None:
        """Of a server, a user and a room, whose answers are noted already; patterns cannot be, and that is told."""
        expected = truth(world).members
        users = Counter(user for room in expected.values() for user in room)
        ((bot, _),) = users.most_common(1)
        server = Counter(server_of(user) for user in users if user != bot).most_common(3)[-1][0]
        room = max(expected, key=lambda room: (server_of(room) != server, len(expected[room])))
        with running(world) as stub:
            config = everything(world, stub.url)
            journal = Journal.open(tmp_path / "journal", "secret", about(config))

            def halt(stage: str, done: int, total: int) -> None:
                if stage == "visiting rooms" and done >= 0.8 * total:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                asyncio.run(crawl(config, TOKEN, journal, progress=halt))
            journal.close()
            rules = Exclusions(servers=(server,), users=(bot,), rooms=(room,))
            changed = replaced(config, leave_out=rules)
            journal = Journal.open(tmp_path / "journal", "secret", about(changed))
            found = crawled(changed, journal)
            assert stub.joined == []
            with pytest.raises(MeasureError, match="new pattern"):
                crawled(replaced(config, leave_out=Exclusions(stubs=("@_*:*",))), journal)
            journal.close()
        names = Pseudonyms.under(journal.key)
        everybody = {person for one in found.visits for person in one.people}
        assert names.server(server) not in {person.server for person in everybody}
        assert names.user(bot) not in {person.user for person in everybody}
        assert names.room(room) not in people(found)
        assert len(everybody) > 0.5 * len(users)

    def test_its_own_limits_are_kept(self, world: World) -> None:
        limits = Limits(requests_per_second=60, joins_per_minute=600, rooms_at_once=3, backoff_seconds=0.01)
        rooms = tuple(sorted(truth(world).members)[:25])
        with running(world, replace(TROUBLE, malformed=0)) as stub:
            config = everything(world, stub.url, limits=limits, rooms=Rooms(list=rooms))
            crawled(config, Journal.fleeting())
            well_behaved(stub.log, limits)
            stretch = stub.log[-1].began - stub.log[0].began
            assert len(stub.log) / stretch > 0.2 * 60  # and it does not sleep

    def test_the_homeservers_limits_are_kept(self, world: World) -> None:
        rooms = tuple(sorted(truth(world).members)[:4])
        with running(world, limits=StubLimits(requests_per_second=50, burst=3, joins_per_second=10)) as stub:
            found = crawled(everything(world, stub.url, rooms=Rooms(list=rooms)), Journal.fleeting())
            limited = [entry for entry in stub.log if entry.status == 429]
            well_behaved(stub.log, FAST)
        assert len(limited) > 2
        assert {one.fate for one in found.visits} == {"seen"}


def command(config: Path, output: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "fedgen.cli", "measure", "crawl", str(config), "-o", str(output), *more]


def finished(words: Sequence[str], *, seconds: float = 120, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, env=environment(**more), capture_output=True, text=True, timeout=seconds, check=False)


def environment(**more: str) -> dict[str, str]:
    held = {name: value for name, value in os.environ.items() if not name.startswith("FEDGEN_")}
    return {**held, "FEDGEN_MATRIX_TOKEN": TOKEN, **more}


def written(world: World, url: str, folder: Path, limits: Limits = FAST, join: bool = True) -> Path:
    """The configuration as a file."""
    import msgspec

    path = folder / "crawl.toml"
    config = everything(world, url, limits=limits, join=join)
    plain = msgspec.to_builtins(config)
    plain["announcement"] = {"who": "We", "contact": "@me:example.org", "website": "https://example.org/crawl"}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items() if not isinstance(value, dict)]
    for table in ("rooms", "limits", "announcement"):
        lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in plain[table].items() if value)]
    path.write_text("\n".join(lines) + "\n")
    return path


class TestCommand:
    def test_a_snapshot_with_its_provenance(self, small: World, tmp_path: Path) -> None:
        expected = truth(small)
        with running(small, TROUBLE) as stub:
            config = written(small, stub.url, tmp_path)
            done = finished(command(config, tmp_path / "data.json"))
            folder = finished(command(config, tmp_path / "data", "--json"))
        assert done.returncode == 0
        assert "1 of the rooms gave no answer" in done.stderr  # the one that is malformed for ever
        assert str(tmp_path / "data.json") in done.stdout
        found = fedgen.read(tmp_path / "data.json")
        assert shape(found) == shape(as_federation(expected.members))
        assert shape(fedgen.read(tmp_path / "data")) == shape(found)
        told = json.loads((tmp_path / "data" / "manifest.json").read_text())["provenance"]["measurement"]
        assert told["rooms"]["seen"] == len(expected.members)
        assert told["rooms"] == json.loads(folder.stdout)["measurement"]["rooms"]
        assert not list(tmp_path.glob("*.journal"))

    def test_dry_run(self, small: World, tmp_path: Path) -> None:
        with running(small) as stub:
            done = finished(command(written(small, stub.url, tmp_path), tmp_path / "data.json", "--dry-run", "--json"))
            asked = {entry.endpoint for entry in stub.log}
        told = json.loads(done.stdout)
        assert told["in_directories"] == sum(map(len, small.directories.values()))
        assert told["seconds"] >= told["joins"] / FAST.joins_per_minute * 60
        assert asked <= {"publicRooms", "summary", "hierarchy"}
        assert sorted(path.name for path in tmp_path.iterdir()) == ["crawl.toml"]

    def test_an_interrupt_leaves_the_rooms_and_the_next_run_goes_on(self, small: World, tmp_path: Path) -> None:
        limits = Limits(requests_per_second=100, joins_per_minute=6000, rooms_at_once=4, backoff_seconds=0.01)
        with running(small) as stub:
            config = written(small, stub.url, tmp_path, limits)
            with subprocess.Popen(
                command(config, tmp_path / "data.json"), env=environment(), stderr=subprocess.PIPE, text=True
            ) as run:
                until(lambda: sum(entry.endpoint == "join" for entry in stub.log) > 10)
                run.send_signal(signal.SIGINT)
                _, errors = run.communicate(timeout=60)
            assert run.returncode == 1
            assert "interrupted; go on by the same command" in errors
            assert stub.joined == []
            assert not (tmp_path / "data.json").exists()
            done = finished(command(config, tmp_path / "data.json"))
            well_behaved(stub.log, limits)
        assert done.returncode == 0
        assert "continuing: " in done.stderr
        assert shape(fedgen.read(tmp_path / "data.json")) == shape(as_federation(truth(small).members))

    def test_three_kills(self, small: World, tmp_path: Path) -> None:
        limits = Limits(requests_per_second=200, joins_per_minute=12_000, rooms_at_once=4, backoff_seconds=0.01)
        killed_thrice(small, SMALL, limits, tmp_path)

    def test_no_name_is_let_out(self, small: World, tmp_path: Path) -> None:
        """Outputs, errors, the journal of a crawl that was cut off, and tracebacks."""
        runs = []
        with running(small, TROUBLE) as stub:
            config = written(small, stub.url, tmp_path)
            runs.append(finished(command(config, tmp_path / "data.json"), FEDGEN_DEBUG="1"))
            assert runs[0].returncode == 0
            (tmp_path / "hasty").mkdir()
            hasty = written(small, stub.url, tmp_path / "hasty", replaced(FAST, timeout_seconds=0.001, attempts=1))
            stub.token = "new"
            runs.append(finished(command(config, tmp_path / "other.json"), FEDGEN_DEBUG="1"))
            stub.token = TOKEN
            runs.append(finished(command(hasty, tmp_path / "third.json"), FEDGEN_DEBUG="1"))
            assert {run.returncode for run in runs[1:]} == {1}
            config = written(small, stub.url, tmp_path, Limits(requests_per_second=100, joins_per_minute=6000))
            with subprocess.Popen(command(config, tmp_path / "cut.json"), env=environment()) as run:
                there = len(stub.log)
                until(lambda: len(stub.log) > there + 60)
                assert run.poll() is None
                run.kill()
        assert (tmp_path / "cut.json.journal").stat().st_size > 1000
        config.unlink()  # the user's own files, which name what is asked
        hasty.unlink()
        texts = [run.stdout + run.stderr for run in runs]
        texts += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
        names = identifiers(small)
        for text in texts:
            assert not [name for name in names if name in text]
            assert TOKEN not in text


def identifiers(world: World) -> list[str]:
    """Whatever could tell who or where somebody is."""
    names = {*world.rooms, *world.aliases, *world.users, *world.servers, ME, HOME}
    names |= {name[1:].partition(":")[0] for name in (*world.rooms, *world.users)}
    return sorted(name for name in names if len(name) > 4)


def until(holds: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def killed_thrice(world: World, size: Sequence[str], limits: Limits, folder: Path) -> None:
    """Kill a crawl three times and let it go on: the same snapshot, and nothing asked twice but what was on its way."""
    expected = truth(world)
    log = folder / "log"
    trouble = [
        "--fault-errors",
        "0.1",
        "--fault-closed",
        "0.01",
        "--fault-malformed",
        "0.05",
        "--fault-limited",
        "0.005",
    ]
    with process(*size, "--log", str(log), "--fault-retry-after", "0.3", *trouble) as stub:
        config = written(world, stub.url, folder, limits)
        kills = []
        for part in (0.2, 0.5, 0.8):
            with subprocess.Popen(command(config, folder / "data.json", "-q"), env=environment()) as run:
                wanted = part * len(expected.members)
                until(lambda: sum(one.did == "left" for one in read_log(log)) > wanted or run.poll() is not None, 600)  # noqa: B023
                assert run.poll() is None, "it was over before it could be killed"
                run.kill()
                kills.append(time.monotonic())
            assert not (folder / "data.json").exists()
        done = subprocess.run(
            command(config, folder / "data.json"),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    found = fedgen.read(folder / "data.json")
    assert shape(found) == shape(as_federation(expected.members))
    well_behaved(read_log(log), limits, kills=kills)


@pytest.mark.slow
def test_two_thousand_rooms_and_three_kills(tmp_path: Path) -> None:
    limits = Limits(
        requests_per_second=150, joins_per_minute=6000, rooms_at_once=8, timeout_seconds=10, backoff_seconds=0.02
    )
    killed_thrice(make_world(), (), limits, tmp_path)


class TestWrongAddresses:
    """One line each, exit 1."""

    def told(self, folder: Path, url: str, **more: str) -> str:
        config = folder / "crawl.toml"
        config.write_text(f'homeserver = "{url}"\njoin = false\n[rooms]\ndirectories = ["secret.example"]\n')
        done = subprocess.run(
            command(config, folder / "data.json"),
            env=environment(**more),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert "secret.example" not in line
        assert not (folder / "data.json").exists()
        return line

    def test_nobody_there(self, tmp_path: Path) -> None:
        assert "cannot be reached" in self.told(tmp_path, "http://127.0.0.1:9")

    def test_no_such_host(self, tmp_path: Path) -> None:
        assert "cannot be reached" in self.told(tmp_path, "https://nowhere.invalid")

    def test_another_kind_of_server(self, tmp_path: Path) -> None:
        serve = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
        with subprocess.Popen(
            serve,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**environment(), "PYTHONUNBUFFERED": "1"},
        ) as server:
            try:
                assert server.stdout is not None
                port = server.stdout.readline().split("port ")[1].split()[0]
                assert "at the address of the homeserver is none" in self.told(tmp_path, f"http://127.0.0.1:{port}")
            finally:
                server.kill()

    def test_a_wrong_token(self, world: World, tmp_path: Path) -> None:
        with running(world) as stub:
            line = self.told(tmp_path, stub.url, FEDGEN_MATRIX_TOKEN="other")
        assert "does not take the access token (M_UNKNOWN_TOKEN)" in line
        assert "other" not in line.replace("another", "")


def test_announcement(world: World, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "fedgen.cli", "measure", "announce"]
    with running(world) as stub:
        config = written(world, stub.url, tmp_path)
        config.write_text(config.read_text() + f'room = "#measurement:{HOME}"\n')
        text = subprocess.run(
            [*words, str(config)], env=environment(), capture_output=True, text=True, timeout=60, check=True
        )
        page = tmp_path / "page.md"
        made = [*words, str(config), "-o", str(page)]
        subprocess.run(made, env=environment(), capture_output=True, text=True, timeout=60, check=True)
        assert f"#measurement:{HOME}" not in stub.aliases
    assert text.stdout == page.read_text()
    for said in ("We", ME, "@me:example.org", "MRS-noindex:true-MRS", f"#measurement:{HOME}"):
        assert said in text.stdout
    assert "$" not in text.stdout


def test_stub_is_asked(small: World) -> None:
    """The tests above judge logs; a log of nothing would pass. This one does not."""
    with running(small) as stub:
        crawled(everything(small, stub.url), Journal.fleeting())
        endpoints = Counter(entry.endpoint for entry in stub.log)
    assert isinstance(stub, Stub)
    assert endpoints["join"] > 30
    assert endpoints["joined_members"] > 25
    assert endpoints["leave"] == endpoints["forget"]
