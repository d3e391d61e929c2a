"""The tripartite graph in petgraph, node-link and GraphML files: nodes with kinds and ids, edges between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import FormatError
from fedgen.io.assemble import Pairing, count, distinct, ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from fedgen.federation import Federation, Integers
    from fedgen.io.assemble import Ids, Pairs

KINDS = ("user", "server", "room")
USER, SERVER, ROOM = range(3)

SLICE = 1 << 18
"""Nodes or edges that are turned into text at a time."""


def kind_codes(kinds: Sequence[str]) -> NDArray[np.int8]:
    """(N,) an index into KINDS for each kind, in either case; the first unknown one is refused."""
    codes = {spelling: code for code, kind in enumerate(KINDS) for spelling in (kind, kind.capitalize())}
    try:
        return np.array([codes[kind] for kind in kinds], dtype=np.int8)
    except KeyError as error:
        where = next(i for i, kind in enumerate(kinds) if kind not in codes)
        raise FormatError(f"node {where} has the kind {error}; the kinds are {', '.join(KINDS)}") from None


def pairing(
    kind: NDArray[np.int8],
    labels: Sequence[int | str],
    source: Integers,
    target: Integers,
    remarked: tuple[str, ...] = (),
) -> Pairing:
    """Sort a graph's edges into homes, memberships and presences.

    Args:
        kind: (N,) index into KINDS.
        labels: (N,) id of each node; where two nodes of a kind share one, that kind is numbered by position instead.
        source: (E,) index of a node; the orientation of edges means nothing.
        target: (E,) the other end.
        remarked: what is to be said about the file already.
    """
    remarks = list(remarked)
    named: list[Ids] = []
    place = np.empty(len(kind), dtype=np.int64)
    for code, noun in enumerate(KINDS):
        where = np.flatnonzero(kind == code)
        place[where] = np.arange(len(where))
        own = ids([labels[i] for i in where.tolist()], noun, partial(_node, where))
        if len(set(own) if isinstance(own, list) else np.unique(own)) < len(own):
            remarks.append(f"{noun} ids are not unique; {noun}s are told apart by their place among the nodes")
            own = where.astype(np.uint64)
        named.append(own)
    first, second = kind[source], kind[target]
    loops = int(np.count_nonzero(source == target))
    if loops:
        remarks.append(f"{count(loops, 'self loop')} left out")
    for code, noun in enumerate(KINDS):
        within = int(np.count_nonzero((first == code) & (second == code) & (source != target)))
        if within:
            remarks.append(f"{count(within, f'{noun}-{noun} edge')} left out")

    def between(one: int, other: int) -> Pairs:
        forth, back = (first == one) & (second == other), (first == other) & (second == one)
        return (
            np.concatenate([place[source[forth]], place[target[back]]]),
            np.concatenate([place[target[forth]], place[source[back]]]),
        )

    users, servers, rooms = named
    homes, repeated_homes = distinct(between(USER, SERVER), len(servers))
    presences, repeated_presences = distinct(between(SERVER, ROOM), len(rooms))
    for repeated, noun in ((repeated_homes, "user-server"), (repeated_presences, "server-room")):
        if repeated:
            remarks.append(f"{count(repeated, f'repeated {noun} pair')} left out")
    return Pairing(users, servers, rooms, homes, between(USER, ROOM), presences, tuple(remarks))


def _node(where: NDArray[np.intp], index: int) -> str:
    return f" of node {where[index]}"


def sizes(federation: Federation) -> tuple[int, int, int]:
    """How many nodes of each of KINDS."""
    return federation.n_users, federation.n_servers, federation.n_rooms


def nodes(federation: Federation) -> Iterator[tuple[int, range]]:
    """Its nodes as (kind, ids), a slice at a time."""
    for kind, size in enumerate(sizes(federation)):
        for start in range(0, size, SLICE):
            yield kind, range(start, min(start + SLICE, size))


@dataclass(frozen=True, eq=False)
class Edges:
    """Some edges between two kinds: ``left`` of kind ``one`` to ``right`` of kind ``other``.

    ``users`` is the count of each presence, None for other edges.
    """

    one: int
    left: Integers
    other: int
    right: Integers
    users: Integers | None = None


def edges(federation: Federation) -> Iterator[Edges]:
    """Its edges, a slice at a time: user-server, then user-room, then server-room."""
    p = federation.presences
    for whole in (
        Edges(USER, np.arange(federation.n_users), SERVER, federation.user_server),
        Edges(USER, federation.membership_user, ROOM, federation.membership_room),
        Edges(SERVER, p.server, ROOM, p.room, p.users),
    ):
        for start in range(0, len(whole.left), SLICE):
            part = slice(start, start + SLICE)
            users = None if whole.users is None else whole.users[part]
            yield Edges(whole.one, whole.left[part], whole.other, whole.right[part], users)


def listed(slices: Iterable[list[str]]) -> Iterator[bytes]:
    """The items of a JSON array, a slice at a time, with the commas between them."""
    separator = ""
    for items in slices:
        yield (separator + ",".join(items)).encode()
        separator = ","
