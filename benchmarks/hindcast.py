"""Larger crawls forecast from some of the rooms, held against all of them, over data sets and splits, as Markdown.

    python benchmarks/hindcast.py [--splits N] [--shares P ...] [--quick] [--data FILE ...]

For each split a share of the rooms is drawn without replacement; a model is fitted to the federation that they make
(users and servers without a room are gone) and three generators are asked for as many rooms as there are:

    crawl          larger_crawl: servers and users as forecast
    plain scaling  the fitted model at so many rooms: everything in proportion
    true counts    larger_crawl, drawn with as many servers and users as there really are

FILE: federations in any format; default: the example and what lies in the folder FEDGEN_DATA (../shared/data). Splits
count from 1 and are seeds of everything random. The nulls have one seed for all.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, stdev
from typing import Any

import numpy as np
from fidelity import KNOWN, QUICK, ROOT, measurement, table, tell, worst

import fedgen
from fedgen import Federation, Model, Scorecard
from fedgen.statistics.subset import with_rooms
from fitting.crawl import Crawl, larger_crawl
from gen.scenario import Scenario

SPLITS = 20
SHARES = (0.5, 0.25)


@dataclass(frozen=True)
class Hindcast:
    """One generator on one split.

    Attributes:
        servers, users: how many it drew, over how many there are, less one.
        card: the scorecard.
    """

    servers: float
    users: float
    card: Scorecard


@dataclass(frozen=True)
class Study:
    """All splits of one data set at one share of the rooms.

    Attributes:
        crawls: the forecasts.
        hindcasts: by generator.
    """

    crawls: tuple[Crawl, ...]
    hindcasts: dict[str, tuple[Hindcast, ...]]


def main() -> None:
    """Print the tables of each data set and share as soon as they are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, metavar="FILE", help="federations in any format")
    parser.add_argument(
        "--splits", type=int, default=SPLITS, metavar="N", help="random subsets of the rooms (default: %(default)s)"
    )
    parser.add_argument(
        "--shares", nargs="+", type=float, default=SHARES, metavar="P", help="of the rooms (default: 0.5 0.25)"
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} draws of each null")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("FEDGEN_DATA", ROOT / ".." / "shared" / "data"))
    known = [ROOT / "configs" / "debian_teams.csv.gz", *(folder / name for name in KNOWN)]
    print(f"fedgen {fedgen.__version__}, splits 1 to {arguments.splits}.\n")
    for path in arguments.data or [path for path in known if path.is_file()]:
        whole = fedgen.read(path)
        against = measurement(whole, {"replicates": QUICK} if arguments.quick else {})
        for share in arguments.shares:
            done = study(f"{path.name}, {share:.0%}", whole, share, arguments.splits, against)
            print("\n".join(report(f"{path.name}, {share:.0%} of the rooms", whole, done)), flush=True)


def study(
    title: str, whole: Federation, share: float, splits: int, against: Callable[[Federation], Scorecard]
) -> Study:
    """Every generator on splits 1, 2, ..."""
    crawls, found = [], []
    for split in range(1, splits + 1):
        tell(f"{title}, split {split} of {splits}")
        model = fedgen.fit(with_rooms(whole, some_rooms(whole.n_rooms, share, split)))
        crawls.append(larger_crawl(model, whole.n_rooms, seed=split))
        found.append(
            {
                name: Hindcast(drawn.n_servers / whole.n_servers - 1, drawn.n_users / whole.n_users - 1, against(drawn))
                for name, drawn in generated(model, crawls[-1], whole, split)
            }
        )
    tell("")
    return Study(tuple(crawls), {name: tuple(one[name] for one in found) for name in found[0]})


def some_rooms(rooms: int, share: float, seed: int) -> Any:
    """(R,) which rooms are seen; one at least."""
    seen = np.zeros(rooms, dtype=bool)
    seen[np.random.default_rng(seed).permutation(rooms)[: max(1, round(share * rooms))]] = True
    return seen


def generated(model: Model, crawl: Crawl, whole: Federation, seed: int) -> Iterator[tuple[str, Federation]]:
    """What each generator makes of it."""
    rooms = whole.n_rooms
    yield "crawl", fedgen.sample(model, rooms=rooms, scenario=Scenario(mode="crawl"), seed=seed)
    yield "plain scaling", fedgen.sample(model, rooms=rooms, seed=seed)
    counts = {"servers": whole.n_servers, "users": whole.n_users}
    yield "true counts", fedgen.sample(crawl.model, rooms=rooms, **counts, seed=seed)


def report(title: str, whole: Federation, done: Study) -> Iterator[str]:
    """The lines of one data set and share."""
    yield f"## {title}\n"
    yield f"{whole!r}\n"
    yield from overview(done)
    yield ""
    yield from intervals(whole, done)
    yield ""
    yield from rows(done)
    yield ""


def overview(done: Study) -> Iterator[str]:
    """Rows within their floor, and counts."""
    judged = max(one.card.judged for some in done.hindcasts.values() for one in some)
    yield from table(
        (
            "generator",
            f"within, of {judged}: median",
            "per split",
            "rejected",
            "servers: median error (sd)",
            "users: median error (sd)",
        ),
        (
            (
                name,
                f"{median(one.card.within for one in some):g}",
                " ".join(str(one.card.within) for one in some),
                f"{sum(one.card.rejected for one in some)} of {len(some)}",
                error([one.servers for one in some]),
                error([one.users for one in some]),
            )
            for name, some in done.hindcasts.items()
        ),
    )


def error(values: Sequence[float]) -> str:
    """Median and standard deviation, in per cent."""
    return f"{median(values):+.1%} ({stdev(values) if len(values) > 1 else 0.0:.1%})"


def intervals(whole: Federation, done: Study) -> Iterator[str]:
    """How often the 95 % intervals hold the truth, and how wide they are over it."""
    yield from table(
        ("interval of", "holds the truth", "width over truth: median"),
        (
            (
                name,
                f"{sum(one.low <= truth <= one.high for one in some)} of {len(some)}",
                f"{median((one.high - one.low) / truth for one in some):.2f}",
            )
            for name, truth, some in (
                ("servers", whole.n_servers, [crawl.servers_interval for crawl in done.crawls]),
                ("users", whole.n_users, [crawl.users_interval for crawl in done.crawls]),
            )
        ),
    )


def rows(done: Study) -> Iterator[str]:
    """The median ratio of every row over the splits, and the worst."""
    first = next(iter(done.hindcasts.values()))[0].card
    yield from table(
        ("row", "statistic", "floor", *(f"{name}: median (worst)" for name in done.hindcasts)),
        (
            (
                row.name,
                row.statistic,
                f"{row.floor:.4f}",
                *(worst([one.card[row.name].ratio for one in some]) for some in done.hindcasts.values()),
            )
            for row in first.rows
        ),
    )


if __name__ == "__main__":
    main()
