r"""Layer 3: which users of a server fill its presences.

How many rooms each user is in, and whose company each inherits, is drawn first (:mod:`gen.degrees`). A user's tickets
are those of a measured user: the types of their rooms. They make a stub of a known type for each of the user's rooms,
and stubs meet the presences' places inside each server by type (:mod:`gen.seating`). Last, users change places until
they meet again as often as they should (:mod:`gen.company`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.federation import Federation, index_dtype
from fedgen.ragged import offsets_of, order_of
from fitting.classes import STEP
from gen.company import reunite_users
from gen.degrees import draw_degrees
from gen.seating import Levels, Places, Stubs, by_room, fill
from gen.streams import Stage, draw_seed
from gen.types import EVERYWHERE

if TYPE_CHECKING:
    from fedgen.federation import Integers
    from fitting.model import Model
    from gen.plan import Plan
    from gen.presences import Placement


def seat(model: Model, plan: Plan, placement: Placement) -> Federation:
    """Draw the users and give every presence as many distinct ones as it counts."""
    rng = plan.stream(Stage.MATCHING)
    types = len(model.types.kind)
    region = placement.types.region[placement.room]
    region = np.where(region == EVERYWHERE, plan.regions, region)
    code = region * types + placement.types.type[placement.room]
    by_code = order_of(placement.server, code)
    room = placement.room[by_code]
    places = Places(placement.offsets, offsets_of(placement.users[by_code]), code[by_code].astype(np.int32))
    degrees = draw_degrees(model, plan, placement)
    n = placement.server_users
    tickets, of_row = _tickets(model)
    stubs = Stubs(
        users=offsets_of(n),
        runs=degrees.offsets,
        number=degrees.number,
        rooms=degrees.rooms,
        row=degrees.row,
        tickets=tickets,
        type=of_row,
        region=placement.region,
    )
    stays = plan.scenario.growth.locality == 0.0 and not np.any(placement.types.region == EVERYWHERE)
    owner = fill(places, stubs, _levels(model, plan, stays), draw_seed(rng))
    offsets = offsets_of(np.bincount(room, np.diff(places.blocks), minlength=plan.rooms).astype(np.int64))
    home = np.repeat(np.arange(plan.servers, dtype=index_dtype(plan.servers)), n)
    federation = Federation(plan.servers, home, offsets, by_room(owner, places.blocks, room, offsets))
    return reunite_users(federation, plan, model, placement.types, draw_seed(rng))


def _tickets(model: Model) -> tuple[Integers, Integers]:
    """Where the tickets of each row of the model's users begin, (rows + 1,), and the type that each names."""
    profiles = model.profiles
    d = np.bincount(profiles.user, profiles.number, minlength=len(model.users.number)).astype(np.int64)
    return offsets_of(d), np.repeat(profiles.type, profiles.number).astype(np.int32)


def _levels(model: Model, plan: Plan, stays: bool) -> Levels:
    """The type in its region; where there are several the community and the class of k there; then the type, the
    community, the kind anywhere; by the kind in order.

    ``stays``: nobody leaves a region, and every room is of one. Else rooms of every region come second.
    """
    table, regions = model.types, plan.regions
    types = len(table.kind)
    type_, region = np.tile(np.arange(types), regions + 1), np.repeat(np.arange(regions + 1), types)
    nobody = (regions + 1) * types
    anywhere = region == regions

    def rank(values: Integers) -> Integers:
        return np.unique(values, return_inverse=True)[1]

    def at_home(part: Integers) -> tuple[Integers, Integers]:
        key = region * types + part[type_]
        return np.where(anywhere, nobody, key), key

    def wherever(part: Integers) -> tuple[Integers, Integers]:
        return part[type_], part[type_]

    community, kind, servers = rank(table.community), rank(table.kind), rank(table.kind // STEP)
    levels = [at_home(np.arange(types))]
    near = [at_home(community), at_home(servers)] if regions > 1 else []
    if stays:
        levels += near
    n_home = len(levels) if stays else 0
    if not stays:
        levels += [(np.where(anywhere, type_, nobody), type_), *near]
    levels += [wherever(np.arange(types)), wherever(community), wherever(kind)]
    places, stubs = (np.array(keys, dtype=np.int32) for keys in zip(*levels, strict=True))
    return Levels(places, stubs, types, regions, plan.head_copies, plan.scenario.growth.locality, n_home)
