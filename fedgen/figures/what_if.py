"""Users of the hubs move to servers of their own: load and decentralization over the share that has moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.errors import UsageError
from fedgen.figures import style
from fedgen.figures.sweep import DARK, apart, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fedgen.federation import Floats

    Steps = Mapping[str, Sequence[float]]

_HEIGHT = 2.5
_LETTERS = 22
_DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1.2, 1.2), (6, 1.5, 1.2, 1.5))
_COLUMNS = ("share", "load_per_user", "largest_load", "median_load", "hub_tx", "effective_servers")
_OF_SERVERS = {
    "largest_load": ("largest tx + rx", style.RED),
    "hub_tx": ("tx of the hub", style.YELLOW),
    "median_load": ("median tx + rx", style.BLUE),
}
"""What is shown of servers: in words, and its colour."""


def curves(federations: Mapping[str, Steps]) -> Figure:
    """T/U; what servers carry; the effective number of servers.

    Args:
        federations: by name, the columns of their steps, by name: ``share`` rising, and what is drawn over it. The
            first is drawn solid, the next ones are dashed.

    Raises:
        UsageError: there is none, or a column is missing.
    """
    if not federations:
        raise UsageError("no federation to draw; name at least one")
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, PercentFormatter

    parts = [_floats(name, steps) for name, steps in federations.items()]
    with style.paper():
        figure = Figure(figsize=(style.TWO_COLUMNS, _HEIGHT), layout="constrained")
        total, servers, effective = figure.subplots(1, 3, width_ratios=(1, 1.3, 1))
        for axes, title in (
            (total, "transactions per user (T/U)"),
            (servers, "what servers carry"),
            (effective, "effective servers (1/HHI)"),
        ):
            axes.set_title(title)
            axes.set_xlim(-0.02, 1.02)
            axes.set_xticks([0.0, 0.25, 0.5, 0.75, 1.0])
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        for axes, column in ((total, "load_per_user"), (effective, "effective_servers")):
            for part, name, dashes in zip(parts, federations, _DASHES * len(parts), strict=False):
                title = style.shortened(style.printable(name), _LETTERS)
                _line(axes, part["share"], part[column], dashes, style.BLACK, label=title)
        total.set_ylim(bottom=0.0)
        for column, (_, colour) in _OF_SERVERS.items():
            how = (
                {"linewidth": 2.8, "markersize": 0.0, "zorder": 1.9} if column == "hub_tx" else {}
            )  # under the largest
            for part, dashes in zip(parts, _DASHES * len(parts), strict=False):
                _line(servers, part["share"], part[column], dashes if not how else (), colour, **how)
        for axes in (servers, effective):
            axes.set_yscale("log")
            _number(axes)
        if len(parts) > 1:
            total.legend(loc="lower right", handlelength=2.4)
        figure.supxlabel("share of the hubs' users that have moved to servers of their own")
        figure.draw_without_rendering()
        _name(servers, parts[0])
        return style.settled(figure)


def _floats(name: str, steps: Steps) -> dict[str, Floats]:
    for column in _COLUMNS:
        if column not in steps:
            raise UsageError(f"{name}: has no {column}; give {', '.join(_COLUMNS)}")
    return {column: np.array(steps[column], dtype=np.float64) for column in _COLUMNS}


def _line(axes: Axes, share: Floats, values: Floats, dashes: tuple[float, ...], colour: str, **more: Any) -> None:
    shown = np.where(values > 0, values, np.nan)
    how: dict[str, Any] = {"color": colour, "dashes": dashes, "linewidth": 1.2, "marker": "o", "markersize": 1.8}
    axes.plot(share, shown, **(how | more))


def _number(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 30 * low else (1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _name(axes: Axes, part: Mapping[str, Floats]) -> None:
    """The names of the three curves to the right of where the first federation's end."""
    low, high = np.log10(axes.get_ylim())
    there = {column: part[column][part[column] > 0] for column in _OF_SERVERS}
    ends = {column: (np.log10(values[-1]) - low) / (high - low) for column, values in there.items() if len(values)}
    for column, place in zip(ends, apart([float(end) for end in ends.values()], 0.09), strict=True):
        words, colour = _OF_SERVERS[column]
        axes.text(
            1.03,
            place,
            words,
            transform=axes.transAxes,
            color=DARK.get(colour, colour),
            fontsize=style.SMALL,
            verticalalignment="center",
        )
