"""Simulation study of the tail fit: what its intervals, p-values, choices and hubs are worth. Tables for docs/tails.md.

    python benchmarks/calibration.py [PART ...] [--repetitions N]

Shares are in percent, with their 95 % Wilson intervals. The same command prints the same numbers; tests/
test_calibration.py asserts some of them at small scale.
"""

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import product
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from fitting.bootstrap import goodness, p_value, resampled
from fitting.comparison import compare
from fitting.histogram import Histogram
from fitting.hubs import find_hubs
from fitting.laws.families import DISCRETE, make
from fitting.laws.law import Law
from fitting.laws.power import PowerLaw
from fitting.laws.rounded import Lognormal
from fitting.scan import scan
from fitting.tails import fit_tail
from fitting.zeta import exponent_error, zeta_exponent

REPLICATES = 200  # of each bootstrap
NORMAL = 1.96  # standard errors on either side hold 95 %
SEED = 2009
Rng = np.random.Generator
Values = np.ndarray[Any, Any]
Repeat = Callable[..., list[Any]]  # (how many times the usual number, trial, *its arguments) -> what the trials return


class Source(NamedTuple):
    """Where samples come from: a law, and below it nothing or as many values again, uniform on {1, ..., xmin - 1}."""

    family: str
    parameters: tuple[float, ...]
    xmin: int = 1
    body: bool = False

    def __str__(self) -> str:
        named = zip(DISCRETE[self.family].names, self.parameters, strict=True)
        words = f"{self.family}, {', '.join(f'{name} = {value:g}' for name, value in named)}"
        return words + (f", from {self.xmin} on" if self.xmin > 1 else "") + (", half below" if self.body else "")

    def draw(self, n: int, rng: Rng) -> Values:
        """(n,) integers."""
        below = rng.integers(1, self.xmin, rng.binomial(n, 0.5)) if self.body else np.empty(0, dtype=np.int64)
        return np.concatenate((below, law_of(self).draw(n - len(below), rng)))


@cache  # with the table that its draws are looked up in
def law_of(source: Source) -> Law:
    return make(source.family, dict(zip(DISCRETE[source.family].names, source.parameters, strict=True)), source.xmin)


def pure(alpha: float, xmin: int = 1) -> Source:
    """A power law and nothing else."""
    return Source("power law", (alpha,), xmin)


def upper_half(alpha: float) -> Source:
    """A power law from 10 on, half of the values below."""
    return Source("power law", (alpha,), 10, body=True)


LOGNORMALS = (Source("lognormal", (1.0, 1.5)), Source("lognormal", (0.3, 2.0)))
EXPONENTIAL = Source("exponential", (0.125,))
OTHERS = (
    *LOGNORMALS,
    Source("power law with cut-off", (2.0, 0.01)),
    Source("power law with cut-off", (1.5, 0.001)),
    Source("bounded power law", (1.5, 1000.0)),
    Source("stretched exponential", (0.3, 0.5)),
    EXPONENTIAL,
)


# Trials: one sample each


def covered(source: Source, n: int, rng: Rng) -> bool:
    """Whether the interval at the true xmin holds the true exponent; all values are of the tail."""
    x = source.draw(n, rng)
    alpha = zeta_exponent(float(np.log(x / source.xmin).mean()), float(source.xmin))
    return alpha < np.inf and abs(alpha - source.parameters[0]) <= NORMAL * exponent_error(alpha, source.xmin, n)


class Estimated(NamedTuple):
    """What the scan estimates, and the bootstrap's 95 % intervals of exponent and xmin."""

    xmin: float
    tail: int
    alpha: float
    error: float
    low: float
    high: float
    xmin_low: float
    xmin_high: float


def estimated(source: Source, n: int, rng: Rng) -> Estimated:
    """The exponent where xmin is estimated, too."""
    histogram = Histogram.of(source.draw(n, rng))
    found = scan(histogram)
    xmin, tail = float(histogram.values[found.index]), n - int(histogram.upto[found.index])
    again = resampled(histogram, REPLICATES, seed_of(rng))
    (low, high), (xmin_low, xmin_high) = (np.quantile(column, (0.025, 0.975)) for column in again[:2])
    error = exponent_error(found.alpha, xmin, tail)
    return Estimated(xmin, tail, found.alpha, error, low, high, xmin_low, xmin_high)


class Judged(NamedTuple):
    """The scan's power law and its p-value."""

    p: float
    tail: int
    alpha: float


def judged(source: Source, n: int, rng: Rng) -> Judged:
    """Goodness of fit of the scan's power law."""
    histogram = Histogram.of(source.draw(n, rng))
    found = scan(histogram)
    replicates = goodness(histogram, histogram.values[found.index], found.alpha, REPLICATES, seed_of(rng))
    tail = histogram.n - int(histogram.upto[found.index])
    return Judged(p_value(found.distance, replicates), tail, found.alpha)


