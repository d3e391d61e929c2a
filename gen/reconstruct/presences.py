r"""Which servers are in which room.

Heads first. A head is in every room that is not another server's own: rooms that its users could fill are given to
other hosts, small circles before wide ones, until the head hears no more of the others' messages than the figures say
(:mod:`gen.reconstruct.rooms`). Then the homes of the body, largest servers first: every member but the first needs a
place in one of his server's rooms, and is sought one where few servers are, the more so the larger ``circles``. So the
spread of a small server over wide rooms is its first user's. The other presences are dealt at random, largest
servers first, to the places that are left, a server at most once to a room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gen.reconstruct.errors import DeadEndError

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers
    from gen.reconstruct.rooms import Rooms


_AMPLE = 1.3
_CIRCLES = 2.0
_MUST = 1e9


@dataclass(frozen=True, eq=False)
class Heads:
    """Where the heads are.

    Attributes:
        present: (H, R) whether the head is in the room.
        host: (R,) the server of the body whose own room it is; -1 for none.
    """

    present: Integers
    host: Integers

    def least_rooms(self, rooms: Rooms, n: Integers) -> Integers:
        """(S_body,) the fewest rooms of each server: two where its own room is too small for its users."""
        heads = len(self.present)
        least = np.ones(len(n) - heads, dtype=np.int64)
        hosted = np.flatnonzero(self.host >= 0)
        small = n[self.host[hosted]] - 1 > rooms.spare[hosted]
        least[self.host[hosted][small] - heads] = 2
        return least


def weighted_order(weight: Floats, rng: np.random.Generator) -> Integers:
    """All positions of positive weight, drawn one after the other in proportion (Efraimidis and Spirakis 2006)."""
    positive = np.flatnonzero(weight > 0)
    keys = rng.exponential(size=len(positive)) / weight[positive]
    return positive[np.argsort(keys)]


def place_heads(
    rooms: Rooms,
    n: Integers,
    heads: int,
    *,
    weight: Floats,
    unheard: float | None,
    most: int,
    places: float,
    rng: np.random.Generator,
) -> Heads:
    """Put the heads into rooms and give rooms of their own to others.

    Args:
        rooms: all rooms.
        n: (S,) users per server, falling.
        heads: H >= 1, how many of them are heads.
        weight: (R,) the messages in each room.
        unheard: how much of ``weight`` the first head is not to hear; None: as it comes.
        most: the most rooms that a head may be in.
        places: memberships per user.
        rng: of the draw.
    """
    k, spare = rooms.servers, rooms.spare
    host = np.full(len(k), -1)
    present = np.zeros((heads, len(k)), dtype=bool)
    present[0] = True
    free = n.astype(np.float64)  # places that each server has yet to give; a server of the body hosts one room at most
    free[1:heads] *= places
    free[heads:] -= 1
    # A room of u users has none of the first server's by chance; then small circles before wide ones.
    absent = rng.random(len(k)) < (1.0 - n[0] / n.sum()) ** rooms.users
    order = np.concatenate((rng.permutation(np.flatnonzero(absent)), weighted_order(~absent * k**-_CIRCLES, rng)))
    left = np.inf if unheard is None else unheard
    for at, r in enumerate(order.tolist()):
        by_chance, crowded = at < absent.sum(), int(present[0].sum()) > most
        if not crowded and not by_chance and (unheard is None or left <= 0):
            break
        if (weight[r] > left and not crowded) or k[r] > len(n) - 1:
            continue
        able = np.flatnonzero((free[1:] >= spare[r]) & (n[1:] > spare[r])) + 1
        if len(able) == 0:
            continue
        present[0, r] = False
        left -= weight[r]
        if spare[r] == 0:
            continue  # nobody's in particular: every server in it has one user there
        chosen = int(able[np.searchsorted(np.cumsum(n[able]), rng.random() * n[able].sum(), side="right")])
        if chosen < heads:
            present[chosen, r] = True
            free[chosen] -= spare[r]
        else:
            host[r] = chosen
            free[chosen] = -1.0
    for h in range(1, heads):
        # Room enough for its users, in small circles first; beyond that, anywhere.
        open_rooms = present[0] & (present[:h].sum(axis=0) < k) & ~present[h]
        near = weighted_order(open_rooms * (spare / k), rng)
        enough = int(np.searchsorted(np.cumsum(spare[near]), _AMPLE * free[h])) + 1 if free[h] > 0 else 0
        present[h, near[: max(enough, int(not present[h].any()))]] = True
        if not present[h].any():
            raise DeadEndError("no room is left for one of the largest servers")
        far = np.flatnonzero(open_rooms & ~present[h])
        more = min(int(len(far) * rng.random() ** 2), max(most - int(present[h].sum()), 0))
        present[h, far[weighted_order(np.ones(len(far)), rng)[:more]]] = True
    return Heads(present, host)


def place_body(
    rooms: Rooms,
    heads: Heads,
    n: Integers,
    m: Integers,
    members: Integers,
    circles: float,
    rng: np.random.Generator,
) -> tuple[Integers, Integers, Integers]:
    """Put the servers of the body into rooms.

    Args:
        rooms: all rooms.
        heads: where the heads are.
        n: (S_body,) users.
        m: (S_body,) rooms; sums to the places that the heads leave.
        members: (S_body,) memberships of all its users but the first.
        circles: how much they prefer rooms of few servers: the places of a room count k^-circles.
        rng: of the draw.

    Returns:
        (K_body,) server (counted from the first of the body) and room of each presence, in no order; and (S_body,)
        how many of ``members`` are sure to find a place.

    Raises:
        DeadEndError: no way was found; another draw may have one.
    """
    k = rooms.servers.astype(np.float64)
    count_heads = len(heads.present)
    spare = rooms.spare.copy()
    slots = rooms.servers - heads.present.sum(axis=0)
    taken: list[list[int]] = [[] for _ in range(len(n))]
    found = np.zeros(len(n), dtype=np.int64)
    for r in np.flatnonzero(heads.host >= 0).tolist():
        s = int(heads.host[r]) - count_heads
        taken[s].append(r)
        slots[r] -= 1
        found[s] += spare[r]
        spare[r] = 0
    for s in np.flatnonzero(n > 1).tolist():
        most = int(n[s]) - 1
        need = int(members[s]) - int(found[s])
        while need > 0 and len(taken[s]) < m[s]:
            fit = np.minimum(spare, min(most, need)) * (slots > 0)
            fit[taken[s]] = 0
            if len(taken[s]) + 1 == m[s] and found[s] < most:
                fit[fit < most - found[s]] = 0  # the last chance for users who have no room yet
            if not fit.any():
                break
            r = int(weighted_order(fit * slots * k**-circles, rng)[0])
            held = min(int(spare[r]), most, need)
            taken[s].append(r)
            slots[r] -= 1
            spare[r] -= held
            found[s] += held
            need -= held
        if found[s] < most:
            raise DeadEndError(f"no room for the {n[s]} users of a server of {m[s]} rooms")
    taken = _deal_places(taken, slots, m, rng)
    servers = np.repeat(np.arange(len(n)), [len(mine) for mine in taken])
    return servers, np.array([r for mine in taken for r in mine], dtype=np.int64), found


def _deal_places(homes: list[list[int]], slots: Integers, m: Integers, rng: np.random.Generator) -> list[list[int]]:
    """All rooms of every server, homes first, as many as it is to be in.

    Rooms are drawn in proportion to the places that they have left. Where that ends in servers for whom none is left,
    servers that can move leave them theirs; where none can, because so few servers in so many rooms cannot fill rooms
    of so many servers (Gale 1957), the last places go to others, and a few servers are in one room more or less.
    """
    taken, free = [list(mine) for mine in homes], slots.copy()
    wanted = m - np.array([len(mine) for mine in homes], dtype=np.int64)
    order = np.argsort(-wanted, kind="stable")
    order = order[wanted[order] > 0]
    left = len(order)
    for s in order.tolist():
        open_rooms = free.astype(np.float64)
        open_rooms[taken[s]] = 0
        open_rooms[open_rooms >= left] *= _MUST  # needs every server that is left
        chosen = weighted_order(open_rooms, rng)[: wanted[s]]
        taken[s].extend(chosen.tolist())
        free[chosen] -= 1
        left -= 1
    for s in order.tolist():
        while len(taken[s]) < m[s] and _left_to(s, taken, homes, free, rng):
            pass
    for r in np.flatnonzero(free).tolist():
        elsewhere = np.array([0 if r in mine else len(mine) for mine in taken], dtype=np.float64)
        for s in weighted_order(elsewhere, rng)[: free[r]].tolist():
            taken[s].append(r)
            free[r] -= 1
    if free.any():
        raise DeadEndError("a room has more servers than there are to fill it")
    return taken


def _left_to(s: int, taken: list[list[int]], homes: list[list[int]], free: Integers, rng: np.random.Generator) -> bool:
    """Whether another server moved to an open room and left ``s`` one of its own; nobody leaves its homes."""
    mine = set(taken[s])
    for r in np.flatnonzero(free).tolist():
        for other in rng.permutation(len(taken)).tolist():
            theirs = taken[other]
            if other == s or r in theirs:
                continue
            for at in range(len(homes[other]), len(theirs)):
                if theirs[at] not in mine:
                    taken[s].append(theirs[at])
                    theirs[at] = r
                    free[r] -= 1
                    return True
    return False
