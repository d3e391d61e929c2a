"""How long work reports how far it is: a plain callable, so that the library knows nothing of terminals."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called now and then by work that may take seconds."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """``stage`` in a few words ("placing presences"), ``done`` of ``total`` units of it."""


def silent(stage: str, done: int, total: int) -> None:
    """The default: says nothing."""
