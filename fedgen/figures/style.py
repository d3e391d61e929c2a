"""What all figures share: sizes of a two-column paper, type, colours, and panels side by side.

Colours are the high-contrast scheme of P. Tol (*Colour Schemes*, SRON/EPS/TN/09-002, 2021): apart for every kind of
colour vision, and in print without colour, where red falls between blue and yellow. The one font is that which comes
with matplotlib, so that a file does not depend on the fonts of the machine.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING, Any

from fedgen.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ONE_COLUMN, TWO_COLUMNS = 3.5, 7.16
"""Widths in inches of a figure in one column and across both."""
_PANEL_HEIGHT = 2.1
ABREAST = 4
"""Panels in a row, at most."""
_LETTERS = 12.5  # of a title, per inch

BLUE, YELLOW, RED = "#004488", "#DDAA33", "#BB5566"
BLACK, GREY = "#000000", "#999999"

TITLE, TEXT, SMALL = 8.0, 7.5, 6.5
"""Sizes of type in points."""

_PAPER: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": TEXT,
    "axes.titlesize": TITLE,
    "axes.titlelocation": "left",
    "axes.labelsize": TEXT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "figure.labelsize": TEXT,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "legend.fontsize": TEXT,
    "legend.frameon": False,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "fedgen",
    "pdf.fonttype": 42,
}


@contextmanager
def paper() -> Iterator[None]:
    """Within it matplotlib has this style and nothing of the user's own; afterwards it is as it was."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        # Of names in a script that the font lacks: text in SVG, boxes in PNG and PDF.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_PAPER)
        yield


def panels(names: Sequence[str], abreast: int = ABREAST) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each name, at most ``abreast`` in a row; one scale of y for all.

    Raises:
        UsageError: there is no name.
    """
    from matplotlib.figure import Figure

    if not names:
        raise UsageError("no federation to draw; name at least one")
    rows = ceil(len(names) / abreast)
    columns = ceil(len(names) / rows)
    width = ONE_COLUMN if columns == 1 else TWO_COLUMNS
    figure = Figure(figsize=(width, 0.6 + _PANEL_HEIGHT * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel().tolist()
    for axes in grid[len(names) :]:
        axes.remove()
    for name, axes in zip(names, grid, strict=False):
        axes.set_title(shortened(printable(name), int(_LETTERS * width / columns)), parse_math=False)
    return figure, grid[: len(names)]


def number_ranks(axes: Axes, count: int, most: int) -> None:
    """An axis of the ranks from 1 to ``count``, with about ``most`` numbers."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    locator = MaxNLocator(most, integer=True, steps=(1, 2, 2.5, 5, 10))
    ticks = sorted({max(float(tick), 1.0) for tick in locator.tick_values(0, count)})
    axes.set_xlim(0.5 - 0.015 * count, 0.5 + 1.015 * count)
    axes.set_xticks([tick for tick in ticks if tick <= count])
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(visible=False, axis="x")


def settled(figure: Figure) -> Figure:
    """``figure`` with its layout done once and for all: done anew for each file, it would move by a hair each time."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def printable(text: str) -> str:
    """``text`` as one line that every format of files can hold."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def shortened(name: str, length: int) -> str:
    """``name``, cut in the middle if it has more than ``length`` characters."""
    if len(name) <= length:
        return name
    kept = max(length - 1, 2)
    return f"{name[: kept - kept // 2]}…{name[-(kept // 2) :]}"
