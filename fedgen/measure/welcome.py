"""Which rooms may be visited, and what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fedgen.measure.exclusions import Admission
    from fedgen.measure.memory import Memory
    from fedgen.measure.rooms import Room

Fate = Literal[
    "seen",
    "opted out: server",
    "opted out: listed or marked",
    "opted out: kicked or banned",
    "refused: not public",
    "refused: by the homeserver",
    "unanswered",
    "without an alias",
    "without a number of users",
    "nobody left",
]
"""What became of a room (docs/measure.md)."""

FAILED: dict[str, Fate] = {"refused": "refused: by the homeserver", "unanswered": "unanswered"}
"""What becomes of a room if a question is not answered."""


class Welcome:
    """What is known of who does not want us.

    Attributes:
        admission: the rules.
        memory: the rooms that threw us out; None: of nobody who could have been.
    """

    def __init__(self, admission: Admission, memory: Memory | None) -> None:
        self.admission, self.memory = admission, memory

    def refusal(self, room: Room) -> Fate | None:
        """Why a room may not be visited; None: it may."""
        if room.banned or (self.memory is not None and self.memory.holds(room.id)):
            return "opted out: kicked or banned"
        if room.out or self.admission.opted_out_room(room.id, room.alias):
            return "opted out: listed or marked"
        if any(map(self.admission.opted_out, room.named)):
            return "opted out: server"
        return None if room.open else "refused: not public"

    async def remember(self, room: Room) -> None:
        """A room threw us out: never again."""
        if self.memory is not None:
            await self.memory.remember(room.id)
