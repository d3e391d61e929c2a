"""``fedgen load``: what every server would have to send and receive."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fedgen.cli import terminal
from fedgen.cli.inputs import read_federation
from fedgen.cli.options import Force, Json, Quiet, Seed, number_option, path_argument, path_option
from fedgen.cli.output import check_file
from fedgen.cli.plot import DEFAULT_FORMATS, check_figures, write_figures
from fedgen.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fedgen.cli.traffic import Goal
    from fedgen.federation import Federation
    from fedgen.io.hosting import Hosting
    from fedgen.traffic.activity import Activity
    from fedgen.traffic.equations import Load


_FASTEST = 1e100  # beyond, sums overflow


def load(
    federation: Annotated[Path, path_argument("FEDERATION", "A federation in any format.")],
    rate: Annotated[
        float, typer.Option("--rate", metavar="R", help="Messages per user and unit of time, on average.")
    ] = 1.0,
    mechanism: Annotated[
        list[str] | None,
        typer.Option(
            "--mechanism",
            metavar="M",
            help="How events are distributed (docs/mechanisms.md); several times, or all, to compare. "
            "Default: broadcast.",
            show_default=False,
        ),
    ] = None,
    objective: Annotated[
        Literal["largest", "total", "rounds"],
        typer.Option("--objective", help="What the adaptive mechanism makes small."),
    ] = "largest",
    max_load: Annotated[
        float | None,
        typer.Option(
            "--max-load",
            metavar="L",
            help="With --objective rounds: tx + rx per capacity that no server may exceed.",
            show_default=False,
        ),
    ] = None,
    capacities: Annotated[
        Path | None,
        path_option(
            "--capacities",
            metavar="F",
            help="What each server can carry, for the adaptive mechanism: server, capacity, as .csv or .parquet.",
            show_default=False,
        ),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            "--pairs", metavar="IDS", help="Also what these servers send each other, as 0,1,7.", show_default=False
        ),
    ] = None,
    user_rates: Annotated[
        str | None,
        typer.Option(
            "--user-rates",
            metavar="LAW",
            help='Some users say more: a law of their rates, as "lognormal:mu=0,sigma=1.5".',
            show_default=False,
        ),
    ] = None,
    room_rates: Annotated[
        str | None,
        typer.Option(
            "--room-rates", metavar="LAW", help="Some rooms are livelier: a law of how lively.", show_default=False
        ),
    ] = None,
    monte_carlo: Annotated[
        int | None,
        number_option("--monte-carlo", 1, "Check by N messages that are drawn and delivered.", show_default=False),
    ] = None,
    window: Annotated[
        list[float] | None,
        typer.Option(
            "--window",
            metavar="T",
            help="Events for one server within T units of time go together; may be given several times.",
            show_default=False,
        ),
    ] = None,
    what_if: Annotated[
        bool, typer.Option("--what-if", help="The load as users of the hubs move to servers of their own.")
    ] = False,
    output: Annotated[
        Path | None,
        path_option(
            "-o",
            "--output",
            metavar="F",
            help="The load of every server, or with --what-if the curve: .csv or .parquet.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        path_option(
            "--plot",
            metavar="DIR",
            help="The folder for figures: who carries the load; with several mechanisms the load of the servers under "
            "each; with --what-if the curve. As svg and png.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell what every server sends and receives.

    Transactions per unit of time under full-mesh broadcast (arXiv 1910.06295, equations 1 to 3) or another mechanism:
    all of them, and the shares of the servers with most users. Of a federation directory only servers and presences
    are read, so that any size will do.
    """
    from fedgen.cli import traffic
    from fedgen.io.hosting import Hosting, read_hosting

    names = _mechanisms(mechanism)
    goal = traffic.Goal(objective, max_load, capacities)
    _check(rate, names, goal, what_if, (monte_carlo, window, pairs, user_rates, room_rates, mechanism))
    inputs = (federation, *(() if capacities is None else (capacities,)))
    if output is not None:
        traffic.table_kind(output)
        check_file(output, force=force, inputs=inputs)
    if plot is not None:
        pages = ("what-if",) if what_if else ("load-mechanisms",) if len(names) > 1 else ("load-curves", "load-largest")
        check_figures(plot, pages, DEFAULT_FORMATS, force=force, inputs=inputs)
    whole: Federation | None = None
    activity: Activity | None = None
    if user_rates or room_rates or monte_carlo or window or what_if or not federation.is_dir():
        snapshot = read_federation(federation, quiet=quiet)
        whole = snapshot.federation
        activity = traffic.draw_rates(whole, user_rates, room_rates, seed)
        hosting = Hosting.of(snapshot, activity)
    else:
        hosting = read_hosting(federation)
    figures: dict[str, Figure] = {}
    if what_if:
        assert whole is not None
        table, result = _what_if(whole, rate, seed, quiet=quiet)
        if plot is not None:
            figures = _what_if_figures(federation, table)
    else:
        loads, result = traffic.find(hosting, names, goal, rate)
        table = _table(hosting, loads)
        found = loads[names[0]]
        if pairs is not None:
            result["pairs"] = traffic.pair_rows(hosting, pairs, rate)
        if monte_carlo is not None and whole is not None:
            result["monte_carlo"] = traffic.check_drawn(whole, found, monte_carlo, seed, rate, activity)
        if window and whole is not None:
            result["batched"] = traffic.batch_rows(whole, window, rate, activity)
        if plot is not None:
            figures = _load_figures(federation, hosting, loads)
    if output is not None:
        _write(output, table, force=force)
        result["output"] = str(output)
    if plot is not None:
        source = f"{federation} {hosting.digest}"
        written = write_figures(plot, figures, DEFAULT_FORMATS, force=force, source=source)
        result["figures"] = [str(path) for path in written]
    terminal.ignore_interrupts()
    if json:
        terminal.print_json(result)
    else:
        _print(result)


