r"""Decentralization: users of hubs move to servers of their own and keep their memberships (paper, section 5.2).

What the paper asks of Matrix 2018: how many users must leave the two largest servers for a network of ten times the
servers, or of ten times the *effective* number of servers? That number is :math:`1/\mathrm{HHI}`, with the
Herfindahl-Hirschman index :math:`\mathrm{HHI} = \sum_s (n_s / U)^2`: as many servers of equal size would be as
concentrated.

**Load.** With the rate :math:`\lambda` of a user, :math:`W_r = \sum_{v \in U_r} 1/d_v` and :math:`k_r` the servers of
room r, all transactions are :math:`T = \lambda \sum_r W_r (k_r - 1)` (:mod:`fedgen.traffic.equations`). A move changes
no membership, so no d and no W. When user u leaves server s for one of their own, :math:`k_r` rises by one in each of
their rooms in which s keeps another user, and stays where s keeps none (the new server takes the place of s). So T
grows by

.. math::
    \Delta T = \lambda \sum_{r \in R_u:\; U_r \cap U_s \ne \{u\}} W_r
             = \lambda \sum_{r \in R_u:\; U_r \cap U_s \ne \{u\}} \; \sum_{v \in U_r} \frac{1}{d_v} \ge 0

and never falls. With everybody on a server of their own :math:`k_r = u_r` and :math:`T = \lambda \sum_r W_r (u_r - 1)`,
the most that decentralization can cost.

**Concentration.** c users leave a hub of n for c new servers of one user each: the sum of squares :math:`Q = \sum_s
n_s^2` loses :math:`n^2 - (n - c)^2 - c = c (2 n - c - 1)`, the j-th of them :math:`2 (n - j)`. Hence

.. math:: \mathrm{HHI}' = U^{-2} \Bigl( Q - \sum_h c_h (2 n_h - c_h - 1) \Bigr)

falls strictly with every user that moves while each hub keeps one at least, as it must (a server without users does
not exist): :math:`c_h \le n_h - 1`. U does not change, so the effective number of servers grows by Q / Q'.

**Turns.** All hubs give the same share. The j-th user of a hub of n has a turn at share :math:`(j - 1/2) / n`, and
the users of all hubs move in the order of their turns, equal ones from the larger hub first (the divisor method of
Webster and Sainte-Lague): so each hub gives its share rounded, any total is met exactly, and who has moved at a smaller
total has moved at every larger one. Which of a hub's users is its j-th is a random order of them, addressed by (seed,
server); so for one seed a larger target moves a superset, and T is monotone in the target.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import InfeasibleError, UsageError
from fedgen.federation import Federation, index_dtype
from gen.growth import number, whole
from gen.streams import Stage, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedgen.federation import Integers
    from fitting.model import Model
    from gen.plan import Plan

TOLERANCE = 0.01
_TARGETS = ("move_hub_users", "effective_servers", "servers")


@dataclass(frozen=True)
class Decentralization:
    """How far to decentralize; exactly one of the first three is given.

    Attributes:
        move_hub_users: the share of the hubs' users that move, 0 to 1; each hub keeps one user.
        effective_servers: the factor by which 1/HHI, the effective number of servers, grows, >= 1; met within 1 %.
        servers: the factor by which the number of servers grows, >= 1; met to the nearest whole server.
        hubs: only so many of the largest hubs give users, >= 1; None: all.

    Raises:
        UsageError: none or two of the first three, or a value outside its range.
    """

    move_hub_users: float | None = None
    effective_servers: float | None = None
    servers: float | None = None
    hubs: int | None = None

    def __post_init__(self) -> None:
        targets = {name: getattr(self, name) for name in _TARGETS if getattr(self, name) is not None}
        if len(targets) != 1:
            given = " and ".join(targets) or "none"
            raise UsageError(f"decentralization: give one of {', '.join(_TARGETS)}; given: {given}")
        (name, value), *_ = targets.items()
        low, high = (0.0, 1.0) if name == "move_hub_users" else (1.0, math.inf)
        if not number(value) or not low <= value <= high or math.isinf(value):
            what = "a share of the hubs' users" if high == 1.0 else "a factor of growth"
            wanted = "from 0 to 1" if high == 1.0 else "from 1 up"
            raise UsageError(f"{name}: {value!r} is not {what}; give a number {wanted}")
        if self.hubs is not None and not (whole(self.hubs) and self.hubs >= 1):
            raise UsageError(f"hubs: {self.hubs!r} is no number of hubs; give a whole number from 1 up")

    def assumption(self) -> str:
        """What is assumed, in a sentence."""
        whose = (
            "hubs" if self.hubs is None else "the largest hub" if self.hubs == 1 else f"the {self.hubs} largest hubs"
        )
        goal = (
            f"{self.move_hub_users:.4g} of them have moved"
            if self.move_hub_users is not None
            else f"there are {self.servers:g} times as many servers"
            if self.servers is not None
            else f"the effective number of servers, 1/HHI, is {self.effective_servers:g} times as large"
        )
        return f"users of {whose} move to servers of their own and keep their rooms, until {goal}"


@dataclass(frozen=True, eq=False)
class Decentralized:
    """A federation after its hubs' users have moved.

    Attributes:
        federation: servers and rooms keep their ids; the new servers follow, in the order of the old ids of their
            users. Users are renumbered as the layout demands, and keep their order on every old server.
        hubs: (H,) the servers that gave users, the largest first.
        moved: (H,) how many users each gave.
    """

    federation: Federation
    hubs: Integers
    moved: Integers

    def __repr__(self) -> str:
        return f"Decentralized({int(self.moved.sum())} users moved from {len(self.hubs)} hubs: {self.federation!r})"


def hub_servers(model: Model, kept: int, copies: int = 1) -> Integers:
    """The hubs of a federation that is drawn from a model.

    They are the hubs of the law of users per server, as far as they are head servers: those alone are drawn one by
    one, and stand first in a drawn federation, in the model's order. Where the law knows no hub the head servers are
    the hubs; where it knows some but none of them is a head (many users with few memberships), it is the head with
    most users. Without head servers there is none: then the largest server that was drawn has to serve.

    Args:
        model: the fitted model.
        kept: how many of its head servers the federation has.
        copies: how often each of them is there.

    Returns:
        (H,) their ids, most measured users first; none without head servers.
    """
    users = model.heads.users[:kept]
    order = np.argsort(-users, kind="stable")
    found = model.laws["n"].hubs
    count = found.count if found is not None else 0
    if count > 0:
        everybody = np.concatenate((model.heads.users, model.servers.users))
        smallest = np.sort(everybody)[-count]
        order = order[: min(count, max(1, int(np.sum(users >= smallest))))]
    return (order[:, None] + kept * np.arange(copies)).ravel()


def decentralize(federation: Federation, hubs: Integers, how: Decentralization, seed: int) -> Decentralized:
    """Move users of the hubs to servers of their own.

    Args:
        federation: any sound one.
        hubs: (H,) ids of the servers that may give users, in any order, none twice.
        how: how far.
        seed: >= 0; for one seed, a larger target moves the users of a smaller one and more.

    Raises:
        UsageError: an id is no server, or stands twice.
        InfeasibleError: no hub, fewer hubs than asked, or a target beyond what the hubs can give.
    """
    users = federation.users_per_server
    hubs = largest_hubs(users, hubs, how)
    squares = int(users.astype(np.int64) @ users.astype(np.int64))
    moved = movers(how, users[hubs], federation.n_servers, squares)
    moves = _who_moves(federation, hubs, moved, seed)
    return Decentralized(_on_their_own(federation, moves), hubs, moved)


def movers_of(model: Model, plan: Plan) -> int:
    """How many users of a plan's federation move out; the most that may, where the draw decides.

    Raises:
        InfeasibleError: the hubs' users are too few.
    """
    how = plan.scenario.decentralize
    if how is None or len(plan.head_users) == 0:
        return 0
    hubs = largest_hubs(plan.head_users, hub_servers(model, plan.heads_kept, plan.head_copies), how)
    if how.effective_servers is not None:
        return int((plan.head_users[hubs] - 1).sum())
    return int(movers(how, plan.head_users[hubs], plan.servers, 0).sum())


def largest_hubs(users: Integers, hubs: Integers, how: Decentralization) -> Integers:
    """The hubs that give users, the largest first.

    Args:
        users: (S,) n. hubs: (H,) ids, in any order. how: its ``hubs`` is how many are taken.

    Raises:
        UsageError: an id is no server, or stands twice.
        InfeasibleError: no hub, or fewer than asked.
    """
    hubs = np.asarray(hubs, dtype=np.int64)
    if len(hubs) == 0:
        raise InfeasibleError("decentralization moves users of hubs, and this federation has no hub")
    if hubs.min() < 0 or hubs.max() >= len(users) or len(np.unique(hubs)) < len(hubs):
        raise UsageError(f"hubs: {hubs.tolist()} are not distinct ids of the {len(users)} servers there are")
    if how.hubs is not None and how.hubs > len(hubs):
        raise InfeasibleError(f"hubs: {how.hubs} shall give users, the federation has {len(hubs)}; give at most that")
    return hubs[np.argsort(-users[hubs], kind="stable")][: how.hubs]


def movers(how: Decentralization, hub_users: Integers, n_servers: int, squares: int) -> Integers:
    """How many users each hub gives.

    Args:
        how: how far.
        hub_users: (H,) users of each hub that gives any (:func:`largest_hubs`), the largest first.
        n_servers: S; only the target ``servers`` looks at it.
        squares: the sum of n^2 over all servers; only the target ``effective_servers`` looks at it.

    Returns:
        (H,) counts, each below the hub's users.

    Raises:
        InfeasibleError: beyond what the hubs can give, or no number of moves comes within 1 %.
    """
    hub, loss = _turns(hub_users)
    if how.move_hub_users is not None:
        total = round(float(np.minimum(how.move_hub_users * hub_users, hub_users - 1).sum()))
    elif how.servers is not None:
        total = round(how.servers * n_servers) - n_servers
        if total > len(hub):
            raise _beyond("servers", how.servers, "the number of servers", 1 + len(hub) / n_servers, hub_users)
    else:
        assert how.effective_servers is not None
        total = _effective(how.effective_servers, squares, loss, hub_users)
    return np.bincount(hub[:total], minlength=len(hub_users))


def _turns(hub_users: Integers) -> tuple[Integers, Integers]:
    """(hub, loss) of every turn in order: whose user moves, and how much less the sum of n^2 is then."""
    gives = hub_users - 1
    hub = np.repeat(np.arange(len(hub_users), dtype=index_dtype(len(hub_users))), gives)
    number = 1 + np.arange(len(hub)) - np.repeat(np.cumsum(gives) - gives, gives)
    users = np.repeat(hub_users, gives)
    # Each hub's turns rise already: a merge of H runs.
    order = np.argsort((number - 0.5) / users, kind="stable")
    return hub[order], (2 * (users - number))[order]


def _effective(factor: float, squares: int, loss: Integers, hub_users: Integers) -> int:
    """The number of moves after which 1/HHI comes nearest to ``factor`` times what it was."""
    left = np.concatenate(([squares], squares - np.cumsum(loss)))  # falls strictly
    most = squares / int(left[-1])
    if factor > most:
        raise _beyond("effective_servers", factor, "the effective number of servers", most, hub_users)
    upto = min(len(left) - 1, int(np.searchsorted(-left, -squares / factor)))
    near = [i for i in (upto - 1, upto) if i >= 0]
    total = min(near, key=lambda i: abs(squares / int(left[i]) - factor))
    if abs(squares / int(left[total]) - factor) > TOLERANCE * factor:
        raise InfeasibleError(
            f"effective_servers: {factor:g} cannot be met within 1 %, since users move one by one; the nearest are "
            + " and ".join(_rounded_down(squares / int(left[i])) for i in near)
        )
    return total


def _beyond(name: str, factor: float, grows: str, most: float, hub_users: Integers) -> InfeasibleError:
    users = int(hub_users.sum())
    hubs = "1 hub" if len(hub_users) == 1 else f"{len(hub_users)} hubs"
    return InfeasibleError(
        f"{name}: {grows} cannot grow {factor:g}-fold if only users of hubs move and every hub keeps one; there are "
        f"{users} users on {hubs}: give a factor from 1 to {_rounded_down(most)}"
    )


def _rounded_down(value: float) -> str:
    """Six digits that, read again, are not above ``value`` >= 1."""
    digits = max(0, 5 - math.floor(math.log10(value)))
    return (
        f"{math.floor(value * 10**digits) / 10**digits:.{digits}f}".rstrip("0").rstrip(".")
        if digits
        else f"{int(value)}"
    )


def _who_moves(federation: Federation, hubs: Integers, moved: Integers, seed: int) -> NDArray[np.bool_]:
    """(U,) whether each user moves: the first ones in a random order of each hub's users."""
    moves = np.zeros(federation.n_users, dtype=bool)
    first = np.searchsorted(federation.user_server, hubs)
    users = federation.users_per_server[hubs]
    for server, start, size, count in zip(hubs.tolist(), first.tolist(), users.tolist(), moved.tolist(), strict=True):
        if count:
            order = stream(seed, Stage.DECENTRALIZATION, server).permutation(size)
            moves[start + order[:count]] = True
    return moves


