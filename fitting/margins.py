r"""Margins: a measured distribution below xmin, its tail law above, and the ranks that tie several together.

Dependence between the coordinates of a tuple (users, rooms and memberships of a server, say) is carried on ranks by
the *empirical beta copula* (Segers, Sibuya and Tsukahara 2017): a measured tuple is chosen at random; the rank
:math:`r \in \{1..N\}` of each of its coordinates, ties broken at random, becomes a level :math:`p \sim
\mathrm{Beta}(r, N + 1 - r)`; and the level becomes a value through the quantile function of the coordinate's margin.
Averaged over the tuples the levels are exactly uniform, so the margins are kept exactly, and no measured tuple comes
back but by chance. Where a law covers the tail the value is drawn from the law, which may exceed every measured one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Integers
    from fitting.laws.law import Law


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
        """New values at the (beta) ranks of ``measured`` ones; none above ``top``."""
        if len(measured) == 0:
            return measured
        upto = np.cumsum(self.number)
        total = int(upto[-1])
        at = np.searchsorted(self.values, measured)
        rank = upto[at] - rng.integers(0, self.number[at])
        return self.quantile(rng.beta(rank, total + 1.0 - rank), top)

    def quantile(self, level: np.ndarray[tuple[int], np.dtype[np.float64]], top: int | None = None) -> Integers:
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
