"""What the data of one homeserver shows: which rooms and memberships count, which do not, and why.

Of every membership that is read is told what became of it: those in the snapshot and those left out add up to those
read, and so do rooms. Of rooms that are left out, the admin API is not asked for members, so there they are not among
those read.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from fedgen.measure.sightings import Sightings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fedgen.federation import Federation
    from fedgen.measure.exclusions import Admission

RoomReason = Literal["opted out", "partial state", "nobody of ours", "said nothing readable", "malformed", "gone"]
"""Why a room is left out; that all its members were is told in the end, as ``nobody left``."""

IN_THEM = "room left out"
"""Why memberships are left out whose room is."""


class Survey:
    """Rooms and members as they come, judged and counted.

    Attributes:
        admission: the rules, and the pseudonyms.
        sightings: what is in the snapshot.
        rooms: by pseudonym, why each is left out; None: it is not.
        left_out: how many memberships, by reason.
    """

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.sightings = Sightings()
        self.rooms: dict[bytes, RoomReason | None] = {}
        self.left_out: Counter[str] = Counter()

    def see(self, room: bytes, user_ids: Iterable[object]) -> None:
        """These are members of a room that is not left out."""
        people = []
        of_user, left_out = self.admission.of_user, self.left_out
        for user_id in user_ids:
            person = of_user(user_id)
            if isinstance(person, str):
                left_out[person] += 1
            else:
                people.append(person)
        self.sightings.see_room(room, people)

    def federation(self) -> Federation:
        """The snapshot; errors as of :meth:`Sightings.federation <fedgen.measure.sightings.Sightings.federation>`."""
        return self.sightings.federation()

    def told(self) -> dict[str, dict[str, int]]:
        """Counts, of which provenance is made (docs/measure.md): of rooms, and of memberships left out."""
        rooms = Counter[str](reason or "seen" for reason in self.rooms.values())
        nobody_left = rooms["seen"] - self.sightings.n_rooms
        rooms.update({"seen": -nobody_left, "nobody left": nobody_left})
        return {"rooms": _sorted(rooms), "left_out": _sorted(self.left_out)}


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {reason: count for reason, count in sorted(counts.items()) if count}
