"""Writing a federation in any format, named or guessed from the path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedgen.errors import UsageError
from fedgen.io import csv, directory, graphml, locust, nodelink, petgraph
from fedgen.io.output import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedgen.federation import Federation

WRITERS = {
    "csv": csv.write,
    "petgraph": petgraph.write,
    "graphml": graphml.write,
    "node-link": nodelink.write,
    "locust": locust.write,
}

FORMATS = ("parquet", *WRITERS)
"""The names that ``--format`` takes."""

_SUFFIXES = {".csv": "csv", ".json": "petgraph", ".graphml": "graphml"}
_PACKED = (".gz", ".zip")


def guess(path: str | Path) -> str:
    """The format that a path asks for: by its suffix, under ``.gz`` or ``.zip`` too; otherwise a directory."""
    name = Path(path)
    if name.suffix in _PACKED:
        name = name.with_suffix("")
    return _SUFFIXES.get(name.suffix, "parquet")


def write(
    federation: Federation,
    path: str | Path,
    format: str | None = None,  # noqa: A002 - the name of the command line's flag
    *,
    force: bool = False,
    jobs: int = 1,
    plan: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a federation; the same one gives the same bytes, and what is half-done never passes for done.

    Args:
        federation: sound; it is not checked here.
        path: a file, packed if it ends in ``.gz`` or ``.zip``, or a federation directory.
        format: one of FORMATS; default: see :func:`guess`.
        force: whether an existing result is overwritten.
        jobs: threads, for the parts of a directory.
        plan: for a directory, what is being made (fedgen/schemas/plan.schema.json); default: a conversion.
        provenance: for a directory's manifest, see :func:`fedgen.provenance.record`.

    Raises:
        UsageError: an unknown format.
        OutputError: the result exists, or cannot be written there.
    """
    chosen = format if format is not None else guess(path)
    if chosen == "parquet":
        directory.write(federation, Path(path), force=force, jobs=jobs, plan=plan, provenance=provenance)
    elif chosen in WRITERS:
        write_file(Path(path), WRITERS[chosen](federation), force=force)
    else:
        raise UsageError(f"format {chosen!r} is unknown; the formats are {', '.join(FORMATS)}")
