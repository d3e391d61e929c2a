"""Synapse's database in a file of SQLite.

The file is opened with ``mode=ro``, which makes none where there is none, and never with ``immutable=1``: Synapse may
be at work, and then part of the data is in its write-ahead log. Reading lets it go on writing (Synapse sets
``journal_mode=WAL``; https://www.sqlite.org/wal.html). Nothing of the data is written. But where nobody is at work,
SQLite makes the log (``-wal``, ``-shm``) anew, and who only reads cannot remove it again; if it belonged to somebody
other than the database does, Synapse could not start. So only the owner (or root, for whom SQLite sets the owner)
may read a database that nobody uses.
"""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fedgen.errors import MeasureError
from fedgen.measure.database import BATCH, Database, no_synapse

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

_LOGS = slice(18, 20)  # of the header: 2 and 2 for journal_mode=WAL (https://www.sqlite.org/fileformat.html)
_WAIT = 10.0  # seconds for a lock that somebody holds
_TOLD = {
    "SQLITE_NOTADB": "is no SQLite database (or an encrypted one); name Synapse's",
    "SQLITE_CORRUPT": "is damaged; have SQLite check it (PRAGMA integrity_check), or read a backup",
    "SQLITE_BUSY": "is locked by somebody else; try again later, or read a backup",
    "SQLITE_LOCKED": "is locked by somebody else; try again later, or read a backup",
    "SQLITE_CANTOPEN": "cannot be opened; see that you may read it, and write to its folder if it has a -wal file",
    "SQLITE_READONLY": "cannot be opened; see that you may write to its folder, for the -shm file of its log",
    "SQLITE_PERM": "cannot be opened; see that you may read it",
    "SQLITE_AUTH": "cannot be opened; see that you may read it",
    "SQLITE_IOERR": "cannot be read to the end (the disk fails, or the file is gone); read a backup",
}


@dataclass(frozen=True)
class Sqlite(Database):
    """A file within a read transaction.

    Attributes:
        connection: of the driver.
    """

    connection: sqlite3.Connection
    engine = "sqlite"

    def rows(self, table: str, query: str) -> Iterator[Sequence[tuple[Any, ...]]]:
        """See :class:`~fedgen.measure.database.Database`."""
        with _told(table), closing(self.connection.cursor()) as cursor:
            cursor.execute(query)
            while batch := cursor.fetchmany(BATCH):
                yield batch

    def may_read(self, table: str, columns: Sequence[str]) -> bool:  # noqa: ARG002  who reads the file reads all
        """See :class:`~fedgen.measure.database.Database`."""
        return True


@contextmanager
def open_sqlite(path: str) -> Iterator[Sqlite]:
    """Open a file.

    Raises:
        MeasureError: there is none, or it is no database.
    """
    import sqlite3

    real = os.path.realpath(path)  # beside which SQLite's other files are, whatever links to it
    _check(Path(real))
    with _told():
        uri = f"file:{quote(os.fsencode(real))}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_WAIT)
    with closing(connection):
        # Bytes that are no UTF-8 are no reason to stop: they become a user of their own, as any other name does.
        connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        with _told():
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from now on the data stands still
        yield Sqlite(connection)


def _check(path: Path) -> None:
    """Tell what SQLite would call "unable to open database file"."""
    try:
        if path.is_dir():
            raise MeasureError("the database: is a folder; name the file in it, homeserver.db by default")
        with path.open("rb") as file:
            header = file.read(_LOGS.stop)
        if header[_LOGS] != b"\x02\x02" or Path(f"{path}-shm").exists() or os.geteuid() in (0, path.stat().st_uid):
            return
        problem = "is not in use, and who reads it makes files that keep Synapse out; run this as its owner"
    except FileNotFoundError:
        problem = "there is no such file; check the path"
    except PermissionError:
        problem = "there is no right to read it; run this as a user who may"
    except (OSError, ValueError):
        problem = "the file cannot be opened; check the path"
    raise MeasureError(f"the database: {problem}")


@contextmanager
def _told(table: str | None = None) -> Iterator[None]:
    """Turn what SQLite says into a line of ours, without a trace of it."""
    import sqlite3

    try:
        yield
        return
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
    base = "_".join(name.split("_")[:2])  # SQLITE_IOERR_READ is one of SQLITE_IOERR
    if table is not None and base == "SQLITE_ERROR":
        raise no_synapse(table) from None
    what = _TOLD.get(base, f"cannot be read ({name or 'SQLite'}); read a backup")
    raise MeasureError(f"the database {what}") from None
