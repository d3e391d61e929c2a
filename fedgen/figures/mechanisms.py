"""What every server carries under each way to distribute events: loads from the largest down, on logarithmic scales.

The legend names the curves from the one whose largest load is largest, with that load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.errors import UsageError
from fedgen.figures import style
from fedgen.figures.envelope import envelope
from fedgen.figures.sweep import number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from fedgen.federation import Floats

_FAMILIES: dict[str, tuple[str, ...]] = {
    style.BLUE: ("tree", "relays", "shared-relay"),
    style.YELLOW: ("push", "infect-and-die", "push-pull"),
    style.GREY: ("plumtree", "gossipsub", "multicast"),
}
_DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1.2, 1.2))
LOOKS: dict[str, dict[str, Any]] = {
    "broadcast": {"color": style.BLACK, "linewidth": 1.6, "zorder": 4},
    "adaptive": {"color": style.RED, "linewidth": 1.6, "zorder": 4},
    **{
        name: {"color": colour, "dashes": dashes, "linewidth": 1.2, "zorder": 3}
        for colour, names in _FAMILIES.items()
        for name, dashes in zip(names, _DASHES, strict=True)
    },
}
"""How the curve of each mechanism is drawn: black is what there is, red what there could be, a colour per family."""
_HEIGHT = 3.0
_LETTERS = 60
_DECADES = 8
"""Below the largest load, at most; what is less is as good as nothing."""


def ranked(title: str, loads: Mapping[str, Floats]) -> Figure:
    """A curve per mechanism.

    Args:
        title: of the federation.
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
        axes.set_title(style.shortened(style.printable(title), _LETTERS), parse_math=False)
        axes.set_xscale("log")
        axes.set_yscale("log")
        largest = {name: float(load.max(initial=0.0)) for name, load in loads.items()}
        lines = {}
        for name, load in loads.items():
            falling = np.sort(load[load > max(largest.values()) * 10.0**-_DECADES])[::-1]
            rank = np.arange(1, len(falling) + 1)
            kept = envelope(np.log(rank), falling)
            (lines[name],) = axes.plot(
                rank[kept], falling[kept], markersize=3, marker="o", markevery=[0], **LOOKS[name]
            )
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
