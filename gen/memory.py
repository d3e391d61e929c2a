"""Whether a federation fits the memory of this machine, asked before it is drawn.

A federation that goes to a directory is held district by district (:mod:`gen.districts`), as many at once as there
are processes, and of all others the sizes of servers and rooms; one that stays in memory is held whole besides.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import InfeasibleError
from gen.decentralization import movers_of
from gen.districts import district, divide

if TYPE_CHECKING:
    from fitting.model import Model
    from gen.plan import Plan

# Bytes, with some air; how they were measured is told in benchmarks/README.md.
_ROW, _PRESENCE, _SIZE = 40, 200, 48
_HELD_ROW, _HELD_PRESENCE = 16, 48
_MOVED_ROW = 32
_SURE = 0.97  # of the memory: what is named shall fit, however its sizes are rounded
_SIZES = ("servers", "users", "rooms", "memberships", "presences")


def check_memory(model: Model, plan: Plan, *, whole: bool, processes: int = 1) -> None:
    """Refuse what would die half-way.

    Args:
        model, plan: what is to be drawn.
        whole: whether the federation stays in memory.
        processes: how many districts are drawn at once on this machine.

    Raises:
        InfeasibleError: tells how much would fit.
    """
    moved = movers_of(model, plan) if whole else 0
    needed = _needed(plan, moved, whole=whole, processes=processes)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        most, refused = 1, plan.servers
        while refused - most > 1:  # districts make steps, so it is tried
            servers = (most + refused) // 2
            factor = servers / plan.servers
            fits = _needed(_scaled(plan, factor), moved * factor, whole=whole, processes=processes) <= _SURE * there
            most, refused = (servers, refused) if fits else (most, servers)
        raise InfeasibleError(
            f"a federation of {plan.servers + moved} servers and {plan.users + plan.memberships} users and memberships "
            f"needs about {needed / 2**30:.1f} GiB of memory, this machine has {there / 2**30:.1f}; "
            f"at these proportions give at most {most} servers"
        )


def _needed(plan: Plan, moved: float, *, whole: bool, processes: int) -> float:
    """Bytes; ``moved`` users get servers of their own."""
    districts = divide(plan)
    part = district(plan, districts, 0)
    at_once = 1 if whole else min(processes, len(districts))
    needed: float = at_once * (_ROW * (part.users + part.memberships) + _PRESENCE * part.presences)
    needed += _SIZE * (plan.servers + plan.rooms)
    if whole:
        rows, presences = plan.users + plan.memberships, plan.presences + moved * plan.memberships / plan.users
        needed += _HELD_ROW * rows + _HELD_PRESENCE * presences + (_MOVED_ROW * rows if moved else 0)
    return needed


def _scaled(plan: Plan, factor: float) -> Plan:
    """A plan of other sizes at the same proportions, to ask what it would need."""
    sizes = {name: max(1, round(getattr(plan, name) * factor)) for name in _SIZES}
    head_users = np.maximum(np.rint(plan.head_users * factor), 1).astype(np.int64)
    return replace(plan, **sizes, head_users=head_users, head_memberships=plan.head_memberships * factor)
