r"""What batching saves: events for one destination within a window go in one transaction (the paper left it out for
want of timing).

Users speak at random times, Poisson processes of their rates; so the events that server a has for server b are a
Poisson process of rate :math:`\nu_{ab} = tx(a \to b)` (equation 1; superposition). Server a waits a window
:math:`\Delta` after the first event, then sends all that came for b. A cycle is the wait for a first event,
:math:`1/\nu` on average, and the window; it carries :math:`1 + \nu \Delta` events. By renewal

.. math::
    T(\Delta) = \sum_{a \ne b} \frac{\nu_{ab}}{1 + \nu_{ab} \Delta}, \qquad
    tx_a(\Delta) = \sum_b \frac{\nu_{ab}}{1 + \nu_{ab} \Delta}, \qquad
    rx_b(\Delta) = \sum_a \frac{\nu_{ab}}{1 + \nu_{ab} \Delta}

which is T at :math:`\Delta = 0` and at most 1/Delta per pair. It depends on :math:`\lambda \Delta` alone, since every
:math:`\nu` is in proportion to :math:`\lambda`. The price is that an event waits :math:`\Delta` at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import UsageError
from fedgen.ragged import take
from fedgen.traffic.activity import spoken
from fedgen.traffic.equations import Load
from fedgen.traffic.monte_carlo import said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fedgen.federation import Federation, Floats, Integers
    from fedgen.traffic.activity import Activity

_PAIRS = 1 << 24
"""Pairs of presences that are looked at together, at most about."""


def batched_load(
    federation: Federation, windows: Sequence[float], rate: float = 1.0, activity: Activity | None = None
) -> list[Load]:
    """The load where events within a window go together.

    Args:
        federation: any sound one.
        windows: Delta, in units of time, each >= 0.
        rate: lambda, messages per user and unit of time, on average.
        activity: who says how much, and where; None: all alike.

    Returns:
        For each window tx and rx of every server, in transactions per unit of time.

    Time grows with the sum of k^2 over rooms; memory with the servers and the presences of the largest sender.

    Raises:
        UsageError: a window is no number from 0 up.
    """
    for window in windows:
        if not (np.isfinite(window) and window >= 0):
            raise UsageError(f"window: {window} is not a span of time; give a number from 0 up")
    loads = [Load(np.zeros(federation.n_servers), np.zeros(federation.n_servers)) for _ in windows]
    for sender, receiver, nu in _pair_rates(federation, spoken(federation, activity).weight):
        for window, load in zip(windows, loads, strict=True):
            sent = rate * nu / (1.0 + rate * nu * window)
            load.tx[:] += np.bincount(sender, weights=sent, minlength=federation.n_servers)
            load.rx[:] += np.bincount(receiver, weights=sent, minlength=federation.n_servers)
    return loads


def _pair_rates(federation: Federation, weight: Floats) -> Iterator[tuple[Integers, Integers, Floats]]:
    """(sender, receiver, nu at rate 1) of all pairs that share a room, some senders at a time."""
    from scipy.sparse import csr_matrix

    p, servers = federation.presences, federation.n_servers
    shape = (servers, federation.n_rooms)
    weights = csr_matrix((weight, (p.server, p.room)), shape=shape)
    there = csr_matrix((np.ones(len(p)), (p.room, p.server)), shape=shape[::-1])
    met = np.bincount(p.server, weights=np.diff(p.offsets)[p.room], minlength=servers)
    block = (np.cumsum(met) // _PAIRS).astype(np.int64)
    begins = np.flatnonzero(np.diff(block, prepend=-1))

    for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), servers], strict=True):
        product = (weights[begin:end] @ there).tocoo()
        sender, receiver = product.row.astype(np.int64) + begin, product.col.astype(np.int64)
        others = sender != receiver
        yield sender[others], receiver[others], product.data[others]


def simulate_batches(
    federation: Federation, windows: Sequence[float], duration: float, seed: int = 0, rate: float = 1.0
) -> Floats:
    """Transactions within ``duration`` for each window, by drawing every message and every window.

    Args:
        federation: a small one: every message is expanded to its destinations.
        windows: Delta, each >= 0.
        duration: how long everybody speaks, in units of time.
        seed: >= 0.
        rate: lambda.

    Returns:
        (windows,) counts of transactions.
    """
    rng = np.random.default_rng(seed)
    messages = int(rng.poisson(rate * federation.n_users * duration))
    membership = np.concatenate([np.zeros(0, dtype=np.int64), *said(federation, messages, rng)])
    room, time = federation.membership_room[membership], rng.random(messages) * duration
    p = federation.presences
    k = np.diff(p.offsets)[room]
    receiver = p.server[take(p.offsets, room)].astype(np.int64)
    home = federation.user_server[federation.membership_user[membership]].astype(np.int64)
    sender, when = np.repeat(home, k), np.repeat(time, k)
    others = sender != receiver
    pair = (sender * federation.n_servers + receiver)[others]
    when = when[others]
    by_time = np.lexsort((when, pair))
    pair, when = pair[by_time], when[by_time]
    return np.array([_windows(pair, when, window) for window in windows], dtype=np.float64)


def _windows(pair: Integers, when: Floats, window: float) -> int:
    """How many windows the events open, pair by pair."""
    count, last, until = 0, -1, 0.0
    for who, time in zip(pair.tolist(), when.tolist(), strict=True):
        if who != last or time > until:
            count, last, until = count + 1, who, time + window
    return count
