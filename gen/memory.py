"""Whether a federation fits the memory of this machine, asked before it is drawn.

A federation that goes to a directory is held district by district (:mod:`gen.districts`), as many at once as there
are processes, and of all others the sizes of servers and rooms; one that stays in memory is held whole besides.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fedgen.errors import InfeasibleError
from gen.decentralization import movers_of
from gen.districts import district, divide

if TYPE_CHECKING:
    from fitting.model import Model
    from gen.plan import Plan

# Bytes, with some air; how they were measured is told in benchmarks/README.md.
_ROW, _PRESENCE, _SIZE = 60, 200, 48
_HELD_ROW, _HELD_PRESENCE = 24, 48
_MOVED_ROW = 60


def check_memory(model: Model, plan: Plan, *, whole: bool, processes: int = 1) -> None:
    """Refuse what would die half-way.

    Args:
        model, plan: what is to be drawn.
        whole: whether the federation stays in memory.
        processes: how many districts are drawn at once on this machine.

    Raises:
        InfeasibleError: tells how much would fit.
    """
    districts = divide(plan)
    part = district(plan, districts, 0)
    at_once = 1 if whole else min(processes, len(districts))
    needed = at_once * (_ROW * (part.users + part.memberships) + _PRESENCE * part.presences)
    needed += _SIZE * (plan.servers + plan.rooms)
    rows, moved = plan.users + plan.memberships, 0
    if whole:
        moved = movers_of(model, plan)
        presences = plan.presences + round(moved * plan.memberships / plan.users)
        needed += _HELD_ROW * rows + _HELD_PRESENCE * presences + (_MOVED_ROW * rows if moved else 0)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise InfeasibleError(
            f"a federation of {plan.servers + moved} servers and {rows} users and memberships needs about "
            f"{needed / 2**30:.0f} GiB of memory, this machine has {there / 2**30:.0f}; "
            f"at these proportions give at most {int(plan.servers * there / needed)} servers"
        )
