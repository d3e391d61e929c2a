"""Whose users rooms are made of: the share that the largest server has in a room, as a cumulative distribution.

Over rooms of two users and more; a room of one is its server's by necessity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.figures import overlay, style
from fedgen.statistics.composition import largest_count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fedgen.federation import Federation, Floats
    from fedgen.figures.overlay import Pair


def largest_shares(federation: Federation) -> Floats:
    """The share of the largest server in each room of two users and more, rising."""
    users = federation.users_per_room
    return np.sort((largest_count(federation) / np.maximum(users, 1))[users >= 2])


def largest_server(pair: Pair) -> Figure:
    """The share of rooms in which the largest server has at most so large a share of the users."""
    with style.paper():
        figure, axes = overlay.panel("share of the largest server in a room", "share of rooms with at most that")
        for look, side in zip(overlay.LOOKS, pair, strict=True):
            share, number = np.unique(largest_shares(side), return_counts=True)
            upto = np.cumsum(number) / max(number.sum(), 1)
            if len(share):
                share, upto = np.append(0.0, share), np.append(0.0, upto)
            overlay.draw(axes, look, share, upto, drawstyle="steps-post")
        axes.set_xlim(0.0, 1.02)
        axes.set_ylim(0.0, 1.04)
        return overlay.finished(figure, axes)
