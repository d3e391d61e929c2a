"""Files that appear whole or not at all: written under a temporary name in the same folder, then renamed."""

from __future__ import annotations

import errno
import gzip
import os
import re
import zipfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from fedgen.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PARTIAL = ".partial"
"""How temporary names end."""

_ADVICE = {
    errno.ENOSPC: "free some space or write elsewhere",
    errno.EDQUOT: "free some space or write elsewhere",
    errno.EFBIG: "write elsewhere",
    errno.EACCES: "choose a place that you may write to",
    errno.EPERM: "choose a place that you may write to",
    errno.EROFS: "choose a place that you may write to",
    errno.ENOENT: "create its folder, or see whether another run works there",
    errno.ENOTDIR: "choose a path inside a folder",
    errno.EISDIR: "choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextmanager
def told(path: Path | str) -> Iterator[None]:
    """Turn what the system refuses into one line that names ``path``."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        advice = _ADVICE.get(error.errno or 0, "check the place or write elsewhere")
        raise OutputError(f"{path}: cannot be written ({reason}); {advice}") from error


@contextmanager
def replacing(path: Path, *, swept: bool = False) -> Iterator[Path]:
    """A temporary path that becomes ``path`` when the block ends well, and vanishes when it does not.

    What killed runs left of the same ``path`` vanishes too, unless the folder is known to be ``swept``.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    with told(path):
        if not swept:
            sweep(path.parent, path.name)
        try:
            yield temporary
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files in a folder, those of ``name`` or all, whose processes are gone."""
    whose = r".+" if name is None else re.escape(name)
    ours = re.compile(rf"\.{whose}\.([1-9][0-9]{{0,8}}){re.escape(PARTIAL)}")
    for file in folder.iterdir():
        found = ours.fullmatch(file.name)
        if found and not _alive(int(found[1])):
            file.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs, for somebody else
        pass
    return True


def write_file(path: Path, pieces: Iterable[bytes], *, force: bool, member: str = "content.json") -> None:
    """Write one file, packed as its suffix says (``.gz``, ``.zip``); the same pieces give the same bytes.

    Args:
        path: where it goes.
        pieces: its content.
        force: whether an existing file is replaced.
        member: how the file is called within a zip, whatever the zip is called.

    Raises:
        OutputError: it exists and ``force`` is not given, or the system refuses.
    """
    with told(path):
        if path.is_dir() or (path.exists() and not path.is_file()):
            raise OutputError(f"{path}: is not a file that can be replaced; choose another name")
        if path.exists() and not force:
            raise OutputError(f"{path}: exists; choose another name or overwrite it with --force")
    with replacing(path) as temporary, temporary.open("wb") as stream, _packing(path, stream, member) as sink:
        for piece in pieces:
            sink.write(piece)


@contextmanager
def _packing(path: Path, stream: IO[bytes], member: str) -> Iterator[IO[bytes]]:
    # No time and no file name in gzip's header, and zip's earliest date: the bytes depend on the content alone.
    suffix = path.suffix.lower()
    if suffix == ".gz":
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=stream, mtime=0) as packed:
            yield cast("IO[bytes]", packed)
    elif suffix == ".zip":
        info = zipfile.ZipInfo(member)
        info.compress_type = zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(stream, "w") as archive, archive.open(info, "w", force_zip64=True) as packed:
            yield packed
    else:
        yield stream
