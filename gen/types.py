"""The types of rooms, numbered for one draw: who wishes for which room, from fine to coarse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedgen.federation import Integers
    from fitting.model import Model

_KINDS = 1 << 12  # more than there are kinds of rooms


@dataclass(frozen=True, eq=False)
class RoomTypes:
    """Types of rooms: a community, and a kind (classes of k and u - k).

    Attributes:
        community: (N,) of whatever has a type: rooms, places in them, tickets for them.
        kind: (N,).
        region: (N,).
    """

    community: Integers
    kind: Integers
    region: Integers

    def take(self, at: Integers) -> RoomTypes:
        """The types of some of them."""
        return RoomTypes(self.community[at], self.kind[at], self.region[at])

    @property
    def levels(self) -> tuple[Integers, ...]:
        """Kinds to meet by (:func:`gen.meeting.meet`): the type in its region, the type, the community."""
        type_ = self.community * _KINDS + self.kind
        apart = (int(self.community.max(initial=0)) + 1) * _KINDS
        return self.region * apart + type_, type_, self.community


def ticket_types(model: Model, type_: Integers, region: Integers) -> RoomTypes:
    """The types that tickets of the model name."""
    return RoomTypes(model.types.community[type_], model.types.kind[type_], region)
