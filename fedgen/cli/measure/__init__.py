"""``fedgen measure``: a new snapshot of a federation; one module per command."""

import typer

from fedgen.cli.command import SETTINGS, Command, help_without_a_command
from fedgen.cli.measure.announce import announce
from fedgen.cli.measure.crawl import crawl
from fedgen.cli.measure.synapse import synapse


def make_measure() -> typer.Typer:
    """The commands, in the order of use."""
    app = typer.Typer(name="measure", **SETTINGS)
    app.callback(invoke_without_command=True)(measure)
    for command in (crawl, synapse, announce):
        app.command(cls=Command)(command)
    return app


def measure(context: typer.Context) -> None:
    """Measure a federation.

    What is written is a snapshot that fedgen fit reads. Nobody can be found in it by name: users, servers and rooms
    are numbered at random. What is measured, and who is left out: docs/measure.md.
    """
    help_without_a_command(context)
