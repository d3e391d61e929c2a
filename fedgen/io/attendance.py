"""An attendance as a file: petgraph JSON (:mod:`fedgen.io.petgraph`) of servers and rooms alone, with users as numbers.

``{"nodes": [{"kind": "Server", "id": 4}, {"kind": "Room", "id": 7, "users": 120}, ...], "node_holes": [],
"edge_property": "undirected", "edges": [[server, room, weight], ...], "provenance": {...}}``. Every room says how many
users it has; edges are the server-room pairs. Provenance may be missing and is ignored on reading, as other keys are.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct, field

from fedgen.attendance import Attendance
from fedgen.errors import FedgenWarning, FormatError
from fedgen.federation import index_dtype
from fedgen.io.assemble import count, name, numbers, order
from fedgen.io.content import decode_json, unpacked
from fedgen.io.graph import ROOM, SLICE, kind_codes, listed, pairing
from fedgen.io.petgraph import Index, closing, edge_ends, remarked
from fedgen.io.recognise import recognise
from fedgen.io.snapshot import told_by_name
from fedgen.provenance import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fedgen.federation import Integers
    from fedgen.io.assemble import Pairing


class Node(Struct, gc=False):
    """A node weight; ``users`` is a room's, bounded so that sums are exact."""

    kind: Literal["Server", "Room", "server", "room"]
    id: int | str
    users: Annotated[int, Meta(ge=0, lt=2**40)] | None = None


class Graph(Struct):
    """The document."""

    nodes: list[Node]
    edges: list[tuple[Index, Index, Any] | None]
    node_holes: list[Index] = field(default_factory=list)
    edge_property: Literal["undirected", "directed"] = "undirected"


@dataclass(frozen=True, eq=False)
class AttendanceSnapshot:
    """An attendance and how it was read.

    Attributes:
        attendance: sound; its invariants were checked.
        remarks: what was odd and was mended or left out, one line each; empty for a clean file.
        digest: sha256 of the file as it lies there.
    """

    attendance: Attendance
    remarks: tuple[str, ...]
    digest: str


def read_attendance(path: str | Path) -> Attendance:
    """Read an attendance; what is odd but harmless is mended with a :class:`~fedgen.errors.FedgenWarning`.

    Raises:
        FormatError: the path holds no attendance that can be trusted; the message says what is wrong and what to do.
    """
    snapshot = read_attendance_snapshot(path)
    for remark in snapshot.remarks:
        warnings.warn(f"{path}: {remark}", FedgenWarning, stacklevel=2)
    return snapshot.attendance


def read_attendance_snapshot(path: str | Path) -> AttendanceSnapshot:
    """As :func:`read_attendance`, with the remarks in the result instead of as warnings."""
    place = Path(path)
    with told_by_name(place):
        if place.is_dir():
            raise FormatError("is a folder, not an attendance; read a federation with fedgen.read")
        content = unpacked(place)
        found = recognise(content)
        if found != "attendance":
            raise FormatError(f"is no attendance but a federation ({found}); read it with fedgen.read")
        attendance, remarks = parse(content)
        attendance.check()
        return AttendanceSnapshot(attendance, remarks, digest(place))


def parse(content: bytes) -> tuple[Attendance, tuple[str, ...]]:
    """The attendance that a document describes, and remarks on what was left out or mended.

    Servers and rooms are numbered by id, as those of a federation are.

    Raises:
        FormatError: a room does not say its users, or no server is in any.
    """
    graph = decode_json(content, Graph)
    ends = edge_ends(graph.edges, len(graph.nodes), graph.node_holes)
    kinds = kind_codes([node.kind for node in graph.nodes])
    pairs = pairing(kinds, [node.id for node in graph.nodes], ends[:, 0], ends[:, 1], remarked(graph.edge_property))
    of_room = [graph.nodes[i].users for i in np.flatnonzero(kinds == ROOM).tolist()]
    if None in of_room:
        which = name("room", pairs.rooms, of_room.index(None))
        raise FormatError(f'{which} does not say how many users it has; give every room a number "users"')
    return _assemble(pairs, np.array(of_room, dtype=np.int64))


def _assemble(pairs: Pairing, users: Integers) -> tuple[Attendance, tuple[str, ...]]:
    remarks = list(pairs.remarks)
    server, room = pairs.presences if pairs.presences is not None else (np.zeros(0, dtype=np.int64),) * 2
    if not len(server):
        raise FormatError("holds no server-room pair; an attendance has at least one server in one room")
    servers_per_room = np.bincount(room, minlength=len(pairs.rooms))
    active, attended = np.bincount(server, minlength=len(pairs.servers)) > 0, servers_per_room > 0
    for kind, of, kept, lack in (
        ("server", pairs.servers, active, "in no room"),
        ("room", pairs.rooms, attended, "with no server"),
    ):
        if not kept.all():
            lost = np.flatnonzero(~kept)
            remarks.append(f"{count(len(lost), kind)} {lack} left out, first {name(kind, of, int(lost[0]))}")
    few = np.flatnonzero(users < servers_per_room)
    if len(few):
        # Honest: a crawl reads the two numbers at different moments.
        first = name("room", pairs.rooms, int(few[0]))
        remarks.append(
            f"{count(len(few), 'room')} with fewer users than servers given one user a server, first {first}"
        )
        users = np.maximum(users, servers_per_room)
    room_order = order(pairs.rooms, attended)
    server_number = numbers(order(pairs.servers, active), len(pairs.servers))[server]
    room_number = numbers(room_order, len(pairs.rooms))[room]
    by_room = np.lexsort((server_number, room_number))
    offsets = np.zeros(len(room_order) + 1, dtype=np.int64)
    np.cumsum(servers_per_room[room_order], out=offsets[1:])
    n_servers = int(active.sum())
    attendance = Attendance(
        n_servers, offsets, server_number[by_room].astype(index_dtype(n_servers)), users[room_order]
    )
    return attendance, tuple(remarks)


def write(attendance: Attendance, provenance: Mapping[str, Any] | None = None) -> Iterator[bytes]:
    """The document, piece by piece: servers, rooms, each with its id in the attendance; provenance last."""
    servers, users = attendance.n_servers, attendance.users_per_room
    yield b'{"nodes":['
    yield from listed(_nodes(servers, users))
    yield b'],"node_holes":[],"edge_property":"undirected","edges":['
    server, room = attendance.presence_server, attendance.presence_room
    yield from listed(
        [
            f"[{a},{b},null]"
            for a, b in zip(
                server[start : start + SLICE].tolist(),
                (room[start : start + SLICE].astype(np.int64) + servers).tolist(),
                strict=True,
            )
        ]
        for start in range(0, len(server), SLICE)
    )
    yield closing(provenance)


def _nodes(servers: int, users: Integers) -> Iterator[list[str]]:
    for start in range(0, servers, SLICE):
        yield [f'{{"kind":"Server","id":{i}}}' for i in range(start, min(start + SLICE, servers))]
    for start in range(0, len(users), SLICE):
        here = users[start : start + SLICE].tolist()
        yield [f'{{"kind":"Room","id":{start + i},"users":{u}}}' for i, u in enumerate(here)]
