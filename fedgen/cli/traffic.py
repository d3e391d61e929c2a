"""What ``fedgen load`` tells: each part of its result, as it is printed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fedgen.errors import UsageError

if TYPE_CHECKING:
    from fedgen.federation import Federation, Floats
    from fedgen.io.hosting import Hosting
    from fedgen.traffic.activity import Activity
    from fedgen.traffic.equations import Load

LARGEST = 4
"""How many of the servers with most users are shown, as in the paper's Fig. 4b."""


@dataclass(frozen=True)
class Goal:
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
        table = csv.read_csv(path) if table_kind(path) == ".csv" else parquet.read_table(path)
        server, capacity = (
            table.column(name).cast(kind).to_numpy()
            for name, kind in (("server", pa.int64()), ("capacity", pa.float64()))
        )
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UsageError(f"{path}: no table of server and capacity ({type(error).__name__}); check the file") from None
    if not np.array_equal(np.sort(server), np.arange(servers)):
        raise UsageError(f"{path}: does not tell the capacity of each server from 0 to {servers - 1} once")
    found = np.empty(servers)
    found[server] = capacity
    if not np.all(np.isfinite(found) & (found > 0)):
        raise UsageError(f"{path}: a capacity is not a number above 0; give what each server can carry")
    return found


def find(hosting: "Hosting", names: Sequence[str], goal: Goal, rate: float) -> tuple[dict[str, "Load"], dict[str, Any]]:
    """The load under each mechanism, and what is told of it: of one in full, of several a row each."""
    from fedgen.traffic.equations import streamed_load

    if list(names) == ["broadcast"]:
        found = streamed_load(hosting.presences(), len(hosting.users), rate)
        return {"broadcast": found}, {**totals(hosting, found), "largest": largest(hosting, found)}
    loads, rows = compare(hosting, names, goal, rate)
    if len(names) > 1:
        return loads, {"mechanisms": rows}
    (found,) = loads.values()
    return loads, {**totals(hosting, found), "mechanisms": rows, "largest": largest(hosting, found)}


def compare(
    hosting: "Hosting", names: Sequence[str], goal: Goal, rate: float
) -> tuple[dict[str, "Load"], list[dict[str, Any]]]:
    """The load under each mechanism, and a row for each."""
    from fedgen.statistics.load import hub_share, load_per_user
    from fedgen.traffic.adaptive import Objective
    from fedgen.traffic.mechanisms import distribute, mechanism

    presences = hosting.gather()
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


def draw_rates(whole: "Federation", users: str | None, rooms: str | None, seed: int) -> "Activity | None":
    """Rates drawn from laws; None where all are alike."""
    from gen.activity import draw_activity, read_law

    if users is None and rooms is None:
        return None
    return draw_activity(
        whole, None if users is None else read_law(users), None if rooms is None else read_law(rooms), seed
    )


def totals(hosting: "Hosting", found: "Load") -> dict[str, Any]:
    """The federation, and its load in a few numbers."""
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


def largest(hosting: "Hosting", found: "Load") -> list[dict[str, Any]]:
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


def pair_rows(hosting: "Hosting", text: str, rate: float) -> list[dict[str, Any]]:
    """What chosen servers send each other."""
    import numpy as np

    from fedgen.traffic.equations import pair_load

    try:
        chosen = [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--pairs: {text!r} are not ids of servers; give whole numbers, as 0,1,7") from None
    if len(chosen) < 2:
        raise UsageError(f"--pairs: {text} is one server; give two at least, as 0,1,7")
    if len(set(chosen)) < len(chosen) or not all(0 <= s < len(hosting.users) for s in chosen):
        raise UsageError(f"--pairs: {text} are not distinct ids; give some of 0 to {len(hosting.users) - 1}")
    found = pair_load(hosting.presences(), np.array(chosen), rate)
    return [
        {"from": a, "to": b, "tx": float(found[i, j])}
        for i, a in enumerate(chosen)
        for j, b in enumerate(chosen)
        if a != b
    ]


def check_drawn(
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


def batch_rows(
    whole: "Federation", windows: Sequence[float], rate: float, activity: "Activity | None"
) -> list[dict[str, Any]]:
    """A row per window within which events go together."""
    from fedgen.traffic.batching import batched_load

    apart, *together = batched_load(whole, [0.0, *windows], rate, activity)
    return [
        {
            "window": window,
            "transactions": load.total,
            "saved": 1.0 - load.total / apart.total if apart.total > 0 else 0.0,
            "largest_tx": float(load.tx.max()),
        }
        for window, load in zip(windows, together, strict=True)
    ]


def table_kind(output: Path) -> str:
    """The suffix of a table."""
    if output.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"{output}: a table is .csv or .parquet; name it so")
    return output.suffix.lower()
