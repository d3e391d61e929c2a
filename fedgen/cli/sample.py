"""``fedgen sample``: a model becomes a federation of any size."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fedgen.cli import terminal
from fedgen.cli.info import LABELS, counts
from fedgen.cli.inputs import choose_model
from fedgen.cli.options import (
    Force,
    Format,
    Json,
    Output,
    Quiet,
    Seed,
    number_option,
    path_argument,
    path_option,
)
from fedgen.cli.output import check_federation

if TYPE_CHECKING:
    from fedgen.progress import Progress
    from fitting.model import Model
    from gen.plan import Plan
    from gen.scenario import Scenario


def _size(noun: str) -> Any:
    return number_option(f"--{noun}", 1, f"Exactly so many {noun}.", show_default=False)


def _factor(flag: str, metavar: str, help: str) -> Any:  # noqa: A002  as typer calls it
    return typer.Option(flag, metavar=metavar, help=help, show_default=False)


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
    config: Annotated[
        Path | None,
        path_option(
            "--config",
            metavar="SCENARIO",
            help="What is assumed of another size: a file, or the name of a scenario that comes with fedgen "
            "(docs/growth.md). Default: everything grows in proportion.",
            show_default=False,
        ),
    ] = None,
    move_hub_users: Annotated[
        float | None,
        _factor("--move-hub-users", "F", "So much of the hubs' users, 0 to 1, move to servers of their own."),
    ] = None,
    decentralize: Annotated[
        float | None,
        _factor("--decentralize", "X", "Hub users move out until the effective number of servers, 1/HHI, is X-fold."),
    ] = None,
    output: Output = None,
    format: Format = None,  # noqa: A002  the option is called so
    seed: Seed = 0,
    jobs: Annotated[
        int | None,
        number_option(
            "--jobs",
            1,
            "Processes that draw at once; the result is the same for any N. Default: as many as there are processors.",
            show_default=False,
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            metavar="ADDRESS",
            help="Draw on a Dask cluster: its scheduler (tcp://HOST:PORT), or `local` for one of --jobs workers here. "
            "-o is then a folder that all workers share, or a URL that fsspec knows (s3://...).",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Write nothing; tell sizes, files, memory and time, from a first part drawn."),
    ] = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Sample a federation from a model.

    Without sizes it is as large as the measured one. Sizes that are given are met exactly; those that are not follow,
    by what the scenario assumes, the first that is: servers, then users, then rooms. What was assumed is told, and
    written to the result. Users who move out get servers on top of those asked for. Without -o the result goes to a
    folder named by sizes and seed; a run that was killed is continued by the same command. Measured margins have the
    measured sizes; they are for testing the model, and copy what a law would have drawn.
    """
    from fedgen.io import guess
    from fedgen.io.store import is_url, spelled
    from fedgen.provenance import record
    from gen.plan import make_plan

    found = choose_model(model, quiet=quiet)
    chosen, origin = found.model, found.origin
    scenario = _scenario(config, move_hub_users, decentralize)
    plan = make_plan(chosen, servers=servers, users=users, rooms=rooms, margins=margins, scenario=scenario, seed=seed)
    jobs = jobs or processors()
    if not quiet:
        terminal.remark(f"assumed: {line}" for line in plan.assumptions())
    output = output or Path(_name(plan))
    as_directory = (format or guess(output)) == "parquet"
    streamed = as_directory and plan.scenario.decentralize is None
    _check_cluster(dask, output, streamed=streamed)
    if dry_run:
        _tell(chosen, plan, output, jobs, streamed=streamed, json=json)
        return
    if not is_url(output):
        check_federation(output, format, force=force, inputs=found.inputs, plan=plan.to_dict())
    provenance = record(context.obj, seed=seed, inputs={origin: chosen.digest})
    provenance["growth"] = {
        "scenario": plan.scenario.title,
        "assumed": plan.assumptions(),
        "servers_drawn": plan.servers,
        "users_moved": 0,
    }
    with terminal.progress(quiet) as progress:
        if streamed:
            import msgspec

            from gen.streaming import write_sample

            written = write_sample(
                chosen, plan, output, provenance=provenance, force=force, jobs=jobs, dask=dask, progress=progress
            )
            of_each = msgspec.structs.asdict(written.counts)
            result = {**of_each, "load_per_user": written.transactions / written.counts.users}
        else:
            result = _write_whole(chosen, plan, output, format, provenance, force=force, jobs=jobs, progress=progress)
    result |= {"scenario": plan.scenario.title, "seed": seed, "model": origin, "output": spelled(output)}
    terminal.ignore_interrupts()
    if json:
        terminal.print_json(result)
    else:
        terminal.print_pairs("Sampled federation", [(LABELS.get(key, key), value) for key, value in result.items()])


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _write_whole(
    model: "Model",
    plan: "Plan",
    output: Path,
    format: str | None,  # noqa: A002
    provenance: dict[str, Any],
    *,
    force: bool,
    jobs: int,
    progress: "Progress",
) -> dict[str, Any]:
    """Draw a federation that has to be in memory before it is written; returns what is told of it."""
    from fedgen.io import write
    from fedgen.statistics.load import load_per_user
    from fedgen.traffic.equations import load
    from gen.memory import check_memory
    from gen.sample import draw

    check_memory(model, plan, whole=True)
    federation = draw(model, plan, progress)
    moved = federation.n_servers - plan.servers
    provenance["growth"]["users_moved"] = moved
    write(federation, output, format, force=force, jobs=jobs, plan=plan.to_dict(), provenance=provenance)
    return {
        **counts(federation),
        "load_per_user": load_per_user(federation.users_per_server, load(federation).tx),
        **({"moved": moved} if plan.scenario.decentralize else {}),
    }


