"""``fedgen sample``: a model becomes a federation of any size."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedgen.cli import terminal
from fedgen.cli.options import Force, Format, Jobs, Json, Output, Quiet, Seed
from fedgen.cli.output import check_federation

if TYPE_CHECKING:
    from fitting.model import Model
    from gen.plan import Plan

MODEL = Path("model.json")


def _size(flag: str, noun: str) -> Any:
    return typer.Option(flag, min=1, metavar="N", help=f"Exactly so many {noun}.", show_default=False)


def sample(
    context: typer.Context,
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL", help="Default: model.json here, else the built-in model.", show_default=False),
    ] = None,
    servers: Annotated[int | None, _size("--servers", "servers")] = None,
    users: Annotated[int | None, _size("--users", "users")] = None,
    rooms: Annotated[int | None, _size("--rooms", "rooms")] = None,
    output: Output = None,
    format: Format = None,  # noqa: A002  the option is called so
    seed: Seed = 0,
    jobs: Jobs = 1,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Sample a federation from a model.

    Without sizes it is as large as the measured one; one size given, the others follow. Without -o it goes to a folder
    named by sizes and seed.
    """
    from fedgen.io import write
    from fedgen.provenance import record
    from gen.plan import make_plan
    from gen.sample import draw

    chosen, origin = _choose(model, quiet)
    plan = make_plan(chosen, servers=servers, users=users, rooms=rooms, seed=seed)
    output = output or Path(_name(plan))
    check_federation(output, format, force=force, plan=plan.to_dict())
    with terminal.progress(quiet) as progress:
        federation = draw(chosen, plan, progress)
    provenance = record(context.obj, seed=seed, inputs={origin: chosen.digest})
    write(federation, output, format, force=force, jobs=jobs, plan=plan.to_dict(), provenance=provenance)

    from fedgen.statistics.load import load_per_user
    from fedgen.traffic.equations import load

    result = {
        "servers": federation.n_servers,
        "users": federation.n_users,
        "rooms": federation.n_rooms,
        "memberships": federation.n_memberships,
        "presences": federation.n_presences,
        "load per user": load_per_user(federation.users_per_server, load(federation).tx),
        "seed": seed,
        "model": origin,
        "output": str(output),
    }
    if json:
        terminal.print_json(result)
    else:
        terminal.print_pairs("Sampled federation", list(result.items()))


def _choose(model: Path | None, quiet: bool) -> "tuple[Model, str]":
    from fitting.model import Model

    if model is None and MODEL.exists():
        model = MODEL
        if not quiet:
            terminal.say(f"model: {MODEL} of this folder")
    if model is not None:
        return Model.load(model), str(model)
    if not quiet:
        terminal.say("model: the built-in one (no model.json in this folder)")
    return Model.builtin(), "built-in"


def _name(plan: "Plan") -> str:
    return f"federation-s{plan.servers}-u{plan.users}-r{plan.rooms}-seed{plan.seed}"
