r"""The Hurwitz zeta function and its logarithmic moments: what every likelihood of a discrete power law needs.

With :math:`t = x / q` and :math:`w_k(s) = \sum_{x=q}^\infty t^{-s} \ln^k t`, so that :math:`\zeta(s, q) = q^{-s}
w_0(s)`, the mean and the variance of :math:`\ln t` under the zeta law on {q, q + 1, ...} are :math:`w_1 / w_0` and
:math:`w_2 / w_0 - (w_1 / w_0)^2`: the gradient and the curvature of its log-likelihood. In t instead of x nothing
underflows for large q or s, and nothing cancels for tails that hardly spread.

Terms are summed up to x = N = 14 + s, and from there on by Euler-Maclaurin (NIST DLMF 25.11.43, 2.10.1) with t =
N/q,

.. math:: \sum_{x \ge N} (x/q)^{-s} = \frac{N t^{-s}}{s - 1} + \frac{t^{-s}}{2}
    + \sum_{j=1}^{8} \frac{B_{2j}}{(2j)!} s (s+1) \cdots (s + 2j - 2) \frac{t^{-s}}{N^{2j - 1}};

the derivatives with respect to s are taken term by term. Relative error: 1e-14 for 1.001 <= s <= 45, of the variance
1e-11.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_BERNOULLI = (  # B_2j / (2j)!
    1 / 12,
    -1 / 720,
    1 / 30240,
    -1 / 1209600,
    1 / 47900160,
    -691 / 1307674368000,
    1 / 74724249600,
    -3617 / 10670622842880000,
)
_DIRECT = 14.0


@njit(cache=True, nogil=True)
def scaled_zeta(s: float, q: float) -> float:
    """w_0: the sum of (x/q)^-s over x = q, q + 1, ...; s > 1, q >= 1."""
    total = 0.0
    x = q
    direct = _DIRECT + s
    while x < direct:
        total += (x / q) ** -s
        x += 1.0
    term = (x / q) ** -s
    total += x * term / (s - 1.0) + 0.5 * term
    factor, power = s, term / x
    for j in range(8):
        total += _BERNOULLI[j] * factor * power
        factor *= (s + 2 * j + 1) * (s + 2 * j + 2)
        power /= x * x
    return total


@njit(cache=True, nogil=True)
def log_moments(s: float, q: float) -> tuple[float, float]:
    """Mean and variance of ln(x/q) under the zeta law on {q, q + 1, ...}."""
    w0 = w1 = w2 = 0.0
    x = q
    direct = _DIRECT + s
    while x < direct:
        log_t = np.log(x / q)
        term = np.exp(-s * log_t)
        w0 += term
        w1 += term * log_t
        w2 += term * log_t * log_t
        x += 1.0
    log_t = np.log(x / q)
    term = np.exp(-s * log_t)
    a = s - 1.0
    integral = x * term / a
    w0 += integral + 0.5 * term
    w1 += integral * (log_t + 1.0 / a) + 0.5 * term * log_t
    w2 += integral * (log_t * log_t + 2.0 * log_t / a + 2.0 / (a * a)) + 0.5 * term * log_t * log_t
    factor, power = s, term / x
    first, second = 1.0 / s, -1.0 / (s * s)  # derivatives of ln(factor)
    for j in range(8):
        part = _BERNOULLI[j] * factor * power
        slope = log_t - first
        w0 += part
        w1 += part * slope
        w2 += part * (slope * slope + second)
        for i in (2 * j + 1, 2 * j + 2):
            factor *= s + i
            first += 1.0 / (s + i)
            second -= 1.0 / ((s + i) * (s + i))
        power /= x * x
    mean = w1 / w0
    return mean, w2 / w0 - mean * mean


@njit(cache=True, nogil=True)
def zeta_exponent(mean_log: float, q: float) -> float:
    """The maximum-likelihood exponent: s with E ln(x/q) = ``mean_log``; infinite where every value is q.

    Newton's method from the estimate of Clauset, Shalizi and Newman 2009, equation (3.7); infinite from 1,000 on.
    """
    if mean_log <= 0.0:
        return np.inf
    s = 1.0 + 1.0 / (mean_log + np.log(q / (q - 0.5)))
    for _ in range(100):
        mean, variance = log_moments(s, q)
        if not variance > 0.0:
            break
        new = s + (mean - mean_log) / variance
        new = min(max(new, 1.0 + (s - 1.0) / 8.0), 2.0 * s)
        if new > 1e3:
            return np.inf
        if abs(new - s) <= 1e-13 * s:
            return new
        s = new
    return s


def censored_exponent(mean_log: float, q: float, known: int, least: float, censored: int) -> float:
    """The maximum-likelihood exponent where of ``censored`` values only is known that they are >= ``least``.

    Args:
        mean_log: the mean of ln(x/q) over the known values.
        q: xmin.
        known: how many values are known, all of them in {q, ..., least - 1}.
        least: what the others reach at least.
        censored: how many others there are.
    """
    from scipy.optimize import brentq

    share = censored / known

    def slope(s: float) -> float:
        """The derivative of the log-likelihood of a known value: zero at the maximum, falling."""
        beyond = log_moments(s, least)[0] + np.log(least / q)  # the mean of ln(x/q) over x >= least
        return (1.0 + share) * log_moments(s, q)[0] - mean_log - share * beyond

    low, high = 1.0 + 1e-3, 2.0
    while slope(high) > 0.0 and high < 1e3:
        low, high = high, 2.0 * high
    return float(brentq(slope, low, high)) if slope(low) > 0.0 > slope(high) else (low if slope(low) <= 0 else high)


def exponent_error(alpha: float, q: float, n: int) -> float:
    r"""The standard error of the exponent: :math:`1 / \sqrt{n \mathrm{Var}(\ln x)}`, from Fisher information.

    Clauset, Shalizi and Newman 2009, equation (3.6). `powerlaw` has that of the continuous law, :math:`(\alpha - 1) /
    \sqrt n`, which is a fifth too small at xmin = 1, alpha = 3.
    """
    return float(1.0 / np.sqrt(n * log_moments(alpha, q)[1]))
