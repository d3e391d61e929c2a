"""The federation directory: five parquet tables in parts, a plan before them and a manifest after them.

``plan.json`` is written first and says what is being made; ``manifest.json`` is written last, with the sha256 of every
file: a directory without it is unfinished and is not read. :mod:`fedgen.io.parts` writes one.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct

from fedgen.errors import FormatError
from fedgen.federation import Federation
from fedgen.io.assemble import count, disagreements
from fedgen.io.content import decode_json
from fedgen.io.store import Folder
from fedgen.provenance import digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

VERSION = 1
"""Of this format; readers refuse a higher one."""

WEIGHT_TOLERANCE = 1e-9
"""Relative: sums of fractions differ in their last digits with the order of their terms."""

SINGLE = ("servers", "rooms")
PARTED = ("users", "memberships", "presences")
PLAN, MANIFEST = "plan.json", "manifest.json"
FILE_PATTERN = r"^(servers\.parquet|rooms\.parquet|(users|memberships|presences)/part-[0-9]{5,}\.parquet)$"


class Counts(Struct, forbid_unknown_fields=True):
    """S, U, R, M, K."""

    servers: int
    users: int
    rooms: int
    memberships: int
    presences: int


class File(Struct, forbid_unknown_fields=True):
    """One table or part of one; ``path`` is relative to the directory."""

    path: Annotated[str, Meta(pattern=FILE_PATTERN)]
    sha256: str
    bytes: int
    rows: int


class Manifest(Struct):
    """What a finished directory holds (fedgen/schemas/manifest.schema.json)."""

    version: int
    counts: Counts
    files: list[File]
    plan: str
    provenance: dict[str, Any]


def part_path(table: str, part: int | None = None) -> str:
    """Where a table, or a part of it, lies in the directory."""
    return f"{table}.parquet" if part is None else f"{table}/part-{part:05d}.parquet"


def encoded(document: Any) -> bytes:
    """JSON as the plan and the manifest are written: keys in order, indented for people."""
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2) + b"\n"


def is_plan(content: bytes) -> bool:
    """Whether this is the plan of a federation directory."""
    try:
        plan = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return "fedgen" in plan and bool({"sizes", "figures"} & plan.keys())


def tables(names: Iterable[str]) -> list[str]:
    """Those names that are tables or parts of the format, in the order of the manifest."""
    order = {table: i for i, table in enumerate(SINGLE + PARTED)}
    ours = [name for name in names if re.match(FILE_PATTERN, name)]
    return sorted(ours, key=lambda name: (order[name.removesuffix(".parquet").split("/")[0]], len(name), name))


def read(path: Path) -> tuple[Federation, tuple[str, ...]]:
    """The federation in a directory, and remarks.

    Raises:
        FormatError: no federation directory, unfinished, damaged (sha256), of a newer version, or tables that do not
            fit each other. The message lacks the path of the directory.
        OSError: a file cannot be read.
    """
    manifest = read_manifest(path)
    verify(path, manifest)
    counts = manifest.counts
    users = _table(path, manifest, "users", ("user", "server"))
    server = _ids(users, "users", "server", counts.servers)
    if len(users) != counts.users or not np.array_equal(
        _ids(users, "users", "user", counts.users), np.arange(counts.users)
    ):
        raise FormatError("users: ids are not 0, 1, 2, ... in order; write the directory again with fedgen convert")
    memberships = _table(path, manifest, "memberships", ("user", "room"))
    if len(memberships) != counts.memberships:
        raise FormatError(
            f"memberships: {len(memberships)} rows, {MANIFEST} states {counts.memberships}; write the directory again"
        )
    federation = Federation.from_pairs(
        server,
        _ids(memberships, "memberships", "user", counts.users),
        _ids(memberships, "memberships", "room", counts.rooms),
        n_servers=counts.servers,
        n_rooms=counts.rooms,
    )
    federation.check()
    if counts.presences != federation.n_presences:
        raise FormatError(
            f"{MANIFEST} states {counts.presences} presences, its memberships make {federation.n_presences}; "
            "write the directory again"
        )
    return federation, _presence_remarks(path, manifest, federation)


def read_manifest(path: Path) -> Manifest:
    """What a directory says that it holds; errors: as :func:`read`."""
    if not (path / MANIFEST).is_file():
        if (path / PLAN).is_file() and is_plan((path / PLAN).read_bytes()):
            raise FormatError(
                f"is an unfinished federation directory (no {MANIFEST}); run the command that began it again"
            )
        raise FormatError(f"is a folder without {PLAN} and {MANIFEST}, so no federation directory; give one, or a file")
    try:
        content = (path / MANIFEST).read_bytes()
        stated = decode_json(content, _Version).version
        if stated > VERSION:
            raise FormatError(f"is of format version {stated}, this fedgen reads up to {VERSION}; use a newer fedgen")
        manifest = decode_json(content, Manifest)
    except FormatError as error:
        raise FormatError(f"{MANIFEST} {error}") from None
    counts = manifest.counts
    if not (0 < counts.servers <= counts.users <= counts.memberships and 0 < counts.rooms <= counts.memberships):
        raise FormatError(f"{MANIFEST} states counts that no federation has ({counts}); write the directory again")
    return manifest


class _Version(Struct):
    version: int


def verify(path: Path, manifest: Manifest) -> None:
    """Every file that the manifest lists is there unchanged, and no other part lies beside them."""
    listed = {file.path for file in manifest.files}
    surplus = [file for file in tables(Folder(path).names()) if file not in listed]
    if surplus:
        raise FormatError(f"{surplus[0]} is not in {MANIFEST}; remove it or write the directory again")
    if not (path / PLAN).is_file() or digest(path / PLAN) != manifest.plan:
        raise FormatError(
            f"{PLAN} is missing or was changed after {MANIFEST} was written (sha256); write the directory again"
        )

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(lambda file: check_file(path, file), manifest.files):
            pass


def check_file(path: Path, file: File) -> None:
    """Raise FormatError where a file of the directory is not there as its manifest lists it."""
    place = path / file.path
    if not (place.is_file() and place.stat().st_size == file.bytes and digest(place) == f"sha256:{file.sha256}"):
        raise FormatError(f"{file.path} is missing or damaged (sha256); copy or write the directory again")


def _table(path: Path, manifest: Manifest, name: str, columns: tuple[str, ...]) -> pa.Table:
    import pyarrow
    from pyarrow import parquet

    parts = [file.path for file in manifest.files if file.path.split("/")[0] == name]
    if not parts:
        raise FormatError(f"{MANIFEST} lists no part of {name}; write the directory again")
    try:
        return pyarrow.concat_tables(parquet.ParquetFile(path / part).read(list(columns)) for part in parts)
    except pyarrow.ArrowException as error:
        reason = str(error).splitlines()[0][:120]
        raise FormatError(f"{name} cannot be read ({reason}); write the directory again") from None


def _column(table: pa.Table, name: str, column: str) -> pa.ChunkedArray:
    if column not in table.column_names:
        raise FormatError(f"{name}: has no column {column}; write the directory again")
    return table.column(column)


def _ids(table: pa.Table, name: str, column: str, limit: int) -> NDArray[np.int64]:
    """A column of dense ids below ``limit``."""
    import pyarrow

    values = _column(table, name, column)
    if not pyarrow.types.is_integer(values.type) or values.null_count:
        raise FormatError(f"{name}: column {column} is not all integers; write the directory again")
    numbers: NDArray[np.int64] = values.to_numpy().astype(np.int64)
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= limit):
        raise FormatError(f"{name}: column {column} goes beyond the {limit} in {MANIFEST}; write the directory again")
    return numbers


def _numbers(table: pa.Table, name: str, column: str) -> NDArray[np.float64]:
    """A column of numbers; NaN for null."""
    import pyarrow

    try:
        values: NDArray[np.float64] = _column(table, name, column).cast(pyarrow.float64()).to_numpy()
    except pyarrow.ArrowException:
        raise FormatError(f"{name}: column {column} is not all numbers; write the directory again") from None
    return values


def _presence_remarks(path: Path, manifest: Manifest, federation: Federation) -> tuple[str, ...]:
    """What the table of presences states otherwise than the memberships, which are what counts."""
    stated = _table(path, manifest, "presences", ("server", "room", "users", "weight"))
    counts, derived = manifest.counts, federation.presences
    server = _ids(stated, "presences", "server", counts.servers)
    room = _ids(stated, "presences", "room", counts.rooms)
    users, weight = (_numbers(stated, "presences", column) for column in ("users", "weight"))
    order = np.argsort(room * counts.servers + server, kind="stable")
    server, room, users, weight = server[order], room[order], users[order], weight[order]
    if np.array_equal(server, derived.server) and np.array_equal(room, derived.room):
        return (
            *_other("count of users", users != derived.users),
            *_other("weight", ~np.isclose(weight, derived.weight, rtol=WEIGHT_TOLERANCE, atol=0)),
        )
    repeated = int(np.count_nonzero((server[1:] == server[:-1]) & (room[1:] == room[:-1])))
    names = np.arange(max(counts.servers, counts.rooms), dtype=np.uint64)
    return (
        *((f"{count(repeated, 'repeated server-room pair')} left out",) if repeated else ()),
        *disagreements((derived.server, derived.room), (server, room), names[: counts.servers], names[: counts.rooms]),
    )


def _other(what: str, differs: NDArray[np.bool_]) -> tuple[str, ...]:
    wrong = int(np.count_nonzero(differs))
    if not wrong:
        return ()
    state, their = ("states", "its") if wrong == 1 else ("state", "their")
    return (f"{count(wrong, 'presence')} {state} another {what} than {their} memberships, which were used",)
