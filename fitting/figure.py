r"""The picture of a tail law: the measured survival function and the laws that were fitted to it.

Measured is :math:`P(X \ge x)` at every distinct value, hubs left out: the law is about the others, so both are
shares of the same n values. From its xmin on each law stands for a share of them, :math:`P(X \ge x) = S(x) n_{tail}
/ n`. The hubs stand where their rank among all values puts them, i / N for the i-th largest of N, so that their
distance to the law is seen. All is drawn up to the largest value, the hubs' too.
"""

from __future__ import annotations

from itertools import cycle
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from fedgen.figures import style
from fedgen.figures.envelope import envelope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fedgen.federation import Floats
    from fitting.histogram import Histogram
    from fitting.laws.law import Law

_POINTS = 300  # of a law's line
_COLUMNS = 400  # points fewer than a pixel apart hide each other
_DASHES = (
    (style.RED, (4, 1.5)),
    (style.YELLOW, (6, 1.5, 1, 1.5)),
    (style.BLACK, (1, 1.5)),
    (style.GREY, (4, 1.5)),
    (style.RED, (1, 1.5)),
)
_LINE_OF_CAPTION = 60


def draw_law(
    title: str, caption: str, histogram: Histogram, hubs: int, law: Law | None, rivals: Sequence[Law]
) -> Figure:
    """The survival function of one quantity, on logarithmic scales, with its law and the law's rivals.

    Args:
        title: the quantity x, in words.
        caption: what is known of the law; broken into lines as needed.
        histogram: all values, hubs included.
        hubs: how many of the largest values are hubs.
        law: that of the values from its xmin on; None: there is none.
        rivals: other laws, drawn thin and dashed.
    """
    from matplotlib.figure import Figure

    with style.paper():
        figure = Figure(figsize=(style.ONE_COLUMN, 3.6), layout="constrained")
        axes = figure.subplots()
        others = histogram.without_largest(hubs)
        _draw_values(axes, others, law)
        if hubs:
            values = np.repeat(histogram.values[-hubs:], histogram.number[-hubs:])[: -hubs - 1 : -1]
            ranks = np.arange(1, hubs + 1) / histogram.n
            axes.plot(values, ranks, "D", color=style.RED, markersize=3.6, markeredgewidth=0, label="hubs", zorder=4)
        low, top = float(histogram.values[0]), float(histogram.values[-1])
        floor = 0.5 * min(0.1, 1.0 / histogram.n)
        if law is not None:
            _mark_xmin(axes, law.xmin)
            axes.plot(*_scaled(law, others, top, floor), color=style.BLACK, linewidth=1.1, label=law.family, zorder=3)
        for rival, (colour, dashes) in zip(rivals, cycle(_DASHES), strict=False):
            line = _scaled(rival, others, top, floor)
            axes.plot(*line, color=colour, dashes=dashes, linewidth=0.9, label=rival.family, zorder=2.5)
        axes.set(xscale="log", yscale="log", xlabel="x", ylabel="P(X ≥ x)")
        axes.set_xlim(0.75 * low, 1.5 * max(top, 10.0 * low))
        axes.set_ylim(floor, 1.5)
        _entitle(axes, title, caption)
        figure.legend(loc="outside lower center", ncols=2, fontsize=style.SMALL)
        return style.settled(figure)


def measured(histogram: Histogram) -> tuple[Floats, Floats]:
    """The distinct values (D,) and the share of values that are as large or larger (D,)."""
    return histogram.values, (histogram.n - histogram.upto[:-1]) / histogram.n


def _draw_values(axes: Axes, histogram: Histogram, law: Law | None) -> None:
    x, share = measured(histogram)
    kept = envelope(np.log(x), share, _COLUMNS)
    x, share = x[kept], share[kept]
    tail = x >= law.xmin if law is not None else np.zeros(len(x), dtype=bool)
    body = "measured" if law is None else "measured, body"
    for part, colour, label in ((~tail, style.GREY, body), (tail, style.BLUE, "measured, tail")):
        if part.any():
            axes.plot(x[part], share[part], "o", color=colour, markersize=2.6, markeredgewidth=0, label=label)


def _scaled(law: Law, histogram: Histogram, top: float, floor: float) -> tuple[Floats, Floats]:
    """Points of the law's line, as shares of all values of the histogram: up to ``top`` and down to ``floor``."""
    x = np.geomspace(law.xmin, max(top, law.xmin), _POINTS)
    if law.discrete:
        x = np.unique(np.rint(x))
    share = law.survival(x) * (histogram.tail(law.xmin).n / histogram.n)
    seen = share >= floor
    return x[seen], share[seen]


def _mark_xmin(axes: Axes, xmin: float) -> None:
    axes.axvline(xmin, color=style.GREY, linewidth=0.8, zorder=1.5)
    at_foot = axes.get_xaxis_transform()  # where a tail of ten values and more leaves room
    axes.text(xmin, 0.02, rf" $x_\mathrm{{min}}$ = {xmin:,g}", transform=at_foot, fontsize=style.SMALL)


def _entitle(axes: Axes, title: str, caption: str) -> None:
    lines = wrap(caption, _LINE_OF_CAPTION)
    axes.set_title(title, pad=8.0 + 1.25 * style.SMALL * len(lines), parse_math=False)
    axes.annotate(
        "\n".join(lines),
        (0.0, 1.0),
        xycoords="axes fraction",
        xytext=(0.0, 5.0),
        textcoords="offset points",
        verticalalignment="bottom",
        fontsize=style.SMALL,
        linespacing=1.25,
        parse_math=False,
    )
