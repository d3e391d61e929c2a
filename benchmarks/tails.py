"""Speed of the tail fit beside `powerlaw` and igraph, on one machine, in one run.

    pip install --group bench
    python benchmarks/tails.py [--quick] [--sizes N ...] [--limit SECONDS]

Samples are a power law on {xmin, ...}; where xmin is 10, half of the values lie below, uniformly on 1 to 9. A time is
the median of as many runs as fit into three seconds, 200 at most; what takes longer than that is run once. igraph
always computes a p-value, from one replicate at least: "as called" holds one, "scan alone" is the time until it refuses
a precision of 0, which it does between the scan and the replicates.
"""

import argparse
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any, NamedTuple

import igraph
import numpy as np
import powerlaw

from fitting.bootstrap import goodness, p_value
from fitting.histogram import Histogram
from fitting.laws.families import make
from fitting.scan import Candidate, scan

SIZES = (2_000, 130_000, 1_000_000)
QUICK = (2_000, 130_000)
BOOTSTRAPPED = 130_000
REPLICATES = 1_000
SHAPES = tuple(product((2.5, 1.8), (1, 10)))  # exponent, true xmin
BUDGET, MOST = 3.0, 200
COLD = """
import time
start = time.perf_counter()
import numpy as np
from fitting.histogram import Histogram
from fitting.scan import scan
sample = np.arange(1, 1_000)
imported = time.perf_counter()
scan(Histogram.of(sample))
print(imported - start, time.perf_counter() - imported)
"""


class Found(NamedTuple):
    """What a tool says of a sample, and how long it took; infinite where it was stopped."""

    seconds: float
    xmin: float = math.nan
    alpha: float = math.nan
    distance: float = math.nan


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="without a million values, without igraph's replicates")
    parser.add_argument("--sizes", nargs="*", type=int, help="numbers of values")
    parser.add_argument(
        "--limit", type=int, default=100, help="seconds that `powerlaw` is given (default: %(default)s)"
    )
    parser.add_argument(
        "--igraph-replicates", type=int, default=100, help="of its p-value; scaled to 1,000 (default: %(default)s)"
    )
    arguments = parser.parse_args()
    sizes = arguments.sizes if arguments.sizes is not None else QUICK if arguments.quick else SIZES
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; powerlaw {powerlaw.__version__}, igraph ", end="")
    print(f"{igraph.__version__}\n")
    show_start()
    if sizes:
        show_scans(sizes, arguments.limit)
    show_p_values(0 if arguments.quick else arguments.igraph_replicates)


def show_start() -> None:
    """What the first scan of a process takes: kernels compiled, or read from numba's cache."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        for state in ("empty", "filled"):
            command = [sys.executable, "-c", COLD]
            printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
            imports, first = map(float, printed.split())
            print(f"First scan of a process, numba's cache {state}: {first:.2f} s, after {imports:.2f} s of imports.")
    print("All other times are those of later calls.\n")


def show_scans(sizes: tuple[int, ...], limit: int) -> None:
    """The scan over xmin with its fits: histogram included, conversion to igraph's list of Python integers not."""
    print(
        "| alpha | true xmin | n | distinct | fedgen, ms | igraph: scan alone, ms | as called, ms | powerlaw, ms "
        "| igraph / fedgen | as called / fedgen | powerlaw / fedgen | same xmin | alpha off by | D off by |"
    )
    print("|---" * 14 + "|")
    for (alpha, xmin), n in product(SHAPES, sizes):
        sample = drawn(n, alpha, xmin)
        distinct = len(Histogram.of(sample).values)
        ours, alone, called, theirs = (
            by_fedgen(sample),
            igraph_scan(sample),
            by_igraph(sample),
            by_powerlaw(sample, limit),
        )
        done = [other for other in (called, theirs) if other.seconds < math.inf]
        print(
            f"| {alpha} | {xmin} | {n:,} | {distinct:,} | {in_ms(ours.seconds)} | {in_ms(alone)} "
            f"| {in_ms(called.seconds)} | {in_ms(theirs.seconds, limit)} | {alone / ours.seconds:.0f} "
            f"| {called.seconds / ours.seconds:.0f} | {ratio(theirs.seconds, ours.seconds, limit)} "
            f"| {'yes' if all(other.xmin == ours.xmin for other in done) else 'no'} "
            f"| {max(abs(other.alpha - ours.alpha) for other in done):.0e} "
            f"| {max(abs(other.distance - ours.distance) for other in done):.0e} |",
            flush=True,
        )
    print()


