"""The candidates of every room, side by side: what each costs whom, and the least of them under an objective.

The working half of :mod:`fedgen.traffic.adaptive`, which has the derivations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import InfeasibleError, UsageError
from fedgen.traffic.equations import Load
from fedgen.traffic.spread import role_rates, room_weight, spread_per_room
from fedgen.traffic.trees import SharedRelay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedgen.federation import Floats, Integers, Presences
    from fedgen.traffic.spread import Mechanism

POWERS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Exponents of the descent among fixed mechanisms, in turn."""
_SURE = 1 - 1e-9


@dataclass(frozen=True, eq=False)
class Options:
    """The candidates in every room.

    Attributes:
        mechanisms: O of them.
        presences: of the federation.
        capacities: (S,) of the servers.
        own, foreign: (K,) rates at which a presence is the origin of an event, and one of the others.
        origin_tx, origin_rx, other_tx, other_rx, total, rounds: (O, R) as in :class:`fedgen.traffic.spread.Spread`.
        eligible: (O, R) whether a mechanism may be chosen in a room.
        relay: (O,) whether it is the shared relay.
    """

    mechanisms: tuple[Mechanism, ...]
    presences: Presences
    capacities: Floats
    own: Floats
    foreign: Floats
    origin_tx: Floats
    origin_rx: Floats
    other_tx: Floats
    other_rx: Floats
    total: Floats
    rounds: Floats
    eligible: NDArray[np.bool_]
    relay: Integers

    @classmethod
    def of(
        cls,
        presences: Presences,
        mechanisms: tuple[Mechanism, ...],
        max_rounds: float | None,
        capacities: Floats,
        rate: float,
    ) -> Options:
        """Lay out the candidates; see :func:`fedgen.traffic.adaptive.adapt` for the errors."""
        if not mechanisms:
            raise UsageError("adapt: no mechanism to choose from; give at least one, for instance Broadcast()")
        strange = [m for m in mechanisms if not hasattr(m, "spread")]
        if strange:
            raise UsageError(f"adapt: {strange[0]!r} is no mechanism of a single room; leave it out")
        spreads = [spread_per_room(m, presences) for m in mechanisms]
        columns = {
            name: np.array([getattr(s, name) for s in spreads])
            for name in ("origin_tx", "origin_rx", "other_tx", "other_rx", "total", "rounds", "certain")
        }
        relay = np.array([isinstance(m, SharedRelay) for m in mechanisms])
        size = np.diff(presences.offsets)
        columns["rounds"][relay] = np.minimum(np.maximum(size - 1, 0), 2)  # whatever the shares
        limit = np.inf if max_rounds is None else max_rounds
        eligible = (columns["certain"] >= _SURE) & (columns["rounds"] <= limit)
        if not eligible.any(axis=0).all():
            room = int(np.flatnonzero(~eligible.any(axis=0))[0])
            raise InfeasibleError(
                f"room {room} of {size[room]} servers: no mechanism given reaches all of them for certain"
                + (f" within {limit:g} rounds" if limit < np.inf else "")
                + "; add Broadcast(), which takes 1"
            )
        del columns["certain"]
        own, foreign = role_rates(presences)
        return cls(
            mechanisms, presences, capacities, rate * own, rate * foreign, **columns, eligible=eligible, relay=relay
        )

    @property
    def even(self) -> Floats:
        """(K,) shares w/W, under which one relay is broadcast (but for the hops)."""
        weight = room_weight(self.presences)[self.presences.room]
        return self.presences.weight / np.where(weight > 0, weight, 1.0)

    @property
    def rate_of_room(self) -> Floats:
        """(R,) events per unit of time that other servers must hear; 0 where there are none."""
        rooms = len(self.presences.offsets) - 1
        return np.bincount(self.presences.room, weights=self.own, minlength=rooms)

    def least(self, *keys: Floats) -> Integers:
        """(R,) the eligible option of smallest first key, ties by the next, then by position; a shared relay last."""
        best = np.full(self.eligible.shape[1], -1)
        order = sorted(range(len(self.mechanisms)), key=lambda o: bool(self.relay[o]))
        rooms = np.arange(len(best))
        for o in order:
            less, tied = best < 0, best >= 0
            for key in keys:
                there = key[best, rooms]
                less |= tied & (key[o] < there - 1e-12 * np.abs(there))
                tied &= np.abs(key[o] - there) <= 1e-12 * np.abs(there)
            best = np.where(self.eligible[o] & less, o, best)
        return best

    def load(self, choice: Integers, share: Floats) -> Load:
        """tx and rx under a choice and the shares of its relays."""
        room = self.presences.room
        rooms = np.arange(len(choice))

        def per_server(origin: Floats, other: Floats, more: Floats | float) -> Floats:
            values = self.own * origin[choice, rooms][room] + self.foreign * other[choice, rooms][room]
            fixed = np.where(self.relay[choice][room], more, values)
            return np.bincount(self.presences.server, weights=fixed, minlength=len(self.capacities))

        return Load(
            tx=per_server(self.origin_tx, self.other_tx, self.own + self.amount(choice)[room] * share),
            rx=per_server(self.origin_rx, self.other_rx, self.foreign),
        )

    def amount(self, choice: Integers) -> Floats:
        """(R,) B_r = W_r (k_r - 2), the relaying to be shared out; 0 where the choice is fixed."""
        spare = np.maximum(np.diff(self.presences.offsets) - 2, 0)
        return np.where(self.relay[choice], self.rate_of_room * spare, 0.0)

    def spread_out(self, choice: Integers, enough: float | None = None) -> Floats:
        """(K,) shares that level the load under a choice, or make no load per capacity larger than is ``enough``."""
        from fedgen.traffic.levelling import level

        even = self.load(choice, np.zeros(len(self.presences)))
        base, amount = even.tx + even.rx, self.amount(choice)
        return level(self.presences, base, amount, self.even, self.capacities, enough=enough)

    @property
    def free(self) -> bool:
        """Whether every room may use the shared relay: then nothing else is needed for the least largest load."""
        return bool(self.relay.any() and self.eligible[self.relay].all())

    def cheapest(self) -> Integers:
        """(R,) the shared relay, or what costs every server at most one transaction per event, where there is that."""
        cost = np.maximum(self.origin_tx + self.origin_rx, self.other_tx + self.other_rx)
        cheap = self.eligible & (cost <= 1 + 1e-12) & ~self.relay[:, None]
        return np.where(cheap.any(axis=0), np.argmax(cheap, axis=0), np.argmax(self.relay))

    def level(self) -> tuple[Integers, Floats]:
        """The choice and shares of least largest load per capacity."""
        if not self.free:
            return self._descent(), self.even
        choice = self.cheapest()
        return choice, self.spread_out(choice)

    def _descent(self) -> Integers:
        from fedgen.traffic.levelling import descend

        fixed = self.eligible & ~self.relay[:, None]
        origin, other = self.origin_tx + self.origin_rx, self.other_tx + self.other_rx
        choice = self.least(self.total, self.rounds)
        best, least = choice.copy(), np.inf
        for power in (1.0, *POWERS):
            load = self.load(choice, self.even)
            sums = load.tx + load.rx
            if power > 1 and sums.max(initial=0.0) > 0:
                p = self.presences
                ids = p.offsets.astype(np.int64), p.server.astype(np.int64)
                descend(*ids, self.own, self.foreign, origin, other, fixed, choice, sums, self.capacities, power, 200)
            top = float((sums / self.capacities).max(initial=0.0))
            if top < least * (1 - 1e-12):
                best, least = choice.copy(), top
        return best

    def bound(self, load: Load) -> float:
        """The best lower bound on the largest load per capacity that prices made of a load prove."""
        from fedgen.traffic.levelling import bound

        sums, p = load.tx + load.rx, self.presences
        best = 0.0
        if self.free:
            choice = self.cheapest()
            base = self.load(choice, np.zeros(len(p)))
            best = bound(p, base.tx + base.rx, self.amount(choice), sums, self.capacities)
        level = sums / self.capacities
        for power in (1.0, *POWERS) if level.max(initial=0.0) > 0 else ():
            best = max(best, self._priced((level / level.max()) ** (power - 1)))
        return best

    def _priced(self, price: Floats) -> float:
        """What every room must pay at least, at these prices, per capacity they buy."""
        p = self.presences
        paid = price[p.server]
        rooms = len(p.offsets) - 1
        first, rest = (np.bincount(p.room, weights=paid * w, minlength=rooms) for w in (self.own, self.foreign))
        cost = (self.origin_tx + self.origin_rx) * first + (self.other_tx + self.other_rx) * rest
        cheapest = np.full(rooms, np.inf)
        np.minimum.at(cheapest, p.room, paid)
        spare = np.maximum(np.diff(p.offsets) - 2, 0) * self.rate_of_room
        cost[self.relay] = first + rest + np.where(spare > 0, spare * cheapest, 0.0)
        return float(np.min(np.where(self.eligible, cost, np.inf), axis=0).sum() / (price @ self.capacities))
