r"""Layer 3: which users of a server fill its presences.

The users of a server share its memberships: each is in one room at least, and the rest is apportioned to
rooms-per-user drawn from measured users on servers of the same kind (each head server is a kind of its own; values
in the tail are redrawn from the fitted law), none above m. Each then inherits the company of a measured user
(:mod:`gen.inheritance`): on the measured server that its server inherits from, the one of its rank by rooms. That
makes a stub of a known type for each of its rooms, and stubs meet the presences' slots inside each server by type
(:mod:`gen.meeting`). Last, users change places until they meet again as often as they should (:mod:`gen.company`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.federation import Federation, index_dtype
from fedgen.ragged import offsets_of, take
from fitting.classes import nearest_kind, pair_kind
from gen.apportion import apportion, bend
from gen.company import reunite_users
from gen.conditional import Conditional
from gen.dealing import deal
from gen.inheritance import use_tickets
from gen.matching import match
from gen.meeting import meet
from gen.streams import Stage, stream
from gen.types import EVERYWHERE, RoomTypes, abroad

if TYPE_CHECKING:
    from fedgen.federation import Integers
    from fitting.model import Model
    from gen.meeting import Level
    from gen.plan import Plan
    from gen.presences import Placement


def seat(model: Model, plan: Plan, placement: Placement) -> Federation:
    """Draw the users and give every presence as many distinct ones as it counts."""
    n, slots = placement.server_users, offsets_of(placement.users)
    group_slots = slots[placement.offsets]
    users = offsets_of(n)
    rng = stream(plan.seed, Stage.MATCHING)
    if plan.margins == "measured":
        row = _rows(model)[take(_row_offsets(model), placement.like)]
        # As measured; where a server had to leave a room for another one they give way.
        most = np.repeat(np.diff(placement.offsets) - 1, n)
        degree = 1 + apportion(np.diff(group_slots) - n, users, model.users.rooms[row] - 1, most, rng)
    else:
        degree = _degrees(model, plan, placement, users, group_slots)
        row = _inherit(model, placement, users, _by_degree(degree, n))

    small = index_dtype(max(int(slots[-1]), plan.users))
    home = np.repeat(np.arange(plan.servers, dtype=small), n)
    slot_room = np.repeat(placement.room, placement.users)
    stub_owner = np.repeat(np.arange(plan.users, dtype=small), degree)
    stub_type = _stub_types(model, plan, placement, home, row, degree, rng)
    server = np.repeat(placement.server.astype(small), placement.users)
    span = plan.regions * placement.types.span
    slot_type = placement.types.take(slot_room)
    nowhere = np.flatnonzero(slot_type.region == EVERYWHERE)
    slot_type.region[nowhere] = _at_home(placement, plan, server[nowhere], rng)
    stub_of = meet(
        len(slot_room),
        _inside(server, slot_type, span, plan.regions),
        _inside(home[stub_owner], stub_type, span, plan.regions),
        rng,
    )
    by_type = np.lexsort((placement.types.in_region[placement.room], placement.server))
    order = take(slots, by_type)
    matching = match(
        blocks=slots,
        block_group=placement.server,
        slot_order=order.astype(small),
        stub_order=stub_of[order].astype(small),
        stub_owner=stub_owner,
        group_slots=group_slots,
        group_owners=users,
        seed=_seed(rng),
    )
    federation = Federation.from_pairs(
        home.astype(index_dtype(plan.servers)),
        matching.owner,
        slot_room,
        n_servers=plan.servers,
        n_rooms=plan.rooms,
    )
    return reunite_users(federation, plan, model, placement.types, _seed(rng))


def _stub_types(
    model: Model,
    plan: Plan,
    placement: Placement,
    home: Integers,
    row: Integers,
    degree: Integers,
    rng: np.random.Generator,
) -> RoomTypes:
    """The type of room that each stub is for, user after user: the tickets of the row that the user inherits from."""
    region = _at_home(placement, plan, home, rng)
    rows = offsets_of(np.bincount(model.profiles.user, minlength=len(model.users.number)))
    entry = take(rows, row)
    user = np.repeat(np.arange(plan.users, dtype=home.dtype), np.diff(rows)[row])
    used = use_tickets(model.profiles.number[entry], user, degree, rng)
    anywhere = abroad(np.repeat(region, degree), plan, rng)
    return RoomTypes(model.types, model.profiles.type[np.repeat(entry, used)], anywhere)


def _at_home(placement: Placement, plan: Plan, server: Integers, rng: np.random.Generator) -> Integers:
    """The region of users of each of ``server``; users of head servers are in any that their copy serves."""
    region = placement.region[server]
    of_heads = np.flatnonzero(region < 0)
    copy = -1 - region[of_heads]
    # Copy c serves the regions c, c + copies, c + 2 copies, ...
    served = np.maximum((plan.regions - copy + plan.head_copies - 1) // plan.head_copies, 1)
    region[of_heads] = (copy + plan.head_copies * rng.integers(0, served)) % plan.regions
    return region


def _inside(server: Integers, types: RoomTypes, span: np.int64, regions: int) -> list[Level]:
    """Levels to meet by inside each server; ``span`` is more than any level has."""

    def inside(level: Level) -> Level:
        return lambda at: server[at] * span + level(at)

    return [inside(level) for level in types.levels(regions)]


def _rows(model: Model) -> Integers:
    """The row of the model's users of every measured user, server after server, fewest rooms first."""
    return np.repeat(np.arange(len(model.users.number)), model.users.number)


