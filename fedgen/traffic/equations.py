r"""The load of every server under Matrix' full-mesh broadcast (paper section 5.1, equations 1-3).

Every user sends messages at rate :math:`\lambda`, spread evenly over his rooms :math:`R_u`; a server delivers each to
every other server of the room. With :math:`w_{sr} = \sum_{u \in U_r \cap U_s} 1/|R_u|` the *weight* of a presence,
:math:`W_r = \sum_s w_{sr}` and :math:`k_r = |F_r|`, the sums over users fold into sums over presences:

.. math::
    tx_s = \lambda \sum_{r \in Q_s} w_{sr} (k_r - 1), \qquad
    rx_s = \lambda \sum_{r \in Q_s} (W_r - w_{sr}), \qquad
    \sum_s tx_s = \sum_s rx_s = T = \lambda \sum_r W_r (k_r - 1)

where a room with k_r = 1 adds nothing to either, so that Q_s needs no special case. The last identity holds because
each room's rx is :math:`\sum_s (W_r - w_{sr}) = (k_r - 1) W_r`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Federation, Floats


@dataclass(frozen=True, eq=False)
class Load:
    """Transactions per unit of time, per server.

    Attributes:
        tx: (S,) sent.
        rx: (S,) received.
    """

    tx: Floats
    rx: Floats

    def __repr__(self) -> str:
        return f"Load({len(self.tx)} servers, {self.total:.6g} transactions)"

    @property
    def total(self) -> float:
        """T: all transactions per unit of time, counted once."""
        return float(self.tx.sum())


def heard(federation: Federation) -> Floats:
    """(K,) the messages of other servers that reach each presence at rate 1, W_r - w_sr: its part of rx_s."""
    p = federation.presences
    others = np.diff(p.offsets)[p.room] - 1
    room_weight = np.bincount(p.room, weights=p.weight, minlength=federation.n_rooms)
    # A server alone in its room hears nobody; said outright, since W_r - w_sr could leave a rounding error there.
    return np.where(others > 0, room_weight[p.room] - p.weight, 0.0)


def load(federation: Federation, rate: float = 1.0) -> Load:
    """tx and rx of every server (paper, equations 2 and 3).

    Args:
        federation: of any size; only its presences are used.
        rate: lambda, messages per user and unit of time.
    """
    p = federation.presences
    others = np.diff(p.offsets)[p.room] - 1
    size = federation.n_servers
    return Load(
        tx=rate * np.bincount(p.server, weights=p.weight * others, minlength=size),
        rx=rate * np.bincount(p.server, weights=heard(federation), minlength=size),
    )
