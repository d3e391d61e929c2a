"""The options that several commands share: same flag, same meaning everywhere (DESIGN section 4)."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

FormatName = Literal["parquet", "csv", "petgraph", "graphml", "node-link", "locust"]


def whole_number(least: int) -> Callable[[Any], int]:
    """A parser of whole numbers from ``least`` up that says in plain words what is wrong."""

    def parse(value: Any) -> int:
        try:
            number = int(value)
        except ValueError:
            number = least - 1
        if number < least:
            raise ValueError(f"{value!r} is not a whole number from {least} up")
        return number

    return parse


def path(value: Any) -> Path:
    """A parser of paths, of which pathlib would take the empty one for the folder we are in."""
    if value == "":
        raise ValueError("'' names neither a file nor a folder")
    return Path(value)


def path_argument(metavar: str, help: str) -> Any:  # noqa: A002  as typer calls it
    """An argument that names a file or a folder."""
    return typer.Argument(parser=path, metavar=metavar, help=help, show_default=False)


def path_option(*flags: str, metavar: str, help: str, **settings: Any) -> Any:  # noqa: A002
    """An option that names a file or a folder."""
    return typer.Option(*flags, parser=path, metavar=metavar, help=help, **settings)


def number_option(flag: str, least: int, help: str, **settings: Any) -> Any:  # noqa: A002  as typer calls it
    """An option that takes a whole number from ``least`` up."""
    return typer.Option(flag, parser=whole_number(least), min=least, metavar="N", help=help, **settings)


Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing result; never an input.")]

Format = Annotated[
    FormatName | None,
    typer.Option(
        "--format", help="Default: by the suffix of the output; a folder (parquet) if it has none.", show_default=False
    ),
]

Jobs = Annotated[int, number_option("--jobs", 1, "Workers that write at once; the result is the same for any N.")]

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON (docs/json.md).")]

Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress and no remarks on stderr.")]

Seed = Annotated[int, number_option("--seed", 0, "Same seed, same result.")]

Output = Annotated[
    Path | None, path_option("-o", "--output", metavar="PATH", help="Where the result goes.", show_default=False)
]
