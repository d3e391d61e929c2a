"""``fedgen reconstruct``: published figures become federations that meet them."""

from pathlib import Path
from typing import Annotated

import typer

from fedgen.cli import terminal
from fedgen.cli.ensemble import Folder, print_ensemble
from fedgen.cli.findings import print_findings
from fedgen.cli.info import LABELS, counts
from fedgen.cli.inputs import read_figures
from fedgen.cli.options import Force, Format, FormatName, Jobs, Json, Output, Quiet, Seed, number_option, path_argument
from fedgen.cli.output import check_federation
from fedgen.cli.recipe import BUILTIN, Recipe
from fedgen.errors import UnmetError, UsageError


def reconstruct(
    context: typer.Context,
    config: Annotated[
        Path | None, path_argument("CONFIG", f"A file of published figures. Default: the built-in {BUILTIN}.")
    ] = None,
    output: Output = None,
    ensemble: Annotated[
        int | None,
        number_option(
            "--ensemble",
            2,
            "So many reconstructions, one per seed from --seed on, into a folder, and what differs between them.",
            show_default=False,
        ),
    ] = None,
    format: Format = None,  # noqa: A002  the option is called so
    seed: Seed = 0,
    jobs: Jobs = 1,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Reconstruct a federation from figures.

    It meets published figures (docs/figures.md) and is one of many that do: another seed gives another one. It is no
    measurement, and says so. Prints a row per figure; with --ensemble the range of what no figure fixes, over at least
    20 reconstructions if it is to say much. Without -o the result goes to a folder named by figures and seed. How it
    is done: docs/reconstruct.md.
    """
    from fedgen.io import write
    from fedgen.statistics.load import load_per_user
    from fedgen.traffic.equations import load
    from gen.reconstruct.reconstruct import reconstruct as engine
    from validate.published import hold

    recipe = _recipe(config, context.obj, quiet)
    if ensemble is not None:
        seeds = range(seed, seed + ensemble)
        place = output or Path(f"reconstructions-{recipe.stem}-seeds{seeds[0]}-{seeds[-1]}")
        _check_is_folder(place, format)
        _make_ensemble(Folder(recipe, place, seeds, force, jobs), json=json, quiet=quiet)
        return
    place, plan = output or Path(f"reconstruction-{recipe.stem}-seed{seed}"), recipe.plan(seed)
    check_federation(place, format, force=force, inputs=recipe.inputs, plan=plan)
    with terminal.progress(quiet) as progress:
        federation = engine(recipe.figures, seed=seed, progress=progress)
    findings = hold(federation, recipe.figures)
    write(federation, place, format, force=force, jobs=jobs, plan=plan, provenance=recipe.provenance(seed))
    terminal.ignore_interrupts()
    result = {
        **counts(federation),
        "load_per_user": load_per_user(federation.users_per_server, load(federation).tx),
        "seed": seed,
        "config": recipe.origin,
        "output": str(place),
    }
    if json:
        terminal.print_json({**result, "findings": findings.to_dict()})
    else:
        print_findings(findings)
        print()
        pairs = [(LABELS.get(key, key), value) for key, value in result.items()]
        terminal.print_pairs("Reconstructed federation, not a measurement", pairs)


def _recipe(config: Path | None, command: list[str], quiet: bool) -> Recipe:
    from fedgen.statistics.published import builtin_figures

    if config is not None:
        return Recipe(read_figures(config), config, command)
    if not quiet:
        terminal.say(f"figures: the built-in {BUILTIN}")
    return Recipe(builtin_figures(), None, command)


def _make_ensemble(folder: Folder, *, json: bool, quiet: bool) -> None:
    """Make an ensemble and print what differs.

    Raises:
        UnmetError: some seed came to nothing; the others are there.
    """
    folder.check()
    with terminal.progress(quiet) as progress:
        ensemble = folder.fill(progress, quiet=quiet)
    terminal.ignore_interrupts()
    if json:
        terminal.print_json({**folder.document(ensemble), "output": str(folder.path)})
    else:
        print_ensemble(folder, ensemble)
    if folder.unmet:
        raise UnmetError(
            f"{folder.path}: holds {len(ensemble)} of {len(folder.seeds)} reconstructions, none was found with seed "
            f"{', '.join(map(str, folder.unmet))}; where that is too few, try other seeds"
        )


def _check_is_folder(place: Path, format: FormatName | None) -> None:  # noqa: A002
    from fedgen.io import guess

    if (format or guess(place)) != "parquet":
        raise UsageError(f"{place}: an ensemble is a folder of federation directories; leave --format and suffix out")
