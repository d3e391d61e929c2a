r"""The load of every server under Matrix' full-mesh broadcast (paper section 5.1, equations 1-3).

Every user sends messages at rate :math:`\lambda`, spread evenly over his rooms :math:`R_u`; a server delivers each to
every other server of the room. With :math:`w_{sr} = \sum_{u \in U_r \cap U_s} 1/|R_u|` the *weight* of a presence,
:math:`W_r = \sum_s w_{sr}` and :math:`k_r = |F_r|`, the sums over users fold into sums over presences:

.. math::
    tx_s = \lambda \sum_{r \in Q_s} w_{sr} (k_r - 1), \qquad
    rx_s = \lambda \sum_{r \in Q_s} (W_r - w_{sr}), \qquad
    \sum_s tx_s = \sum_s rx_s = T = \lambda \sum_r W_r (k_r - 1)

where a room with k_r = 1 adds nothing to either, so that Q_s needs no special case. The last identity holds because
each room's rx is :math:`\sum_s (W_r - w_{sr}) = (k_r - 1) W_r`. One pair of servers carries (equation 1)

.. math:: tx(a \to b) = \lambda \sum_{r \in R_a \cap R_b} w_{ar}.

Both need the presences of one room at a time and two numbers per server: presences are streamed, room after room, and
a federation of any size is computed in the memory of its servers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fedgen.federation import Floats, Integers, Presences
    from fedgen.tables import Tables

_AT_ONCE = 1 << 22
"""Presences looked at together: about 200 MiB."""


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


class Stretch(NamedTuple):
    """Presences of some consecutive rooms, sorted by room.

    Attributes:
        server: (L,) ids.
        room: (L,) ids, never falling; from one stretch to the next they rise or go on.
        weight: (L,) at rate 1.
    """

    server: Integers
    room: Integers
    weight: Floats


def heard(federation: Tables) -> Floats:
    """(K,) the messages of other servers that reach each presence at rate 1, W_r - w_sr: its part of rx_s."""
    return spoken_and_heard(_stretch(federation))[1]


def load(federation: Tables, rate: float = 1.0) -> Load:
    """tx and rx of every server (paper, equations 2 and 3).

    Args:
        federation: of any size; only its presences are used.
        rate: lambda, messages per user and unit of time.
    """
    return streamed_load(_stretches(federation.presences), federation.n_servers, rate)


def streamed_load(stretches: Iterable[Stretch], servers: int, rate: float = 1.0) -> Load:
    """tx and rx of every server, from its presences as they come.

    Args:
        stretches: all presences, sorted by room.
        servers: S.
        rate: lambda, messages per user and unit of time.
    """
    tx, rx = np.zeros(servers), np.zeros(servers)
    for stretch in whole_rooms(stretches):
        sent, received = spoken_and_heard(stretch)
        tx += np.bincount(stretch.server, weights=sent, minlength=servers)
        rx += np.bincount(stretch.server, weights=received, minlength=servers)
    return Load(rate * tx, rate * rx)


def pair_load(stretches: Iterable[Stretch], chosen: Integers, rate: float = 1.0) -> Floats:
    """tx(a -> b) between chosen servers (paper, equation 1).

    Args:
        stretches: all presences, sorted by room.
        chosen: (C,) ids of servers, none twice.
        rate: lambda.

    Returns:
        (C, C) from the server of the row to that of the column; 0 on the diagonal.
    """
    from scipy.sparse import csr_matrix

    rising = np.argsort(chosen)
    found = np.zeros((len(chosen), len(chosen)))
    for stretch in whole_rooms(stretches):
        at = np.minimum(np.searchsorted(chosen[rising], stretch.server), len(chosen) - 1)
        mine = np.flatnonzero(chosen[rising][at] == stretch.server)
        room = stretch.room[mine] - stretch.room[0]
        shape = (len(chosen), int(stretch.room[-1] - stretch.room[0]) + 1)
        where = (rising[at[mine]], room)
        weights = csr_matrix((stretch.weight[mine], where), shape=shape)
        there = csr_matrix((np.ones(len(mine)), where), shape=shape)
        found += (weights @ there.T).toarray()
    np.fill_diagonal(found, 0.0)
    return rate * found


def whole_rooms(stretches: Iterable[Stretch]) -> Iterator[Stretch]:
    """The same presences, cut between rooms: what is there of a stretch's last room waits for the next one."""
    left: list[Stretch] = []
    for stretch in stretches:
        if len(stretch.room) == 0:
            continue
        cut = int(np.searchsorted(stretch.room, stretch.room[-1]))
        if cut == 0 and left and left[-1].room[-1] == stretch.room[-1]:
            left.append(stretch)
            continue
        if cut or left:
            yield _joined([*left, Stretch(*(column[:cut] for column in stretch))])
        left = [Stretch(*(column[cut:] for column in stretch))]
    if left:
        yield _joined(left)


def _joined(parts: list[Stretch]) -> Stretch:
    return parts[0] if len(parts) == 1 else Stretch(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _stretch(federation: Tables) -> Stretch:
    p = federation.presences
    return Stretch(p.server, p.room, p.weight)


def _stretches(presences: Presences) -> Iterator[Stretch]:
    columns = presences.server, presences.room, presences.weight
    for start in range(0, len(presences), _AT_ONCE):
        yield Stretch(*(column[start : start + _AT_ONCE] for column in columns))


def spoken_and_heard(stretch: Stretch) -> tuple[Floats, Floats]:
    """(L,) what each presence sends and hears at rate 1, in a stretch of whole rooms."""
    if len(stretch.room) == 0:
        return np.zeros(0), np.zeros(0)
    begin = np.flatnonzero(np.concatenate(([True], stretch.room[1:] != stretch.room[:-1])))
    size = np.diff(begin, append=len(stretch.room))
    others = np.repeat(size - 1, size)
    room_weight = np.repeat(np.add.reduceat(stretch.weight, begin), size)
    # A server alone in its room hears nobody; said outright, since W_r - w_sr could leave a rounding error there.
    return stretch.weight * others, np.where(others > 0, room_weight - stretch.weight, 0.0)
