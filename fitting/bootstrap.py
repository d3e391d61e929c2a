r"""What chance alone does to a fit: how well a true power law would fit, and how far the estimates would scatter.

*Goodness of fit* (Clauset, Shalizi and Newman 2009, section 4.1, the semi-parametric bootstrap). A replicate has n
values: each with probability n_tail / n is a draw from the fitted power law on {xmin, ...}, else one of the measured
values below xmin. The scan is run on it, xmin included; p is the share of replicates whose KS distance is at least
the measured one, the measured sample counted as one of them (Davison and Hinkley 1997, section 4.2.5), so that p is
never 0.

*Uncertainty*. A replicate is n draws with replacement from the measured values, and the scan is run on it. The
quantiles of exponent, xmin and tail size over the replicates are their intervals: uncertainty about xmin is part of
that of the exponent. (The rule of :mod:`fitting.tails` is not run on replicates: values drawn twice make them rougher
than a sample is, so that its tests would reject what they accept.)

*Any other law, and a power law whose xmin is given*: replicates of the tail alone, drawn from the fitted law at its
xmin and fitted again.

Replicates are drawn as histograms. The number of values in the tail is binomial; the body is a multinomial, drawn as
conditional binomials; so is the head of the tail, x = xmin, xmin + 1, ... with P(X = x | X >= x) = 1 / w_0(alpha, x)
(:mod:`fitting.zeta`), until the values left are few, which are drawn one by one by inverting the survival function.
The cost of a replicate is that of its distinct values, however many values there are.

Replicates come in chunks of :data:`CHUNK`, each with a stream of its own, so that the result is the same for any
number of threads.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from fedgen.progress import silent
from fitting.histogram import Histogram
from fitting.laws.inverse import FARTHEST
from fitting.scan import smallest_distance, suffixes
from fitting.zeta import scaled_zeta

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedgen.federation import Floats
    from fedgen.progress import Progress
    from fitting.laws.law import Law

CHUNK = 20
_SINGLY = 32  # so few values of a tail are drawn one by one
_LARGEST = 1e300  # of real values


class Estimates(NamedTuple):
    """Exponent, xmin and tail size of each replicate, (B,); nan where a replicate has no tail."""

    alpha: Floats
    xmin: Floats
    tail: Floats


def goodness(
    histogram: Histogram,
    xmin: float,
    alpha: float,
    replicates: int,
    seed: np.random.SeedSequence,
    *,
    discrete: bool = True,
    progress: Progress = silent,
) -> Floats:
    """(B,) the smallest KS distance of each replicate of a sample whose tail is a power law.

    Args:
        histogram: the measured values.
        xmin, alpha: the measured sample's, by :func:`fitting.scan.scan`.
        replicates: B.
        seed: the stream of the replicates; the same one, the same replicates.
        discrete: whole numbers, else a continuous law.
        progress: told after each chunk.
    """
    at = int(np.searchsorted(histogram.values, xmin))
    values, number = histogram.values, histogram.number.astype(np.float64)

    def chunk(rng: np.random.Generator, count: int) -> Floats:
        return _semiparametric(rng, count, values, number, at, alpha, discrete)

    return np.concatenate(_in_chunks(chunk, replicates, seed, "goodness of fit", progress))


def resampled(
    histogram: Histogram,
    replicates: int,
    seed: np.random.SeedSequence,
    *,
    discrete: bool = True,
    progress: Progress = silent,
) -> Estimates:
    """Exponent, xmin and tail size of samples drawn with replacement, by the scan; arguments as of :func:`goodness`."""
    values, number = histogram.values, histogram.number.astype(np.float64)

    def chunk(rng: np.random.Generator, count: int) -> Floats:
        return _nonparametric(rng, count, values, number, discrete)

    found = np.concatenate(_in_chunks(chunk, replicates, seed, "uncertainty", progress))
    return Estimates(*found.T)


def redrawn(
    law: Law, tail: int, replicates: int, seed: np.random.SeedSequence, *, progress: Progress = silent
) -> tuple[Floats, Floats]:
    """Tails of ``tail`` values drawn from ``law`` and fitted again at its xmin.

    Returns:
        (B,) KS distances and (B, parameters) parameters, without the replicates that have no fit.
    """
    distances, parameters = [], []
    for done in range(0, replicates, CHUNK):
        rng = _stream(seed, done // CHUNK)
        for _ in range(min(CHUNK, replicates - done)):
            sample = Histogram.of(law.draw(tail, rng))
            again = type(law).fit(sample, law.xmin)
            if again is not None:
                distances.append(again.distance(sample))
                parameters.append(list(again.parameters.values()))
        progress("goodness of fit", min(done + CHUNK, replicates), replicates)
    return np.array(distances), np.array(parameters).reshape(len(distances), len(law.names))


def p_value(measured: float, replicates: Floats) -> float:
    """The share of distances at least as large as the measured one, itself among them."""
    # A replicate that is the measured sample again must count, whatever the last bit says.
    return float((1 + np.count_nonzero(replicates >= measured * (1 - 1e-12))) / (1 + len(replicates)))


def _stream(seed: np.random.SeedSequence, chunk: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, chunk)))


def _in_chunks(
    draw: Callable[[np.random.Generator, int], Floats],
    replicates: int,
    seed: np.random.SeedSequence,
    stage: str,
    progress: Progress,
) -> list[Floats]:
    def chunk(start: int) -> Floats:
        rng = _stream(seed, start // CHUNK)
        return draw(rng, min(CHUNK, replicates - start))

    drawn = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for result in pool.map(chunk, range(0, replicates, CHUNK)):
                drawn.append(result)
                progress(stage, min(len(drawn) * CHUNK, replicates), replicates)
        except BaseException:  # an interrupt must not wait for the chunks not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return drawn


@njit(cache=True, nogil=True)
def _semiparametric(
    rng: np.random.Generator, count: int, values: Floats, number: Floats, at: int, alpha: float, discrete: bool
) -> Floats:
    total, body = int(number.sum()), int(number[:at].sum())
    distances = np.empty(count)
    for r in range(count):
        in_tail = rng.binomial(total, (total - body) / total)
        below = _multinomial(rng, total - in_tail, number[:at])
        if discrete:
            tail, tail_number = draw_zeta(rng, in_tail, values[at], alpha)
        else:
            tail = np.empty(in_tail)
            for i in range(in_tail):
                tail[i] = min(values[at] * (1.0 - rng.random()) ** (1.0 / (1.0 - alpha)), _LARGEST)
            tail.sort()
            tail_number = np.ones(in_tail)
        kept = below > 0
        drawn = np.concatenate((values[:at][kept], tail))
        distances[r] = smallest_distance(*suffixes(drawn, np.concatenate((below[kept], tail_number))), discrete)[2]
    return distances


@njit(cache=True, nogil=True)
def _nonparametric(rng: np.random.Generator, count: int, values: Floats, number: Floats, discrete: bool) -> Floats:
    found = np.full((count, 3), np.nan)
    for r in range(count):
        drawn = _multinomial(rng, int(number.sum()), number)
        kept = drawn > 0
        columns = suffixes(values[kept], drawn[kept])
        at, alpha, _ = smallest_distance(*columns, discrete)
        if at >= 0:
            found[r, 0], found[r, 1], found[r, 2] = alpha, columns[0][at], columns[2][at]
    return found


@njit(cache=True, nogil=True)
def _multinomial(rng: np.random.Generator, n: int, weights: Floats) -> Floats:
    """How often each of ``n`` draws falls to each weight, by conditional binomials."""
    drawn = np.zeros(len(weights))
    left, mass = n, weights.sum()
    for i in range(len(weights)):
        if left == 0:
            break
        drawn[i] = left if weights[i] >= mass else rng.binomial(left, weights[i] / mass)
        left -= int(drawn[i])
        mass -= weights[i]
    return drawn


@njit(cache=True, nogil=True)
def draw_zeta(rng: np.random.Generator, n: int, xmin: float, alpha: float) -> tuple[Floats, Floats]:
    """The histogram (values, number) of ``n`` draws from the zeta law on {xmin, xmin + 1, ...}; capped at 2^62."""
    values, number = [0.0 for _ in range(0)], [0.0 for _ in range(0)]
    left, x = n, xmin
    while left > _SINGLY:
        p = 1.0 / scaled_zeta(alpha, x)
        here = rng.binomial(left, min(p, 1.0))
        if here > 0:
            values.append(x)
            number.append(float(here))
        left -= here
        x += 1.0
        if left * p < 1.0:
            break
    rest = np.empty(left)
    norm = scaled_zeta(alpha, x)
    for i in range(left):
        q = 1.0 - rng.random()
        # zeta(alpha, y) is near (y - 1/2)^(1 - alpha) / (alpha - 1); from there it is a step at most.
        y = max(x, np.floor(x * np.exp(np.log((alpha - 1.0) * q * norm / x) / (1.0 - alpha)) + 0.5))
        if y < 1e8:
            while y > x and scaled_zeta(alpha, y) * (y / x) ** -alpha < q * norm:
                y -= 1.0
            while scaled_zeta(alpha, y + 1.0) * ((y + 1.0) / x) ** -alpha >= q * norm:
                y += 1.0
        rest[i] = min(y, FARTHEST)
    rest.sort()
    for y in rest:
        if len(values) > 0 and values[-1] == y:
            number[-1] += 1.0
        else:
            values.append(y)
            number.append(1.0)
    return np.array(values), np.array(number)
