"""``fedgen info``: what a federation or a model file holds."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedgen.cli import terminal
from fedgen.cli.fit import print_laws, summary
from fedgen.cli.options import Json, Quiet

if TYPE_CHECKING:
    from fedgen.federation import Federation


def info(
    path: Annotated[
        Path, typer.Argument(metavar="X", help="A federation in any format, or a model file.", show_default=False)
    ],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Describe a federation or a model.

    Of a federation: counts, invariants (checked), the largest margins, concentration of users, and load. Of a model:
    sizes, laws and where it came from.
    """
    if _is_model(path):
        _print_model(path, json)
    else:
        _print_federation(path, json, quiet)


def describe(federation: "Federation") -> dict[str, dict[str, float]]:
    """Counts, largest margins, concentration and load of a federation, by section and name."""
    from fedgen.statistics.load import load_per_user, ranking
    from fedgen.statistics.structure import concentration
    from fedgen.traffic.equations import load

    users, traffic = federation.users_per_server, load(federation)
    hub = ranking(users, traffic.tx, traffic.rx)[0]
    sent, received, total = float(traffic.tx[hub]), float(traffic.rx[hub]), traffic.total
    margins = {
        "users per server (n)": users,
        "rooms per server (m)": federation.rooms_per_server,
        "servers per room (k)": federation.servers_per_room,
        "users per room (u)": federation.users_per_room,
        "rooms per user (d)": federation.rooms_per_user,
    }
    shares = (
        {
            "hub's share of all tx": sent / total,
            "hub's share of all rx": received / total,
            "hub is part of": (sent + received) / (2 * total),
        }
        if total > 0
        else {}
    )
    return {
        "counts": {
            "servers": federation.n_servers,
            "users": federation.n_users,
            "rooms": federation.n_rooms,
            "memberships": federation.n_memberships,
            "presences": federation.n_presences,
        },
        "largest": {name: int(sizes.max()) for name, sizes in margins.items()},
        "concentration": concentration(federation),
        "load": {"transactions per user (T/U)": load_per_user(users, traffic.tx), **shares},
    }


def _print_federation(path: Path, json: bool, quiet: bool) -> None:
    from fedgen.io import read_snapshot

    snapshot = read_snapshot(path)
    if not quiet:
        terminal.remark(snapshot.remarks)
    snapshot.federation.check()
    head = {"format": snapshot.format, "invariants": "hold", "digest": snapshot.digest}
    sections = describe(snapshot.federation)
    if json:
        terminal.print_json({**head, **sections})
        return
    terminal.print_pairs(f"Federation {path}", list(head.items()))
    for section, values in sections.items():
        terminal.print_pairs(section.capitalize(), list(values.items()))


def _print_model(path: Path, json: bool) -> None:
    from fitting.model import Model

    model = Model.load(path)
    if json:
        terminal.print_json(summary(model))
        return
    origin = model.provenance
    head: list[tuple[str, Any]] = [
        ("digest", model.digest),
        ("made by", " ".join(origin.get("command", []))),
        ("made at", origin.get("time")),
        *asdict(model.sizes).items(),
    ]
    terminal.print_pairs(f"Model {path}", head)
    print_laws(model)


def _is_model(path: Path) -> bool:
    """Whether the file calls itself a model; what is wrong with it is for its reader to tell."""
    import msgspec

    from fitting.model import FORMAT

    if not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            if stream.read(1) != b"{":
                return False
            stream.seek(0)
            keys = msgspec.json.decode(stream.read(), type=dict[str, msgspec.Raw])
            return bytes(keys.get("format", b"")) == f'"{FORMAT}"'.encode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
