"""Synapse's database in PostgreSQL.

One transaction, ``ISOLATION LEVEL REPEATABLE READ READ ONLY``: PostgreSQL itself refuses to write, and all of it is as
of one moment. Rows come through a cursor on the server, so that memory does not grow with their number. Set by BEGIN
and not by options of the connection, which poolers such as PgBouncer refuse.
"""

from __future__ import annotations

import logging
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fedgen.errors import FedgenError, MeasureError, UsageError
from fedgen.measure.database import BATCH, Database, no_synapse
from fedgen.measure.packages import need

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg

_CONNECT_SECONDS = 15
_AGAIN = "nothing was written; run the same command again"
_TOLD = {
    "57014": "ended a query of ours (statement_timeout, or an administrator); allow this user more time",
    "25P03": "ended our transaction, which it calls idle; allow this user more time",
    "57P01": f"was shut down, or an administrator ended our connection; {_AGAIN}",
    "57P02": f"crashed; {_AGAIN}",
    "57P03": "is starting or shutting down; try again later",
    "53300": "has no connection left; try again later",
    "40001": "is a replica and went on without us; set hot_standby_feedback = on there, or read the primary",
    "XX001": "is damaged; read a backup",
}
"""By SQLSTATE (PostgreSQL's documentation, appendix A)."""


@dataclass(frozen=True)
class Postgresql(Database):
    """A connection within a transaction.

    Attributes:
        connection: of the driver.
    """

    connection: psycopg.Connection[Any]
    engine = "postgresql"

    def rows(self, table: str, query: str) -> Iterator[Sequence[tuple[Any, ...]]]:
        """See :class:`~fedgen.measure.database.Database`."""
        with _told(table), self.connection.cursor(name="fedgen") as cursor:
            cursor.execute(query.encode())
            while batch := cursor.fetchmany(BATCH):
                yield batch

    def may_read(self, table: str, columns: Sequence[str]) -> bool:
        """See :class:`~fedgen.measure.database.Database`."""
        with _told(table):
            asked = (
                self.connection.execute("SELECT has_column_privilege(%s, %s, 'SELECT')", (table, column)).fetchone()
                for column in columns
            )
            return all(row is not None and row[0] for row in asked)


@contextmanager
def open_postgresql(dsn: str) -> Iterator[Postgresql]:
    """Connect.

    Raises:
        UsageError: psycopg is not installed, or cannot make sense of the DSN.
        MeasureError: nobody answers, or does not let us in.
    """
    need("psycopg")
    import psycopg

    logging.getLogger("psycopg").disabled = True  # what it warns of names hosts and users
    with closing(_connected(dsn)) as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield Postgresql(connection)


def _connected(dsn: str) -> psycopg.Connection[Any]:
    import psycopg

    try:
        given = psycopg.conninfo.conninfo_to_dict(dsn)
        settings: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS, **given, "client_encoding": "utf8"}
        settings.setdefault("application_name", "fedgen measure")
        if given.get("password") is None:
            # no prepared statements: a pooler may give every transaction another connection
            return psycopg.connect(**settings, prepare_threshold=None)
        problem: FedgenError = UsageError("DSN: has a password in it; give it in PGPASSWORD or ~/.pgpass")
    except psycopg.ProgrammingError:
        problem = UsageError("DSN: PostgreSQL cannot make sense of it; give postgresql://USER@HOST/DATABASE")
    except psycopg.Error as error:
        problem = _unconnected(error)
    raise problem


def _unconnected(error: psycopg.Error) -> MeasureError:
    import psycopg

    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return MeasureError("the database does not answer in time; check host and port, and the way there")
    pgconn = error.pgconn
    if pgconn is not None and pgconn.needs_password:
        return MeasureError("the database asks for a password; give it in PGPASSWORD, ~/.pgpass or a service file")
    if pgconn is not None and pgconn.used_password:
        return MeasureError("the database does not let us in; check user, password and the database's name")
    return MeasureError(
        "the database cannot be reached, or knows no such user or database; check the DSN, and that it runs"
    )


@contextmanager
def _told(table: str) -> Iterator[None]:
    """Turn what PostgreSQL says into a line of ours, without a trace of it."""
    import psycopg

    try:
        yield
        return
    except psycopg.Error as error:
        code, lost = error.sqlstate or "", error.sqlstate is None and isinstance(error, psycopg.OperationalError)
    if code == "42501":
        raise MeasureError(
            f"the database does not let us read {table}; grant it to this user as docs/measure.md says"
        ) from None
    if code in ("42P01", "42703", "3F000"):  # table, column, schema
        raise no_synapse(table) from None
    if lost:
        raise MeasureError(f"the database closed the connection before all was read; {_AGAIN}") from None
    what = _TOLD.get(code, f"cannot be read (SQLSTATE {code or 'unknown'}); see its log")
    raise MeasureError(f"the database {what}") from None
