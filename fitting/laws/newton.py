r"""Newton's method for the greatest value of a smooth function of two parameters inside a box.

For likelihoods per value, whose parameters are scaled so that about one is a large change. A step is shortened until
the function does not fall; where it is not concave the curvatures that are positive change sign, which leads uphill.
Each step leaves at least an eighth of the way to the edge of the box: an optimum there is approached but never passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fedgen.federation import Floats

    Derivatives = Callable[[Floats], tuple[float, Floats, Floats]]

HALF_PLANE = ((-1e6, 1e6), (0.0, 1e6))
_EDGE = 1e-6  # an optimum closer to zero differs from it by a likelihood of about 1e-12 per value
_GAIN = 1e-13  # per value, less than which is rounding
_STEPS = 100
_SHORTER = 20  # quarterings of a step
_DIFFERENCE = 1e-4


def maximise(
    derivatives: Derivatives,
    starts: Iterable[tuple[float, float]],
    box: tuple[tuple[float, float], tuple[float, float]] = HALF_PLANE,
    edge: float = _EDGE,
) -> Floats | None:
    """The (2,) parameters of a maximum; None where there is none further inside the box than ``edge``.

    Args:
        derivatives: value, (2,) gradient and (2, 2) Hessian at (2,) parameters; a value of -inf where it is not
            defined.
        starts: where to begin; each next one if there is no maximum uphill of the one before.
        box: the ends of each parameter.
        edge: the narrowest distance to the ends.
    """
    low, high = np.array(box).T
    for start in starts:
        found = _climb(derivatives, np.array(start, dtype=np.float64), low, high, edge)
        if found is not None:
            return found
    return None


def _climb(derivatives: Derivatives, point: Floats, low: Floats, high: Floats, edge: float) -> Floats | None:
    value, gradient, hessian = derivatives(point)
    for _ in range(_STEPS):
        if not (np.isfinite(value) and np.isfinite(gradient).all() and np.isfinite(hessian).all()):
            return None
        free = _ascent(gradient, hessian)
        step = _inside(free, gradient, hessian, low - point, high - point)
        done = float(gradient @ free) / 2.0 < _GAIN and np.array_equal(step, free)  # and not on its way to the edge
        for _ in range(_SHORTER):
            new = derivatives(point + step)
            if new[0] >= value - _GAIN:
                break
            step /= 4.0
        else:
            return None
        point = point + step
        if min((point - low).min(), (high - point).min()) < edge:
            return None
        if done:
            return point
        value, gradient, hessian = new
    return None


def by_differences(function: Callable[[float, float], float]) -> Derivatives:
    """The derivatives of a function that has a value only: central differences within its domain."""

    def derivatives(point: Floats) -> tuple[float, Floats, Floats]:
        a, b = float(point[0]), float(point[1])
        h = _DIFFERENCE * (1.0 + abs(a))
        k = min(_DIFFERENCE * (1.0 + b), b / 2.0)
        here = function(a, b)
        if not np.isfinite(here):
            return here, np.zeros(2), np.zeros((2, 2))
        left, right, below, above = function(a - h, b), function(a + h, b), function(a, b - k), function(a, b + k)
        mixed = (function(a + h, b + k) - right - above + here) / (h * k)
        gradient = np.array([(right - left) / (2.0 * h), (above - below) / (2.0 * k)])
        straight = np.array([(right - 2.0 * here + left) / (h * h), (above - 2.0 * here + below) / (k * k)])
        return here, gradient, np.array([[straight[0], mixed], [mixed, straight[1]]])

    return derivatives


def _ascent(gradient: Floats, hessian: Floats) -> Floats:
    """Newton's step where the function is concave; else, along the directions where it is not, one uphill."""
    curvature, axes = np.linalg.eigh(hessian)
    steep = np.maximum(np.abs(curvature), 1e-9 * max(float(np.abs(curvature).max()), 1.0))
    return np.asarray(axes @ ((axes.T @ gradient) / steep))


def _inside(step: Floats, gradient: Floats, hessian: Floats, down: Floats, up: Floats) -> Floats:
    """A step that stays inside the box: where it is cut in one parameter, the best one left for the other.

    Were both cut alike, the parameter near its edge would get there before the other has moved.
    """
    least, most = 0.875 * down, 0.875 * up
    step = step.copy()
    for i, j in ((1, 0), (0, 1)):
        cut = float(np.clip(step[i], least[i], most[i]))
        if cut != step[i] and hessian[j, j] < 0.0:
            step[j] = -(gradient[j] + hessian[i, j] * cut) / hessian[j, j]
        step[i] = cut
    return np.clip(step, least, most)
