"""The content of a file: unpacked (plain, gzip or zip, told by the first bytes) and, for JSON, typed."""

from __future__ import annotations

import gzip
import lzma
import stat
import struct
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, TypeVar

import msgspec

from fedgen.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Shape = TypeVar("Shape")

GZIP = b"\x1f\x8b"
ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")

BOMB_RATIO = 200
BOMB_BYTES = 256 << 20
"""Content that unpacks to more than both BOMB_RATIO times its packed size and BOMB_BYTES is refused while it unpacks.

Deflate reaches a ratio of about 1,030; tables and graphs stay below 30."""

_DAMAGE = (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, ValueError)

_CHUNK = 4 << 20
_ENCRYPTED = 0x1


def unpacked(path: Path) -> bytes:
    """The content of a regular file, unpacked if it is gzip or zip.

    Raises:
        FormatError: no regular file, empty, cut off, damaged, a zip of other than one file, or a bomb. The message
            lacks the path; the caller puts it in front.
        OSError: the file cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise FormatError("is neither a file nor a folder; copy its content to a file first")
    with path.open("rb") as stream:
        magic = stream.read(4)
        stream.seek(0)
        if not magic:
            raise FormatError("is empty; give a file that holds a federation")
        try:
            if magic.startswith(GZIP):
                with gzip.open(stream) as content:
                    return _bounded(content.read, path.stat().st_size)
            if magic in ZIP:
                return _only_member(stream)
        except RuntimeError as error:  # an unknown version of zip, or method of compression or encryption
            raise FormatError(f"is a zip that cannot be unpacked here ({error}); unpack it first") from None
        except EOFError:
            raise FormatError("is cut off in the middle of its compressed data; fetch it again") from None
        except _DAMAGE as error:
            raise FormatError(f"its compressed data are damaged ({error}); fetch it again") from None
        return stream.read()


def _only_member(stream: IO[bytes]) -> bytes:
    with zipfile.ZipFile(stream) as archive:
        # Apple's archiver adds a shadow of every file under __MACOSX.
        members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
        if len(members) != 1:
            raise FormatError(f"is a zip of {len(members)} files; a zipped federation is one file, unpack it first")
        (member,) = members
        if member.flag_bits & _ENCRYPTED:
            raise FormatError("is an encrypted zip; unpack it first")
        with archive.open(member) as content:
            return _bounded(content.read, member.compress_size)


def _bounded(read: Callable[[int], bytes], packed: int) -> bytes:
    limit = max(BOMB_BYTES, BOMB_RATIO * packed)
    chunks: list[bytes] = []
    size = 0
    while chunk := read(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise FormatError(
                f"unpacks to more than {limit >> 20} MiB from {packed} bytes; unpack it first if you trust it"
            )
        chunks.append(chunk)
    if not size:
        raise FormatError("is empty inside its compression; give a file that holds a federation")
    return b"".join(chunks)


def decode_json(content: bytes, shape: type[Shape]) -> Shape:
    """Typed JSON; what is wrong is told with the place in the document."""
    try:
        return msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"), type=shape)
    except UnicodeDecodeError:
        raise FormatError("is JSON with invalid UTF-8; convert it to UTF-8") from None
    except RecursionError:
        raise FormatError("is JSON nested too deeply for a federation; check where it comes from") from None
    except msgspec.ValidationError as error:
        raise FormatError(f"is JSON of the wrong shape ({error}); see docs/formats.md") from None
    except msgspec.DecodeError as error:
        raise FormatError(f"is broken JSON ({error}); fetch or write it again") from None
