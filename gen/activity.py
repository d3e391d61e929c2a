"""Activity drawn from laws: how much each user says, and how lively each room is.

The laws are those of :mod:`fitting.laws` on the reals from 1 up, with given parameters: a law of message rates can be
fitted where messages were counted, and a federation's own snapshot has none. Draws are independent of everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import UsageError
from fedgen.traffic.activity import Activity
from gen.streams import Stage, stream

LARGEST = 1e18
"""Draws of a law end there: beyond, one user would say everything."""

if TYPE_CHECKING:
    from fedgen.federation import Federation
    from fitting.laws.law import Law


def read_law(text: str) -> Law:
    """A law as it is written on a command line: ``power law:alpha=2.1``, ``lognormal:mu=0,sigma=1.5``.

    Raises:
        UsageError: no such family, or other parameters than it has.
    """
    from fitting.laws.families import CONTINUOUS

    family, _, rest = text.partition(":")
    if family not in CONTINUOUS:
        raise UsageError(f"law: {family!r} is not known; give {', '.join(CONTINUOUS)}")
    law = CONTINUOUS[family]
    form = f"{family}:{','.join(f'{name}=NUMBER' for name in law.names)}"
    try:
        given = {name.strip(): float(value) for name, value in (part.split("=") for part in rest.split(","))}
        if set(given) != set(law.names):
            raise UsageError(f"law: {text!r} lacks parameters, or has others; give {form}")
        return law(*(given[name] for name in law.names), xmin=1.0)
    except ValueError as error:
        raise UsageError(f"law: {text!r}: {error}; give {form}") from None


def draw_activity(federation: Federation, users: Law | None, rooms: Law | None, seed: int) -> Activity:
    """Rates of users and liveliness of rooms; without a law all are alike."""
    count = federation.n_users, federation.n_rooms
    drawn = [
        np.ones(size) if law is None else np.asarray(law.draw(size, stream(seed, Stage.ACTIVITY, i)), dtype=np.float64)
        for i, (law, size) in enumerate(zip((users, rooms), count, strict=True))
    ]
    for law, values in zip((users, rooms), drawn, strict=True):
        if law is not None and values.max() >= LARGEST:
            raise UsageError(
                f"law: {law.family} with these parameters has draws beyond {LARGEST:.0e}; give a lighter one"
            )
    return Activity(*drawn)
