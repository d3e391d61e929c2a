r"""Layer 1, rooms: how many servers and users each has, and how many of its users on each head server.

*Drawn*: sizes from the laws (:mod:`gen.room_sizes`), then each room inherits its company (:mod:`gen.composition`).

*Measured*: the rooms as they are in the model, head servers and all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fedgen.ragged import offsets_of, take
from gen.apportion import apportion, reconcile
from gen.composition import compose
from gen.room_sizes import draw_sizes
from gen.streams import Stage
from gen.types import row_types

if TYPE_CHECKING:
    from fedgen.federation import Integers
    from fitting.model import Model
    from gen.composition import Composition
    from gen.plan import Plan
    from gen.types import RoomTypes


@dataclass(frozen=True, eq=False)
class Rooms:
    """The rooms before any server of the body is placed.

    Attributes:
        types: (R,) the type of each room: that of the measured room whose company it inherits.
        body_servers: (R,) how many servers of the body each room has.
        body_users: (R,) how many users those have in it, >= body_servers.
        head_offsets: (R + 1,) the head presences of room r are ``head_offsets[r]:head_offsets[r + 1]``.
        head: (P,) the head server of each.
        head_users: (P,) its users in the room.
    """

    types: RoomTypes
    body_servers: Integers
    body_users: Integers
    head_offsets: Integers
    head: Integers
    head_users: Integers

    @property
    def servers(self) -> Integers:
        """k, (R,)."""
        return self.body_servers + np.diff(self.head_offsets)

    @property
    def head_room(self) -> Integers:
        """(P,) the room of each head presence."""
        return np.repeat(np.arange(len(self.body_servers)), np.diff(self.head_offsets))


def draw_rooms(model: Model, plan: Plan) -> Rooms:
    """Draw the plan's rooms: totals near the plan's, every head server in at least one, with all its memberships."""
    rng = plan.stream(Stage.ROOMS)
    if plan.margins == "measured":
        return _measured(model, rng)
    sizes = draw_sizes(model, plan, rng)
    composition = compose(model, plan, sizes, rng)
    present = np.diff(composition.offsets)
    body = np.maximum(sizes.servers - present - composition.struck, (present == 0).astype(np.int64))
    body = np.clip(body, 0, plan.servers - len(plan.head_users))
    shared, of_body = _share(plan, sizes.beyond, body, composition, rng)
    rooms = Rooms(composition.types, body, body + of_body, composition.offsets, composition.head, 1 + shared)
    return _seat_heads(_fill(rooms, plan, rng), model, plan, rng)


def _measured(model: Model, rng: np.random.Generator) -> Rooms:
    table = model.rooms
    row = rng.permutation(np.repeat(np.arange(len(table.number)), table.number))
    head_offsets = offsets_of(np.bincount(table.row, minlength=len(table.number)))
    at = take(head_offsets, row)
    present = offsets_of(np.diff(head_offsets)[row])
    of_heads = np.bincount(table.row, weights=table.head_users, minlength=len(table.number)).astype(np.int64)
    return Rooms(
        row_types(model, row, np.zeros_like(row)),
        table.servers[row] - np.diff(present),
        table.users[row] - of_heads[row],
        present,
        table.head[at],
        table.head_users[at],
    )


def _share(
    plan: Plan, x: Integers, body: Integers, composition: Composition, rng: np.random.Generator
) -> tuple[Integers, Integers]:
    """The users of each room beyond one per server: those of its head servers, and those of its body."""
    present = np.diff(composition.offsets)
    parts = offsets_of(present + 1)  # head servers, then the body
    of_head = np.ones(int(parts[-1]), dtype=bool)
    of_head[parts[1:] - 1] = False
    weights, caps = np.zeros(len(of_head)), np.zeros(len(of_head), dtype=np.int64)
    weights[of_head], caps[of_head] = composition.share, plan.head_users[composition.head] - 1
    weights[~of_head] = composition.body_share
    caps[~of_head] = np.where(body > 0, np.maximum(plan.users - int(plan.head_users.sum()) - body, 0), 0)
    shared = apportion(x, parts, weights, caps, rng)
    return shared[of_head], shared[~of_head]


def _fill(rooms: Rooms, plan: Plan, rng: np.random.Generator) -> Rooms:
    """Enough places for every server of the body to be in a room."""
    n_body = plan.servers - len(plan.head_users)
    if rooms.body_servers.sum() >= n_body:
        return rooms
    low = (np.diff(rooms.head_offsets) == 0).astype(np.int64)
    body = reconcile(np.maximum(rooms.body_servers, low), low, n_body, n_body, rng)
    return replace(rooms, body_servers=body, body_users=np.maximum(rooms.body_users, body))


def _seat_heads(rooms: Rooms, model: Model, plan: Plan, rng: np.random.Generator) -> Rooms:
    """Every head server in a room at least, and its memberships settled, as far as its rooms can hold them."""
    absent = np.setdiff1d(np.arange(len(plan.head_users)), rooms.head)
    if len(absent):
        where = np.concatenate((rooms.head_room, rng.integers(0, plan.rooms, size=len(absent))))
        order = np.argsort(where, kind="stable")
        rooms = replace(
            rooms,
            head_offsets=offsets_of(np.bincount(where, minlength=plan.rooms)),
            head=np.concatenate((rooms.head, absent))[order],
            head_users=np.concatenate((rooms.head_users, np.ones_like(absent)))[order],
        )
    users = rooms.head_users.copy()
    in_room = rooms.body_users + np.bincount(rooms.head_room, rooms.head_users, minlength=plan.rooms)
    memberships, largest = plan.head_memberships, max(int(model.rooms.users.max()), int(in_room.max()))
    for h, n in enumerate(plan.head_users.tolist()):
        mine = np.flatnonzero(rooms.head == h)
        fewest = max(n, len(mine))
        # No room larger than the largest, unless the users would find no place.
        others = in_room[rooms.head_room[mine]].astype(np.int64) - users[mine]
        most = np.clip(largest - others, 1, n)
        if most.sum() < fewest:
            most = np.full(len(mine), n)
        goal = min(max(round(memberships[h]), fewest), int(most.sum()))
        settled = reconcile(users[mine], 1, most, goal, rng)
        in_room[rooms.head_room[mine]] += settled - users[mine]
        users[mine] = settled
    # What the heads were changed by is made up for by the body, as far as every presence has its user.
    body = plan.memberships - int(users.sum())
    low = rooms.body_servers
    of_heads = np.bincount(rooms.head_room, users, minlength=plan.rooms).astype(np.int64)
    high = np.where(low > 0, np.maximum(low, largest - of_heads), 0)
    if high.sum() < body:
        high = np.where(low > 0, plan.users, 0)
    body = min(max(body, int(low.sum())), int(high.sum()))
    return replace(rooms, head_users=users, body_users=reconcile(rooms.body_users, low, high, body, rng))
