"""What every server carries under each way to distribute events: loads from the largest down, on logarithmic scales.

The legend names the curves from the one whose largest load is largest, with that load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import UsageError
from fedgen.figures import style
from fedgen.figures.envelope import envelope
from fedgen.figures.sweep import look, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from fedgen.federation import Floats

_HEIGHT = 3.0
_DECADES = 8
"""Below the largest load, at most; what is less is as good as nothing."""


def ranked(loads: Mapping[str, Floats]) -> Figure:
    """A curve per mechanism.

    Args:
        loads: (S,) tx + rx of the servers, by mechanism; servers without any are left out.

    Raises:
        UsageError: there is none.
    """
    if not loads:
        raise UsageError("no mechanism to draw; name at least one")
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

    with style.paper():
        figure = Figure(figsize=(style.TWO_COLUMNS, _HEIGHT), layout="constrained")
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_yscale("log")
        largest = {name: float(load.max(initial=0.0)) for name, load in loads.items()}
        lines = {}
        for at, (name, load) in enumerate(loads.items()):
            falling = np.sort(load[load > max(largest.values()) * 10.0**-_DECADES])[::-1]
            rank = np.arange(1, len(falling) + 1)
            kept = envelope(np.log(rank), falling)
            (lines[name],) = axes.plot(rank[kept], falling[kept], markersize=3, marker="o", markevery=[0], **look(at))
        names = sorted(loads, key=lambda name: -largest[name])
        axes.set_xlim(0.85, 1.15 * max(2, *(len(load) for load in loads.values())))
        axes.set_xlabel("rank of the server, by its own load")
        axes.set_ylabel("tx + rx of the server")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
            axis.set_minor_formatter(NullFormatter())
        figure.legend(
            [lines[name] for name in names],
            [f"{name}: {number(float(f'{largest[name]:.3g}'))}" for name in names],
            title="largest load",
            loc="outside right upper",
            alignment="left",
            handlelength=2.6,
        )
        return style.settled(figure)
