"""The scorecard of equal-size samples beside that of what one would use instead, over data sets and seeds, as Markdown.

    python benchmarks/fidelity.py [--seeds N] [--margins drawn|measured] [--no-rivals] [--quick] [--data FILE ...]

FILE: federations in any format; default: the example and what lies in the folder FEDGEN_DATA (../shared/data). Seeds
count from 1. The nulls have one seed for all, so that floors are the same for all generators of a data set.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from statistics import median
from typing import Any

from rivals import RIVALS, Drawn, find_blocks

import fedgen
from fedgen import Federation, Scorecard

ROOT = Path(__file__).parents[1]
KNOWN = ("matrix-2018-standin.json.gz", "kernel_mail.csv.gz")
MARGINS = ("drawn", "measured")
QUICK = 99
"""Draws of each null with --quick: the fewest that can reject."""

Generator = Callable[[int], Drawn]
"""Takes a seed to a federation."""


@dataclass(frozen=True)
class Study:
    """What one generator made of one data set, seed by seed.

    Attributes:
        generator: what it is called.
        cards: a scorecard for each seed.
        dropped: memberships that it had to drop, for each seed.
        seconds: that it took altogether, without the scorecards.
    """

    generator: str
    cards: tuple[Scorecard, ...]
    dropped: tuple[int, ...]
    seconds: float

    def ratios(self, row: str) -> list[float]:
        """Distance over floor for each seed; NaN where the row is not applicable."""
        return [card[row].ratio for card in self.cards]


def main() -> None:
    """Print the tables of each data set as soon as they are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, metavar="FILE", help="federations in any format")
    parser.add_argument(
        "--seeds", type=int, default=10, metavar="N", help="samples per generator (default: %(default)s)"
    )
    parser.add_argument("--margins", choices=MARGINS, help="only this mode (default: both)")
    parser.add_argument("--no-rivals", action="store_true", help="fedgen alone")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} draws of each null")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("FEDGEN_DATA", ROOT / ".." / "shared" / "data"))
    known = [ROOT / "configs" / "debian_teams.csv.gz", *(folder / name for name in KNOWN)]
    modes = (arguments.margins,) if arguments.margins else MARGINS
    print(f"fedgen {fedgen.__version__}, seeds 1 to {arguments.seeds}.\n")
    for path in arguments.data or [path for path in known if path.is_file()]:
        measured = fedgen.read(path)
        options = {"replicates": QUICK} if arguments.quick else {}
        against = measurement(measured, options)
        chosen = generators(measured, modes, rivals=not arguments.no_rivals)
        studies = [study(name, generate, arguments.seeds, against) for name, generate in chosen]
        print("\n".join(report(path.name, measured, studies)), flush=True)


def generators(measured: Federation, modes: Iterable[str], *, rivals: bool) -> Iterator[tuple[str, Generator]]:
    """By name; what cannot be had is told."""
    model = fedgen.fit(measured)
    for mode in modes:
        options: dict[str, Any] = {"margins": mode}
        yield f"fedgen {mode}", lambda seed, options=options: Drawn(fedgen.sample(model, seed=seed, **options), 0)
    if not rivals:
        return
    for name, rival in RIVALS.items():
        if name == "block model":
            try:
                print(f"The block model's blocks are by {find_blocks(measured).found_by}.\n")
            except ModuleNotFoundError:
                print("No block model: neither graph-tool nor igraph is installed (pip install --group bench).\n")
                continue
        yield name, lambda seed, rival=rival: rival(measured, seed)


def measurement(measured: Federation, options: dict[str, Any]) -> Callable[[Federation], Scorecard]:
    """Judges a federation by the measured one; what depends on that one alone is computed once where it can be."""
    try:
        from validate.measurement import Measurement
    except ModuleNotFoundError:
        return lambda generated: fedgen.validate(generated, measured, **options)
    kept = Measurement(measured, **options)
    return lambda generated: fedgen.validate(generated, kept)


def study(name: str, generate: Generator, seeds: int, against: Callable[[Federation], Scorecard]) -> Study:
    """A generator with seeds 1, 2, ..., held against a measured federation."""
    cards, dropped, seconds = [], [], 0.0
    for seed in range(1, seeds + 1):
        tell(f"{name}, seed {seed} of {seeds}")
        start = time.perf_counter()
        drawn = generate(seed)
        seconds += time.perf_counter() - start
        cards.append(against(drawn.federation))
        dropped.append(drawn.dropped)
    tell("")
    return Study(name, tuple(cards), tuple(dropped), seconds)


