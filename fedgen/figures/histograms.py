"""Histograms of heavy-tailed counts, in bins that grow with what they hold.

Bins. Sizes are whole numbers, so each size from 1 to 9 has a bin of its own and every later decade ten, whose first
sizes are the integers nearest to 10, 12.6, 15.8, 20, ...; edges lie half-way between integers and every bin holds at
least one. What is drawn is the number of units over the number of integers in the bin: the mean number of units *of
each size*, which does not jump where bins begin to widen, and is the histogram itself up to 9. It stands at the
geometric mean of the least and the largest integer of the bin. Empty bins are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.figures import style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from fedgen.federation import Federation, Floats, Integers

_PER_DECADE = 10


def rooms(federations: Sequence[Federation], names: Sequence[str]) -> Figure:
    """How many rooms have k servers, and how many u users.

    Raises:
        UsageError: there is no federation.
    """
    with style.paper():
        figure, grid = style.panels(names)
        sizes = [(federation.servers_per_room, federation.users_per_room) for federation in federations]
        curves = [[histogram(size) for size in pair] for pair in sizes]
        right = max(10.0, *(float(x[-1]) for pair in curves for x, _ in pair))
        low = min(0.1, *(float(y.min()) for pair in curves for _, y in pair))
        high = max(10.0, *(float(y.max()) for pair in curves for _, y in pair))
        for axes, (servers, users) in zip(grid, curves, strict=True):
            marks = [
                *axes.plot(*users, "o", color=style.YELLOW, markersize=3.2, markeredgewidth=0),
                *axes.plot(*servers, "s", color=style.BLUE, markersize=2.8, markeredgewidth=0.8, fillstyle="none"),
            ]
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlim(0.75, 1.5 * right)
            axes.set_ylim(low / 1.5, 1.5 * high)
        figure.supxlabel("servers, users per room")
        figure.supylabel("rooms of each size (mean in bin)")
        labels = ["servers per room", "users per room"]
        figure.legend(marks[::-1], labels, loc="outside upper right", ncols=2)
        return style.settled(figure)


def histogram(sizes: Integers) -> tuple[Floats, Floats]:
    """Where the bins of ``sizes`` (N,), all >= 1, stand, and how many units there are of each size in them."""
    first = first_integers(int(sizes.max()))
    number = np.bincount(np.searchsorted(first, sizes, side="right") - 1, minlength=len(first) - 1)
    held = number > 0
    middle = np.sqrt(first[:-1] * (first[1:] - 1.0))
    return middle[held], (number / np.diff(first))[held]


def first_integers(top: int) -> Integers:
    """The least integer of each bin up to the one that holds ``top``, and of the one after."""
    decades = len(str(top))
    later = np.rint(10.0 ** (1 + np.arange(_PER_DECADE * decades) / _PER_DECADE)).astype(np.int64)
    first = np.concatenate((np.arange(1, 10), later))
    return first[: int(np.searchsorted(first, top, side="right")) + 1]
