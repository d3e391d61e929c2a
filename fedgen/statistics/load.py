"""What the load of the servers looks like: who carries it (paper section 5.1, Fig. 4).

Functions over arrays per server, so that they serve any mechanism: ``tx``, ``rx`` come from
:func:`fedgen.traffic.equations.load` or from elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.traffic.equations import Load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedgen.federation import Floats, Integers
    from fedgen.statistics.halves import Split


def ranking(users: Integers, tx: Floats, rx: Floats) -> NDArray[np.intp]:
    """(S,) the servers, most users first, then most tx (Fig. 4a), then most rx so that ids never decide."""
    return np.lexsort((-rx, -tx, -users))


def load_curve(users: Integers, tx: Floats, rx: Floats) -> Floats:
    """The cumulative load curve of Fig. 4a.

    Args:
        users: (S,) users per server.
        tx: (S,) transactions sent.
        rx: (S,) transactions received.

    Returns:
        (S + 1,) the share of all tx + rx that the first 0, 1, ..., S servers of the ranking carry; 0 throughout where
        nothing is sent.
    """
    both = (tx + rx)[ranking(users, tx, rx)]
    curve = np.concatenate(([0.0], np.cumsum(both)))
    return curve / curve[-1] if curve[-1] > 0 else curve


def hub_share(users: Integers, tx: Floats, rx: Floats) -> float:
    """The share of all tx that the server with most users sends; NaN where nothing is sent."""
    total = float(tx.sum())
    if total == 0:
        return float("nan")
    return float(tx[ranking(users, tx, rx)[0]] / total)


def load_per_user(users: Integers, tx: Floats) -> float:
    """T/U: transactions per user and unit of time."""
    return float(tx.sum() / users.sum())


def load_of_halves(split: Split) -> Load:
    """tx and rx, (2, S) each, of every server in both halves of the rooms: equations 2 and 3 in either."""
    p = split.federation.presences
    others = split.federation.servers_per_room - 1
    room_weight = np.add.reduceat(split.weight, p.offsets[:-1])
    # A room of one server adds nothing to either, not even a rounding error.
    heard = np.where(others[p.room] > 0, room_weight[p.room] - split.weight, 0.0)
    return Load(tx=split.per_server(split.weight * others[p.room]), rx=split.per_server(heard))
