"""What one reconstruction is aimed at: the totals, told by figures or drawn within what they leave open."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, inf
from typing import TYPE_CHECKING

from fedgen.errors import FiguresError
from fedgen.statistics.vocabulary import SIZES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from gen.reconstruct.told import Told

# The mean of a margin times the number of its units is a total.
_MEANS = {
    "users_per_server": ("servers", "users"),
    "rooms_per_server": ("servers", "presences"),
    "memberships_per_server": ("servers", "memberships"),
    "servers_per_room": ("rooms", "presences"),
    "users_per_room": ("rooms", "memberships"),
    "rooms_per_user": ("users", "memberships"),
}


@dataclass(frozen=True)
class Interval:
    """What figures say of one number: low <= it <= high; ``figures`` are their ids."""

    low: float = 0.0
    high: float = inf
    figures: tuple[str, ...] = ()

    def and_(self, low: float, high: float, figures: Sequence[str]) -> Interval:
        """The part that lies within [low, high] too.

        Raises:
            FiguresError: nothing is left.
        """
        ids = tuple(dict.fromkeys((*self.figures, *figures)))
        if max(self.low, low) > min(self.high, high):
            raise contradicting(ids)
        return Interval(max(self.low, low), min(self.high, high), ids)

    @property
    def told(self) -> bool:
        """Whether figures bound it from above."""
        return bool(self.figures) and self.high < inf

    def draw(self, rng: np.random.Generator) -> float:
        """A number in it."""
        return float(rng.uniform(self.low, self.high))


@dataclass(frozen=True)
class Goal:
    """The sizes of one reconstruction.

    Attributes:
        users, servers, rooms: U, S, R.
        memberships, presences: M and K within what the figures say.
        n_memberships, n_presences: the M and K aimed at; None where the laws of the rooms decide.
    """

    users: int
    servers: int
    rooms: int
    memberships: Interval
    presences: Interval
    n_memberships: float | None
    n_presences: float | None


def contradicting(ids: Sequence[str]) -> FiguresError:
    """That no federation meets these figures."""
    if len(ids) == 1:
        return FiguresError(f'figure "{ids[0]}" contradicts the numbers of users, servers and rooms; correct it')
    names = ", ".join(f'"{name}"' for name in ids)
    return FiguresError(f"no federation meets the figures {names} together; correct one of them, or set one aside")


def totals(figures: Sequence[Told], rng: np.random.Generator) -> Goal:
    """The totals that figures tell, those that they give a range for drawn within it.

    Raises:
        FiguresError: users, servers or rooms are not told, or figures contradict each other.
    """
    told = dict.fromkeys(SIZES, Interval())
    for figure in figures:
        statistic = figure.statistic
        if statistic.name == "number" and statistic.of is not None:
            told[statistic.of] = told[statistic.of].and_(figure.low, figure.high, (figure.id,))
    numbers: dict[str, int] = {}
    for size in ("users", "servers", "rooms"):
        if not told[size].told:
            raise FiguresError(
                f"no figure tells how many {size} there are; "
                f'add one with statistic = "number", of = "{size}" and a value or an interval'
            )
        low, high = max(1, ceil(told[size].low)), floor(told[size].high)
        if low > high:
            raise contradicting(told[size].figures)
        numbers[size] = int(rng.integers(low, high, endpoint=True))
    for figure in figures:
        statistic = figure.statistic
        if statistic.name == "mean" and statistic.of in _MEANS and statistic.where is None:
            unit, total = _MEANS[statistic.of]
            times = numbers[unit]
            told[total] = told[total].and_(figure.low * times, figure.high * times, (figure.id,))
    users, servers, rooms = numbers["users"], numbers["servers"], numbers["rooms"]
    if users < servers:
        raise contradicting((*told["users"].figures, *told["servers"].figures))
    memberships = told["memberships"].and_(max(users, rooms), float(users) * rooms, ())
    presences = told["presences"].and_(max(servers, rooms), min(float(servers) * rooms, memberships.high), ())
    return Goal(
        users,
        servers,
        rooms,
        memberships,
        presences,
        memberships.draw(rng) if told["memberships"].told else None,
        presences.draw(rng) if told["presences"].told else None,
    )
