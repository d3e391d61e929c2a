r"""Who goes where: measured mixing tables, fitted to new margins, as wishes of single slots.

Twice in the model stubs of known class meet slots of known class: servers' stubs meet rooms' places, and users' stubs
meet their server's presences. How often class meets class was measured, :math:`N_{ab}`. For new class totals the
table of the same odds ratios is found by iterative proportional fitting (Deming and Stephan 1940), begun at :math:`N`
plus one pseudo count spread as independence would, so that classes never seen together may meet. Each slot then
wishes for a class of stub, drawn from its column; the few wishes above what there is of a class are passed on, and
slots sorted by wish are zipped with stubs sorted by class (:mod:`gen.matching`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers

_SWEEPS = 200
_CLOSE = 1e-6


def blend(measured: Floats, rows: Floats, columns: Floats) -> Floats:
    """The table with margins ``rows`` (A,) and ``columns`` (B,), same total, nearest to ``measured`` (A, B)."""
    total = rows.sum()
    if total == 0:
        return np.zeros_like(measured)
    table = measured / max(measured.sum(), 1.0) * total
    table += np.outer(rows, columns) / (total * (1.0 + measured.sum()))
    for _ in range(_SWEEPS):
        sums = table.sum(axis=1)
        table *= np.divide(rows, sums, out=np.zeros_like(sums), where=sums > 0)[:, None]
        sums = table.sum(axis=0)
        table *= np.divide(columns, sums, out=np.zeros_like(sums), where=sums > 0)
        if np.abs(table.sum(axis=1) - rows).max() <= _CLOSE * total:
            break
    return table


def draw_rows(table: Floats, column: Integers, rng: np.random.Generator) -> Integers:
    """For each slot a row, drawn in proportion to the slot's column of ``table``: (N,)."""
    n_rows, n_columns = table.shape
    upto = np.cumsum(table.T, axis=1)
    mass = upto[:, -1:]
    upto = np.divide(upto, mass, out=np.ones_like(upto), where=mass > 0)
    upto[:, -1] = 1.0
    flat = (upto + np.arange(n_columns)[:, None]).ravel()
    at = np.searchsorted(flat, column + rng.random(len(column)), side="right")
    return np.minimum(at - column * n_rows, n_rows - 1)


def pass_on(wish: Integers, rank: Integers, available: Integers) -> Integers:
    """Change as few wishes as it takes for each row to be wished for exactly as often as it is available.

    Args:
        wish: (N,) rows.
        rank: (N,) distinct; of the slots that wish for the same row those of lowest rank are changed.
        available: (A,) sums to N.
    """
    surplus = np.bincount(wish, minlength=len(available)) - available
    order = np.lexsort((rank, wish))
    within = np.arange(len(wish)) - np.searchsorted(wish[order], wish[order])
    changed = order[within < surplus[wish[order]]]
    settled = wish.copy()
    settled[changed] = np.repeat(np.arange(len(available)), np.maximum(-surplus, 0))
    return settled


class Conditional:
    """Draws a value given a key, from a table of (key, value, number) with keys in rising order."""

    def __init__(self, key: Integers, value: Integers, number: Integers) -> None:
        self.keys, first = np.unique(key, return_index=True)
        self._value = value
        self._upto = np.cumsum(number)
        before = np.concatenate(([0], self._upto))
        self._begin = before[first]
        self._total = before[np.append(first[1:], len(key))] - self._begin

    def draw(self, position: Integers, rng: np.random.Generator) -> Integers:
        """A value for each position in :attr:`keys`."""
        ticket = self._begin[position] + rng.integers(0, self._total[position])
        return self._value[np.searchsorted(self._upto, ticket, side="right")]
