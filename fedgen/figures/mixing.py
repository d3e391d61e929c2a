"""Who meets whom: the size at one end of a membership or presence, given the size at the other.

Sizes at the near end fall into bins, four a decade, whose first sizes are the integers nearest to 10^(i/4): 1, 2, 3, 6,
10, 18, ... For each bin the quartiles of the size at the far end are drawn at the geometric mean of the least and the
largest integer of the bin: the median as a line, the middle half as a band.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fedgen.figures import overlay, style

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fedgen.federation import Federation, Floats, Integers
    from fedgen.figures.overlay import Look, Pair

_PER_DECADE = 4


class Quartiles(NamedTuple):
    """Of the far end, for each bin of the near end that holds an edge, (B,) each."""

    middle: Floats
    lower: Floats
    median: Floats
    upper: Floats


def users(pair: Pair) -> Figure:
    """Over memberships: users of the room, given the rooms of the user (row E5u)."""
    return _figure(pair, of_memberships, "rooms of the user", "users of the user's rooms")


def servers(pair: Pair) -> Figure:
    """Over presences: servers of the room, given the users of the server (row E5s)."""
    return _figure(pair, of_presences, "users of the server", "servers of the server's rooms")


def of_memberships(federation: Federation) -> Quartiles:
    """Users of the room given rooms of the user."""
    near = federation.rooms_per_user[federation.membership_user]
    return quartiles(near, federation.users_per_room[federation.membership_room])


def of_presences(federation: Federation) -> Quartiles:
    """Servers of the room given users of the server."""
    p = federation.presences
    return quartiles(federation.users_per_server[p.server], federation.servers_per_room[p.room])


def quartiles(near: Integers, far: Integers) -> Quartiles:
    """The quartiles of ``far`` (E,) in each bin of ``near`` (E,), all >= 1."""
    first = first_integers(int(near.max(initial=1)))
    held = np.searchsorted(first, near, side="right") - 1
    order = np.lexsort((far, held))
    edges = np.bincount(held, minlength=len(first) - 1)
    start = np.cumsum(edges) - edges
    some = edges > 0
    # The far ends of a bin lie in order from its start: the quartile q is the one that a share q of them do not exceed.
    lower, median, upper = (far[order[(start + np.ceil(q * edges).astype(int) - 1)[some]]] for q in (0.25, 0.5, 0.75))
    return Quartiles(np.sqrt(first[:-1] * (first[1:] - 1.0))[some], lower, median, upper)


def first_integers(top: int) -> Integers:
    """The least integer of each bin up to the one that holds ``top``, and of the one after."""
    decades = len(str(top))
    first = np.unique(np.rint(10.0 ** (np.arange(_PER_DECADE * decades + 1) / _PER_DECADE)).astype(np.int64))
    return first[: int(np.searchsorted(first, top, side="right")) + 1]


def _figure(pair: Pair, of: Callable[[Federation], Quartiles], across: str, up: str) -> Figure:
    with style.paper():
        figure, axes = overlay.panel(across, up)
        axes.set_xscale("log")
        axes.set_yscale("log")
        found = [of(side) for side in pair]
        for look, one in zip(overlay.LOOKS, found, strict=True):
            _band(axes, look, one)
            overlay.draw(axes, look, one.middle, one.median)
        axes.set_xlim(0.8, 1.6 * max(10.0, *(float(one.middle[-1]) for one in found)))
        axes.set_ylim(0.75, 1.5 * max(10.0, *(float(one.upper.max()) for one in found)))
        return overlay.finished(figure, axes)


def _band(axes: Axes, look: Look, one: Quartiles) -> None:
    """Filled for the solid line, hatched for the dashed one: both are seen where they overlap."""
    hatch = "/////" if look.dashes else None
    axes.fill_between(
        one.middle,
        one.lower,
        one.upper,
        facecolor="none" if hatch else look.colour,
        alpha=0.45 if hatch else 0.18,
        edgecolor=look.colour if hatch else "none",
        hatch=hatch,
        linewidth=0.5,
    )
