r"""Layer 1, servers of the body: how many users, rooms and memberships each has.

*Drawn*: n and m come through the smoothed copula (:mod:`fitting.margins`); the memberships beyond max(n, m) are those
of a measured server in proportion to the new max(n, m), so that users of a large server keep their mean of rooms,
capped so that e <= n m. So max(n, m) <= e <= n m holds by construction and n = 1 means e = m. A server of the body
has fewer memberships than would make it a head (:mod:`fitting.heads`); the laws of n and m are truncated there, at
any size of the federation. Where the mean server grows (:mod:`gen.growth`) n and m of every draw are multiplied. The
draws are then conditioned on the users of the plan and on the places that the rooms offer (:mod:`gen.exchange`), and
settled exactly: sum n = users, sum m = places. Each server then inherits the company of a measured one
(:mod:`gen.inheritance`): of those with about as many users the one of its rank by rooms.

*Measured*: the servers as they are in the model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fitting.classes import size_class
from fitting.heads import smallest_share
from fitting.margins import draw_levels
from fitting.model import spare
from gen.apportion import reconcile
from gen.exchange import exchange, multiply, pool_size, stretch
from gen.inheritance import inherit
from gen.streams import Stage
from gen.types import EVERYWHERE

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers
    from fitting.model import Model
    from gen.plan import Plan
    from gen.rooms import Rooms


@dataclass(frozen=True, eq=False)
class Servers:
    """The body's servers, (B,) each.

    Attributes:
        users, rooms, memberships: n, m and e.
        like: the row of the model's servers whose company each inherits.
        region: where it lives.
    """

    users: Integers
    rooms: Integers
    memberships: Integers
    like: Integers
    region: Integers


def draw_servers(model: Model, plan: Plan, rooms: Rooms) -> Servers:
    """Draw the plan's body servers for the places that ``rooms`` offer."""
    rng = plan.stream(Stage.SERVERS)
    table = model.servers
    if plan.margins == "measured":
        like = rng.permutation(len(table.users))
        return Servers(table.users[like], table.rooms[like], table.memberships[like], like, np.zeros_like(like))
    count = plan.servers - len(plan.head_users)
    users, places = plan.users - int(plan.head_users.sum()), int(rooms.body_servers.sum())
    offering = int(np.count_nonzero(rooms.body_servers))
    wanted = int(rooms.body_users.sum())

    ceiling = _ceiling(model, wanted + int(rooms.head_users.sum()))
    tops = (min(users - count + 1, ceiling), min(offering, ceiling), ceiling)
    means = users / count, places / count, wanted / count
    times = _times_users(model, plan), plan.server_rooms
    columns = np.stack(_draw(model, count, means, times, tops, rng), axis=1)
    n, m, _ = columns[exchange(columns, count, np.array([users, places, wanted], dtype=np.float64), rng)].T
    n = reconcile(n, 1, users - count + 1, users, rng)
    most = int(model.users.rooms.max())  # rooms of a user, bounded as measured unless the plan asks for more
    if np.minimum(n * most, offering).sum() < places:
        most = offering
    m = reconcile(m, 1, np.minimum(n * most, offering), places, rng)
    low, high = np.maximum(n, m), n * np.minimum(m, most)
    modest = np.minimum(high, np.maximum(low, ceiling))
    high = modest if modest.sum() >= wanted else high
    as_measured = np.maximum(np.rint(n / max(_times_users(model, plan), 1.0)), 1)
    like, region = inherit(
        (size_class(as_measured), m, n), (size_class(table.users), table.rooms, table.users), _offers(plan, rooms), rng
    )
    # Beyond the fewest as many, in proportion, as on the server whose company it inherits: they go to the same rooms.
    e = np.clip(low + np.floor(_beyond(model)[like] * low + rng.random(count)).astype(np.int64), low, high)
    e = reconcile(e, low, high, min(max(wanted, int(low.sum())), int(high.sum())), rng)
    return Servers(n, m, e, like, region)


def _offers(plan: Plan, rooms: Rooms) -> Integers:
    """(regions,) how many places for servers of the body each region has; more servers live where there are more."""
    at_home = rooms.types.region != EVERYWHERE
    places = np.bincount(rooms.types.region[at_home], rooms.body_servers[at_home], minlength=plan.regions)
    return np.asarray(places if places.sum() > 0 else np.ones(plan.regions))


def _times_users(model: Model, plan: Plan) -> float:
    """How many times as many users as measured the mean server of the body has."""
    n = model.servers.users
    body = plan.servers - len(plan.head_users)
    return (plan.users - int(plan.head_users.sum())) / body / (int(n.sum()) / len(n))


def _ceiling(model: Model, memberships: int) -> int:
    """The most memberships that a server of the body has among ``memberships`` in all."""
    measured = model.sizes.memberships
    share = max(smallest_share(model.sizes.servers), int(model.servers.memberships.max()) / measured)
    return max(1, math.ceil(share * memberships))


def _beyond(model: Model) -> Floats:
    """Memberships beyond max(n, m), in proportion to it, of each row of the model's servers."""
    table = model.servers
    return spare(table.users, table.rooms, table.memberships) / np.maximum(table.users, table.rooms)


def _draw(
    model: Model,
    count: int,
    means: tuple[float, float, float],
    times: tuple[float, float],
    tops: tuple[int, int, int],
    rng: np.random.Generator,
) -> tuple[Integers, Integers, Integers]:
    """n, m and e of independent servers; ``means`` are what the plan asks for, ``tops`` their largest.

    ``times``: how many times as many users and rooms every server shall have.
    """
    table = model.servers
    levels, start = draw_levels((table.users, table.rooms), pool_size(count), rng)
    n = model.margins["n"].quantile(levels[0], top=tops[0])
    m = model.margins["m"].quantile(levels[1], top=tops[1])
    n, m = (np.minimum(multiply(v, by, rng), top) for v, by, top in zip((n, m), times, tops[:2], strict=True))
    n = np.minimum(stretch(n, 1, tops[0], means[0], count, rng), tops[0])
    m = np.minimum(stretch(m, 1, tops[1], means[1], count, rng), tops[1])
    fewest = np.maximum(n, m)
    x = np.floor(_beyond(model)[start] * fewest + rng.random(len(start))).astype(np.int64)
    x = np.minimum(x, np.minimum(n * m, np.maximum(tops[2], fewest)) - fewest)
    x = stretch(x, 0, int(x.max()), max(means[2] - float(fewest.mean()), 0.0), count, rng)
    return n, m, np.minimum(fewest + x, n * m)
