"""Broken input: each gives one line that says what is wrong and what to do, and never another exception."""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgen.errors import FormatError
from fedgen.federation import Federation
from fedgen.io import content, read_snapshot, write

TABLE = b"user,server,room\n0,0,0\n"
ZEROS = 1 << 16


def zipped(*members: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for i, member in enumerate(members):
            archive.writestr(f"{i}.json", member)
    return sink.getvalue()


def encrypted() -> bytes:
    archive = bytearray(zipped(TABLE))
    archive[archive.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    return bytes(archive)


def petgraph(nodes: list[Any] | None = None, edges: list[Any] | None = None, **more: Any) -> bytes:
    kinds = [{"kind": "User", "id": 5}, {"kind": "Server", "id": 6}, {"kind": "Room", "id": 7}]
    whole = {"nodes": kinds if nodes is None else nodes, "edges": [[0, 1, None], [0, 2, None], [1, 2, None]]}
    return json.dumps(whole | ({} if edges is None else {"edges": edges}) | more).encode()


def node_link(nodes: list[Any], edges: list[Any]) -> bytes:
    return json.dumps({"directed": False, "nodes": nodes, "edges": edges}).encode()


def graphml(body: str) -> bytes:
    keys = '<key id="kind" for="node" attr.name="kind"/>'
    return f'<graphml xmlns="http://graphml.graphdrawing.org/xmlns">{keys}<graph>{body}</graph></graphml>'.encode()


def parquet() -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"user": [1]}), sink)
    return sink.getvalue()


USER, SERVER, ROOM = ({"kind": kind, "id": 1} for kind in ("User", "Server", "Room"))

BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty; give a file"),
    "blank": (b"\n \n", "is not in a format that fedgen knows; fedgen reads"),
    "junk": (bytes(range(256)), "is not in a format that fedgen knows; fedgen reads"),
    "prose": (b"Dear Sir or Madam,\n", "is not in a format that fedgen knows; fedgen reads"),
    "utf-16": ("user,server,room\n0,0,0\n".encode("utf-16"), "is UTF-16; convert it to UTF-8"),
    "semicolons": (TABLE.replace(b",", b";"), "separates its columns by ';'; write it again with commas"),
    "tabs": (TABLE.replace(b",", b"\t"), "separates its columns by tabs; write it again with commas"),
    # packing
    "gz empty": (gzip.compress(b""), "is empty inside its compression"),
    "gz cut off": (gzip.compress(os.urandom(999))[:500], "is cut off in the middle of its compressed data; fetch"),
    "gz header only": (b"\x1f\x8b\x08\x00", "is cut off in the middle of its compressed data; fetch"),
    "gz damaged": (gzip.compress(TABLE)[:-8] + bytes(8), "its compressed data are damaged (CRC check failed"),
    "gz in gz": (gzip.compress(gzip.compress(TABLE)), "is packed twice; unpack it once"),
    "gz bomb": (gzip.compress(bytes(8 * ZEROS)), "unpacks to more than 0 MiB from"),
    "zip bomb": (zipped(bytes(8 * ZEROS)), "unpacks to more than 0 MiB from"),
    "zip empty": (zipped(), "is a zip of 0 files; a zipped federation is one file"),
    "zip of two": (zipped(TABLE, TABLE), "is a zip of 2 files; a zipped federation is one file"),
    "zip cut off": (zipped(TABLE)[:60], "its compressed data are damaged (File is not a zip file)"),
    "zip encrypted": (encrypted(), "is an encrypted zip; unpack it first"),
    # other people's files
    "parquet": (parquet(), "is a single parquet table; give the federation directory"),
    "html": (b"<html></html>", "is XML but no GraphML; fedgen reads"),
    "model": (b'{"laws": {}, "version": 1}', "is JSON but no federation (its keys: 'laws, version'); fedgen reads"),
    "list": (b"[1, 2]", "is JSON of the wrong shape (Expected `object`, got `array`); see"),
    "locust": (b'{"Room 0": [1, 2]}', "is a locust room list, which does not say the servers of users; give"),
    # JSON
    "json cut off": (petgraph()[:-9], "is broken JSON (Input data was truncated); fetch or write it again"),
    "json nan": (petgraph([USER | {"id": float("nan")}]), "is broken JSON (JSON is malformed: invalid character"),
    "json utf-8": (b'{"nodes":[{"kind":"User","id":"\xff"}],"edges":[]}', "is JSON with invalid UTF-8; convert"),
    "json deep": (b'{"nodes":' + b"[" * 10**5, "is JSON nested too deeply"),
    "no edges": (b'{"nodes":[]}', "is JSON of the wrong shape (Object missing required field `edges`)"),
    "float id": (petgraph([USER | {"id": 1.5}]), "(Expected `int | str`, got `float` - at `$.nodes[0].id`)"),
    "no id": (petgraph([{"kind": "User"}]), "(Object missing required field `id` - at `$.nodes[0]`)"),
    "null id": (petgraph([USER | {"id": None}]), "(Expected `int | str`, got `null` - at `$.nodes[0].id`)"),
    "negative id": (
        petgraph([USER | {"id": -3}], []),
        "user id -3 of node 0 is negative; write ids as integers >= 0 or as names",
    ),
    "huge id": (
        petgraph([USER | {"id": 2**64}], []),
        "user id 18446744073709551616 of node 0 is beyond 64 bits; write ids below",
    ),
    "endless id": (petgraph([USER | {"id": 9}], []).replace(b"9", b"9" * 5000), "; "),
    "endless index": (petgraph(edges=[[8, 1, None]]).replace(b"8", b"9" * 5000), "; "),
    "csv endless": (TABLE + b"9" * 5000 + b",1,1\n", "is beyond 64 bits; write ids below 2^64 or as names"),
    "empty id": (petgraph([USER | {"id": ""}], []), "user id of node 0 is empty; give every user an id"),
    "unknown kind": (petgraph([USER | {"kind": "Bot"}]), "Invalid enum value 'Bot' - at `$.nodes[0].kind`"),
    "dangling": (petgraph(edges=[[0, 9, None]]), "edge [0,9] ends at node 9, which does not exist; fetch"),
    "hole": (petgraph(node_holes=[0]), "edge [0,1] ends at node 0, which does not exist; fetch"),
    "wild holes": (petgraph(node_holes=[2, 1]), "its node_holes do not rise or lie beyond the nodes"),
    "far hole": (petgraph(node_holes=[4]), "its node_holes do not rise or lie beyond the nodes"),
    "negative index": (petgraph(edges=[[0, -1, None]]), "(Expected `int` >= 0 - at `$.edges[0][1]`)"),
    "long edge": (petgraph(edges=[[0, 1, 2, 3]]), "(Expected `array` of length 3 - at `$.edges[0]`)"),
    "no nodes": (petgraph([], []), "holds no membership; a federation has at least one user in one room"),
    "no membership": (petgraph(edges=[[0, 1, None]]), "holds no membership; a federation has at least one"),
    "homeless": (petgraph(edges=[[0, 2, None]]), "user 5 is in a room but on no server; give every user exactly"),
    "two servers": (
        petgraph([USER, SERVER, SERVER | {"id": 2}, ROOM], [[0, 1, None], [2, 0, None], [0, 3, None]]),
        "user 1 is on two servers, server 1 and server 2; give every user exactly one server",
    ),
    "node-link dangling": (node_link([USER], [{"source": 1, "target": 9}]), "an edge ends at node 9, which does not"),
    "node-link twice": (node_link([USER, ROOM], [{"source": 1, "target": 1}]), "two nodes have the same id"),
    "node-link no edges": (b'{"nodes":[],"directed":false}', 'has neither "edges" nor "links"; write it with'),
    # XML
    "xml broken": (graphml("<node"), "is broken XML ("),
    "xml encoding": (b'<?xml version="1.0" encoding="nonsense"?><graphml/>', "is broken XML (unknown encoding"),
    "xml entities": (b'<!DOCTYPE graphml [<!ENTITY a "b">]><graphml/>', "declares a document type, through which"),
    "xml empty": (graphml(""), "holds no membership"),
    "xml outside": (b'<graphml><node id="a"/></graphml>', "node 'a' has no attribute kind; give each one of"),
    "xml no kind": (graphml('<node id="a"/>'), "node 'a' has no attribute kind; give each one of user, server, room"),
    "xml kind": (graphml('<node id="a"><data key="kind">bot</data></node>'), "node 0 has the kind 'bot'; the kinds"),
    "xml dangling": (graphml('<edge source="a" target="b"/>'), "an edge ends at node 'a', which does not exist"),
    "xml twice": (graphml('<node id="a"/><node id="a"/>'), "two nodes have the same id"),
    "xml hyperedge": (graphml("<hyperedge/>"), "holds hyperedges, which a federation has not"),
    # CSV
    "no column": (b"user,room\n0,0\n", "has no column server in its header; needs user,server,room"),
    "one column": (b"user,name\n0,0\n", "has no column server and no column room in its header; needs"),
    "column twice": (b"user,server,room,user\n0,0,0,0\n", "has the column user twice; leave one"),
    "header only": (b"user,server,room\n", "holds no membership"),
    "header alone": (b"user,server,room", "holds no membership"),
    "short row": (TABLE + b"1,1\n", "is a broken CSV (Row #3: Expected 3 columns, got 2: 1,1); write it again"),
    "csv utf-8": (TABLE + b"\xff,1,1\n", "is a broken CSV ("),
    "csv nan": (
        TABLE + b"nan,1,1\n",
        "user id 'nan' in row 3 is no whole number >= 0; write ids as integers or as names",
    ),
    "csv negative": (
        TABLE + b"1,-1,1\n",
        "server id '-1' in row 3 is no whole number >= 0; write ids as integers or as names",
    ),
    "csv float": (
        TABLE + b"1,1,1.0\n",
        "room id '1.0' in row 3 is no whole number >= 0; write ids as integers or as names",
    ),
    "csv huge": (TABLE + b"18446744073709551616,1,1\n", "user id 18446744073709551616 in row 3 is beyond 64 bits"),
    "csv missing": (TABLE + b"1,,1\n", "server id in row 3 is empty; give every server an id"),
    "csv two servers": (TABLE + b"0,1,1\n", "user 0 is on two servers, server 0 and server 1; give every user"),
    "csv blank": (TABLE + b"1,  ,1\n", "server id in row 3 is empty; give every server an id"),
    "csv late": (TABLE + b"1,0,0\n\n" + b"1,0,2\n" * 9 + b"1,0, 2.5 \n", "room id '2.5' in row 13 is no whole"),
    "csv named": (b"user,server,room\n@a:x,x,r\n@a:x,y,r\n", "user '@a:x' is on two servers, server 'x' and"),
}


