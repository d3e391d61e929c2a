"""Time and memory of fit and sample, through the command line, at growing numbers of servers.

    python benchmarks/scale.py [--sizes N ...] [--data FILE]         fit an example and sample from it
    python benchmarks/scale.py --full [--sizes N ...] [--jobs N ...] [--dask N ...] [--repeat N] [--folder DIR]
                                      [--peers PYTHON]

``--full`` samples the built-in model at Internet scale and prints Markdown: what fedgen takes, start of the process and
Parquet on disk included; what its peers take for pairs on the same degrees (``peers.py``); and what the machine needs
for as many rows at the least (``limit.py``). All in one run, so that ratios hold on a machine that others use too.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limit import HEAD, limit_row, median_probe
from peers import peers_on
from processes import Run, fits, measured, median, size_of
from table import markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CONFIGS = Path(__file__).parents[1] / "configs"
EXAMPLE, MODEL = CONFIGS / "debian_teams.csv.gz", CONFIGS / "model.json"
QUICK, FULL = (1_000, 10_000, 100_000), (10_000, 100_000, 1_000_000, 10_000_000)
TINY = 2_003  # servers of a sample that takes little more than the start
BYTES_PER_SERVER = 700  # of a directory, with some air


def main() -> None:
    """Print one line per run, or the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, help="numbers of servers")
    parser.add_argument("--data", type=Path, default=EXAMPLE, help="the federation that is fitted, without --full")
    parser.add_argument("--full", action="store_true", help="at Internet scale, beside peers and the machine's limit")
    parser.add_argument("--jobs", nargs="+", type=int, default=[1, 2], help="numbers of jobs")
    parser.add_argument("--dask", nargs="+", type=int, default=[], help="numbers of workers of a local Dask cluster")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each where they are short; medians count")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where to write, for a while")
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON", help="the Python that has the peers")
    arguments = parser.parse_args()
    if not shutil.which(arguments.peers):
        parser.error(f"--peers: {arguments.peers} is no command")
    if not arguments.folder.is_dir():
        parser.error(f"--folder: {arguments.folder} is no folder")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if arguments.full:
            full(arguments, Path(folder))
        else:
            quick(arguments.sizes or QUICK, arguments.data, Path(folder))


def quick(sizes: Iterable[int], data: Path, folder: Path) -> None:
    """Fit a federation and sample from its model."""
    print(f"{'run':<24}{'seconds':>10}{'memberships':>14}{'per second':>14}{'peak MiB':>10}")
    model = folder / "model.json"
    fitted, seconds, peak = run("fit", data, "-o", model)
    show("fit", seconds, fitted["sizes"]["memberships"], peak)
    for size in sizes:
        sampled, seconds, peak = run("sample", model, "--servers", size, "-o", folder / f"sample-{size}")
        show(f"sample {size:,} servers", seconds, sampled["memberships"], peak)


def run(*words: object) -> tuple[dict[str, Any], float, float]:
    """What a command prints, its seconds and its peak memory in bytes."""
    done = measured(command(*words))
    if done.refused:
        sys.exit(done.refused)
    return json.loads(done.printed), done.seconds, done.peak


def command(*words: object) -> list[str]:
    """A command of fedgen, as a process of its own."""
    return [sys.executable, "-m", "fedgen.cli", *map(str, words), "--json", "-q"]


def show(name: str, seconds: float, memberships: int, peak: float) -> None:
    """One line of the quick table."""
    print(f"{name:<24}{seconds:>10.2f}{memberships:>14,}{memberships / seconds:>14,.0f}{peak / 2**20:>10.0f}")


