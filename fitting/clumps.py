r"""How far forecasts of new users and servers may be off: they come in clumps, room by room.

Seen a room alone, :math:`g_r` of its users are in no other one that was seen. What is forecast to come,
:math:`\hat\Delta`, is little else than a multiple of :math:`\sum_r g_r` over the rooms seen; what will come is such a
sum over the rooms to be seen. Rooms come in no order, so both are sums over draws from one law of rooms, and the error
is

.. math:: \ln \hat\Delta - \ln \Delta \sim \ln \sum_{r = 1}^{R} g_r - \ln \frac{1}{t - 1} \sum_{r = 1}^{(t - 1) R} g'_r.

Its distribution is simulated: each measured room comes a Poisson(1) number of times among those seen and Poisson(t - 1)
among those to come. In a room of u users of some type :math:`g_r` is u times the share that such users are of all
memberships in rooms of the type, and Poisson about that. For servers the same with k and presences. Where heavy-tailed
sizes make :math:`\sum g_r^2` large a few rooms decide, and the interval is as wide as that.

Rooms are bounded as measured: that there is one larger than all that were seen is not allowed for. (With rooms drawn
from the tail laws of k and u the intervals hold whatever comes and say nothing: the upper end is ten times the
forecast.) How often the intervals hold is measured in docs/growth.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers
    from fitting.model import Model

REPLICATES = 2000
_ONE_BY_ONE = 256
"""So many rows of rooms, those of most newcomers, are drawn; the sum over the others is nearly normal."""
_COVERAGE = (0.025, 0.975)


@dataclass(frozen=True)
class Interval:
    """Of 95 %."""

    low: float
    high: float


def users_interval(model: Model, factor: float, new: float, rng: np.random.Generator) -> Interval:
    """The interval of U at ``factor`` >= 1 times the rooms, where ``new`` more users are forecast."""
    users, profiles = model.users, model.profiles
    single = users.rooms[profiles.user] == 1
    n_types = len(model.types.kind)
    singles = np.bincount(profiles.type[single], users.number[profiles.user[single]], minlength=n_types)
    return _interval(model, model.rooms.users, singles, factor, model.sizes.users, new, rng)


def servers_interval(model: Model, factor: float, new: float, rng: np.random.Generator) -> Interval:
    """The interval of S at ``factor`` >= 1 times the rooms, where ``new`` more servers are forecast."""
    presences = model.presences
    single = (model.servers.rooms == 1)[presences.server]
    singles = np.bincount(presences.type[single], presences.number[single], minlength=len(model.types.kind))
    return _interval(model, model.rooms.servers, singles, factor, model.sizes.servers, new, rng)


def _interval(
    model: Model,
    sizes: Integers,
    singles: Floats,
    factor: float,
    seen: int,
    new: float,
    rng: np.random.Generator,
) -> Interval:
    """``sizes``: (rows of rooms,) u or k; ``singles``: (types,) units in one room alone."""
    total = float(singles.sum())
    if new <= 0 or total <= 0 or factor <= 1:
        return Interval(seen + new, seen + new)
    number, type_ = model.rooms.number.astype(np.float64), model.room_type
    slots = np.bincount(type_, sizes * number, minlength=len(singles))
    share = singles / np.maximum(slots, 1)
    clump = share[type_] * sizes
    seen_again = _sums(clump, number, 1.0, rng)
    to_come = _sums(clump, number, factor - 1.0, rng)
    # One unit at the least on either side: none would be infinitely far off.
    error = np.log(np.maximum(seen_again, 1.0)) - np.log(np.maximum(to_come, 1.0) / (factor - 1.0))
    low, high = (new * float(np.exp(-np.quantile(error, level))) for level in reversed(_COVERAGE))
    return Interval(seen + low, seen + high)


def _sums(clump: Floats, number: Floats, effort: float, rng: np.random.Generator) -> Floats:
    """(REPLICATES,) newcomers in all rooms, with ``effort`` times as many of them as there were."""
    largest = np.argsort(-clump, kind="stable")[:_ONE_BY_ONE]
    means = np.delete(clump * number, largest).sum() * effort
    deviation = np.sqrt(np.delete(clump**2 * number, largest).sum() * effort)
    often = rng.poisson(effort * number[largest], size=(REPLICATES, len(largest)))
    mean = often @ clump[largest] + np.maximum(means + deviation * rng.standard_normal(REPLICATES), 0.0)
    return rng.poisson(mean).astype(np.float64)
