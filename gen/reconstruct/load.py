r"""What figures ask of the load, and what steers it.

Three moments are steered. T, by the association of servers and users of rooms (:mod:`gen.reconstruct.rooms`). What the
first server hears, by the rooms that it is not in (:mod:`gen.reconstruct.presences`). What servers send, by the pull of
their users towards wide rooms (:mod:`gen.reconstruct.counts`): shares of tx, or of tx and rx together, of any range of
ranks. Other figures about the load are held against the result and not steered.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan
from typing import TYPE_CHECKING

import numpy as np

from fedgen.statistics.load import ranking
from fedgen.traffic.equations import load
from gen.reconstruct.goal import Interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fedgen.federation import Federation, Floats, Integers
    from fedgen.traffic.equations import Load
    from gen.reconstruct.told import Told

_HEARD = (0.5, 1.0)


@dataclass(frozen=True)
class Share:
    """A share of the load that is asked of servers ``first``..``last`` (counted from 0, ``last`` beyond them).

    Attributes:
        of: tx, or both (tx + rx over 2T).
        first, last: which servers, most users first.
        low, high: what the figures say.
    """

    of: str
    first: int
    last: int
    low: float
    high: float

    @property
    def middle(self) -> float:
        """The middle of the interval."""
        return (self.low + self.high) / 2

    def of_server(self, server: Integers) -> Integers:
        """Which of ``server`` it is about."""
        return (server >= self.first) & (server < self.last)


def shares_asked(figures: Iterable[Told], servers: int) -> list[Share]:
    """The shares that are steered: what ranges of ranks send, or send and hear where only that is told.

    What all but the first servers have is the same figure as what those have.

    Raises:
        FiguresError: figures of one range contradict each other.
    """
    told: dict[tuple[str, int, int], Interval] = {}
    for figure in figures:
        statistic = figure.statistic
        if statistic.name != "load_share" or statistic.of is None:
            continue
        first, last = statistic.ranks or (1, None)
        low, high = figure.low, figure.high
        if last is None and first > 1:
            first, last, low, high = 1, first - 1, 1.0 - high, 1.0 - low
        key = (statistic.of, first - 1, servers if last is None else last)
        told[key] = told.get(key, Interval(0.0, 1.0)).and_(low, high, (figure.id,))
    found = []
    for (of, first, last), interval in told.items():
        if of == "both":
            tx, rx = (told.get((name, first, last), Interval(0.0, 1.0)) for name in ("tx", "rx"))
            interval.and_((tx.low + rx.low) / 2, (tx.high + rx.high) / 2, (*tx.figures, *rx.figures))
        if of == "rx" or (of == "both" and ("tx", first, last) in told):
            continue  # what a server hears is steered otherwise, and with what it sends decides both
        if interval.low > 0.0 or first == 0:  # a bound from above on lesser servers is nothing to aim at
            found.append(Share(of, first, last, interval.low, interval.high))
    return found


@dataclass(frozen=True)
class Messages:
    """What the figures say of messages: T, and the part rho of all rx that the first server has.

    Attributes:
        total: T that is aimed at; None: any.
        rho: None: any.
        air: how far from rho the part may be.
    """

    total: float | None
    rho: float | None
    air: float


def messages_asked(figures: Sequence[Told], users: int, others: int, rng: np.random.Generator) -> Messages:
    """T and rho, drawn within what figures say.

    Args:
        figures: all.
        users: U.
        others: users of all servers but the first.
        rng: of the draw.
    """
    total, rho, fan_out, sent = (0.0, inf), (0.0, inf), (0.0, inf), (0.0, 1.0)
    for figure in figures:
        statistic = figure.statistic
        first = statistic.ranks == (1, 1)
        if statistic.name == "transactions":
            total = _both(total, figure.low, figure.high)
        elif statistic.name == "transactions_per_user":
            total = _both(total, figure.low * users, figure.high * users)
        elif statistic.name == "load_share" and statistic.of == "rx" and first:
            rho = _both(rho, figure.low, figure.high)
        elif statistic.name == "load_share" and statistic.of == "rx" and statistic.ranks == (2, None):
            rho = _both(rho, 1.0 - figure.high, 1.0 - figure.low)
        elif statistic.name == "load_share" and statistic.of == "tx" and first:
            sent = (figure.low, figure.high)
        elif statistic.name == "foreign_fan_out" and first:
            fan_out = (figure.low, figure.high)
    if rho[1] < inf:
        # What the others send to rooms of the first server, over what it hears of them, is their fan-out there.
        if fan_out[1] < inf and fan_out[0] > 0:
            rest = 1.0 - sum(sent) / 2
            rho = _both(rho, rest / fan_out[1], rest / (sum(fan_out) / 2))
        share = rho[0] + (rho[1] - rho[0]) * float(rng.uniform(0.3, 0.7))
        if share > 0:
            heard = float(rng.uniform(*_HEARD))  # the part of the others' messages that the first server hears
            aim = min(max(heard * others / share, total[0]), total[1])
            return Messages(aim, share, min(share - rho[0], rho[1] - share))
    if total[1] < inf:
        return Messages(float(rng.uniform(*total)), None, 0.0)
    return Messages(None, None, 0.0)


def _both(one: tuple[float, float], low: float, high: float) -> tuple[float, float]:
    return (max(one[0], low), min(one[1], high)) if max(one[0], low) <= min(one[1], high) else one


@dataclass(frozen=True, eq=False)
class Estimate:
    """The load before the users are drawn: every member of a server speaks at the mean rate of its members.

    Attributes:
        server, room: (K,) of each presence.
        first: (K,) the rate of the user who is sure to be in it.
        other: (K,) the rate of each other one.
        wide: (K,) servers of the room.
    """

    server: Integers
    room: Integers
    first: Floats
    other: Floats
    wide: Integers

    def share(self, asked: Share, counts: Floats | Integers) -> float:
        """The share of ``asked`` with so many other users in each presence."""
        weight = self.first + counts * self.other
        sent = weight * (self.wide - 1)
        mine = asked.of_server(self.server)
        total = float(sent.sum())
        if total == 0:
            return 0.0
        if asked.of == "tx":
            return float(sent[mine].sum()) / total
        in_room = np.bincount(self.room, weights=weight)
        heard = np.where(self.wide > 1, in_room[self.room] - weight, 0.0)
        return float(sent[mine].sum() + heard[mine].sum()) / (2 * total)


def actual_share(share: Share, federation: Federation) -> float:
    """The share that a federation has; NaN where nothing is sent."""
    sent = load(federation)
    mine = share.of_server(places_of(federation, sent))
    if share.of == "tx":
        return float(sent.tx[mine].sum()) / sent.total if sent.total else nan
    return float(sent.tx[mine].sum() + sent.rx[mine].sum()) / (2 * sent.total) if sent.total else nan


def places_of(federation: Federation, sent: Load) -> Integers:
    """(S,) the place of each server in the ranking by users, then tx; the first is 0."""
    order = ranking(federation.users_per_server, sent.tx, sent.rx)
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    return places
