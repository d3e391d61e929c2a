"""Whether samples grow as is declared, and whether a fit of a large sample finds the laws again, as Markdown.

    python benchmarks/growth.py [--data FILE ...] [--factors F ...] [--seeds N] [--times N] [--jobs N]

FILE: federations in any format, or models; default: the example. Seeds count from 1.

*Exponents*: of every growth scenario that comes with fedgen, every statistic of a sweep over the factors, its exponent
with the 95 % interval over seeds (fedgen/statistics/scaling.py), and the declared one (gen/growth.py). Also the
exponents over the smaller and over the larger half of the factors: what is a power of size has the same in both.
*Laws*: a proportional sample of N times the servers is fitted. Where the measurement has a law, the same family is
fitted to the sample from the same xmin on, hubs left out; each parameter is held against the measurement's 95 %
interval, 1.96 standard errors to either side. Beside it the same at the measured size, which tells what drawing does
from what growth does, and the law that the rule of fedgen fit chooses for the large sample.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import isnan, nan
from pathlib import Path
from statistics import median

import numpy as np

import fedgen
from fedgen import Model
from fedgen.cli.inputs import is_model
from fedgen.statistics.outline import LABELS
from fedgen.statistics.scaling import Exponent, exponent
from fitting.fit import quantities
from fitting.histogram import Histogram
from fitting.laws.families import DISCRETE
from fitting.tails import LawFit, fit_tail
from gen.cells import draw_cells, plan_cells
from gen.scenario import Scenario, known_scenarios, read_scenario
from gen.sweep import Sweep
from gen.trends import Trends

ROOT = Path(__file__).parents[1]
FACTORS = (1, 2, 4, 8, 16, 32, 64)
NORMAL = 1.96  # standard errors on either side hold 95 %


def main() -> None:
    """Print the tables of each data set as soon as they are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    example = [ROOT / "configs" / "debian_teams.csv.gz"]
    parser.add_argument("--data", nargs="+", type=Path, metavar="FILE", default=example)
    parser.add_argument("--factors", nargs="+", type=float, metavar="F", default=FACTORS)
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="per cell (default: %(default)s)")
    parser.add_argument("--times", type=float, default=50.0, metavar="N", help="of the fit (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    arguments = parser.parse_args()
    print(f"fedgen {fedgen.__version__}, seeds 1 to {arguments.seeds}.\n")
    for path in arguments.data:
        model = Model.load(path) if is_model(path) else fedgen.fit(fedgen.read(path))
        print(f"## {path.name}\n\n{model!r}\n")
        trends = grown(model, arguments.factors, arguments.seeds, arguments.jobs)
        print("\n".join(overview(trends)), flush=True)
        for name in trends.sweep.scenarios:
            print("\n".join(exponents(trends, name)), flush=True)
        print("\n".join(laws(model, arguments.times, arguments.seeds)), flush=True)


def growth_scenarios() -> dict[str, Scenario]:
    """Those that come with fedgen and say how a federation grows; the proportional one first."""
    found = {name: read_scenario(name) for name in sorted(known_scenarios(), key=lambda name: name != "proportional")}
    return {name: one for name, one in found.items() if one.mode == "scenario" and one.decentralize is None}


def grown(model: Model, factors: Sequence[float], seeds: int, jobs: int) -> Trends:
    """Every scenario at every factor with every seed."""
    sweep = Sweep("growth", tuple(factors), seeds, growth_scenarios())
    plans = plan_cells(model, sweep, 1)
    outlines = {}
    for cell, one in draw_cells(model, plans, jobs):
        outlines[cell] = one
        tell(f"{len(outlines)} of {len(plans)} federations")
    tell("")
    return Trends(sweep, {cell: outlines[cell] for cell in plans})


def overview(trends: Trends) -> Iterator[str]:
    """How many declared exponents hold, and which do not."""
    lines = []
    for name in trends.sweep.scenarios:
        declared = trends.declared(name)
        found = {statistic: trends.exponent(name, statistic) for statistic in declared}
        missed = [key for key, law in declared.items() if found[key].holds(law) is False]
        unknown = [key for key, law in declared.items() if found[key].holds(law) is None]
        words = ", ".join(f"{key} (by {found[key].off(declared[key]):.3f})" for key in missed)
        held = len(declared) - len(missed) - len(unknown)
        lines.append((name, str(len(declared)), str(held), words or "–", ", ".join(unknown) or "–"))
    header = ("scenario", "declared exponents", "hold", "outside their 95 % interval", "not to be told")
    yield "### Declared exponents\n"
    yield from table(header, lines)
    yield ""


def exponents(trends: Trends, name: str) -> Iterator[str]:
    """A row per statistic of a scenario."""
    declared, factors = trends.declared(name), trends.sweep.factors
    middle = len(factors) // 2
    first, last = (f"×{factor:g}" for factor in (factors[0], factors[-1]))
    lines = []
    for statistic, label in LABELS.items():
        found, law = trends.exponent(name, statistic), declared.get(statistic)
        verdict = "" if law is None else {True: "yes", False: "**no**", None: "–"}[found.holds(law)]
        values, x = trends.values(name, statistic), np.array(factors)
        halves = exponent(x[: middle + 1], values[: middle + 1]), exponent(x[middle:], values[middle:])
        bands = trends.bands(name, statistic)
        lines.append(
            (
                label,
                "" if law is None else f"{law:g}",
                interval(found),
                verdict,
                *(number(half.value, "+.3f") for half in halves),
                *(number(bands[at].median, ",.5g") for at in (0, middle, -1)),
            )
        )
    yield f"### {name}\n"
    header = ("statistic", "declared", "exponent (95 %)", "holds", f"{first} to ×{factors[middle]:g}")
    yield from table((*header, f"×{factors[middle]:g} to {last}", first, f"×{factors[middle]:g}", last), lines)
    yield ""


def laws(model: Model, times: float, seeds: int) -> Iterator[str]:
    """A row per parameter of a law: of the measurement, of samples of its size, of large ones."""
    proportional = read_scenario("proportional")
    large, equal = (
        [
            quantities(fedgen.sample(model, scenario=replace(proportional, factor=factor), seed=seed))
            for seed in range(1, seeds + 1)
        ]
        for factor in (times, 1.0)
    )
    lines = []
    for symbol, law in model.laws.items():
        chosen = fit_tail(symbol, large[0][symbol], hubs=law.hubs is not None)
        words = f"{chosen.law} from {chosen.xmin}" if chosen.law else "none"
        if law.law is None:
            lines.append((symbol, "none", "", "", "", "", "", words))
            continue
        for name, value in law.parameters.items():
            error = law.errors.get(name, nan)
            of_large, of_equal = ([refitted(one[symbol], law, name) for one in some] for some in (large, equal))
            lines.append(
                (
                    symbol,
                    f"{law.law} from {law.xmin}, {name}",
                    f"{value:.3f}",
                    f"{value - NORMAL * error:.3f} to {value + NORMAL * error:.3f}",
                    spread(of_equal),
                    spread(of_large),
                    within(of_large, value, error),
                    words,
                )
            )
    yield f"### Laws of samples of {times:g} times the servers\n"
    header = ("", "law, parameter", "measured", "95 %", "refit of ×1: median (least to most)", f"refit of ×{times:g}")
    yield from table((*header, f"×{times:g} within", f"law that fit chooses at ×{times:g}, seed 1"), lines)
    yield ""


def refitted(values: np.ndarray, law: LawFit, parameter: str) -> float:
    """A parameter of the same family from the same xmin on, without as many hubs; NaN where it has no fit."""
    assert law.law is not None
    body = Histogram.of(values).without_largest(law.hubs.count if law.hubs else 0)
    found = DISCRETE[law.law].fit(body.tail(law.xmin), float(law.xmin))
    return nan if found is None else found.parameters[parameter]


def within(values: Sequence[float], value: float, error: float) -> str:
    """How many lie within the interval."""
    if isnan(error):
        return "–"
    return f"{sum(abs(one - value) <= NORMAL * error for one in values)} of {len(values)}"


def interval(found: Exponent) -> str:
    """The exponent and its interval."""
    if isnan(found.value):
        return "–"
    value, low, high = (round(one, 3) + 0.0 for one in (found.value, found.low, found.high))  # no -0.000
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def number(value: float, form: str) -> str:
    """A dash for none."""
    return "–" if isnan(value) else f"{round(value, 9) + 0.0:{form}}"


def spread(values: Sequence[float]) -> str:
    """Median, least and most."""
    some = [value for value in values if not isnan(value)]
    return f"{median(some):.3f} ({min(some):.3f} to {max(some):.3f})" if some else "–"


def tell(text: str) -> None:
    """How far it is, where somebody looks on."""
    if sys.stderr.isatty():
        print(f"{text:<60}", end="\r", file=sys.stderr)


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    """In Markdown."""
    for line in (header, ("---",) * len(header), *lines):
        yield f"| {' | '.join(line)} |"


if __name__ == "__main__":
    main()
