"""The outline of a federation: the numbers by which federations of different sizes are compared.

One pass over margins and presences, and one for each other way to distribute events, nothing that grows faster than
they do; so a sweep can take it of every federation it draws and keep nothing else (:mod:`gen.sweep`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.statistics.load import load_per_user, ranking
from fedgen.statistics.structure import hhi, top_share
from fedgen.traffic.equations import load
from fedgen.traffic.mechanisms import load_under

if TYPE_CHECKING:
    from fedgen.federation import Federation, Integers
    from fedgen.traffic.equations import Load


def _labelled(label: str) -> Any:
    return field(metadata={"label": label})


@dataclass(frozen=True)
class Outline:
    """What a sweep keeps of a federation; the load is at rate 1. NaN where nothing is sent: shares of tx and rx."""

    servers: int = _labelled("servers")
    users: int = _labelled("users")
    rooms: int = _labelled("rooms")
    memberships: int = _labelled("memberships")
    presences: int = _labelled("presences")
    rooms_per_user_mean: float = _labelled("mean rooms per user")
    users_per_server_max: int = _labelled("largest server's users")
    top_1_share: float = _labelled("largest server's share of users")
    effective_servers: float = _labelled("effective servers (1/HHI)")
    servers_per_room_median: float = _labelled("median servers per room")
    servers_per_room_p90: float = _labelled("90 % quantile of servers per room")
    servers_per_room_p99: float = _labelled("99 % quantile of servers per room")
    servers_per_room_max: float = _labelled("most servers in a room")
    users_per_room_median: float = _labelled("median users per room")
    users_per_room_p90: float = _labelled("90 % quantile of users per room")
    users_per_room_p99: float = _labelled("99 % quantile of users per room")
    users_per_room_max: float = _labelled("most users in a room")
    transactions: float = _labelled("transactions (T)")
    load_per_user: float = _labelled("transactions per user (T/U)")
    hub_share_tx: float = _labelled("hub's share of tx")
    hub_share_rx: float = _labelled("hub's share of rx")
    largest_tx: float = _labelled("largest tx of a server")
    largest_rx: float = _labelled("largest rx of a server")
    median_tx: float = _labelled("median tx of a server")
    largest_load: float = _labelled("largest tx + rx of a server")
    largest_load_tree: float = _labelled("largest tx + rx under tree")
    largest_load_relays: float = _labelled("largest tx + rx under relays")
    largest_load_shared_relay: float = _labelled("largest tx + rx under shared-relay")
    largest_load_push: float = _labelled("largest tx + rx under push")
    largest_load_plumtree: float = _labelled("largest tx + rx under plumtree")
    largest_load_adaptive: float = _labelled("largest tx + rx under adaptive")
    transactions_push: float = _labelled("transactions under push")
    transactions_plumtree: float = _labelled("transactions under plumtree")


LABELS: dict[str, str] = {one.name: one.metadata["label"] for one in fields(Outline)}
"""How people read each statistic, by its name; in the order of :class:`Outline`."""
LARGEST_LOADS: dict[str, str] = {
    "broadcast": "largest_load",
    **{
        name: f"largest_load_{name.replace('-', '_')}"
        for name in ("tree", "relays", "shared-relay", "push", "plumtree", "adaptive")
    },
}
"""The statistic of the largest load under each mechanism that is looked at; the adaptive one makes it small."""
_QUANTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def outline(federation: Federation) -> Outline:
    """Reduce a federation to its outline; of a hub, the server with most users (then most tx, most rx)."""
    users, traffic = federation.users_per_server, load(federation)
    hub = ranking(users, traffic.tx, traffic.rx)[0]
    total = traffic.total or float("nan")
    under = {name: load_under(federation, name) for name in LARGEST_LOADS if name != "broadcast"}
    return Outline(
        servers=federation.n_servers,
        users=federation.n_users,
        rooms=federation.n_rooms,
        memberships=federation.n_memberships,
        presences=federation.n_presences,
        rooms_per_user_mean=federation.n_memberships / federation.n_users,
        users_per_server_max=int(users.max()),
        top_1_share=top_share(users, 1),
        effective_servers=1.0 / hhi(users),
        **_quantiles("servers_per_room", federation.servers_per_room),
        **_quantiles("users_per_room", federation.users_per_room),
        transactions=traffic.total,
        load_per_user=load_per_user(users, traffic.tx),
        hub_share_tx=float(traffic.tx[hub]) / total,
        hub_share_rx=float(traffic.rx[hub]) / total,
        largest_tx=float(traffic.tx.max()),
        largest_rx=float(traffic.rx.max()),
        median_tx=float(np.median(traffic.tx)),
        **{LARGEST_LOADS[name]: _largest(found) for name, found in {"broadcast": traffic, **under}.items()},
        transactions_push=under["push"].total,
        transactions_plumtree=under["plumtree"].total,
    )


def _largest(found: Load) -> float:
    return float((found.tx + found.rx).max())


def _quantiles(margin: str, sizes: Integers) -> dict[str, float]:
    found = np.quantile(sizes, list(_QUANTILES.values()))
    return {f"{margin}_{name}": float(value) for name, value in zip(_QUANTILES, found, strict=True)}
