r"""How many users each server has in each of its rooms.

One user is sure in every presence; the others, :math:`u_r - k_r` of a room and the members of a server, are spread
over the presences as evenly as their sums allow: the table nearest in relative entropy to :math:`k_r^{\theta_s}` with
these sums, none above a server's users (iterative proportional fitting, Deming and Stephan 1940, with caps). The *pull*
:math:`\theta` towards wide rooms is 0 for all but the servers whose load a figure tells. The table is rounded to whole
numbers of the same sums: what is beyond their whole parts is an integer flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gen.reconstruct.errors import DeadEndError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedgen.federation import Floats, Integers
    from gen.reconstruct.load import Estimate, Share

_SWEEPS = 200
_CLOSE = 1e-5
_STEP, _FARTHEST = 0.25, 6.0
_ROUNDS = 3
_MOST = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class Places:
    """The presences and what they have to sum to.

    Attributes:
        server, room: (K,) of each presence.
        heads: H, the first servers, whose sums may give and take among each other.
        least: (H,) the least that the sum of each may be.
        rows: (S,) what each server's must sum to.
        columns: (R,) what each room's must sum to; as much in all.
        caps: (K,) the most in one presence.
    """

    server: Integers
    room: Integers
    heads: int
    least: Integers
    rows: Integers
    columns: Integers
    caps: Integers


def pulled(places: Places, estimate: Estimate, asked: Sequence[Share], aims: Sequence[float], pulls: Floats) -> Floats:
    """(K,) real numbers with the sums of ``places``, the pull of servers such that they send what is asked.

    Args:
        places: the presences and sums.
        estimate: of the load.
        asked: shares of the load.
        aims: the value of each to aim at; beyond what any pull reaches, the nearest that it does.
        pulls: (shares,) where to look first; what was found, in place.
    """
    from scipy.optimize import brentq

    width = np.log(estimate.wide)

    def at(which: int, pull: float) -> Floats:
        pulls[which] = pull
        return spread(places, np.exp(_pull(places, asked, pulls) * width))

    x = spread(places, np.exp(_pull(places, asked, pulls) * width))
    for _ in range(_ROUNDS if len(asked) > 1 else 1):
        for which, (share, aim) in enumerate(zip(asked, aims, strict=True)):

            def miss(pull: float, which: int = which, share: Share = share, aim: float = aim) -> float:
                return estimate.share(share, at(which, pull)) - aim

            before, off = float(pulls[which]), estimate.share(share, x) - aim
            if abs(off) <= (share.high - share.low) / 20:
                continue
            # The share rises with the pull: step towards the aim until it is passed.
            step = -_STEP if off > 0 else _STEP
            after = before + step
            while abs(after) < _FARTHEST and (passed := miss(after)) * off > 0:
                before, off, step = after, passed, 2 * step
                after = before + step
            best = float(brentq(miss, before, after, xtol=2e-3)) if abs(after) < _FARTHEST else before
            x = at(which, best)
    return x


def _pull(places: Places, asked: Sequence[Share], pulls: Floats) -> Floats:
    """(K,) the pull of each presence's server."""
    parts = [pull * share.of_server(places.server) for pull, share in zip(pulls, asked, strict=True)]
    return np.sum(parts, axis=0) if parts else np.zeros(len(places.server))


def spread(places: Places, prior: Floats) -> Floats:
    """(K,) real numbers with the sums of ``places``, nearest to ``prior``."""
    x = np.minimum(prior * (places.rows.sum() / prior.sum()), places.caps)
    x = np.where((places.rows[places.server] > 0) & (places.columns[places.room] > 0), x, 0.0)
    for _ in range(_SWEEPS):
        before = x
        x = _scaled(x, places.server, places.rows, places.caps)
        x = _scaled(x, places.room, places.columns, places.caps)
        if np.abs(x - before).max() <= _CLOSE * max(1.0, float(places.rows.max())):
            break
    return x


def _scaled(x: Floats, group: Integers, goal: Integers, caps: Integers) -> Floats:
    sums = np.bincount(group, weights=x, minlength=len(goal))
    factor = np.divide(goal, sums, out=np.ones_like(sums), where=sums > 0)
    return np.minimum(x * factor[group], caps)


def rounded(places: Places, x: Floats) -> Integers:
    """(K,) whole numbers with the sums of ``places``, near to ``x``; the heads keep their sum together.

    Raises:
        DeadEndError: there are none.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import maximum_flow

    servers, rooms, heads = len(places.rows), len(places.columns), places.heads
    whole = np.floor(x + 1e-9).astype(np.int64)
    most = int(max(whole.max(initial=1), places.columns.max(initial=1)))
    for step in (0, *(1 << np.arange(0, 2 * most.bit_length(), 2)).tolist()):
        base = np.maximum(whole - step, 0)  # every number up or down by so many, by as few as will do
        left = places.rows - np.bincount(places.server, weights=base, minlength=servers).astype(np.int64)
        least = np.maximum(places.least - (places.rows - left)[:heads], 0)
        shared = int(left[:heads].sum() - least.sum())
        open_ = places.columns - np.bincount(places.room, weights=base, minlength=rooms).astype(np.int64)
        if min(left[heads:].min(initial=0), shared, open_.min()) < 0:
            continue
        free = np.clip(places.caps - base, 0, 2 * step + 1)
        # source -> server (what it must have), or -> all heads together -> head; server -> room -> sink
        together, source, sink = servers + rooms, servers + rooms + 1, servers + rooms + 2
        tail = (places.server, np.full(heads, together), [source], np.full(servers, source), servers + np.arange(rooms))
        head = (servers + places.room, np.arange(heads), [together], np.arange(servers), np.full(rooms, sink))
        capacity = np.concatenate((free, np.full(heads, shared), [shared], least, left[heads:], open_))
        edges = (np.minimum(capacity, _MOST).astype(np.int32), (np.concatenate(tail), np.concatenate(head)))
        flow = maximum_flow(coo_array(edges, shape=(sink + 1, sink + 1)).tocsr(), source, sink)
        if flow.flow_value == int(open_.sum()):
            return base + np.asarray(flow.flow[places.server, servers + places.room]).ravel()
    raise DeadEndError("the members of the servers do not fit into their rooms")
