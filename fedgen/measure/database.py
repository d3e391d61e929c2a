"""A homeserver's database as a measurement needs it: read, and nothing else, at one moment in time.

What goes wrong is told in one line of our own. What the drivers say is dropped, together with their exceptions: it
quotes hosts, users, paths, and values of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from fedgen.errors import MeasureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from fedgen.measure.address import Address

BATCH = 20_000
"""Rows that are fetched at once."""


class Database(Protocol):
    """One transaction, read-only: whatever is asked is answered as of its beginning."""

    @property
    def engine(self) -> str:
        """``postgresql`` or ``sqlite``."""

    def rows(self, table: str, query: str) -> Iterator[Sequence[tuple[Any, ...]]]:
        """The rows of a query, in batches; memory holds one.

        Args:
            table: the one that matters, for errors.
            query: SQL that both engines understand, without parameters.

        Raises:
            MeasureError: the table is not there, may not be read, or the database goes away.
        """

    def may_read(self, table: str, columns: Sequence[str]) -> bool:
        """Whether we have the right to read them; errors as of :meth:`rows`."""


def open_database(address: Address) -> AbstractContextManager[Database]:
    """Open the database, for as long as the block lasts.

    Raises:
        UsageError: its driver is not installed, or cannot make sense of the address.
        MeasureError: it cannot be opened.
    """
    if address.engine == "postgresql":
        from fedgen.measure.postgresql import open_postgresql

        return open_postgresql(address.place)
    from fedgen.measure.sqlite import open_sqlite

    return open_sqlite(address.place)


def no_synapse(table: str) -> MeasureError:
    """What is told of a database without one of Synapse's tables."""
    return MeasureError(
        f"the database has no table {table} as Synapse's have; name the database of a Synapse homeserver, and a user "
        "on whose search_path its tables are"
    )
