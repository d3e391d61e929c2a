"""The files that come with fedgen: ``configs/`` of the repository, ``fedgen/configs/`` once installed."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def shipped(name: str) -> Path:
    """The path of a file of ``configs/``, from the wheel or from the repository."""
    packaged = Path(str(files("fedgen") / "configs" / name))
    return packaged if packaged.is_file() else Path(__file__).parents[1] / "configs" / name
