"""What all commands have in common: how their usage and their help look."""

import sys
from typing import Any

import typer
from typer.core import TyperCommand

SETTINGS: dict[str, Any] = {
    "rich_markup_mode": None,  # importing rich for a help text would double its time
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
"""Of every group of commands."""


class Command(TyperCommand):
    """A command whose usage shows ``DATA`` for what it needs, where typer would show ``{DATA}``."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line."""
        return [piece.removeprefix("{").replace("}", "", 1) for piece in super().collect_usage_pieces(ctx)]


def help_without_a_command(context: typer.Context) -> None:
    """A group that is called without a command shows its help on stderr, and that this was not enough."""
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)
