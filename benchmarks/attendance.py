"""What a snapshot without memberships leaves to guess, and how far off the guesses are where the truth is known.

    python benchmarks/attendance.py [--seeds N] [--quick] [--data FILE ...] [--only NAME ...]

FILE: federations in any format; default: the example and what lies in the folder FEDGEN_DATA (../shared/data). Each is
reduced to its attendance, completed, and held against itself. Three tables of each, as Markdown: ways to share a room's
users among its servers; completions by donor; rows of the scorecard. Medians over seeds from 1.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from scipy.stats import ks_2samp
from table import markdown

import fedgen
from fedgen import Federation, Model
from fedgen.attendance import Attendance
from fedgen.statistics.structure import gini, top_share
from fitting.completion import complete
from fitting.fit import fit
from fitting.shares import expected_beyond, inclination, split
from validate.measurement import Measurement

ROOT = Path(__file__).parents[1]
KNOWN = ("kernel_mail.csv.gz", "matrix-2018-standin.json.gz")
QUICK = 99

Ways = dict[str, Callable[[Attendance], np.ndarray]]
"""To the users expected of each presence beyond the first."""


def poisson(attendance: Attendance) -> np.ndarray:
    """By the rate of a server whose users go to any room alike: P(absent) = exp(-rate u)."""
    server, room = attendance.presence_server, attendance.presence_room
    users = attendance.users_per_room.astype(float)
    absent = users.sum() - np.bincount(server, users[room], minlength=attendance.n_servers)
    low, high = np.full(attendance.n_servers, -50.0), np.full(attendance.n_servers, 10.0)
    for _ in range(60):
        rate = np.exp((low + high) / 2)
        x = rate[server] * users[room]
        seen = np.bincount(server, x / np.expm1(np.minimum(x, 500)), minlength=attendance.n_servers)
        rises = seen + 0.5 > rate * (absent + 0.5)
        low, high = np.where(rises, (low + high) / 2, low), np.where(rises, high, (low + high) / 2)
    return split(attendance, np.exp((low + high) / 2))


WAYS: Ways = {
    "equal shares": lambda a: split(a, np.ones(a.n_servers)),
    "in proportion to m": lambda a: split(a, a.rooms_per_server.astype(float)),
    "absence, users alike": poisson,
    "absence, exponential affinities": lambda a: split(a, inclination(a)),
    "the same and one step (fedgen)": expected_beyond,
}


def main() -> None:
    """Print the tables of each data set as soon as they are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, metavar="FILE", help="federations in any format")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="tables of these only; the others are donors")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="completions (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} draws of each null")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("FEDGEN_DATA", ROOT / ".." / "shared" / "data"))
    known = [ROOT / "configs" / "debian_teams.csv.gz", *(folder / name for name in KNOWN)]
    paths = arguments.data or [path for path in known if path.is_file()]
    truths = {path.name.split(".")[0]: fedgen.read(path) for path in paths}
    donors = {"built-in": Model.builtin()} | {name: fit(truth) for name, truth in truths.items()}
    for name, truth in truths.items():
        if arguments.only and name not in arguments.only:
            continue
        print(f"## {name}\n\n{truth!r}\n")
        print("\n".join(shares(truth)), "\n")
        cases = completions(truth, donors, range(1, arguments.seeds + 1))
        print("\n".join(sizes(truth, cases)), "\n")
        print("\n".join(rows(truth, cases, QUICK if arguments.quick else 400)), "\n", flush=True)


