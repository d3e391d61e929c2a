"""``fedgen convert``: from any format to any other."""

from pathlib import Path
from typing import Annotated

import typer

from fedgen.cli import terminal
from fedgen.cli.info import counts
from fedgen.cli.inputs import read_federation
from fedgen.cli.options import Force, Format, Jobs, Json, Quiet, path_argument
from fedgen.cli.output import check_federation


def convert(
    context: typer.Context,
    source: Annotated[Path, path_argument("IN", "A federation in any format.")],
    target: Annotated[Path, path_argument("OUT", "Where the result goes.")],
    format: Format = None,  # noqa: A002  the option is called so
    force: Force = False,
    jobs: Jobs = 1,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Convert a federation to another format.

    Ids become dense integers from 0; nothing else changes.
    """
    check_federation(target, format, force=force, inputs=(source,))
    from fedgen.io import guess, write
    from fedgen.provenance import record

    snapshot = read_federation(source, quiet=quiet)
    origin = record(context.obj, inputs={str(source): snapshot.digest})
    write(snapshot.federation, target, format, force=force, jobs=jobs, provenance=origin)
    terminal.ignore_interrupts()
    if json:
        terminal.print_json({**counts(snapshot.federation), "format": format or guess(target), "output": str(target)})
    else:
        print(target)
