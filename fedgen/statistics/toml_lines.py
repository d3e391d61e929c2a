"""On which line of a TOML file something stands, which tomllib does not tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

# Strings and comments, the long forms first: what they hold is neither header nor key.
_OPAQUE = re.compile(r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL)
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def syntax_error(message: str, text: str) -> tuple[int, str]:
    """The line that tomllib names at the end of its message (the last one if none), and the message without it."""
    found = _PLACE.search(message)
    line = int(found[1]) if found and found[1] else text.rstrip().count("\n") + 1
    return line, message[: found.start()] if found else message


@dataclass(frozen=True)
class Lines:
    """The lines of a text that tomllib has read; lines count from 1.

    A scan for headers and keys at the start of a line. Where somebody writes a table in another way (as an array of
    inline tables, a key in quotes), the line is that of what surrounds it.

    Attributes:
        text: of the file.
        tables: the name of its array of tables.
    """

    text: str
    tables: str

    def table(self, index: int) -> int:
        """The line of the header of the index-th table, from 0."""
        starts = self._starts
        return starts[index] if index < len(starts) else self.top(self.tables)

    def key(self, index: int, key: str) -> int:
        """The line of a key of the index-th table."""
        starts = self._starts
        if index >= len(starts):
            return self.table(index)
        end = starts[index + 1] - 1 if index + 1 < len(starts) else len(self._lines)
        return self._find(self._key(key), starts[index], end) or starts[index]

    def top(self, name: str, key: str = "") -> int:
        """The line of a key or table of the document, or of a key in that table."""
        start = self._find(rf"\s*\[\[?\s*{re.escape(name)}\s*\]|{self._key(name)}", 0, len(self._lines)) or 1
        return (self._find(self._key(key), start, len(self._lines)) if key else None) or start

    def _find(self, pattern: str, start: int, end: int) -> int | None:
        matches = re.compile(pattern).match
        return next((i + 1 for i in range(start, end) if matches(self._lines[i])), None)

    def _key(self, key: str) -> str:
        return rf"\s*(\[\s*{self.tables}\s*\.\s*)?{re.escape(key)}\s*[]=.]"

    @cached_property
    def _lines(self) -> list[str]:
        blank = _OPAQUE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), self.text)
        return blank.split("\n")

    @cached_property
    def _starts(self) -> list[int]:
        header = re.compile(rf"\s*\[\[\s*{re.escape(self.tables)}\s*\]\]")
        return [i + 1 for i, line in enumerate(self._lines) if header.match(line)]