def show_p_values(igraph_replicates: int) -> None:
    """The p-value of 1,000 replicates."""
    print(f"{REPLICATES:,} replicates at n = {BOOTSTRAPPED:,}; fedgen on {os.cpu_count()} threads", end="")
    print(f", igraph's time from {igraph_replicates:,}.\n" if igraph_replicates else ".\n")
    print("| alpha | true xmin | distinct | fedgen, s | igraph, s | igraph / fedgen | p, fedgen | p, igraph |")
    print("|---" * 8 + "|")
    for alpha, xmin in SHAPES:
        sample = drawn(BOOTSTRAPPED, alpha, xmin)
        histogram = Histogram.of(sample)
        found = scan(histogram)
        start = time.perf_counter()
        replicates = goodness(
            histogram, histogram.values[found.index], found.alpha, REPLICATES, np.random.SeedSequence(1)
        )
        seconds = time.perf_counter() - start
        theirs = "- | -", "-"
        if igraph_replicates:
            needed, p = igraph_p_value(sample, igraph_replicates)
            theirs = f"{needed:.0f} | {needed / seconds:.0f}", uncertain(p, igraph_replicates)
        print(
            f"| {alpha} | {xmin} | {len(histogram.values):,} | {seconds:.2g} | {theirs[0]} "
            f"| {uncertain(p_value(found.distance, replicates), REPLICATES)} | {theirs[1]} |",
            flush=True,
        )


def drawn(n: int, alpha: float, xmin: int) -> np.ndarray[Any, Any]:
    """(n,) integers in any order: a power law from xmin on, and below it nothing or half of the values."""
    rng = np.random.default_rng(1)
    below = rng.integers(1, xmin, rng.binomial(n, 0.5)) if xmin > 1 else np.empty(0, dtype=np.int64)
    tail = make("power law", {"alpha": alpha}, xmin).draw(n - len(below), rng)
    return rng.permutation(np.concatenate((below, tail)))


def timed(run: Callable[[], object]) -> float:
    """The median of the runs' seconds."""
    times: list[float] = []
    while not times or (len(times) < MOST and sum(times) < BUDGET):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def by_fedgen(sample: np.ndarray[Any, Any]) -> Found:
    def run() -> Candidate:
        return scan(Histogram.of(sample))

    found = run()
    return Found(timed(run), float(Histogram.of(sample).values[found.index]), found.alpha, found.distance)


def by_igraph(sample: np.ndarray[Any, Any]) -> Found:
    """With one replicate."""
    values = sample.tolist()
    found = igraph.power_law_fit(values, method="discrete", p_precision=0.5)
    seconds = timed(lambda: igraph.power_law_fit(values, method="discrete", p_precision=0.5))
    return Found(seconds, found.xmin, found.alpha, found.D)


def igraph_scan(sample: np.ndarray[Any, Any]) -> float:
    """Seconds without any replicate."""
    values = sample.tolist()

    def run() -> None:
        try:
            igraph.power_law_fit(values, method="discrete", p_precision=0.0)
        except igraph.InternalError:
            return
        raise AssertionError("igraph has computed a p-value with a precision of 0: this time is not that of the scan")

    return timed(run)


def igraph_p_value(sample: np.ndarray[Any, Any], replicates: int) -> tuple[float, float]:
    """Seconds that :data:`REPLICATES` replicates take, from those of ``replicates``; p."""
    alone = igraph_scan(sample)
    precision = 0.5 / math.sqrt(replicates + 0.5)  # igraph rounds the number of replicates down
    start = time.perf_counter()
    found = igraph.power_law_fit(sample.tolist(), method="discrete", p_precision=precision)
    seconds = time.perf_counter() - start
    return alone + (seconds - alone) * REPLICATES / replicates, found.p


def by_powerlaw(sample: np.ndarray[Any, Any], limit: int) -> Found:
    """Stopped after ``limit`` seconds."""

    def run() -> Any:
        fit = powerlaw.Fit(sample, discrete=True, estimate_discrete=False, verbose=0)
        fit.power_law.D  # noqa: B018 - fitted when asked for
        return fit

    try:
        with warnings.catch_warnings(), at_most(limit):
            warnings.simplefilter("ignore")
            found: list[Any] = []
            seconds = timed(lambda: found.append(run()))
    except TimeoutError:
        return Found(math.inf)
    power_law = found[0].power_law
    return Found(seconds, float(found[0].xmin), float(power_law.alpha), float(power_law.D))


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raise TimeoutError when the block takes longer."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def in_ms(seconds: float, limit: int = 0) -> str:
    """To two digits or a millisecond."""
    if seconds == math.inf:
        return f"> {1000 * limit:,}"
    return f"{1000 * seconds:,.0f}" if seconds >= 0.01 else f"{1000 * seconds:.2g}"


def ratio(theirs: float, ours: float, limit: int) -> str:
    return f"> {limit / ours:,.0f}" if theirs == math.inf else f"{theirs / ours:,.0f}"


def uncertain(p: float, replicates: int) -> str:
    """p and its Monte Carlo standard error."""
    return f"{p:.2f} ± {math.sqrt(p * (1 - p) / replicates):.2f}"


if __name__ == "__main__":
    main()
