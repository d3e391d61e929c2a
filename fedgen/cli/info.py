"""``fedgen info``: what a federation or a model file holds."""

from collections.abc import Mapping
from dataclasses import asdict
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fedgen.cli import terminal
from fedgen.cli.fit import print_laws, summary
from fedgen.cli.inputs import assumed, is_model, read_model, read_tables
from fedgen.cli.measured import read_attendance
from fedgen.cli.options import Json, Quiet, path_argument
from fedgen.errors import NoUsersError

if TYPE_CHECKING:
    from fedgen.attendance import Attendance
    from fedgen.tables import Tables

LABELS = {
    "users_per_server": "users per server (n)",
    "rooms_per_server": "rooms per server (m)",
    "servers_per_room": "servers per room (k)",
    "users_per_room": "users per room (u)",
    "rooms_per_user": "rooms per user (d)",
    "top_1_share": "top-1 share of users",
    "top_2_share": "top-2 share of users",
    "top_15_share": "top-15 share of users",
    "gini": "Gini of users per server",
    "hhi": "HHI of users over servers",
    "load_per_user": "transactions per user (T/U)",
    "hub_share_tx": "hub's share of all tx",
    "hub_share_rx": "hub's share of all rx",
    "fewest_users": "fewest that there may be",
    "most_users": "most",
    "hub_share": "hub's share of tx and rx together",
}
"""How people read the keys of ``--json``; the others are words already."""


def info(
    path: Annotated[Path, path_argument("X", "A federation in any format, an attendance, or a model file.")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Describe a federation, an attendance or a model.

    Of a federation: counts, invariants (checked), the largest margins, concentration of users, and load. Of an
    attendance: counts, the largest margins, and how many users there may be. Of a model: sizes, laws and where it came
    from.
    """
    if is_model(path):
        _print_model(path, json)
        return
    try:
        _print_federation(path, json, quiet)
    except NoUsersError:
        _print_attendance(path, json, quiet)


def describe(federation: "Tables") -> dict[str, Mapping[str, float]]:
    """Counts, largest margins, concentration and load of a federation, by section and name (docs/json.md)."""
    from fedgen.statistics.load import load_per_user, ranking
    from fedgen.statistics.structure import gini, hhi, top_share
    from fedgen.traffic.equations import load

    users, traffic = federation.users_per_server, load(federation)
    hub = ranking(users, traffic.tx, traffic.rx)[0]
    sent, received, total = float(traffic.tx[hub]), float(traffic.rx[hub]), traffic.total or nan
    margins = ("users_per_server", "rooms_per_server", "servers_per_room", "users_per_room", "rooms_per_user")
    return {
        "counts": counts(federation),
        "largest": {margin: int(getattr(federation, margin).max()) for margin in margins},
        "concentration": {
            **{f"top_{top}_share": top_share(users, top) for top in (1, 2, 15)},
            "gini": gini(users),
            "hhi": hhi(users),
        },
        "load": {
            "load_per_user": load_per_user(users, traffic.tx),
            "hub_share_tx": sent / total,
            "hub_share_rx": received / total,
            "hub_share": (sent + received) / (2 * total),
        },
    }


def counts(federation: "Tables") -> dict[str, int]:
    """S, U, R, M, K by name."""
    return {
        "servers": federation.n_servers,
        "users": federation.n_users,
        "rooms": federation.n_rooms,
        "memberships": federation.n_memberships,
        "presences": federation.n_presences,
    }


def attendance_counts(attendance: "Attendance") -> dict[str, int]:
    """S, R, M, K by name; U is not known."""
    return {
        "servers": attendance.n_servers,
        "rooms": attendance.n_rooms,
        "memberships": attendance.n_memberships,
        "presences": attendance.n_presences,
    }


def _print_federation(path: Path, json: bool, quiet: bool) -> None:
    read = read_tables(path, quiet=quiet)
    read.tables.check()
    head = {"format": read.format, "invariants": "hold", "digest": read.digest}
    _print_sections(f"Federation {path}", head, describe(read.tables), json)


def _print_attendance(path: Path, json: bool, quiet: bool) -> None:
    read = read_attendance(path, quiet=quiet)
    attendance = read.attendance
    fewest, most = attendance.users_range
    head = {"format": "attendance", "invariants": "hold", "digest": read.digest}
    margins = ("rooms_per_server", "servers_per_room", "users_per_room")
    sections = {
        "counts": attendance_counts(attendance),
        "largest": {margin: int(getattr(attendance, margin).max()) for margin in margins},
        "users": {"fewest_users": fewest, "most_users": most},
    }
    _print_sections(f"Attendance {path}", head, sections, json)
    if not json:
        print(f"Its memberships were not seen: fedgen fit {path} assumes what is missing (docs/attendance.md)")


def _print_sections(
    title: str, head: Mapping[str, str], sections: Mapping[str, Mapping[str, float]], json: bool
) -> None:
    terminal.ignore_interrupts()
    if json:
        terminal.print_json({**head, **sections})
        return
    terminal.print_pairs(title, list(head.items()))
    for section, values in sections.items():
        terminal.print_pairs(section.capitalize(), [(LABELS.get(key, key), value) for key, value in values.items()])


def _print_model(path: Path, json: bool) -> None:
    model = read_model(path)
    terminal.ignore_interrupts()
    if json:
        terminal.print_json(summary(model))
        return
    origin = model.provenance
    head: list[tuple[str, Any]] = [
        ("digest", model.digest),
        ("made by", " ".join(origin.get("command", []))),
        ("made at", origin.get("time")),
        *asdict(model.sizes).items(),
        *([("assumed", assumed(model.unmeasured))] if model.unmeasured else []),
    ]
    terminal.print_pairs(f"Model {path}", head)
    print_laws(model)
