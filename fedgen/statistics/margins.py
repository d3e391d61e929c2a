"""The margins of a federation: one number per server, room or user; which units come first; which take part.

Every ranking is by the margin, largest first; ties go by the other margins of the same unit, so that ids never decide
anything that a statistic could tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fedgen.federation import Floats, Integers
    from fedgen.tables import Tables


@dataclass(frozen=True)
class Margin:
    """One number per unit.

    Attributes:
        unit: what it is a number of, in the plural: servers, rooms or users.
        of: the number of each unit.
        ties: the margins that decide ties of the ranking, first to last.
        whole: whether it is a whole number.
    """

    unit: str
    of: Callable[[Tables], Integers | Floats]
    ties: tuple[str, ...] = ()
    whole: bool = True


def users_per_server_of_room(federation: Tables) -> Floats:
    """u_r / k_r, (R,): how many users a server of the room has in it, on average."""
    return federation.users_per_room / np.maximum(federation.servers_per_room, 1)


MARGINS: dict[str, Margin] = {
    "users_per_server": Margin(
        "servers", lambda f: f.users_per_server, ties=("rooms_per_server", "memberships_per_server")
    ),
    "rooms_per_server": Margin(
        "servers", lambda f: f.rooms_per_server, ties=("users_per_server", "memberships_per_server")
    ),
    "memberships_per_server": Margin(
        "servers", lambda f: f.memberships_per_server, ties=("users_per_server", "rooms_per_server")
    ),
    "servers_per_room": Margin("rooms", lambda f: f.servers_per_room, ties=("users_per_room",)),
    "users_per_room": Margin("rooms", lambda f: f.users_per_room, ties=("servers_per_room",)),
    "users_per_server_of_room": Margin("rooms", users_per_server_of_room, ties=("users_per_room",), whole=False),
    "rooms_per_user": Margin("users", lambda f: f.rooms_per_user),
}


def ranked(federation: Tables, name: str) -> NDArray[np.intp]:
    """The units of a margin, largest first: ids, as many as there are units."""
    keys = [MARGINS[key].of(federation) for key in (name, *MARGINS[name].ties)]
    return np.lexsort([-key for key in reversed(keys)])


def within(values: Integers | Floats, least: int | None, most: int | None) -> NDArray[np.bool_]:
    """Which values lie in [least, most]; None is no bound."""
    inside = np.ones(len(values), dtype=bool)
    if least is not None:
        inside &= values >= least
    if most is not None:
        inside &= values <= most
    return inside
