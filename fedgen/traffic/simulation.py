"""One event in a room, server by server: what the formulas of the mechanisms are checked against.

Plain and literal: every send is carried out, to a server drawn there and then, and is booked with its sender and its
receiver; nothing of the formulas is used. Server 0 is the origin (the others are exchangeable). Draws come from one
seeded generator, repetition after repetition, so that a seed fixes the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from fedgen.errors import UsageError
from fedgen.traffic.gossip import InfectAndDie, Push, PushPull
from fedgen.traffic.overlay import Gossipsub, Plumtree
from fedgen.traffic.spread import sizes, whole
from fedgen.traffic.trees import Broadcast, Multicast, Relays, SharedRelay, Tree

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers
    from fedgen.traffic.spread import Mechanism

# By what the kernel does in a turn; announcements and payloads are told apart by _FLOOD alone.
_BROADCAST, _TREE, _RELAYS, _SHARED, _MULTICAST, _PUSH, _ONCE, _PULL, _FLOOD = range(9)


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What happened, per repetition.

    Attributes:
        total: (N,) transactions sent.
        origin_tx: (N,) sent by the origin.
        other_tx: (N,) sent by the others, on average.
        most_tx: (N,) sent by the server that sent most.
        origin_rx: (N,) received by the origin.
        other_rx: (N,) received by the others, on average.
        announcements: (N,) transactions that found the event there already and, under Plumtree, carried its id only.
        rounds: (N,) hops until the last server that was reached.
        reached: (N,) share of the servers that got the event.
        certain: (N,) 1 where all got it, else 0.
    """

    total: Floats
    origin_tx: Floats
    other_tx: Floats
    most_tx: Floats
    origin_rx: Floats
    other_rx: Floats
    announcements: Floats
    rounds: Floats
    reached: Floats
    certain: Floats

    def mean(self, name: str) -> float:
        """The mean over repetitions of a column."""
        return float(getattr(self, name).mean())

    def error(self, name: str) -> float:
        """Its standard error."""
        values = getattr(self, name)
        return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


_COLUMNS = tuple(column.name for column in fields(Outcomes))


def simulate(mechanism: Mechanism, n: int, repetitions: int = 100, seed: int = 0) -> Outcomes:
    """Simulate single events in a room.

    Args:
        mechanism: any but the adaptive one, which chooses among the others.
        n: servers in the room, >= 1.
        repetitions: events, independent of each other (overlays are drawn anew for each).
        seed: of all draws.

    Raises:
        UsageError: the mechanism has no simulation, or a number is out of range.
    """
    sizes(n)
    whole(repetitions, 1, "repetitions")
    kind, parameter = _kernel(mechanism)
    rng = np.random.default_rng(seed)
    table = np.empty((repetitions, len(_COLUMNS)))
    for row in table:
        links = _overlay(n, min(parameter, n - 1), rng) if kind == _FLOOD and n > 1 else np.zeros((n, 0), np.int64)
        tx, rx, hop, again = _event(kind, n, parameter, links, rng)
        others, got = max(n - 1, 1), float(np.mean(hop >= 0))
        sent = (tx.sum(), tx[0], tx[1:].sum() / others, tx.max())
        heard = (rx[0], rx[1:].sum() / others, again if isinstance(mechanism, Plumtree) else 0)
        row[:] = (*sent, *heard, hop.max(), got, got == 1)
    return Outcomes(**dict(zip(_COLUMNS, table.T, strict=True)))


def _kernel(mechanism: Mechanism) -> tuple[int, int]:
    match mechanism:
        case Broadcast():
            return _BROADCAST, 0
        case Tree(k=k):
            return _TREE, k
        case Relays():
            return _RELAYS, 0
        case SharedRelay():
            return _SHARED, 0
        case Multicast():
            return _MULTICAST, 0
        case Push(f=f):
            return _PUSH, f
        case InfectAndDie(f=f):
            return _ONCE, f
        case PushPull(f=f):
            return _PULL, f
        case Plumtree(v=v):
            return _FLOOD, v
        case Gossipsub(d=d):
            return _FLOOD, d
    raise UsageError(f"simulate: no simulation of {mechanism!r}; give one of the mechanisms of a single room")


@njit(cache=True)
def _draw(below: int, rng: Any) -> int:
    return min(int(rng.random() * below), below - 1)


@njit(cache=True)
def _shuffled_others(n: int, rng: Any) -> Integers:
    """The servers, the origin first, the others in random order."""
    order = np.arange(n)
    for i in range(n - 1, 1, -1):
        j = 1 + _draw(i, rng)
        order[i], order[j] = order[j], order[i]
    return order


@njit(cache=True)
def _others_of(server: int, n: int, f: int, rng: Any) -> Integers:
    """f distinct servers but ``server``, by rejection, or all of them."""
    if f >= n - 1:
        everyone = np.empty(n - 1, dtype=np.int64)
        for i in range(n - 1):
            everyone[i] = i + (i >= server)
        return everyone
    drawn = np.empty(f, dtype=np.int64)
    count = 0
    while count < f:
        target = _draw(n - 1, rng)
        target += target >= server
        fresh = True
        for i in range(count):
            fresh = fresh and drawn[i] != target
        if fresh:
            drawn[count] = target
            count += 1
    return drawn


