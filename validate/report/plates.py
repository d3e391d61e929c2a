"""The figures of a report: what each shows, how it is drawn, and what is read in its place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from fedgen.figures import composition, load, mixing, overlay, spikes, survival
from fedgen.statistics.margins import MARGINS
from fedgen.statistics.mixing import server_room_correlation, user_room_correlation
from validate.report.words import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from fedgen.federation import Federation
    from fedgen.figures.overlay import Pair

_SIDES = tuple(look.name for look in overlay.LOOKS)


@dataclass(frozen=True)
class Plate:
    """One figure.

    Attributes:
        title: what it shows.
        draw: takes both sides to it.
        told: the numbers of one side, for those too who do not see the figure.
    """

    title: str
    draw: Callable[[Pair], Figure]
    told: Callable[[Federation], str]

    def numbers(self, pair: Pair) -> str:
        """Of both sides."""
        return "; ".join(f"{name}: {self.told(side)}" for name, side in zip(_SIDES, pair, strict=True))


@dataclass(frozen=True)
class Sheet:
    """Figures that belong together, and how they are read."""

    heading: str
    text: str
    plates: tuple[Plate, ...]


def _stacked(draw: Callable[[Sequence[Federation], Sequence[str], int], Figure]) -> Callable[[Pair], Figure]:
    """A figure with a panel per federation, one above the other."""
    return lambda pair: draw(pair, _SIDES, 1)


def _two_sizes(first: str, second: str) -> Callable[[Federation], str]:
    def told(federation: Federation) -> str:
        sizes = ((_words(name), int(MARGINS[name].of(federation).max())) for name in (first, second))
        return ", ".join(f"{name} up to {number(largest)}" for name, largest in sizes)

    return told


def _margin(name: str) -> Plate:
    def told(federation: Federation) -> str:
        sizes = MARGINS[name].of(federation)
        return f"median {number(float(np.median(sizes)))}, largest {number(int(sizes.max()))}"

    return Plate(_words(name).capitalize(), partial(survival.margin, name=name), told)


def _words(margin: str) -> str:
    return margin.replace("_", " ")


def _largest_server(federation: Federation) -> str:
    shares = composition.largest_shares(federation)
    if len(shares) == 0:
        return "no room of two users"
    return f"median {number(float(np.median(shares)))}, all of the room in {float((shares == 1).mean()):.1%} of rooms"


def _carried(federation: Federation) -> str:
    held = load.shares(federation)
    if held["sum"].sum() == 0:
        return "nothing is sent"
    shown = (f"{float(held[name][0]):.1%} of {words}" for name, words in (("tx", "tx"), ("rx", "rx"), ("sum", "both")))
    return f"the server with most users has {', '.join(shown)}"


def _correlation(of: Callable[[Federation], float]) -> Callable[[Federation], str]:
    def told(federation: Federation) -> str:
        found = of(federation)
        return "no rank correlation" if isnan(found) else f"rank correlation {number(found)}"

    return told


SHEETS = (
    Sheet(
        "Spike patterns",
        "Ranked by the first size (line), ties by the second (area). Within a step of the line the area falls from "
        "its largest to its smallest, a spike for every step: among units with the same first size there are large "
        "and small second sizes (paper, Figs. 2 and 3).",
        (
            Plate(
                "Users and rooms of each server",
                _stacked(spikes.servers),
                _two_sizes("users_per_server", "rooms_per_server"),
            ),
            Plate(
                "Servers and users of each room",
                _stacked(spikes.rooms),
                _two_sizes("servers_per_room", "users_per_room"),
            ),
        ),
    ),
    Sheet(
        "Sizes",
        "The share of servers, rooms and users of at least each size. The mark is the largest.",
        tuple(
            map(
                _margin,
                ("users_per_server", "rooms_per_server", "servers_per_room", "users_per_room", "rooms_per_user"),
            )
        ),
    ),
    Sheet(
        "Load",
        "Who sends (tx) and receives (rx) transactions, servers ranked by users, then tx: cumulative shares (paper, "
        "Fig. 4a) and the shares of the four largest (Fig. 4b). The sum is tx + rx over twice the total.",
        (
            Plate("Cumulative shares of users and load", _stacked(load.curves), _carried),
            Plate("Shares of the largest servers", _stacked(load.largest), _carried),
            Plate("Cumulative load, both sides", load.both, _carried),
        ),
    ),
    Sheet(
        "Composition and mixing",
        "Whose users a room is made of, and who meets whom. Of the sizes at the far end of memberships and presences "
        "the line is the median, the band the middle half.",
        (
            Plate("Share of the largest server in rooms of two and more", composition.largest_server, _largest_server),
            Plate(
                "How large the rooms of a user are, by how many they are",
                mixing.users,
                _correlation(user_room_correlation),
            ),
            Plate(
                "How many servers the rooms of a server have, by its users",
                mixing.servers,
                _correlation(server_room_correlation),
            ),
        ),
    ),
)
"""In the order of the page."""