def _check_cluster(dask: str | None, output: Path, *, streamed: bool) -> None:
    """Refuse a cluster or a remote place for what is drawn in one piece.

    Raises:
        UsageError: says why and what to do.
    """
    from fedgen.errors import UsageError
    from fedgen.io.store import is_url, spelled

    if streamed:
        return
    if dask is not None:
        raise UsageError("--dask draws federation directories, without moves of hub users; leave it out")
    if is_url(output):
        raise UsageError(
            f"{spelled(output)}: only a federation directory, without moves of hub users, goes there; name a path"
        )


def _tell(model: "Model", plan: "Plan", output: Path, jobs: int, *, streamed: bool, json: bool) -> None:
    """What the federation would take."""
    import shutil

    from fedgen.io.store import is_url, spelled
    from gen.memory import check_memory
    from gen.streaming import estimate

    check_memory(model, plan, whole=not streamed, processes=jobs)
    told = estimate(model, plan)
    processes = min(jobs, told.districts)
    result: dict[str, Any] = {
        "servers": plan.servers,
        "users": plan.users,
        "rooms": plan.rooms,
        "memberships": plan.memberships,
        "presences": plan.presences,
        "districts": told.districts,
        "bytes": told.bytes,
        "free": None if is_url(output) else shutil.disk_usage(output.absolute().parent).free,
        "memory": told.memory * processes,
        "seconds": told.seconds / processes,
        "processes": processes,
        "output": spelled(output),
    }
    if json:
        terminal.print_json(result)
        return
    sizes = {"bytes": "size of the files", "free": "free there", "memory": "memory"}
    pairs = {sizes.get(key, key): value for key, value in result.items()}
    pairs |= {name: f"{result[key] / 1e9:.2f} GB" for key, name in sizes.items() if result[key] is not None}
    terminal.print_pairs("Would sample", list(pairs.items()))


def _scenario(config: Path | None, move_hub_users: float | None, factor: float | None) -> "Scenario | None":
    """What is assumed: the file, and the flags before it."""
    from fedgen.errors import UsageError
    from gen.decentralization import Decentralization
    from gen.scenario import Scenario, read_scenario

    scenario = Scenario() if config is None else read_scenario(config)
    if move_hub_users is not None and factor is not None:
        raise UsageError("--move-hub-users and --decentralize are two targets of one move; give one of them")
    if move_hub_users is None and factor is None:
        return scenario
    if scenario.decentralize is not None:
        raise UsageError(f"{config}: says itself who moves out; leave its [decentralize] out, or the flag")
    return replace(scenario, decentralize=Decentralization(move_hub_users=move_hub_users, effective_servers=factor))


def _name(plan: "Plan") -> str:
    measured = "-measured" if plan.margins == "measured" else ""
    moved = "-moved" if plan.scenario.decentralize else ""
    return f"federation-s{plan.servers}-u{plan.users}-r{plan.rooms}{measured}{moved}-seed{plan.seed}"