def _on_their_own(federation: Federation, moves: NDArray[np.bool_]) -> Federation:
    """The federation with a new server for each user that moves: one linear pass.

    Who moves gets the last user ids, all others close up; both keep their order. So a room's memberships need no sort:
    those who stay come first, those who move last, each in the order they were in.
    """
    count = int(moves.sum())
    if count == 0:
        return federation
    users, servers = federation.n_users, federation.n_servers + count
    renumbered = np.empty(users, dtype=index_dtype(users))
    renumbered[~moves] = np.arange(users - count)
    renumbered[moves] = np.arange(users - count, users)
    home = np.concatenate((federation.user_server[~moves], np.arange(federation.n_servers, servers)))

    goes = moves[federation.membership_user]
    before = np.concatenate(([0], np.cumsum(goes)))[federation.room_offsets]
    gone = np.diff(before)
    late = np.repeat(
        np.tile([False, True], federation.n_rooms),
        np.stack((federation.users_per_room - gone, gone), axis=1).ravel(),
    )
    members = np.empty(federation.n_memberships, dtype=renumbered.dtype)
    members[~late] = renumbered[federation.membership_user[~goes]]
    members[late] = renumbered[federation.membership_user[goes]]
    return Federation(servers, home.astype(index_dtype(servers)), federation.room_offsets, members)
