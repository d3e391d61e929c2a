r"""Layer 3: which users of a server fill its presences.

The users of a server share its memberships: each is in one room at least, and the rest is apportioned to
rooms-per-user drawn from measured users on servers of the same kind (each head server is a kind of its own; values in
the tail are redrawn from the fitted law), none above m. Then users' stubs meet the presences' slots inside each
server, by the measured mixing of (class of d) with room kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.federation import Federation, index_dtype
from fitting.classes import nearest_kind, pair_kind, size_class
from gen.apportion import apportion, bend
from gen.dealing import deal
from gen.matching import match, shuffled_order
from gen.mixing import Conditional, blend, draw_rows
from gen.ragged import offsets_of
from gen.streams import Stage, stream

if TYPE_CHECKING:
    from fedgen.federation import Integers
    from fitting.model import Model
    from gen.plan import Plan
    from gen.presences import Placement


def seat(model: Model, plan: Plan, placement: Placement) -> Federation:
    """Draw the users and give every presence as many distinct ones as it counts."""
    n, slots = placement.server_users, offsets_of(placement.users)
    group_slots = slots[placement.offsets]
    users = offsets_of(n)
    kind = _server_kinds(plan, placement)
    degree = _degrees(model, plan, kind, users, group_slots, np.diff(placement.offsets))

    rng = stream(plan.seed, Stage.MATCHING)
    small = index_dtype(max(int(slots[-1]), plan.users))
    stub_owner = np.repeat(np.arange(plan.users, dtype=small), degree)
    wish, stub_class = _wishes(model, plan, placement, kind, degree, stub_owner, rng)
    n_classes = int(max(wish.max(), stub_class.max())) + 1
    matching = match(
        blocks=slots,
        block_group=placement.server,
        slot_order=shuffled_order(group_slots, wish, n_classes, np.uint64(_seed(rng))).astype(small),
        stub_order=shuffled_order(group_slots, stub_class, n_classes, np.uint64(_seed(rng))).astype(small),
        stub_owner=stub_owner,
        group_slots=group_slots,
        group_owners=users,
        seed=_seed(rng),
    )
    return Federation.from_pairs(
        np.repeat(np.arange(plan.servers, dtype=index_dtype(plan.servers)), n),
        matching.owner,
        np.repeat(placement.room, placement.users),
        n_servers=plan.servers,
        n_rooms=plan.rooms,
    )


def _server_kinds(plan: Plan, placement: Placement) -> Integers:
    kind = pair_kind(placement.server_users, np.diff(placement.offsets))
    n_heads = len(plan.head_users)
    kind[:n_heads] = -1 - np.arange(n_heads)
    return kind


def _known(kind: Integers, keys: Integers) -> Integers:
    """The position in ``keys`` of each kind: itself for a head server, the nearest measured one for a body server."""
    position = np.searchsorted(keys, kind)
    body = kind >= 0
    first = int(np.searchsorted(keys, 0))
    position[body] = first + nearest_kind(kind[body], keys[first:]) if first < len(keys) else 0
    return position


def _degrees(model: Model, plan: Plan, kind: Integers, users: Integers, group_slots: Integers, m: Integers) -> Integers:
    """d of every user, (U,): sums to its server's memberships, 1 <= d <= m."""
    rng = stream(plan.seed, Stage.DEGREES)
    table = model.degrees
    by_kind = Conditional(table.kind, table.rooms, table.number)
    n = np.diff(users)
    known = _known(kind, by_kind.keys)
    alike = by_kind.draw(np.repeat(known, n), rng)
    law = model.laws["d"].tail_law
    if law is not None:
        tail = alike >= law.xmin
        alike[tail] = model.margins["d"].redraw(alike[tail], rng, top=int(table.rooms.max()))
    e, top = np.diff(group_slots), int(table.rooms.max())
    caps = np.where(e <= n * top, np.minimum(m, top), m) - 1
    beyond, most = e - n, np.repeat(caps, n)
    drawn = _of_kinds(np.minimum(alike - 1, most), known, n, beyond, rng)
    dealt = deal(drawn, known, beyond, n, caps, _seed(rng))
    return 1 + apportion(beyond, users, bend(beyond, users, dealt, most), most, rng)


def _of_kinds(values: Integers, kind: Integers, n: Integers, totals: Integers, rng: np.random.Generator) -> Integers:
    """Values brought to the totals of their kinds of servers."""
    of_value = np.repeat(kind, n)
    order = np.argsort(of_value, kind="stable")
    n_kinds = int(kind.max()) + 1
    ends = offsets_of(np.bincount(of_value, minlength=n_kinds))
    goal = np.bincount(kind, weights=totals, minlength=n_kinds).astype(np.int64)
    unbounded = np.full(len(values), max(int(totals.max()), int(values.max())))
    settled = np.empty_like(values)
    settled[order] = apportion(goal, ends, bend(goal, ends, values[order], unbounded), unbounded, rng)
    return settled


def _wishes(
    model: Model,
    plan: Plan,
    placement: Placement,
    kind: Integers,
    degree: Integers,
    stub_owner: Integers,
    rng: np.random.Generator,
) -> tuple[Integers, Integers]:
    """The class of d that each slot wishes for, and that each stub has."""
    table = model.memberships
    kinds, first = np.unique(table.kind, return_index=True)
    group = _known(kind, kinds)
    k = np.bincount(placement.room, minlength=plan.rooms)
    u = np.bincount(placement.room, weights=placement.users, minlength=plan.rooms).astype(np.int64)
    room_kinds, room_column = np.unique(np.concatenate((table.room_kind, pair_kind(k, u - k + 1))), return_inverse=True)
    n_columns = len(room_kinds)
    measured_column, room_column = room_column[: len(table.number)], room_column[len(table.number) :]

    classes = size_class(degree)
    stub_class = classes[stub_owner].astype(np.int8)
    n_classes = int(max(classes.max(), table.degree_class.max())) + 1
    user_group = group[np.repeat(np.arange(plan.servers), placement.server_users)]
    stubs = np.bincount(user_group * n_classes + classes, weights=degree, minlength=len(kinds) * n_classes)
    column = group[placement.server] * n_columns + room_column[placement.room]
    slots = np.bincount(column, weights=placement.users, minlength=len(kinds) * n_columns)

    blended = np.zeros((n_classes, len(kinds) * n_columns))
    ends = np.append(first[1:], len(table.kind))
    for g in range(len(kinds)):
        at = slice(first[g], ends[g])
        measured = np.zeros((n_classes, n_columns))
        np.add.at(measured, (table.degree_class[at], measured_column[at]), table.number[at])
        mine = slice(g * n_columns, (g + 1) * n_columns)
        blended[:, mine] = blend(measured, stubs[g * n_classes : (g + 1) * n_classes], slots[mine])
    wish = draw_rows(blended, np.repeat(column, placement.users), rng).astype(np.int8)
    return wish, stub_class


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 2**63))
