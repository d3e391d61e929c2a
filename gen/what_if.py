"""What if users of the hubs moved to servers of their own: the load as a curve over the share that has moved.

Who moves is nested (:mod:`gen.decentralization`), so the curve is one story: each step is the one before with more
users gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedgen.progress import silent
from fedgen.statistics.load import load_per_user
from fedgen.statistics.structure import hhi
from fedgen.traffic.equations import load
from fitting.heads import find_heads
from fitting.histogram import Histogram
from fitting.hubs import find_hubs
from gen.decentralization import Decentralization, decentralize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedgen.federation import Federation, Integers
    from fedgen.progress import Progress

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class Step:
    """The federation once a share of the hubs' users has moved.

    Attributes:
        share: of the hubs' users.
        moved: how many that are.
        servers: how many there are then.
        effective_servers: 1/HHI.
        transactions: T, transactions per unit of time.
        load_per_user: T/U.
        hub_tx: what the largest hub sends.
        largest_load, median_load: tx + rx of the server that carries most, and of the one in the middle.
    """

    share: float
    moved: int
    servers: int
    effective_servers: float
    transactions: float
    load_per_user: float
    hub_tx: float
    largest_load: float
    median_load: float


def hubs_of(federation: Federation) -> Integers:
    """The hubs of a federation that was measured, or drawn elsewhere, the largest first.

    Those that a test says are beyond the tail of users per server (:mod:`fitting.hubs`); where it finds none the head
    servers (:mod:`fitting.heads`); where there is none the largest server.
    """
    users = federation.users_per_server
    order = np.argsort(-users, kind="stable")
    count = find_hubs(Histogram.of(users)).count
    if count > 0:
        return order[:count]
    heads = find_heads(federation)
    return heads[np.argsort(-users[heads], kind="stable")] if len(heads) else order[:1]


def what_if(
    federation: Federation,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    rate: float = 1.0,
    progress: Progress = silent,
    hubs: Integers | None = None,
) -> list[Step]:
    """The load for each share of the hubs' users that moves out.

    Args:
        federation: any sound one.
        shares: from 0 to 1.
        seed: of who moves.
        rate: lambda, messages per user and unit of time.
        progress: told about each share.
        hubs: whose users move, the largest first; None: those that are found (:func:`hubs_of`).
    """
    hubs = hubs_of(federation) if hubs is None else hubs
    steps = []
    for i, share in enumerate(shares):
        progress("moving users", i, len(shares))
        done = decentralize(federation, hubs, Decentralization(move_hub_users=share), seed)
        found = load(done.federation, rate)
        both = found.tx + found.rx
        steps.append(
            Step(
                share,
                int(done.moved.sum()),
                done.federation.n_servers,
                1.0 / hhi(done.federation.users_per_server),
                found.total,
                load_per_user(done.federation.users_per_server, found.tx),
                float(found.tx[hubs[0]]),
                float(both.max()),
                float(np.median(both)),
            )
        )
    return steps
