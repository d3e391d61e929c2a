r"""The part of a normal law beyond a point: :math:`e^{-A t - B t^2}` on t >= 0, where a lognormal tail lives.

With :math:`z = (A + 2 B t) / \sqrt{2 B}`, :math:`z_0` that of t = 0, and the Mills ratio :math:`M(z) = \Phi(-z) /
\varphi(z)`, the mass beyond t is :math:`e^{-A t - B t^2} M(z) / \sqrt{2 B}`. A far tail (large :math:`z_0`, nearly a
power law) is thus told without the huge logarithms of :math:`\Phi`, which would cancel.

The mass of a cell [t, t + w] with c its middle and :math:`k = A + 2 B c` the slope there: where it is narrow,
:math:`w (|k| + \sqrt{2 B}) < 1`, the integral of :math:`e^{-k u - B u^2}` over |u| <= w/2 by six Gauss-Legendre nodes
(error 1e-16), times :math:`e^{-A c - B c^2}`; else the difference of the masses beyond its ends, on the side of the
bell where they are small.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from fedgen.federation import Floats

_NODES, _WEIGHTS = (part[3:] for part in np.polynomial.legendre.leggauss(6))  # the positive half
_ASYMPTOTIC = 10.0
_MILLS_FROM = 10.0  # of z_0, from where on the inverse is refined


@njit(cache=True, nogil=True)
def log_mills(z: float) -> float:
    """ln of (1 - Phi(z)) / phi(z), for any z: from the error function, from 10 on by its asymptotic series."""
    if z < _ASYMPTOTIC:
        return math.log(0.5 * math.erfc(z / math.sqrt(2.0))) + 0.5 * z * z + 0.5 * math.log(2.0 * math.pi)
    term = total = 1.0
    for k in range(1, 30):
        term *= -(2 * k - 1) / (z * z)
        total += term
    return math.log(total / z)


@njit(cache=True, nogil=True)
def log_bell_cells(t: Floats, width: Floats, a: float, b: float) -> Floats:
    """ln of the mass in cells [t, t + width], t >= 0, of a law whose density falls as exp(-a t - b t^2); b > 0."""
    found = np.empty(len(t))
    root = math.sqrt(2.0 * b)
    log_total = log_mills(a / root)
    for i in range(len(t)):
        w = width[i]
        c = t[i] + 0.5 * w
        k = a + 2.0 * b * c
        if w * (abs(k) + root) < 1.0:
            inside = 0.0
            for j in range(3):
                u = 0.5 * w * _NODES[j]
                inside += _WEIGHTS[j] * math.exp(-b * u * u) * math.cosh(k * u)
            found[i] = math.log(root * w * inside) - c * (a + b * c) - log_total
            continue
        # The ends in the order of falling mass beyond them, seen from the middle of the bell.
        sign = 1.0 if k >= 0.0 else -1.0
        near, far = (t[i], t[i] + w) if k >= 0.0 else (t[i] + w, t[i])
        z_near, z_far = sign * (a / root + root * near), sign * (a / root + root * far)
        log_near, log_far = log_mills(z_near), log_mills(z_far)
        share = math.exp(log_far - log_near - 0.5 * root * w * (z_far + z_near))
        found[i] = log_near - near * (a + b * near) + math.log1p(-share) - log_total
    return found


def log_bell_survival(beyond: Floats, z_0: float) -> Floats:
    """ln of P(Z >= z_0 + beyond | Z >= z_0) for a standard normal Z, beyond >= 0."""
    from scipy.special import erfcx, log_ndtr

    if z_0 <= 0.0:
        return np.asarray(log_ndtr(-z_0 - beyond) - log_ndtr(-z_0))
    z = z_0 + beyond
    ratio = erfcx(z / np.sqrt(2.0)) / erfcx(z_0 / np.sqrt(2.0))
    return np.asarray(np.log(ratio) - beyond * (z_0 + 0.5 * beyond))


def inverse_bell(log_q: Floats, z_0: float) -> Floats:
    """beyond >= 0 with ln P(Z >= z_0 + beyond | Z >= z_0) = log_q."""
    from scipy.special import erfcx, log_ndtr, ndtri_exp

    beyond = np.maximum(-ndtri_exp(np.minimum(log_q + log_ndtr(-z_0), -0.0)) - z_0, 0.0)
    if z_0 > _MILLS_FROM:  # the logarithms above have lost digits; one step of Newton's method finds them again
        mills = np.sqrt(np.pi / 2.0) * erfcx((z_0 + beyond) / np.sqrt(2.0))
        beyond = np.maximum(beyond + (log_bell_survival(beyond, z_0) - log_q) * mills, 0.0)
    return beyond
