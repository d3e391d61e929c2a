"""A TOML file, or one table of it, as a struct; its errors name lines and fields, never what stands there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from fedgen.errors import UsageError
from fedgen.statistics.toml_lines import Lines, syntax_error

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T", bound=msgspec.Struct)

_A_TYPO = re.compile(r"[a-z_]{1,24}")  # and no name of anybody


def read_table(path: Path, kind: type[T], table: str = "") -> T:
    """Read a file.

    Args:
        path: of the file.
        kind: what it holds.
        table: the one that is meant; default: the whole file.

    Raises:
        UsageError: it cannot be read, is no TOML, or holds something else; with the line.
    """
    import tomllib

    text = read_text(path)
    try:
        held = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}:{syntax_error(str(error), text)[0]}: is not TOML; mend the line") from None
    if table and table not in held:
        raise UsageError(f"{path}: has no table [{table}]; write one, even an empty one")
    try:
        return msgspec.convert(held[table] if table else held, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
    field = ".".join(filter(None, (table, where.strip("`."))))
    outer, _, inner = re.sub(r"\[.*", "", field).partition(".")
    line = Lines(text, "").top(outer, inner.split(".")[0])
    unknown = re.search("unknown field `(.*)`", what)
    if unknown:
        name = f" {unknown[1]}" if _A_TYPO.fullmatch(unknown[1]) else ""
        where_ = field or "the file"
        raise UsageError(f"{path}:{line}: {where_} has a key{name} that is not known; docs/measure.md lists them")
    raise UsageError(f"{path}:{line}: {field or 'the file'}: {what[:1].lower()}{what[1:]}")


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        UsageError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or 'error'}); check the path") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8; convert the file") from None
