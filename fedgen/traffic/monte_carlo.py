r"""The load by drawing messages, as the paper cross-checked its equations (section 5.1).

N messages are drawn: a user, then one of his rooms, by their activity (all alike unless told otherwise); it is
delivered to every other server of the room. With :math:`p_{sr}` the probability that a
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
from fedgen.traffic.activity import membership_weights, presence_of, spoken
from fedgen.traffic.equations import Load, Stretch, spoken_and_heard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fedgen.federation import Federation, Floats, Integers
    from fedgen.traffic.activity import Activity

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
    federation: Federation, messages: int, seed: int = 0, rate: float = 1.0, activity: Activity | None = None
) -> MonteCarlo:
    """Draw messages and deliver them.

    Args:
        federation: any sound one.
        messages: N >= 1.
        seed: >= 0.
        rate: lambda, messages per user and unit of time on average.
        activity: who says how much, and where; None: all alike.

    Raises:
        UsageError: fewer than one message.
    """
    if messages < 1:
        raise UsageError(f"messages: {messages} is not a number of messages; give a whole number from 1 up")
    p, servers = federation.presences, federation.n_servers
    presence = presence_of(federation)
    counts = np.zeros(len(p), dtype=np.int64)
    for membership in said(federation, messages, np.random.default_rng(seed), activity):
        counts += np.bincount(presence[membership], minlength=len(p))
    together = rate * federation.n_users
    sent, received = spoken_and_heard(Stretch(p.server, p.room, counts.astype(np.float64)))
    tx, rx = (np.bincount(p.server, weights=each, minlength=servers) for each in (sent, received))

    # One message: its mean and its square, by presence.
    share = spoken(federation, activity).weight / federation.n_users
    others = np.diff(p.offsets)[p.room] - 1
    sends, hears = spoken_and_heard(Stretch(p.server, p.room, share))
    tx_mean, rx_mean = (np.bincount(p.server, weights=each, minlength=servers) for each in (sends, hears))
    tx_square = np.bincount(p.server, weights=sends * others, minlength=servers)
    error, scale = together / np.sqrt(messages), together / messages
    return MonteCarlo(
        messages,
        Load(scale * tx, scale * rx),
        error * np.sqrt(np.maximum(tx_square - tx_mean**2, 0.0)),
        error * np.sqrt(np.maximum(rx_mean - rx_mean**2, 0.0)),
        error * float(np.sqrt(max(float((sends * others).sum()) - float(sends.sum()) ** 2, 0.0))),
    )


def said(
    federation: Federation, messages: int, rng: np.random.Generator, activity: Activity | None = None
) -> Iterator[Integers]:
    """The membership, user and room, that each message belongs to, some at a time."""
    of_user = np.argsort(federation.membership_user, kind="stable")  # memberships user by user
    begin, d = offsets_of(federation.rooms_per_user), federation.rooms_per_user
    upto = None if activity is None else np.cumsum(membership_weights(federation, activity))
    for done in range(0, messages, _BATCH):
        size = min(_BATCH, messages - done)
        if upto is not None:
            found = np.searchsorted(upto, rng.random(size) * upto[-1], side="right")
            yield np.minimum(found, len(upto) - 1)
            continue
        user = rng.integers(0, federation.n_users, size=size)
        yield of_user[begin[user] + (rng.random(size) * d[user]).astype(np.int64)]
