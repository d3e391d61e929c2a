"""Writing a federation directory (:mod:`fedgen.io.directory`), whole or part by part.

Who streams calls :func:`begin`, :func:`put` for each part (in any order, from any thread, process or machine) and
:func:`finish`; a part that is there already can be kept, since it is what would be written again. :func:`write` does
all of it for a federation in memory, and begins an unfinished one of the same plan anew.

Users are written as differences, packed into as few bits as they need (DELTA_BINARY_PACKED): sorted ids are small steps
that nothing packs further. All else comes in runs, and is left to zstd. That is half the bytes of dictionaries, in a
quarter of the time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedgen.errors import OutputError
from fedgen.io.directory import (
    MANIFEST,
    PARTED,
    PLAN,
    SINGLE,
    VERSION,
    Counts,
    File,
    Manifest,
    encoded,
    is_plan,
    part_path,
    tables,
)
from fedgen.io.output import told
from fedgen.io.store import Place, Store, open_store, spelled
from fedgen.provenance import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from fedgen.federation import Federation

PART_ROWS = 1 << 20
"""Rows per part of a federation written from memory: a constant of the format, whatever the number of jobs."""


def begin(place: Place, plan: Mapping[str, Any], *, force: bool = False) -> set[str]:
    """Make the directory and write its plan; an unfinished one of the same plan keeps it and its parts.

    Returns:
        The tables and parts that are there already.

    Raises:
        OutputError: it holds a finished federation or an unfinished one of another plan and ``force`` is not given; or
            anything else than a federation, which is never touched; or the system refuses.
    """
    if isinstance(place, Path) and place.exists() and not place.is_dir():
        raise OutputError(f"{place}: is not a folder; choose another name for the federation directory")
    store, place = open_store(place), spelled(place)
    with told(place):
        held = store.names()
        there = store.read(PLAN) if PLAN in held else b""
    if held and not is_plan(there):
        raise OutputError(f"{place}: is a folder with other things in it; choose a new or an empty one")
    if MANIFEST in held and not force:
        raise OutputError(f"{place}: exists; choose another name or overwrite it with --force")
    if held and MANIFEST not in held and there != encoded(plan) and not force:
        raise OutputError(
            f"{place}: holds an unfinished federation of another plan; finish that one or discard it with --force"
        )
    if held and force:
        _clear(store, held)
        held = []
    store.make(PARTED)
    if PLAN not in held:
        store.write(PLAN, encoded(plan))
    return set(tables(held))


def _clear(store: Store, held: Iterable[str]) -> None:
    """Remove the files of the format, and none else; the manifest first, so that what is left is unfinished."""
    store.remove(MANIFEST)
    for name in tables(held):
        store.remove(name)
    store.remove(PLAN)


def put(store: Store, table: str, rows: pa.Table, part: int | None = None) -> File:
    """Write a table or one part of it; it appears whole or not at all."""
    import pyarrow
    from pyarrow import parquet

    steps = [name for name in rows.schema.names if name == "user"]
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(
        rows,
        sink,
        compression={name: "none" if name in steps else "zstd" for name in rows.schema.names},
        use_dictionary=False,
        column_encoding={name: "DELTA_BINARY_PACKED" if name in steps else "PLAIN" for name in rows.schema.names},
    )
    content = sink.getvalue()
    name = part_path(table, part)
    store.write(name, content)
    return File(name, sha256(content).hexdigest(), content.size, len(rows))


def listed(store: Store, name: str) -> File:
    """What the manifest says of a part that is there already."""
    import pyarrow
    from pyarrow import parquet

    content = store.read(name)
    rows = parquet.read_metadata(pyarrow.BufferReader(content)).num_rows
    return File(name, sha256(content).hexdigest(), len(content), rows)


def finish(store: Store, counts: Counts, provenance: Mapping[str, Any], files: Iterable[File]) -> Manifest:
    """Write the manifest: from here on the directory is a federation."""
    found = {file.path: file for file in files}
    plan = f"sha256:{sha256(store.read(PLAN)).hexdigest()}"
    manifest = Manifest(VERSION, counts, [found[name] for name in tables(found)], plan, dict(provenance))
    store.write(MANIFEST, encoded(manifest))
    return manifest


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
    path: Place,
    *,
    force: bool = False,
    jobs: int = 1,
    plan: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a federation that is in memory; the tables are byte-identical for any number of jobs (threads).

    An unfinished directory of the same plan is written anew. Errors: as :func:`begin`.
    """
    held = begin(path, plan_of(federation) if plan is None else plan, force=force)
    store = open_store(path)
    for name in held:
        store.remove(name)
    arrow = federation.to_arrow()
    parts: list[tuple[str, pa.Table, int | None]] = [(name, arrow[name], None) for name in SINGLE]
    for name in PARTED:
        starts = range(0, len(arrow[name]), PART_ROWS)
        parts += [(name, arrow[name].slice(start, PART_ROWS), i) for i, start in enumerate(starts)]
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        try:
            files = [written.result() for written in [pool.submit(put, store, *part) for part in parts]]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    finish(store, counts_of(federation), record([]) if provenance is None else provenance, files)
