"""The federation directory: five parquet tables in parts, a plan before them and a manifest after them.

``plan.json`` is written first and says what is being made; ``manifest.json`` is written last, with the sha256 of every
file: a directory without it is unfinished and is not read. Writers that stream call :func:`begin`, :func:`put` for each
part (in any order, from any thread) and :func:`finish`; :func:`write` does all of it for a federation in memory, and
begins an unfinished one of the same plan anew: the result is the same.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct

from fedgen.errors import FormatError, OutputError
from fedgen.federation import Federation
from fedgen.io.assemble import count, disagreements
from fedgen.io.content import decode_json
from fedgen.io.output import PARTIAL, replacing, told
from fedgen.provenance import digest, record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

VERSION = 1
"""Of this format; readers refuse a higher one."""

PART_ROWS = 1 << 20
"""Rows per part of a federation written from memory: a constant of the format, whatever the number of jobs."""

WEIGHT_TOLERANCE = 1e-9
"""Relative: sums of fractions differ in their last digits with the order of their terms."""

SINGLE = ("servers", "rooms")
PARTED = ("users", "memberships", "presences")
PLAN, MANIFEST = "plan.json", "manifest.json"
FILE_PATTERN = r"^(servers\.parquet|rooms\.parquet|(users|memberships|presences)/part-[0-9]{5,}\.parquet)$"

TEMPORARY_PATTERN = r"^\.(plan|manifest|servers|rooms|part-[0-9]+)\.(json|parquet)\.[0-9]+\.partial$"


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


def begin(path: Path, plan: Mapping[str, Any], *, force: bool = False) -> None:
    """Make the directory and write its plan; an unfinished one of the same plan keeps it and its parts.

    Raises:
        OutputError: it holds a finished federation or an unfinished one of another plan and ``force`` is not given; or
            anything else than a federation, which is never touched; or the system refuses.
    """
    with told(path):
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path}: is not a folder; choose another name for the federation directory")
        held = [entry.name for entry in path.iterdir() if not entry.name.endswith(PARTIAL)] if path.exists() else []
        if held and not _is_ours(path):
            raise OutputError(f"{path}: is a folder with other things in it; choose a new or an empty one")
        if MANIFEST in held and not force:
            raise OutputError(f"{path}: exists; choose another name or overwrite it with --force")
        if held and MANIFEST not in held and (path / PLAN).read_bytes() != encoded(plan) and not force:
            raise OutputError(
                f"{path}: holds an unfinished federation of another plan; finish that one or discard it with --force"
            )
        if held and force:
            clear(path)
        path.mkdir(exist_ok=True)
        for table in PARTED:
            (path / table).mkdir(exist_ok=True)
        if not (path / PLAN).exists():
            _put_bytes(path / PLAN, encoded(plan))


def _is_ours(path: Path) -> bool:
    try:
        plan = msgspec.json.decode((path / PLAN).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return False
    return "fedgen" in plan and bool({"sizes", "figures"} & plan.keys())


def clear(path: Path, *, keep_plan: bool = False) -> None:
    """Remove the files of the format, and none else; the manifest first, so that what is left is unfinished."""
    (path / MANIFEST).unlink(missing_ok=True)
    for file in files(path):
        (path / file).unlink()
    for left in (*path.glob(f".*{PARTIAL}"), *path.glob(f"*/.*{PARTIAL}")):
        if re.match(TEMPORARY_PATTERN, left.name):
            left.unlink()
    if not keep_plan:
        (path / PLAN).unlink(missing_ok=True)


def files(path: Path) -> list[str]:
    """The tables and parts that lie in the directory, in the order of the manifest."""
    found = [file.relative_to(path).as_posix() for file in (*path.glob("*.parquet"), *path.glob("*/*.parquet"))]
    order = {table: i for i, table in enumerate(SINGLE + PARTED)}
    ours = [file for file in found if re.match(FILE_PATTERN, file)]
    return sorted(ours, key=lambda file: (order[file.removesuffix(".parquet").split("/")[0]], len(file), file))


def done(path: Path, table: str, part: int | None = None) -> bool:
    """Whether a part is there already; parts appear whole or not at all."""
    return (path / part_path(table, part)).is_file()


def put(path: Path, table: str, rows: pa.Table, part: int | None = None) -> None:
    """Write a table or one part of it; it appears whole or not at all."""
    from pyarrow import parquet

    with replacing(path / part_path(table, part)) as temporary:
        # Sorted ids pack well under a dictionary; the others fall back by themselves.
        parquet.write_table(rows, temporary, compression="zstd")


def finish(path: Path, counts: Counts, provenance: Mapping[str, Any], *, jobs: int = 1) -> Manifest:
    """Write the manifest: from here on the directory is a federation."""
    with told(path), ThreadPoolExecutor(max(jobs, 1)) as pool:
        listed = list(pool.map(lambda file: _file(path, file), files(path)))
        manifest = Manifest(VERSION, counts, listed, digest(path / PLAN), dict(provenance))
        _put_bytes(path / MANIFEST, encoded(manifest))
    return manifest


def _file(path: Path, file: str) -> File:
    from pyarrow import parquet

    place = path / file
    rows = parquet.read_metadata(place).num_rows
    return File(file, digest(place).removeprefix("sha256:"), place.stat().st_size, rows)


def encoded(document: Any) -> bytes:
    """JSON as the plan and the manifest are written: keys in order, indented for people."""
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2) + b"\n"


def _put_bytes(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def counts_of(federation: Federation) -> Counts:
    """S, U, R, M, K of a federation in memory."""
    return Counts(
        federation.n_servers, federation.n_users, federation.n_rooms, federation.n_memberships, federation.n_presences
    )


def plan_of(federation: Federation) -> dict[str, Any]:
    """The plan of a directory that is converted, not sampled."""
    sizes = {"servers": federation.n_servers, "users": federation.n_users, "rooms": federation.n_rooms}
    return {"fedgen": version("fedgen"), "source": "convert", "sizes": sizes}


def write(
    federation: Federation,
    path: Path,
    *,
    force: bool = False,
    jobs: int = 1,
    plan: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a federation that is in memory; the tables are byte-identical for any number of jobs (threads).

    An unfinished directory of the same plan is written anew. Errors: as :func:`begin`.
    """
    begin(path, plan_of(federation) if plan is None else plan, force=force)
    with told(path):
        clear(path, keep_plan=True)
    tables = federation.to_arrow()
    parts: list[tuple[str, pa.Table, int | None]] = [(name, tables[name], None) for name in SINGLE]
    for name in PARTED:
        starts = range(0, len(tables[name]), PART_ROWS)
        parts += [(name, tables[name].slice(start, PART_ROWS), i) for i, start in enumerate(starts)]
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        try:
            for written in [pool.submit(put, path, *part) for part in parts]:
                written.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    finish(path, counts_of(federation), record([]) if provenance is None else provenance, jobs=jobs)


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
        if _is_ours(path):
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
    surplus = [file for file in files(path) if file not in listed]
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
