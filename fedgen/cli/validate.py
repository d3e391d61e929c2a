"""``fedgen validate``: does a federation pass for another one?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedgen.cli import terminal
from fedgen.cli.options import Force, Json, Output, Quiet, Seed
from fedgen.cli.output import check_file

if TYPE_CHECKING:
    from validate.scorecard import Scorecard

REJECTED = 3


def validate(
    context: typer.Context,
    generated: Annotated[
        Path, typer.Argument(metavar="GENERATED", help="The federation to judge, in any format.", show_default=False)
    ],
    against: Annotated[
        Path,
        typer.Option(
            "--against", metavar="DATA", help="The measured federation; sizes may differ.", show_default=False
        ),
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
        check_file(output, force=force)
    from fedgen.io import read_snapshot
    from fedgen.io.output import write_file
    from fedgen.provenance import record
    from validate.scorecard import validate as judge

    snapshots = [read_snapshot(path) for path in (generated, against)]
    if not quiet:
        for path, snapshot in zip((generated, against), snapshots, strict=True):
            terminal.remark(f"{path}: {text}" for text in snapshot.remarks)
    with terminal.progress(quiet) as progress:
        scorecard = judge(snapshots[0].federation, snapshots[1].federation, seed=seed, progress=progress)
    inputs = {str(generated): snapshots[0].digest, str(against): snapshots[1].digest}
    result: dict[str, Any] = {
        **scorecard.to_dict(),
        "provenance": record(context.obj, seed=seed, inputs=inputs),
    }
    if output is not None:
        write_file(output, [terminal.as_json(result).encode(), b"\n"], force=force)
    if json:
        terminal.print_json(result)
    else:
        _print(scorecard)
    if scorecard.rejected:
        raise typer.Exit(REJECTED)


def _print(scorecard: "Scorecard") -> None:
    header = ("row", "statistic", "distance", "floor", "ratio", "verdict")
    rows = [(row.name, row.statistic, row.distance, row.floor, row.ratio, row.verdict) for row in scorecard.rows]
    terminal.print_table("Scorecard", header, rows)
    for note in dict.fromkeys(row.note for row in scorecard.rows if row.note):
        print(f"{', '.join(row.name for row in scorecard.rows if row.note == note)}: {note}")
    verdict = "rejected" if scorecard.rejected else "not rejected"
    print(f"\n{scorecard.within} of {scorecard.judged} rows within their floor, {scorecard.copied} copied; {verdict}")
