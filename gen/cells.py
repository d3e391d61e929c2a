"""The cells of a sweep: one federation each, drawn and reduced to its outline, in one process or several.

What is drawn depends on the plan of the cell alone, so the outlines are the same for any number of workers.
"""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fedgen.errors import FedgenError, InfeasibleError, UsageError
from fedgen.statistics.outline import Outline, outline
from gen.plan import Plan, make_plan
from gen.sample import draw
from gen.sweep import factor_word

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from multiprocessing.connection import Connection

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
                plans[name, factor] = make_plan(model, scenario=replace(scenario, factor=factor), seed=seed)
            except InfeasibleError as error:
                raise InfeasibleError(f"scenario {name}, factor {factor_word(factor)}: {error}") from None
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
        FedgenError: a process was killed from outside.
    """
    if jobs < 1:
        raise UsageError(f"jobs: {jobs} is not a number of processes; give a whole number from 1 up")
    jobs = min(jobs, len(plans))
    if jobs <= 1:
        for cell, plan in plans.items():
            yield cell, draw_cell(model, cell, plan)
        return
    with _workers(model, jobs) as pool:
        # Blocked in the meantime, so that workers are born deaf to Ctrl-C, which a terminal sends to all of them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            futures = {pool.submit(_draw, cell, plan): cell for cell, plan in plans.items()}
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise FedgenError(
                "a process that draws was killed, most likely since memory ran out; give fewer --jobs, "
                "the same command goes on from there"
            ) from None


def draw_cell(model: Model, cell: Cell, plan: Plan) -> Outline:
    """Draw one cell.

    Raises:
        InfeasibleError: its scenario cannot be met; names it.
    """
    try:
        return outline(draw(model, plan))
    except InfeasibleError as error:
        raise InfeasibleError(f"scenario {cell.scenario}, factor {factor_word(cell.factor)}: {error}") from None


@contextmanager
def _workers(model: Model, jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that draw. They end when the pipe to them does: when the block is left, or its process dies."""
    from multiprocessing import get_context

    context = get_context("spawn")
    listen, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(model, listen))
    try:
        yield pool
    finally:
        held.close()
        pool.shutdown(wait=True, cancel_futures=True)
        listen.close()


_model: list[Model] = []
"""What a worker draws from."""


def _begin(model: Model, listen: Connection) -> None:
    _model.append(model)
    threading.Thread(target=_end_with, args=(listen,), daemon=True).start()


def _end_with(listen: Connection) -> None:
    try:
        listen.recv()
    except (EOFError, OSError):
        os._exit(0)


def _draw(cell: Cell, plan: Plan) -> Outline:
    return draw_cell(_model[0], cell, plan)
