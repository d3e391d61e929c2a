r"""The load by drawing messages, as the paper cross-checked its equations (section 5.1).

N messages are drawn: a user, in proportion to the rate at which he speaks (all alike unless told otherwise), then one
of his rooms, uniformly; it is delivered to every other server of the room. With :math:`p_{sr}` the probability that a
message comes from a user of server s in room r, the counts :math:`C_{sr}` are multinomial, and N messages are what all
users together, :math:`\Lambda = \sum_u \lambda_u`, say in time :math:`N / \Lambda`. So

.. math::
    \widehat{tx}_s = \frac{\Lambda}{N} \sum_r C_{sr} (k_r - 1), \qquad
    \widehat{rx}_s = \frac{\Lambda}{N} \sum_{r \ni s} (C_r - C_{sr})

are unbiased for equations 2 and 3, with the standard errors of a mean of N independent messages: one message makes s
send :math:`k_r - 1` or nothing, and hear once or not at all. Where nobody spoke the error is that of less than one
message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import UsageError
from fedgen.ragged import offsets_of
from fedgen.traffic.equations import Load, Stretch, spoken_and_heard

if TYPE_CHECKING:
    from fedgen.federation import Federation, Floats, Integers

_BATCH = 1 << 20


@dataclass(frozen=True, eq=False)
class MonteCarlo:
    """What N drawn messages make of the load.

    Attributes:
        messages: N.
        load: the estimate, per server.
        tx_error, rx_error: (S,) its standard errors, by the exact variance of one message.
        total_error: of T.
    """

    messages: int
    load: Load
    tx_error: Floats
    rx_error: Floats
    total_error: float


def monte_carlo(
    federation: Federation, messages: int, seed: int = 0, rate: float = 1.0, speaks: Floats | None = None
) -> MonteCarlo:
    """Draw messages and deliver them.

    Args:
        federation: any sound one.
        messages: N >= 1.
        seed: >= 0.
        rate: lambda, messages per user and unit of time on average.
        speaks: (U,) how much of all messages each user says, in any unit; None: all as much.

    Raises:
        UsageError: fewer than one message.
    """
    if messages < 1:
        raise UsageError(f"messages: {messages} is not a number of messages; give a whole number from 1 up")
    rng = np.random.default_rng(seed)
    order = np.argsort(federation.membership_user, kind="stable")  # memberships user by user
    begin, d = offsets_of(federation.rooms_per_user), federation.rooms_per_user
    presence = presence_of(federation)[order]
    p = federation.presences
    cumulative = None if speaks is None else np.cumsum(speaks / speaks.sum())
    counts = np.zeros(len(p), dtype=np.int64)
    for done in range(0, messages, _BATCH):
        size = min(_BATCH, messages - done)
        if cumulative is None:
            user = rng.integers(0, federation.n_users, size=size)
        else:
            user = np.minimum(np.searchsorted(cumulative, rng.random(size), side="right"), federation.n_users - 1)
        said = begin[user] + (rng.random(size) * d[user]).astype(np.int64)
        counts += np.bincount(presence[said], minlength=len(p))
    together = rate * federation.n_users
    sent, received = spoken_and_heard(Stretch(p.server, p.room, counts.astype(np.float64)))
    servers, others = federation.n_servers, np.diff(p.offsets)[p.room] - 1
    scale = together / messages
    tx = np.bincount(p.server, weights=sent, minlength=servers) * scale
    rx = np.bincount(p.server, weights=received, minlength=servers) * scale
    share = message_shares(federation, speaks)
    spoken, heard = spoken_and_heard(Stretch(p.server, p.room, share))
    tx_mean = np.bincount(p.server, weights=spoken, minlength=servers)
    rx_mean = np.bincount(p.server, weights=heard, minlength=servers)
    tx_square = np.bincount(p.server, weights=spoken * others, minlength=servers)
    error = together / np.sqrt(messages)
    variance = float((share * others.astype(np.float64) ** 2).sum()) - float(spoken.sum()) ** 2
    return MonteCarlo(
        messages,
        Load(tx, rx),
        error * np.sqrt(np.maximum(tx_square - tx_mean**2, 0.0)),
        error * np.sqrt(np.maximum(rx_mean - rx_mean**2, 0.0)),
        error * float(np.sqrt(max(variance, 0.0))),
    )


def presence_of(federation: Federation) -> Integers:
    """(M,) the presence that each membership is part of: runs of equal servers, since users are numbered by server."""
    home, room = federation.user_server[federation.membership_user], federation.membership_room
    new = np.ones(len(home), dtype=bool)
    new[1:] = (home[1:] != home[:-1]) | (room[1:] != room[:-1])
    return np.cumsum(new) - 1


def message_shares(federation: Federation, speaks: Floats | None = None) -> Floats:
    """(K,) the share of all messages that come from each presence."""
    p = federation.presences
    if speaks is None:
        return p.weight / federation.n_users
    each = (speaks / speaks.sum() / federation.rooms_per_user)[federation.membership_user]
    return np.bincount(presence_of(federation), weights=each, minlength=len(p))
