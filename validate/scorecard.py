"""The scorecard: a generated federation held against a measured one, row by row (docs/scorecard.md)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from html import escape
from math import isfinite, isnan, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.errors import UsageError
from fedgen.federation import Federation
from fedgen.io.stored import Stored
from fedgen.progress import silent
from validate.measurement import REPLICATES, Measurement, require_memberships
from validate.memorisation import Memorisation, memorisation
from validate.reported import told
from validate.trials import trials
from validate.verdict import LEVEL, step_down

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fedgen.progress import Progress
    from fedgen.tables import Tables
    from validate.trials import Trial


@dataclass(frozen=True)
class Row:
    """One row of the scorecard. Numbers are NaN where the row is not applicable.

    Attributes:
        name: A1, A2, ..., as in docs/scorecard.md.
        statistic: in words.
        measure: which distance.
        null: what the distance is held against.
        distance: of the generated from the measured federation; its goal is 0.
        verdict: ``indistinguishable`` (ratio <= 1), ``above floor``, ``rejected`` (p <= 1 %), ``copied`` (closer than
            an independent federation would come) or ``not applicable``.
        floor: 95 % quantile of the null, or the margin where that is larger.
        low: 5 % quantile of the null.
        ratio: distance / floor.
        detectable: a true distance from which on 95 % of comparisons exceed the floor.
        p: family-wise adjusted.
        note: what else is to be told; the reason where not applicable.
        generated: the statistic itself, where it is one number.
        measured: likewise.
        iid_floor: for rows of load, the floor if servers were resampled instead.
    """

    name: str
    statistic: str
    measure: str
    null: str
    distance: float
    verdict: str
    floor: float = nan
    low: float = nan
    ratio: float = nan
    detectable: float = nan
    p: float = nan
    note: str = ""
    generated: float = nan
    measured: float = nan
    iid_floor: float = nan

    @property
    def judged(self) -> bool:
        """Whether the row takes part in the verdict."""
        return not isnan(self.p)


@dataclass(frozen=True)
class Reported:
    """A statistic told for both sides, without a verdict.

    Attributes:
        statistic: in words.
        generated: of the generated federation; NaN where it has none.
        measured: of the measured one.
        generated_interval: 95 % interval of the estimate, where it is one.
        measured_interval: likewise.
    """

    statistic: str
    generated: float
    measured: float
    generated_interval: tuple[float, float] | None = None
    measured_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Scorecard:
    """How a generated federation compares to a measured one.

    Attributes:
        rows: in the order of docs/scorecard.md.
        memorisation: E7, of rooms, of servers, of both together; without verdict.
        reported: statistics without verdict.
        generated: counts of the generated federation, by name.
        measured: counts of the measured one.
        seed: of the nulls.
        replicates: how many draws of each null.
    """

    rows: tuple[Row, ...]
    memorisation: tuple[Memorisation, ...]
    reported: tuple[Reported, ...]
    generated: dict[str, int]
    measured: dict[str, int]
    seed: int
    replicates: int

    @property
    def rejected(self) -> bool:
        """The verdict: some row differs, at a family-wise level of 1 %."""
        return any(row.verdict == "rejected" for row in self.rows)

    @property
    def judged(self) -> int:
        """How many rows take part in the verdict."""
        return sum(row.judged for row in self.rows)

    @property
    def within(self) -> int:
        """How many rows are within their floor."""
        return sum(row.judged and row.ratio <= 1 for row in self.rows)

    @property
    def copied(self) -> int:
        """How many rows are closer to the measurement than any independent federation would be."""
        return sum(row.verdict == "copied" for row in self.rows)

    def __getitem__(self, name: str) -> Row:
        """The row of that name."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no row {name!r} in the scorecard: it has {', '.join(row.name for row in self.rows)}")

    def to_dict(self) -> dict[str, Any]:
        """For JSON, as in ``fedgen/schemas/scorecard.schema.json``; numbers that are not finite are null."""
        return {
            "kind": "fedgen scorecard",
            "format": 1,
            "rejected": self.rejected,
            "level": LEVEL,
            "within": self.within,
            "judged": self.judged,
            "copied": self.copied,
            "seed": self.seed,
            "replicates": self.replicates,
            "generated": self.generated,
            "measured": self.measured,
            "rows": [_jsonable(asdict(row)) for row in self.rows],
            "memorisation": [kind.to_dict() for kind in self.memorisation],
            "reported": [_jsonable(asdict(line)) for line in self.reported],
        }

    def __repr__(self) -> str:
        verdict = "rejected" if self.rejected else "not rejected"
        return f"Scorecard({self.within} of {self.judged} rows within their floor, {verdict})"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("", "statistic", "distance", "floor", "ratio", "verdict"))
        lines = (
            (row.name, row.statistic, f"{row.distance:.3g}", f"{row.floor:.3g}", f"{row.ratio:.2f}", row.verdict)
            for row in self.rows
        )
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
        verdict = "rejected" if self.rejected else "not rejected"
        caption = f"{self.within} of {self.judged} rows within their floor; {verdict} at {LEVEL:.0%} family-wise"
        return f"<table><caption>{caption}</caption><tr>{head}</tr>{body}</table>"


