r"""Who relays: sharing out the relaying of every room so that the most loaded server carries as little as possible.

With one relay per event, drawn by share (:class:`fedgen.traffic.trees.SharedRelay`), server s carries per unit of time

.. math::
    l_s = b_s + \sum_r B_r x_{sr}, \qquad B_r = W_r (k_r - 2), \quad \sum_s x_{sr} = 1, \quad x \ge 0

where b_s is what no share changes: its own events sent once, everybody else's received once. Minimising
:math:`\max_s l_s / c_s` (c_s its capacity) is a linear programme; its feasible loads are a base of a polymatroid (each
room's B_r may go to any of its servers), for which the minimiser of :math:`\sum_s l_s^2 / c_s` is the lexicographically
optimal one and so minimises the maximum too (Fujishige, Math. of Operations Research 5, 1980). That function is convex
and smooth and its constraints fall apart by rooms, so that it is minimised room by room: *a room takes its relaying
back and pours it over its servers like water*, the least loaded per capacity first, up to a common level. No step
raises the maximum. Rooms take turns until nothing moves.

How near the end is needs no faith. For every set X of servers

.. math::
    \min_x \max_s \frac{l_s}{c_s} \ge \frac{\sum_{s \in X} b_s + \sum_{r:\, F_r \subseteq X} B_r}{\sum_{s \in X} c_s}

since rooms within X have nowhere else to go, with equality for one X (max flow, min cut). :func:`bound` takes the best
X among the sets {servers at or above a level}; at the optimum the most loaded servers are that X.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers, Presences

WORK = 2_000_000_000
"""Turns times presences at most; every room gets 200 turns at least and 3,000 at most."""


def level(
    presences: Presences,
    base: Floats,
    amount: Floats,
    share: Floats,
    capacities: Floats,
    *,
    enough: float | None = None,
    tolerance: float = 1e-8,
) -> Floats:
    """Shares of relaying that level the load, (K,).

    Long chains of rooms that overlap by a few servers are slowest: 2,000 of them end within 0.05 % of the bound.

    Args:
        presences: the servers of each room.
        base: (S,) the load that no share changes.
        amount: (R,) B_r, the relaying of each room; 0 where there is none to share out.
        share: (K,) shares to begin with, summing to 1 per room with relaying.
        capacities: (S,) > 0.
        enough: done when no load per capacity is larger, or when the bound is.
        tolerance: done when the largest load per capacity is within this factor of the bound.
    """
    share = share.copy()
    offsets, server = presences.offsets.astype(np.int64), presences.server.astype(np.int64)
    rooms = np.flatnonzero(amount > 0)
    for _ in range(0, min(3000, max(200, WORK // max(len(share), 1))), 10):
        load = relayed(presences, base, amount, share)
        top = float((load / capacities).max(initial=0.0))
        least = bound(presences, base, amount, load, capacities)
        if top <= (1 + tolerance) * least or (enough is not None and (top <= enough or least > enough)):
            break
        if _pour(rooms, offsets, server, load, amount, share, capacities, 10) <= 1e-15 * top:
            break
    return share


def relayed(presences: Presences, base: Floats, amount: Floats, share: Floats) -> Floats:
    """(S,) the load under given shares."""
    extra = np.bincount(presences.server, weights=amount[presences.room] * share, minlength=len(base))
    return base + extra


def bound(presences: Presences, base: Floats, amount: Floats, load: Floats, capacities: Floats) -> float:
    """A lower bound on the largest load per capacity under any shares, the best over the level sets of ``load``."""
    order = np.argsort(-load / capacities, kind="stable")
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    # A room is within the first j + 1 servers of the order once its last one is.
    shared = np.flatnonzero((amount > 0) & (np.diff(presences.offsets) > 0))
    inside: Floats = np.zeros(len(order))
    if len(shared):
        filled = np.diff(presences.offsets) > 0
        last = np.zeros(len(filled), dtype=np.int64)
        last[filled] = np.maximum.reduceat(rank[presences.server], presences.offsets[:-1][filled])
        inside = np.bincount(last[shared], weights=amount[shared], minlength=len(order))
    held = np.cumsum(base[order] + inside)
    return float(np.max(held / np.cumsum(capacities[order]), initial=0.0))


@njit(cache=True)
def _pour(
    rooms: Integers,
    offsets: Integers,
    server: Integers,
    load: Floats,
    amount: Floats,
    share: Floats,
    capacities: Floats,
    turns: int,
) -> float:
    """Give every room its turns, changing ``load`` and ``share``; the largest move per capacity in the last turn."""
    moved = 0.0
    for _ in range(turns):
        moved = 0.0
        for r in rooms:
            begin, end = offsets[r], offsets[r + 1]
            members = server[begin:end]
            volume = amount[r]
            without = load[members] - volume * share[begin:end]
            room = capacities[members]
            order = np.argsort(without / room)
            held, width, surface = volume, 0.0, 0.0
            for j in range(len(order)):
                i = order[j]
                if j > 0 and without[i] / room[i] >= surface:
                    break
                held += without[i]
                width += room[i]
                surface = held / width
            for i in range(len(order)):
                poured = max(surface * room[i] - without[i], 0.0)
                moved = max(moved, abs(poured - volume * share[begin + i]) / room[i])
                share[begin + i] = poured / volume
                load[members[i]] = without[i] + poured
    return moved


@njit(cache=True)
def descend(
    offsets: Integers,
    server: Integers,
    own: Floats,
    foreign: Floats,
    origin: Floats,
    other: Floats,
    eligible: Integers,
    choice: Integers,
    load: Floats,
    capacities: Floats,
    power: float,
    turns: int,
) -> int:
    """Let every room choose among fixed mechanisms the one of least sum of c (load/c)^power, until none changes.

    ``origin`` and ``other`` are (options, rooms), what an event costs its origin and each other server; ``choice`` and
    ``load`` are changed. Returns the turns taken.
    """
    for turn in range(turns):
        changed = False
        scale = np.max(load / capacities)
        for r in range(len(offsets) - 1):
            begin, end = offsets[r], offsets[r + 1]
            if end - begin < 2:
                continue
            now = choice[r]
            best, least = now, np.inf
            for step in range(len(origin) + 1):  # the present choice first, so that ties change nothing
                o = now if step == 0 else step - 1
                if not eligible[o, r]:
                    continue
                cost = 0.0
                for k in range(begin, end):
                    s = server[k]
                    there = (
                        load[s] + own[k] * (origin[o, r] - origin[now, r]) + foreign[k] * (other[o, r] - other[now, r])
                    )
                    cost += capacities[s] * (max(there, 0.0) / capacities[s] / scale) ** power
                if cost < least * (1 - 1e-12):
                    best, least = o, cost
            if best != now:
                changed = True
                choice[r] = best
                for k in range(begin, end):
                    load[server[k]] += own[k] * (origin[best, r] - origin[now, r]) + foreign[k] * (
                        other[best, r] - other[now, r]
                    )
        if not changed:
            return turn + 1
    return turns
