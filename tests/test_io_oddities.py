"""What is odd but harmless is mended, counted and told; the rules are those of docs/formats.md."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fedgen.errors import FedgenWarning
from fedgen.federation import Federation
from fedgen.io import read, read_snapshot

if TYPE_CHECKING:
    from pathlib import Path

U0, U1, S0, S1, R0, R1 = range(6)
KINDS = ["User", "User", "Server", "Server", "Room", "Room"]
EDGES = [[U0, S0], [U1, S1], [U0, R0], [U1, R0], [U1, R1], [S0, R0], [S1, R0], [S1, R1]]
SOUND = Federation.from_pairs([0, 1], [0, 1, 1], [0, 0, 1])


def petgraph(
    extra_nodes: list[tuple[str, int]] | None = None,
    extra_edges: list[list[int]] | None = None,
    edges: list[list[int]] = EDGES,
    ids: list[Any] | None = None,
    **more: Any,
) -> str:
    labels = ids or [10, 11, 20, 21, 30, 31]
    nodes = [*zip(KINDS, labels, strict=True), *(extra_nodes or [])]
    return json.dumps(
        {
            "nodes": [{"kind": kind, "id": label} for kind, label in nodes],
            "edges": [[a, b, None] for a, b in [*edges, *(extra_edges or [])]],
            **more,
        }
    )


ODD: dict[str, tuple[str, list[str]]] = {
    "sound": (petgraph(), []),
    "user in no room": (petgraph([("User", 7)], [[6, S0]]), ["1 user in no room left out, first user 7"]),
    "user on its own": (petgraph([("User", 7)]), ["1 user in no room left out, first user 7"]),
    "deserted servers": (
        petgraph([("Server", 7), ("Server", 8), ("User", 9)], [[8, 7]]),
        ["1 user in no room left out, first user 9", "2 servers with no user in a room left out, first server 7"],
    ),
    "empty room": (petgraph([("Room", 7)]), ["1 room with no user left out, first room 7"]),
    "repeated edges": (
        petgraph(extra_edges=[[S0, U0], [R0, U0], [R0, U0], [R1, S1]]),
        [
            "1 repeated user-server pair left out",
            "1 repeated server-room pair left out",
            "2 repeated user-room pairs left out",
        ],
    ),
    "self loops": (petgraph(extra_edges=[[U0, U0], [R0, R0]]), ["2 self loops left out"]),
    "edges within a kind": (
        petgraph(extra_edges=[[U0, U1], [S0, S1], [R0, R1], [R1, R0]]),
        ["1 user-user edge left out", "1 server-server edge left out", "2 room-room edges left out"],
    ),
    "directed": (petgraph(edge_property="directed"), ["edge directions ignored"]),
    "presence missing": (
        petgraph(edges=EDGES[:-1]),
        ["1 server-room pair missing from the file, added from the memberships, first server 21 in room 31"],
    ),
    "presence without users": (
        petgraph(extra_edges=[[S0, R1]]),
        ["1 server-room pair without a membership left out, first server 20 in room 31"],
    ),
    "presence of a deserted server": (
        petgraph([("Server", 7)], [[6, R0]]),
        [
            "1 server with no user in a room left out, first server 7",
            "1 server-room pair without a membership left out, first server 7 in room 30",
        ],
    ),
    "ids not unique": (
        petgraph(ids=[5, 5, 20, 21, 30, 31]),
        ["user ids are not unique; users are told apart by their place among the nodes"],
    ),
    "one id for every kind": (petgraph(ids=[1, 2, 1, 2, 1, 2]), []),
    "names": (petgraph(ids=["@b:x", "@a:y", "x", "y", "!a", "!b"]), []),
    "numbers as strings": (petgraph(ids=["9", "10", "9", "10", "9", "10"]), []),
    "numbers among names": (petgraph(ids=[1, "a", 1, "a", 1, "a"]), []),
    "csv rows repeated": (
        "server,user,room\n0,0,0\n1,1,0\n1,1,1\n1,1,1\n0,0,0\n",
        ["2 repeated user-room pairs left out"],
    ),
    "csv more columns": ("a,user,b,server,room\n,0,,0,0\nx,1,,1,0\n,1,,1,1\n", ["columns a, b ignored"]),
    "csv bom, quotes, spaces": ('\ufeffuser, "server",room\n0,0,0\n"1",1,0\n\n1,1,1', []),
    "csv in capitals": ("USER,Server,Room\n0,0,0\n1,1,0\n1,1,1\n", []),
    "csv blanks": ("user, server, room\n0, 0, 0\n1 ,\t1,0\n 1,1, 1\n", []),
    "csv zero-padded": ("user,server,room\n007,0,00\n07,1,00\n07,1,01\n", []),
}  # fmt: skip


@pytest.mark.parametrize(("text", "remarks"), ODD.values(), ids=ODD.keys())
def test_mended_and_told(text: str, remarks: list[str], tmp_path: Path) -> None:
    (tmp_path / "f").write_text(text, encoding="utf-8")
    snapshot = read_snapshot(tmp_path / "f")
    assert list(snapshot.remarks) == remarks
    assert snapshot.federation.same_as(SOUND)


def test_read_warns_of_each_remark(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(petgraph(extra_edges=[[U0, U0]], edge_property="directed"))
    with pytest.warns(FedgenWarning) as caught:
        federation = read(tmp_path / "f")
    assert federation.same_as(SOUND)
    assert [str(warning.message) for warning in caught] == [
        f"{tmp_path}/f: edge directions ignored",
        f"{tmp_path}/f: 1 self loop left out",
    ]
    assert caught[0].filename == __file__


def test_directed_node_link(tmp_path: Path) -> None:
    document = {
        "directed": True,
        "nodes": [{"id": i, "kind": kind.lower()} for i, kind in enumerate(KINDS)],
        "links": [{"source": a, "target": b, "weight": 1} for a, b in EDGES],
    }
    (tmp_path / "f").write_text(json.dumps(document))
    snapshot = read_snapshot(tmp_path / "f")
    assert snapshot.format == "node-link"
    assert snapshot.remarks == ("edge directions ignored",)
    assert snapshot.federation.same_as(SOUND)


def test_long_names_are_shortened(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(petgraph([("Room", "r" * 999)], ids=[0, 1, 0, 1, 0, 1]))  # type: ignore[list-item]
    (remark,) = read_snapshot(tmp_path / "f").remarks
    assert remark == f"1 room with no user left out, first room '{'r' * 57}...'"
