"""Reconstruct a federation from published figures: attempts until one meets them all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import FiguresError, UnmetError
from fedgen.progress import silent
from fedgen.statistics.vocabulary import measure_all
from gen.reconstruct.attempt import attempt, take_aim
from gen.reconstruct.errors import DeadEndError
from gen.reconstruct.told import told_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedgen.federation import Federation
    from fedgen.progress import Progress
    from fedgen.statistics.published import Figure, Figures
    from gen.reconstruct.attempt import Aim

ATTEMPTS = 24
_PATIENCE = 12
_SAME = 4
_AIMED = 3  # attempts at one goal; then totals that figures leave open are drawn anew


@dataclass(frozen=True, eq=False)
class _Found:
    """A federation and the figures that it does not meet, with its values."""

    federation: Federation
    unmet: tuple[tuple[Figure, float], ...]

    @property
    def cost(self) -> tuple[int, int, float]:
        """How far it is from meeting all figures: those that decide first."""
        judged = [pair for pair in self.unmet if pair[0].kind != "inferred"]
        return len(judged), len(self.unmet), sum(_distance(figure, value) for figure, value in self.unmet)


def reconstruct(
    figures: Figures, *, seed: int = 0, attempts: int = ATTEMPTS, progress: Progress = silent
) -> Federation:
    """Build a federation that meets published figures.

    It is one of many: what no figure fixes is drawn. Figures of kind *inferred* are aimed at; that one is not met is
    accepted where no attempt does better.

    Args:
        figures: of a file (:func:`fedgen.statistics.published.read_figures`).
        seed: the same seed and figures give the same federation.
        attempts: draws until one meets every figure.
        progress: told about each attempt.

    Raises:
        FiguresError: sizes are not told, or figures contradict each other; names them.
        UnmetError: no attempt met every figure; names those and the nearest values.
    """
    import scipy.linalg
    import scipy.optimize  # noqa: F401
    from threadpoolctl import threadpool_limits

    # Many small matrices: threads of the linear algebra would wait for each other, 20 times as long where others use
    # the cores too; and one thread sums in one order, whatever the machine.
    with threadpool_limits(1, user_api="blas"):
        return _first_to_meet(figures, seed, attempts, progress)


def _first_to_meet(figures: Figures, seed: int, attempts: int, progress: Progress) -> Federation:
    told = told_by(figures)
    found: list[_Found] = []
    failed: Exception | None = None
    told_so: Counter[str] = Counter()  # what was drawn may contradict a figure; the same again and again, figures do
    aim: Aim | None = None
    for number in range(attempts):
        progress(f"attempt {number + 1} of at most {attempts}", 0, 0)
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(number,))))
        try:
            if aim is None or number % _AIMED == 0:
                aim = take_aim(told, rng)
            found.append(_held(figures.held, attempt(aim, rng)))
        except DeadEndError as error:
            failed = failed or error
            continue
        except FiguresError as error:
            told_so[str(error)] += 1
            if aim is None or told_so[str(error)] >= _SAME:
                raise FiguresError(f"{figures.path}: {error}") from None
            failed = error
            continue
        if not found[-1].unmet or _out_of_reach(found):
            break
    if not found:
        raise UnmetError(
            f"{figures.path}: no attempt of {attempts} came to an end ({failed}); try another seed"
        ) from None
    best = min(found, key=lambda one: one.cost)
    if best.cost[0]:
        raise UnmetError(f"{figures.path}: {_told_unmet(best, found)}")
    return best.federation


def _out_of_reach(found: Sequence[_Found]) -> bool:
    """Whether so many federations failed in one and the same figure."""
    if len(found) < _PATIENCE:
        return False
    return bool(set.intersection(*({f.id for f, _ in one.unmet if f.kind != "inferred"} for one in found)))


def _held(figures: Sequence[Figure], federation: Federation) -> _Found:
    statistics = [figure.statistic for figure in figures if figure.statistic is not None]
    values = measure_all(statistics, federation)
    return _Found(federation, tuple((f, v) for f, v in zip(figures, values, strict=True) if not f.met_by(v)))


def _distance(figure: Figure, value: float) -> float:
    """How far a value is outside its interval, over the larger of the interval's bounds."""
    scale = max((abs(x) for x in (figure.low, figure.high) if isfinite(x)), default=1.0) or 1.0
    miss = max(figure.low - value, value - figure.high, 0.0) / scale
    return miss if miss == miss else inf


def _told_unmet(best: _Found, found: Sequence[_Found]) -> str:
    parts = []
    for figure, value in best.unmet:
        if figure.kind != "inferred":
            asked = f"{figure.low:g}" if figure.low == figure.high else f"{figure.low:g} to {figure.high:g}"
            parts.append(f'figure "{figure.id}" ({figure.statistic}) asks for {asked}, nearest found {value:.6g}')
    return f"no federation was found that meets all figures in {len(found)} attempts: {'; '.join(parts)}"
