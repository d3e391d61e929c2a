"""A snapshot from Synapse's database in PostgreSQL, read by a role with as few rights as docs/measure.md gives it."""

import os
import re
import socket
import threading
import traceback
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from psycopg import sql

import fedgen
from fedgen.cli.commands import run
from fedgen.errors import MeasureError
from fedgen.measure import postgresql as postgresql_module
from fedgen.measure.address import read_address
from fedgen.measure.database import open_database
from fedgen.measure.exclusions import Exclusions
from tests.postgresql_server import PASSWORD, postgresql_server
from tests.synapse_world import OURS, Room, World, create, fill, worlds
from tests.test_measure_synapse import WORLD, federation_in, hashed, seen_triples, surveyed
from tests.up_to_numbering import shape

Captured = pytest.CaptureFixture[str]
READER = "fedgen_reader"
DATABASE = "verborgen_db"


class Server:
    """A server with a database of Synapse's in it, and a role that may read what the docs say."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.settings = settings
        with closing(self.chief("postgres")) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
        self.renew(WORLD)
        with closing(self.chief()) as connection:
            connection.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{PASSWORD}'")
            connection.execute(grants())

    def chief(self, database: str = DATABASE) -> "psycopg.Connection[Any]":
        return psycopg.connect(**{**self.settings, "dbname": database}, autocommit=True)

    def renew(self, world: World | None, **how: Any) -> None:
        """Other content; tables, and rights on them, stay where they are there."""
        with closing(self.chief()) as connection, connection.transaction():

            def execute(query: str, values: Any) -> None:
                connection.execute(query.replace("?", "%s").encode(), tuple(values))

            if connection.execute("SELECT to_regclass('current_state_events')").fetchone() == (None,):
                create(execute)
            else:
                names = "current_state_events, local_current_membership, partial_state_rooms, event_json"
                connection.execute(f"TRUNCATE {names}, room_aliases, room_stats_state")
            if world is not None:
                fill(execute, world, **how)

    def dsn(self, user: str = READER) -> str:
        return f"postgresql://{user}@/{DATABASE}?host={self.settings['host']}"


def grants(more: bool = False) -> str:
    """The statements of the docs; the last block lets it read state events, too."""
    docs = (Path(fedgen.__file__).parents[1] / "docs" / "measure.md").read_text()
    blocks = re.findall(r"```sql\n(.*?)```", docs, re.DOTALL)
    assert len(blocks) == 2
    return "\n".join(
        line for line in blocks[int(more)].splitlines() if "CREATE ROLE" not in line and "CONNECT" not in line
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql_server() as settings:
        yield Server(settings)


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)


@pytest.fixture
def world(server: Server) -> World:
    server.renew(WORLD)
    return WORLD


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds())
def test_the_snapshot_is_the_truth(world: World, server: Server) -> None:
    server.renew(world)
    with open_database(read_address(server.dsn("chief"))) as database:
        seen = surveyed(database, world.rules)
    assert seen_triples(seen) == hashed(world)
    assert shape(seen.federation()) == shape(world.federation())


class TestRights:
    def test_without_messages_topics_come_from_statistics(self, server: Server) -> None:
        rooms = (
            Room("!a", {f"@a:{OURS}": "join"}, topic="MRS-noindex:true-MRS"),
            Room("!b", {f"@a:{OURS}": "join"}, topic="welcome"),
            Room("!c", {f"@a:{OURS}": "join"}, alias=f"#out:{OURS}"),
        )
        for stats, told in ((True, {"opted out": 2, "seen": 1}), (False, {"said nothing readable": 3})):
            server.renew(World(rooms), stats=stats)
            with open_database(read_address(server.dsn())) as database:
                assert not database.may_read("event_json", ("event_id", "json"))
                assert surveyed(database, Exclusions(rooms=(f"#out:{OURS}",))).told()["rooms"] == told

    def test_with_the_right_to_read_events_they_are_exact(self, server: Server, world: World) -> None:
        with closing(server.chief()) as chief:
            chief.execute(grants(more=True))
            try:
                with open_database(read_address(server.dsn())) as database:
                    assert seen_triples(surveyed(database, world.rules)) == hashed(world)
            finally:
                chief.execute(f"REVOKE ALL ON event_json FROM {READER}")

    @pytest.mark.parametrize(
        "table",
        [
            "schema_version",
            "current_state_events",
            "local_current_membership",
            "partial_state_rooms",
            "room_aliases",
            "room_stats_state",
        ],
    )
    @pytest.mark.usefixtures("world")
    def test_a_right_that_is_missing_is_told(self, table: str, server: Server) -> None:
        with closing(server.chief()) as chief:
            chief.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(sql.Identifier(table), sql.Identifier(READER)))
            try:
                with open_database(read_address(server.dsn())) as database, pytest.raises(MeasureError) as caught:
                    surveyed(database, Exclusions())
            finally:
                chief.execute(grants())
        assert f"does not let us read {table}" in str(caught.value)

    @pytest.mark.usefixtures("world")
    def test_not_even_a_superuser_writes(self, server: Server) -> None:
        with closing(server.chief()) as chief:
            chief.execute("CREATE SEQUENCE IF NOT EXISTS numbers")
        with open_database(read_address(server.dsn("chief"))) as database:
            level = "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')"
            assert list(database.rows("x", level)) == [[("repeatable read", "on")]]
            with pytest.raises(MeasureError, match="25006"):  # read_only_sql_transaction
                list(database.rows("x", "SELECT nextval('numbers')"))


@pytest.mark.usefixtures("world")
def test_what_is_written_meanwhile_is_not_seen(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_module, "BATCH", 1)
    with open_database(read_address(server.dsn("chief"))) as database:
        rows = database.rows("x", "SELECT state_key FROM current_state_events WHERE membership = 'join'")
        seen = [*next(rows)]
        with closing(server.chief()) as other:
            other.execute("DELETE FROM current_state_events")
            other.execute("DELETE FROM local_current_membership")
        seen += [row for batch in rows for row in batch]
        assert len(seen) == sum(len(room.joined()) for room in WORLD.rooms)
        again = database.rows("x", "SELECT count(*) FROM local_current_membership WHERE membership = 'join'")
        assert next(again)[0][0] > 0


class TestCommand:
    @pytest.mark.parametrize("form", ["url", "keywords", "service"])
    def test_every_form_of_dsn(
        self, form: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
    ) -> None:
        server.renew(WORLD)
        host = server.settings["host"]
        (tmp_path / "service.conf").write_text(f"[synapse]\nhost={host}\nuser={READER}\ndbname={DATABASE}\n")
        monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "service.conf"))
        forms = {
            "url": server.dsn(),
            "keywords": f"host={host} user={READER} dbname={DATABASE}",
            "service": "service=synapse",
        }
        (tmp_path / "c.toml").write_text(f"[leave_out]\nusers = ['@bot:{OURS}']\nstubs = ['@_irc_*']")
        words = [
            "measure",
            "synapse",
            forms[form],
            "-o",
            str(tmp_path / "data.json"),
            "--config",
            str(tmp_path / "c.toml"),
        ]
        assert run([*words, "-q"]) == 0
        assert "memberships" in capsys.readouterr().out
        world = World(WORLD.rooms, Exclusions(users=WORLD.rules.users, stubs=WORLD.rules.stubs))
        assert shape(federation_in(tmp_path / "data.json")) == shape(world.federation())


class TestErrors:
    """One line each, and nobody named: neither in it, nor in the traceback that FEDGEN_DEBUG=1 shows."""

    def told(self, dsn: str) -> str:
        with pytest.raises(MeasureError) as caught, open_database(read_address(dsn)) as database:
            surveyed(database, Exclusions())
        text = "".join(traceback.format_exception(caught.value))
        names = ("verborgen", READER, PASSWORD, "fedgen-pg-", "alice", "!one")
        assert not [name for name in names if name in text]
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def test_no_password(self, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("PGPASSWORD")
        monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
        assert "asks for a password; give it in PGPASSWORD" in self.told(server.dsn())

    def test_a_wrong_password(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PGPASSWORD", "verborgen")
        assert "does not let us in; check user, password" in self.told(server.dsn())

    def test_an_unknown_user_or_database(self, server: Server) -> None:
        assert "does not let us in" in self.told(server.dsn("verborgen"))
        assert "does not let us in" in self.told(server.dsn().replace(DATABASE, "verborgen"))

    def test_no_server(self, tmp_path: Path) -> None:
        assert "cannot be reached" in self.told(f"postgresql://verborgen@/verborgen?host={tmp_path}")
        assert "cannot be reached" in self.told("postgresql://verborgen@127.0.0.1:9/verborgen")

    def test_a_server_that_says_nothing(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as mute:
            port = mute.getsockname()[1]
            assert "in time" in self.told(f"postgresql://verborgen@127.0.0.1:{port}/verborgen?connect_timeout=2")

    def test_another_database(self, server: Server) -> None:
        assert "no table schema_version" in self.told(server.dsn("chief").replace(DATABASE, "template1"))

    @pytest.mark.parametrize(
        "query",
        ["SELECT 'verborgen'::int", "SELECT * FROM verborgen", "SELECT json FROM event_json", "SELECT pg_sleep(9)"],
    )
    def test_what_the_driver_says_is_dropped(self, query: str, server: Server) -> None:
        with open_database(read_address(server.dsn())) as database:
            database.connection.execute("SET statement_timeout = 500")  # type: ignore[attr-defined]
            with pytest.raises(MeasureError) as caught:
                list(database.rows("things", query))
        text = "".join(traceback.format_exception(caught.value))
        assert "MeasureError" in text
        assert "psycopg" not in text
        assert "verborgen" not in text

    @pytest.mark.parametrize("how", ["terminated", "cancelled", "cut", "timed out"])
    def test_a_connection_that_is_lost(self, how: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        server.renew(WORLD)
        monkeypatch.setattr(postgresql_module, "BATCH", 1)
        says = {
            "terminated": "was shut down",
            "cancelled": "ended a query",
            "cut": "closed the connection",
            "timed out": "ended a query",
        }
        with pytest.raises(MeasureError, match=says[how]) as caught:
            self.lose(how, server)
        text = "".join(traceback.format_exception(caught.value))
        assert not [name for name in ("verborgen", READER, PASSWORD, "fedgen-pg-") if name in text]

    def lose(self, how: str, server: Server) -> None:
        with open_database(read_address(server.dsn())) as database:
            connection = database.connection  # type: ignore[attr-defined]
            rows = database.rows("current_state_events", "SELECT room_id, type FROM current_state_events")
            next(rows)
            pid = connection.info.backend_pid
            if how == "terminated":
                with closing(server.chief()) as chief:
                    chief.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
            elif how == "cut":
                with closing(socket.socket(fileno=os.dup(connection.fileno()))) as wire:
                    wire.shutdown(socket.SHUT_RDWR)
            elif how == "timed out":
                connection.execute("SET statement_timeout = 50")
                rows = database.rows("x", "SELECT pg_sleep(5)")
            else:
                threading.Timer(0.2, self.cancel, (server, pid)).start()
                rows = database.rows("x", "SELECT pg_sleep(5)")
            list(rows)

    def cancel(self, server: Server, pid: int) -> None:
        with suppress(psycopg.Error), closing(server.chief()) as chief:
            chief.execute("SELECT pg_cancel_backend(%s)", (pid,))
