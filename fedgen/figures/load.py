"""Who carries the load (paper, Figs. 4a and 4b): cumulative shares over all servers, and the shares of the largest.

Servers are ranked by users, ties by transactions sent. The curves begin at zero before the first server and end at one,
so that what one server holds is a rise at its rank; the sum is tx + rx over 2T.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.figures import overlay, style
from fedgen.figures.envelope import envelope
from fedgen.statistics.load import ranking
from fedgen.traffic.equations import load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fedgen.federation import Federation, Floats, Integers
    from fedgen.figures.overlay import Pair
    from fedgen.traffic.equations import Load

LARGEST = 4
_LOOK = {
    "users": (style.BLACK, (4, 1.5)),
    "tx": (style.BLUE, ()),
    "rx": (style.YELLOW, ()),
    "sum": (style.RED, (6, 1.5, 1, 1.5)),
}


def shares(federation: Federation) -> dict[str, Floats]:
    """:func:`held` under broadcast."""
    return held(federation.users_per_server, load(federation))


def held(users: Integers, found: Load) -> dict[str, Floats]:
    """The share of all users, tx, rx and of both together that each server has, (S,) each, in the order of rank.

    Where nothing is sent, all but the users' are 0.
    """
    order = ranking(users, found.tx, found.rx)
    parts = {"users": users.astype(np.float64), "tx": found.tx, "rx": found.rx, "sum": found.tx + found.rx}
    return {name: part[order] / (part.sum() or 1.0) for name, part in parts.items()}


def curves(federations: Sequence[Federation], names: Sequence[str], abreast: int = style.ABREAST) -> Figure:
    """Cumulative shares of users, tx, rx and their sum over the servers (paper, Fig. 4a).

    Raises:
        UsageError: there is no federation.
    """
    return draw_curves([shares(one) for one in federations], names, abreast)


def largest(federations: Sequence[Federation], names: Sequence[str], abreast: int = style.ABREAST) -> Figure:
    """The shares of the four servers with most users (paper, Fig. 4b).

    Raises:
        UsageError: there is no federation.
    """
    return draw_largest([shares(one) for one in federations], names, abreast)


def draw_curves(parts: Sequence[Mapping[str, Floats]], names: Sequence[str], abreast: int = style.ABREAST) -> Figure:
    """:func:`curves` of shares that are there (:func:`held`)."""
    return _figure(parts, names, "cumulative share", _draw_curves, abreast)


def draw_largest(parts: Sequence[Mapping[str, Floats]], names: Sequence[str], abreast: int = style.ABREAST) -> Figure:
    """:func:`largest` of shares that are there (:func:`held`)."""
    return _figure(parts, names, "share", _draw_bars, abreast)


def both(pair: Pair) -> Figure:
    """The cumulative share of tx + rx of either side in one panel, over the rank on a logarithmic scale.

    What the hubs carry, a vertical line in Fig. 4a, is spread out here; the curve begins with the share of the first.
    """
    with style.paper():
        figure, axes = overlay.panel("rank of the server, by users, then tx", "cumulative share of tx + rx")
        axes.set_xscale("log")
        for look, side in zip(overlay.LOOKS, pair, strict=True):
            carried = np.cumsum(shares(side)["sum"])
            overlay.draw(axes, look, np.arange(1, len(carried) + 1), carried)
        axes.set_xlim(0.8, 1.25 * max(8, *(side.n_servers for side in pair)))
        axes.set_ylim(-0.02, 1.04)
        return overlay.finished(figure, axes)


def _figure(
    parts: Sequence[Mapping[str, Floats]],
    names: Sequence[str],
    label: str,
    draw: Callable[[Axes, Mapping[str, Floats], int], None],
    abreast: int,
) -> Figure:
    """A panel of each one's shares, with one legend; ``draw`` is told how many panels stand in a row."""
    with style.paper():
        figure, grid = style.panels(names, abreast)
        for axes, part in zip(grid, parts, strict=True):
            draw(axes, part, min(len(grid), abreast))
        figure.supxlabel("rank of the server, by users, then tx")
        figure.supylabel(label)
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(_LOOK))
        return style.settled(figure)


def _draw_curves(axes: Axes, part: Mapping[str, Floats], row: int) -> None:
    for name, share in part.items():
        curve = np.append(0.0, np.cumsum(share))
        kept = envelope(np.arange(len(curve)), curve)
        colour, dashes = _LOOK[name]
        axes.plot(kept, curve[kept], color=colour, dashes=dashes, label=name, linewidth=1.2)
    axes.set_ylim(-0.02, 1.04)
    style.number_ranks(axes, len(part["users"]), most=3 if row > 2 else 5)


def _draw_bars(axes: Axes, part: Mapping[str, Floats], _row: int) -> None:
    width = 0.8 / len(part)
    for i, (name, share) in enumerate(part.items()):
        shown = share[:LARGEST]
        middle = np.arange(1, len(shown) + 1) + (i - (len(part) - 1) / 2) * width
        axes.bar(middle, shown, width=0.92 * width, color=_LOOK[name][0], label=name)
    axes.set_xticks(range(1, LARGEST + 1))
    axes.set_xlim(0.4, LARGEST + 0.6)
    axes.set_ylim(0.0, 1.0)
    axes.grid(visible=False, axis="x")
