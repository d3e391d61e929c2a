"""``fedgen load``: what every server would have to send and receive."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fedgen.cli import terminal
from fedgen.cli.inputs import read_federation
from fedgen.cli.options import Force, Json, Quiet, Seed, number_option, path_argument, path_option
from fedgen.cli.output import check_file
from fedgen.errors import UsageError

if TYPE_CHECKING:
    from fedgen.federation import Federation, Floats
    from fedgen.io.hosting import Hosting
    from fedgen.traffic.activity import Activity
    from fedgen.traffic.equations import Load

LARGEST = 4
"""How many of the servers with most users are shown, as in the paper's Fig. 4b."""


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
    from fedgen.io.hosting import Hosting, read_hosting
    from fedgen.traffic.activity import spoken
    from fedgen.traffic.equations import streamed_load

    names = _mechanisms(mechanism)
    _check(rate, what_if, (monte_carlo, window, pairs, user_rates, room_rates, mechanism))
    goal = _Goal(objective, max_load, capacities)
    if "adaptive" not in names and goal != _Goal():
        raise UsageError(
            "--objective, --max-load and --capacities are of --mechanism adaptive; give that, or leave them"
        )
    if objective == "rounds" and max_load is None:
        raise UsageError("--objective rounds without a bound is broadcast; give --max-load as well")
    if names != ["broadcast"] and (monte_carlo or window or pairs):
        raise UsageError("--monte-carlo, --window and --pairs are about broadcast; give them without --mechanism")
    if output is not None:
        _kind(output)
        check_file(output, force=force, inputs=(federation,))
    whole: Federation | None = None
    if user_rates or room_rates or monte_carlo or window or what_if:
        snapshot = read_federation(federation, quiet=quiet)
        whole, hosting = snapshot.federation, Hosting.of(snapshot)
    else:
        hosting = read_hosting(federation)
        if not quiet:
            terminal.remark(hosting.remarks)
    if what_if:
        assert whole is not None
        table, result = _what_if(whole, rate, seed, quiet=quiet)
    else:
        activity = _activity(whole, user_rates, room_rates, seed)
        sizes: dict[str, Any] = {"users": hosting.users, "rooms": hosting.rooms}
        table = {"server": range(len(hosting.users)), **sizes}
        if names == ["broadcast"]:
            presences = hosting.presences() if activity is None or whole is None else iter([spoken(whole, activity)])
            found = streamed_load(presences, len(hosting.users), rate)
            result = _totals(hosting, found)
        else:
            loads, rows = _compared(hosting, names, goal, rate, whole, activity)
            found = loads[names[0]]
            result = {**_totals(hosting, found), "mechanisms": rows} if len(names) == 1 else {"mechanisms": rows}
        if len(names) == 1:
            table |= {"tx": found.tx, "rx": found.rx}
            result["largest"] = _largest(hosting, found)
        else:
            table |= {f"{way}_{name}": getattr(loads[name], way) for name in names for way in ("tx", "rx")}
        if pairs is not None:
            result["pairs"] = _pairs(hosting, pairs, rate, whole, activity)
        if monte_carlo is not None and whole is not None:
            result["monte_carlo"] = _monte_carlo(whole, found, monte_carlo, seed, rate, activity)
        if window and whole is not None:
            result["batched"] = _batched(whole, window, rate)
    if output is not None:
        _write(output, table, force=force)
        result["output"] = str(output)
    terminal.ignore_interrupts()
    if json:
        terminal.print_json(result)
    else:
        _print(result)


def _check(rate: float, what_if: bool, others: Sequence[object]) -> None:
    from math import isfinite

    if not (isfinite(rate) and rate > 0):
        raise UsageError(f"--rate: {rate} is not a rate; give a number above 0")
    if what_if and any(other is not None and other != [] for other in others):
        raise UsageError("--what-if is about broadcast alone; give it without --pairs, --window, --monte-carlo, laws")