@njit(cache=True)
def _event(kind: int, n: int, parameter: int, links: Integers, rng: Any) -> tuple[Integers, Integers, Integers, int]:
    """One event from server 0: sent and received per server, the hop at which each was reached (-1: never), repeats."""
    tx, rx = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    hop, came_from = np.full(n, -1), np.full(n, -1)
    queue = np.empty(n, dtype=np.int64)  # in the order in which they were reached
    queue[0], known, hop[0], again = 0, 1, 0, 0
    if n == 1:
        return tx, rx, hop, again
    order = _shuffled_others(n, rng)
    place = np.empty(n, dtype=np.int64)
    for i in range(n):
        place[order[i]] = i
    relays = 1
    while relays * (relays + 1) < n - 1:
        relays += 1
    chosen = _draw(n, rng)
    begin = 0  # the first server that has a turn in this round
    time = 0
    while True:
        end = known
        if kind in (_PUSH, _PULL):
            begin = 0
            if known == n:
                break
        elif begin == end:
            break
        callers = n if kind == _PULL else end - begin
        for turn in range(callers):
            server = turn if kind == _PULL else queue[begin + turn]
            if kind in (_BROADCAST, _MULTICAST):
                targets = _others_of(server, n, n, rng) if server == 0 else order[:0]
            elif kind == _TREE:
                targets = order[min(parameter * place[server] + 1, n) : min(parameter * (place[server] + 1) + 1, n)]
            elif kind == _RELAYS:
                p = place[server]
                targets = order[1 : relays + 1] if p == 0 else order[relays + p :: relays] if p <= relays else order[:0]
            elif kind == _SHARED:
                if server == 0 and chosen != 0:
                    targets = np.full(1, chosen)
                elif server == chosen:
                    targets = _others_of(server, n, n, rng)
                    if server != 0:
                        targets = targets[targets != 0]
                else:
                    targets = order[:0]
            elif kind == _FLOOD:
                targets = links[server]
            else:
                targets = _others_of(server, n, parameter, rng)
            for target in targets:
                if kind == _FLOOD and (target < 0 or target == came_from[server]):
                    continue
                knew = 0 <= hop[server] <= time
                if kind == _PULL and 0 <= hop[target] <= time:  # the called one answers with the event
                    tx[target] += 1
                    rx[server] += 1
                    if hop[server] < 0:
                        hop[server] = time + 1
                        queue[known] = server
                        known += 1
                if knew:
                    tx[server] += 1
                    rx[target] += 1
                    if hop[target] < 0:
                        hop[target] = time + 1
                        came_from[target] = server
                        queue[known] = target
                        known += 1
                    else:
                        again += 1
        begin = end
        time += 1
    if kind == _MULTICAST:  # the network made all copies but one
        tx[0] = 1
    return tx, rx, hop, again


@njit(cache=True)
def _has(of: Integers, server: int, other: int) -> bool:
    found = False
    for k in range(of.shape[1]):
        found = found or of[server, k] == other
    return found


@njit(cache=True)
def _regular(n: int, v: int, rng: Any) -> Integers:
    """(n, v) neighbours in a random simple v-regular graph (-1: one lacks one where n v is odd).

    A circulant graph, mixed by ten times as many swaps of link ends as there are links.
    """
    links = np.empty((n * v // 2, 2), dtype=np.int64)
    count = 0
    for step in range(1, v // 2 + 1):
        for i in range(n):
            links[count] = (i, (i + step) % n)
            count += 1
    if v % 2:
        for i in range(n // 2):
            links[count] = (i, i + n // 2)
            count += 1
    of = np.full((n, v), -1)
    degree = np.zeros(n, dtype=np.int64)
    for i in range(count):
        a, b = links[i]
        of[a, degree[a]] = b
        of[b, degree[b]] = a
        degree[a] += 1
        degree[b] += 1
    for _ in range(10 * count):
        i, j = _draw(count, rng), _draw(count, rng)
        a, b = links[i]
        c, d = links[j]
        if rng.random() < 0.5:
            c, d = d, c
        # a-b and c-d become a-d and c-b.
        if a in (c, d) or b in (c, d) or _has(of, a, d) or _has(of, c, b):
            continue
        for server, old, new in ((a, b, d), (b, a, c), (c, d, b), (d, c, a)):
            for k in range(v):
                if of[server, k] == old:
                    of[server, k] = new
                    break
        links[i] = (a, d)
        links[j] = (c, b)
    return of


@njit(cache=True)
def _connected(of: Integers) -> bool:
    n = len(of)
    seen, stack = np.zeros(n, dtype=np.bool_), np.empty(n, dtype=np.int64)
    seen[0], stack[0], height, count = True, 0, 1, 1
    while height:
        height -= 1
        for other in of[stack[height]]:
            if other >= 0 and not seen[other]:
                seen[other] = True
                stack[height] = other
                height += 1
                count += 1
    return count == n


@njit(cache=True)
def _overlay(n: int, v: int, rng: Any) -> Integers:
    """A connected random v-regular graph whose irregular server, if any, is anywhere."""
    while True:
        of = _regular(n, v, rng)
        if _connected(of):
            break
    start = _draw(n, rng)  # renumber so that the origin is any server
    moved = np.empty_like(of)
    for i in range(n):
        for k in range(v):
            moved[(i + start) % n, k] = (of[i, k] + start) % n if of[i, k] >= 0 else -1
    return moved
