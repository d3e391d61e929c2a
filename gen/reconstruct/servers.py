"""Servers that meet the figures: users of each, then, with the heads in their rooms, rooms of each."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, inf
from typing import TYPE_CHECKING

import numpy as np

from gen.reconstruct.demands import (
    demands_of,
    edges_of,
    expected,
    own_demands,
    pinned_ranks,
    range_of,
    ranks_of,
    total_demands,
)
from gen.reconstruct.errors import DeadEndError
from gen.reconstruct.goal import Interval
from gen.reconstruct.laws import bring_to, fit_law, jittered, settled
from gen.reconstruct.table import Axis, Demand, Law, Table, narrowed, rake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedgen.federation import Floats, Integers
    from gen.reconstruct.demands import Range
    from gen.reconstruct.goal import Goal
    from gen.reconstruct.told import Told

N, M = "users_per_server", "rooms_per_server"
_SECOND, _FURTHER = (1.0, 3.0), (0.3, 0.8)
_SLOPES = (-1.0, 6.0)


@dataclass(frozen=True)
class Top:
    """What a figure says of the sum over the first ``rank`` servers: all sizes from ``size`` on, within low..high."""

    figure: str
    rank: int
    size: int
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class ServerLaws:
    """What all attempts at one goal share: the table of users per server, what is asked of it, and the law."""

    goal: Goal
    table: Table
    demands: Sequence[Demand]
    tops: Sequence[Top]
    law: Law

    @classmethod
    def of(cls, goal: Goal, figures: Sequence[Told]) -> ServerLaws:
        """From figures about users per server."""
        most = goal.users - goal.servers + 1
        own = [f for f in figures if f.statistic.of == N and f.statistic.where is None]
        tops = _tops(own, goal, most)
        table = Table((Axis.of(N, most, edges_of(own, N) + [top.size for top in tops]),))
        demands = own_demands(own, table, goal.servers)
        demands += total_demands(Interval(goal.users, goal.users), table, N)
        for top in tops:
            inside = table.within(N, top.size, None).astype(np.float64)
            demands.append(Demand((top.figure,), inside, top.rank, top.rank))
            demands.append(Demand((top.figure,), inside * table.low[0], -inf, top.high))
            demands.append(Demand((top.figure,), inside * table.high[0], top.low, inf))
            demands.append(Demand((top.figure,), (1.0 - inside) * table.low[0], -inf, goal.users - top.low))
            demands.append(Demand((top.figure,), (1.0 - inside) * table.high[0], goal.users - top.high, inf))
        return cls(goal, table, demands, tops, fit_law(table, demands, goal.servers, goal.users))


def draw_users(laws: ServerLaws, rng: np.random.Generator) -> Integers:
    """n of every server, (S,), falling; sums to U.

    Raises:
        FiguresError: figures contradict each other.
        DeadEndError: this draw meets no total.
    """
    goal, table, law = laws.goal, laws.table, jittered(laws.law, laws.goal.servers, rng)
    demands = narrowed(laws.demands, [], goal.servers, rng)
    numbers = settled(rake(table.base(law), demands, goal.servers), goal.servers, demands, rng)
    (n,), _ = table.draw(numbers, (law,), rng)
    n = np.sort(n)[::-1].copy()
    low, high = table.axes[0].bounds(n)
    # Sums over the first ranks, from the first on; the rest of the users to all others.
    begin, held = 0, 0
    for top in sorted(laws.tops, key=lambda top: top.rank):
        mine, rest = slice(begin, top.rank), slice(top.rank, None)
        least = max(top.low, goal.users - int(high[rest].sum()))
        total = min(max(held + int(n[mine].sum()), least), top.high, goal.users - int(low[rest].sum())) - held
        n[mine] = bring_to(n[mine], low[mine], high[mine], total, rng)
        begin, held = top.rank, held + int(n[mine].sum())
    n[begin:] = bring_to(n[begin:], low[begin:], high[begin:], goal.users - held, rng)
    if int(n.sum()) != goal.users:
        raise DeadEndError("the sums of users over the first servers leave no way to sum to all users")
    return np.sort(n)[::-1]


def _tops(figures: Sequence[Told], goal: Goal, most: int) -> list[Top]:
    found = []
    axis, number = expected(figures, N, most, goal.servers)
    above = np.cumsum(number[::-1])[::-1]
    pinned = pinned_ranks(figures, N)
    for figure in figures:
        statistic = figure.statistic
        if statistic.name not in ("sum", "sum_share") or statistic.ranks is None:
            continue
        first, last = statistic.ranks
        scale = float(goal.users) if statistic.name == "sum_share" else 1.0
        low, high = max(figure.low * scale, 0.0), min(figure.high * scale, float(goal.users))
        rank = last
        if last is None:  # all but the first ones have what those have not
            rank, low, high = first - 1, goal.users - high, goal.users - low
        elif first != 1:
            continue
        if rank is None or not 1 <= rank < goal.servers:
            continue
        size = pinned.get(rank, int(axis.low[np.argmin(np.abs(above - rank))]))
        found.append(Top(figure.id, rank, size, ceil(low - 1e-9), floor(high + 1e-9)))
    return found


def draw_rooms_of_body(
    goal: Goal,
    figures: Sequence[Told],
    n: Integers,
    head_rooms: Integers,
    *,
    total: int,
    top: int,
    least: Integers,
    rng: np.random.Generator,
) -> Integers:
    """m of every server of the body, (S_body,), summing to ``total``.

    Args:
        goal: the sizes.
        figures: all.
        n: (S,) users per server, falling; the first are the heads.
        head_rooms: (H,) rooms of each head.
        total: presences that are left for the body.
        top: the most rooms that a server of the body may have.
        least: (S_body,) the fewest rooms that each must have.
        rng: of the draw.

    Raises:
        FiguresError: figures contradict each other.
    """
    heads = len(head_rooms)
    body = n[heads:]
    count = len(body)
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    figures = [f for f in figures if f.statistic.of == M]
    ranges = _ranges(figures, n)
    edges = edges_of(figures, N) + [e for found in ranges.values() for e in found.edges(N)]
    most = max(top, int(head_rooms.max()))
    table = Table(
        (
            Axis.of(N, int(n[0]), [*edges, *n[:heads].tolist()]),
            Axis.of(M, most, [*edges_of(figures, M), top + 1, *head_rooms.tolist(), *(head_rooms + 1).tolist()]),
        )
    )
    demands = [d for f in figures for d in demands_of(f, table, goal.servers, ranges)]
    # The heads are settled: what they bring to a figure is taken off it, and their cells are not for the body.
    known = np.zeros(len(table))
    for size, rooms in zip(n[:heads].tolist(), head_rooms.tolist(), strict=True):
        known += (table.low[0] <= size) & (size <= table.high[0]) & (table.low[1] <= rooms) & (rooms <= table.high[1])
    demands = [demand.beyond(known) for demand in demands]
    foreign = (table.low[1] > top) | (table.low[0] > body[0])
    demands.append(Demand((), foreign.astype(np.float64), 0, 0))
    # So is how many users each server of the body has.
    bin_of = np.searchsorted(table.axes[0].low, body, side="right") - 1
    per_bin = np.bincount(bin_of, minlength=len(table.axes[0]))
    for at, number in enumerate(per_bin.tolist()):
        demands.append(Demand((), (table.bins[0] == at).astype(np.float64), number, number))
    demands += total_demands(Interval(total, total), table, M)

    law, base = _widest_of(table, per_bin, top, total, float(rng.uniform(*_SECOND)), float(rng.uniform(*_FURTHER)))
    p = rake(base, demands, count)
    numbers = settled(p, count, demands, rng)
    (_, m), cell = table.draw(numbers, (law, law), rng)
    low, high = table.axes[1].bounds(m)
    m = bring_to(m, low, np.minimum(high, top), total, rng)
    shuffled = rng.permutation(count)
    rooms = np.empty(count, dtype=np.int64)
    rooms[shuffled[np.argsort(bin_of[shuffled], kind="stable")]] = m[np.argsort(table.bins[0][cell], kind="stable")]
    return _with_least(rooms, least, bin_of, rng)


def _widest_of(
    table: Table, per_bin: Integers, top: int, total: int, second: float, further: float
) -> tuple[Law, Floats]:
    r"""The law of rooms of one user, and (C,) log of the base: m is that of the widest of a server's users.

    :math:`P(m \le x \mid n) = F(x)^{1 + c (n - 1)^\gamma}`, as if so many independent users had been asked: c = 0, a
    server is in as many rooms as a user, whatever its size; c = gamma = 1, as the widest of its users; more, because it
    is in all rooms that any of them is in. F is the power law, cut at ``top``, that gives the total.
    """
    from scipy.optimize import brentq

    users, rooms = table.axes
    draws = 1.0 + second * (users.mean(Law(2.0))[:, None] - 1.0) ** further

    def conditional(law: Law) -> Floats:
        mass = np.where(rooms.low <= top, np.exp(rooms.log_mass(law)), 0.0)
        upto = np.cumsum(mass) / mass.sum()
        return np.diff(upto[None, :] ** draws, axis=1, prepend=0.0)

    def miss(slope: float) -> float:
        law = Law(slope)
        return float(per_bin @ conditional(law) @ rooms.mean(law)) - total

    flattest, steepest = _SLOPES
    if miss(flattest) <= 0:
        law = Law(flattest)
    elif miss(steepest) >= 0:
        law = Law(steepest)
    else:
        law = Law(float(brentq(miss, flattest, steepest, xtol=1e-3)))
    with np.errstate(divide="ignore"):
        return law, np.log((per_bin[:, None] * conditional(law))[tuple(table.bins)])


def _ranges(figures: Sequence[Told], n: Integers) -> dict[str, Range]:
    """The users per server that stand for ranks by them, which are known by now."""
    sizes, number = np.unique(n, return_counts=True)
    axis = Axis(N, sizes, np.append(sizes[1:] - 1, sizes[-1]), sizes)
    return {
        f.id: range_of(f.statistic.where, f.statistic.name != "min", axis, number.astype(np.float64), {})
        for f in figures
        if f.statistic.where and f.statistic.where.of == N and ranks_of(f)
    }


def _with_least(rooms: Integers, least: Integers, bin_of: Integers, rng: np.random.Generator) -> Integers:
    """Let servers that need more rooms swap with others of their size, or take them from the one that has most."""
    for s in np.flatnonzero(rooms < least).tolist():
        able = np.flatnonzero((bin_of == bin_of[s]) & (rooms >= least[s]) & (least <= rooms[s]))
        if len(able):
            other = int(rng.choice(able))
            rooms[s], rooms[other] = rooms[other], rooms[s]
        else:
            rooms[np.argmax(rooms)] -= least[s] - rooms[s]
            rooms[s] = least[s]
    return rooms
