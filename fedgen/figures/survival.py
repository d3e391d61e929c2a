"""Survival functions: the share of servers, rooms or users whose size is at least x, on logarithmic scales.

Sizes are whole numbers, so the function is a staircase that falls right after each size that occurs. Nothing is
binned: heavy tails are compared down to the last unit, whose size is marked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.figures import overlay, style
from fedgen.statistics.margins import MARGINS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fedgen.federation import Floats, Integers
    from fedgen.figures.overlay import Pair


def survival(sizes: Integers) -> tuple[Integers, Floats]:
    """The sizes that occur among ``sizes`` (N,), rising, and the share of units of at least that size."""
    occurring, number = np.unique(sizes, return_counts=True)
    return occurring, np.cumsum(number[::-1])[::-1] / max(len(sizes), 1)


def margin(pair: Pair, name: str) -> Figure:
    """The survival function of a margin.

    Args:
        pair: the two sides.
        name: of :data:`fedgen.statistics.margins.MARGINS`.
    """
    one = MARGINS[name]
    with style.paper():
        figure, axes = overlay.panel(name.replace("_", " "), f"share of {one.unit} with so many or more")
        axes.set_xscale("log")
        axes.set_yscale("log")
        curves = [survival(one.of(side)) for side in pair]
        for look, curve in zip(overlay.LOOKS, curves, strict=True):
            overlay.draw(axes, look, *curve, drawstyle="steps-pre")
        axes.set_xlim(0.8, 1.6 * max(10, *(int(x[-1]) for x, _ in curves)))
        axes.set_ylim(min(0.1, *(float(y[-1]) for _, y in curves)) / 1.8, 1.5)
        return overlay.finished(figure, axes)
