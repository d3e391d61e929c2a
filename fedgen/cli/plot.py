"""``fedgen plot``: the figures of the paper, and how any command writes figures."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fedgen.cli import terminal
from fedgen.cli.inputs import read_federation
from fedgen.cli.options import Force, Json, Quiet, path_argument, path_option
from fedgen.cli.output import check_file
from fedgen.errors import OutputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PageFormat = Literal["svg", "png", "pdf"]

DEFAULT_FORMATS: tuple[PageFormat, ...] = ("svg", "png")


def plot(
    federations: Annotated[list[Path], path_argument("FEDERATION", "Federations in any format.")],
    output: Annotated[
        Path, path_option("-o", "--output", metavar="DIR", help="The folder for the figures.", show_default=False)
    ],
    format: Annotated[  # noqa: A002  the option is called so
        PageFormat | None, typer.Option("--format", help="Default: svg and png.", show_default=False)
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw federations side by side.

    The spike patterns of servers and of rooms (the paper's Figs. 2 and 3), how many rooms have how many servers and
    users, and who carries the load (Figs. 4a and 4b). Prints the files that it writes.
    """
    formats = (format,) if format else DEFAULT_FORMATS
    from fedgen.figures.pages import FIGURES

    check_figures(output, FIGURES, formats, force=force, inputs=federations)
    snapshots = [read_federation(path, quiet=quiet, named=True) for path in federations]
    drawn, names = [snapshot.federation for snapshot in snapshots], titles(federations)
    figures = {name: draw(drawn, names) for name, draw in FIGURES.items()}
    source = "; ".join(f"{path} {shot.digest}" for path, shot in zip(federations, snapshots, strict=True))
    written = write_figures(output, figures, formats, force=force, source=source)
    terminal.ignore_interrupts()
    if json:
        terminal.print_json({"figures": [str(path) for path in written]})
    else:
        print(*written, sep="\n")


def titles(paths: Sequence[Path]) -> list[str]:
    """What to call each: its name, or the whole path where names are the same."""
    names = [path.absolute().name for path in paths]
    shared = Counter(names)
    return [name if shared[name] == 1 else str(path) for name, path in zip(names, paths, strict=True)]


def check_figures(
    folder: Path, names: Iterable[str], formats: Sequence[PageFormat], *, force: bool, inputs: Sequence[Path]
) -> None:
    """Refuse a folder that :func:`write_figures` could not write to, or that would change an input.

    Raises:
        UsageError: a figure would replace an input or lie within one.
        OutputError: says why and what to do.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file, and figures go to a folder; name another place")
    places = _places(folder, names, formats) if folder.exists() else [folder]
    for place in places:
        check_file(place, force=force, inputs=tuple(inputs))


def write_figures(
    folder: Path, figures: Mapping[str, "Figure"], formats: Sequence[PageFormat], *, force: bool, source: str
) -> list[Path]:
    """Write every figure in every format, as ``folder/name.format``; the folder is made if there is none.

    Args:
        folder: where they go.
        figures: by the names of their files.
        formats: of files.
        force: whether existing files are replaced.
        source: what the figures were drawn from; kept in the files.

    Raises:
        OutputError: a file exists and ``force`` is not given, or the system refuses.
    """
    from fedgen.figures.pages import encoded
    from fedgen.io.output import told, write_file

    places = _places(folder, figures, formats)
    pages = [encoded(figure, form, source) for figure in figures.values() for form in formats]
    with told(folder):
        folder.mkdir(exist_ok=True)
    for place, page in zip(places, pages, strict=True):
        write_file(place, [page], force=force)
    return places


def _places(folder: Path, names: Iterable[str], formats: Sequence[PageFormat]) -> list[Path]:
    return [folder / f"{name}.{form}" for name in names for form in formats]
