"""``fedgen validate``: does a federation pass for another one?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedgen.cli import terminal
from fedgen.cli.inputs import read_federation
from fedgen.cli.options import Force, Json, Output, Quiet, Seed, path_argument, path_option
from fedgen.cli.output import check_file

if TYPE_CHECKING:
    from validate.scorecard import Scorecard

REJECTED = 3

LEGEND = """
floor: what resampling the measured federation alone gives in 95 % of draws; ratio: distance / floor
detectable: the true distance from which on 95 % of comparisons exceed the floor
p: adjusted for all rows, rejected from 1 % down; near 1 % another --seed may decide otherwise"""


def validate(
    context: typer.Context,
    generated: Annotated[Path, path_argument("GENERATED", "The federation to judge, in any format.")],
    against: Annotated[
        Path,
        path_option("--against", metavar="DATA", help="The measured federation; sizes may differ.", show_default=False),
    ],
    output: Output = None,
    seed: Seed = 0,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge a federation against a measured one.

    One distance per row, beside it the floor: the distance that resampling the measured one alone gives. Exit code 3
    if the scorecard rejects. With -o the scorecard is written as JSON too.
    """
    if output is not None:
        check_file(output, force=force, inputs=(generated, against))
    from fedgen.io.output import write_file
    from fedgen.provenance import record
    from validate.scorecard import validate as judge

    snapshots = [read_federation(path, quiet=quiet, named=True) for path in (generated, against)]
    with terminal.progress(quiet) as progress:
        scorecard = judge(snapshots[0].federation, snapshots[1].federation, seed=seed, progress=progress)
    inputs = {str(generated): snapshots[0].digest, str(against): snapshots[1].digest}
    result: dict[str, Any] = {
        **scorecard.to_dict(),
        "provenance": record(context.obj, seed=seed, inputs=inputs),
    }
    terminal.ignore_interrupts()
    if json:
        terminal.print_json(result)
    else:
        _print(scorecard)
    if output is not None:  # printed first: a full disk does not cost what was computed
        write_file(output, [terminal.as_json(result).encode(), b"\n"], force=force)
    if scorecard.rejected:
        raise typer.Exit(REJECTED)


def _print(scorecard: "Scorecard") -> None:
    header = ("row", "statistic", "distance", "floor", "ratio", "detectable", "p", "verdict")
    rows = [
        (row.name, row.statistic, row.distance, row.floor, row.ratio, row.detectable, row.p, row.verdict)
        for row in scorecard.rows
    ]
    terminal.print_table("Scorecard", header, rows)
    print(LEGEND)
    for note in dict.fromkeys(row.note for row in scorecard.rows if row.note):
        print(f"{', '.join(row.name for row in scorecard.rows if row.note == note)}: {note}")
    verdict = "rejected" if scorecard.rejected else "not rejected"
    print(f"\n{scorecard.within} of {scorecard.judged} rows within their floor, {scorecard.copied} copied; {verdict}")
