"""How else events could be distributed: the mechanisms by name, and the load of a federation under each.

One module per family: :mod:`~fedgen.traffic.trees` (each server hears an event once), :mod:`~fedgen.traffic.gossip`
(random targets), :mod:`~fedgen.traffic.overlay` (random neighbours), :mod:`~fedgen.traffic.adaptive` (a choice per
room). What a mechanism costs per event and how load follows: :mod:`~fedgen.traffic.spread`. The check of the formulas:
:mod:`~fedgen.traffic.simulation`. Described, with measured agreement, in docs/mechanisms.md.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.errors import UsageError
from fedgen.traffic.adaptive import Adaptive, adapt
from fedgen.traffic.gossip import InfectAndDie, Push, PushPull
from fedgen.traffic.overlay import Gossipsub, Plumtree
from fedgen.traffic.spread import load_by_role, presences_of, room_weight, spread_per_room
from fedgen.traffic.trees import Broadcast, Multicast, Relays, SharedRelay, Tree

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fedgen.federation import Federation, Presences
    from fedgen.traffic.equations import Load
    from fedgen.traffic.spread import Mechanism

MECHANISMS: dict[str, type[Any]] = {
    kind.name: kind
    for kind in (
        Broadcast,
        Tree,
        Relays,
        SharedRelay,
        Push,
        InfectAndDie,
        PushPull,
        Plumtree,
        Gossipsub,
        Multicast,
        Adaptive,
    )
}
"""The mechanisms by name; each is made without arguments, or with its parameters."""


def mechanism(name: str, **parameters: Any) -> Mechanism | Adaptive:
    """A mechanism by name.

    Raises:
        UsageError: no such mechanism, or it has no such parameter, or a value is out of range.
    """
    if name not in MECHANISMS:
        raise UsageError(f"mechanism: unknown {name!r}; take one of {', '.join(MECHANISMS)}")
    kind = MECHANISMS[name]
    known = [field.name for field in fields(kind)]
    for key in parameters:
        if key not in known:
            takes = f"takes {', '.join(known)}" if known else "takes none"
            raise UsageError(f"mechanism {name}: unknown parameter {key!r}; it {takes}")
    made: Mechanism | Adaptive = kind(**parameters)
    return made


def load_under(
    structure: Federation | Presences,
    mechanism: Mechanism | Adaptive | str,
    rate: float = 1.0,
    *,
    n_servers: int | None = None,
) -> Load:
    """tx and rx of every server if every room distributes its events by a mechanism.

    Loads add over rooms (but for the adaptive mechanism, which looks at all of them): those of parts of the rooms, each
    with the same ``n_servers``, sum to that of the whole.

    Args:
        structure: a federation, or its presences.
        mechanism: one of this module's, or its name.
        rate: lambda, messages per user and unit of time.
        n_servers: S; default: that of the federation, of presences one more than the largest id in them.

    Raises:
        UsageError: an unknown name, or more servers than ``n_servers``.
    """
    made = _named(mechanism) if isinstance(mechanism, str) else mechanism
    return distribute(structure, made, rate, n_servers=n_servers)[0]


def distribute(
    structure: Federation | Presences,
    mechanism: Mechanism | Adaptive,
    rate: float = 1.0,
    *,
    n_servers: int | None = None,
    capacities: ArrayLike | None = None,
) -> tuple[Load, float]:
    """As :func:`load_under`, and the hops until all servers of the room have an event, on average over the events that
    other servers must hear.

    ``capacities``, (S,), are what the adaptive mechanism weighs loads by; default: all servers are alike.
    """
    presences, size = presences_of(structure, n_servers)
    if isinstance(mechanism, Adaptive):
        adapted = adapt(presences, mechanism.mechanisms, mechanism.objective, capacities, rate=rate, n_servers=size)
        load, rounds = adapted.load, adapted.rounds
    else:
        spread = spread_per_room(mechanism, presences)
        load, rounds = load_by_role(presences, spread, size, rate), spread.rounds
    events = np.where(np.diff(presences.offsets) > 1, room_weight(presences), 0.0)
    return load, float(rounds @ events / events.sum()) if events.sum() > 0 else 0.0


_named = mechanism  # under another name, for the function whose argument is called so
