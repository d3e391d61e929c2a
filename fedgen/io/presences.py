"""The presences of a federation directory, streamed: all that the load needs, without the memberships."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.errors import FormatError
from fedgen.io.directory import check_file
from fedgen.traffic.equations import Stretch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from fedgen.federation import Integers
    from fedgen.io.directory import Manifest

ROWS = 1 << 20
"""Presences at a time, at most."""


def servers_of(path: Path, manifest: Manifest) -> tuple[Integers, Integers]:
    """(S,) users and (S,) rooms of each server, as the directory states them.

    Raises:
        FormatError: the table is missing or damaged.
    """
    columns = [
        np.concatenate(parts)
        for parts in zip(*_columns(path, manifest, "servers", ("server", "users", "rooms")), strict=True)
    ]
    server, users, rooms = columns
    if not np.array_equal(server, np.arange(manifest.counts.servers)):
        raise FormatError("servers: ids are not 0, 1, 2, ... in order; write the directory again with fedgen convert")
    return users.astype(np.int64), rooms.astype(np.int64)


def stretches(path: Path, manifest: Manifest) -> Iterator[Stretch]:
    """The presences of a directory, sorted by room.

    Raises:
        FormatError: a part is missing or damaged, an id is beyond the counts, or rooms fall; the path is not in it.
    """
    last, rows = -1, 0
    for server, room, weight in _columns(path, manifest, "presences", ("server", "room", "weight")):
        if len(server) == 0:
            continue
        if int(server.max()) >= manifest.counts.servers or int(room.max()) >= manifest.counts.rooms:
            raise FormatError("presences: an id is beyond the counts in manifest.json; write the directory again")
        if int(room[0]) < last or np.any(room[1:] < room[:-1]):
            raise FormatError("presences: are not sorted by room; write the directory again with fedgen convert")
        if not np.all(np.isfinite(weight) & (weight > 0)):
            raise FormatError("presences: a weight is not a number above 0; write the directory again")
        last, rows = int(room[-1]), rows + len(room)
        yield Stretch(server, room, weight)
    if rows != manifest.counts.presences:
        raise FormatError(f"presences: {rows} rows, manifest.json states {manifest.counts.presences}")


def _columns(path: Path, manifest: Manifest, table: str, names: tuple[str, ...]) -> Iterator[list[NDArray[Any]]]:
    """Columns of a table, so many rows at a time, of files that are as the manifest lists them."""
    import pyarrow
    from pyarrow import parquet

    for file in manifest.files:
        if file.path.split("/")[0].removesuffix(".parquet") != table:
            continue
        check_file(path, file)
        try:
            for batch in parquet.ParquetFile(path / file.path).iter_batches(ROWS, columns=list(names)):
                yield [batch.column(name).to_numpy(zero_copy_only=False) for name in names]
        except (pyarrow.ArrowException, KeyError) as error:
            reason = str(error).splitlines()[0][:120]
            raise FormatError(f"{file.path} cannot be read ({reason}); write the directory again") from None
