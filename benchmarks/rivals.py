"""What one would use instead of fedgen: generators of a federation that take the measured one itself.

Each redraws who is in which room and leaves the users on their servers, every user with as many rooms as measured. They
differ in what a user's memberships may be exchanged with: anybody's (configuration model), those of the same server, so
that the presences stay as measured, or those of the same block (degree-corrected block model).
"""

from __future__ import annotations

from collections import Counter, deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fedgen.federation import Federation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Integers = NDArray[Any]

TRIES = 100
"""Partners that a double membership is offered before it takes whichever comes."""
BLIND = 20_000
"""Such exchanges before the double memberships that are left are dropped."""


class Drawn(NamedTuple):
    """A federation, and how many of its memberships were dropped because they stood twice and could not be repaired."""

    federation: Federation
    dropped: int


class Blocks(NamedTuple):
    """The block of each user (U,) and of each room (R,), counted from 0, and what found them."""

    user: Integers
    room: Integers
    found_by: str


def configuration(measured: Federation, seed: int) -> Drawn:
    """The bipartite configuration model, blind for servers: u_r and d_u as measured, all else by chance."""
    return _dealt(measured, np.zeros(measured.n_memberships, dtype=np.int64), seed)


def presences_copied(measured: Federation, seed: int) -> Drawn:
    """Every presence keeps its count; who of the server's users fills it is drawn, by their numbers of rooms."""
    return _dealt(measured, measured.user_server[measured.membership_user], seed)


def block_model(measured: Federation, seed: int) -> Drawn:
    """The microcanonical degree-corrected block model of users and rooms (Peixoto, Phys. Rev. E 95, 012317, 2017).

    u_r, d_u and the number of memberships between each block of users and each of rooms are as measured; all else is by
    chance. The blocks are found once.

    Raises:
        ModuleNotFoundError: there is neither graph-tool nor igraph to find blocks.
    """
    blocks, rng = find_blocks(measured), np.random.default_rng(seed)
    of_users, of_rooms = blocks.user[measured.membership_user], blocks.room[measured.membership_room]
    room = _within(of_rooms, measured.membership_room, rng)
    user = _mended(_within(of_users, measured.membership_user, rng), room, of_users, rng)
    # Where a block has few users they cannot be exchanged, but their rooms can.
    return _built(measured, user, _mended(room, user, of_rooms, rng))


RIVALS: Mapping[str, Callable[[Federation, int], Drawn]] = {
    "configuration": configuration,
    "presences copied": presences_copied,
    "block model": block_model,
}
"""By what they are called in tables."""


@lru_cache(maxsize=1)
def find_blocks(measured: Federation) -> Blocks:
    """Blocks of users and rooms: by graph-tool where it is to be had, else igraph's Leiden communities.

    Raises:
        ModuleNotFoundError: neither is there.
    """
    edges = np.column_stack((measured.membership_user, measured.membership_room.astype(np.int64) + measured.n_users))
    try:
        label, found_by = _by_graph_tool(edges, measured.n_users, measured.n_rooms)
    except ImportError:
        label, found_by = _by_igraph(edges, measured.n_users + measured.n_rooms)
    sides = (np.unique(side, return_inverse=True)[1] for side in (label[: measured.n_users], label[measured.n_users :]))
    user, room = sides
    return Blocks(user, room, f"{found_by}: {user.max() + 1} blocks of users, {room.max() + 1} of rooms")


def _by_graph_tool(edges: Integers, users: int, rooms: int) -> tuple[Integers, str]:
    """The partition of least description length; users and rooms apart."""
    import graph_tool
    from graph_tool.inference import minimize_blockmodel_dl

    graph_tool.seed_rng(1)
    np.random.seed(1)  # noqa: NPY002  graph-tool draws from it as well
    graph = graph_tool.Graph(directed=False)
    graph.add_vertex(users + rooms)
    graph.add_edge_list(edges)
    kind = graph.new_vertex_property("int", vals=np.repeat((0, 1), (users, rooms)))
    state = minimize_blockmodel_dl(graph, state_args={"clabel": kind, "pclabel": kind, "deg_corr": True})
    return np.array(state.get_blocks().a), f"graph-tool {graph_tool.__version__.split()[0]}"


def _by_igraph(edges: Integers, nodes: int) -> tuple[Integers, str]:
    """Communities of greatest modularity (Traag, Waltman and van Eck, Scientific Reports 9, 5233, 2019)."""
    import random

    import igraph

    random.seed(1)  # which igraph draws from
    graph = igraph.Graph(n=nodes, edges=edges)
    found = graph.community_leiden(objective_function="modularity", n_iterations=-1)
    return np.array(found.membership), f"igraph {igraph.__version__}, Leiden"


def _dealt(measured: Federation, group: Integers, seed: int) -> Drawn:
    """Users exchanged at random among the memberships of the same ``group`` (M,)."""
    rng = np.random.default_rng(seed)
    user = _within(group, measured.membership_user, rng)
    return _built(measured, _mended(user, measured.membership_room, group, rng), measured.membership_room)


def _built(measured: Federation, user: Integers, room: Integers) -> Drawn:
    """The federation of these memberships, each once."""
    kept = np.ones(len(user), dtype=bool)
    kept[_twice(user, room)] = False
    drawn = Federation.from_pairs(
        measured.user_server, user[kept], room[kept], n_servers=measured.n_servers, n_rooms=measured.n_rooms
    )
    return Drawn(drawn, len(user) - drawn.n_memberships)


def _mended(user: Integers, room: Integers, group: Integers, rng: np.random.Generator) -> Integers:
    """``user`` (M,) after exchanges within groups that leave few double memberships or none; likewise rooms."""
    order, size = np.argsort(group, kind="stable").tolist(), np.bincount(group)
    start, length, of = (np.cumsum(size) - size).tolist(), size.tolist(), group.tolist()
    who, where = user.tolist(), room.tolist()
    held = Counter(zip(who, where, strict=True))
    work, blind = deque(_twice(user, room).tolist()), 0
    while work and blind < BLIND:
        one = work.popleft()
        if held[who[one], where[one]] == 1:
            continue  # mended meanwhile
        for chance in rng.random(TRIES).tolist():
            other = order[start[of[one]] + int(chance * length[of[one]])]
            made = (who[other], where[one]), (who[one], where[other])
            if not (made[0] in held or made[1] in held):
                break
        else:
            # No exchange mends it at once: the last one on offer, and see what comes of it.
            blind += 1
            work.extend((one, other))
        for place in (one, other):
            held[who[place], where[place]] -= 1
            if not held[who[place], where[place]]:
                del held[who[place], where[place]]
        who[one], who[other] = who[other], who[one]
        held.update(made)
    return np.array(who, dtype=user.dtype)


def _within(group: Integers, values: Integers, rng: np.random.Generator) -> Integers:
    """``values`` shuffled among the places of the same group."""
    shuffled = np.empty_like(values)
    shuffled[np.argsort(group, kind="stable")] = values[np.lexsort((rng.random(len(values)), group))]
    return shuffled


def _twice(user: Integers, room: Integers) -> Integers:
    """The places whose user is in the room by another place before."""
    order = np.lexsort((user, room))
    same = (np.diff(user[order]) == 0) & (np.diff(room[order]) == 0)
    return order[1:][same]
