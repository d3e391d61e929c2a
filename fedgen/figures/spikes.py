"""The spike patterns (paper, Figs. 2 and 3): two sizes of each server or room over its rank.

Ranked by the first size, ties by the second, both falling. The first becomes a staircase; within a step, where all
have the same first size, the second falls from its largest to its smallest, and jumps up again at the next: a spike for
every step. Spikes that rise high and fall to the ground say that units with the same first size have both large and
small second sizes.

Ranks are drawn on a linear scale, each federation over the whole width of its panel: on a logarithmic one the last
steps, which hold most units, shrink to needles; and federations of different sizes are compared step by step. Sizes
share one logarithmic scale. Each unit is half a rank wide to either side, so that a single one can be seen; where there
are more than a page can show, :func:`~fedgen.figures.envelope.envelope` keeps the lowest and the highest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.figures import style
from fedgen.figures.envelope import envelope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from fedgen.federation import Federation, Floats, Integers

_FLOOR = 0.75  # a size of 1 stands clear of the axis


def servers(federations: Sequence[Federation], names: Sequence[str], abreast: int = style.ABREAST) -> Figure:
    """Users and rooms per server over the servers, ranked by users, then rooms (paper, Fig. 2).

    Raises:
        UsageError: there is no federation.
    """
    sizes = [(federation.users_per_server, federation.rooms_per_server) for federation in federations]
    return _pattern(sizes, names, ("users", "rooms"), "server", abreast)


def rooms(federations: Sequence[Federation], names: Sequence[str], abreast: int = style.ABREAST) -> Figure:
    """Servers and users per room over the rooms, ranked by servers, then users (paper, Fig. 3).

    Raises:
        UsageError: there is no federation.
    """
    sizes = [(federation.servers_per_room, federation.users_per_room) for federation in federations]
    return _pattern(sizes, names, ("servers", "users"), "room", abreast)


def ranked(first: Integers, second: Integers) -> tuple[Integers, Integers]:
    """Both sizes in the order of rank: by ``first``, ties by ``second``, both falling."""
    order = np.lexsort((second, first))[::-1]
    return first[order], second[order]


def steps(values: Integers) -> tuple[Integers, Floats]:
    """The heights to draw and the edges between them: the value of rank i lies between i - 1/2 and i + 1/2."""
    kept = envelope(np.arange(len(values)), values)
    return values[kept], np.append(kept + 0.5, len(values) + 0.5)


def _pattern(
    sizes: Sequence[tuple[Integers, Integers]], names: Sequence[str], counted: tuple[str, str], unit: str, abreast: int
) -> Figure:
    with style.paper():
        figure, grid = style.panels(names, abreast)
        top = max(10, *(int(size.max()) for pair in sizes for size in pair))
        for axes, pair in zip(grid, sizes, strict=True):
            first, second = ranked(*pair)
            staircase = axes.stairs(*steps(first), baseline=None, color=style.BLUE, linewidth=1.2, zorder=3)
            spikes = axes.stairs(
                *steps(second),
                baseline=_FLOOR / 2,
                fill=True,
                facecolor=style.YELLOW,
                edgecolor=style.YELLOW,
                linewidth=0.4,
            )
            axes.set_yscale("log")
            axes.set_ylim(_FLOOR, 1.5 * top)
            style.number_ranks(axes, len(first), most=3 if min(len(grid), abreast) > 2 else 5)
        figure.supxlabel(f"rank of the {unit}, by {counted[0]}, then {counted[1]}")
        figure.supylabel(f"{counted[0]}, {counted[1]}")
        labels = [f"{name} per {unit}" for name in counted]
        figure.legend([staircase, spikes], labels, loc="outside upper right", ncols=2)
        return style.settled(figure)
