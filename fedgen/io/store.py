"""Where the files of a federation directory lie: a folder of this machine, or a store that fsspec reaches.

A file appears whole or not at all in both: a folder's under a temporary name first (:mod:`fedgen.io.output`), an
object store's when its upload is complete. Names are relative to the directory, with slashes.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fedgen.errors import OutputError, UsageError
from fedgen.io.output import PARTIAL, replacing, sweep, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Place = str | Path
"""A folder, or a URL such as ``s3://bucket/name``."""

_URL = re.compile(r"([a-z][a-z0-9+.-]+):/{1,3}(?=[^/])")

_LOCAL = ("file", "local")
"""Protocols of this machine, whose files fsspec would write in place."""


class Store(Protocol):
    """What a directory needs of the place it lies in."""

    def names(self) -> list[str]:
        """What lies there, at most one folder deep, without files that are still being written."""

    def read(self, name: str) -> bytes:
        """A file's content; OSError where there is none."""

    def write(self, name: str, content: Any) -> None:
        """Put a file (bytes or a buffer), whole or not at all, in the place of one of that name."""

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""

    def make(self, folders: Iterable[str]) -> None:
        """Make the directory and its folders, and sweep what killed runs left."""


def is_url(place: Place) -> bool:
    """Whether a place is given as a URL. pathlib folds its slashes into one."""
    return _URL.match(str(place)) is not None


def spelled(place: Place) -> str:
    """A place as it was given, with all slashes of a URL."""
    found = _URL.match(str(place))
    if found is None:
        return str(place)
    return f"{found[1]}:{'///' if found[1] in _LOCAL else '//'}{str(place)[found.end() :].rstrip('/')}"


def open_store(place: Place) -> Store:
    """The store at a place.

    Raises:
        UsageError: a URL, and fsspec or the package for its protocol is not installed.
    """
    url = spelled(place)
    if not is_url(place):
        return Folder(Path(place))
    protocol, path = url.split("://")
    return Folder(Path(path)) if protocol in _LOCAL else Bucket(url)


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """See :class:`Store`."""
        if not self.path.exists():
            return []
        held = [entry for entry in self.path.iterdir() if not entry.name.endswith(PARTIAL)]
        files = [entry.name for entry in held if not entry.is_dir()]
        for folder in (entry for entry in held if entry.is_dir()):
            files += [f"{folder.name}/{entry.name}" for entry in folder.iterdir() if not entry.name.endswith(PARTIAL)]
        return sorted(files)

    def read(self, name: str) -> bytes:
        """See :class:`Store`."""
        return (self.path / name).read_bytes()

    def write(self, name: str, content: Any) -> None:
        """See :class:`Store`."""
        with replacing(self.path / name, swept=True) as temporary, temporary.open("wb") as stream:
            stream.write(content)

    def remove(self, name: str) -> None:
        """See :class:`Store`."""
        (self.path / name).unlink(missing_ok=True)

    def make(self, folders: Iterable[str]) -> None:
        """See :class:`Store`."""
        with told(self.path):
            self.path.mkdir(exist_ok=True)
            for folder in folders:
                (self.path / folder).mkdir(exist_ok=True)
                sweep(self.path / folder)
            sweep(self.path)


@contextmanager
def _reached(url: str) -> Iterator[None]:
    """Turn what the package of a protocol raises, of whatever kind, into one line that names ``url``."""
    try:
        yield
    except (OSError, ImportError, ValueError, UsageError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OutputError(f"{url}: cannot be reached ({reason}); check the place and your access to it") from error


class Bucket:
    """A prefix of a store that fsspec reaches."""

    def __init__(self, url: str) -> None:
        try:
            import fsspec

            with _reached(url):
                self.files, self.root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            missing = str(error).splitlines()[0]
            raise UsageError(
                f"{url}: needs fsspec and a package for its protocol ({missing}); pip install 'fedgen[dask]', "
                "and s3fs, gcsfs or adlfs as the store demands"
            ) from error
        except ValueError as error:
            raise UsageError(f"{url}: is no place that fsspec knows ({error}); name a folder or another URL") from error
        self.url = url

    def names(self) -> list[str]:
        """See :class:`Store`."""
        with told(self.url), _reached(self.url):
            self.files.invalidate_cache()
            found = self.files.find(self.root, maxdepth=2) if self.files.exists(self.root) else []
        prefix = self.root.strip("/") + "/"
        return sorted(name.strip("/").removeprefix(prefix) for name in found)

    def read(self, name: str) -> bytes:
        """See :class:`Store`."""
        with _reached(f"{self.url}/{name}"):
            return bytes(self.files.cat_file(f"{self.root}/{name}"))

    def write(self, name: str, content: Any) -> None:
        """See :class:`Store`."""
        with told(f"{self.url}/{name}"), _reached(f"{self.url}/{name}"):
            self.files.pipe_file(f"{self.root}/{name}", bytes(content))

    def remove(self, name: str) -> None:
        """See :class:`Store`."""
        with told(f"{self.url}/{name}"), _reached(f"{self.url}/{name}"):
            if self.files.exists(f"{self.root}/{name}"):
                self.files.rm_file(f"{self.root}/{name}")

    def make(self, folders: Iterable[str]) -> None:
        """See :class:`Store`."""
        with told(self.url), _reached(self.url):
            for folder in folders:
                self.files.makedirs(f"{self.root}/{folder}", exist_ok=True)
