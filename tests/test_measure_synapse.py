"""A snapshot from Synapse's database: the truth and nothing else, from SQLite and by the command line."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
import traceback
from collections import Counter
from contextlib import closing
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings

import fedgen
from fedgen.cli.commands import run
from fedgen.errors import FedgenError, MeasureError, UsageError
from fedgen.federation import Federation
from fedgen.measure import sqlite as sqlite_module
from fedgen.measure.address import read_address
from fedgen.measure.database import Database, open_database
from fedgen.measure.exclusions import Admission, Exclusions, read_exclusions
from fedgen.measure.pseudonyms import Key, Pseudonyms
from fedgen.measure.survey import Survey
from fedgen.measure.synapse import said_in, survey
from tests.synapse_world import OURS, Room, World, make_sqlite, worlds
from tests.up_to_numbering import shape

Captured = pytest.CaptureFixture[str]
NAMES = Pseudonyms.under(Key(b"k" * 32))

WORLD = World(
    (
        Room("!one:b.verborgen.example", {f"@alice:{OURS}": "join", "@bob:b.verborgen.example": "join", "@x": "join"}),
        Room(
            "!verborgen-two", {f"@alice:{OURS}": "join", "@_irc_d:b.verborgen.example": "join", f"@bot:{OURS}": "leave"}
        ),
        Room("!stale:b.verborgen.example", {"@bob:b.verborgen.example": "join"}, ours=False),
        Room("!partial:b.verborgen.example", {f"@alice:{OURS}": "join"}, partial=True),
        Room("!hidden:b.verborgen.example", {f"@bob:{OURS}": "join"}, topic="MRS-noindex:true-MRS"),
        Room("!listed:b.verborgen.example", {f"@bob:{OURS}": "join"}, other_alias="#out:b.verborgen.example"),
        Room("!silent:b.verborgen.example", {f"@bot:{OURS}": "join"}),
    ),
    Exclusions(rooms=("#out:b.verborgen.example",), users=(f"@bot:{OURS}",), stubs=("@_irc_*",)),
)
CONFIG = """
homeserver = "https://ours.verborgen.example"
[leave_out]
rooms = ["#out:b.verborgen.example"]
users = ["@bot:ours.verborgen.example"]
stubs = ["@_irc_*"]
"""


def seen_triples(seen: Survey) -> set[tuple[bytes, bytes, bytes]]:
    """User, server and room of each membership, under pseudonyms."""
    things = seen.sightings
    users, servers, rooms = list(things._users), list(things._servers), list(things._rooms)
    homes = [servers[home] for home in things._home]
    return {(users[u], homes[u], rooms[r]) for u, r in zip(things._user, things._room, strict=True)}


def hashed(world: World) -> set[tuple[bytes, bytes, bytes]]:
    return {(NAMES.user(user), NAMES.server(server), NAMES.room(room)) for user, server, room in world.triples()}


def surveyed(database: Database, rules: Exclusions) -> Survey:
    return survey(database, Admission(rules, NAMES))[0]


def read(path: Path, rules: Exclusions | None = None) -> Survey:
    with open_database(read_address(str(path))) as database:
        return surveyed(database, rules or Exclusions())


def federation_in(path: Path) -> Federation:
    return fedgen.read(path)


@settings(max_examples=60)
@given(world=worlds())
def test_the_snapshot_is_the_truth(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    seen = read(make_sqlite(tmp_path_factory.mktemp("world") / "homeserver.db", world), world.rules)
    assert seen_triples(seen) == hashed(world)
    assert shape(seen.federation()) == shape(world.federation())
    told = seen.told()
    assert sum(told["rooms"].values()) == sum(bool(room.joined()) for room in world.rooms)
    joined = sum(len(room.joined()) for room in world.rooms)
    assert sum(told["left_out"].values()) + len(seen.sightings) == joined


def test_reasons_are_counted(tmp_path: Path) -> None:
    assert read(make_sqlite(tmp_path / "homeserver.db", WORLD), WORLD.rules).told() == {
        "rooms": {"seen": 2, "nobody of ours": 1, "partial state": 1, "opted out": 2, "nobody left": 1},
        "left_out": {"bridged stub": 1, "malformed": 1, "own or silent": 1, "room left out": 4},
    }


def test_a_federation_comes_back_as_it_was(teams: Federation, tmp_path: Path) -> None:
    names = [f"@u{i}:s{server}" for i, server in enumerate(teams.user_server)]
    members = [
        {names[user]: "join" for user in teams.membership_user[first:last]}
        for first, last in zip(teams.room_offsets[:-1], teams.room_offsets[1:], strict=True)
    ]
    world = World(tuple(Room(f"!r{i}", {**who, f"@us:{OURS}": "join"}) for i, who in enumerate(members)))
    rules = Exclusions(servers=(OURS,))  # whose user is in all rooms, else none would be seen
    assert shape(read(make_sqlite(tmp_path / "homeserver.db", world), rules).federation()) == shape(teams)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ('{"content": {"topic": "a"}}', ["a"]),
        (
            '{"content": {"m.topic": {"m.text": [{"body": "a"}, {"body": "b", "mimetype": "text/html"}, 7]}}}',
            ["a", "b"],
        ),
        ('{"content": {"alias": "#a:b", "alt_aliases": ["#c:d", null]}}', ["#a:b", "#c:d"]),
        ('{"content": {"topic": {"odd": 1}, "m.topic": 3, "alt_aliases": {}}}', [{"odd": 1}]),
        ('{"content": {}}', []),
        *((event, None) for event in ("", "[]", "{}", '{"content": 3}', "{", None, b"{}", "[" * 100_000)),
    ],
)
def test_what_rooms_say(event: object, said: list[object] | None) -> None:
    found = said_in(event)
    assert (found if found is None else [text for text in found if text is not None]) == said


def test_a_room_that_cannot_be_heard_is_left_out(tmp_path: Path) -> None:
    world = World((Room("!a", {f"@a:{OURS}": "join"}, topic="x"), Room("!b", {f"@a:{OURS}": "join"}, topic="x")))
    path = make_sqlite(tmp_path / "homeserver.db", world)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM event_json WHERE room_id = '!b' AND event_id LIKE '$topic%'")
        connection.commit()
    assert read(path).told()["rooms"] == {"seen": 1, "said nothing readable": 1}


class TestSqlite:
    def test_it_is_read_while_synapse_writes(self, tmp_path: Path) -> None:
        path = make_sqlite(tmp_path / "homeserver.db", WORLD)
        add = "INSERT INTO current_state_events VALUES (?, '!one:b.verborgen.example', 'm.room.member', ?, 'join', 1)"
        with closing(sqlite3.connect(path)) as synapse:
            synapse.execute(add, ("$new", "@new:b.verborgen.example"))
            synapse.commit()  # into the log, not yet into the file
            assert (tmp_path / "homeserver.db-wal").stat().st_size > 0
            with open_database(read_address(str(path))) as database:
                synapse.execute(add, ("$newer", "@newer:b.verborgen.example"))
                synapse.commit()
                seen = surveyed(database, Exclusions())
        users = {user for user, _, _ in seen_triples(seen)}
        assert NAMES.user("@new:b.verborgen.example") in users
        assert NAMES.user("@newer:b.verborgen.example") not in users

    def test_it_cannot_be_written(self, tmp_path: Path) -> None:
        path = make_sqlite(tmp_path / "homeserver.db", WORLD)
        with open_database(read_address(str(path))) as database, pytest.raises(MeasureError, match="write"):
            list(database.rows("schema_version", "DELETE FROM schema_version"))

    @pytest.mark.parametrize(
        "query", ["SELECT * FROM verborgen", "SELECT verborgen", "SELECT abs(-9223372036854775808)"]
    )
    def test_what_sqlite_says_is_dropped(self, query: str, tmp_path: Path) -> None:
        path = make_sqlite(tmp_path / "homeserver.db", WORLD)
        with open_database(read_address(str(path))) as database, pytest.raises(MeasureError) as caught:
            list(database.rows("things", query))
        text = "".join(traceback.format_exception(caught.value))
        assert "Error" in text
        assert "sqlite3." not in text
        assert "verborgen" not in text

    def test_memory_holds_one_batch(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite_module, "BATCH", 2)
        path = make_sqlite(tmp_path / "homeserver.db", WORLD)
        with open_database(read_address(str(path))) as database:
            sizes = [len(batch) for batch in database.rows("event_json", "SELECT event_id FROM event_json")]
        assert max(sizes) == 2
        assert seen_triples(read(path, WORLD.rules)) == hashed(WORLD)

    @pytest.mark.parametrize("name", ["a b?c#d%41.db", "user=x.db", "sqlite.db", "postgresql"])
    def test_any_name_will_do(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make_sqlite(tmp_path / name, WORLD)
        monkeypatch.chdir(tmp_path)
        for dsn in (name, str(tmp_path / name), f"sqlite://{tmp_path / name}"):
            with open_database(read_address(dsn)) as database:
                assert surveyed(database, Exclusions()).told()["rooms"]["seen"] == 4

    def test_bytes_that_are_no_text_are_a_name_like_others(self, tmp_path: Path) -> None:
        path = make_sqlite(tmp_path / "homeserver.db", World((Room("!a", {f"@a:{OURS}": "join"}),)))
        odd = [b"@\xff:b", b"@\xfe:b"]
        with closing(sqlite3.connect(path)) as connection:
            for i, name in enumerate(odd):
                connection.execute(
                    "INSERT INTO current_state_events VALUES (?, '!a', 'm.room.member', CAST(? AS TEXT), 'join', 1)",
                    (f"$odd{i}", name),
                )
            for i, value in enumerate([b"@blob:b", 7]):  # not text at all
                connection.execute(
                    "INSERT INTO current_state_events VALUES (?, ?, 'm.room.member', '@a:b', 'join', 1)",
                    (f"$b{i}", value),
                )
            connection.commit()
        seen = read(path)
        assert seen.federation().n_users == 3
        assert seen.told()["rooms"] == {"seen": 1, "malformed": 2}

    def test_who_is_not_the_owner_leaves_no_files_in_synapses_way(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = make_sqlite(tmp_path / "homeserver.db", WORLD)
        monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
        with pytest.raises(MeasureError, match="owner"):
            read(path)
        assert os.listdir(tmp_path) == ["homeserver.db"]  # noqa: PTH208
        with closing(sqlite3.connect(path)) as synapse:
            synapse.execute("SELECT * FROM schema_version").fetchall()
            read(path)


class TestAddress:
    @pytest.mark.parametrize(
        ("dsn", "engine"),
        [
            ("postgresql://u@h/db", "postgresql"),
            ("postgres://h", "postgresql"),
            ("  PostgreSQL:///db?host=/run", "postgresql"),
            ("service=synapse", "postgresql"),
            ("host=h dbname = db", "postgresql"),
            ("homeserver.db", "sqlite"),
            ("sqlite:///var/lib/homeserver.db", "sqlite"),
            ("sqlite:homeserver.db", "sqlite"),
            ("https://h", "admin api"),
            ("http://localhost:8008/", "admin api"),
        ],
    )
    def test_kinds(self, dsn: str, engine: str) -> None:
        address = read_address(dsn)
        assert address.engine == engine
        assert address.place not in repr(address)

    @pytest.mark.parametrize(
        "dsn",
        [
            "postgresql://u:hunter2@h/db",
            "postgresql://u:@h/db",
            "postgresql://h/db?user=u&password=hunter2",
            "host=h password=hunter2",
            "host=h PASSWORD = 'hunter2'",
            "host=h sslpassword=hunter2",
            "https://u:hunter2@h",
        ],
    )
    def test_passwords_are_refused(self, dsn: str) -> None:
        with pytest.raises(UsageError, match=r"password.*PGPASSWORD") as caught:
            read_address(dsn)
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize(
        "dsn",
        [
            "",
            " ",
            "mysql://verborgen/x",
            "http://verborgen.example",
            "https://",
            "https://u@h",
            "https://h?a=b",
            "a\0b",
            "postgresql://[verborgen/x",
        ],
    )
    def test_others_are_refused(self, dsn: str) -> None:
        with pytest.raises(UsageError, match="give") as caught:
            read_address(dsn)
        assert "verborgen" not in str(caught.value)


class TestExclusions:
    def test_they_are_read(self, tmp_path: Path) -> None:
        (tmp_path / "c.toml").write_text(CONFIG)
        assert read_exclusions(tmp_path / "c.toml") == WORLD.rules
        (tmp_path / "c.toml").write_text("[leave_out]\n")
        assert read_exclusions(tmp_path / "c.toml") == Exclusions()

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("a = 1\n[leave_out]\nservers = ['verborgen', 3]", r"c.toml:3: leave_out.servers\[1\]: expected `str`"),
            ("[leave_out]\n\nusers = 'verborgen'", "c.toml:3: leave_out.users: expected `array`"),
            (
                "\n[leave_out]\n'@verborgen:x' = 1",
                "c.toml:2: leave_out has a key that is not known",
            ),
            ("[leaveout]\nservers = ['verborgen']", r"c.toml: has no table \[leave_out\]"),
            ("[leave_out]\nservers = ['https://verborgen']", r"leave_out.servers\[0\]: is not the name of a server"),
            ("[leave_out]\nrooms = ['verborgen']", r"leave_out.rooms\[0\]: is not a room id"),
            ("[leave_out]\nusers = ['verborgen']", r"leave_out.users\[0\]: is not a user id"),
            ("leave_out = 'verborgen'", "c.toml:1: leave_out: expected `object`"),
            ("\n\nverborgen", "c.toml:3: is not TOML"),
        ],
    )
    def test_what_is_wrong_is_told_without_its_value(self, text: str, told: str, tmp_path: Path) -> None:
        (tmp_path / "c.toml").write_text(text)
        with pytest.raises(UsageError, match=told) as caught:
            read_exclusions(tmp_path / "c.toml")
        assert "verborgen" not in str(caught.value)

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="cannot be read"):
            read_exclusions(tmp_path / "c.toml")


def garbage(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def dendrite(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE roomserver_rooms (room_nid INTEGER, room_id TEXT)")
        connection.execute("CREATE TABLE syncapi_current_room_state (room_id TEXT)")
        connection.commit()
    return path


def damaged(path: Path) -> Path:
    make_sqlite(path, WORLD)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    return path


BROKEN = {
    "nothing": (lambda path: path, "no such file"),
    "a folder": (lambda path: path.parent, "folder"),
    "an empty file": (lambda path: garbage(path, b""), "no table schema_version"),
    "a text": (lambda path: garbage(path, b"verborgen\n" * 99), "is no SQLite database"),
    "a short text": (lambda path: garbage(path, b"verborgen\n"), "is no SQLite database"),
    "Dendrite's": (dendrite, "no table schema_version"),
    "a table missing": (lambda path: make_sqlite(path, without="partial_state_rooms"), "no table partial_state_rooms"),
    "an old one": (lambda path: make_sqlite(path, version=71), "version 71"),
    "nobody": (lambda path: make_sqlite(path), "nobody was seen"),
    "damaged": (damaged, "is damaged"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_synapse_is_told_in_one_line(what: str, tmp_path: Path, capsys: Captured) -> None:
    make, told = BROKEN[what]
    (tmp_path / "verborgen").mkdir()
    path = make(tmp_path / "verborgen" / "homeserver.db")
    assert run(["measure", "synapse", str(path), "-o", str(tmp_path / "data.json")]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("fedgen: error: ")
    assert err.count("\n") == 1
    assert told in err
    assert "verborgen" not in err
    assert not (tmp_path / "data.json").exists()


@pytest.mark.parametrize("error", [PermissionError(13, "no"), OSError(36, "File name too long")])
def test_a_file_that_may_not_be_looked_at(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """In a folder that is closed to us, for one; this runs as root, whom nothing is closed to."""
    verborgen = str(tmp_path / "verborgen" / "homeserver.db")
    really = os.stat

    def stat_(path: object, *rest: object, **options: object) -> os.stat_result:
        if str(path).startswith(verborgen):
            raise type(error)(error.errno, error.strerror, verborgen)
        return really(path, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", stat_)
    assert run(["measure", "synapse", verborgen, "-o", str(tmp_path / "data.json")]) == 1
    err = capsys.readouterr().err
    assert "there is no right to read it" in err or "cannot be opened" in err
    assert "verborgen" not in err


def test_a_name_too_long(tmp_path: Path, capsys: Captured) -> None:
    assert run(["measure", "synapse", "verborgen" * 1000, "-o", str(tmp_path / "data.json")]) == 1
    err = capsys.readouterr().err
    assert "cannot be opened" in err
    assert "verborgen" not in err


def test_a_lock_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_module, "_WAIT", 0.01)
    path = make_sqlite(tmp_path / "homeserver.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(MeasureError, match="locked"):
            read(path)


class TestCommand:
    @pytest.fixture
    def database(self, tmp_path: Path) -> Path:
        (tmp_path / "verborgen").mkdir()
        return make_sqlite(tmp_path / "verborgen" / "homeserver.db", WORLD)

    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        (tmp_path / "c.toml").write_text(CONFIG)
        return tmp_path / "c.toml"

    def test_it_writes_what_it_tells(self, database: Path, config: Path, tmp_path: Path, capsys: Captured) -> None:
        words = ["measure", "synapse", str(database), "-o", str(tmp_path / "out"), "--config", str(config)]
        assert run([*words, "--json"]) == 0
        out, err = capsys.readouterr()
        told = json.loads(out)
        assert {key: told[key] for key in ("servers", "users", "rooms", "memberships")} == {
            "servers": 2,
            "users": 2,
            "rooms": 2,
            "memberships": 3,
        }
        assert told["measurement"]["engine"] == "sqlite"
        assert "still being joined" in err
        manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
        schema = json.loads((Path(fedgen.__file__).parent / "schemas" / "manifest.schema.json").read_text())
        jsonschema.Draft202012Validator(schema).validate(manifest)
        assert manifest["provenance"]["measurement"] == told["measurement"]
        assert shape(federation_in(tmp_path / "out")) == shape(WORLD.federation())

    def test_a_table_for_people(self, database: Path, config: Path, tmp_path: Path, capsys: Captured) -> None:
        path = tmp_path / "data.json"
        assert run(["measure", "synapse", str(database), "-o", str(path), "--config", str(config), "-q"]) == 0
        out, err = capsys.readouterr()
        assert not err
        assert [line.split() for line in out.splitlines()][1:4] == [["servers", "2"], ["users", "2"], ["rooms", "2"]]
        assert "partial state" in out
        assert shape(federation_in(path)) == shape(WORLD.federation())

    def test_fit_and_sample_take_it(self, teams: Federation, tmp_path: Path, capsys: Captured) -> None:
        rooms = [
            Room(f"!r{i}", {f"@u{u}:s{teams.user_server[u]}": "join" for u in teams.membership_user[first:last]})
            for i, (first, last) in enumerate(zip(teams.room_offsets[:-1], teams.room_offsets[1:], strict=True))
        ]
        for room in rooms:
            room.members[f"@us:{OURS}"] = "join"
        make_sqlite(tmp_path / "homeserver.db", World(tuple(rooms)))
        data, model, out = (str(tmp_path / name) for name in ("data.json", "model.json", "out"))
        assert run(["measure", "synapse", str(tmp_path / "homeserver.db"), "-o", data]) == 0
        assert run(["fit", data, "-o", model]) == 0
        assert run(["sample", model, "-o", out]) == 0
        capsys.readouterr()

    def test_the_place_is_checked_before_anything_is_read(self, tmp_path: Path, capsys: Captured) -> None:
        (tmp_path / "data.json").write_text("{}")
        assert run(["measure", "synapse", "postgresql://nowhere.invalid/x", "-o", str(tmp_path / "data.json")]) == 1
        assert "exists" in capsys.readouterr().err

    def test_the_database_itself_is_never_overwritten(self, database: Path, capsys: Captured) -> None:
        before = database.read_bytes()
        assert run(["measure", "synapse", str(database), "-o", str(database), "--force", "--format", "petgraph"]) == 2
        assert "input" in capsys.readouterr().err
        assert database.read_bytes() == before

    def test_without_a_command_the_help_goes_to_stderr(self, capsys: Captured) -> None:
        assert run(["measure"]) == 2
        out, err = capsys.readouterr()
        assert not out
        assert err.startswith("Usage: fedgen measure")

    def test_usage(self, capsys: Captured) -> None:
        assert run(["measure", "synapse", "-h"]) == 0
        assert capsys.readouterr().out.startswith("Usage: fedgen measure synapse [OPTIONS] DSN\n")


class TestToken:
    def words(self, tmp_path: Path) -> list[str]:
        return ["measure", "synapse", "https://127.0.0.1:9", "-o", str(tmp_path / "data.json")]

    def test_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
        monkeypatch.delenv("FEDGEN_MATRIX_TOKEN", raising=False)
        assert run(self.words(tmp_path)) == 2
        assert "FEDGEN_MATRIX_TOKEN" in capsys.readouterr().err

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
    def test_a_file_that_others_may_read(self, mode: int, tmp_path: Path, capsys: Captured) -> None:
        (tmp_path / "token").write_text("hunter2\n")
        (tmp_path / "token").chmod(mode)
        assert run([*self.words(tmp_path), "--token-file", str(tmp_path / "token")]) == 2
        err = capsys.readouterr().err
        assert "chmod 600" in err
        assert "hunter2" not in err
        assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == mode

    @pytest.mark.parametrize(
        "content", ["", "hunter2 hunter3", "hunter2\nx: y", "hünter2"], ids=["nothing", "two", "lines", "letters"]
    )
    def test_what_is_no_token(self, content: str, tmp_path: Path, capsys: Captured) -> None:
        (tmp_path / "token").write_text(content)
        (tmp_path / "token").chmod(0o600)
        assert run([*self.words(tmp_path), "--token-file", str(tmp_path / "token")]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "nter2" not in err


def said_by(words: list[str], cwd: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> str:
    """All that a run says, with the traceback that FEDGEN_DEBUG=1 would show, and all that it writes."""
    monkeypatch.chdir(cwd)
    monkeypatch.setenv("FEDGEN_DEBUG", "1")
    told = ""
    try:
        run(words)
    except FedgenError as error:
        told = "".join(traceback.format_exception(error))
    written = b"".join(path.read_bytes() for path in sorted(cwd.rglob("*")) if path.is_file())
    return "".join(capsys.readouterr()) + told + written.decode(errors="replace")


class TestNobodyIsNamed:
    """Not in what is printed, not in a traceback, not in what is written."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        (tmp_path / "verborgen").mkdir()
        (tmp_path / "work").mkdir()
        return tmp_path

    def test_when_all_goes_well(self, place: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
        database = make_sqlite(place / "verborgen" / "homeserver.db", WORLD)
        (place / "verborgen" / "c.toml").write_text(CONFIG)
        for name in ("data.json", "out"):
            words = ["measure", "synapse", str(database), "-o", name, "--config", str(place / "verborgen" / "c.toml")]
            text = said_by(words, place / "work", capsys, monkeypatch)
            assert "memberships" in text
            assert not [part for part in WORLD.names() if part in text]

    @pytest.mark.parametrize("what", BROKEN)
    def test_when_the_file_is_broken(
        self, what: str, place: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = BROKEN[what][0](place / "verborgen" / "homeserver.db")
        text = said_by(["measure", "synapse", str(path), "-o", "data.json"], place / "work", capsys, monkeypatch)
        assert "MeasureError" in text
        assert not [part for part in WORLD.names() if part in text]

    @pytest.mark.parametrize(
        "dsn",
        [
            "postgresql://alice.verborgen@host.verborgen.invalid:1/db_verborgen?connect_timeout=2",
            "host=/nowhere/verborgen user=verborgen dbname=verborgen",
            "host=verborgen nonsense=verborgen",
            "postgresql://verborgen:hunter2@verborgen/verborgen",
            "service=verborgen",
            "https://verborgen.invalid",
            "https://verborgen.invalid:port/",
        ],
    )
    def test_when_nobody_answers(
        self, dsn: str, place: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FEDGEN_MATRIX_TOKEN", "syt_verborgen")
        monkeypatch.setenv("PGPASSWORD", "verborgen")
        text = said_by(["measure", "synapse", dsn, "-o", "data.json"], place / "work", capsys, monkeypatch)
        assert "Error" in text
        assert not [part for part in ("verborgen", "hunter2") if part in text]

    def test_as_a_process(self, place: Path) -> None:
        path = damaged(place / "verborgen" / "homeserver.db")
        command = [sys.executable, "-m", "fedgen.cli", "measure", "synapse", str(path), "-o", "data.json"]
        env = {**os.environ, "FEDGEN_DEBUG": "1"}
        done = subprocess.run(command, cwd=place / "work", env=env, capture_output=True, timeout=60, check=False)
        assert b"Traceback" in done.stderr
        assert not [part for part in WORLD.names() if part.encode() in done.stdout + done.stderr]


def test_counts_are_of_words_that_docs_explain() -> None:
    docs = (Path(fedgen.__file__).parents[1] / "docs" / "measure.md").read_text()
    words = [
        "opted out",
        "partial state",
        "nobody of ours",
        "said nothing readable",
        "malformed",
        "gone",
        "nobody left",
        "own or silent",
        "bridged stub",
        "room left out",
    ]
    assert not [word for word, count in Counter(words).items() if f"`{word}`" not in docs or count > 1]


def test_errors_are_of_the_family() -> None:
    assert issubclass(MeasureError, FedgenError)