def _row_offsets(model: Model) -> Integers:
    """Where the users of each server begin in :func:`_rows`: heads, the last one first, then the body."""
    n_heads = len(model.heads.users)
    of_server = np.bincount(
        model.users.server + n_heads, weights=model.users.number, minlength=n_heads + len(model.servers.users)
    )
    return offsets_of(of_server.astype(np.int64))


def _inherit(model: Model, placement: Placement, users: Integers, order: Integers | None = None) -> Integers:
    """The row of the model's users that each user inherits from, (U,): that of its rank on the server.

    Ranks are by ``order``, the users of each server sorted; default: as they are numbered.
    """
    n = placement.server_users
    server = np.repeat(np.arange(len(n)), n)
    order = np.arange(len(server)) if order is None else order
    rank = np.arange(len(server)) - np.repeat(users[:-1], n)
    begin = _row_offsets(model)
    there = np.diff(begin)[placement.like][server]
    row = np.empty(len(server), dtype=np.int64)
    row[order] = _rows(model)[begin[placement.like][server] + (2 * rank + 1) * there // (2 * n[server])]
    return row


def _by_degree(degree: Integers, n: Integers) -> Integers:
    """Users sorted by server, then d; equals are exchangeable and stay in their order."""
    return np.argsort(np.repeat(np.arange(len(n)), n) * (np.int64(degree.max()) + 1) + degree, kind="stable")


def _server_kinds(plan: Plan, placement: Placement) -> Integers:
    kind = pair_kind(placement.server_users, np.diff(placement.offsets))
    n_heads = len(plan.head_users)
    kind[:n_heads] = -1 - np.arange(n_heads) % max(plan.heads_kept, 1)
    return kind


def _known(kind: Integers, keys: Integers) -> Integers:
    """The position in ``keys`` of each kind: itself for a head server, the nearest measured one for a body server."""
    position = np.searchsorted(keys, kind)
    body = kind >= 0
    first = int(np.searchsorted(keys, 0))
    position[body] = first + nearest_kind(kind[body], keys[first:]) if first < len(keys) else 0
    return position


def _degrees(model: Model, plan: Plan, placement: Placement, users: Integers, group_slots: Integers) -> Integers:
    """d of every user, (U,): sums to its server's memberships, 1 <= d <= m."""
    rng = stream(plan.seed, Stage.DEGREES)
    kind, m = _server_kinds(plan, placement), np.diff(placement.offsets)
    table, body = model.users, model.servers
    measured_kind = table.server.copy()
    of_body = table.server >= 0
    measured_kind[of_body] = pair_kind(body.users, body.rooms)[table.server[of_body]]
    order = np.lexsort((table.rooms, measured_kind))
    by_kind = Conditional(measured_kind[order], table.rooms[order], table.number[order])
    n = np.diff(users)
    known = _known(kind, by_kind.keys)
    alike = by_kind.draw(np.repeat(known, n), rng)
    law = model.laws["d"].tail_law
    if law is not None:
        same = table.rooms[_inherit(model, placement, users)]
        tail = same >= law.xmin
        alike[~tail] = _bulk(alike[~tail], law.xmin, rng)
        alike[tail] = model.margins["d"].redraw(same[tail], rng, top=int(table.rooms.max()))
    e, top = np.diff(group_slots), int(table.rooms.max())
    caps = np.where(e <= n * top, np.minimum(m, top), m) - 1
    beyond, most = e - n, np.repeat(caps, n)
    drawn = _of_kinds(np.minimum(alike - 1, most), known, n, beyond, rng)
    dealt = deal(drawn, known, beyond, n, caps, _seed(rng))
    return 1 + apportion(beyond, users, bend(beyond, users, dealt, most), most, rng)


def _bulk(alike: Integers, xmin: float, rng: np.random.Generator) -> Integers:
    """Values below the tail: those beyond are exchanged for others at random."""
    within = alike[alike < xmin]
    if len(within) == 0:
        return alike
    return np.where(alike < xmin, alike, rng.choice(within, size=len(alike)))


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


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 2**63))
