"""What the load of the servers looks like: who carries it (paper section 5.1, Fig. 4).

Functions over arrays per server, so that they serve any mechanism: ``tx``, ``rx`` come from
:func:`fedgen.traffic.equations.load` or from elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedgen.federation import Floats, Integers


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
    largest = np.flatnonzero(users == users.max())
    return float(tx[largest[ranking(users[largest], tx[largest], rx[largest])[0]]] / total)


def load_per_user(users: Integers, tx: Floats) -> float:
    """T/U: transactions per user and unit of time."""
    return float(tx.sum() / users.sum())
