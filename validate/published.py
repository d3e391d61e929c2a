"""A federation held against published figures, a row per figure (docs/figures.md)."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from fedgen.errors import UsageError
from fedgen.federation import Federation
from fedgen.io.stored import Stored
from fedgen.statistics.vocabulary import measure_all

if TYPE_CHECKING:
    from fedgen.statistics.published import Figure, Figures


@dataclass(frozen=True)
class Finding:
    """One figure and what the federation has in its place.

    Attributes:
        figure: as published.
        value: of its statistic in the federation; NaN where it has none.
        met: whether the value lies in the figure's interval.
    """

    figure: Figure
    value: float
    met: bool

    @property
    def id(self) -> str:
        """The figure's name."""
        return self.figure.id

    @property
    def statistic(self) -> str:
        """In words."""
        return str(self.figure.statistic)

    @property
    def judged(self) -> bool:
        """Whether the row takes part in the verdict; an inferred figure is told only."""
        return self.figure.kind != "inferred"


@dataclass(frozen=True)
class Findings:
    """How a federation stands to published figures.

    Attributes:
        rows: a row per figure that is held, in the order of the file.
        figures: the file.
        sizes: counts of the federation, by name.
    """

    rows: tuple[Finding, ...]
    figures: Figures
    sizes: dict[str, int]

    @property
    def judged(self) -> int:
        """How many figures take part in the verdict."""
        return sum(row.judged for row in self.rows)

    @property
    def met(self) -> int:
        """How many of those are met."""
        return sum(row.judged and row.met for row in self.rows)

    @property
    def inferred(self) -> int:
        """How many figures are told only."""
        return len(self.rows) - self.judged

    @property
    def inferred_met(self) -> int:
        """How many of those are met."""
        return sum(row.met and not row.judged for row in self.rows)

    @property
    def rejected(self) -> bool:
        """The verdict: some figure that is not inferred is not met."""
        return self.met < self.judged

    @property
    def set_aside(self) -> tuple[Figure, ...]:
        """The figures that are held against nothing."""
        return tuple(figure for figure in self.figures.figures if figure.set_aside)

    def __getitem__(self, name: str) -> Finding:
        """The row of the figure of that id."""
        for row in self.rows:
            if row.id == name:
                return row
        raise KeyError(f"no figure {name!r} was held: there are {', '.join(row.id for row in self.rows)}")

    def to_dict(self) -> dict[str, Any]:
        """For JSON, as in ``fedgen/schemas/findings.schema.json``; numbers that are not finite are null."""
        return {
            "kind": "fedgen findings",
            "format": 1,
            "rejected": self.rejected,
            "met": self.met,
            "judged": self.judged,
            "inferred_met": self.inferred_met,
            "inferred": self.inferred,
            "figures": {
                "title": self.figures.title,
                "authors": self.figures.authors,
                "reference": self.figures.source,
                "snapshot": self.figures.snapshot,
                "digest": self.figures.digest,
            },
            "sizes": self.sizes,
            "rows": [
                {**_published(row.figure), "value": _finite(row.value), "met": row.met, "judged": row.judged}
                for row in self.rows
            ],
            "set_aside": [{**_published(figure), "reason": figure.set_aside} for figure in self.set_aside],
        }

    def __repr__(self) -> str:
        verdict = "rejected" if self.rejected else "not rejected"
        return f"Findings({self.met} of {self.judged} figures met, {verdict})"


def hold(federation: Federation | Stored, figures: Figures) -> Findings:
    """Hold a federation against published figures.

    Raises:
        UsageError: it is no federation.
    """
    if not isinstance(federation, (Federation, Stored)):
        raise UsageError(f"hold takes a Federation, not {type(federation).__name__}; read a file with fedgen.read")
    asked = [(figure, figure.statistic) for figure in figures.held if figure.statistic is not None]
    values = measure_all((statistic for _, statistic in asked), federation)
    pairs = zip((figure for figure, _ in asked), values, strict=True)
    return Findings(
        rows=tuple(Finding(figure, value, figure.met_by(value)) for figure, value in pairs),
        figures=figures,
        sizes={
            "users": federation.n_users,
            "servers": federation.n_servers,
            "rooms": federation.n_rooms,
            "memberships": federation.n_memberships,
            "presences": federation.n_presences,
        },
    )


def _published(figure: Figure) -> dict[str, Any]:
    return {
        "id": figure.id,
        "statistic": None if figure.statistic is None else str(figure.statistic),
        "low": _finite(figure.low),
        "high": _finite(figure.high),
        "kind": figure.kind,
        "place": figure.place,
        "note": figure.note,
    }


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None
