r"""Which of two laws the data prefer: likelihood ratios.

With :math:`l_i = \ln p_1(x_i) - \ln p_2(x_i)` over the n values of the tail and :math:`R = \sum_i l_i`, positive
where the first law is the likelier one:

- *Vuong* (1989; Clauset, Shalizi and Newman 2009, appendix C): were both laws equally far from the truth, the
normalised ratio :math:`R / (\sigma \sqrt n)`, :math:`\sigma^2` the variance of the :math:`l_i`, would be standard
normal; :math:`p = \mathrm{erfc}(|R| / (\sqrt{2 n} \sigma))`. Laws that are nearly the same have a small sigma, and
this p may be small where R is nothing; so p is at least that of chi-square with one degree of freedom at 2 |R|, as
if one parameter more were all that R came from. - *Nested*: a law that is a special case of the other is never
likelier. Were it the truth, 2 |R| would follow chi-square with one degree of freedom for the parameter fixed (Wilks
1938). Where the special case lies at the edge (a cut-off at infinity) that is conservative by a factor of two; the
authors above use it so. - The *bounded* power law beside the power law: here the special case fixes xmax at
infinity, and the likelihood is not smooth in it. At a given exponent :math:`R = n \ln(1 - S(x_{max} + 1))`, so that
:math:`e^R` is the probability that the largest of n draws from the power law stays at or below xmax: itself a
p-value, and that of chi-square with two degrees of freedom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fitting.histogram import Histogram
    from fitting.laws.law import Law

# (special case, general law): degrees of freedom
_NESTED = {
    ("power law", "power law with cut-off"): 1,
    ("power law", "bounded power law"): 2,
    ("exponential", "power law with cut-off"): 1,
    ("exponential", "stretched exponential"): 1,
}


@dataclass(frozen=True)
class Comparison:
    """Two laws beside each other.

    Attributes:
        first, second: families.
        ratio: R, the log-likelihood of the first law less that of the second; positive speaks for the first.
        normalised: R / (sigma sqrt(n)); None where the l_i do not vary, and for nested laws.
        p: how likely a ratio at least as large would be by chance alone, two-sided.
        nested: one is a special case of the other.
    """

    first: str
    second: str
    ratio: float
    normalised: float | None
    p: float
    nested: bool

    @property
    def better(self) -> str:
        """The likelier family, whatever p."""
        return self.first if self.ratio > 0 else self.second


def compare(first: Law, second: Law, tail: Histogram) -> Comparison:
    """Compare two laws of the same xmin on the values that both cover."""
    difference = first.log_pmf(tail.values) - second.log_pmf(tail.values)
    ratio = float(tail.number @ difference)
    pair = (first.family, second.family)
    freedom = _NESTED.get(pair) or _NESTED.get(pair[::-1])
    if freedom is not None:
        # The general law has not been found more likely only where its optimum is the special case itself.
        gain = max(ratio if pair[::-1] in _NESTED else -ratio, 0.0)
        p = math.erfc(math.sqrt(gain)) if freedom == 1 else math.exp(-gain)
        return Comparison(*pair, ratio, None, p, nested=True)
    variance = float(tail.number @ (difference - ratio / tail.n) ** 2) / tail.n
    spread = math.sqrt(variance * tail.n)
    if spread <= 1e-9 * max(1.0, abs(ratio)):
        return Comparison(*pair, ratio, None, 1.0, nested=False)
    p = max(math.erfc(abs(ratio) / (math.sqrt(2.0) * spread)), math.erfc(math.sqrt(abs(ratio))))
    return Comparison(*pair, ratio, ratio / spread, p, nested=False)


def compare_all(laws: Iterable[Law], tail: Histogram) -> tuple[Comparison, ...]:
    """Every pair, in the order of ``laws``."""
    return tuple(compare(first, second, tail) for first, second in combinations(laws, 2))
