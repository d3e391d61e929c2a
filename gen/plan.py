"""Sizes: from what the user asks for to a plan that can be met.

Growth is proportional where nothing else is asked: with one size given the others keep their measured ratio to it;
the rooms per user and per server stay as measured, the size of rooms follows from the totals, and every head server
keeps its share of the users. The size of rooms is bounded as measured, the tail of users per server is not.

A federation of S servers keeps at most S / 2 of the model's head servers, those with most memberships; the users of
the others go to the body. So a federation of one server is a plain one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from fedgen.errors import InfeasibleError, UsageError
from fedgen.provenance import versions
from fitting.model import Model
from gen.apportion import reconcile

Margins = Literal["drawn", "measured"]

if TYPE_CHECKING:
    from fedgen.federation import Integers
    from fitting.model import Sizes


_BYTES_PER_ROW = 130
_BYTES_PER_PRESENCE = 160


@dataclass(frozen=True, eq=False)
class Plan:
    """What will be drawn.

    Attributes:
        servers, users, rooms: S, U, R: exact.
        memberships, presences: M, K: aimed at; the draw decides.
        head_users: (H,) users of each head server that is kept, in the model's order: exact.
        seed: of the draw.
        model: digest of the model.
        measured: sizes of the measurement.
        margins: ``drawn`` from the laws, or as ``measured``.
    """

    servers: int
    users: int
    rooms: int
    memberships: int
    presences: int
    head_users: Integers
    seed: int
    model: str
    measured: Sizes
    margins: Margins = "drawn"

    @property
    def regions(self) -> int:
        """How many times as large as the measurement, in servers."""
        return max(1, round(self.servers / self.measured.servers))

    def to_dict(self) -> dict[str, Any]:
        """The plan as it is written to ``plan.json``; numbers under ``growth`` are factors over the measurement."""
        measured = self.measured
        sizes = {"servers": self.servers, "users": self.users, "rooms": self.rooms}
        return {
            "fedgen": version("fedgen"),
            "model": self.model,
            "margins": self.margins,
            "sizes": sizes,
            "expected": {"memberships": self.memberships, "presences": self.presences},
            "growth": {
                **{name: size / getattr(measured, name) for name, size in sizes.items()},
                "head_servers": len(self.head_users),
                "head_users": "constant share",
                "rooms_per_user": self.memberships / self.users / (measured.memberships / measured.users),
                "rooms_per_server": self.presences / self.servers / (measured.presences / measured.servers),
                "users_per_room": self.memberships / self.rooms / (measured.memberships / measured.rooms),
                "largest_room": "as measured",
                "regions": self.regions,
            },
            "seed": self.seed,
            "versions": versions(),
        }


def make_plan(
    model: Model,
    *,
    servers: int | None = None,
    users: int | None = None,
    rooms: int | None = None,
    margins: Margins = "drawn",
    seed: int = 0,
) -> Plan:
    """Settle the sizes of a federation.

    Args:
        model: the fitted model. servers, users, rooms: >= 1; what is not given follows the first that is, in
        proportion; none given: as measured. margins: ``measured`` has the measured sizes and no other. seed: >= 0.

    Raises:
        UsageError: a size or the seed is not a whole number in its range, or no such margins.
        InfeasibleError: fewer users than servers, or more than the memory of this machine holds.
    """
    if not isinstance(model, Model):
        raise UsageError(f"sample takes a Model, not {type(model).__name__}; load a file with fedgen.Model.load")
    for name, size in (("servers", servers), ("users", users), ("rooms", rooms)):
        if size is not None and (not _whole(size) or size < 1):
            raise UsageError(f"{name}: {size} is not a size; give a whole number from 1 up")
    if not _whole(seed) or seed < 0:
        raise UsageError(f"seed: {seed} is not a seed; give a whole number from 0 up")
    if margins not in get_args(Margins):
        raise UsageError(f"margins: {margins!r} is not known; give {' or '.join(get_args(Margins))}")
    s = model.sizes
    if margins == "measured":
        for name, size in (("servers", servers), ("users", users), ("rooms", rooms)):
            if size not in (None, getattr(s, name)):
                raise InfeasibleError(
                    f"measured margins are those of {getattr(s, name)} {name}, not of {size}; "
                    f"leave --{name} out or draw the margins"
                )
    factor = next((a / b for a, b in ((servers, s.servers), (users, s.users), (rooms, s.rooms)) if a is not None), 1.0)
    n_servers = servers if servers is not None else max(1, round(factor * s.servers))
    n_users = users if users is not None else max(n_servers, round(factor * s.users))
    n_rooms = rooms if rooms is not None else max(1, round(factor * s.rooms))
    if servers is None:
        n_servers = min(n_servers, n_users)
    if n_users < n_servers:
        raise InfeasibleError(
            f"{n_users} users cannot be on {n_servers} servers, every server has a user; "
            f"give at least {n_servers} users or at most {n_users} servers"
        )
    memberships = _within(n_users * s.memberships / s.users, max(n_users, n_rooms), n_users * n_rooms)
    presences = _within(
        n_servers * s.presences / s.servers, max(n_servers, n_rooms), min(n_servers * n_rooms, memberships)
    )
    _fits_memory(n_servers, n_users + memberships, presences)
    return Plan(
        servers=n_servers,
        users=n_users,
        rooms=n_rooms,
        memberships=memberships,
        presences=presences,
        head_users=model.heads.users if margins == "measured" else _head_users(model, n_servers, n_users),
        seed=int(seed),
        model=model.digest,
        measured=s,
        margins=margins,
    )


def _fits_memory(n_servers: int, rows: int, presences: int) -> None:
    """Refuse what would die half-way: bytes per row as measured, with some air (benchmarks/README.md)."""
    needed = _BYTES_PER_ROW * rows + _BYTES_PER_PRESENCE * presences
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise InfeasibleError(
            f"a federation of {n_servers} servers, {presences} presences and {rows} users and memberships needs about "
            f"{needed / 2**30:.0f} GiB of memory, this machine has {there / 2**30:.0f}; "
            f"at these proportions give at most {int(n_servers * there / needed)} servers"
        )


def _head_users(model: Model, n_servers: int, n_users: int) -> Integers:
    kept = min(len(model.heads.users), n_servers // 2)
    users = np.maximum(1, np.rint(model.heads.users[:kept] * (n_users / model.sizes.users))).astype(np.int64)
    most = n_users - (n_servers - kept)  # one user at least is left for every other server
    if users.sum() > most:
        users = reconcile(users, 1, n_users, most, np.random.default_rng(0))
    return users


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _within(value: float, low: int, high: int) -> int:
    return max(low, min(high, round(value)))
