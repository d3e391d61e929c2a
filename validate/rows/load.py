"""Rows D: the load (paper section 5.1, Fig. 4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf, nan
from typing import TYPE_CHECKING

import numpy as np

from fedgen.statistics.load import hub_share, load_curve, load_per_user
from fedgen.traffic.equations import load
from validate.distances import curve_distance, difference, log_ratio, log_wasserstein
from validate.metrics import ClusterGroup, ClusterMetric, Description, one_by_one, unlike_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedgen.federation import Floats, Integers
    from fedgen.statistics.halves import Split
    from fedgen.tables import Tables

_ONE_BY_ONE = 1 << 18
"""Servers up to which each is drawn by itself."""


@dataclass(frozen=True, eq=False)
class ServerLoad:
    """What the servers send and receive.

    Attributes:
        users: (S,) of each server.
        tx: (S,) likewise.
        rx: (S,) likewise.
        number: (S,) how many servers each stands for; None: one, itself.
    """

    users: Integers
    tx: Floats
    rx: Floats
    number: Integers | None = None

    @classmethod
    def of(cls, tables: Tables) -> ServerLoad:
        """At message rate 1 per user."""
        loads = load(tables)
        return cls(tables.users_per_server, loads.tx, loads.rx)

    @classmethod
    def of_halves(cls, split: Split) -> tuple[ServerLoad, ServerLoad]:
        """Of both halves, without the servers that have no room in them."""
        first, second = (
            cls(users[users > 0], tx[users > 0], rx[users > 0])
            for users, tx, rx in zip(split.users_per_server, split.load.tx, split.load.rx, strict=True)
        )
        return first, second

    @property
    def servers(self) -> int:
        """How many they are."""
        return len(self.users) if self.number is None else int(self.number.sum())

    @cached_property
    def per_user(self) -> float:
        """T/U."""
        if self.number is None:
            return load_per_user(self.users, self.tx)
        return float(self.tx @ self.number / (self.users @ self.number))

    @cached_property
    def hub(self) -> float:
        """The hub's share of all tx."""
        found = hub_share(self.users, self.tx, self.rx)
        return found if self.number is None else found * float(self.tx.sum() / (self.tx @ self.number))

    @cached_property
    def curve(self) -> Floats:
        """Fig. 4a."""
        columns = self.users, self.tx, self.rx
        return load_curve(*(columns if self.number is None else (np.repeat(one, self.number) for one in columns)))


def _resampled(measured: ServerLoad, size: int, rng: np.random.Generator) -> ServerLoad:
    """As numbers of each measured server, of which there are far fewer than of a large federation."""
    servers = len(measured.users)
    if size > _ONE_BY_ONE:  # the same law, drawn at once
        number = rng.multinomial(size, np.full(servers, 1 / servers))
    else:
        number = np.bincount(rng.integers(0, servers, size), minlength=servers)
    some = number > 0
    return ServerLoad(measured.users[some], measured.tx[some], measured.rx[some], number[some])


def _apart(of: Callable[[ServerLoad], Floats]) -> Callable[[ServerLoad, ServerLoad], float]:
    """W1log of what each server has, over the mean load per user."""
    return lambda a, b: log_wasserstein(of(a) / a.per_user, of(b) / b.per_user, a.number, b.number)


def _where_sent(distance: Callable[[ServerLoad, ServerLoad], float]) -> Callable[[ServerLoad, ServerLoad], float]:
    """A federation of rooms with one server each sends nothing (T = 0): like any other such, unlike all that send."""

    def guarded(generated: ServerLoad, measured: ServerLoad) -> float:
        if generated.per_user > 0 and measured.per_user > 0:
            return distance(generated, measured)
        return 0.0 if generated.per_user == measured.per_user else inf

    return guarded


def _curves_apart(generated: ServerLoad, measured: ServerLoad) -> float:
    """The hub is one rank, and its share of the ranks is 1/S: curves of another S differ for that alone."""
    if unlike_sizes(generated.servers, measured.servers):
        return nan
    return curve_distance(generated.curve, measured.curve)


LOAD = ClusterGroup(
    statistic=ServerLoad.of,
    halves=one_by_one(ServerLoad.of_halves),
    resampled=_resampled,
    metrics=(
        ClusterMetric(
            Description("D1t", "tx per server over mean load per user", "W1log"),
            _where_sent(_apart(lambda side: side.tx)),
        ),
        ClusterMetric(
            Description("D1r", "rx per server over mean load per user", "W1log"),
            _where_sent(_apart(lambda side: side.rx)),
        ),
        ClusterMetric(
            Description("D1h", "share of all tx that the hub sends", "difference"),
            _where_sent(lambda a, b: difference(a.hub, b.hub)),
            value=lambda side: side.hub,
        ),
        ClusterMetric(
            Description(
                "D2",
                "cumulative load, servers by users",
                "sup",
                undefined="the numbers of servers differ by a factor: ranks do not compare; see D1h",
            ),
            _where_sent(_curves_apart),
        ),
        ClusterMetric(
            Description("D3", "load per user", "log10 ratio"),
            lambda a, b: log_ratio(a.per_user, b.per_user),
            value=lambda side: side.per_user,
        ),
    ),
)