@pytest.mark.parametrize(("data", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_one_line_that_says_what_and_where(
    data: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "BOMB_BYTES", 4 * ZEROS)  # so that the bombs here can be small
    path = tmp_path / "input"
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        read_snapshot(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert message in line
    assert "; " in line
    assert "\n" not in line
    assert len(line) < len(str(path)) + 260


def test_large_but_plausible_content_is_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "BOMB_BYTES", 100)
    (tmp_path / "f.csv.gz").write_bytes(gzip.compress(TABLE + b"".join(b"%d,0,0\n" % i for i in range(1, 999))))
    assert read_snapshot(tmp_path / "f.csv.gz").federation.n_users == 999


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"none\.csv: does not exist; check the path$"):
        read_snapshot(tmp_path / "none.csv")


def test_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(FormatError, match=r"f/g: cannot be read \(Not a directory\); check the path"):
        read_snapshot(tmp_path / "f" / "g")


def test_fifo_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(FormatError, match="fifo: is neither a file nor a folder; copy its content"):
        read_snapshot(tmp_path / "fifo")


def test_device() -> None:
    with pytest.raises(FormatError, match=r"^/dev/zero: is neither a file nor a folder; copy its content"):
        read_snapshot("/dev/zero")


def test_too_large_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(_: Path) -> bytes:
        raise MemoryError

    monkeypatch.setattr("fedgen.io.snapshot.unpacked", exhausted)
    (tmp_path / "f").touch()
    with pytest.raises(FormatError, match=r"f: does not fit into memory; use a machine with more$"):
        read_snapshot(tmp_path / "f")


def written(name: str, format_name: str | None) -> bytes:
    federation = Federation.from_pairs([0, 0, 1], [0, 2, 0, 1, 2], [0, 0, 1, 1, 1])
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(federation, path, format_name)
        return path.read_bytes()


SEEDS = [written(name, None) for name in ("f.csv", "f.csv.gz", "f.json", "f.json.gz", "f.json.zip", "f.graphml")]
SEEDS.append(written("f.json", "node-link"))


def test_a_zip_of_a_later_version_is_refused(tmp_path: Path) -> None:
    data = bytearray(written("f.json.zip", None))
    data[data.index(b"PK\x01\x02") + 6] = 64  # the version needed to extract
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(FormatError, match=r"zip file version 6\.4"):
        read_snapshot(tmp_path / "f")


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 2**16), st.binary(max_size=3), st.integers(0, 3)), min_size=1, max_size=4),
)
@settings(max_examples=400)
def test_no_damage_raises_anything_else(seed: bytes, damage: list[tuple[int, bytes, int]]) -> None:
    """Some bytes replaced, added or removed: either still a sound federation, or one line."""
    data = seed
    for place, replacement, removed in damage:
        at = place % (len(data) + 1)
        data = data[:at] + replacement + data[at + removed :]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "f"
        path.write_bytes(data)
        with suppress(FormatError):
            read_snapshot(path).federation.check()


@given(st.binary(max_size=200))
def test_no_junk_raises_anything_else(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "f"
        path.write_bytes(data)
        with pytest.raises(FormatError):
            read_snapshot(path)
