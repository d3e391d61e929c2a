"""GraphML, for graph tools: the tripartite graph of ``Federation.to_networkx()`` with plain names.

Nodes are named ``user 0``, ``server 0``, ``room 0`` and carry the attributes ``kind`` and ``id``; server-room edges
carry ``users``. On reading, a node's id is its attribute ``id``, or its name where no node has one.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from fedgen.errors import FormatError
from fedgen.io.graph import KINDS, edges, kind_codes, nodes, pairing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fedgen.federation import Federation
    from fedgen.io.assemble import Pairing
    from fedgen.io.graph import Edges

_HEADER = """<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
<key id="kind" for="node" attr.name="kind" attr.type="string"/>
<key id="id" for="node" attr.name="id" attr.type="long"/>
<key id="users" for="edge" attr.name="users" attr.type="long"/>
<graph edgedefault="undirected">
"""


def read(content: bytes) -> Pairing:
    """The pairs that a GraphML document holds.

    Parsed event by event, since networkx takes a hundred times longer than JSON for the size of the 2018 snapshot.
    """
    if b"<!DOCTYPE" in content:
        raise FormatError("declares a document type, through which XML can do harm; remove the DOCTYPE")
    try:
        names, kinds, labels, ends, directed = _parse(content)
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the last two: an unknown encoding
        raise FormatError(f"is broken XML ({error}); fetch or write it again") from None
    index = {node: i for i, node in enumerate(names)}
    if len(index) < len(names):
        raise FormatError("two nodes have the same id, so its edges are ambiguous; give every node its own")
    for node, kind in zip(names, kinds, strict=True):
        if kind is None:
            raise FormatError(f"node {node[:60]!r} has no attribute kind; give each one of {', '.join(KINDS)}")
    lost = next((end for end in ends if end not in index), None)
    if lost is not None:
        raise FormatError(f"an edge ends at node {lost[:60]!r}, which does not exist; fetch or write it again")
    place = np.array([index[end] for end in ends], dtype=np.int64).reshape(-1, 2)
    given = names if not any(labels) else [label or "" for label in labels]
    remarks = ("edge directions ignored",) if directed else ()
    return pairing(kind_codes([kind or "" for kind in kinds]), given, place[:, 0], place[:, 1], remarks)


def _parse(content: bytes) -> tuple[list[str], list[str | None], list[str | None], list[str], bool]:
    """Node names, kinds and ids, the two ends of each edge in turn, and whether edges are directed."""
    keys: dict[str, str] = {}
    names: list[str] = []
    kinds: list[str | None] = []
    labels: list[str | None] = []
    ends: list[str] = []
    directed = False
    graph: ElementTree.Element | None = None
    for event, element in ElementTree.iterparse(io.BytesIO(content), events=("start", "end")):
        tag = element.tag.rpartition("}")[2]
        if event == "start":
            if tag == "graph":
                directed = element.get("edgedefault") == "directed"
            if graph is None or tag == "graph":
                graph = element
            continue
        assert graph is not None
        if tag == "key" and element.get("for") in ("node", "all"):
            keys[element.get("id", "")] = element.get("attr.name", "")
        elif tag == "node":
            data = {keys.get(part.get("key", "")): (part.text or "").strip() for part in element}
            names.append(element.get("id", ""))
            kinds.append(data.get("kind"))
            labels.append(data.get("id"))
            graph.clear()
        elif tag == "edge":
            ends += element.get("source", ""), element.get("target", "")
            graph.clear()
        elif tag == "hyperedge":
            raise FormatError("holds hyperedges, which a federation has not; write user-room edges instead")
    return names, kinds, labels, ends, directed


def write(federation: Federation) -> Iterator[bytes]:
    """The document, piece by piece."""
    yield _HEADER.encode()
    for kind, ids in nodes(federation):
        noun = KINDS[kind]
        yield "".join(
            [f'<node id="{noun} {i}"><data key="kind">{noun}</data><data key="id">{i}</data></node>\n' for i in ids]
        ).encode()
    for batch in edges(federation):
        yield "".join(_lines(batch)).encode()
    yield b"</graph>\n</graphml>\n"


def _lines(batch: Edges) -> Iterator[str]:
    start, middle = f'<edge source="{KINDS[batch.one]} ', f'" target="{KINDS[batch.other]} '
    pairs = zip(batch.left.tolist(), batch.right.tolist(), strict=True)
    if batch.users is None:
        return (f'{start}{a}{middle}{b}"/>\n' for a, b in pairs)
    counts = zip(pairs, batch.users.tolist(), strict=True)
    return (f'{start}{a}{middle}{b}"><data key="users">{c}</data></edge>\n' for (a, b), c in counts)
