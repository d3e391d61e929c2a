"""Rows D: the load (paper section 5.1, Fig. 4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf, nan
from typing import TYPE_CHECKING

from fedgen.statistics.load import hub_share, load_curve, load_per_user
from fedgen.traffic.equations import load
from validate.distances import curve_distance, difference, log_ratio, log_wasserstein
from validate.metrics import ClusterGroup, ClusterMetric, Description, one_by_one, unlike_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from fedgen.federation import Federation, Floats, Integers
    from fedgen.statistics.halves import Split


@dataclass(frozen=True, eq=False)
class ServerLoad:
    """Users, tx and rx of each server, (S,) each."""

    users: Integers
    tx: Floats
    rx: Floats

    @classmethod
    def of(cls, federation: Federation) -> ServerLoad:
        """At message rate 1 per user."""
        loads = load(federation)
        return cls(federation.users_per_server, loads.tx, loads.rx)

    @classmethod
    def of_halves(cls, split: Split) -> tuple[ServerLoad, ServerLoad]:
        """Of both halves, without the servers that have no room in them."""
        first, second = (
            cls(users[users > 0], tx[users > 0], rx[users > 0])
            for users, tx, rx in zip(split.users_per_server, split.load.tx, split.load.rx, strict=True)
        )
        return first, second

    @cached_property
    def per_user(self) -> float:
        """T/U."""
        return load_per_user(self.users, self.tx)

    @cached_property
    def hub(self) -> float:
        """The hub's share of all tx."""
        return hub_share(self.users, self.tx, self.rx)

    @cached_property
    def curve(self) -> Floats:
        """Fig. 4a."""
        return load_curve(self.users, self.tx, self.rx)


def _resampled(measured: ServerLoad, size: int, rng: np.random.Generator) -> ServerLoad:
    drawn = rng.integers(0, len(measured.users), size)
    return ServerLoad(measured.users[drawn], measured.tx[drawn], measured.rx[drawn])


def _where_sent(distance: Callable[[ServerLoad, ServerLoad], float]) -> Callable[[ServerLoad, ServerLoad], float]:
    """A federation of rooms with one server each sends nothing (T = 0): like any other such, unlike all that send."""

    def guarded(generated: ServerLoad, measured: ServerLoad) -> float:
        if generated.per_user > 0 and measured.per_user > 0:
            return distance(generated, measured)
        return 0.0 if generated.per_user == measured.per_user else inf

    return guarded


def _curves_apart(generated: ServerLoad, measured: ServerLoad) -> float:
    """The hub is one rank, and its share of the ranks is 1/S: curves of another S differ for that alone."""
    if unlike_sizes(len(generated.users), len(measured.users)):
        return nan
    return curve_distance(generated.curve, measured.curve)


LOAD = ClusterGroup(
    statistic=ServerLoad.of,
    halves=one_by_one(ServerLoad.of_halves),
    resampled=_resampled,
    metrics=(
        ClusterMetric(
            Description("D1t", "tx per server over mean load per user", "W1log"),
            _where_sent(lambda a, b: log_wasserstein(a.tx / a.per_user, b.tx / b.per_user)),
        ),
        ClusterMetric(
            Description("D1r", "rx per server over mean load per user", "W1log"),
            _where_sent(lambda a, b: log_wasserstein(a.rx / a.per_user, b.rx / b.per_user)),
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
