"""``fedgen fit``: a measured federation becomes a model."""

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fedgen.cli import terminal
from fedgen.cli.measured import read_measured
from fedgen.cli.options import Force, Json, Quiet, Seed, number_option, path_argument, path_option
from fedgen.cli.output import check_file
from fedgen.cli.plot import DEFAULT_FORMATS, check_figures, write_figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fedgen.federation import Federation
    from fitting.model import Model
    from fitting.tails import LawFit

LEGEND = """
hubs: the largest servers that do not belong to the tail of the others (family-wise error {rate:.0%}); not fitted
parameters: maximum likelihood ± standard error at this xmin; tail: values from xmin on; KS: distance of the tail
p: goodness of fit, {p}
runner-up: the best other family from xmin on; its p: of the likelihood ratio of the two
memberships beyond max(n, m): those of a server beyond the fewest that its users and rooms allow, e - max(n, m)
users beyond servers per room: those of a room beyond one per server, u - k
+ 1: fitted from 1 up, as every other quantity is"""

ASSUMED = """assumed: memberships were not seen; the law is one of what was put in their place, not of a measurement
(docs/attendance.md)"""


def fit(
    context: typer.Context,
    data: Annotated[Path, path_argument("DATA", "A federation in any format, or an attendance.")],
    output: Annotated[Path, path_option("-o", "--output", metavar="PATH", help="Where the model goes.")] = Path(
        "model.json"
    ),
    bootstrap: Annotated[
        int,
        number_option(
            "--bootstrap", 0, "Replicates for goodness of fit (p) and 95 % intervals; 1,000 for two digits. 0: none."
        ),
    ] = 0,
    engine: Annotated[
        Literal["fast", "powerlaw"],
        typer.Option("--engine", help="What estimates the laws: our own, or the powerlaw package, far slower."),
    ] = "fast",
    plot: Annotated[
        Path | None,
        path_option(
            "--plot", metavar="DIR", help="Draw each quantity with its laws into this folder.", show_default=False
        ),
    ] = None,
    users_like: Annotated[
        Path | None,
        path_option(
            "--users-like",
            metavar="MODEL",
            help="Of an attendance only: users not seen are assumed to be like those of this model. "
            "Default: the built-in model.",
            show_default=False,
        ),
    ] = None,
    rooms_per_user: Annotated[
        float | None,
        typer.Option(
            "--rooms-per-user",
            metavar="X",
            help="Of an attendance only: so many on average are assumed. Default: as the servers of --users-like have.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit a model to a measured federation.

    Prints the fitted laws and writes the model, a JSON file. DATA is recognised by content: a federation directory, csv
    (user,server,room), petgraph, GraphML or node-link; plain, gzip or zip. How a law is chosen: docs/tails.md.
    An attendance holds the servers and the number of users of each room, nobody's memberships, as a crawl that joins no
    room sees it. What cannot be known of it is assumed, and the model says so: docs/attendance.md.
    """
    check_file(output, force=force, inputs=(data, *([users_like] if users_like else [])))
    from fedgen.provenance import record
    from fitting.fit import SYMBOLS
    from fitting.fit import fit as fit_model

    if plot is not None:
        check_figures(plot, map(_file_name, SYMBOLS.values()), DEFAULT_FORMATS, force=force, inputs=[data])
    measured = read_measured(data, users_like, rooms_per_user, seed=seed, quiet=quiet)
    with terminal.progress(quiet) as progress:
        model = fit_model(measured.source, bootstrap=bootstrap, engine=engine, seed=seed, progress=progress)
    drawn = bool(bootstrap or measured.assumed)
    provenance = record(context.obj, seed=seed if drawn else None, inputs=measured.inputs) | measured.assumed
    model = replace(model, provenance=provenance)
    model.save(output, force=force)
    written = []
    if plot is not None:
        figures = draw_laws(model, measured.federation)
        source = f"{data} {measured.inputs[str(data)]}"
        written = write_figures(plot, figures, DEFAULT_FORMATS, force=force, source=source)
    terminal.ignore_interrupts()
    if json:
        terminal.print_json({"output": str(output), "figures": [str(path) for path in written], **summary(model)})
        return
    print_laws(model)
    print(f"\nModel: {output}")
    if written:
        print(f"Figures: {plot}")


def summary(model: "Model") -> dict[str, Any]:
    """The readable part of a model: sizes, laws, digest, provenance; no arrays."""
    return {
        "digest": model.digest,
        "unmeasured": list(model.unmeasured),
        "sizes": asdict(model.sizes),
        "laws": {name: law.to_dict() for name, law in model.laws.items()},
        "provenance": dict(model.provenance),
    }


def print_laws(model: "Model") -> None:
    """Print the fitted laws as a table on stdout, and below it what speaks for each; those assumed are marked."""
    from fitting.hubs import RATE

    laws = [
        replace(law, quantity=f"{law.quantity} (assumed)") if symbol in model.unmeasured else law
        for symbol, law in model.laws.items()
    ]
    header = ("quantity", "n", "hubs", "law", "parameters", "xmin", "tail", "KS", "p", "runner-up", "its p")
    terminal.print_table("Fitted laws", header, [_row(law) for law in laws])
    terminal.print_pairs("Evidence", [(law.quantity, law.evidence) for law in laws])
    if any(law.intervals for law in laws):
        pairs = [(law.quantity, _intervals(law)) for law in laws if law.intervals]
        terminal.print_pairs("95 % intervals; where xmin has one, alpha's allows for the choice of xmin", pairs)
    replicates = max(law.replicates for law in laws)
    known = f"{replicates:,} replicates; small: not this law" if replicates else "with --bootstrap N"
    print(LEGEND.format(rate=RATE, p=known))
    if model.unmeasured:
        print(ASSUMED)


def _row(law: "LawFit") -> tuple[object, ...]:
    hubs = law.hubs.count if law.hubs else None
    if law.law is None:
        return (law.quantity, law.n, hubs, *[None] * 8)
    ratio = law.against(law.runner_up) if law.runner_up else None
    return (
        law.quantity,
        law.n,
        hubs,
        law.law,
        _parameters(law),
        law.xmin,
        law.tail,
        law.ks,
        _rounded(law.p),
        law.runner_up,
        _rounded(ratio.p) if ratio else None,
    )


def _rounded(p: float | None) -> float | None:
    """To two digits, which is what a p-value is worth."""
    return None if p is None else float(f"{p:.2g}")


def _parameters(law: "LawFit") -> str:
    return ", ".join(_parameter(name, value, law.errors.get(name)) for name, value in law.parameters.items())


def _parameter(name: str, value: float, error: float | None) -> str:
    return f"{name} {value:.3g}" + (f" ± {error:.2g}" if error is not None else "")


def _intervals(law: "LawFit") -> str:
    return ", ".join(f"{name} {low:.3g} to {high:.3g}" for name, (low, high) in law.intervals.items())


def draw_laws(model: "Model", federation: "Federation") -> "dict[str, Figure]":
    """A figure of each quantity with its law and the law's rivals, by the names of their files."""
    from fitting.figure import draw_law
    from fitting.fit import quantities
    from fitting.histogram import Histogram

    figures = {}
    for symbol, values in quantities(federation).items():
        law = model.laws[symbol]
        p = "" if law.p is None else f", p = {law.p:.2g}"
        caption = f"{law.law}: {_parameters(law)}; xmin {law.xmin:,}, tail {law.tail:,}{p}" if law.law else law.evidence
        caption = f"assumed, not measured. {caption}" if symbol in model.unmeasured else caption
        rivals = [fitted.law(law.xmin) for fitted in law.fits if fitted.family != law.law]
        figures[_file_name(law.quantity)] = draw_law(
            law.quantity, caption, Histogram.of(values), law.hubs.count if law.hubs else 0, law.tail_law, rivals
        )
    return figures


def _file_name(quantity: str) -> str:
    return "-".join(re.findall("[a-z]+", quantity))
