"""The room list of a load generator: ``{"Room 0": [user ids], ...}``, for locust scripts that let users talk in rooms.

It carries neither servers nor presences, so it is written and never read.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from fedgen.errors import FormatError
from fedgen.io.graph import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fedgen.federation import Federation
    from fedgen.io.assemble import Pairing

ROOMS = 4096
"""Rooms that are turned into text at a time."""


def read(content: bytes) -> Pairing:  # noqa: ARG001 - the signature that all formats share
    """Refused: users without servers are no federation."""
    raise FormatError(
        "is a locust room list, which does not say the servers of users; give the federation it came from"
    )


def write(federation: Federation) -> Iterator[bytes]:
    """The document, piece by piece."""
    yield b"{"
    yield from listed(_rooms(federation, start) for start in range(0, federation.n_rooms, ROOMS))
    yield b"}"


def _rooms(federation: Federation, start: int) -> list[str]:
    offsets = federation.room_offsets[start : start + ROOMS + 1].tolist()
    users = federation.membership_user[offsets[0] : offsets[-1]].tolist()
    spans = pairwise(offsets)
    return [
        f'"Room {room}":[{",".join(map(str, users[first - offsets[0] : last - offsets[0]]))}]'
        for room, (first, last) in enumerate(spans, start)
    ]
