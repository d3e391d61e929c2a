"""From an attendance to a federation that has it: what was not seen is filled in, and said to be so.

Seen: who is where, the users of each room. Filled in, in this order: the users of each presence (:mod:`fitting.shares`,
from what was seen), the users of each server and in how many rooms each is (:mod:`fitting.analogues`, from another
federation), which rooms these are (:mod:`fitting.dealing`, at random). The attendance is met exactly. How far off the
rest was where the truth is known: docs/attendance.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.attendance import Attendance
from fedgen.errors import InfeasibleError, UsageError
from fedgen.federation import Federation
from fedgen.ragged import offsets_of, order_of
from fitting.analogues import Sizes, borrow
from fitting.dealing import deal
from fitting.model import Model
from fitting.shares import share

if TYPE_CHECKING:
    from fedgen.federation import Integers

_ROW = 70  # bytes a membership, at the peak, where nearly every one is somebody else's

UNMEASURED = ("n", "e", "d")
"""The quantities, of those that have a law, that no attendance holds."""


@dataclass(frozen=True, eq=False)
class Completion:
    """A federation of which only the attendance was seen.

    Attributes:
        federation: one of those that have the attendance.
        donor: digest of the model whose servers lent their users.
        rooms_per_user: the mean that was asked for; None where the donor decided.
        users_range: the fewest and the most users that the attendance allows.
        unmeasured: symbols of the quantities that are assumed.
    """

    federation: Federation
    donor: str
    rooms_per_user: float | None
    users_range: tuple[int, int]
    unmeasured: tuple[str, ...] = UNMEASURED

    def to_dict(self) -> dict[str, Any]:
        """What was assumed, as plain values: for provenance."""
        users = self.federation.n_users
        return {
            "unmeasured": list(self.unmeasured),
            "donor": self.donor,
            "rooms_per_user": self.federation.n_memberships / users,
            "rooms_per_user_given": self.rooms_per_user is not None,
            "users": users,
            "fewest_users": self.users_range[0],
            "most_users": self.users_range[1],
        }


def complete(
    attendance: Attendance,
    *,
    users: Integers | None = None,
    donor: Model | None = None,
    rooms_per_user: float | None = None,
    seed: int = 0,
) -> Completion:
    """A federation with an attendance, under assumptions; the same for the same seed.

    Args:
        attendance: what was seen.
        users: (K,) of each presence, >= 1, of sum u in each room; default: shared as :mod:`fitting.shares` has it.
        donor: the model whose servers lend their users; default: the built-in one.
        rooms_per_user: the mean number of rooms per user, where it is known from elsewhere; default: as borrowed.
        seed: of all that is open.

    Raises:
        UsageError: no attendance.
        InvariantError: an attendance that no federation has.
        InfeasibleError: a mean that the attendance does not allow, or more memberships than the memory holds.
    """
    if not isinstance(attendance, Attendance):
        raise UsageError(
            f"complete takes an Attendance, not {type(attendance).__name__}; read one with fedgen.read_attendance"
        )
    attendance.check()
    _check_memory(attendance)
    donor = Model.builtin() if donor is None else donor
    sharing, borrowing, dealing = (
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stage,))) for stage in range(3)
    )
    users = share(attendance, sharing) if users is None else users
    by_server = order_of(attendance.presence_server, attendance.presence_room)
    m = attendance.rooms_per_server
    places = offsets_of(m)
    of_server = users[by_server]
    sizes = Sizes(m, np.add.reduceat(of_server, places[:-1]), np.maximum.reduceat(of_server, places[:-1]))
    given = borrow(sizes, donor, borrowing, rooms_per_user)
    member = deal(offsets_of(given.number), places, offsets_of(of_server), given.rooms, dealing)
    federation = Federation.from_pairs(
        np.repeat(np.arange(attendance.n_servers), given.number),
        member,
        np.repeat(attendance.presence_room[by_server], of_server),
        n_servers=attendance.n_servers,
        n_rooms=attendance.n_rooms,
    )
    return Completion(federation, donor.digest, rooms_per_user, attendance.users_range)


def _check_memory(attendance: Attendance) -> None:
    # As floats: what a file claims may not fit an integer once it is summed.
    needed = _ROW * float(attendance.users_per_room.sum(dtype=float))
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise InfeasibleError(
            f"{needed / _ROW:.3g} memberships need about {needed / 2**30:.1f} GiB of memory, this machine has "
            f"{there / 2**30:.1f}; leave rooms out, or use a machine with more"
        )
