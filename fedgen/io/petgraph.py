"""Petgraph JSON, as Rust's petgraph serialises a graph with serde and as the Matrix measurement was published.

``{"nodes": [{"kind": "User" | "Server" | "Room", "id": <u64>}, ...], "node_holes": [], "edge_property": "undirected",
"edges": [[a, b, weight], ...]}``. Edges are pairs of node indices in either orientation; weights mean nothing here, and
neither do other keys.

A ``StableGraph`` that lost nodes lists only those left and the vacant indices in ``node_holes``, rising; edges keep the
indices from before. A lost edge is ``null`` (petgraph, ``graph_impl/stable_graph/serialization.rs``).
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct, field, json

from fedgen.errors import FormatError
from fedgen.io.content import decode_json
from fedgen.io.graph import KINDS, edges, kind_codes, listed, nodes, pairing, sizes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from fedgen.federation import Federation
    from fedgen.io.assemble import Pairing

Index = Annotated[int, Meta(ge=0, lt=2**62)]


class Node(Struct, gc=False):
    """A node weight."""

    kind: Literal["User", "Server", "Room", "user", "server", "room"]
    id: int | str


class Graph(Struct):
    """The document."""

    nodes: list[Node]
    edges: list[tuple[Index, Index, Any] | None]
    node_holes: list[Index] = field(default_factory=list)
    edge_property: Literal["undirected", "directed"] = "undirected"


def read(content: bytes) -> Pairing:
    """The pairs that a petgraph document holds."""
    graph = decode_json(content, Graph)
    ends = edge_ends(graph.edges, len(graph.nodes), graph.node_holes)
    kinds = kind_codes([node.kind for node in graph.nodes])
    return pairing(kinds, [node.id for node in graph.nodes], ends[:, 0], ends[:, 1], remarked(graph.edge_property))


def remarked(edge_property: str) -> tuple[str, ...]:
    """What is to be said of the edges."""
    return ("edge directions ignored",) if edge_property == "directed" else ()


def edge_ends(edges: list[tuple[int, int, Any] | None], nodes: int, holes: list[int]) -> NDArray[np.int64]:
    """(E, 2) the positions, among so many nodes, of the ends of all edges but the lost ones.

    Raises:
        FormatError: an edge ends nowhere, or ``holes`` are not node_holes.
    """
    present = [edge for edge in edges if edge is not None]
    index = np.fromiter(chain.from_iterable(edge[:2] for edge in present), dtype=np.int64, count=2 * len(present))
    position = _positions(nodes, holes)
    sound = index < len(position)
    sound[sound] = position[index[sound]] >= 0
    if not sound.all():
        wrong = int(np.argmin(sound))
        edge = f"edge [{present[wrong // 2][0]},{present[wrong // 2][1]}]"
        raise FormatError(f"{edge} ends at node {index[wrong]}, which does not exist; fetch or write the file again")
    return position[index].reshape(-1, 2)


def _positions(nodes: int, holes: list[int]) -> NDArray[np.int64]:
    """For each index that edges may use, the position of its node in the list; -1 at a hole."""
    vacant = np.array(holes, dtype=np.int64)
    if np.any(vacant[1:] <= vacant[:-1]) or (len(vacant) and vacant[-1] >= nodes + len(vacant)):
        raise FormatError("its node_holes do not rise or lie beyond the nodes; fetch or write the file again")
    position = np.full(nodes + len(vacant), -1, dtype=np.int64)
    held = np.ones(len(position), dtype=bool)
    held[vacant] = False
    position[held] = np.arange(nodes)
    return position


def write(federation: Federation, provenance: Mapping[str, Any] | None = None) -> Iterator[bytes]:
    """The document, piece by piece: users, servers, rooms, each with its id in the federation.

    ``provenance`` goes to a key of that name at the end, which readers ignore; None: there is none.
    """
    first = np.cumsum([0, *sizes(federation)])
    yield b'{"nodes":['
    yield from listed([f'{{"kind":"{KINDS[k].capitalize()}","id":{i}}}' for i in ids] for k, ids in nodes(federation))
    yield b'],"node_holes":[],"edge_property":"undirected","edges":['
    yield from listed(
        [
            f"[{a},{b},null]"
            for a, b in zip((e.left + first[e.one]).tolist(), (e.right + first[e.other]).tolist(), strict=True)
        ]
        for e in edges(federation)
    )
    yield closing(provenance)


def closing(provenance: Mapping[str, Any] | None) -> bytes:
    """The end of the document behind its edges, with its provenance if there is one."""
    signed = b"" if provenance is None else b',"provenance":' + json.encode(dict(provenance))
    return b"]" + signed + b"}"
