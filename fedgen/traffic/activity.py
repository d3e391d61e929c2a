r"""Activity that is not uniform: some users say more, some rooms are livelier.

User u says :math:`\lambda_u` messages per unit of time, :math:`\lambda` on average, and spreads them over his rooms in
proportion to their liveliness :math:`a_r`. Then the weight of a presence is

.. math:: w_{sr} = \sum_{u \in U_r \cap U_s} \frac{\lambda_u}{\lambda} \, \frac{a_r}{\sum_{r' \in R_u} a_{r'}}

instead of :math:`\sum 1/|R_u|`, and equations 1-3 hold as they stand (:mod:`fedgen.traffic.equations`): they ask only
for the rate at which each server speaks in each room. With all rates and all rooms alike it is the paper's case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import UsageError
from fedgen.traffic.equations import Stretch

if TYPE_CHECKING:
    from fedgen.federation import Federation, Floats, Integers


@dataclass(frozen=True, eq=False)
class Activity:
    """How much is said by whom and where.

    Attributes:
        user: (U,) rate of each user, in units of the mean rate; any scale, only proportions count.
        room: (R,) liveliness of each room, any scale.

    Raises:
        UsageError: a rate is negative or no number, nobody speaks, or a room is dead.
    """

    user: Floats
    room: Floats

    def __post_init__(self) -> None:
        for name, values in (("user", self.user), ("room", self.room)):
            if not np.all(np.isfinite(values)) or np.any(values < 0):
                raise UsageError(f"activity of a {name} is negative or no number; give numbers from 0 up")
        if len(self.user) and not self.user.sum() > 0:
            raise UsageError("activity of all users is 0; somebody has to speak")
        if np.any(self.room == 0):
            raise UsageError("activity of a room is 0, so that users of it alone could not speak; give numbers above 0")

    @classmethod
    def uniform(cls, federation: Federation) -> Activity:
        """All alike."""
        return cls(np.ones(federation.n_users), np.ones(federation.n_rooms))


def membership_weights(federation: Federation, activity: Activity) -> Floats:
    """(M,) the rate at which each user speaks in each of his rooms, at a mean rate of 1 per user.

    Raises:
        UsageError: the activity is of another number of users or rooms.
    """
    for name, values, count in (
        ("users", activity.user, federation.n_users),
        ("rooms", activity.room, federation.n_rooms),
    ):
        if len(values) != count:
            raise UsageError(f"activity of {len(values)} {name}, the federation has {count}; give one for each")
    lively = activity.room[federation.membership_room]
    user = federation.membership_user
    of_user = np.bincount(user, weights=lively, minlength=federation.n_users)
    rate = activity.user / activity.user.mean()
    return np.asarray(rate[user] * lively / of_user[user])


def presence_of(federation: Federation) -> Integers:
    """(M,) the presence that each membership is part of: runs of equal servers, since users are numbered by server."""
    home, room = federation.user_server[federation.membership_user], federation.membership_room
    new = np.ones(len(home), dtype=bool)
    new[1:] = (home[1:] != home[:-1]) | (room[1:] != room[:-1])
    return np.cumsum(new) - 1


def spoken(federation: Federation, activity: Activity | None = None) -> Stretch:
    """The presences with the rate at which each speaks; by default all users and rooms are alike."""
    p = federation.presences
    if activity is None:
        return Stretch(p.server, p.room, p.weight)
    weights = membership_weights(federation, activity)
    each = np.bincount(presence_of(federation), weights=weights, minlength=len(p))
    return Stretch(p.server, p.room, each)
