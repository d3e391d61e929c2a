"""What a sweep finds: bands over seeds and over assumptions, exponents, and which assumption moves the answer most."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.statistics.outline import LABELS
from fedgen.statistics.scaling import Band, Exponent, band, exponent, log2_ratio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedgen.federation import Floats
    from fedgen.statistics.outline import Outline
    from gen.cells import Cell
    from gen.sweep import Sweep

ANSWERS = ("load_per_user", "largest_tx", "hub_share_tx", "effective_servers")
"""What a sweep is asked for: does it still work, for whom does it not, and how decentralized is it?"""


@dataclass(frozen=True)
class Move:
    """How far an assumption moves an answer, at the largest factor.

    Attributes:
        scenario: that differs from the reference.
        answer: a statistic of :data:`ANSWERS`.
        log2_ratio: of its median to the reference's; NaN where one of them is not above 0.
        beyond_seeds: whether it is more than chance: the 5-95 % bands over seeds do not overlap; None with one seed.
    """

    scenario: str
    answer: str
    log2_ratio: float
    beyond_seeds: bool | None


@dataclass(frozen=True, eq=False)
class Trends:
    """The outlines of a sweep, and what follows.

    Attributes:
        sweep: what was drawn.
        outlines: of its cells.
    """

    sweep: Sweep
    outlines: Mapping[Cell, Outline]

    def values(self, scenario: str, statistic: str) -> Floats:
        """(F, N) of a statistic, a row per factor and a column per seed."""
        return self._values[scenario][statistic]

    def bands(self, scenario: str, statistic: str) -> list[Band]:
        """Over seeds, one per factor."""
        return [band(row) for row in self.values(scenario, statistic)]

    def exponent(self, scenario: str, statistic: str) -> Exponent:
        """Over factors."""
        return exponent(np.array(self.sweep.factors), self.values(scenario, statistic))

    def declared(self, scenario: str) -> dict[str, float]:
        """The exponents that follow from what is assumed, by statistic; none where users move out afterwards."""
        assumed = self.sweep.scenarios[scenario]
        return {} if assumed.decentralize else assumed.growth.exponents()

    def ranking(self) -> list[Move]:
        """What every scenario but the reference does to every answer at the largest factor, largest move first."""
        reference = self.sweep.reference
        moves = []
        for name in self.sweep.scenarios:
            for answer in ANSWERS if name != reference else ():
                own, other = self.bands(name, answer)[-1], self.bands(reference, answer)[-1]
                ratio = log2_ratio(own.median, other.median)
                beyond = None if self.sweep.seeds < 2 else not isnan(ratio) and not own.overlaps(other)
                moves.append(Move(name, answer, ratio, beyond))
        return sorted(moves, key=lambda move: 0.0 if isnan(move.log2_ratio) else -abs(move.log2_ratio))

    def to_dict(self) -> dict[str, Any]:
        """As it is written to ``sweep.json`` (fedgen/schemas/sweep.schema.json), without where it comes from."""
        return {
            "title": self.sweep.title,
            "factors": list(self.sweep.factors),
            "reference": self.sweep.reference,
            "statistics": LABELS,
            "scenarios": [self._scenario(name) for name in self.sweep.scenarios],
            "assumptions": [self._over_assumptions(at) for at in range(len(self.sweep.factors))],
            "ranking": [asdict(move) for move in self.ranking()],
        }

    def _scenario(self, name: str) -> dict[str, Any]:
        declared = self.declared(name)
        exponents = {}
        for statistic in LABELS:
            found = self.exponent(name, statistic)
            law = declared.get(statistic)
            holds = None if law is None else found.holds(law)
            exponents[statistic] = {**asdict(found), "declared": law, "holds": holds}
        by_factor = {statistic: self.bands(name, statistic) for statistic in LABELS}
        return {
            "name": name,
            "title": self.sweep.scenarios[name].title,
            "differs": {key: list(pair) for key, pair in self.sweep.differs(name).items()},
            "points": [
                {"factor": factor, "statistics": {statistic: asdict(by_factor[statistic][at]) for statistic in LABELS}}
                for at, factor in enumerate(self.sweep.factors)
            ],
            "exponents": exponents,
        }

    def _over_assumptions(self, at: int) -> dict[str, Any]:
        """Least and largest median over the scenarios at a factor, and whose they are."""
        found = {}
        for statistic in LABELS:
            medians = {name: self.bands(name, statistic)[at].median for name in self.sweep.scenarios}
            there = {name: value for name, value in medians.items() if not isnan(value)}
            low, high = (pick(there, key=there.__getitem__) if there else None for pick in (min, max))
            found[statistic] = {
                "low": there.get(low or ""),
                "low_scenario": low,
                "high": there.get(high or ""),
                "high_scenario": high,
            }
        return {"factor": self.sweep.factors[at], "statistics": found}

    @cached_property
    def _values(self) -> dict[str, dict[str, Floats]]:
        shape = (len(self.sweep.factors), self.sweep.seeds)
        found = {name: {statistic: np.full(shape, np.nan) for statistic in LABELS} for name in self.sweep.scenarios}
        row = {factor: at for at, factor in enumerate(self.sweep.factors)}
        column = {seed: at for at, seed in enumerate(sorted({cell.seed for cell in self.outlines}))}
        for cell, one in self.outlines.items():
            for statistic, value in asdict(one).items():
                found[cell.scenario][statistic][row[cell.factor], column[cell.seed]] = value
        return found
