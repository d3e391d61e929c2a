"""Writing a federation in any format, named or guessed from the path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedgen.errors import UsageError
from fedgen.io import csv, graphml, locust, nodelink, parts, petgraph
from fedgen.io.output import write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fedgen.federation import Federation

WRITERS: dict[str, Callable[[Federation], Iterator[bytes]]] = {
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
_ENDINGS = {"csv": "csv", "graphml": "graphml"}  # of a zip's member; the others are JSON
_FILE_TYPE = re.compile(r"\.[a-z][a-z0-9]*")


def guess(path: str | Path) -> str:
    """The format that a path asks for by its suffix, in either case, under ``.gz`` or ``.zip`` too.

    A name without a suffix is a directory. So is one whose last dot is followed by a digit: ``large-0.5``, ``v1.2``.

    Raises:
        UsageError: the suffix names a type of file that fedgen does not write.
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    packing = suffixes.pop() if suffixes and suffixes[-1] in _PACKED else ""
    suffix = suffixes[-1] if suffixes else ""
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if packing or _FILE_TYPE.fullmatch(suffix):
        raise UsageError(
            f"{path}: no format has the suffix {suffix}{packing}; the suffixes are {', '.join(_SUFFIXES)}, each also "
            "with .gz or .zip; leave it out for a folder (parquet), or name the --format"
        )
    return "parquet"


def write(
    federation: Federation,
    path: str | Path,
    format: str | None = None,  # noqa: A002 - the name of the command line's flag
    *,
    force: bool = False,
    jobs: int = 1,
    plan: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    signed: bool = False,
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
        signed: whether a petgraph file holds the provenance too; its bytes then tell when they were made.

    Raises:
        UsageError: an unknown format or suffix.
        OutputError: the result exists, or cannot be written there.
    """
    chosen = format if format is not None else guess(path)
    if chosen == "parquet":
        parts.write(federation, Path(path), force=force, jobs=jobs, plan=plan, provenance=provenance)
    elif chosen in WRITERS:
        member = f"federation.{_ENDINGS.get(chosen, 'json')}"
        own = chosen == "petgraph" and signed
        pieces = petgraph.write(federation, provenance) if own else WRITERS[chosen](federation)
        write_file(Path(path), pieces, force=force, member=member)
    else:
        raise UsageError(f"format {chosen!r} is unknown; the formats are {', '.join(FORMATS)}")
