"""Two federations in one panel: a curve of each, told apart by colour, dash and mark alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fedgen.figures import style
from fedgen.figures.envelope import envelope

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fedgen.federation import Federation, Floats, Integers

_HEIGHT = 2.5
"""Inches of a figure with one panel."""


class Pair(NamedTuple):
    """What is compared in a figure."""

    measured: Federation
    generated: Federation


@dataclass(frozen=True)
class Look:
    """How the curve of one side is drawn.

    Attributes:
        name: in the legend.
        colour: of the line.
        dashes: in points, as matplotlib takes them; none for a solid line.
        mark: of a curve's last point, so that one of a single point can be seen.
    """

    name: str
    colour: str
    dashes: tuple[float, ...]
    mark: str


LOOKS = (Look("measured", style.BLUE, (), "o"), Look("generated", style.RED, (3.5, 1.2), "X"))
"""Of the two sides of a pair, in its order: the generated one is drawn last, on top."""


def panel(across: str, up: str) -> tuple[Figure, Axes]:
    """A figure of one column with one panel, and the labels of its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(style.ONE_COLUMN, _HEIGHT), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    return figure, axes


def draw(axes: Axes, look: Look, x: Floats | Integers, y: Floats, **line: Any) -> None:
    """The curve of one side.

    Args:
        axes: where.
        look: of the side.
        x: (N,) rising, on the scale of the axis as it is now; thinned to what a page can show.
        y: (N,) likewise.
        line: how else matplotlib is to draw it.
    """
    if len(x):
        kept = envelope(np.log(x) if axes.get_xscale() == "log" else x, y)
        x, y = x[kept], y[kept]
    axes.plot(
        x,
        y,
        color=look.colour,
        dashes=look.dashes,
        label=look.name,
        marker=look.mark,
        markevery=[len(x) - 1] if len(x) else None,
        markersize=4.5,
        markeredgewidth=0,
        linewidth=1.2,
        **line,
    )


def finished(figure: Figure, axes: Axes) -> Figure:
    """``figure`` with the legend of ``axes`` above it and its layout done."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return style.settled(figure)
