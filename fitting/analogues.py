r"""How many users a server has and in how many rooms each is, borrowed from servers like it of another model.

Of a server in m rooms with e memberships the number of users n is unknown but for its bounds, max_r c <= n <= e, c the
counts of its presences. The memberships say nothing within them: three memberships in three rooms are one user or
three. So it is assumed that a server is like one of the donor's of the same size, the nearest in (log m, log e/m), one
drawn at random of those that are equally so. What is taken over is where that server stands between the fewest and the
most users that *its* m and e allow, on a scale of logarithms,

.. math::
    t' = \frac{\log (n' m' / e')}{\log m'}, \qquad n = e\, m^{\,t' - 1},

0 where everybody is in every room and 1 where nobody is in two, rounded at random and brought within the bounds. Where
the mean number of rooms per user is given, t' is raised to one power, the same for all servers, that makes it so: that
keeps the order of servers and leaves alone who stands at an end, as servers of one user do. The users' rooms beyond the
first, e - n, are shared in proportion to those of users drawn from the same server of the donor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import InfeasibleError
from fedgen.ragged import offsets_of, order_of
from fitting.rounding import in_proportion

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers
    from fitting.model import Model

_HALVINGS = 100
_DIGITS = 12
_POWERS = 40.0  # of e: the largest and the smallest power are beyond what doubles tell from the ends


@dataclass(frozen=True, eq=False)
class Sizes:
    """What is known of servers that lack users.

    Attributes:
        rooms: m, (S,).
        memberships: e, (S,), >= m.
        least: the fewest users, (S,): the largest count of a presence.
    """

    rooms: Integers
    memberships: Integers
    least: Integers


@dataclass(frozen=True, eq=False)
class Users:
    """What they are given.

    Attributes:
        number: n, (S,), within [least, memberships].
        rooms: d, (U,), server after server; >= 1, of sum e over each.
    """

    number: Integers
    rooms: Integers


def borrow(sizes: Sizes, donor: Model, rng: np.random.Generator, rooms_per_user: float | None = None) -> Users:
    """Users for servers that lack them.

    Args:
        sizes: of the servers.
        donor: the model whose servers lend.
        rng: what is open.
        rooms_per_user: the mean to meet, M / U; None: as it comes.

    Raises:
        InfeasibleError: the counts and the donor do not allow that mean; the message gives the range.
    """
    lender, standing = _lenders(sizes, donor, rng)
    if rooms_per_user is not None:
        standing = _raised(standing, sizes, rooms_per_user)
    number = np.floor(_expected(standing, sizes) + rng.random(len(standing))).astype(np.int64)
    number = np.clip(number, sizes.least, sizes.memberships)
    return Users(number, _rooms(sizes.memberships - number, number, lender, donor, rng))


def _lenders(sizes: Sizes, donor: Model, rng: np.random.Generator) -> tuple[Integers, Floats]:
    """The row of the donor's server that each resembles (heads: -1, -2, ...), and where that one stands; (S,) each."""
    from scipy.spatial import cKDTree

    heads, body = donor.heads, donor.servers
    row = np.concatenate((np.arange(len(body.users)), -1 - np.arange(len(heads.users))))
    n, m, e = (
        np.concatenate((getattr(body, column), getattr(heads, column))) for column in ("users", "rooms", "memberships")
    )
    order = order_of(m, e)
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(m[order]) != 0) | (np.diff(e[order]) != 0)
    begin = np.flatnonzero(new)
    alike = np.diff(begin, append=len(order))
    tree = cKDTree(_place(m[order[begin]], e[order[begin]]))
    nearest = np.asarray(tree.query(_place(sizes.rooms, sizes.memberships))[1])
    chosen = order[begin[nearest] + (rng.random(len(nearest)) * alike[nearest]).astype(np.int64)]
    several = m > 1  # a server in one room stands at both ends; so does whoever resembles it
    standing = np.where(several, np.log(n * m / e) / np.log(np.where(several, m, 2)), 1.0)
    # Without errors of rounding, so that who stands at an end is seen to.
    return row[chosen], np.round(standing[chosen], _DIGITS)


def _expected(standing: Floats, sizes: Sizes) -> Floats:
    """(S,) n by where the servers stand, within the bounds."""
    users: Floats = np.clip(sizes.memberships * sizes.rooms ** (standing - 1.0), sizes.least, sizes.memberships)
    return users


def _place(rooms: Integers, memberships: Integers) -> Floats:
    return np.log(np.column_stack((rooms, memberships / rooms)))


def _raised(standing: Floats, sizes: Sizes, rooms_per_user: float) -> Floats:
    """``standing`` to the power that makes the mean."""
    memberships = int(sizes.memberships.sum())

    def mean(stand: Floats) -> float:
        return float(memberships / _expected(stand, sizes).sum())

    least, most = mean(np.ceil(standing)), mean(np.floor(standing))
    if not least <= rooms_per_user <= most:
        raise InfeasibleError(
            f"rooms per user: {rooms_per_user:g} on average cannot be; the rooms' users and the donor's servers allow "
            f"{least:.4g} to {most:.4g}"
        )
    low, high = -_POWERS, _POWERS
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(standing ** np.exp(middle)) < rooms_per_user else (low, middle)
    raised: Floats = standing ** np.exp(low)
    return raised


def _rooms(beyond: Integers, number: Integers, lender: Integers, donor: Model, rng: np.random.Generator) -> Integers:
    """(U,) 1 + the users' parts of ``beyond`` (S,), in proportion to d - 1 of users of ``lender`` (S,)."""
    table, server = donor.users, np.repeat(np.arange(len(number)), number)
    upto = offsets_of(table.number)
    begin = upto[np.searchsorted(table.server, lender, side="left")]
    there = upto[np.searchsorted(table.server, lender, side="right")] - begin
    at = begin[server] + (rng.random(len(server)) * there[server]).astype(np.int64)
    weight = table.rooms[np.searchsorted(upto, at, side="right") - 1] - 1
    idle = np.bincount(server, weights=weight, minlength=len(number)) == 0
    return 1 + in_proportion(np.where(idle[server], 1, weight), server, beyond, rng)
