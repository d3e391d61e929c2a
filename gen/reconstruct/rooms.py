r"""Rooms that meet the figures: servers and users of each.

The load fixes more than the margins. With the rates at which memberships speak (:class:`Speech`) the transactions are
about :math:`T = \sum_r (k_r - 1) W_r`, so T is a moment of the joint law of (k, u). The table nearest to independence,
in relative entropy, with this moment is tilted by :math:`\exp(\tau (k - 1) w(k, u))`, which couples the widest rooms
and leaves the others alone; the tilt is chosen so that the table gives T. A server's share :math:`\rho` of all rx tells
T where T itself is not told: the server hears a part :math:`\varphi` of the others' messages, those in its own rooms,
so :math:`T = \varphi (U - n) / \rho`. Nothing says what :math:`\varphi` is; it is drawn (:mod:`gen.reconstruct.load`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gen.reconstruct.demands import demands_of, edges_of, own_demands, ranges_of, single_demands, total_demands
from gen.reconstruct.laws import bring_to, fit_law, jittered, natural_total, settled
from gen.reconstruct.table import Axis, Demand, Table, narrowed, rake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fedgen.federation import Floats, Integers
    from gen.reconstruct.goal import Goal
    from gen.reconstruct.table import Law
    from gen.reconstruct.told import Told

K, U, RATIO = "servers_per_room", "users_per_room", "users_per_server_of_room"
_ALIKE = (0.0, 0.1)
_TILTS = (-40.0, 80.0)
_SWAPS = 40_000
_NEAR = 0.005


@dataclass(frozen=True, eq=False)
class Rooms:
    """k and u of each room, (R,)."""

    servers: Integers
    users: Integers

    @property
    def spare(self) -> Integers:
        """(R,) users beyond one of each server."""
        return self.users - self.servers


@dataclass(frozen=True)
class Speech:
    """How fast memberships speak: that of a server's first user in a room, and every other one there."""

    first: float
    other: float

    @classmethod
    def of(cls, goal: Goal, memberships: float, presences: float) -> Speech:
        """The first users of all servers share the presences, all others the other memberships."""
        others = max(goal.users - goal.servers, 1)
        return cls(min(1.0, goal.servers / presences), min(1.0, others / max(memberships - presences, 1.0)))

    def weight(self, k: Floats | Integers, u: Floats | Integers) -> Floats:
        """The messages in rooms of k servers and u users."""
        return np.asarray(self.first * k + self.other * (u - k))


@dataclass(frozen=True, eq=False)
class RoomLaws:
    """What all attempts at one goal share: the table of rooms, what is asked of it, and the laws of both sizes.

    Attributes:
        goal: the sizes.
        figures: all.
        table: k by u.
        demands: on the table.
        single: what is likely besides.
        laws: of k and u.
    """

    goal: Goal
    figures: Sequence[Told]
    table: Table
    demands: Sequence[Demand]
    single: Sequence[Demand]
    laws: tuple[Law, Law]

    @classmethod
    def of(cls, goal: Goal, figures: Sequence[Told]) -> RoomLaws:
        """From figures about rooms."""
        count = goal.rooms
        tops = {K: goal.servers, U: goal.users}
        ranges = ranges_of(figures, K, U, tops[K], count) | ranges_of(figures, U, K, tops[U], count)
        axes = {
            margin: Axis.of(
                margin, top, [*edges_of(figures, margin), *(e for r in ranges.values() for e in r.edges(margin))]
            )
            for margin, top in tops.items()
        }
        table = Table((axes[K], axes[U]), ordered=True)
        demands = [d for figure in figures for d in demands_of(figure, table, count, ranges)]
        demands += total_demands(goal.presences, table, K) + total_demands(goal.memberships, table, U)
        demands += [d for figure in figures for d in _ratio_demands(figure, table)]
        laws = []
        for margin, total in ((K, goal.n_presences), (U, goal.n_memberships)):
            alone = Table((axes[margin],))
            laws.append(fit_law(alone, own_demands(figures, alone, count), count, total))
        return cls(goal, figures, table, demands, single_demands(figures, table, ranges), (laws[0], laws[1]))

    def margin(self, at: int, law: Law) -> Floats:
        """The share of rooms in each bin of one size."""
        alone = Table((self.table.axes[at],))
        return rake(alone.base(law), own_demands(self.figures, alone, self.goal.rooms), self.goal.rooms)

    @cached_property
    def expected(self) -> tuple[float, float]:
        """The presences and memberships to expect."""
        means = [axis.mean(law) for axis, law in zip(self.table.axes, self.laws, strict=True)]
        k, u = (self.goal.rooms * float(self.margin(i, self.laws[i]) @ means[i]) for i in (0, 1))
        return self.goal.n_presences or k, max(self.goal.n_memberships or u, self.goal.users)

    @property
    def speech(self) -> Speech:
        """How fast memberships are expected to speak."""
        presences, memberships = self.expected
        return Speech.of(self.goal, memberships, presences)


