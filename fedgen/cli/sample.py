"""``fedgen sample``: a model becomes a federation of any size."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fedgen.cli import terminal
from fedgen.cli.info import LABELS, counts
from fedgen.cli.inputs import read_model
from fedgen.cli.options import Force, Format, Jobs, Json, Output, Quiet, Seed, number_option, path_argument
from fedgen.cli.output import check_federation

if TYPE_CHECKING:
    from gen.plan import Plan

MODEL = Path("model.json")


def _size(noun: str) -> Any:
    return number_option(f"--{noun}", 1, f"Exactly so many {noun}.", show_default=False)


def sample(
    context: typer.Context,
    model: Annotated[Path | None, path_argument("MODEL", "Default: model.json here, else the built-in model.")] = None,
    servers: Annotated[int | None, _size("servers")] = None,
    users: Annotated[int | None, _size("users")] = None,
    rooms: Annotated[int | None, _size("rooms")] = None,
    margins: Annotated[
        Literal["drawn", "measured"],
        typer.Option(
            "--margins",
            help="Sizes of servers, rooms and users drawn from the laws, or as measured with all else drawn anew.",
        ),
    ] = "drawn",
    output: Output = None,
    format: Format = None,  # noqa: A002  the option is called so
    seed: Seed = 0,
    jobs: Jobs = 1,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Sample a federation from a model.

    Without sizes it is as large as the measured one. Sizes that are given are met exactly; those that are not follow,
    in proportion, the first that is: servers, then users, then rooms. Without -o the result goes to a folder named by
    sizes and seed. Measured margins have the measured sizes; they are for testing the model, and copy what a law would
    have drawn.
    """
    from fedgen.io import write
    from fedgen.provenance import record
    from fedgen.statistics.load import load_per_user
    from fedgen.traffic.equations import load
    from fitting.model import Model
    from gen.plan import make_plan
    from gen.sample import draw

    path = _choose(model, quiet)
    chosen = Model.builtin() if path is None else read_model(path)
    origin = "built-in" if path is None else str(path)
    plan = make_plan(chosen, servers=servers, users=users, rooms=rooms, margins=margins, seed=seed)
    output = output or Path(_name(plan))
    check_federation(output, format, force=force, inputs=() if path is None else (path,), plan=plan.to_dict())
    with terminal.progress(quiet) as progress:
        federation = draw(chosen, plan, progress)
    result = {
        **counts(federation),
        "load_per_user": load_per_user(federation.users_per_server, load(federation).tx),
        "seed": seed,
        "model": origin,
        "output": str(output),
    }
    provenance = record(context.obj, seed=seed, inputs={origin: chosen.digest})
    write(federation, output, format, force=force, jobs=jobs, plan=plan.to_dict(), provenance=provenance)
    terminal.ignore_interrupts()
    if json:
        terminal.print_json(result)
    else:
        terminal.print_pairs("Sampled federation", [(LABELS.get(key, key), value) for key, value in result.items()])


def _choose(model: Path | None, quiet: bool) -> Path | None:
    """The model file that is meant; None for the built-in model."""
    if model is not None:
        return model
    found = MODEL if MODEL.exists() else None
    if not quiet:
        which = f"{MODEL} of this folder" if found else f"the built-in one (no {MODEL} in this folder)"
        terminal.say(f"model: {which}")
    return found


def _name(plan: "Plan") -> str:
    measured = "-measured" if plan.margins == "measured" else ""
    return f"federation-s{plan.servers}-u{plan.users}-r{plan.rooms}{measured}-seed{plan.seed}"
