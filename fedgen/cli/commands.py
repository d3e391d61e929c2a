"""The commands together: their order, how one line of them is run, and how what it raises becomes one line."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from fedgen import __version__
from fedgen.cli import terminal
from fedgen.cli.command import SETTINGS, Command, help_without_a_command
from fedgen.cli.convert import convert
from fedgen.cli.fit import fit
from fedgen.cli.info import info
from fedgen.cli.load import load
from fedgen.cli.measure import make_measure
from fedgen.cli.plot import plot
from fedgen.cli.reconstruct import reconstruct
from fedgen.cli.sample import sample
from fedgen.cli.sweep import sweep
from fedgen.cli.validate import validate
from fedgen.errors import FedgenError

INTERRUPTED = 130  # what typer returns after Ctrl-C


def make_app() -> typer.Typer:
    """The commands, in the order of use."""
    app = typer.Typer(name="fedgen", **SETTINGS)
    app.callback(invoke_without_command=True)(fedgen)
    for command in (fit, sample, sweep, validate, load, reconstruct, plot, info, convert):
        app.command(cls=Command)(command)
    app.add_typer(make_measure())
    return app


def _print_version(asked: bool) -> None:
    if asked:
        print(f"fedgen {__version__}")
        raise typer.Exit


def fedgen(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks (also: FEDGEN_DEBUG=1).")] = False,
) -> None:
    """Fit, sample and validate federations: users on servers, users in rooms.

    A measured federation becomes a model (fit), a model a new federation of any size (sample), and a scorecard says
    whether the new one passes for the measured one (validate). Where there is no measurement but its paper, figures
    become a federation that meets them (reconstruct).
    """
    del version, debug  # handled before any command runs
    help_without_a_command(context)


def run(arguments: Sequence[str]) -> int:
    """Run one command line (without the program's name) and return its exit code.

    Raises:
        KeyboardInterrupt: interrupted before the result was there.

    Only ``--debug`` lets any other exception through.
    """
    debug = "--debug" in arguments or os.environ.get("FEDGEN_DEBUG", "0") not in ("", "0")
    try:
        code = make_app()(arguments, prog_name="fedgen", standalone_mode=False, obj=["fedgen", *arguments]) or 0
        sys.stdout.flush()
    except typer.Abort:
        code = INTERRUPTED
    except SystemExit as leave:  # completion scripts and closed pipes leave this way
        code = leave.code if isinstance(leave.code, int) else 1
    except Exception as error:
        if debug and not isinstance(error, typer.TyperException):
            raise
        code = _told(error)
    _hush_stdout()
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return int(code)


def _told(error: Exception) -> int:
    """Tell ``error`` in one line; its exit code."""
    match error:
        case BrokenPipeError():
            return 1  # whoever read stdout has left: nobody to tell
        case typer.TyperException():
            context = getattr(error, "ctx", None)
            command = context.command_path if context else "fedgen"
            # What a parser raises as ValueError comes back with pydantic's prefix.
            message = error.format_message().replace("Value error, ", "").rstrip(".")
            terminal.fail(f"{message}; see {command} --help")
            return error.exit_code
        case FedgenError():
            terminal.fail(str(error))
            return error.exit_code
        case MemoryError():
            terminal.fail("not enough memory for a federation of this size; ask for a smaller one")
        case OSError(filename=None):
            terminal.fail(f"standard output cannot be written ({error.strerror or error}); send it elsewhere")
        case OSError():
            terminal.fail(f"{error.filename}: {error.strerror or error}")
        case _:
            terminal.fail(
                f"this is a fault of fedgen, not yours ({type(error).__name__}: {error}); "
                "please report it with what FEDGEN_DEBUG=1 shows"
            )
    return 1


def _hush_stdout() -> None:
    """Point a stdout that cannot be written any more at nothing, else Python complains about it on its way out."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
