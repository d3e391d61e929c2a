"""Node-link JSON, as networkx writes and reads it: ``networkx.node_link_graph`` of it is ``Federation.to_networkx()``.

Nodes are ``{"kind": "user", "id": ["user", 0]}``, edges ``{"source": ["user", 0], "target": ["server", 3]}``. On
reading, an id is an integer, a string or such a pair of kind and id; the edges stand under "edges" or "links".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from msgspec import Struct

from fedgen.errors import FormatError
from fedgen.io.content import decode_json
from fedgen.io.graph import KINDS, edges, kind_codes, listed, nodes, pairing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fedgen.federation import Federation
    from fedgen.io.assemble import Pairing
    from fedgen.io.graph import Edges

Key = int | str | tuple[str, int | str]


class Node(Struct, gc=False):
    """A node."""

    kind: Literal["user", "server", "room", "User", "Server", "Room"]
    id: Key


class Link(Struct, gc=False):
    """An edge."""

    source: Key
    target: Key


class Document(Struct):
    """The document."""

    nodes: list[Node]
    edges: list[Link] | None = None
    links: list[Link] | None = None
    directed: bool = False


def read(content: bytes) -> Pairing:
    """The pairs that a node-link document holds."""
    document = decode_json(content, Document)
    joined = document.edges if document.edges is not None else document.links
    if joined is None:
        raise FormatError('has neither "edges" nor "links"; write it with networkx.node_link_data')
    index = {node.id: i for i, node in enumerate(document.nodes)}
    if len(index) < len(document.nodes):
        raise FormatError("two nodes have the same id, so its edges are ambiguous; give every node its own")
    try:
        source = np.array([index[link.source] for link in joined], dtype=np.int64)
        target = np.array([index[link.target] for link in joined], dtype=np.int64)
    except KeyError as error:
        shown = str(error)[:80]
        raise FormatError(f"an edge ends at node {shown}, which does not exist; write the file again") from None
    labels = [node.id[1] if isinstance(node.id, tuple) else node.id for node in document.nodes]
    remarks = ("edge directions ignored",) if document.directed else ()
    return pairing(kind_codes([node.kind for node in document.nodes]), labels, source, target, remarks)


def write(federation: Federation) -> Iterator[bytes]:
    """The document, piece by piece."""
    yield b'{"directed":false,"multigraph":false,"graph":{},"nodes":['
    yield from listed([f'{{"kind":"{KINDS[k]}","id":["{KINDS[k]}",{i}]}}' for i in ids] for k, ids in nodes(federation))
    yield b'],"edges":['
    yield from listed(_links(batch) for batch in edges(federation))
    yield b"]}"


def _links(batch: Edges) -> list[str]:
    start, middle = f'{{"source":["{KINDS[batch.one]}",', f'],"target":["{KINDS[batch.other]}",'
    pairs = zip(batch.left.tolist(), batch.right.tolist(), strict=True)
    if batch.users is None:
        return [f"{start}{a}{middle}{b}]}}" for a, b in pairs]
    return [f'{start}{a}{middle}{b}],"users":{c}}}' for (a, b), c in zip(pairs, batch.users.tolist(), strict=True)]
