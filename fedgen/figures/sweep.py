"""Statistics against size, lines with bands, on logarithmic scales: small multiples of a sweep.

A panel per statistic with a line per scenario, or a panel per scenario with a line per way to distribute events.
Every line is named where it ends; names that would cover each other move apart, and thin lines lead to them. Colour and
dash tell the lines apart alike. A dotted grey line from the first point of a scenario has the slope that is declared.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite, log10
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.errors import UsageError
from fedgen.figures import style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fedgen.federation import Floats
    from fedgen.statistics.scaling import Band

ABREAST = 2
_HEIGHT = 2.2
"""Inches of a row of panels."""
_ALONE = 4.6
"""Inches that a single panel and the names beside it are wide."""
_LETTERS = 23
_APART = 0.075
"""Of the height of a panel, how far apart names are."""
_ACROSS = "times as many servers as measured; medians over seeds, bands 5 to 95 %, dotted: declared slope"
_LEAST_SPAN = 0.6
"""Decades that an axis shows at least, so that noise does not look like a trend."""
_COLOURS = (style.BLUE, style.RED, style.YELLOW)
_DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1.2, 1.2), (6, 1.5, 1.2, 1.5))
DARK = {style.YELLOW: "#8A6A10", style.GREY: "#666666"}
"""Of letters, which have to be darker than lines to be read."""
_GUIDE = {"color": style.GREY, "linewidth": 0.7, "linestyle": (0, (1, 1.5)), "zorder": 1.5}


@dataclass(frozen=True)
class Line:
    """A statistic of a scenario against size.

    Attributes:
        name: of the scenario, or of the mechanism.
        bands: over seeds, one per factor.
        declared: exponent; None where none is.
        look: how matplotlib draws it; None: by its place (:func:`look`).
    """

    name: str
    bands: Sequence[Band]
    declared: float | None
    look: Mapping[str, Any] | None = None

    def drawn(self, at: int) -> Mapping[str, Any]:
        """How it is drawn as the at-th."""
        return look(at) if self.look is None else self.look


def trends(
    factors: Sequence[float], panels: Mapping[str, Sequence[Line]], up: str | None = None, across: str = _ACROSS
) -> Figure:
    """A panel per statistic, or per scenario.

    Args:
        factors: times as many servers, rising; one at least.
        panels: the lines, the reference first, by what the panel is called.
        up: what all panels show, on one scale; None: each panel another thing on a scale of its own.
        across: what factors are.

    Raises:
        UsageError: there is no panel.
    """
    if not panels:
        raise UsageError("no statistic to draw; name at least one")
    from matplotlib.figure import Figure

    place = np.array(factors, dtype=np.float64)
    with style.paper():
        columns = min(ABREAST, len(panels))
        rows = ceil(len(panels) / columns)
        width = style.TWO_COLUMNS if columns > 1 else _ALONE
        figure = Figure(figsize=(width, 0.4 + _HEIGHT * rows), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.06, w_pad=0.04)  # type: ignore[union-attr,call-arg]
        grid = figure.subplots(rows, columns, sharex=True, sharey=up is not None, squeeze=False).ravel().tolist()
        for axes in grid[len(panels) :]:
            axes.remove()
        drawn = list(zip(grid, panels.items(), strict=False))
        ends = [_draw(axes, title, place, lines) for axes, (title, lines) in drawn]
        for (axes, (_, lines)), end in zip(
            drawn, ends, strict=True
        ):  # once all lines are there, which may share a scale
            _widen(axes)
            _name(axes, place, end, lines)
        figure.supxlabel(across)
        if up is not None:
            figure.supylabel(up)
        return style.settled(figure)


def look(at: int) -> dict[str, Any]:
    """How the at-th line is drawn: the reference black, the others by colour, then by dash."""
    if at == 0:
        return {"color": style.BLACK, "linewidth": 1.6, "zorder": 4}
    colour, dash = (at - 1) % len(_COLOURS), ((at - 1) // len(_COLOURS)) % len(_DASHES)
    return {"color": _COLOURS[colour], "dashes": _DASHES[dash], "linewidth": 1.2, "zorder": 3}


def apart(places: Sequence[float], least: float) -> list[float]:
    """Places, in their order, moved as little as is seemly until none is nearer to the next than ``least``.

    Those that come too near become a group around the mean of where they were; all within [0, 1] if there is room.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[list[int]] = []

    def spread(group: list[int]) -> list[float]:
        half = least * (len(group) - 1) / 2
        middle = sum(places[i] for i in group) / len(group)
        middle = max(half, min(1.0 - half, middle))
        return [middle - half + least * at for at in range(len(group))]

    for one in order:
        groups.append([one])
        while len(groups) > 1 and spread(groups[-1])[0] - spread(groups[-2])[-1] < least * (1 - 1e-9):
            last = groups.pop()
            groups[-1] += last
    moved = [0.0] * len(places)
    for group in groups:
        for one, place in zip(group, spread(group), strict=True):
            moved[one] = place
    return moved


