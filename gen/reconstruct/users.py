r"""Users that meet the figures: how many rooms each is in, and which.

The first user of every server of the body is in all of its rooms: d = m. The others' values are drawn from the table
of rooms per user and dealt to servers so that each gets what its presences count. Dealing changes a few of them; so the
users of the first server, who in a federation with a hub are many, are drawn last, from a table that makes all figures
hold with the values that the others have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import FiguresError
from fedgen.federation import Federation, index_dtype
from fedgen.ragged import offsets_of
from gen.apportion import apportion, bend
from gen.dealing import deal
from gen.matching import match, shuffled_order
from gen.reconstruct.demands import edges_of, own_demands, total_demands
from gen.reconstruct.errors import DeadEndError
from gen.reconstruct.goal import Interval
from gen.reconstruct.laws import bring_to, change, fit_law, settled
from gen.reconstruct.table import Axis, Demand, Table, narrowed, rake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedgen.federation import Integers
    from gen.reconstruct.goal import Goal
    from gen.reconstruct.table import Law
    from gen.reconstruct.told import Told

D = "rooms_per_user"
_AIR = 0.8


def least_memberships(goal: Goal, figures: Sequence[Told]) -> float:
    """The fewest memberships that the figures about users allow."""
    from scipy.optimize import LinearConstraint, milp

    table = Table((Axis.of(D, goal.rooms, edges_of(figures, D)),))
    everyone = LinearConstraint(np.ones((1, len(table))), goal.users, goal.users)
    asked = [LinearConstraint(d.weight[None, :], d.low, d.high) for d in own_demands(figures, table, goal.users)]
    found = milp(table.low[0].astype(np.float64), constraints=[everyone, *asked], options={"time_limit": 5.0})
    return float(found.fun) if found.x is not None else float(goal.users)


def likeliest_memberships(goal: Goal, figures: Sequence[Told], totals: Sequence[float]) -> float:
    """That of ``totals`` with which the figures about users change a law of rooms per user least."""
    table = Table((Axis.of(D, goal.rooms, edges_of(figures, D)),))
    asked = own_demands(figures, table, goal.users)
    return min(totals, key=lambda total: change(table, fit_law(table, asked, goal.users, total), asked, goal.users))


@dataclass(frozen=True, eq=False)
class Degrees:
    """The table of rooms per user and what is asked of it.

    Attributes:
        table: of all users.
        asked: by figures.
        first: (U_first,) d of the first users of the body's servers.
        able: (C,) how many users are on servers in so many rooms.
        law: of the sizes.
    """

    table: Table
    asked: Sequence[Demand]
    first: Integers
    able: Integers
    law: Law

    @classmethod
    def of(
        cls,
        figures: Sequence[Told],
        n: Integers,
        m: Integers,
        heads: int,
        memberships: int,
        rng: np.random.Generator,
    ) -> Degrees:
        """For servers of n users in m rooms, (S,) each; the first ``heads`` have no user in all of their rooms."""
        users = int(n.sum())
        axis = Axis.of(D, int(m.max()), edges_of(figures, D))
        table = Table((axis,))
        asked = narrowed(own_demands(figures, table, users), [], users, rng)
        by_rooms = np.argsort(m)
        able = np.append(np.cumsum(n[by_rooms][::-1])[::-1], 0)[np.searchsorted(m[by_rooms], axis.low)]
        whole = total_demands(Interval(memberships, memberships), table, D)
        return cls(table, asked, m[heads:], able, fit_law(table, [*asked, *whole], users, memberships))

    def bins(self, d: Integers) -> Integers:
        """(C,) how many of ``d`` lie in each bin."""
        found = np.searchsorted(self.table.axes[0].low, d, side="right") - 1
        return np.bincount(found, minlength=len(self.table))

    def others(self, users: int, memberships: int, rng: np.random.Generator) -> Integers:
        """d of all users but the first ones, (U - U_first,) in no order, so that all together meet the figures.

        Raises:
            FiguresError: there are none.
        """
        upward = np.triu(np.ones((len(self.table), len(self.table))))
        # A user is in no more rooms than its server.
        within = [Demand((), row, 0.0, float(most)) for row, most in zip(upward, self.able, strict=True)]
        return self._draw(users, memberships, self.first, int(self.table.high.max()), within, rng)

    def rest(self, users: int, counts: Integers, known: Integers, most: int, rng: np.random.Generator) -> Integers:
        r"""d of ``users`` of a server with ``counts`` of them in its rooms, so that with those ``known`` figures hold.

        That x users are in j rooms each takes :math:`x j \le \sum_r \min(c_r, x)` (Gale 1957, Ryser 1957); the bound
        is kept with some air for the users whose j is larger still.

        Raises:
            FiguresError: there are none.
        """
        c = np.sort(counts)
        upto, number = np.concatenate(([0], np.cumsum(c))), np.arange(1, users + 1)
        below = np.searchsorted(c, number)
        places = _AIR * (upto[below] + number * (len(c) - below))  # of the first x users, x = 1, 2, ..., U
        most = min(most, len(c))
        able = [int(np.count_nonzero(number * size <= places)) for size in self.table.low[0].tolist()]
        upward = np.triu(np.ones((len(self.table), len(self.table))))
        have = upward @ self.bins(known)
        within = [Demand((), row, 0.0, x + float(h)) for row, x, h in zip(upward[1:], able[1:], have[1:], strict=True)]
        return self._draw(users + len(known), int(counts.sum() + known.sum()), known, most, within, rng)

    def _draw(
        self,
        users: int,
        memberships: int,
        known: Integers,
        most: int,
        within: Sequence[Demand],
        rng: np.random.Generator,
    ) -> Integers:
        """Those of ``users`` in all that are not ``known``."""
        table, have = self.table, self.bins(known)
        left, total = users - len(known), memberships - int(known.sum())
        # What the known ones bring to a figure is taken off it.
        demands = [demand.beyond(have) for demand in (*self.asked, *within)]
        demands += total_demands(Interval(total, total), table, D)
        demands.append(Demand((), (table.low[0] > most).astype(np.float64), 0.0, 0.0))
        numbers = settled(rake(table.base(self.law), demands, left), left, demands, rng)
        (d,), _ = table.draw(numbers, (self.law,), rng)
        low, high = table.axes[0].bounds(np.minimum(d, most))
        return bring_to(np.minimum(d, most), low, np.minimum(high, most), total, rng)


def seat(
    degrees: Degrees,
    n: Integers,
    heads: int,
    server: Integers,
    room: Integers,
    counts: Integers,
    pool: Integers,
    most: int,
    n_rooms: int,
    rng: np.random.Generator,
) -> Federation:
    """Give every presence as many users of its server as it counts.

    Args:
        degrees: the table of rooms per user.
        n: (S,) users per server.
        heads: H >= 1, the servers without a first user who is in all of their rooms.
        server, room: (K,) of each presence.
        counts: (K,) users in each beside that first user.
        pool: d of all other users, (U - U_first,) in no order.
        most: the most rooms of a user.
        n_rooms: R.
        rng: of the draw.
    """
    servers = len(n)
    members = n - (np.arange(servers) >= heads)
    ours, theirs = np.flatnonzero((server == 0) & (counts > 0)), np.flatnonzero((server > 0) & (counts > 0))
    totals = np.bincount(server[theirs], weights=counts[theirs], minlength=servers).astype(np.int64)
    caps = np.minimum(np.bincount(server[theirs], minlength=servers), most)
    pool = rng.permutation(pool)[members[0] :]
    d = _dealt(pool, members[1:], totals[1:], caps[1:], rng)
    others, in_rooms = _matched(members[1:], server[theirs] - 1, room[theirs], counts[theirs], d, rng)
    known = np.concatenate((degrees.first, np.bincount(others, minlength=len(d))))
    try:
        d = degrees.rest(int(members[0]), counts[ours], known, most, rng)
    except FiguresError as told:
        raise DeadEndError(f"the users of the first server cannot make up for the others: {told}") from None
    mine, in_mine = _matched(members[:1], np.zeros(len(ours), dtype=np.int64), room[ours], counts[ours], d, rng)
    # The first user of a body server is numbered after the others of his server.
    everyone, numbered = offsets_of(n), offsets_of(members)
    user = np.concatenate((mine, others + members[0]))
    user = user + np.repeat(everyone[:-1] - numbered[:-1], members)[user]
    body = server >= heads
    return Federation.from_pairs(
        np.repeat(np.arange(servers), n),
        np.concatenate((user, everyone[1:][server[body]] - 1)),
        np.concatenate((in_mine, in_rooms, room[body])),
        n_servers=servers,
        n_rooms=n_rooms,
    )


def _dealt(pool: Integers, members: Integers, totals: Integers, caps: Integers, rng: np.random.Generator) -> Integers:
    """d of all members, server by server, that sum to ``totals``, none above ``caps``."""
    users, beyond = offsets_of(members), totals - members
    dealt = deal(
        pool - 1,
        np.array([0, len(pool)]),
        np.zeros(len(members), dtype=np.int64),
        beyond,
        members,
        caps - 1,
        _seed(rng),
    )
    most = np.repeat(caps - 1, members)
    return 1 + apportion(beyond, users, bend(beyond, users, dealt, most), most, rng)


def _matched(
    members: Integers, server: Integers, room: Integers, counts: Integers, d: Integers, rng: np.random.Generator
) -> tuple[Integers, Integers]:
    """User and room of every membership: each presence gets as many distinct members of its server as it counts."""
    order = np.argsort(server, kind="stable")
    owner, room, count = server[order], room[order], counts[order]
    users, slots = offsets_of(members), offsets_of(count)
    group_slots = slots[offsets_of(np.bincount(owner, minlength=len(members)))]
    small = index_dtype(max(int(slots[-1]), len(d)))
    alike = np.zeros(int(slots[-1]), dtype=np.int8)
    matching = match(
        blocks=slots,
        block_group=owner,
        slot_order=shuffled_order(group_slots, alike, 1, np.uint64(_seed(rng))).astype(small),
        stub_order=shuffled_order(group_slots, alike, 1, np.uint64(_seed(rng))).astype(small),
        stub_owner=np.repeat(np.arange(len(d), dtype=small), d),
        group_slots=group_slots,
        group_owners=users,
        seed=_seed(rng),
    )
    return matching.owner, np.repeat(room, count)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 2**63))
