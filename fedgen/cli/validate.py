"""``fedgen validate``: does a federation pass for another one, does it meet published figures?"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedgen.cli import terminal
from fedgen.cli.findings import print_findings
from fedgen.cli.inputs import is_figures, read_federation, read_tables
from fedgen.cli.options import Force, Json, Output, Quiet, Seed, path_argument, path_option
from fedgen.cli.output import check_file
from fedgen.cli.plot import titles
from fedgen.errors import UsageError

if TYPE_CHECKING:
    from fedgen.figures.overlay import Pair
    from validate.published import Findings
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
        path_option(
            "--against",
            metavar="DATA|FIGURES",
            help="The measured federation (sizes may differ), or a file of published figures (TOML, docs/figures.md).",
            show_default=False,
        ),
    ],
    output: Output = None,
    html: Annotated[
        Path | None,
        path_option(
            "--html",
            metavar="PATH",
            help="Write a report too: one page with figures of both sides, for people. Against data only.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge a federation by data or by figures.

    Against a measured federation: one distance per row, beside it the floor: the distance that resampling the measured
    one alone gives. Against published figures: a row per figure, met or not; nothing is drawn, so that --seed has no
    effect. Exit code 3 if the federation is rejected. With -o the result is written as JSON too, with --html as a page
    with figures that needs nothing but itself.
    """
    _check_places(output, html, force=force, inputs=(generated, against))
    from fedgen.io.output import write_file
    from fedgen.io.stored import MOST_IN_MEMORY, is_large
    from fedgen.provenance import record

    page: bytes | None = None
    if is_figures(against):
        if html is not None:
            raise UsageError(f"--html: shows a federation against data, and {against} holds figures; leave --html away")
        findings, inputs = _hold(generated, against, quiet=quiet)
        judged: Scorecard | Findings = findings
        result: dict[str, Any] = {**judged.to_dict(), "provenance": record(context.obj, inputs=inputs)}
    else:
        if html is not None and is_large(generated):
            raise UsageError(
                f"--html: its figures are of all memberships, and {generated} has more than are read into memory "
                f"({MOST_IN_MEMORY:,}); leave --html away"
            )
        comparison = _judge(generated, against, seed=seed, quiet=quiet)
        judged = comparison.scorecard
        provenance = record(context.obj, seed=seed, inputs=comparison.inputs)
        result = {**judged.to_dict(), "provenance": provenance}
        if comparison.pair is not None and html is not None:
            page = _report(comparison.scorecard, comparison.pair, titles((against, generated)), provenance)
    terminal.ignore_interrupts()
    if json:
        terminal.print_json(result)
    else:
        _print(judged)
    # Printed first: a full disk does not cost what was computed.
    if output is not None:
        write_file(output, [terminal.as_json(result).encode(), b"\n"], force=force)
    if html is not None and page is not None:
        write_file(html, [page], force=force)
    if judged.rejected:
        raise typer.Exit(REJECTED)


@dataclass(frozen=True, eq=False)
class Comparison:
    """A scorecard, the federations that it compares if both are in memory, and what was read: digests by name."""

    scorecard: "Scorecard"
    pair: "Pair | None"
    inputs: dict[str, str]


def _check_places(output: Path | None, html: Path | None, *, force: bool, inputs: tuple[Path, ...]) -> None:
    """Refuse places that cannot be written to, or two that are one.

    Raises:
        UsageError, OutputError: says why and what to do.
    """
    for place in (output, html):
        if place is not None:
            check_file(place, force=force, inputs=inputs)
    if output is not None and html is not None and output.resolve() == html.resolve():
        raise UsageError(f"--html: {html} is where -o puts the result; name another place for the report")


def _judge(generated: Path, against: Path, *, seed: int, quiet: bool) -> Comparison:
    from fedgen.federation import Federation
    from fedgen.figures.overlay import Pair
    from validate.reported import untold
    from validate.scorecard import validate as judge

    ours = read_tables(generated, quiet=quiet, named=True)
    theirs = read_federation(against, quiet=quiet, named=True)
    with terminal.progress(quiet) as progress:
        scorecard = judge(ours.tables, theirs.federation, seed=seed, progress=progress)
    if not quiet and (left_out := untold(ours.tables)):
        terminal.remark([f"not told, as all memberships had to be in memory: {', '.join(left_out)}"])
    inputs = {str(generated): ours.digest, str(against): theirs.digest}
    pair = Pair(theirs.federation, ours.tables) if isinstance(ours.tables, Federation) else None
    return Comparison(scorecard, pair, inputs)


def _report(scorecard: "Scorecard", pair: "Pair", names: list[str], provenance: dict[str, Any]) -> bytes:
    """The page, with the names of the measured and the generated federation."""
    from validate.report.page import page

    return page(scorecard, pair, (names[0], names[1]), provenance).encode()


def _hold(generated: Path, against: Path, *, quiet: bool) -> "tuple[Findings, dict[str, str]]":
    """The findings and the digests of what was read; the figures first, which are read in no time."""
    from fedgen.federation import Federation
    from fedgen.statistics.published import read_figures
    from validate.published import hold

    figures = read_figures(against)
    read = read_tables(generated, quiet=quiet)
    counted = isinstance(read.tables, Federation)
    if not quiet and not counted and any("butterflies" in str(figure.statistic) for figure in figures.held):
        terminal.remark(["its butterflies are estimated from paths drawn at random, to a standard error below 1 %"])
    return hold(read.tables, figures), {str(generated): read.digest, str(against): figures.digest}


def _print(judged: "Scorecard | Findings") -> None:
    from validate.published import Findings

    if isinstance(judged, Findings):
        print_findings(judged)
    else:
        _print_scorecard(judged)


def _print_scorecard(scorecard: "Scorecard") -> None:
    header = ("row", "statistic", "distance", "floor", "ratio", "detectable", "p", "verdict")
    rows = [
        (row.name, row.statistic, row.distance, row.floor, row.ratio, row.detectable, row.p, row.verdict)
        for row in scorecard.rows
    ]
    terminal.print_table("Scorecard", header, rows)
    print(LEGEND)
    for note in dict.fromkeys(row.note for row in scorecard.rows if row.note):
        print(f"{', '.join(row.name for row in scorecard.rows if row.note == note)}: {note}")
    if any(kind.note == "" for kind in scorecard.memorisation):
        print(_memorised(scorecard))
    verdict = "rejected" if scorecard.rejected else "not rejected"
    print(f"\n{scorecard.within} of {scorecard.judged} rows within their floor, {scorecard.copied} copied; {verdict}")


def _memorised(scorecard: "Scorecard") -> str:
    """E7 in one line."""
    told = [kind for kind in scorecard.memorisation if kind.note == ""]
    shares = ", ".join(f"{kind.records} {kind.share:.2f}{' (too close)' if kind.too_close else ''}" for kind in told)
    return f"E7, memorisation (.05 by independence, .5 by copying): {shares}"