def _draw(axes: Axes, title: str, factors: Floats, lines: Sequence[Line]) -> dict[int, float]:
    """The lines of a panel; where each of them ends."""
    axes.set_title(title)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    _number_factors(axes, factors)
    ends: dict[int, float] = {}
    for at, line in enumerate(lines):
        low, middle, high = (np.array([getattr(one, part) for one in line.bands]) for part in ("low", "median", "high"))
        there = np.isfinite(middle) & (low > 0)
        if not there.any():
            continue
        x, how = factors[there], line.drawn(at)
        axes.fill_between(x, low[there], high[there], color=how["color"], alpha=0.15, linewidth=0, zorder=2)
        axes.plot(x, middle[there], marker="o", markersize=2.2 if len(x) > 1 else 4, **how)
        ends[at] = float(middle[there][-1])
        if line.declared is not None and len(x) > 1:
            axes.plot(x, middle[there][0] * (x / x[0]) ** line.declared, **_GUIDE)  # type: ignore[arg-type]
    return ends


def _number_factors(axes: Axes, factors: Floats) -> None:
    """A tick at each factor, or at as many of them as the axis has room for."""
    from matplotlib.ticker import FixedLocator, NullLocator

    span = max(float(factors[-1] / factors[0]), 2.0)
    shown: list[float] = []
    for factor in factors.tolist():
        if not shown or np.log(factor / shown[-1]) > 0.08 * np.log(span):
            shown.append(factor)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"×{factor:g}" for factor in shown])
    edge = span**0.03
    axes.set_xlim(float(factors[0]) / edge, float(factors[-1]) * edge)


def _widen(axes: Axes) -> None:
    """Show some decades at least, and numbers as people write them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = (log10(end) for end in axes.get_ylim())
    missing = max(0.0, _LEAST_SPAN - (high - low)) / 2
    low, high = low - missing, high + missing
    axes.set_ylim(10**low, 10**high)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high - low > 2.2 else (1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def number(value: float) -> str:
    """As people write it."""
    if value >= 1e6:
        return f"{value / 1e6:,.4g} M"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _name(axes: Axes, factors: Floats, ends: Mapping[int, float], lines: Sequence[Line]) -> None:
    """The names of the lines to the right of where they end."""
    low, high = (log10(end) for end in axes.get_ylim())
    where = {at: (log10(end) - low) / (high - low) for at, end in ends.items() if isfinite(end)}
    right = axes.transAxes.inverted().transform(axes.transData.transform((float(factors[-1]), 10**low)))[0]
    moved = apart(list(where.values()), min(_APART, 1.0 / max(len(where), 1)))
    for (at, place), target in zip(where.items(), moved, strict=True):
        how = lines[at].drawn(at)
        colour = how["color"]
        leader = {"color": colour, "dashes": how.get("dashes", ()), "linewidth": 0.5, "clip_on": False}
        axes.plot((right + 0.01, 1.03, 1.09, 1.1), (place, place, target, target), transform=axes.transAxes, **leader)
        axes.text(
            1.11,
            target,
            style.shortened(style.printable(lines[at].name), _LETTERS),
            transform=axes.transAxes,
            fontsize=style.SMALL,
            color=DARK.get(colour, colour),
            verticalalignment="center",
            parse_math=False,
        )
