r"""Room-structure-adaptive distribution: per room, the mechanism and the relays that serve a stated objective.

The paper envisions it as future work (arXiv 1910.06295). Three objectives, of which the first couples rooms:

*largest*: the largest load per capacity, :math:`\max_s (tx_s + rx_s)/c_s`. Let :math:`y_s \ge 0` be a price per unit of
load. Whatever unicast mechanism brings an event to all n servers of a room, each but the origin pays for hearing it
once at least, the origin for sending it once at least, and the other n - 2 sends or more cost no less than the cheapest
server of the room asks. One relay at the cheapest server costs exactly that. So at every price, and by duality of
linear programmes at the optimum, *no unicast mechanism that reaches everybody beats one relay per event, drawn by the
right shares*. What remains is to find the shares: :mod:`fedgen.traffic.levelling`, to the optimum and with proof.
If the shared relay is not among the mechanisms given, or ``max_rounds`` forbids its second hop, rooms choose among the
fixed mechanisms by descent on :math:`\sum_s c_s (l_s/c_s)^p` with growing p: its slope is a price that rises with load.
Every step lowers that sum, so the descent ends; in a local minimum. ``bound`` is what the prices prove of any choice.

*total*: all transactions sent. Rooms are independent: the least total, then the fewest rounds. Every unicast mechanism
needs n - 1, so that broadcast is the choice wherever there is no multicast: adaptation cannot lower T.

*rounds*: the mean over events of the hops until all have it, with every load per capacity <= ``max_load``. All rooms
begin with their fastest mechanism; those whose events relieve the overloaded servers most per round lost change to the
choice of *largest*, as few as suffices, by bisection. Relaying in more rooms never makes the least largest load larger
(shares w/W are broadcast), so that bisection is sound where the shared relay is given; which rooms go first is a
heuristic. ``bound``: an event that takes one round has cost its origin n - 1 sends, any other saves it n - 2 at most,
so a server beyond ``max_load`` loses a round on so many of its own events, in its largest rooms first.

What servers must know. Of a room: its servers and the weights of their users (how many, in how many rooms), which is
the member list that Matrix servers hold, but for the number of rooms. To share out relaying: the load per capacity of
the room's servers, which each knows of itself and would tell the others; not who is in other rooms. Which server relays
an event must follow from its id (a hash against the shares), so that no agreement per event is needed.

A mechanism takes part in the rooms in which it reaches everybody for certain; infect-and-die does in small ones only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from fedgen.errors import InfeasibleError, UsageError
from fedgen.traffic.options import Options
from fedgen.traffic.spread import presences_of
from fedgen.traffic.trees import Broadcast, Relays, SharedRelay, Tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from fedgen.federation import Federation, Floats, Integers, Presences
    from fedgen.traffic.equations import Load
    from fedgen.traffic.spread import Mechanism

Kind = Literal["largest", "total", "rounds"]
KINDS: tuple[Kind, ...] = ("largest", "total", "rounds")


@dataclass(frozen=True)
class Objective:
    """What is minimised, and within what.

    Attributes:
        kind: ``largest`` load per capacity, ``total`` transactions, or mean ``rounds`` per event.
        max_rounds: mechanisms that take more in a room are not considered there; None: any.
        max_load: of ``rounds``: the load per capacity that no server may exceed, at the rate given; None: any.
    """

    kind: Kind = "largest"
    max_rounds: float | None = None
    max_load: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"objective: unknown {self.kind!r}; take one of {', '.join(KINDS)}")
        for name, value in (("max_rounds", self.max_rounds), ("max_load", self.max_load)):
            if value is not None and not value > 0:
                raise UsageError(f"objective: {name} takes a number above 0, not {value!r}")
        if self.max_load is not None and self.kind != "rounds":
            raise UsageError(f"objective: max_load goes with 'rounds', not with {self.kind!r}; leave it out")


@dataclass(frozen=True, eq=False)
class Adapted:
    """Which room does what, and what comes of it.

    Attributes:
        mechanisms: the candidates.
        choice: (R,) the index of each room's mechanism among them.
        share: (K,) the share of its room's events that each presence relays; 0 where the choice is no shared relay.
        load: of every server.
        rounds: (R,) expected hops per event of each room.
        objective: what was minimised.
        value: of the objective.
        broadcast_value: of the objective if all rooms broadcast.
        bound: no choice of these mechanisms, not even a mixture per room, has a smaller value.
    """

    mechanisms: tuple[Mechanism, ...]
    choice: Integers
    share: Floats
    load: Load
    rounds: Floats
    objective: Objective
    value: float
    broadcast_value: float
    bound: float

    def __repr__(self) -> str:
        return f"Adapted({self.objective.kind}: {self.value:.6g}, {self.broadcast_value:.6g} under broadcast)"


DEFAULT: tuple[Mechanism, ...] = (Broadcast(), Tree(), Relays(), SharedRelay())


@dataclass(frozen=True)
class Adaptive:
    """The adaptive mechanism for :func:`fedgen.traffic.mechanisms.load_under`; see :func:`adapt`.

    Attributes:
        objective: what to minimise.
        mechanisms: the candidates.
    """

    name: ClassVar[str] = "adaptive"
    objective: Objective = Objective()
    mechanisms: tuple[Mechanism, ...] = DEFAULT


def adapt(
    structure: Federation | Presences,
    mechanisms: Sequence[Mechanism] = DEFAULT,
    objective: Objective | Kind = "largest",
    capacities: ArrayLike | None = None,
    *,
    rate: float = 1.0,
    n_servers: int | None = None,
) -> Adapted:
    """Choose a mechanism per room, and who relays.

    Args:
        structure: a federation, or its presences.
        mechanisms: the candidates; with :class:`SharedRelay` among them relaying goes where there is capacity.
        objective: what to minimise; a name stands for that objective without limits.
        capacities: (S,) of the servers, > 0, in any unit; default: all equal to 1.
        rate: lambda, messages per user and unit of time.
        n_servers: S; default: that of the federation, of presences one more than the largest id in them.

    Raises:
        UsageError: no mechanism is given, or capacities are not one positive number per server.
        InfeasibleError: no mechanism reaches all of a room within ``max_rounds``, or no choice keeps ``max_load``.
    """
    presences, size = presences_of(structure, n_servers)
    objective = objective if isinstance(objective, Objective) else Objective(objective)
    available = _capacities(capacities, size)
    options = Options.of(presences, tuple(mechanisms), objective.max_rounds, available, rate)
    if objective.kind == "total":
        choice, share = options.least(options.total, options.rounds), options.even
    elif objective.kind == "largest":
        choice, share = options.level()
    else:
        choice, share = _fastest(options, objective)
    return _adapted(options, choice, share, objective, rate)


def load_relayed(
    structure: Federation | Presences, capacities: ArrayLike, rate: float = 1.0, *, n_servers: int | None = None
) -> Load:
    """tx and rx of every server under one relay per event, drawn in proportion to capacities.

    What rooms can do without telling each other loads: s relays the share c_s / (sum of the room's c) of every room's
    events. Equal capacities are :class:`fedgen.traffic.trees.SharedRelay`.

    Args:
        structure: a federation, or its presences.
        capacities: (S,) of the servers, > 0: what they say that they have, or their users, for instance.
        rate: lambda, messages per user and unit of time.
        n_servers: S; default: that of the federation, of presences one more than the largest id in them.

    Raises:
        UsageError: capacities are not one positive number per server.
    """
    presences, size = presences_of(structure, n_servers)
    options = Options.of(presences, (SharedRelay(),), None, _capacities(capacities, size), rate)
    offered = options.capacities[presences.server]
    rooms = len(presences.offsets) - 1
    share = offered / np.bincount(presences.room, weights=offered, minlength=rooms)[presences.room]
    return options.load(np.zeros(rooms, dtype=np.int64), share)


def _fastest(options: Options, objective: Objective) -> tuple[Integers, Floats]:
    """The choice of few rounds within the load allowed."""
    fast = options.least(options.rounds, options.total)
    share = options.even
    allowed = np.inf if objective.max_load is None else objective.max_load * (1 + 1e-9)
    if _top(options, fast, share) <= allowed:
        return fast, share
    slow, share = options.level()
    least = _top(options, slow, share)
    if least > allowed:
        raise InfeasibleError(
            f"max_load {objective.max_load:g}: no choice found keeps every server below it; the least is "
            f"{_rounded_up(least)}, "
            "so allow that much, or give more mechanisms or capacities"
        )
    order = _relief(options, fast, slow, share, allowed)
    few, many, chosen = 0, len(order), (slow, share)  # none is too few, all suffice
    while many - few > 1:
        middle = (few + many) // 2
        choice = fast.copy()
        choice[order[:middle]] = slow[order[:middle]]
        tried = options.spread_out(choice, allowed)
        if _top(options, choice, tried) <= allowed:
            many, chosen = middle, (choice, tried)
        else:
            few = middle
    return chosen


def _relief(options: Options, fast: Integers, slow: Integers, share: Floats, allowed: float) -> Integers:
    """The rooms, those first whose change relieves the overloaded servers most per round lost."""
    before = options.load(fast, options.even)
    over = (before.tx + before.rx) / options.capacities > allowed
    p, rooms = options.presences, np.arange(len(fast))
    eased = np.where(over[p.server], 1.0 / options.capacities[p.server], 0.0)
    of_origin, of_other = options.origin_tx + options.origin_rx, options.other_tx + options.other_rx

    def cost(choice: Integers) -> Floats:
        fixed = options.own * of_origin[choice, rooms][p.room] + options.foreign * of_other[choice, rooms][p.room]
        relay = options.own + options.foreign + options.amount(choice)[p.room] * share
        return np.where(options.relay[choice][p.room], relay, fixed)

    relief = np.bincount(p.room, weights=eased * (cost(fast) - cost(slow)), minlength=len(fast))
    lost = options.rate_of_room * (options.rounds[slow, rooms] - options.rounds[fast, rooms])
    return np.argsort(-relief / np.maximum(lost, 1e-300), kind="stable")


def _fewest(options: Options, objective: Objective) -> float:
    """A lower bound on the mean rounds within ``max_load``, see above."""
    p = options.presences
    fast = options.least(options.rounds, options.total)
    size, events = np.diff(p.offsets), options.rate_of_room
    shortest = np.where(options.relay[fast] & (size > 2), 1.0, options.rounds[fast, np.arange(len(fast))])
    lost = 0.0
    if objective.max_load is not None and np.all(shortest[size > 1] == 1) and not _copied(options):
        plain = np.bincount(
            p.server, weights=options.own * (size[p.room] - 1) + options.foreign, minlength=len(options.capacities)
        )
        excess = plain - objective.max_load * options.capacities
        for server in np.argsort(-excess)[:64]:
            if excess[server] > 0:
                mine = np.flatnonzero(p.server == server)
                mine = mine[np.argsort(-size[p.room[mine]], kind="stable")]
                saved = options.own[mine] * np.maximum(size[p.room[mine]] - 2, 0)
                before = np.cumsum(saved) - saved
                part = np.clip((excess[server] - before) / np.where(saved > 0, saved, 1.0), 0.0, 1.0)
                lost = max(lost, float(part[saved > 0] @ options.own[mine][saved > 0]))
    total = float(events.sum())
    return (float(events @ shortest) + lost) / total if total > 0 else 0.0


def _copied(options: Options) -> bool:
    """Whether a mechanism lets the network copy, so that n - 1 sends are not needed."""
    size = np.diff(options.presences.offsets)
    return bool(np.any(options.total < np.maximum(size - 1, 0) - 1e-9))


def _top(options: Options, choice: Integers, share: Floats) -> float:
    load = options.load(choice, share)
    return float(((load.tx + load.rx) / options.capacities).max(initial=0.0))


def _adapted(options: Options, choice: Integers, share: Floats, objective: Objective, rate: float) -> Adapted:
    p, rooms = options.presences, np.arange(len(choice))
    share = np.where(options.relay[choice][p.room], share, 0.0)
    load = options.load(choice, share)
    events = options.rate_of_room
    rounds = options.rounds[choice, rooms].astype(float)
    # An event whose origin is its own relay takes one hop less, in rooms of three servers and more.
    itself = np.bincount(p.room, weights=options.own * share, minlength=len(rooms))
    rounds -= np.where((np.diff(p.offsets) > 2) & (events > 0), itself / np.maximum(events, 1e-300), 0.0)

    def value(load: Load, rounds: Floats) -> float:
        if objective.kind == "total":
            return load.total
        if objective.kind == "largest":
            return float(((load.tx + load.rx) / options.capacities).max(initial=0.0))
        return float(events @ rounds / events.sum()) if events.sum() > 0 else 0.0

    plain = Options.of(p, (Broadcast(),), None, options.capacities, rate)
    reached = value(load, rounds)
    if objective.kind == "largest":
        least = options.bound(load)
    elif objective.kind == "total":
        least = reached
    else:
        least = _fewest(options, objective)
    nothing = np.zeros(len(rooms), dtype=np.int64)
    broadcast = value(plain.load(nothing, options.even), plain.rounds[0])
    return Adapted(options.mechanisms, choice, share, load, rounds, objective, reached, broadcast, min(least, reached))


def _capacities(values: ArrayLike | None, n_servers: int) -> Floats:
    if values is None:
        return np.ones(n_servers)
    array = np.asarray(values, dtype=float)
    if array.shape != (n_servers,):
        raise UsageError(f"capacities: {array.size} for {n_servers} servers; give one number per server")
    if not np.all((array > 0) & np.isfinite(array)):
        server = int(np.flatnonzero(~((array > 0) & np.isfinite(array)))[0])
        raise UsageError(
            f"capacities: server {server} has {array[server]:g}; every server takes a finite number above 0"
        )
    return array


def _rounded_up(value: float) -> str:
    """Six digits that, read again, are not below ``value`` > 0."""
    text = f"{value:.6g}"
    return text if float(text) >= value else f"{value * (1.0 + 1e-5):.6g}"