class Chosen(NamedTuple):
    """The law that the rule picks, and how many values it covers."""

    family: str
    tail: int


def chosen(source: Source, n: int, rng: Rng) -> Chosen:
    """The whole rule, without hubs and without bootstrap."""
    fit = fit_tail("values", source.draw(n, rng))
    return Chosen(fit.law or "none", fit.tail)


def told_apart(source: Source, n: int, rng: Rng) -> str:
    """Which of power law and lognormal is better with p < .1 over all values; "" if neither."""
    sample = Histogram.of(source.draw(n, rng))
    power, lognormal = PowerLaw.fit(sample, source.xmin), Lognormal.fit(sample, source.xmin)
    if power is None or lognormal is None:
        return ""
    comparison = compare(power, lognormal, sample)
    return comparison.better if comparison.p < 0.1 else ""


def hubs_found(source: Source, n: int, planted: int, times: float, rng: Rng) -> int:
    """How many hubs are found beside ``planted`` ones, the least of which is ``times`` the largest other value."""
    x = source.draw(n, rng)
    hubs = np.ceil(times * x.max() * 1.2 ** np.arange(planted)).astype(np.int64)
    return find_hubs(Histogram.of(np.concatenate((x, hubs)))).count


def seed_of(rng: Rng) -> np.random.SeedSequence:
    return np.random.SeedSequence(int(rng.integers(2**63)))


# Tables: each part yields its lines


def known(repeat: Repeat) -> Iterator[str]:
    """Coverage of alpha ± 1.96 standard errors at a known xmin."""
    sizes = (100, 1_000, 10_000)
    yield from header("alpha", "xmin", *(f"n = {n:,}" for n in sizes))
    for alpha, xmin in product((1.5, 2.0, 2.5, 3.5), (1, 10)):
        yield row(alpha, xmin, *(share(repeat(10, covered, pure(alpha, xmin), n)) for n in sizes))


def with_xmin(repeat: Repeat) -> Iterator[str]:
    """The scan's estimates, and how often ± 1.96 errors and the bootstrap hold the exponent, the bootstrap xmin."""
    yield from header(
        *("law", "n", "xmin: 5 %, median, 95 %", "xmin right", "tail (median)", "alpha: bias", "spread"),
        *("error (median)", "± 1.96 errors", "bootstrap", "is wider by", "bootstrap, xmin"),
    )
    for source, n in product((pure(2.5), pure(1.8), upper_half(2.5), upper_half(1.8)), (1_000, 10_000, 130_000)):
        trials = repeat(1 if n < 100_000 else 0.4, estimated, source, n)
        xmin, tail, alpha, error, low, high, xmin_low, xmin_high = columns(trials)
        true = source.parameters[0]
        yield row(
            *(source, f"{n:,}", quantiles(xmin, "{:.0f}"), f"{100 * np.mean(xmin == source.xmin):.0f} %"),
            *(
                f"{np.median(tail):,.0f}",
                f"{alpha.mean() - true:+.4f}",
                f"{alpha.std():.4f}",
                f"{np.median(error):.4f}",
            ),
            *(share(abs(alpha - true) <= NORMAL * error), share((low <= true) & (true <= high))),
            f"{100 * np.median((high - low) / error) / (2 * NORMAL) - 100:.0f} %",
            share((xmin_low <= source.xmin) & (source.xmin <= xmin_high)),
        )


def under_null(repeat: Repeat) -> Iterator[str]:
    """p of true power laws; were it uniform, 5 % would lie below .05 and so on."""
    levels = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9)
    yield from header("law", "n", "p < .05", "p < .1", *(f"{100 * level:.0f} % quantile" for level in levels))
    for source, n in product((pure(2.5), pure(1.8), upper_half(2.5), upper_half(1.8)), (200, 2_000)):
        p, _, _ = columns(repeat(2, judged, source, n))
        found = [f"{level:.2f}" for level in np.quantile(p, levels)]
        yield row(source, f"{n:,}", share(p < 0.05), share(p < 0.1), *found)


def against(repeat: Repeat) -> Iterator[str]:
    """Where there is no power law: how often the scan's is rejected, how long its tail is, what the rule picks."""
    yield from header(
        "law", "n", "p < .1", "tail: 5 %, median, 95 %", "of all (median)", "alpha (median)", "other law picked"
    )
    for source, n in product((*LOGNORMALS, EXPONENTIAL), (500, 2_000, 10_000, 130_000)):
        times = 1 if n < 100_000 else 0.4
        p, tail, alpha = columns(repeat(times, judged, source, n))
        yield row(
            *(source, f"{n:,}", share(p < 0.1), quantiles(tail, "{:,.0f}")),
            *(f"{100 * np.median(tail) / n:.1f} %", f"{np.median(alpha):.2f}"),
            share([trial.family != "power law" for trial in repeat(times, chosen, source, n)]),
        )


