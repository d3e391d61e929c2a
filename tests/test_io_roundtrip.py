"""What is written comes back id by id, in every format and packing; the same federation gives the same bytes."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgen.errors import UsageError
from fedgen.federation import Federation
from fedgen.io import FORMATS, guess, read, read_snapshot, write
from fedgen.io import csv as table
from fedgen.io.assemble import assemble
from fedgen.io.petgraph import read as read_petgraph
from tests.strategies import federations

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = [
    ("f.csv", None, "csv"),
    ("f.csv.gz", None, "csv"),
    ("f.json", None, "petgraph"),
    ("f.json.gz", None, "petgraph"),
    ("f.json.zip", None, "petgraph"),
    ("f.graphml", None, "graphml"),
    ("f.graphml.gz", None, "graphml"),
    ("f.json", "node-link", "node-link"),
    ("folder", None, "parquet"),
    # Recognised by content: the name may lie.
    ("f.csv", "petgraph", "petgraph"),
    ("f.json", "csv", "csv"),
    ("f.csv.zip", None, "csv"),
]


@pytest.mark.parametrize(("name", "asked", "told"), NAMES)
@given(federation=federations())
@settings(max_examples=25)
def test_comes_back_id_by_id(name: str, asked: str | None, told: str, federation: Federation) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(federation, path, asked)
        snapshot = read_snapshot(path)
    assert snapshot.federation.same_as(federation)
    assert snapshot.format == told
    assert snapshot.remarks == ()


@pytest.mark.parametrize("format_name", FORMATS)
def test_same_federation_same_bytes(format_name: str, tmp_path: Path) -> None:
    federation = Federation.from_pairs([0, 0, 1], [0, 2, 0, 1, 2], [0, 0, 1, 1, 1])
    for name in ("one.gz", "two.gz", "one.zip", "two.zip"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
    results = []
    for copy in ("a", "b"):
        (tmp_path / copy).mkdir()
        path = tmp_path / copy / "f.gz"
        write(federation, path, format_name, jobs=1 if copy == "a" else 2)
        files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        results.append([file.read_bytes() for file in files])
    assert results[0]
    assert results[0] == results[1]


def test_gzip_names_neither_file_nor_time(tmp_path: Path) -> None:
    write(Federation.from_pairs([0], [0], [0]), tmp_path / "secret.csv.gz")
    header = (tmp_path / "secret.csv.gz").read_bytes()[:10]
    assert header[3] == 0  # no file name
    assert header[4:8] == bytes(4)  # no time


@given(federations())
@settings(max_examples=25)
def test_networkx_reads_what_fedgen_writes(federation: Federation) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "f.json"
        write(federation, path, "node-link")
        graph = networkx.node_link_graph(json.loads(path.read_text()), edges="edges")
        assert networkx.utils.graphs_equal(graph, federation.to_networkx())
        write(federation, Path(folder) / "f.graphml")
        plain = networkx.read_graphml(Path(folder) / "f.graphml")
        named = networkx.relabel_nodes(federation.to_networkx(), {(k, i): f"{k} {i}" for k, i in graph})
        assert plain.adj == named.adj
        assert {node: data["kind"] for node, data in plain.nodes(data=True)} == dict(named.nodes(data="kind"))


@pytest.mark.parametrize("key", ["edges", "links"])
def test_reads_what_networkx_writes(key: str, tmp_path: Path) -> None:
    federation = Federation.from_pairs([0, 0, 1], [0, 2, 0, 1, 2], [0, 0, 1, 1, 1])
    graph = federation.to_networkx()
    (tmp_path / "f.json").write_text(json.dumps(networkx.node_link_data(graph, edges=key), indent=1))
    assert read(tmp_path / "f.json").same_as(federation)
    plain = networkx.relabel_nodes(graph, {(k, i): f"{k[0]}{i}" for k, i in graph})
    networkx.write_graphml(plain, tmp_path / "f.graphml")
    assert read(tmp_path / "f.graphml").same_as(federation)


def test_locust_lists_the_users_of_each_room(tmp_path: Path) -> None:
    federation = Federation.from_pairs([0, 0, 1], [0, 2, 0, 1, 2], [0, 0, 1, 1, 1])
    write(federation, tmp_path / "rooms.json", "locust")
    assert json.loads((tmp_path / "rooms.json").read_text()) == {"Room 0": [0, 2], "Room 1": [0, 1, 2]}


@given(federations(), st.randoms(use_true_random=False), st.booleans())
def test_row_order_and_names_mean_nothing_to_csv(federation: Federation, random: object, words: bool) -> None:
    # Names that sort as the ids do, whether as numbers or as words.
    call = "n{:09d}".format if words else "{}".format
    home = federation.user_server.tolist()
    rows = [
        (call(user), call(7 * home[user]), call(10**17 + room))
        for user, room in zip(federation.membership_user.tolist(), federation.membership_room.tolist(), strict=True)
    ]
    random.shuffle(rows)  # type: ignore[attr-defined]
    text = "room,user,server\r\n" + "".join(f"{room},{user},{server}\r\n" for user, server, room in rows)
    again, remarks = assemble(table.read(text.encode()))
    assert again.same_as(federation)
    assert remarks == ()


@given(federations(), st.randoms(use_true_random=False))
def test_node_and_edge_order_mean_nothing_to_petgraph(federation: Federation, random: object) -> None:
    sizes = (("User", federation.n_users), ("Server", federation.n_servers), ("Room", federation.n_rooms))
    nodes = [(kind, i) for kind, size in sizes for i in range(size)]
    edges = [((a[0].title(), a[1]), (b[0].title(), b[1])) for a, b in federation.to_networkx().edges()]
    edges = [(b, a) if i % 2 else (a, b) for i, (a, b) in enumerate(edges)]
    random.shuffle(nodes)  # type: ignore[attr-defined]
    random.shuffle(edges)  # type: ignore[attr-defined]
    # Holes before, amid and after the nodes; lost edges are null.
    index = {node: 2 * place + 1 for place, node in enumerate(nodes)}
    document = {
        "edges": [None, *([index[a], index[b], None] for a, b in edges)],
        "edge_property": "undirected",
        "node_holes": [2 * place for place in range(len(nodes) + 1)],
        "nodes": [{"id": 2**63 + 3 * i, "kind": kind} for kind, i in nodes],
    }
    again, remarks = assemble(read_petgraph(json.dumps(document).encode()))
    assert again.same_as(federation)
    assert remarks == ()


def test_zip_with_the_shadow_files_of_an_archiver(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.mkdir("data")
        archive.writestr("data/f.csv", "user,server,room\n0,0,0\n")
        archive.writestr("__MACOSX/data/._f.csv", "junk")
    assert read(tmp_path / "f.zip").n_users == 1


@pytest.mark.parametrize(
    ("path", "format_name"),
    [
        ("a.csv", "csv"),
        ("a.csv.gz", "csv"),
        ("a.json.zip", "petgraph"),
        ("a.graphml", "graphml"),
        ("A.CSV", "csv"),
        ("a.Json.GZ", "petgraph"),
        ("debian.org.csv", "csv"),
        ("out", "parquet"),
        (".out", "parquet"),
        ("v1.2", "parquet"),
        ("large-0.5", "parquet"),
        ("run.2024-01-01", "parquet"),
    ],
)
def test_format_is_guessed_from_the_suffix(path: str, format_name: str) -> None:
    assert guess(path) == format_name


@pytest.mark.parametrize("name", ["a.xlsx", "a.parquet", "a.TXT", "a.txt.gz", "a.gz", "0.5.zip", "a.csv.bz2"])
def test_unknown_suffix_lists_the_known(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no format has the suffix \..*; the suffixes are \.csv, \.json, \.graphml, each"
    ):
        write(Federation.from_pairs([0], [0], [0]), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_unknown_format_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="format 'pickle' is unknown; the formats are parquet, csv, petgraph"):
        write(Federation.from_pairs([0], [0], [0]), tmp_path / "f", "pickle")


@pytest.mark.parametrize("name", ["debian_teams.csv.gz", "kernel_mail.csv.gz"])
def test_real_tables(name: str, data_file: Callable[[str], Path]) -> None:
    path = data_file(name)
    snapshot = read_snapshot(path)
    rows = gzip.decompress(path.read_bytes()).decode().splitlines()[1:]
    assert snapshot.remarks == ()
    assert snapshot.federation.n_memberships == len(rows)
    assert snapshot.federation.n_servers == len({row.split(",")[1] for row in rows})
    assert snapshot.federation.n_rooms == len({row.split(",")[2] for row in rows})


def test_snapshot_of_2018s_shape(data_file: Callable[[str], Path], tmp_path: Path) -> None:
    snapshot = read_snapshot(data_file("matrix-2018-standin.json.gz"))
    federation = snapshot.federation
    assert (federation.n_users, federation.n_servers) == (131463, 2003)
    assert snapshot.remarks == ()
    write(federation, tmp_path / "f.json.gz")
    assert read(tmp_path / "f.json.gz").same_as(federation)
    assert np.array_equal(federation.membership_user, read(tmp_path / "f.json.gz").membership_user)