def tell(text: str) -> None:
    """How far it is, where somebody looks on."""
    if sys.stderr.isatty():
        print(f"{text:<60}", end="\r", file=sys.stderr)


def report(title: str, measured: Federation, studies: Sequence[Study]) -> Iterator[str]:
    """The lines of one data set."""
    yield f"## {title}\n"
    yield f"{measured!r}\n"
    yield from overview(studies)
    yield ""
    yield from quantities(studies)
    yield ""
    yield from rows(studies)
    yield ""


def overview(studies: Sequence[Study]) -> Iterator[str]:
    """How many rows are within their floor, and what rejects."""
    judged = max(card.judged for one in studies for card in one.cards)
    yield from table(
        (
            "generator",
            f"within, of {judged}: median",
            "per seed",
            "rejected",
            "rejected by",
            "copied",
            "dropped",
            "seconds",
        ),
        (
            (
                one.generator,
                f"{median(card.within for card in one.cards):g}",
                " ".join(str(card.within) for card in one.cards),
                f"{sum(card.rejected for card in one.cards)} of {len(one.cards)}",
                rejecting(one.cards) or "–",
                f"{median(card.copied for card in one.cards):g}",
                f"{median(one.dropped):g}",
                f"{one.seconds / len(one.cards):.1f}",
            )
            for one in studies
        ),
    )


def rejecting(cards: Sequence[Scorecard]) -> str:
    """The rows that reject, and how often."""
    names = [row.name for row in cards[0].rows]
    often = {name: sum(card[name].verdict == "rejected" for card in cards) for name in names}
    return ", ".join(f"{name} {count}" for name, count in often.items() if count)


def quantities(studies: Sequence[Study]) -> Iterator[str]:
    """What the wide floors of load may hide, and memorisation: median and span over the seeds."""
    yield from table(
        (
            "generator",
            "hub's share of tx, points",
            "T/U, ratio",
            "load curve, sup",
            "butterflies, ratio",
            "E7, share too near",
        ),
        (
            (
                one.generator,
                spread([100 * (card["D1h"].generated - card["D1h"].measured) for card in one.cards], "+.1f"),
                spread([ratio(card, "D3") for card in one.cards], ".3f"),
                spread([card["D2"].distance for card in one.cards], ".3f"),
                spread([ratio(card, "E2") for card in one.cards], ".3f"),
                spread([memorised(card) for card in one.cards], ".3f"),
            )
            for one in studies
        ),
    )


def ratio(card: Scorecard, name: str) -> float:
    """The generated side's number over the measured side's; NaN where the scorecard has no such row or number."""
    row = next((row for row in card.rows if row.name == name), None)
    return nan if row is None or not row.measured else row.generated / row.measured


def memorised(card: Scorecard) -> float:
    """E7 of all records."""
    return next(kind.share for kind in card.memorisation if kind.records == "together")


def rows(studies: Sequence[Study]) -> Iterator[str]:
    """The median ratio of every row over the seeds, and the worst."""
    first = studies[0].cards[0]
    yield from table(
        ("row", "statistic", "floor", *(f"{one.generator}: median (worst)" for one in studies)),
        (
            (row.name, row.statistic, f"{row.floor:.4f}", *(worst(one.ratios(row.name)) for one in studies))
            for row in first.rows
        ),
    )


def worst(ratios: Sequence[float]) -> str:
    """Median and worst; bold where the median is beyond the floor."""
    some = [ratio for ratio in ratios if not isnan(ratio)]
    if not some:
        return "–"
    middle = f"{median(some):.2f}"
    return f"{f'**{middle}**' if median(some) > 1 else middle} ({max(some):.2f})"


def spread(values: Sequence[float], form: str) -> str:
    """Median, least and most."""
    some = [value for value in values if not isnan(value)]
    return f"{median(some):{form}} ({min(some):{form}} to {max(some):{form}})" if some else "–"


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    """In Markdown."""
    for line in (header, ("---",) * len(header), *lines):
        yield f"| {' | '.join(line)} |"


if __name__ == "__main__":
    main()