@dataclass(frozen=True)
class _Goal:
    """What the adaptive mechanism is to do."""

    kind: Literal["largest", "total", "rounds"] = "largest"
    max_load: float | None = None
    capacities: Path | None = None


def _capacities(path: Path, servers: int) -> "Floats":
    """(S,) the capacity of every server."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv, parquet

    try:
        table = csv.read_csv(path) if _kind(path) == ".csv" else parquet.read_table(path)
        server, capacity = (table.column(name).to_numpy() for name in ("server", "capacity"))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UsageError(f"{path}: no table of server and capacity ({str(error).splitlines()[0][:100]})") from None
    if not np.array_equal(np.sort(server), np.arange(servers)):
        raise UsageError(f"{path}: does not tell the capacity of each server from 0 to {servers - 1} once")
    found = np.empty(servers)
    found[server] = capacity
    if not np.all(np.isfinite(found) & (found > 0)):
        raise UsageError(f"{path}: a capacity is not a number above 0; give what each server can carry")
    return found


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


def _compared(
    hosting: "Hosting",
    names: Sequence[str],
    goal: "_Goal",
    rate: float,
    whole: "Federation | None",
    activity: "Activity | None",
) -> tuple[dict[str, "Load"], list[dict[str, Any]]]:
    """The load under each mechanism, and a row for each."""
    from dataclasses import replace

    from fedgen.statistics.load import hub_share, load_per_user
    from fedgen.traffic.activity import spoken
    from fedgen.traffic.adaptive import Objective
    from fedgen.traffic.mechanisms import distribute, mechanism

    presences = hosting.gather()
    if activity is not None and whole is not None:
        presences = replace(presences, weight=spoken(whole, activity).weight)
    capacities = None if goal.capacities is None else _capacities(goal.capacities, len(hosting.users))
    loads, rows = {}, []
    for name in names:
        adaptive = name == "adaptive"
        made = mechanism(name, objective=Objective(goal.kind, None, goal.max_load)) if adaptive else mechanism(name)
        found, rounds = distribute(presences, made, rate, n_servers=len(hosting.users), capacities=capacities)
        loads[name] = found
        rows.append(
            {
                "mechanism": name,
                "transactions": found.total,
                "load_per_user": load_per_user(hosting.users, found.tx),
                "hub_share_tx": hub_share(hosting.users, found.tx, found.rx),
                "largest_tx": float(found.tx.max()),
                "largest_load": float((found.tx + found.rx).max()),
                "rounds": rounds,
            }
        )
    return loads, rows


def _activity(whole: "Federation | None", users: str | None, rooms: str | None, seed: int) -> "Activity | None":
    from gen.activity import draw_activity, read_law

    if whole is None or (users is None and rooms is None):
        return None
    return draw_activity(
        whole, None if users is None else read_law(users), None if rooms is None else read_law(rooms), seed
    )


def _totals(hosting: "Hosting", found: "Load") -> dict[str, Any]:
    from fedgen.statistics.load import hub_share, load_per_user

    both = found.tx + found.rx
    return {
        "servers": len(hosting.users),
        "users": int(hosting.users.sum()),
        "rooms": hosting.n_rooms,
        "transactions": found.total,
        "load_per_user": load_per_user(hosting.users, found.tx),
        "hub_share_tx": hub_share(hosting.users, found.tx, found.rx),
        "largest_tx": float(found.tx.max()),
        "largest_rx": float(found.rx.max()),
        "median_load": float(_median(both)),
    }


def _median(values: "Floats") -> float:
    import numpy as np

    return float(np.median(values))


def _largest(hosting: "Hosting", found: "Load") -> list[dict[str, Any]]:
    """The servers with most users, and their shares (paper, Fig. 4b)."""
    from fedgen.statistics.load import ranking

    total = found.total or 1.0
    users = float(hosting.users.sum())
    return [
        {
            "server": int(s),
            "users": int(hosting.users[s]),
            "rooms": int(hosting.rooms[s]),
            "users_share": float(hosting.users[s]) / users,
            "tx_share": float(found.tx[s]) / total,
            "rx_share": float(found.rx[s]) / total,
            "both_share": float(found.tx[s] + found.rx[s]) / (2.0 * total),
        }
        for s in ranking(hosting.users, found.tx, found.rx)[:LARGEST]
    ]


def _pairs(
    hosting: "Hosting", text: str, rate: float, whole: "Federation | None", activity: "Activity | None"
) -> list[dict[str, Any]]:
    import numpy as np

    from fedgen.traffic.activity import spoken
    from fedgen.traffic.equations import pair_load

    try:
        chosen = [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--pairs: {text!r} are not ids of servers; give whole numbers, as 0,1,7") from None
    if len(set(chosen)) < len(chosen) or not all(0 <= s < len(hosting.users) for s in chosen):
        raise UsageError(f"--pairs: {text} are not distinct ids; give some of 0 to {len(hosting.users) - 1}")
    presences = hosting.presences() if activity is None or whole is None else iter([spoken(whole, activity)])
    found = pair_load(presences, np.array(chosen), rate)
    return [
        {"from": a, "to": b, "tx": float(found[i, j])}
        for i, a in enumerate(chosen)
        for j, b in enumerate(chosen)
        if a != b
    ]


def _monte_carlo(
    whole: "Federation", found: "Load", messages: int, seed: int, rate: float, activity: "Activity | None"
) -> dict[str, Any]:
    """The check: how far off the drawn load is, in its standard errors."""
    import numpy as np

    from fedgen.traffic.monte_carlo import monte_carlo

    drawn = monte_carlo(whole, messages, seed, rate, activity)
    speaks = drawn.tx_error > 0
    off = np.abs(drawn.load.tx - found.tx)[speaks] / drawn.tx_error[speaks]
    return {
        "messages": messages,
        "transactions": drawn.load.total,
        "standard_error": drawn.total_error,
        "off_by": (drawn.load.total - found.total) / drawn.total_error if drawn.total_error > 0 else 0.0,
        "servers_within_two": float(np.mean(off <= 2.0)) if len(off) else 1.0,
    }


def _batched(whole: "Federation", windows: Sequence[float], rate: float) -> list[dict[str, Any]]:
    from fedgen.traffic.batching import batched_load

    total = batched_load(whole, [0.0], rate)[0].total
    return [
        {
            "window": window,
            "transactions": load.total,
            "saved": 1.0 - load.total / total if total > 0 else 0.0,
            "largest_tx": float(load.tx.max()),
        }
        for window, load in zip(windows, batched_load(whole, windows, rate), strict=True)
    ]


def _what_if(whole: "Federation", rate: float, seed: int, *, quiet: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    from gen.what_if import what_if

    with terminal.progress(quiet) as progress:
        steps = [asdict(step) for step in what_if(whole, seed=seed, rate=rate, progress=progress)]
    return {name: [step[name] for step in steps] for name in steps[0]}, {"what_if": steps}


def _kind(output: Path) -> str:
    if output.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"{output}: a table is .csv or .parquet; name it so")
    return output.suffix.lower()


def _write(output: Path, table: Mapping[str, Any], *, force: bool) -> None:
    """One table as CSV or Parquet."""
    import io

    import pyarrow as pa
    from pyarrow import csv, parquet

    from fedgen.io.output import write_file

    columns = pa.table({name: pa.array(values) for name, values in table.items()})
    sink = io.BytesIO()
    if _kind(output) == ".csv":
        csv.write_csv(columns, sink)
    else:
        parquet.write_table(columns, sink)
    write_file(output, [sink.getvalue()], force=force)


def _print(result: Mapping[str, Any]) -> None:
    from fedgen.cli.info import LABELS

    pairs = [(LABELS.get(key, key.replace("_", " ")), value) for key, value in result.items() if not _nested(value)]
    if pairs:
        terminal.print_pairs("Load", pairs)
    for key, value in result.items():
        if not _nested(value):
            continue
        rows = value if isinstance(value, list) else [value]
        if rows:
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