def validate(
    generated: Federation | Stored,
    against: Federation | Measurement,
    *,
    seed: int | None = None,
    replicates: int | None = None,
    progress: Progress = silent,
) -> Scorecard:
    """Hold a generated federation against a measured one.

    Args:
        generated: the federation on trial; one that stays in its directory (:class:`fedgen.io.stored.Stored`) is
            streamed: docs/scorecard.md, At scale.
        against: the measured one; sizes may differ. To judge many federations by one measurement, give a
            :class:`Measurement`: what does not depend on the generated side is then computed once.
        seed: of the nulls' draws, default 0; the same seed gives the same scorecard.
        replicates: draws of each null, at least 99, default 400; p-values are multiples of 1/(replicates + 1).
        progress: told how far it is.

    Raises:
        UsageError: too few replicates, a federation without memberships, or a seed or replicates beside a
            :class:`Measurement`, which has its own.
    """
    if isinstance(against, Measurement):
        if seed is not None or replicates is not None:
            raise UsageError("a Measurement has its own seed and replicates: give them to it instead")
        measurement = against
    else:
        measurement = Measurement(
            against, 0 if seed is None else seed, REPLICATES if replicates is None else replicates, progress
        )
    require_memberships(generated, "generated", (Federation, Stored))
    ours, theirs = told(generated), measurement.told
    return Scorecard(
        rows=judge(generated, measurement, progress),
        memorisation=memorisation(generated, measurement.federation, measurement.seed),
        reported=tuple(
            Reported(name, ours[name].value, theirs[name].value, ours[name].interval, theirs[name].interval)
            for name in ours
        ),
        generated=_counts(generated),
        measured=_counts(measurement.federation),
        seed=measurement.seed,
        replicates=measurement.replicates,
    )


def judge(generated: Tables, measurement: Measurement, progress: Progress = silent) -> tuple[Row, ...]:
    """The rows alone, in the order of their names: what the verdict rests on."""
    return tuple(_judge(trials(generated, measurement, progress)))


def _judge(found: Sequence[Trial]) -> Iterator[Row]:
    able = [trial for trial in found if not trial.unjudgeable]
    # A distance within its margin is of no consequence: what is tested is the excess.
    excess = np.array([max(trial.distance - trial.margin, 0.0) for trial in able])
    null = np.column_stack([trial.either for trial in able]) if able else np.empty((1, 0))
    adjusted = iter(step_down(excess, null).tolist())
    for trial in found:
        reason = trial.unjudgeable
        bare = Row(
            name=trial.description.name,
            statistic=trial.description.statistic,
            measure=trial.description.measure,
            null=trial.against,
            distance=trial.distance,
            verdict="not applicable",
            note="; ".join(filter(None, (reason, trial.sampled))),
            generated=trial.generated,
            measured=trial.measured,
            iid_floor=trial.iid_floor,
        )
        yield bare if reason else _judged(bare, trial, next(adjusted))


def _judged(row: Row, trial: Trial, p: float) -> Row:
    floor = trial.floor
    ratio = floor.ratio(trial.distance)
    verdict, note = "indistinguishable", ""
    if p <= LEVEL:
        verdict, note = "rejected", "" if isfinite(trial.distance) else "0 on one side only: infinitely far"
    elif ratio > 1:
        verdict = "above floor"
    elif floor.low > 0 and trial.distance <= trial.nearest:
        verdict, note = "copied", "closer to the measurement than an independent federation would come"
    return replace(
        row,
        floor=floor.floor,
        low=floor.low,
        ratio=ratio,
        detectable=floor.detectable,
        p=p,
        verdict=verdict,
        note="; ".join(filter(None, (note, trial.sampled))),
    )


def _counts(federation: Tables) -> dict[str, int]:
    return {
        "users": federation.n_users,
        "servers": federation.n_servers,
        "rooms": federation.n_rooms,
        "memberships": federation.n_memberships,
        "presences": federation.n_presences,
    }


def _jsonable(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: _finite(value) for key, value in fields.items()}


def _finite(value: Any) -> Any:
    """As JSON has it: what is not finite is None, a pair a list."""
    if isinstance(value, tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value
