"""``fedgen sweep``: sizes x assumptions x seeds; how structure and load grow, and which assumption decides it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedgen.cli import terminal
from fedgen.cli.cells import Folder
from fedgen.cli.inputs import choose_model
from fedgen.cli.options import Force, Json, Quiet, Seed, number_option, path_argument, path_option

if TYPE_CHECKING:
    from fedgen.statistics.scaling import Exponent
    from gen.plan import Plan
    from gen.sweep import Sweep
    from gen.trends import Move, Trends


def sweep(
    context: typer.Context,
    model: Annotated[Path | None, path_argument("MODEL", "Default: model.json here, else the built-in model.")] = None,
    *,
    config: Annotated[
        Path,
        path_option(
            "--config",
            metavar="SWEEP",
            help="Factors, seeds and scenarios: a file (docs/sweep.md), or sweep for the one that comes with fedgen.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, path_option("-o", "--output", metavar="DIR", help="The folder for the results.", show_default=False)
    ],
    seed: Seed = 0,
    jobs: Annotated[
        int,
        number_option(
            "--jobs", 1, "Federations that are drawn at once, each with memory of its own; the result is the same."
        ),
    ] = 1,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Sweep sizes and assumptions.

    Draws a federation for every scenario, factor and seed, keeps its statistics, and tells how structure and load grow
    with size, and which assumption moves the answer most. DIR gets plan.json, a file per draw in cells, sweep.csv,
    sweep.png, mechanisms.png and sweep.json; a run that was killed is continued by the same command.
    """
    from fedgen.provenance import digest, record
    from gen.cells import plan_cells
    from gen.sweep import find_sweep, read_sweep

    asked = read_sweep(config)
    chosen = choose_model(model, quiet=quiet)
    plans = plan_cells(chosen.model, asked, seed)
    path = find_sweep(config)
    provenance = record(context.obj, seed=seed, inputs={chosen.origin: chosen.model.digest, str(config): digest(path)})
    folder = Folder(output, asked, chosen.model, plans, (*chosen.inputs, path), provenance)
    folder.check(force=force)
    if not quiet:
        terminal.remark(assumed(asked, {cell.scenario: plan for cell, plan in plans.items()}))
    with terminal.progress(quiet) as progress:
        trends = folder.fill(progress, jobs=jobs, force=force)
    terminal.ignore_interrupts()
    if json:
        terminal.print_json({**folder.document(trends), "output": str(output)})
    else:
        print_trends(trends)
        print(output)


def assumed(sweep: "Sweep", plans: "dict[str, Plan]") -> list[str]:
    """What each scenario assumes: all of the reference, of the others what differs from it."""
    lines = []
    for name, scenario in sweep.scenarios.items():
        if name == sweep.reference:
            lines += [f"{name} assumes: {line}" for line in plans[name].assumptions()]
            continue
        of = scenario.growth.assumptions()
        differs = [of[key] for key in sweep.differs(name) if key in of]
        if "decentralize" in sweep.differs(name):
            differs.append(scenario.decentralize.assumption() if scenario.decentralize else "nobody moves")
        lines += [f"{name} assumes instead: {line}" for line in differs or ["nothing: it is the same"]]
    return lines


def print_trends(trends: "Trends") -> None:
    """Print what holds at the largest factor, the exponent of load per user, which assumption decides, and what other
    mechanisms buy.
    """
    from gen.sweep import factor_word

    swept = trends.sweep
    header = (
        "scenario", "T/U", "hub's share of tx", "1/HHI", "largest tx", "exponent of T/U", "95 % interval", "declared",
    )  # fmt: skip
    rows = []
    for name in swept.scenarios:
        load, share, servers, largest = (
            trends.bands(name, statistic)[-1].median
            for statistic in ("load_per_user", "hub_share_tx", "effective_servers", "largest_tx")
        )
        found = _exponent_words(trends.exponent(name, "load_per_user"))
        declared = trends.declared(name).get("load_per_user")
        rows.append((name, load, share, servers, _whole(largest), *found, declared))
    seeds = "1 seed" if swept.seeds == 1 else f"medians over {swept.seeds} seeds"
    terminal.print_table(f"{swept.title}: at {factor_word(swept.factors[-1])} times the servers, {seeds}", header, rows)
    print(f"\n{verdict(trends)}\n")
    print_mechanisms(trends)


def print_mechanisms(trends: "Trends") -> None:
    """Print the largest load under each mechanism, of the reference at the largest factor."""
    from fedgen.statistics.outline import LARGEST_LOADS
    from gen.sweep import factor_word

    swept = trends.sweep
    loads = {way: trends.bands(swept.reference, one)[-1].median for way, one in LARGEST_LOADS.items()}
    rows = [(way, _whole(load), loads["broadcast"] / load if load > 0 else None) for way, load in loads.items()]
    title = f"{swept.reference} at {factor_word(swept.factors[-1])} times the servers: the largest load of a server"
    terminal.print_table(title, ("mechanism", "largest tx + rx", "times less than broadcast"), rows)
    print()


def _whole(value: float) -> float | int:
    return round(value) if value >= 1000 else value


def _exponent_words(found: "Exponent") -> tuple[float, str]:
    interval = "" if found.low != found.low else f"{found.low:.3f} to {found.high:.3f}"
    return round(found.value, 3) + 0.0, interval


def verdict(trends: "Trends") -> str:
    """Which assumption moves the answer most, in one sentence."""
    from fedgen.statistics.outline import LABELS

    swept, ranking = trends.sweep, trends.ranking()
    if not ranking:
        return f"Which assumption moves the answer most: {swept.reference} is the only one, nothing to compare."
    largest: dict[str, Move] = {}
    for move in ranking:
        if move.beyond_seeds is not False and move.log2_ratio == move.log2_ratio and move.log2_ratio != 0.0:
            largest.setdefault(move.answer, move)
    if not largest:
        return "Which assumption moves the answer most: none does beyond the bands over seeds."
    moved: dict[str, list[str]] = {}
    for move in largest.values():
        moved.setdefault(move.scenario, []).append(f"{LABELS[move.answer]} by {2.0**move.log2_ratio:.3g}")
    words = [f"{name} ({', '.join(swept.differs(name))}) multiplies {_and(what)}" for name, what in moved.items()]
    unmoved = [LABELS[answer] for answer in dict.fromkeys(move.answer for move in ranking) if answer not in largest]
    rest = f"; none moves {_and(unmoved)} beyond the bands over seeds" if unmoved else ""
    if swept.seeds == 1:
        rest = "; with one seed nothing tells that from chance"
    return f"Which assumption moves the answer most: against {swept.reference}, {'; '.join(words)}{rest}."


def _and(words: list[str]) -> str:
    return " and ".join((", ".join(words[:-1]), words[-1]) if len(words) > 1 else words)
