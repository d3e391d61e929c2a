"""Access tokens: from a file that nobody else reads, or the environment; never from the command line."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from fedgen.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "FEDGEN_MATRIX_TOKEN"
"""The environment variable of the access token."""
SECRET = "FEDGEN_MEASURE_SECRET"
"""The environment variable of the secret that the key of the pseudonyms is derived from; default: the token."""


def read_token(path: Path | None) -> str | None:
    """The access token in a file or, without a file, in the environment; None if there is none.

    Raises:
        UsageError: the file cannot be read, or others may read it too; or what is there is not one plain word.
    """
    text = os.environ.get(TOKEN, "") if path is None else _read(path)
    token = text.strip()
    if not token and path is None:
        return None
    if len(token.split()) != 1 or not (token.isascii() and token.isprintable()):
        raise UsageError(f"{path or TOKEN}: is not one word of plain letters; put nothing but the access token there")
    return token


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
                raise UsageError(f"{path}: others may read the access token; chmod 600 it, and get a new token")
            return file.read()
    except OSError as error:
        raise UsageError(
            f"{path}: the access token cannot be read ({error.strerror or 'error'}); check the path"
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8; put nothing but the access token in it") from None
