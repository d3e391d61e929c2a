"""Where an artefact comes from: versions, command, seed, inputs, time and platform.

The record is a plain dict, so that model, plan and manifest embed it as it is. It never holds the environment, the name
of a user or a host, or a path other than those in the command line as it was given.
"""

from __future__ import annotations

import hashlib
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIBRARIES = ("msgspec", "networkx", "numba", "numpy", "powerlaw", "pyarrow", "scipy")
"""Those whose version may change a result."""


def record(
    command: Sequence[str], *, seed: int | None = None, inputs: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The provenance of a result that is being made now.

    Args:
        command: the command line as the user gave it, word by word.
        seed: of the random draws; None where there are none.
        inputs: the digest (see :func:`digest`) of each input, by name.
    """
    return {
        "fedgen": version("fedgen"),
        "versions": versions(),
        "command": list(command),
        "seed": seed,
        "inputs": dict(inputs or {}),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": platform.processor() or platform.machine(),
    }


def versions() -> dict[str, str]:
    """The version of Python and of each library that may change a result."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def digest(path: str | Path) -> str:
    """SHA-256 of a file as it lies there, as ``"sha256:<hex>"``.

    A federation directory is named by its manifest, which holds the digest of every file; any other directory by the
    relative paths and digests of its files.
    """
    place = Path(path)
    if place.is_dir():
        manifest = place / "manifest.json"
        if manifest.is_file():
            return digest(manifest)
        files = sorted(file for file in place.rglob("*") if file.is_file())
        lines = [f"{file.relative_to(place).as_posix()} {digest(file)}\n" for file in files]
        return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"
    with place.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
