"""CSV with the columns ``user,server,room``: one row per membership.

On reading the columns may stand in any order and others beside them; ids are integers or strings. On writing rows are
sorted by room, then user.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.errors import FormatError
from fedgen.io.assemble import Pairing, distinct, ids
from fedgen.io.recognise import COLUMNS, columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from fedgen.federation import Federation, Integers
    from fedgen.io.assemble import Ids

ROWS = 1 << 20
"""Rows that are turned into text at a time."""


def read(content: bytes) -> Pairing:
    """The pairs that a table holds."""
    import pyarrow

    header = columns(content.split(b"\n", 1)[0])
    for name in COLUMNS:
        if header.count(name) > 1:
            raise FormatError(f"has the column {name} twice; leave one")
    if b"\n" not in content:
        content += b"\n"  # pyarrow skips only whole lines
    try:
        try:
            table = _table(content, header, threads=True)
        except pyarrow.ArrowInvalid:
            table = _table(content, header, threads=False)  # which says the row of the error
    except pyarrow.ArrowException as error:
        reason = str(error).splitlines()[0].removeprefix("CSV parse error: ")
        raise FormatError(f"is a broken CSV ({reason[:160]}); write it again with one row per membership") from None
    (users, user), (servers, server), (rooms, room) = (_coded(table.column(name), name) for name in COLUMNS)
    homes, _ = distinct((user, server), len(servers))
    extra = [name for name in header if name not in COLUMNS]
    remarks = (f"column{'s' * (len(extra) > 1)} {', '.join(extra)[:80]} ignored",) if extra else ()
    return Pairing(users, servers, rooms, homes, (user, room), remarks=remarks)


def _table(content: bytes, header: list[str], *, threads: bool) -> pa.Table:
    """The three columns as dictionaries of strings, one for all chunks of a column."""
    import pyarrow
    from pyarrow import csv

    text = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    return csv.read_csv(
        pyarrow.BufferReader(content),
        read_options=csv.ReadOptions(column_names=header, skip_rows=1, use_threads=threads),
        convert_options=csv.ConvertOptions(
            include_columns=COLUMNS,
            column_types=dict.fromkeys(COLUMNS, text),
            strings_can_be_null=False,
        ),
    ).unify_dictionaries()


def _coded(column: pa.ChunkedArray, kind: str) -> tuple[Ids, Integers]:
    """The distinct ids of a column, blanks around them left out, and the index of each row's."""
    from pyarrow import compute

    if not column.num_chunks or not len(column):
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int32)
    bare = compute.utf8_trim_whitespace(column.chunk(0).dictionary).dictionary_encode()
    indices: Any = np.concatenate([chunk.indices.to_numpy(zero_copy_only=False) for chunk in column.chunks])
    codes: Any = bare.indices.to_numpy()[indices]

    def row(code: int) -> str:
        return f" in row {np.argmax(codes == code) + 2}"  # as spreadsheets count: the header is row 1

    return _ids(bare.dictionary, kind, row), codes


def _ids(values: pa.StringArray, kind: str, row: Callable[[int], str]) -> Ids:
    import pyarrow
    from pyarrow import compute

    if compute.all(compute.match_substring_regex(values, "^(0|[1-9][0-9]{0,18})$")).as_py():
        numbers: Any = values.cast(pyarrow.uint64()).to_numpy()
        return np.asarray(numbers, dtype=np.uint64)
    return ids(values.to_pylist(), kind, row)


def write(federation: Federation) -> Iterator[bytes]:
    """The table, piece by piece."""
    import pyarrow
    from pyarrow import csv

    yield b"user,server,room\n"
    user, room = federation.membership_user, federation.membership_room
    plain = csv.WriteOptions(include_header=False)
    for start in range(0, len(user), ROWS):
        part = user[start : start + ROWS]
        rows = [part, federation.user_server[part], room[start : start + ROWS]]
        sink = io.BytesIO()
        csv.write_csv(pyarrow.table(rows, names=list(COLUMNS)), sink, plain)
        yield sink.getvalue()