def _check(rate: float, names: Sequence[str], goal: "Goal", what_if: bool, others: Sequence[object]) -> None:
    """Refuse options that do not go together."""
    from math import isfinite

    from fedgen.cli.traffic import Goal

    if not (isfinite(rate) and 0 < rate <= _FASTEST):
        raise UsageError(f"--rate: {rate} is not a rate; give a number above 0, up to {_FASTEST:.0e}")
    if goal.max_load is not None and not (isfinite(goal.max_load) and goal.max_load > 0):
        raise UsageError(f"--max-load: {goal.max_load} is not a load; give a number above 0")
    if what_if and any(other is not None and other != [] for other in others):
        raise UsageError(
            "--what-if is about broadcast alone; give it without --mechanism, --pairs, --window, --monte-carlo, laws"
        )
    if "adaptive" not in names and goal != Goal():
        raise UsageError(
            "--objective, --max-load and --capacities are of --mechanism adaptive; give that, or leave them"
        )
    if goal.kind == "rounds" and goal.max_load is None:
        raise UsageError("--objective rounds without a bound is broadcast; give --max-load as well")
    monte_carlo, window, pairs, *_ = others
    if list(names) != ["broadcast"] and (monte_carlo or window or pairs):
        raise UsageError("--monte-carlo, --window and --pairs are about broadcast; give them without --mechanism")


def _table(hosting: "Hosting", loads: Mapping[str, "Load"]) -> dict[str, Any]:
    """A line per server: tx and rx, where there are several mechanisms under each."""
    servers: dict[str, Any] = {"server": range(len(hosting.users)), "users": hosting.users, "rooms": hosting.rooms}
    if len(loads) == 1:
        (found,) = loads.values()
        return servers | {"tx": found.tx, "rx": found.rx}
    return servers | {f"{way}_{name}": getattr(found, way) for name, found in loads.items() for way in ("tx", "rx")}


def _load_figures(path: Path, hosting: "Hosting", loads: Mapping[str, "Load"]) -> dict[str, "Figure"]:
    from fedgen.figures import load as pages
    from fedgen.figures.mechanisms import ranked

    name = path.absolute().name
    if len(loads) > 1:
        return {"load-mechanisms": ranked(name, {way: found.tx + found.rx for way, found in loads.items()})}
    ((way, found),) = loads.items()
    held, title = [pages.held(hosting.users, found)], [name if way == "broadcast" else f"{name}, {way}"]
    return {"load-curves": pages.draw_curves(held, title), "load-largest": pages.draw_largest(held, title)}


def _what_if_figures(path: Path, table: Mapping[str, Any]) -> dict[str, "Figure"]:
    from fedgen.figures.what_if import curves

    return {"what-if": curves({path.absolute().name: table})}


def _mechanisms(given: Sequence[str] | None) -> list[str]:
    """The mechanisms that are meant, each once."""
    if not given:
        return ["broadcast"]
    from fedgen.traffic.mechanisms import MECHANISMS

    names = list(dict.fromkeys(MECHANISMS if "all" in given else given))
    for name in names:
        if name not in MECHANISMS:
            raise UsageError(f"--mechanism: {name!r} is not known; give all, {', '.join(MECHANISMS)}")
    return names


def _what_if(whole: "Federation", rate: float, seed: int, *, quiet: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    from gen.what_if import what_if

    with terminal.progress(quiet) as progress:
        steps = [asdict(step) for step in what_if(whole, seed=seed, rate=rate, progress=progress)]
    return {name: [step[name] for step in steps] for name in steps[0]}, {"what_if": steps}


def _write(output: Path, table: Mapping[str, Any], *, force: bool) -> None:
    """One table as CSV or Parquet."""
    import io

    import pyarrow as pa
    from pyarrow import csv, parquet

    from fedgen.cli.traffic import table_kind
    from fedgen.io.output import write_file

    columns = pa.table({name: pa.array(values) for name, values in table.items()})
    sink = io.BytesIO()
    if table_kind(output) == ".csv":
        csv.write_csv(columns, sink)
    else:
        parquet.write_table(columns, sink)
    write_file(output, [sink.getvalue()], force=force)


def _print(result: Mapping[str, Any]) -> None:
    from fedgen.cli.info import LABELS

    pairs = [(LABELS.get(key, key.replace("_", " ")), value) for key, value in result.items() if not _nested(value)]
    pairs += [("figures", path) for path in result.get("figures", ())]
    if pairs:
        terminal.print_pairs("Load", pairs)
    for key, value in result.items():
        if not _nested(value) or key == "figures":
            continue
        rows = value if isinstance(value, list) else [value]
        if rows:
            if pairs or key != next(iter(result)):
                print()
            header = [LABELS.get(name, name.replace("_", " ")) for name in rows[0]]
            terminal.print_table(_TITLES[key], header, [list(row.values()) for row in rows])


def _nested(value: object) -> bool:
    return isinstance(value, list | dict)


_TITLES = {
    "largest": "The servers with most users",
    "mechanisms": "Ways to distribute events; rounds: hops until all have one, on average",
    "pairs": "From server to server",
    "monte_carlo": "Messages drawn and delivered",
    "batched": "Events within a window go together",
    "what_if": "As users of the hubs move to servers of their own",
}
