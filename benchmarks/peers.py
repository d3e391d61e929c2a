"""Bipartite user-room graphs by others, on given degrees: CPU seconds, one peer per process.

    python benchmarks/peers.py PEER DEGREES        DEGREES: folder with users.npy and rooms.npy

``scale.py --full`` runs it. It needs numpy and the peer and nothing else, so that peers live in an environment of their
own. Prints JSON: CPU seconds of the draw (degrees read and the peer imported before), and how many pairs came out.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from processes import measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHORT = 20.0  # CPU seconds beyond which a peer is not run again


class Peer(NamedTuple):
    """One way to draw.

    Attributes:
        title: how tables call it.
        package: what has to be installed.
        most: memberships beyond which it is left out, for its seconds or its memory.
        draw: from rooms of every user and users of every room to the number of pairs.
    """

    title: str
    package: str
    most: float
    draw: Callable[[np.ndarray, np.ndarray], int]


def stubs(d: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Users in order, each as often as it has rooms, and rooms in random order; pairs may repeat."""
    user = np.repeat(np.arange(len(d), dtype=np.int32), d)
    room = np.repeat(np.arange(len(u), dtype=np.int32), u)
    np.random.default_rng(0).shuffle(room)
    return user, room


def distinct(d: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Pairs of stubs without repetition, sorted: room times the number of users, plus user."""
    user, room = stubs(d, u)
    pairs = room * np.int64(len(d)) + user
    pairs.sort()
    return pairs[np.concatenate(([True], np.diff(pairs) > 0))]


def by_stubs(d: np.ndarray, u: np.ndarray) -> int:
    """Stubs of numpy."""
    return len(stubs(d, u)[0])


def by_distinct_stubs(d: np.ndarray, u: np.ndarray) -> int:
    """Stubs of numpy without repeated pairs, which are lost."""
    return len(distinct(d, u))


def by_igraph(d: np.ndarray, u: np.ndarray) -> int:
    """Configuration model, arcs from users to rooms; pairs may repeat."""
    import igraph

    outgoing = np.concatenate((d, np.zeros_like(u))).tolist()
    incoming = np.concatenate((np.zeros_like(d), u)).tolist()
    graph: Any = igraph.Graph.Degree_Sequence(outgoing, incoming, method="configuration")
    return int(graph.ecount())


def by_networkit(d: np.ndarray, u: np.ndarray) -> int:
    """Global Curveball on a graph of distinct stubs, in as many rounds as it does by itself: no pair repeats."""
    import networkit

    networkit.setNumberOfThreads(1)
    room, user = np.divmod(distinct(d, u), len(d))
    # Arcs from users to rooms, so that users trade rooms; without directions rooms trade too, in twice the time.
    graph = networkit.GraphFromCoo((user, len(d) + room), n=len(d) + len(u), directed=True)
    curveball = networkit.randomization.GlobalCurveball(graph)
    curveball.run()
    return int(curveball.getGraph().numberOfEdges())


def by_networkx(d: np.ndarray, u: np.ndarray) -> int:
    """Configuration model; pairs may repeat."""
    import networkx

    graph = networkx.bipartite.configuration_model(d.tolist(), u.tolist(), seed=0)
    return int(graph.number_of_edges())


def by_kagen(d: np.ndarray, u: np.ndarray) -> int:
    """As many arcs between as many nodes, anywhere: no degrees, not bipartite."""
    import kagen

    return len(kagen.generate_directed_gnm(len(d) + len(u), int(d.sum()), seed=0).edges())


PEERS = {
    "stubs": Peer("numpy stubs; pairs repeat", "numpy", 3e8, by_stubs),
    "distinct": Peer("numpy stubs, sorted, repeated pairs lost", "numpy", 3e8, by_distinct_stubs),
    "networkit": Peer("the same, then NetworKit GlobalCurveball", "networkit", 3e7, by_networkit),
    "igraph": Peer("igraph configuration model; pairs repeat", "igraph", 3e7, by_igraph),
    "networkx": Peer("networkx bipartite configuration model; pairs repeat", "networkx", 2e6, by_networkx),
    "kagen": Peer("KaGen G(n, m); no degrees, not bipartite", "kagen", 3e8, by_kagen),
}


class Drawn(NamedTuple):
    """What a peer took: CPU seconds, the peer imported and the degrees read before; and how many pairs came out."""

    pairs: int
    cpu: float
    version: str


def peers_on(
    directory: Path, memberships: int, python: str, repeat: int, folder: Path
) -> Iterator[tuple[str, Drawn | str]]:
    """Every peer that can take so many, on the degrees of a sampled federation; or why one did not."""
    able = {name: peer for name, peer in PEERS.items() if memberships <= peer.most}
    if not able:
        return
    # In a process of its own: what this one holds would count as the peak of the commands that it runs later.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        apart.submit(save_degrees, directory, folder).result()
    for name, peer in able.items():
        runs: list[Drawn | str] = [drawn_by(name, python, folder)]
        while len(runs) < repeat and isinstance(runs[0], Drawn) and runs[0].cpu < SHORT:
            runs.append(drawn_by(name, python, folder))
        found = sorted((run for run in runs if isinstance(run, Drawn)), key=lambda run: run.cpu)
        if found:
            middle = found[(len(found) - 1) // 2]
            yield f"{peer.title} ({peer.package} {middle.version})", middle
        else:
            yield peer.title, runs[0]


def save_degrees(directory: Path, folder: Path) -> None:
    """Write rooms of every user and users of every room where peers read them."""
    from pyarrow import parquet

    parts = sorted((directory / "users").glob("*.parquet"))
    d = np.concatenate([parquet.read_table(part, columns=["rooms"])["rooms"].to_numpy() for part in parts])
    u = parquet.read_table(directory / "rooms.parquet", columns=["users"])["users"].to_numpy()
    np.save(folder / "users.npy", d.astype(np.int64))
    np.save(folder / "rooms.npy", u.astype(np.int64))


def drawn_by(name: str, python: str, folder: Path) -> Drawn | str:
    """One run of a peer, in a process of its own; or why it failed."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    found = measured([python, __file__, name, str(folder)], environment)
    if found.refused:
        return "not installed" if found.refused.startswith("ModuleNotFoundError") else found.refused
    return Drawn(**json.loads(found.printed))


def main() -> None:
    """Draw once by the peer that is named."""
    peer, folder = PEERS[sys.argv[1]], Path(sys.argv[2])
    __import__(peer.package)
    d, u = np.load(folder / "users.npy"), np.load(folder / "rooms.npy")
    cpu = time.process_time()
    pairs = peer.draw(d, u)
    print(json.dumps(Drawn(pairs, time.process_time() - cpu, version(peer.package))._asdict()))


if __name__ == "__main__":
    main()