@dataclass(frozen=True)
class Sample:
    """One size sampled in one way.

    Attributes:
        servers: how many were asked for.
        way: how many jobs or workers.
        memberships: how many came out.
        disk: bytes of the directory.
        run: what it took.
        start: a tiny sample in the same way.
    """

    servers: int
    way: str
    memberships: int
    disk: int
    run: Run
    start: Sample | None = None

    @property
    def seconds(self) -> float:
        """Per membership, those of the start and its seconds taken off; not a number where nothing is left."""
        return self._net(lambda run: run.seconds)

    @property
    def cpu(self) -> float:
        """CPU seconds per membership, likewise."""
        return self._net(lambda run: run.cpu)

    def _net(self, of: Callable[[Run], float]) -> float:
        if self.start is None or self.memberships <= self.start.memberships:
            return float("nan")
        net = of(self.run) - of(self.start.run)
        return net / (self.memberships - self.start.memberships) if net > 0 else float("nan")


def full(arguments: argparse.Namespace, folder: Path) -> None:
    """Everything at every size; what happens meanwhile is told on stderr, and the tables come at the end."""
    ways = {plural(n, "job"): ["--jobs", str(n)] for n in arguments.jobs}
    ways |= {f"Dask, {plural(n, 'worker')}": ["--dask", "local", "--jobs", str(n)] for n in arguments.dask}
    output, repeat = folder / "federation", arguments.repeat
    starts = {way: started(way, options, repeat, folder / "tiny") for way, options in ways.items()}
    remarks = [start for start in starts.values() if isinstance(start, str)]
    able = {way: start for way, start in starts.items() if isinstance(start, Sample)}
    cold = sample(TINY, [], folder / "tiny", {"NUMBA_CACHE_DIR": str(folder / "numba")})
    samples: list[list[str]] = []
    drawn: list[list[str]] = []
    limits: list[list[str]] = []
    for size in arguments.sizes or FULL:
        if not fits(folder, 2 * size * BYTES_PER_SERVER):
            remarks.append(f"{size:,} servers: left out, {arguments.folder} has too little room")
            continue
        tried = [sampled(size, way, ways[way], repeat, output, start) for way, start in able.items()]
        remarks += [at for at in tried if isinstance(at, str)]
        done = [at for at in tried if isinstance(at, Sample)]
        samples += [sample_row(at, done[0]) for at in done]
        if done:
            drawn += peer_rows(done[0], output, arguments.peers, repeat, folder)
            limits += limit_rows(arguments.jobs, done, output, folder, repeat)
        shutil.rmtree(output, ignore_errors=True)
    starting = [start_row(way, start.run) for way, start in able.items()]
    starting += [] if cold.refused else [start_row("nothing compiled", cold)]
    tables = {
        f"Start: a sample of {TINY:,} servers": (START, starting),
        "Samples of the built-in model; start: as above": (SAMPLES, samples),
        "Pairs of users and rooms on the degrees of these samples, on one core": (DRAWN, drawn),
        "The least that the machine needs for as many rows": (LIMITS, limits),
    }
    for title, (head, rows) in tables.items():
        print(f"{title}\n\n{markdown(head, rows)}\n")
    print(*(f"- {remark}" for remark in remarks), sep="\n")


START = ("", " seconds", " CPU s", " peak MiB")
SAMPLES = (
    *(" servers", " memberships", "", " seconds", " CPU s", " million/s", " CPU ns each, net of start"),
    *(" speed-up", " peak MiB", " MiB on disk"),
)
DRAWN = (" memberships", "drawn by", " CPU s", " million per CPU s", " times fedgen's", " pairs lost")
LIMITS = (*HEAD, " fedgen, million/s net of start", " its share", " share in CPU s")


def plural(n: int, noun: str) -> str:
    """1 job, 2 jobs."""
    return f"{n} {noun}{'s' * (n != 1)}"


def number(value: float, form: str = ".2f") -> str:
    """A cell; a dash where there is no number, as start and sample cannot be told apart."""
    return "–" if math.isnan(value) else f"{value:{form}}".replace("%", " %")


def tell(line: str) -> None:
    """What happens meanwhile."""
    print(line, file=sys.stderr, flush=True)


