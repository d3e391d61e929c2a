"""What can be asked of one federation, by name: the words that published figures are written in (docs/figures.md).

A :class:`Statistic` is a name of :data:`VOCABULARY` and what the name takes: of which margin, within which bounds,
over which ranks, among which units. Each is one number; NaN where a federation has no such number. Ranks count from 1,
the largest first; ``None`` as the last rank is the end, and ranks beyond the units that there are hold nothing. In
statistics of load, servers are ranked as in the paper (Fig. 4a): users, then tx.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.errors import StatisticError
from fedgen.statistics import measures
from fedgen.statistics.margins import MARGINS, ranked, within
from fedgen.statistics.measures import Ranks, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from fedgen.tables import Tables

SIZES = ("users", "servers", "rooms", "memberships", "presences")
LOADS = ("tx", "rx", "both")
CURVES = ("users", *LOADS)
PAIRS = ("memberships", "presences")


@dataclass(frozen=True)
class Where:
    """Which units take part, by a margin of the same kind of unit: within bounds, or by rank.

    Attributes:
        of: the margin.
        least, most: its bounds, both within.
        largest: first and last rank, 1 the largest.
        lowest: first and last rank, 1 the smallest: the ranking of ``largest`` from its end.

    Raises:
        StatisticError: an unknown margin, or none or several of bounds, ``largest`` and ``lowest``.
    """

    of: str
    least: int | None = None
    most: int | None = None
    largest: tuple[int, int] | None = None
    lowest: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        _one_of("where", "margin", self.of, MARGINS)
        bounded = self.least is not None or self.most is not None
        if bounded + (self.largest is not None) + (self.lowest is not None) != 1:
            raise StatisticError("where", "where takes bounds (least, most), or largest, or lowest; give one of them")
        _check_bounds("where", self.least, self.most)
        for name in ("largest", "lowest"):
            _check_ranks("where", getattr(self, name))

    def among(self, federation: Tables) -> NDArray[np.bool_]:
        """Which units of the margin take part."""
        values = MARGINS[self.of].of(federation)
        if self.largest is None and self.lowest is None:
            return within(values, self.least, self.most)
        order = ranked(federation, self.of)
        mask = np.zeros(len(values), dtype=bool)
        if self.largest is not None:
            mask[order[span(self.largest)]] = True
        if self.lowest is not None:
            mask[order[::-1][span(self.lowest)]] = True
        return mask

    def __str__(self) -> str:
        name = _plain(self.of)
        for ranks, end in ((self.largest, "largest"), (self.lowest, "lowest")):
            if ranks is not None:
                first, last = ranks
                one = f"is {_ordinal(first)}{end}"
                return f"{name} {one if first == last else f'ranks {first} to {last} from the {end}'}"
        return f"{name} {_bounds(self.least, self.most)}"


@dataclass(frozen=True)
class Statistic:
    """One number that any federation has.

    Attributes:
        name: what is computed, one of :data:`VOCABULARY`.
        of: of which margin, size or load.
        least, most: bounds of the margin, both within.
        rank: 1 is the largest.
        ranks: first and last rank, 1 the largest; None is the end.
        where: which units take part; default: all.

    Raises:
        StatisticError: an unknown name, something that the name does not take, or lacks something that it needs.
    """

    name: str
    of: str | None = None
    least: int | None = None
    most: int | None = None
    rank: int | None = None
    ranks: Ranks | None = None
    where: Where | None = None

    def __post_init__(self) -> None:
        _one_of("statistic", "statistic", self.name, VOCABULARY)
        entry = VOCABULARY[self.name]
        for key in (f.name for f in fields(self)[1:]):
            if key not in entry.takes and getattr(self, key) is not None:
                takes = f"it takes {', '.join(entry.takes)}" if entry.takes else "it takes nothing"
                raise StatisticError(key, f"{self.name} takes no {key}; {takes}")
        if entry.of:
            _one_of("of", entry.noun, self.of, entry.of)
        if "least" in entry.takes and self.least is None and self.most is None:
            raise StatisticError("statistic", f"{self.name} needs bounds; give least, most or both")
        for key, form in (("rank", "a rank, 1 the largest"), ("ranks", "the first and the last rank, 1 the largest")):
            if key in entry.takes and getattr(self, key) is None:
                raise StatisticError("statistic", f"{self.name} needs {key}; give {form}")
        _check_bounds("least", self.least, self.most)
        if self.rank is not None and self.rank < 1:
            raise StatisticError("rank", f"rank is {self.rank}; ranks count from 1, the largest")
        _check_ranks("ranks", self.ranks)
        if self.where is not None and MARGINS[self.where.of].unit != self.unit:
            fit = ", ".join(name for name, margin in MARGINS.items() if margin.unit == self.unit)
            raise StatisticError("where", f"{self.where.of} is not a margin of {self.unit}; where takes {fit}")

    @property
    def unit(self) -> str:
        """What is counted or ranked, in the plural: servers, rooms or users."""
        return MARGINS[self.of].unit if self.of in MARGINS else "servers"

    @property
    def whole(self) -> bool:
        """Whether it is a whole number in every federation."""
        of_whole = self.name == "count" or self.of not in MARGINS or MARGINS[self.of].whole
        return VOCABULARY[self.name].whole and of_whole

    @property
    def range(self) -> tuple[float, float]:
        """Between which numbers it lies in every federation."""
        return VOCABULARY[self.name].low, VOCABULARY[self.name].high

    @property
    def canonical(self) -> Statistic:
        """The same number by one name: the largest of all is both a rank and a maximum."""
        return Statistic("max", of=self.of) if self.rank == 1 else self

    def measure(self, federation: Tables) -> float:
        """The number that this federation has; NaN where it has none (no unit takes part, nothing is sent)."""
        return measure_all((self,), federation)[0]

    def __str__(self) -> str:
        return VOCABULARY[self.name].words(self) + (f" where {self.where}" if self.where else "")


def measure_all(statistics: Iterable[Statistic], federation: Tables) -> tuple[float, ...]:
    """The numbers that this federation has, in the order asked; what several of them need is computed once."""
    view = measures.View(federation)
    return tuple(float(VOCABULARY[statistic.name].measure(statistic, view)) for statistic in statistics)


@dataclass(frozen=True)
class Entry:
    """One name of the vocabulary.

    Attributes:
        meaning: in words, for the docs.
        words: how a statistic of this name reads in a table.
        measure: its number.
        of: what ``of`` may be; empty where the name takes none.
        noun: what those are.
        takes: the keys it takes.
        low, high: no federation has less, none more.
        whole: whether it is a whole number wherever its margin is.
    """

    meaning: str
    words: Callable[[Statistic], str]
    measure: Callable[[Statistic, measures.View], float]
    of: tuple[str, ...] = ()
    noun: str = "margin"
    takes: tuple[str, ...] = ()
    low: float = 0.0
    high: float = inf
    whole: bool = False


# Words.


def _plain(name: str | None) -> str:
    return {"both": "tx + rx"}.get(name or "", (name or "").replace("_", " "))


def _ordinal(rank: int) -> str:
    """Before "largest": nothing for the first, then "2nd ", "3rd ", ..."""
    if rank == 1:
        return ""
    suffix = "th" if 10 <= rank % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{suffix} "


def _bounds(least: int | None, most: int | None) -> str:
    if least == most:
        return f"= {least}"
    if most is None:
        return f">= {least}"
    return f"<= {most}" if least is None else f"from {least} to {most}"


def _inside(statistic: Statistic) -> str:
    return f"{statistic.unit} with {_plain(statistic.of)} {_bounds(statistic.least, statistic.most)}"


def _of(prefix: str) -> Callable[[Statistic], str]:
    """The words "prefix margin: servers 2 to 4"; the ranks only where there are some."""

    def words(statistic: Statistic) -> str:
        text = f"{prefix} {_plain(statistic.of)}".rstrip()
        if statistic.ranks is None:
            return text
        first, last = statistic.ranks
        if first == last:
            return f"{text}: {statistic.unit.removesuffix('s')} {first}"
        return f"{text}: {statistic.unit} {first} " + ("on" if last is None else f"to {last}")

    return words


# What must be right.


def _one_of(key: str, noun: str, given: str | None, known: Iterable[str]) -> None:
    if given is None:
        raise StatisticError("statistic", f"no {key} is given; give one of {', '.join(known)}")
    if given not in known:
        raise StatisticError(key, f"unknown {noun} {given!r}; give one of {', '.join(known)}")


def _check_bounds(key: str, least: int | None, most: int | None) -> None:
    if least is not None and most is not None and least > most:
        raise StatisticError(key, f"least {least} is above most {most}, so that nothing lies within; swap them")


def _check_ranks(key: str, ranks: Ranks | None) -> None:
    if ranks is None:
        return
    first, last = ranks
    if first < 1 or (last is not None and last < first):
        end = "the end" if last is None else last
        raise StatisticError(key, f"ranks {first} to {end} are none; they count from 1, and the last is no lower")


_OF_MARGIN: dict[str, Any] = {"of": tuple(MARGINS)}

VOCABULARY: dict[str, Entry] = {
    "number": Entry(
        "how many there are",
        _of("number of"),
        measures.number,
        of=SIZES,
        noun="size",
        takes=("of",),
        whole=True,
    ),
    "count": Entry(
        "how many units lie within `least` to `most`, at least one of them given",
        _inside,
        measures.count,
        takes=("of", "least", "most", "where"),
        whole=True,
        **_OF_MARGIN,
    ),
    "share": Entry(
        "which share of the units does",
        lambda statistic: f"share of {_inside(statistic)}",
        measures.share,
        takes=("of", "least", "most", "where"),
        high=1.0,
        **_OF_MARGIN,
    ),
    "rank": Entry(
        "the margin at that rank, 1 the largest",
        lambda statistic: f"{_ordinal(statistic.rank or 1)}largest {_plain(statistic.of)}",
        measures.rank_of,
        takes=("of", "rank"),
        whole=True,
        **_OF_MARGIN,
    ),
    "min": Entry(
        "the smallest margin", _of("smallest"), measures.over(np.min), takes=("of", "where"), whole=True, **_OF_MARGIN
    ),
    "max": Entry(
        "the largest margin", _of("largest"), measures.over(np.max), takes=("of", "where"), whole=True, **_OF_MARGIN
    ),
    "median": Entry("its median", _of("median"), measures.over(np.median), takes=("of", "where"), **_OF_MARGIN),
    "mean": Entry("its mean", _of("mean"), measures.over(np.mean), takes=("of", "where"), **_OF_MARGIN),
    "sum": Entry(
        "its sum over those ranks", _of("sum of"), measures.sum_of, takes=("of", "ranks"), whole=True, **_OF_MARGIN
    ),
    "sum_share": Entry(
        "that sum over the sum of all",
        _of("share of the sum of"),
        measures.sum_share,
        takes=("of", "ranks"),
        high=1.0,
        **_OF_MARGIN,
    ),
    "gini": Entry("its Gini coefficient", _of("Gini of"), measures.gini, takes=("of",), high=1.0, **_OF_MARGIN),
    "hhi": Entry(
        "its Herfindahl-Hirschman index, the sum of squared shares",
        _of("HHI of"),
        measures.hhi,
        takes=("of",),
        high=1.0,
        **_OF_MARGIN,
    ),
    "transactions": Entry("T, all transactions at message rate 1", _of("transactions"), measures.transactions),
    "transactions_per_user": Entry(
        "T/U, transactions per user", _of("transactions per user"), measures.transactions_per_user
    ),
    "load_share": Entry(
        "the share of all tx, rx or both that the servers of those ranks carry",
        _of("share of all"),
        measures.load_share,
        of=LOADS,
        noun="load",
        takes=("of", "ranks"),
        high=1.0,
    ),
    "load_bend": Entry(
        "how far the cumulative curve (Fig. 4a) strays from its chord between those ranks, over the rise of the chord; "
        "0 where there is no rise",
        _of("bend of cumulative"),
        measures.load_bend,
        of=CURVES,
        noun="curve",
        takes=("of", "ranks"),
        high=1.0,
    ),
    "foreign_fan_out": Entry(
        "to how many other servers a message goes, k - 1, mean over the messages of users of other servers that reach "
        "the servers of those ranks",
        _of("fan-out of foreign messages"),
        measures.foreign_fan_out,
        takes=("ranks",),
    ),
    "imbalance": Entry(
        "how far the sums of tx and rx differ, over T", _of("imbalance of tx and rx"), measures.imbalance
    ),
    "well_formed": Entry(
        "1 where every invariant of a federation holds, else 0",
        _of("well-formed (1) or not (0)"),
        measures.well_formed,
        high=1.0,
        whole=True,
    ),
    "servers_within_users": Entry(
        "the share of rooms with no more servers than users",
        _of("share of rooms with servers <= users"),
        measures.servers_within_users,
        high=1.0,
    ),
    "butterflies": Entry(
        "pairs of users who share a pair of rooms", _of("butterflies"), measures.butterflies, whole=True
    ),
    "butterflies_per_membership": Entry(
        "those over the memberships", _of("butterflies per membership"), measures.butterflies_per_membership
    ),
    "rank_correlation": Entry(
        "Spearman's, over memberships of rooms of the user and users of the room, over presences of users of the "
        "server and servers of the room",
        _of("rank correlation over"),
        measures.rank_correlation,
        of=PAIRS,
        noun="kind of pair",
        takes=("of",),
        low=-1.0,
        high=1.0,
    ),
}
"""Every name, what it takes and how it is computed."""
