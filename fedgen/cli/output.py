"""Whether a result can be written, asked before it is computed, so that nobody waits for nothing."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedgen.errors import OutputError


def check_federation(path: Path, format: str | None, *, force: bool, plan: Mapping[str, Any] | None = None) -> None:  # noqa: A002
    """Refuse a place that :func:`fedgen.io.write` would refuse with the same arguments.

    Raises:
        OutputError: says what lies there and what to do.
    """
    from fedgen.io import guess

    if (format or guess(path)) != "parquet":
        check_file(path, force=force)
        return
    _check_parent(path)
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise OutputError(f"{path}: is a file, and the format parquet makes a folder; name another place with -o")
    held = {entry.name for entry in path.iterdir()}
    if "manifest.json" in held and not force:
        raise OutputError(f"{path}: exists; overwrite it with --force or name another place with -o")
    if held and "plan.json" not in held:
        raise OutputError(f"{path}: is a folder with other things in it; name a new one with -o")
    if held and "manifest.json" not in held and plan is not None and not force:
        from fedgen.io.directory import encoded

        if (path / "plan.json").read_bytes() != encoded(plan):
            raise OutputError(f"{path}: holds an unfinished federation of another plan; discard it with --force")


def check_file(path: Path, *, force: bool) -> None:
    """Refuse a place where a file lies already (unless ``force``) or none can be put.

    Raises:
        OutputError: says why and what to do.
    """
    _check_parent(path)
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file with -o")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: is not a file that can be replaced; name another place with -o")
    if os.path.lexists(path) and not force:
        raise OutputError(f"{path}: exists; overwrite it with --force or name another place with -o")


def _check_parent(path: Path) -> None:
    folder = path.absolute().parent
    if not folder.exists():
        raise OutputError(f"{path}: the folder {folder} does not exist; create it or name another place with -o")
    if not folder.is_dir():
        raise OutputError(f"{path}: {folder} is not a folder; name another place with -o")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: no right to write into {folder}; name another place with -o")
