r"""Margins: a measured distribution below xmin, its tail law above, and the ranks that tie several together.

Dependence between the coordinates of a tuple (users and rooms of a server, say) is carried on ranks by a *smoothed
empirical copula*. The ranks :math:`r` of N measured tuples, ties broken at random, become normal scores :math:`z =
\Phi^{-1}((r - 1/2) / N)` with correlation matrix C. A tuple is chosen at random and moved,

.. math:: z' = \frac{z + h \epsilon}{\sqrt{1 + h^2}}, \qquad \epsilon \sim N(0, C), \qquad h = N^{-1/3},

which is the smoothed bootstrap with shrinkage (Silverman and Young 1987): mean and correlations stay, so each
:math:`\Phi(z'_j)` stays near uniform and margins are kept; the level becomes a value through the quantile function
of the coordinate's margin. Where a law covers the tail the value is drawn from the law, which may exceed every
measured one.

The bandwidth :math:`h = N^{-1/3}` is of the order that serves the estimate of a distribution function best (Azzalini
1981): what it blurs is far below the noise of sampling, and what it hides is the single tuple.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedgen.federation import Floats, Integers
    from fitting.laws.law import Law


def draw_levels(columns: Sequence[Integers], count: int, rng: np.random.Generator) -> tuple[list[Floats], Integers]:
    """Levels in (0, 1) of tuples that depend on each other as the measured ones do.

    Args:
        columns: J coordinates of the N >= 1 measured tuples, (N,) each.
        count: how many tuples to draw.
        rng: of the draws.

    Returns:
        J arrays of ``count`` levels, and which measured tuple each began with, (count,).
    """
    from scipy.special import ndtr, ndtri

    n = len(columns[0])
    scores = np.empty((n, len(columns)))
    for j, column in enumerate(columns):
        order = np.lexsort((rng.random(n), column))
        scores[order, j] = ndtri((np.arange(n) + 0.5) / n)
    start = rng.integers(0, n, size=count)
    h = n ** (-1 / 3)
    width = len(columns)
    correlation = np.corrcoef(scores.T) if n > width else np.eye(width)
    spread = np.linalg.cholesky(correlation + 1e-9 * np.eye(width))
    moved = scores[start] + h * rng.standard_normal((count, width)) @ spread.T
    return list(ndtr(moved / np.sqrt(1 + h * h)).T), start


@dataclass(frozen=True, eq=False)
class Margin:
    """The distribution of one quantity.

    Attributes:
        values: (D,) the distinct measured values, rising.
        number: (D,) how often each was measured.
        law: of the values >= law.xmin; None: measured probabilities throughout.
    """

    values: Integers
    number: Integers
    law: Law | None = None

    @classmethod
    def of(cls, values: Integers, number: Integers, law: Law | None = None) -> Margin:
        """The margin of ``values``, each counted ``number`` times, in any order."""
        distinct, inverse = np.unique(values, return_inverse=True)
        return cls(distinct, np.bincount(inverse, weights=number).astype(np.int64), law)

    def redraw(self, measured: Integers, rng: np.random.Generator, top: int | None = None) -> Integers:
        """New values near the ranks of ``measured`` ones, moved as a resample would move them; none above ``top``.

        The rank r of N becomes a level ~ Beta(r, N + 1 - r) (Segers, Sibuya and Tsukahara 2017).
        """
        if len(measured) == 0:
            return measured
        upto = np.cumsum(self.number)
        total = int(upto[-1])
        at = np.searchsorted(self.values, measured)
        rank = upto[at] - rng.integers(0, self.number[at])
        return self.quantile(rng.beta(rank, total + 1.0 - rank), top)

    def quantile(self, level: Floats, top: int | None = None) -> Integers:
        """The values at levels in [0, 1], none above ``top``."""
        upto = np.cumsum(self.number)
        total = upto[-1]
        at = np.searchsorted(upto, level * total, side="right")
        drawn = self.values[np.minimum(at, len(self.values) - 1)]
        if self.law is not None:
            body = self.number[self.values < self.law.xmin].sum() / total
            tail = level >= body
            beyond = 0.0 if top is None else float(self.law.survival(np.array([top + 1.0]))[0])
            left = (1.0 - level[tail]) / (1.0 - body)
            drawn[tail] = self.law.inverse_survival(np.clip(beyond + left * (1.0 - beyond), 1e-300, 1.0))
        return drawn if top is None else np.minimum(drawn, top)
