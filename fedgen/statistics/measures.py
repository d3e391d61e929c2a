"""How each statistic of the vocabulary is computed: one function per name, over one view of the federation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.errors import InvariantError
from fedgen.federation import Federation
from fedgen.statistics import structure
from fedgen.statistics.butterflies import butterflies as count_butterflies
from fedgen.statistics.butterflies import known_paths
from fedgen.statistics.load import load_per_user, ranking
from fedgen.statistics.margins import MARGINS, within
from fedgen.statistics.mixing import server_room_correlation, user_room_correlation
from fedgen.traffic.equations import Load, heard, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fedgen.federation import Floats, Integers
    from fedgen.statistics.vocabulary import Statistic
    from fedgen.tables import Tables

Ranks = tuple[int, int | None]


def span(ranks: Ranks | None) -> slice:
    """Where the ranks lie in what is ordered, largest first."""
    first, last = ranks or (1, None)
    return slice(first - 1, last)


@dataclass(frozen=True, eq=False)
class View:
    """A federation and what several statistics need of it."""

    federation: Tables

    @cached_property
    def load(self) -> Load:
        """tx and rx of every server at rate 1."""
        return load(self.federation)

    @cached_property
    def servers(self) -> NDArray[np.intp]:
        """(S,) the servers as Fig. 4a ranks them."""
        return ranking(self.federation.users_per_server, self.load.tx, self.load.rx)

    @cached_property
    def butterflies(self) -> float:
        """Pairs of users who share a pair of rooms; of a federation that stays on disk an estimate."""
        if isinstance(self.federation, Federation):
            return count_butterflies(self.federation)
        return known_paths(self.federation).overlap.butterflies

    def per_server(self, of: str | None) -> Integers | Floats:
        """(S,) tx, rx, both or users of the ranked servers."""
        if of == "users":
            return self.federation.users_per_server[self.servers]
        load = self.load
        return {"tx": load.tx, "rx": load.rx, "both": load.tx + load.rx}[of or ""][self.servers]

    def margin(self, statistic: Statistic) -> Integers | Floats:
        """The margin of the units that take part."""
        values = MARGINS[statistic.of or ""].of(self.federation)
        return values if statistic.where is None else values[statistic.where.among(self.federation)]


def number(statistic: Statistic, view: View) -> float:
    """How many users, servers, ... there are."""
    return float(getattr(view.federation, f"n_{statistic.of}"))


def count(statistic: Statistic, view: View) -> float:
    """How many units lie within the bounds."""
    return float(within(view.margin(statistic), statistic.least, statistic.most).sum())


def share(statistic: Statistic, view: View) -> float:
    """Which share of the units lies within the bounds."""
    inside = within(view.margin(statistic), statistic.least, statistic.most)
    return float(inside.mean()) if len(inside) else nan


def over(summary: Callable[[Any], Any]) -> Callable[[Statistic, View], float]:
    """A summary of the margin; NaN where no unit takes part."""

    def measure(statistic: Statistic, view: View) -> float:
        values = view.margin(statistic)
        return float(summary(values)) if len(values) else nan

    return measure


def rank_of(statistic: Statistic, view: View) -> float:
    """The margin of the unit of that rank."""
    rank = statistic.rank or 1
    values = view.margin(statistic)
    return float(np.sort(values)[-rank]) if rank <= len(values) else nan


def sum_of(statistic: Statistic, view: View) -> float:
    """The sum of the margin over those ranks."""
    return _sum_over(np.sort(view.margin(statistic))[::-1], statistic.ranks)


def sum_share(statistic: Statistic, view: View) -> float:
    """That sum over the sum of all."""
    return _part(sum_of(statistic, view), float(view.margin(statistic).sum()))


def load_share(statistic: Statistic, view: View) -> float:
    """The share of tx, rx or both that the servers of those ranks carry."""
    values = view.per_server(statistic.of)
    return _part(_sum_over(values, statistic.ranks), float(values.sum()))


def load_bend(statistic: Statistic, view: View) -> float:
    """How far the cumulative curve strays from its chord between those ranks, over the rise of the chord."""
    first, last = statistic.ranks or (1, None)
    curve = np.cumsum(view.per_server(statistic.of))[span((first, last))]
    if len(curve) == 0:
        return nan
    rise = float(curve[-1] - curve[0])
    chord = np.linspace(curve[0], curve[-1], len(curve))
    return float(np.abs(curve - chord).max()) / rise if rise > 0 else 0.0


def foreign_fan_out(statistic: Statistic, view: View) -> float:
    """Mean k_r - 1 over the messages, W_r - w_sr per presence, that reach those servers from others."""
    p = view.federation.presences
    asked = np.zeros(view.federation.n_servers, dtype=bool)
    asked[view.servers[span(statistic.ranks)]] = True
    reached = np.where(asked[p.server], heard(view.federation), 0.0)
    return _part(float(reached @ (np.diff(p.offsets)[p.room] - 1)), float(reached.sum()))


def gini(statistic: Statistic, view: View) -> float:
    """Of the margin."""
    return structure.gini(view.margin(statistic))


def hhi(statistic: Statistic, view: View) -> float:
    """Of the margin."""
    return structure.hhi(view.margin(statistic))


def transactions(_: Statistic, view: View) -> float:
    """T at rate 1."""
    return view.load.total


def transactions_per_user(_: Statistic, view: View) -> float:
    """T/U at rate 1."""
    users = view.federation.users_per_server
    return load_per_user(users, view.load.tx) if len(users) else nan


def imbalance(_: Statistic, view: View) -> float:
    """|sum of tx - sum of rx| / T; 0 where nothing is sent."""
    total = view.load.total
    return abs(total - float(view.load.rx.sum())) / total if total > 0 else 0.0


def well_formed(_: Statistic, view: View) -> float:
    """1 where every invariant holds, else 0."""
    try:
        view.federation.check()
    except InvariantError:
        return 0.0
    return 1.0


def servers_within_users(_: Statistic, view: View) -> float:
    """The share of rooms with no more servers than users."""
    inside = view.federation.servers_per_room <= view.federation.users_per_room
    return float(inside.mean()) if len(inside) else nan


def butterflies(_: Statistic, view: View) -> float:
    """Pairs of users who share a pair of rooms."""
    return float(view.butterflies)


def butterflies_per_membership(_: Statistic, view: View) -> float:
    """Of M memberships."""
    memberships = view.federation.n_memberships
    return view.butterflies / memberships if memberships else nan


def rank_correlation(statistic: Statistic, view: View) -> float:
    """Spearman's, of the sizes at the two ends of each membership or presence."""
    return {"memberships": user_room_correlation, "presences": server_room_correlation}[statistic.of or ""](
        view.federation
    )


def _part(some: float, total: float) -> float:
    return some / total if total > 0 else nan


def _sum_over(values: Integers | Floats, ranks: Ranks | None) -> float:
    taken = values[span(ranks)]
    return float(taken.sum()) if len(taken) else nan
