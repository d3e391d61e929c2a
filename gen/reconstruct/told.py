"""What published figures tell: a statistic and the interval that it lies in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedgen.statistics.published import Figures
    from fedgen.statistics.vocabulary import Statistic


@dataclass(frozen=True)
class Told:
    """One figure that a federation has to meet."""

    id: str
    statistic: Statistic
    low: float
    high: float


def told_by(figures: Figures) -> list[Told]:
    """All figures that are held, in the order of the file."""
    return [Told(f.id, f.statistic, f.low, f.high) for f in figures.held if f.statistic is not None]
