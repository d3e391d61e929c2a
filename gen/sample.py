"""Draw a federation from a model: the way from a size to every user.

Presence first, users second: :func:`gen.rooms.draw_rooms` and :func:`gen.servers.draw_servers` draw the margins
(layer 1), :func:`gen.presences.place` puts servers into rooms (layer 2), :func:`gen.users.seat` draws users into
presences (layer 3). Each layer is exact in what the layer above fixed. Last, hub users may move out
(:mod:`gen.decentralization`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from fedgen.progress import silent
from gen.decentralization import decentralize, hub_servers
from gen.districts import district, divide, join
from gen.memory import check_memory
from gen.plan import Plan, make_plan
from gen.presences import place
from gen.rooms import draw_rooms
from gen.servers import draw_servers
from gen.users import seat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fedgen.federation import Federation
    from fedgen.progress import Progress
    from fitting.model import Model
    from gen.districts import Districts
    from gen.plan import Margins
    from gen.scenario import Scenario


def sample(
    model: Model,
    *,
    servers: int | None = None,
    users: int | None = None,
    rooms: int | None = None,
    margins: Margins = "drawn",
    scenario: Scenario | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Federation:
    """Draw a federation.

    Args:
        model: the fitted model.
        servers, users, rooms: exact sizes, >= 1; what is not given keeps its measured ratio to the first that is. None
            given: the measured sizes.
        margins: ``drawn`` from the fitted laws, or the ``measured`` ones of every server, room and user, with all else
            drawn anew; that is for testing the model, and has the measured sizes.
        scenario: what is assumed of a federation of another size (:func:`gen.scenario.read_scenario`); default: it
            grows in proportion.
        seed: the same seed and sizes give the same federation.
        progress: told about each layer.

    Raises:
        UsageError: a size or the seed is not a whole number in its range.
        InfeasibleError: sizes that cannot be met together, or more than the memory of this machine holds.
    """
    plan = make_plan(model, servers=servers, users=users, rooms=rooms, margins=margins, scenario=scenario, seed=seed)
    check_memory(model, plan, whole=True)
    return draw(model, plan, progress)


def draw(model: Model, plan: Plan, progress: Progress = silent) -> Federation:
    """Draw the federation of a plan (:func:`gen.plan.make_plan`) in memory."""
    model = model if plan.crawl is None else plan.crawl.model
    districts = divide(plan)
    if len(districts) > 1:
        federation = join(districts, _one_by_one(model, plan, districts, progress))
    else:
        federation = draw_district(model, plan, progress)
    return federation if plan.scenario.decentralize is None else _moved(federation, model, plan)


def _one_by_one(model: Model, plan: Plan, districts: Districts, progress: Progress) -> Iterator[Federation]:
    for c in range(len(districts)):
        progress("drawing districts", c, len(districts))
        yield draw_district(model, district(plan, districts, c))
    progress("drawing districts", len(districts), len(districts))


def draw_district(model: Model, plan: Plan, progress: Progress = silent) -> Federation:
    """Draw a federation as a whole, or one district of a larger one (:func:`gen.districts.district`)."""
    progress("drawing rooms", 0, 4)
    with threadpool_limits(1, user_api="blas"):  # sums of several threads differ in their last digits
        rooms = draw_rooms(model, plan)
        progress("drawing servers", 1, 4)
        servers = draw_servers(model, plan, rooms)
    progress("placing servers in rooms", 2, 4)
    placement = place(model, plan, rooms, servers)
    progress("seating users", 3, 4)
    federation = seat(model, plan, placement)
    progress("seating users", 4, 4)
    return federation


def _moved(federation: Federation, model: Model, plan: Plan) -> Federation:
    """The federation once users of its hubs have moved to servers of their own."""
    how = plan.scenario.decentralize
    assert how is not None
    hubs = hub_servers(model, plan.heads_kept, plan.head_copies)
    if len(hubs) == 0:
        hubs = np.argmax(federation.users_per_server, keepdims=True)
    return decentralize(federation, hubs, how, plan.seed).federation