def sample(size: int, options: Iterable[str], output: Path, environment: dict[str, str] | None = None) -> Run:
    """Draw the built-in model at a size; the folder of an earlier run is replaced if this one succeeds."""
    fresh = output.with_name("unfinished")
    words = ("sample", MODEL, "--servers", size, *options, "-o", fresh)
    found = measured(command(*words), os.environ | (environment or {}))
    if not found.refused:
        shutil.rmtree(output, ignore_errors=True)
        fresh.rename(output)
    shutil.rmtree(fresh, ignore_errors=True)
    return found


def started(way: str, options: list[str], repeat: int, output: Path) -> Sample | str:
    """A tiny sample, with compiled code at hand."""
    sample(TINY, options, output)
    return sampled(TINY, way, options, repeat, output)


def sampled(
    size: int, way: str, options: list[str], repeat: int, output: Path, start: Sample | None = None
) -> Sample | str:
    """One size in one way, the directory is left; or why the command refuses."""
    found = median(lambda: sample(size, options, output), repeat)
    name = f"{size:,} servers, {way}"
    tell(f"{name}: {found.refused or f'{found.seconds:.2f} s, {found.cpu:.2f} CPU s'}")
    if found.refused:
        return f"{name}: refused ({found.refused})"
    return Sample(size, way, json.loads(found.printed)["memberships"], size_of(output), found, start)


def start_row(way: str, found: Run) -> list[str]:
    """One line of the table of starts."""
    return [way, f"{found.seconds:.2f}", f"{found.cpu:.2f}", f"{found.peak / 2**20:.0f}"]


def sample_row(at: Sample, first: Sample) -> list[str]:
    """One line of the table of samples."""
    found = at.run
    return [
        f"{at.servers:,}",
        f"{at.memberships:,}",
        at.way,
        f"{found.seconds:.2f}",
        f"{found.cpu:.2f}",
        f"{at.memberships / found.seconds / 1e6:.2f}",
        number(at.cpu * 1e9, ".0f"),
        f"{first.run.seconds / found.seconds:.2f}",
        f"{found.peak / 2**20:,.0f}",
        f"{at.disk / 2**20:,.0f}",
    ]


def peer_rows(ours: Sample, directory: Path, python: str, repeat: int, folder: Path) -> list[list[str]]:
    """fedgen, net of start, and every peer on the degrees of its sample."""
    n, title = ours.memberships, f"fedgen, {ours.way}: all tables, to disk"
    rows = [[f"{n:,}", title, number(n * ours.cpu), number(1e-6 / ours.cpu), "1", "0 %"]]
    for title, found in peers_on(directory, n, python, repeat, folder):
        if isinstance(found, str):
            tell(f"{n:,} memberships, {title}: {found}")
            rows.append([f"{n:,}", title, found, "", "", ""])
            continue
        tell(f"{n:,} memberships, {title}: {found.cpu:.2f} CPU s")
        speed = n / found.cpu
        figures = (number(found.cpu), number(speed / 1e6), number(speed * ours.cpu), number(1 - found.pairs / n, ".2%"))
        rows.append([f"{n:,}", title, *figures])
    return rows


def limit_rows(jobs: Iterable[int], done: list[Sample], directory: Path, folder: Path, repeat: int) -> list[list[str]]:
    """The limit on as many cores, and how much of it fedgen reaches."""
    rows = []
    for n in jobs:
        limit = median_probe(directory, n, folder, repeat)
        tell(f"{limit.rows:,} memberships, limit of {plural(n, 'job')}: {limit.seconds:.2f} s")
        shares = ["", "", ""]
        for ours in done:
            if ours.way == plural(n, "job"):
                share = limit.seconds / limit.rows / ours.seconds
                cpu = sum(limit.cpu.values()) / limit.rows / ours.cpu
                shares = [number(1e-6 / ours.seconds), number(share, ".0%"), number(cpu, ".0%")]
        rows.append([*limit_row(n, limit), *shares])
    return rows


if __name__ == "__main__":
    main()
