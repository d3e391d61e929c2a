"""``fedgen fit``: a measured federation becomes a model."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedgen.cli import terminal
from fedgen.cli.inputs import read_federation
from fedgen.cli.options import Force, Json, Quiet, path_argument, path_option
from fedgen.cli.output import check_file

if TYPE_CHECKING:
    from fitting.model import Model

LEGEND = """
heads: head servers, listed one by one in the model and not fitted
memberships beyond max(n, m): those of a server beyond the fewest that its users and rooms allow, e - max(n, m)
users beyond servers per room: those of a room beyond one per server, u - k
+ 1: fitted from 1 up, as every other quantity is
p: of a two-sided likelihood-ratio test of two laws; below 0.1 the better one is named"""


def fit(
    context: typer.Context,
    data: Annotated[Path, path_argument("DATA", "A federation in any format.")],
    output: Annotated[Path, path_option("-o", "--output", metavar="PATH", help="Where the model goes.")] = Path(
        "model.json"
    ),
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit a model to a measured federation.

    Prints the fitted laws and writes the model, a JSON file. DATA is recognised by content: a federation directory, csv
    (user,server,room), petgraph, GraphML or node-link; plain, gzip or zip.
    """
    check_file(output, force=force, inputs=(data,))
    from fedgen.provenance import record
    from fitting.fit import fit as fit_model

    snapshot = read_federation(data, quiet=quiet)
    with terminal.progress(quiet) as progress:
        model = fit_model(snapshot.federation, progress=progress)
    origin = record(context.obj, inputs={str(data): snapshot.digest})
    model = replace(model, provenance=origin)
    model.save(output, force=force)
    terminal.ignore_interrupts()
    if json:
        terminal.print_json({"output": str(output), **summary(model)})
        return
    print_laws(model)
    print(f"\nModel: {output}")


def summary(model: "Model") -> dict[str, Any]:
    """The readable part of a model: sizes, laws, digest, provenance; no arrays."""
    return {
        "digest": model.digest,
        "sizes": asdict(model.sizes),
        "laws": {name: law.to_dict() for name, law in model.laws.items()},
        "provenance": dict(model.provenance),
    }


def print_laws(model: "Model") -> None:
    """Print the fitted laws as a table on stdout, and below it what speaks for each."""
    laws = model.laws.values()
    rows = [
        (
            law.quantity,
            law.n,
            law.heads,
            law.law,
            ", ".join(_parameter(name, value, law.errors.get(name)) for name, value in law.parameters.items()),
            law.xmin if law.law else None,
            law.tail if law.law else None,
            law.ks,
        )
        for law in laws
    ]
    header = ("quantity", "sample", "heads", "law", "parameters", "xmin", "tail", "KS")
    terminal.print_table("Fitted laws", header, rows)
    terminal.print_pairs("Evidence", [(law.quantity, law.evidence) for law in laws])
    print(LEGEND)


def _parameter(name: str, value: float, error: float | None) -> str:
    return f"{name} {value:.3g}" + (f" ± {error:.2g}" if error is not None else "")