def draw_rooms(laws: RoomLaws, transactions: float | None, rng: np.random.Generator) -> Rooms:
    """Rooms with k <= u that meet every linear figure about them, T near to ``transactions`` where it is told.

    Raises:
        FiguresError: figures contradict each other.
    """
    goal, table = laws.goal, laws.table
    drawn = [
        law if total is not None else jittered(law, goal.rooms, rng)
        for law, total in zip(laws.laws, (goal.n_presences, goal.n_memberships), strict=True)
    ]
    demands = narrowed(laws.demands, laws.single, goal.rooms, rng)
    p = _tilted(laws, demands, drawn, transactions, rng)
    numbers = settled(p, goal.rooms, demands, rng)
    (k, u), _ = table.draw(numbers, drawn, rng)
    fixed = _hold_ratios(laws.figures, table, k, u)
    total = goal.n_presences or natural_total(k, goal.presences.low, goal.presences.high)
    low, high = table.axes[0].bounds(k)
    k = bring_to(k, np.where(fixed, k, low), np.where(fixed, k, np.minimum(high, u)), total, rng)
    total = goal.n_memberships or natural_total(u, goal.memberships.low, goal.memberships.high)
    low, high = table.axes[1].bounds(u)
    u = bring_to(u, np.where(fixed, u, np.maximum(low, k)), np.where(fixed, u, high), total, rng)
    if transactions is None:
        return Rooms(k, u)
    return _polished(laws, Rooms(k, u), fixed, transactions, rng)


def _tilted(
    laws: RoomLaws,
    demands: Sequence[Demand],
    drawn: Sequence[Law],
    transactions: float | None,
    rng: np.random.Generator,
) -> Floats:
    """The raked table whose tilt gives the transactions; without a tilt where nothing asks for them."""
    from scipy.optimize import brentq

    table, count = laws.table, laws.goal.rooms
    k, u = table.means(drawn)
    sent = (k - 1) * laws.speech.weight(k, np.maximum(u, k))
    margins = [laws.margin(at, law) for at, law in enumerate(drawn)]
    alike = float(rng.uniform(*_ALIKE)) * np.log(k) * np.log(np.maximum(u, 1.0))

    def raked(tilt: float) -> Floats:
        return rake(table.joint(margins, alike + tilt * sent / max(float(sent.max()), 1.0)), demands, count)

    if transactions is None:
        return raked(0.0)
    goal = transactions

    def miss(tilt: float) -> float:
        return float(np.log(max(count * raked(tilt) @ sent, 1e-300) / goal))

    low, high = _TILTS
    if miss(high) <= 0:
        return raked(high)
    if miss(low) >= 0:
        return raked(low)
    return raked(brentq(miss, low, high, xtol=0.1))


def _polished(
    laws: RoomLaws, rooms: Rooms, fixed: NDArray[np.bool_], transactions: float, rng: np.random.Generator
) -> Rooms:
    """Bring T nearer by swapping users between rooms that are one to all figures in either size."""
    k, u, speech = rooms.servers, rooms.users.copy(), laws.speech
    servers_kind, users_kind = (axis.kind(sizes) for axis, sizes in zip(laws.table.axes, (k, u), strict=True))

    def sent(i: int, users: int) -> float:
        return float((k[i] - 1) * (speech.first * k[i] + speech.other * (users - k[i])))

    miss = float((k - 1) @ speech.weight(k, u)) - transactions
    for i, j in rng.integers(0, len(k), size=(_SWAPS, 2)).tolist():
        if abs(miss) <= _NEAR * transactions:
            break
        alike = servers_kind[i] == servers_kind[j] or users_kind[i] == users_kind[j]
        if not alike or fixed[i] or fixed[j] or k[i] > u[j] or k[j] > u[i]:
            continue
        change = sent(i, u[j]) + sent(j, u[i]) - sent(i, u[i]) - sent(j, u[j])
        if abs(miss + change) < abs(miss):
            u[i], u[j] = u[j], u[i]
            users_kind[i], users_kind[j] = users_kind[j], users_kind[i]
            miss += change
    return Rooms(k, u)


# The smallest number of users for each server: "some rooms have hardly more users than servers".


def _is_ratio(figure: Told) -> bool:
    statistic = figure.statistic
    if statistic.of != RATIO or statistic.name != "min":
        return False
    where = statistic.where
    return where is None or (where.of in (K, U) and not (where.largest or where.lowest))


def _ratio_demands(figure: Told, table: Table) -> list[Demand]:
    """That some room can have so few users for its servers."""
    if not _is_ratio(figure):
        return []
    able = table.low[1] <= figure.high * table.high[0]
    where = figure.statistic.where
    if where is not None:
        able &= table.within(where.of, where.least, where.most)
    return [Demand((figure.id,), able.astype(np.float64), 1.0, np.inf)]


def _hold_ratios(figures: Sequence[Told], table: Table, k: Integers, u: Integers) -> NDArray[np.bool_]:
    """Where no room has so few users for its servers, make the nearest one so, in place; which rooms must stay (R,)."""
    fixed = np.zeros(len(k), dtype=bool)
    for figure in figures:
        if not _is_ratio(figure):
            continue
        where = figure.statistic.where
        inside = np.ones(len(k), dtype=bool)
        if where is not None:
            size = k if where.of == K else u
            inside = (size >= (where.least or 0)) & (size <= (where.most or np.inf))
        widest = np.minimum(table.axes[0].bounds(k)[1], u)
        least = np.maximum(table.axes[1].bounds(u)[0], k)
        able = np.flatnonzero(inside & (least <= figure.high * widest))
        if len(able) == 0:
            continue
        r = int(able[np.argmin((u / k)[able])])
        if u[r] > figure.high * k[r]:
            k[r] = k[r] if least[r] <= figure.high * k[r] else min(widest[r], least[r])
            u[r] = max(int(table.axes[1].bounds(u[r : r + 1])[0][0]), int(figure.high * k[r]))
        fixed[r] = True
    return fixed
