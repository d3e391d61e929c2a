"""A federation as it was read: itself, its format, what was odd about it, and the digest of its source."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fedgen.errors import FedgenWarning, FormatError, InvariantError, NoUsersError
from fedgen.io import csv, directory, graphml, locust, nodelink, petgraph
from fedgen.io.assemble import assemble
from fedgen.io.content import unpacked
from fedgen.io.recognise import recognise
from fedgen.provenance import digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fedgen.federation import Federation

READERS = {
    "csv": csv.read,
    "petgraph": petgraph.read,
    "node-link": nodelink.read,
    "graphml": graphml.read,
    "locust": locust.read,
}


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A federation and how it was read.

    Attributes:
        federation: sound; its invariants were checked.
        format: ``parquet``, ``csv``, ``petgraph``, ``graphml`` or ``node-link``.
        remarks: what was odd and was mended or left out, one line each; empty for a clean file.
        digest: sha256 of the file as it lies there, or of the directory's manifest.
    """

    federation: Federation
    format: str
    remarks: tuple[str, ...]
    digest: str


def read(path: str | Path) -> Federation:
    """Read a federation from a file or a federation directory; its format is told by its content.

    What is odd but harmless is mended, each kind with a :class:`~fedgen.errors.FedgenWarning` (docs/formats.md).

    Raises:
        FormatError: the path holds no federation that can be trusted; the message says what is wrong and what to do.
            NoUsersError, one of these: it holds an attendance (:func:`fedgen.read_attendance`).
    """
    snapshot = read_snapshot(path)
    for remark in snapshot.remarks:
        warnings.warn(f"{path}: {remark}", FedgenWarning, stacklevel=2)
    return snapshot.federation


def read_snapshot(path: str | Path) -> Snapshot:
    """As :func:`read`, with the remarks in the result instead of as warnings."""
    place = Path(path)
    with told_by_name(place):
        if place.is_dir():
            federation, remarks = directory.read(place)
            name = "parquet"
        else:
            content = unpacked(place)
            name = recognise(content)
            if name == "attendance":
                raise NoUsersError(
                    f"holds servers in rooms but no users; only fedgen fit takes it: fedgen fit {place}, then sample"
                )
            federation, remarks = assemble(READERS[name](content))
            federation.check()
        return Snapshot(federation, name, remarks, digest(place))


def format_of(path: str | Path) -> str:
    """The format of the federation at a path, told by its content; whether it is sound is not looked at.

    Raises:
        FormatError: there is nothing that looks like a federation.
    """
    place = Path(path)
    with told_by_name(place):
        if place.is_dir():
            directory.read_manifest(place)
            return "parquet"
        return recognise(unpacked(place))


@contextmanager
def told_by_name(path: Path) -> Iterator[None]:
    """Turn what can go wrong on reading into one line that names ``path``."""
    try:
        yield
    except NoUsersError as error:
        raise NoUsersError(f"{path}: {error}") from error
    except (FormatError, InvariantError) as error:
        raise FormatError(f"{path}: {error}") from error
    except FileNotFoundError:
        raise FormatError(f"{path}: does not exist; check the path") from None
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise FormatError(f"{path}: cannot be read ({reason}); check the path and its rights") from None
    except MemoryError:
        raise FormatError(f"{path}: does not fit into memory; use a machine with more") from None
