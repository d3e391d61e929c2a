"""The access token of an administrator: from a file that nobody else reads, or the environment; never an argument."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from fedgen.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "FEDGEN_MATRIX_TOKEN"
"""The environment variable."""


def read_token(path: Path | None) -> str:
    """The token in a file; without a file, of the environment.

    Raises:
        UsageError: there is none, it is not one word, or others may read the file, as ssh refuses keys.
    """
    if path is None:
        token = os.environ.get(VARIABLE, "").strip()
        if not token:
            raise UsageError(f"the admin API needs an administrator's access token; give it in {VARIABLE} or a file")
    else:
        token = _in_file(path)
    if len(token.split()) != 1 or not token.isascii() or not token.isprintable():
        raise UsageError(f"{path or VARIABLE}: is not one word; put nothing but the access token in it")
    return token


def _in_file(path: Path) -> str:
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(f"{path}: others may read the access token in it; chmod 600 it, and get a new token")
        return path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or 'error'}); check the path") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8; put nothing but the access token in it") from None
