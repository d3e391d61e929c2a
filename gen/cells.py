"""The cells of a sweep: one federation each, drawn and reduced to its outline, in one process or several.

What is drawn depends on the plan of the cell alone, so the outlines are the same for any number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fedgen.errors import InfeasibleError, UsageError
from fedgen.statistics.outline import Outline, outline
from gen.executors import executor
from gen.memory import check_memory
from gen.plan import Plan, make_plan
from gen.sample import draw
from gen.sweep import factor_word

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from fitting.model import Model
    from gen.sweep import Sweep


@dataclass(frozen=True)
class Cell:
    """One draw of a sweep.

    Attributes:
        scenario: its name.
        factor: times as many servers.
        seed: of the draw.
    """

    scenario: str
    factor: float
    seed: int

    @property
    def name(self) -> str:
        """What its file is called, without suffix."""
        return f"{self.scenario}-x{factor_word(self.factor)}-seed{self.seed}"


def plan_cells(model: Model, sweep: Sweep, seed: int) -> dict[Cell, Plan]:
    """The plan of every cell, with seeds from ``seed`` on.

    One seed after the other, so that what is drawn so far is a sweep of fewer seeds.

    Raises:
        InfeasibleError: one of them is no federation, or none that this machine's memory holds; names it.
    """
    plans: dict[tuple[str, float], Plan] = {}
    for name, scenario in sweep.scenarios.items():
        for factor in sweep.factors:
            try:
                plan = make_plan(model, scenario=replace(scenario, factor=factor), seed=seed)
                check_memory(model, plan, whole=True)
            except InfeasibleError as error:
                raise InfeasibleError(f"scenario {name}, factor {factor_word(factor)}: {error}") from None
            plans[name, factor] = plan
    return {
        Cell(*place, one): replace(plan, seed=one)
        for one in range(seed, seed + sweep.seeds)
        for place, plan in plans.items()
    }


def draw_cells(model: Model, plans: Mapping[Cell, Plan], jobs: int = 1) -> Generator[tuple[Cell, Outline]]:
    """The outline of every cell, as soon as it is there.

    Args:
        model: that is sampled.
        plans: of the cells (:func:`plan_cells`).
        jobs: processes; they need the memory of as many federations at once. They end with the iterator, and when the
            process of the iterator dies.

    Raises:
        UsageError: ``jobs`` is below 1.
        InfeasibleError: a cell turns out to be impossible when it is drawn; names it.
        WorkerError: a process was killed from outside.
    """
    if jobs < 1:
        raise UsageError(f"jobs: {jobs} is not a number of processes; give a whole number from 1 up")
    cells = list(plans)
    with executor(model, min(jobs, len(plans))) as run:
        for i, outline_of in run(_draw, list(plans.items())):
            yield cells[i], outline_of


def draw_cell(model: Model, cell: Cell, plan: Plan) -> Outline:
    """Draw one cell.

    Raises:
        InfeasibleError: its scenario cannot be met; names it.
    """
    try:
        return outline(draw(model, plan))
    except InfeasibleError as error:
        raise InfeasibleError(f"scenario {cell.scenario}, factor {factor_word(cell.factor)}: {error}") from None


def _draw(model: Model, planned: tuple[Cell, Plan]) -> Outline:
    return draw_cell(model, *planned)
