"""The journal of a crawl: what was answered so far, so that a killed crawl goes on without asking again.

A file that is only ever added to. All of it but a salt is encrypted and authenticated (ChaCha20-Poly1305, RFC 8439),
under a key that is derived from the measurer's secret and that salt and is nowhere written down
(:mod:`fedgen.measure.pseudonyms`). It holds the ids of rooms that are still to be asked, and of people pseudonyms
only. Each record is bound to its place, so that records cannot be left out or exchanged unseen; what a kill left half
written at the end is cut off.

``b"fedgen-journal-1\\n"``, 16 bytes of salt, then records: 4 bytes of length and 4 of its CRC-32 (big-endian), 12 of
nonce, the ciphertext of a key and a value in MessagePack. Of a key that stands twice the later value counts. A file
system may leave zeros where a power failure cut the last write short; they are cut off, too.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec

from fedgen.errors import MeasureError, OutputError
from fedgen.io.output import told
from fedgen.measure.pseudonyms import SALT, Key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from io import FileIO
    from pathlib import Path

    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

MAGIC = b"fedgen-journal-1\n"
_HEAD, _NONCE = 8, 12
_ABOUT = "about"
_DROPPED = {"dropped": True}


class Journal:
    """Answers by key, in memory and, unless it is a fleeting one, in a file.

    Attributes:
        key: of the measurement.
        resumed: how many answers were there when it was opened.
    """

    def __init__(
        self,
        key: Key,
        answers: dict[str, Any],
        records: int = 0,
        file: FileIO | None = None,
        path: Path | None = None,
        end: int = 0,
    ) -> None:
        self.key = key
        self.resumed = len(answers)
        self._file = file
        self._path = path
        self._end = end
        self._answers = answers
        self._records = records
        self._cipher = _cipher(key)

    @classmethod
    def fleeting(cls) -> Journal:
        """A journal that ends with the process, under a key that does too."""
        return cls(Key.drawn(), {})

    @classmethod
    def open(cls, path: Path, secret: str, about: bytes) -> Journal:
        """Begin a journal, or go on with the one that is there.

        Args:
            path: of its file.
            secret: what the key is derived from.
            about: what is measured; an existing journal must be about the same.

        Raises:
            MeasureError: it is another's, of another secret, or damaged; says what to do.
            OutputError: another run works on it, or the system refuses.
        """
        with told(path):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            file = os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0)
            try:
                return cls._opened(path, file, secret, about)
            except BaseException:
                file.close()
                raise

    @classmethod
    def _opened(cls, path: Path, file: FileIO, secret: str, about: bytes) -> Journal:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(f"{path}: another run works on it; wait until it has ended") from None
        content = file.readall()
        if len(content) < len(MAGIC) + SALT and (MAGIC.startswith(content) or content.startswith(MAGIC)):
            content = MAGIC + os.urandom(SALT)  # new, or killed before there was anything in it
            os.fchmod(file.fileno(), 0o600)
            _append(file, 0, content)
        if not content.startswith(MAGIC):
            raise MeasureError(f"{path}: is no journal of a crawl; name another output")
        key = Key.derived(secret, content[len(MAGIC) : len(MAGIC) + SALT])
        records, end = _read(path, content, _cipher(key))
        file.truncate(end)
        answers = {name: value for name, value in dict(records[1:]).items() if value != _DROPPED}
        journal = cls(key, answers, len(records), file, path, end)
        if not records:
            journal._write(_ABOUT, about)
        elif records[0] != (_ABOUT, about):
            raise MeasureError(
                f"{path}: is the journal of a crawl with another configuration; give that one, or remove it and begin "
                "anew (rooms that it joined stay joined)"
            )
        return journal

    async def once(self, key: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        """The answer noted under a key; if there is none, ``ask`` for it and note it before anything else happens.

        Args:
            key: of what is asked; holds no identifier.
            ask: gives what MessagePack knows: None, numbers, text, bytes, lists, dicts.
        """
        if key not in self._answers:
            self.note(key, await ask())
        return self._answers[key]

    def note(self, key: str, answer: Any) -> None:
        """Note an answer; it is on the disk when this returns."""
        self._write(key, answer)
        self._answers[key] = answer

    def mark(self, key: str) -> None:
        """Note that something happened, once."""
        if not self.known(key):
            self.note(key, None)

    def known(self, key: str) -> bool:
        """Whether there is an answer."""
        return key in self._answers

    def forget(self) -> None:
        """Remove the file, and with it the salt, without which the key cannot be derived again."""
        if self._path is not None:
            with told(self._path):
                self._path.unlink()  # before the lock is gone, lest another run finds it
        self.close()

    def noted(self, key: str) -> Any:
        """The answer noted under a key; None if there is none."""
        return self._answers.get(key)

    def drop(self, key: str) -> None:
        """Take an answer back, as if it had never been there."""
        if self.known(key):
            self._write(key, _DROPPED)
            del self._answers[key]

    def close(self) -> None:
        """Leave it for another run to go on with."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, key: str, answer: Any) -> None:
        if self._file is None:
            return
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, msgspec.msgpack.encode((key, answer)), _place(self._records))
        with told(self._path or ""):
            self._end = _append(self._file, self._end, _head(len(sealed)) + sealed)
        self._records += 1


def _read(path: Path, content: bytes, cipher: ChaCha20Poly1305) -> tuple[list[tuple[str, Any]], int]:
    """The records of a journal, and where the last whole one ends."""
    from cryptography.exceptions import InvalidTag

    records: list[tuple[str, Any]] = []
    at = len(MAGIC) + SALT
    while len(content) - at >= _HEAD:
        begin = at + _HEAD
        length = int.from_bytes(content[at : at + 4], "big")
        end = begin + length
        sound = content[at:begin] == _head(length)
        if (sound and end > len(content)) or not any(content[at:]):
            break  # the last write, cut short
        try:
            if not sound:
                raise InvalidTag
            plain = cipher.decrypt(content[begin : begin + _NONCE], content[begin + _NONCE : end], _place(len(records)))
        except (InvalidTag, ValueError):
            what = (
                "is damaged; remove it"
                if records or not sound
                else "was begun with another token or secret; give that, or remove it"
            )
            raise MeasureError(f"{path}: {what} and begin anew (rooms that it joined stay joined)") from None
        records.append(msgspec.msgpack.decode(plain, type=tuple[str, Any]))
        at = end
    return records, at


def _head(length: int) -> bytes:
    size = length.to_bytes(4, "big")
    return size + crc32(size).to_bytes(4, "big")


def _append(file: FileIO, end: int, content: bytes) -> int:
    """Write at the end, to the disk, whole or not at all; the new end."""
    try:
        at = end
        while at < end + len(content):
            at += os.pwrite(file.fileno(), content[at - end :], at)
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), end)
        raise
    return at


def _cipher(key: Key) -> ChaCha20Poly1305:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key.part("journal"))


def _place(number: int) -> bytes:
    return number.to_bytes(8, "big")
