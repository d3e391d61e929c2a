r"""What one event costs in a room of n servers, and what follows for the servers of a federation.

A mechanism treats the servers of a room alike except for their *role* towards an event: the *origin*, on which the
event was created, and the others. Its :class:`Spread` therefore holds, for each n, two expected numbers of sends,
:math:`o(n)` by the origin and :math:`h(n)` by each of the others on average, and likewise for what they receive. With
:math:`w_{sr}` the rate at which server s originates events in room r and :math:`W_r = \sum_s w_{sr}`,

.. math::
    tx_s = \lambda \sum_r [ w_{sr}\, o(k_r) + (W_r - w_{sr})\, h(k_r) ]

because a server is the origin of its own events and one of the others for everybody else's; rx likewise. Broadcast,
o = n - 1 and h = 0, gives equations 2 and 3 of the paper back (arXiv 1910.06295, section 5.1).

Every copy that is sent is received (no losses), duplicates counted. Only IP multicast breaks
:math:`\sum tx = \sum rx`: there the network copies, and ``copies`` counts what the servers received but did not send.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from fedgen.errors import UsageError
from fedgen.traffic.equations import Load

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fedgen.federation import Federation, Floats, Integers, Presences


@dataclass(frozen=True, eq=False)
class Spread:
    """Expected cost of one event, for each of an array of room sizes n.

    Attributes:
        n: servers in the room, the origin among them.
        total: transactions sent by servers, all roles together, announcements included.
        announcements: those among them that carry the event's id only.
        copies: made by the network instead of by a server: received, not sent.
        origin_tx: sent by the origin.
        other_tx: sent by each of the n - 1 other servers, on average; 0 for n = 1.
        largest_tx: sent by the role that sends most (origin, relay, ...): the larger of their expectations.
        origin_rx: received by the origin: its own event come back.
        other_rx: received by each of the others, duplicates counted.
        rounds: latency in hops, until the last server that is reached is reached.
        reached: share of the servers that get the event, the origin among them.
        certain: probability that all get it.
    """

    n: Integers
    total: Floats
    announcements: Floats
    copies: Floats
    origin_tx: Floats
    other_tx: Floats
    largest_tx: Floats
    origin_rx: Floats
    other_rx: Floats
    rounds: Floats
    reached: Floats
    certain: Floats

    def at(self, index: Integers) -> Spread:
        """The same for other rooms, given as indices into ``n``."""
        return Spread(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


class Mechanism(Protocol):
    """A way to bring an event to all servers of a room: a frozen dataclass of its parameters."""

    name: ClassVar[str]

    def spread(self, n: ArrayLike) -> Spread:
        """The expected cost of one event in rooms of n servers."""
        ...


def sizes(n: ArrayLike) -> Integers:
    """Room sizes as an array of integers >= 1.

    Raises:
        UsageError: one is none.
    """
    array = np.atleast_1d(np.asarray(n))
    # An empty array may be of any type.
    if array.size and (array.dtype.kind not in "iu" or int(array.min()) < 1):
        raise UsageError(f"servers per room: takes integers from 1 up, not {n!r}; a room has at least its origin")
    return array.astype(np.int64)


def whole(value: int, least: int, what: str) -> int:
    """A parameter of a mechanism.

    Raises:
        UsageError: it is no integer, or below ``least``.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise UsageError(f"{what}: takes an integer from {least} up, not {value!r}")
    return number


def spread_of(
    n: Integers,
    *,
    total: ArrayLike,
    origin_tx: ArrayLike,
    largest_tx: ArrayLike,
    rounds: ArrayLike,
    origin_rx: ArrayLike = 0.0,
    announcements: ArrayLike = 0.0,
    copies: ArrayLike = 0.0,
    reached: ArrayLike = 1.0,
    certain: ArrayLike = 1.0,
) -> Spread:
    """A spread from what defines it; the averages of the others follow, and a lone server (n = 1) does nothing."""
    alone, others = n == 1, np.maximum(n - 1, 1)

    def column(values: ArrayLike, of_one: float = 0.0) -> Floats:
        return np.where(alone, of_one, np.asarray(values, dtype=float))

    sent, from_origin, to_origin, by_network = (column(v) for v in (total, origin_tx, origin_rx, copies))
    return Spread(
        n=n,
        total=sent,
        announcements=column(announcements),
        copies=by_network,
        origin_tx=from_origin,
        other_tx=(sent - from_origin) / others,
        largest_tx=column(largest_tx),
        origin_rx=to_origin,
        other_rx=(sent + by_network - to_origin) / others,
        rounds=column(rounds),
        reached=column(reached, 1.0),
        certain=column(certain, 1.0),
    )


def presences_of(structure: Federation | Presences, n_servers: int | None = None) -> tuple[Presences, int]:
    """The presences and the number of servers; of presences alone by default one more than the largest id in them.

    Raises:
        UsageError: there are more servers than ``n_servers``.
    """
    from fedgen.federation import Federation

    presences = structure.presences if isinstance(structure, Federation) else structure
    known = structure.n_servers if isinstance(structure, Federation) else int(presences.server.max(initial=-1)) + 1
    if n_servers is not None and n_servers < known:
        raise UsageError(f"n_servers: {n_servers} are fewer than the {known} there are; give that many or more")
    return presences, n_servers if n_servers is not None else known


def spread_per_room(mechanism: Mechanism, presences: Presences) -> Spread:
    """The spread of every room, computed once per distinct size."""
    distinct, at = np.unique(np.diff(presences.offsets), return_inverse=True)
    return mechanism.spread(distinct).at(at)


def room_weight(presences: Presences) -> Floats:
    """(R,) W_r, the rate of events in each room at message rate 1 per user."""
    return np.bincount(presences.room, weights=presences.weight, minlength=len(presences.offsets) - 1)


def role_rates(presences: Presences) -> tuple[Floats, Floats]:
    """(K,) rates at which each presence is the origin of an event, and one of the others; 0 in rooms of one server."""
    alone = (np.diff(presences.offsets) == 1)[presences.room]
    others = np.where(alone, 0.0, room_weight(presences)[presences.room] - presences.weight)
    return np.where(alone, 0.0, presences.weight), others


def load_by_role(presences: Presences, spread: Spread, n_servers: int, rate: float) -> Load:
    """tx and rx of every server, from the spread of every room."""
    own, foreign = role_rates(presences)
    room, server = presences.room, presences.server

    def per_server(origin: Floats, other: Floats) -> Floats:
        return rate * np.bincount(server, weights=own * origin[room] + foreign * other[room], minlength=n_servers)

    return Load(
        tx=per_server(spread.origin_tx, spread.other_tx),
        rx=per_server(spread.origin_rx, spread.other_rx),
    )
