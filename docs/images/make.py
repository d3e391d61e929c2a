"""Draw the figures of README: ``make images``.

Fig. 4 of the paper from the stand-in snapshot, in the folder that FEDGEN_DATA names; what happens when users leave the
hubs, and what other ways to distribute events buy, from samples of the built-in model. Minutes, and 4 GiB of memory.
"""

from __future__ import annotations

import io
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import fedgen
from fedgen.figures import load as carried
from fedgen.figures import what_if as transition
from fedgen.figures.mechanisms import LOOKS
from fedgen.figures.pages import encoded
from fedgen.figures.sweep import Line, trends
from fedgen.statistics.scaling import band
from fedgen.traffic.mechanisms import load_under
from fitting.heads import find_heads
from fitting.model import Model
from gen.plan import make_plan
from gen.sample import draw
from gen.scenario import Scenario
from gen.what_if import what_if

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fedgen.federation import Federation

HERE = Path(__file__).parent
DATA = Path(os.environ.get("FEDGEN_DATA") or HERE / "../../../shared/data")
STANDIN = "matrix-2018-standin.json.gz"
MOVED, GROWN = (1, 10), (1, 10, 100)
"""Times as many servers as measured: where users move, and where mechanisms are compared."""
COLOURS = 64
"""Of a picture: enough for lines, and a third of the bytes."""
SHOWN = ("broadcast", "tree", "shared-relay", "adaptive")


def main() -> None:
    """Draw what is asked for on the command line, by default all."""
    asked = sys.argv[1:] or list(FIGURES)
    for name in asked:
        for file, figure in FIGURES[name]().items():
            page = Image.open(io.BytesIO(encoded(figure, "png", name)))
            page.convert("RGB").quantize(COLOURS).save(HERE / f"{file}.png", optimize=True)


def fig_4() -> dict[str, Figure]:
    """Who carries the load of the stand-in snapshot."""
    federations, names = [fedgen.read(DATA / STANDIN)], ["Matrix 2018, stand-in snapshot"]
    return {
        "load-curves": carried.curves(federations, names),
        "load-largest": carried.largest(federations, names),
    }


def moved() -> dict[str, Figure]:
    """Users of the hubs move to servers of their own."""
    federations = {}
    for factor in MOVED:
        federation = sampled(factor)
        heads = find_heads(federation)  # the same at every size, where a test of who is a hub need not be
        hubs = heads[np.argsort(-federation.users_per_server[heads], kind="stable")]
        steps = [asdict(step) for step in what_if(federation, hubs=hubs)]
        for step in steps:
            print(f"x{factor}", *(f"{name}={value:.6g}" for name, value in step.items()))
        federations[f"×{factor}"] = {name: [step[name] for step in steps] for name in steps[0]}
    return {"what-if": transition.curves(federations)}


def grown() -> dict[str, Figure]:
    """The largest load of a server under some mechanisms as the federation grows."""
    found: dict[str, list[float]] = {name: [] for name in SHOWN}
    for factor in GROWN:
        federation = sampled(factor)
        for name in SHOWN:
            load = load_under(federation, name)
            found[name].append(float((load.tx + load.rx).max()))
            print(f"x{factor} {name} {found[name][-1]:.6g}")
    lines = [
        Line(name, [band(np.array([value])) for value in values], None, LOOKS[name]) for name, values in found.items()
    ]
    across = "times as many servers as in the snapshot"
    return {"mechanisms": trends(GROWN, {"the server that carries most": lines}, "tx + rx", across)}


def sampled(factor: int) -> Federation:
    """Of the built-in model, grown in proportion; the seed is 0."""
    model = Model.builtin()
    return draw(model, make_plan(model, scenario=Scenario(factor=float(factor)), seed=0))


FIGURES = {"fig-4": fig_4, "what-if": moved, "mechanisms": grown}

if __name__ == "__main__":
    main()