def shares(truth: Federation) -> Iterator[str]:
    """How far expected counts are from the true ones, way by way."""
    attendance, p = Attendance.of(truth), truth.presences
    e = truth.memberships_per_server
    order = np.argsort(-e)[:2]

    def line(name: str, counts: np.ndarray) -> tuple[str, ...]:
        of_server = np.bincount(p.server, counts, minlength=truth.n_servers)
        return (
            name,
            *(f"{100 * of_server[s] / e.sum():.1f} %" for s in order),
            f"{100 * np.abs(counts - p.users).sum() / 2 / e.sum():.1f} %",
            f"{100 * np.abs(of_server - e).sum() / 2 / e.sum():.1f} %",
            f"{np.abs(np.log10(counts / p.users)).mean():.3f}",
        )

    header = (
        "shared by",
        "memberships of hub 1",
        "of hub 2",
        "in a wrong presence",
        "on a wrong server",
        "|log10 count|",
    )
    yield markdown(header, [line("*truth*", p.users), *(line(n, 1 + way(attendance)) for n, way in WAYS.items())])


def completions(truth: Federation, donors: dict[str, Model], seeds: range) -> dict[str, list[Federation]]:
    """By case: federations with the attendance of the truth."""
    attendance, counts = Attendance.of(truth), truth.presences.users
    mean = truth.n_memberships / truth.n_users
    cases = {
        f"users like {name}": [complete(attendance, donor=donor, seed=seed).federation for seed in seeds]
        for name, donor in donors.items()
    }
    cases["built-in, true mean of d"] = [
        complete(attendance, rooms_per_user=mean, seed=seed).federation for seed in seeds
    ]
    cases["built-in, true counts"] = [complete(attendance, users=counts, seed=seed).federation for seed in seeds]
    cases["sample of the fit (built-in)"] = [
        fedgen.sample(fit(f), seed=seed) for seed, f in zip(seeds, cases["users like built-in"], strict=True)
    ]
    cases["sample of the fit of the truth"] = [fedgen.sample(fit(truth), seed=seed) for seed in seeds]
    return cases


def sizes(truth: Federation, cases: dict[str, list[Federation]]) -> Iterator[str]:
    """Users and load: the truth and each case."""
    true_n = truth.users_per_server

    def line(name: str, those: Sequence[Federation]) -> tuple[str, ...]:
        def middle(value: Callable[[Federation], float]) -> float:
            return median(map(value, those))

        def traffic(federation: Federation) -> tuple[float, float]:
            load = fedgen.load(federation)
            return load.total / federation.n_users, float(load.tx[np.argmax(federation.users_per_server)] / load.total)

        return (
            name,
            f"{middle(lambda f: f.n_users):,.0f}",
            f"{middle(lambda f: f.n_memberships / f.n_users):.2f}",
            f"{100 * middle(lambda f: top_share(f.users_per_server, 1)):.1f} %",
            f"{100 * middle(lambda f: top_share(f.users_per_server, 2)):.1f} %",
            f"{middle(lambda f: gini(f.users_per_server)):.3f}",
            f"{middle(lambda f: float(ks_2samp(f.users_per_server, true_n, method='asymp').statistic)):.3f}",
            f"{middle(lambda f: traffic(f)[0]):.1f}",
            f"{100 * middle(lambda f: traffic(f)[1]):.1f} %",
        )

    header = ("", "U", "mean d", "top-1 share of users", "top-2", "Gini of n", "KS of n", "T/U", "hub's share of tx")
    yield markdown(header, [line("*truth*", [truth]), *(line(*case) for case in cases.items())])


def rows(truth: Federation, cases: dict[str, list[Federation]], replicates: int) -> Iterator[str]:
    """Distance over floor, the median over seeds."""
    against = Measurement(truth, replicates=replicates)
    cards = {name: [fedgen.validate(one, against) for one in those] for name, those in cases.items()}
    names = [row.name for row in next(iter(cards.values()))[0].rows]

    def line(name: str) -> tuple[str, ...]:
        of_cases = [[card[name].ratio for card in of_case] for of_case in cards.values()]
        return name, *("–" if np.isnan(of_case).any() else f"{median(of_case):.2g}" for of_case in of_cases)

    within = ("within the floor", *(f"**{median(card.within for card in of_case):g}**" for of_case in cards.values()))
    yield markdown(("row", *cards), [*(line(name) for name in names), within])


if __name__ == "__main__":
    main()
