"""Time and peak memory of ``fedgen load`` on directories of about 10^8 memberships.

A federation of that size is not sampled here, which would take some 20 GiB: many copies of a small one are laid side by
side, their servers in random order, and only what ``fedgen load`` reads of a directory is written: servers, presences
and the manifest. What is timed is what the command does on a real directory of that size; the loads themselves are
those of the small federation, and the sum of all is checked against it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from scale import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pyarrow as pa

    from fedgen.federation import Federation
    from fedgen.io.directory import Counts

BUILTIN = Path("built-in model")
MAIL = Path(os.environ.get("FEDGEN_DATA") or Path(__file__).parents[2] / "shared/data") / "kernel_mail.csv.gz"


def main() -> None:
    """Print one line per federation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memberships", type=float, default=1e8, help="about how many")
    parser.add_argument("--data", type=Path, default=MAIL, help="the federation that is copied beside the model's")
    arguments = parser.parse_args()
    sources = [BUILTIN, *([arguments.data] if arguments.data.exists() else [])]
    print(f"{'copies of':<32}{'memberships':>13}{'presences':>12}{'servers':>11}{'seconds':>9}{'peak MiB':>10}")
    for source in sources:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "copies"
            # In a process of its own: the peak of one that is timed counts from what this one holds.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
                counts, total = apart.submit(prepare, source, arguments.memberships, path).result()
            ways: tuple[str, ...] = ("broadcast", "shared-relay") if counts.presences < 1e7 else ("broadcast",)
            for way in ways:
                told, seconds, peak = run("load", path, "--mechanism", way)
                found = told["transactions"]
                assert abs(found / total - 1) < 1e-9, (found, total)
                print(
                    f"{f'{source.name}, {way}':<32}{counts.memberships:>13,}{counts.presences:>12,}"
                    f"{counts.servers:>11,}{seconds:>9.1f}{peak / 2**20:>10.0f}",
                    flush=True,
                )


def prepare(source: Path, memberships: float, path: Path) -> tuple[Counts, float]:
    """Lay out copies of a federation; what they hold, and T."""
    import fedgen
    from fedgen.traffic.equations import load
    from fitting.model import Model
    from gen.plan import make_plan
    from gen.sample import draw
    from gen.scenario import Scenario

    if source == BUILTIN:
        model = Model.builtin()
        federation = draw(model, make_plan(model, scenario=Scenario(factor=10.0), seed=0))
    else:
        federation = fedgen.read(source)
    copies = max(1, round(memberships / federation.n_memberships))
    return lay_out(federation, copies, path), copies * load(federation).total


def lay_out(federation: Federation, copies: int, path: Path) -> Counts:
    """Write the servers, presences and manifest of many copies of a federation side by side."""
    import numpy as np
    import pyarrow as pa

    from fedgen import __version__
    from fedgen.io.directory import Counts
    from fedgen.io.parts import begin, finish, put
    from fedgen.io.store import Folder
    from fedgen.provenance import record

    servers = copies * federation.n_servers
    place = np.random.default_rng(0).permutation(servers).astype(np.uint32)
    counts = Counts(
        servers,
        copies * federation.n_users,
        copies * federation.n_rooms,
        copies * federation.n_memberships,
        copies * federation.n_presences,
    )
    sizes = {"servers": counts.servers, "users": counts.users, "rooms": counts.rooms}
    begin(path, {"fedgen": __version__, "source": "copies", "sizes": sizes})
    columns = {"server": np.arange(servers, dtype=np.uint32)}
    for name, values in (("users", federation.users_per_server), ("rooms", federation.rooms_per_server)):
        columns[name] = np.empty(servers, dtype=np.uint32)
        columns[name][place] = np.tile(values, copies)
    store = Folder(path)
    files = [put(store, "servers", pa.table(columns))]
    files += [put(store, "presences", rows, part) for part, rows in enumerate(parts(federation, copies, place))]
    finish(store, counts, record([]), files)
    return counts


def parts(federation: Federation, copies: int, place: np.ndarray) -> Iterator[pa.Table]:
    """The presences, about as many at a time as a part has."""
    import numpy as np
    import pyarrow as pa

    from fedgen.io.parts import PART_ROWS

    p, at_once = federation.presences, max(1, PART_ROWS // federation.n_presences)
    for first in range(0, copies, at_once):
        copy = np.repeat(np.arange(first, min(first + at_once, copies)), len(p))
        times = len(copy) // len(p)
        yield pa.table(
            {
                "server": place[copy * federation.n_servers + np.tile(p.server, times)],
                "room": (copy * federation.n_rooms + np.tile(p.room, times)).astype(np.uint32),
                "users": np.tile(p.users, times).astype(np.uint32),
                "weight": np.tile(p.weight, times),
            }
        )


if __name__ == "__main__":
    main()