def given(repeat: Repeat) -> Iterator[str]:
    """How many values tell power law and lognormal apart, xmin being known: verdicts in percent, right / wrong."""
    sizes = (50, 100, 200, 500, 1_000, 2_000, 5_000)
    yield from header("law", *(f"n = {n:,}" for n in sizes))
    for source in (*LOGNORMALS, Source("lognormal", (1.0, 1.5), 10), pure(2.0), pure(2.5), pure(2.5, 10)):
        verdicts = [np.array(repeat(1, told_apart, source, n)) for n in sizes]
        right = [100 * np.mean(v == source.family) for v in verdicts]
        wrong = [100 * np.mean((v != source.family) & (v != "")) for v in verdicts]
        yield row(source, *(f"{r:.0f} / {w:.0f}" for r, w in zip(right, wrong, strict=True)))


def choice(repeat: Repeat) -> Iterator[str]:
    """The law that the rule picks, xmin and all."""
    yield from header("law", "n", "right", *DISCRETE, "none", "tail, of all (median)")
    for source, n in product((pure(2.0), pure(2.5), upper_half(2.5), *OTHERS), (500, 5_000)):
        trials = repeat(1, chosen, source, n)
        times = Counter(trial.family for trial in trials)
        yield row(
            *(source, f"{n:,}", share(np.array([trial.family == source.family for trial in trials]))),
            *(f"{100 * times[family] / len(trials):.1f}" for family in (*DISCRETE, "none")),
            f"{100 * np.median([trial.tail for trial in trials]) / n:.1f} %",
        )


def alarms(repeat: Repeat) -> Iterator[str]:
    """How often hubs are found where there are none; at most 5 % are wanted."""
    sizes = (100, 500, 2_000, 10_000)
    sources = (*(pure(alpha) for alpha in (1.6, 2.0, 2.5, 3.0)), upper_half(2.5), *LOGNORMALS, EXPONENTIAL)
    yield from header("law", *(f"n = {n:,}" for n in sizes))
    for source in sources:
        yield row(source, *(share(np.array(repeat(4, hubs_found, source, n, 0, 1.0)) > 0) for n in sizes))


def hubs(repeat: Repeat) -> Iterator[str]:
    """How often planted hubs are found: exactly so many; in brackets, any."""
    times = (3.0, 10.0, 30.0, 100.0)
    yield from header("law (n = 2,000)", "hubs", *(f"{factor:g} times the rest" for factor in times))
    for source, planted in product((pure(2.0), pure(2.5), upper_half(2.5), LOGNORMALS[0]), (1, 2, 5)):
        found = [np.array(repeat(1, hubs_found, source, 2_000, planted, factor)) for factor in times]
        yield row(source, planted, *(f"{100 * np.mean(f == planted):.0f} ({100 * np.mean(f > 0):.0f})" for f in found))


PARTS = {part.__name__: part for part in (known, with_xmin, under_null, against, given, choice, alarms, hubs)}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--repetitions", type=int, default=500, help="samples of a cell, mostly (default: %(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    with ProcessPoolExecutor() as pool:
        each = partial(pool.map, chunksize=10)
        for name in arguments.parts or PARTS:
            start = time.perf_counter()
            print(f"### {name}\n\n{PARTS[name].__doc__}\n")
            for line in PARTS[name](partial(repeated, each, arguments.repetitions)):
                print(line, flush=True)
            print()
            print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)


def repeated(
    each: Callable[..., Any], usual: int, times: float, trial: Callable[..., Any], *arguments: Any
) -> list[Any]:
    """What ``times * usual`` trials return; each has a stream of its own, which depends on the trial and its number."""
    cell = crc32(repr((trial.__name__, *arguments)).encode())
    return list(each(partial(_one, trial, arguments, cell), range(math.ceil(times * usual))))


def _one(trial: Callable[..., Any], arguments: tuple[Any, ...], cell: int, number: int) -> Any:
    return trial(*arguments, np.random.default_rng([SEED, cell, number]))


# Words


def columns(trials: list[Any]) -> Values:
    return np.array(trials, dtype=np.float64).T


def header(*words: str) -> tuple[str, str]:
    return row(*words), "|---" * len(words) + "|"


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def share(hits: Sequence[bool] | Values) -> str:
    """The percentage and its Wilson interval."""
    low, high = wilson(int(np.sum(hits)), len(hits))
    return f"{100 * np.mean(hits):.1f} ({100 * low:.1f}-{100 * high:.1f})"


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a probability (Wilson 1927)."""
    p, z = hits / trials, NORMAL**2 / trials
    middle, half = p + z / 2, math.sqrt(z * (p * (1 - p) + z / 4))
    return (middle - half) / (1 + z), (middle + half) / (1 + z)


def quantiles(values: Values, form: str) -> str:
    """The 5 %, 50 % and 95 % quantiles."""
    return ", ".join(form.format(value) for value in np.quantile(values, (0.05, 0.5, 0.95)))


if __name__ == "__main__":
    main()
