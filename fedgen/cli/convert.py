"""``fedgen convert``: from any format to any other."""

from pathlib import Path
from typing import Annotated

import typer

from fedgen.cli import terminal
from fedgen.cli.options import Force, Format, Jobs, Quiet
from fedgen.cli.output import check_federation


def convert(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="A federation in any format.", show_default=False)],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Where the result goes.", show_default=False)],
    format: Format = None,  # noqa: A002  the option is called so
    force: Force = False,
    jobs: Jobs = 1,
    quiet: Quiet = False,
) -> None:
    """Convert a federation to another format.

    Ids become dense integers from 0; nothing else changes.
    """
    check_federation(target, format, force=force)
    from fedgen.io import read_snapshot, write
    from fedgen.provenance import record

    snapshot = read_snapshot(source)
    if not quiet:
        terminal.remark(snapshot.remarks)
    origin = record(context.obj, inputs={str(source): snapshot.digest})
    write(snapshot.federation, target, format, force=force, jobs=jobs, provenance=origin)
    print(target)
